"""Conditions that hold for a while: told once they have lasted long enough, and when they end."""

from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from trinetra.alerts.rules.plan import AlertPlan
from trinetra.alerts.rules.signal import Facts, Signal
from trinetra.events.alerts import NoticeKey, RuleName
from trinetra.values import CameraId, Instant, after, seconds_between


class Condition(msgspec.Struct, array_like=True):
    """Since when something has been so, and whether it was told."""

    since: Instant
    told: bool = False


class Holding(msgspec.Struct, frozen=True):
    """A condition that holds now: how long it must last, and what to tell of it."""

    for_s: float
    facts: Facts
    camera_id: CameraId | None = None


Conditions = dict[str, Condition]
"""By rule and subject, as ``rule subject``: a saved state has text for keys."""


def key_text(key: NoticeKey) -> str:
    """Return the text under which a condition is kept."""
    return f"{key.rule} {key.subject}"


def without_obsolete(conditions: Conditions, plan: AlertPlan) -> Conditions:
    """Return the conditions that rules in force are about."""
    return {text: held for text, held in conditions.items() if plan.concerns(_key_of(text))}


def _key_of(text: str) -> NoticeKey:
    rule, _, subject = text.partition(" ")
    return NoticeKey(cast("RuleName", rule), subject)


def compare(
    conditions: Conditions,
    now_holding: Mapping[NoticeKey, Holding],
    possible: Mapping[NoticeKey, CameraId | None],
    at: Instant,
    is_first: Callable[[str], bool],
) -> list[Signal]:
    """Take in which conditions hold at an instant; return what is to be told.

    ``possible`` are all that were looked at: those that do not hold are over. ``is_first`` tells
    whether a condition is looked at for the first time since the start: it may have been told
    before a restart, so that its end is told in any case.
    """
    found: list[Signal] = []
    for key, camera_id in possible.items():
        text, holding = key_text(key), now_holding.get(key)
        is_new = is_first(text)
        if holding is None:
            before = conditions.pop(text, None)
            if is_new or (before is not None and before.told):
                found.append(Signal(key.rule, key.subject, at, camera_id, is_over=True))
            continue
        held = conditions.setdefault(text, Condition(at))
        if not held.told and seconds_between(held.since, at) >= holding.for_s:
            held.told = True
            found.append(_told(key, holding, after(held.since, holding.for_s)))
    return found


def _told(key: NoticeKey, holding: Holding, at: Instant) -> Signal:
    return Signal(key.rule, key.subject, at, holding.camera_id, holding.facts, lasting=True)
