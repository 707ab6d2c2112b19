"""Erasures for processes that reach the event log only: the request, and what each spool answers.

Both are values of the compacted topic ``trinetra.erasures``. They carry no id of a person: no id
leads to what a spool holds, so every spool removes the biometric data of everyone.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.erasure import Erasure
from trinetra.values import derive_id

REQUEST_KEY = "request"
_SPOOL = "spool/"
_Value = TypeVar("_Value", "SpoolRequest", "SpoolAnswer")


class SpoolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The erasures that some spool has not carried out yet, by token."""

    tokens: frozenset[str] = frozenset()


class SpoolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner of a spool says about it; its presence tells that the spool exists.

    ``cleared`` has what was removed for each erasure, by token: nothing that was on its disk when
    it learned of the request is there any more. ``has_left``: the owner ended, and the spool was
    empty.
    """

    cleared: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    has_left: bool = False


def token_of(erasure: Erasure) -> str:
    """Return a name of an erasure that another database does not give to another erasure."""
    return derive_id("ers", erasure.number, erasure.asked_at, *erasure.digests)


def spool_key(member: str) -> str:
    """Return the key of a member's answer."""
    return _SPOOL + member


def encode_spool(value: SpoolRequest | SpoolAnswer) -> bytes:
    """Return a value of the topic."""
    return msgspec.json.encode(value)


def read_request(latest: Mapping[str, bytes]) -> SpoolRequest:
    """Return the request among the topic's latest values. Raises MalformedEvent."""
    return _decoded(latest[REQUEST_KEY], SpoolRequest) if REQUEST_KEY in latest else SpoolRequest()


def read_answer(latest: Mapping[str, bytes], member: str) -> SpoolAnswer | None:
    """Return the answer of a member, if it gave one. Raises MalformedEvent."""
    value = latest.get(spool_key(member))
    return None if value is None else _decoded(value, SpoolAnswer)


def members_with_spools(latest: Mapping[str, bytes]) -> list[str]:
    """Return the members with an answer among the topic's latest values."""
    return sorted(key.removeprefix(_SPOOL) for key in latest if key.startswith(_SPOOL))


def _decoded(value: bytes, kind: type[_Value]) -> _Value:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError as cause:
        raise MalformedEvent(f"not a valid {kind.__name__}: {cause}") from cause
