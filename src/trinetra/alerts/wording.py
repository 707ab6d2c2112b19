"""What a notice says, and what to do about it; it names no person.

Facts are numbers and ids of the site file; a fact that is missing is left out by the defaults.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from trinetra.alerts.rules.signal import Facts, Signal
from trinetra.events.alerts import RuleName

_CAMERA_STATES: Mapping[str, str] = {
    "backoff": "cannot be reached",
    "stalled": "is connected but sends no pictures",
    "disabled": "was given up",
    "connecting": "does not answer yet",
}


class Words(NamedTuple):
    """Title, one sentence of what happened, and what to do."""

    title: str
    message: str
    advice: str


def words_of(signal: Signal) -> Words:
    """Return the wording of a finding."""
    template = _WORDS[signal.rule]
    return Words(template.title, template.message(signal.facts), template.advice)


class _Template(NamedTuple):
    title: str
    message: Callable[[Facts], str]
    advice: str


def _number(facts: Facts, name: str) -> float:
    value = facts.get(name, 0.0)
    return value if isinstance(value, int | float) else 0.0


def _at(facts: Facts) -> str:
    return f"at camera {facts.get('camera', '?')}"


def _zone(facts: Facts) -> str:
    zone = facts.get("zone")
    return f"in zone {zone} of camera {facts.get('camera')}" if zone else "in the shop"


def _minutes(facts: Facts) -> str:
    minutes = round(_number(facts, "minutes"))
    return f"{minutes} minute" if minutes == 1 else f"{minutes} minutes"


def _people(facts: Facts) -> str:
    people = round(_number(facts, "people"))
    return "1 person" if people == 1 else f"{people} people"


def _camera_offline(facts: Facts) -> str:
    how = _CAMERA_STATES.get(str(facts.get("state", "")), "sends no pictures")
    return f"Camera {facts.get('camera')} {how}. Nothing is counted there."


def _index_unavailable(facts: Facts) -> str:
    del facts
    return "The face index does not answer: customers are reported as unknown until it is back."


def _impossible(facts: Facts) -> str:
    distance, elapsed = _number(facts, "distance_m"), _number(facts, "elapsed_s")
    return (
        f"The same face was seen {_at(facts)} and, {elapsed:.0f} s before, at camera "
        f"{facts.get('from_camera', '?')}, {distance:.0f} m away."
    )


_WORDS: Mapping[RuleName, _Template] = {
    "watchlist": _Template(
        "Person on the watchlist",
        lambda f: f"A person on the watchlist was seen {_at(f)}.",
        "Look at the picture first: a match can be wrong. Then inform the manager on duty; "
        "do not approach the person alone.",
    ),
    "vip": _Template(
        "VIP is here",
        lambda f: f"A VIP was seen {_at(f)}.",
        "Let the person in charge welcome them.",
    ),
    "plate_watchlist": _Template(
        "Vehicle on the watchlist",
        lambda f: f"A vehicle whose plate is on the watchlist was seen {_at(f)}.",
        "Compare the plate with the picture: one character may have been misread. "
        "Then inform the manager on duty.",
    ),
    "impossible_transition": _Template(
        "One face at two places",
        _impossible,
        "Compare both pictures. If they show two people, split the identity under Customers; if "
        "it is one person, check the distance of the two cameras in the site file.",
    ),
    "queue_length": _Template(
        "Long queue",
        lambda f: f"{_people(f)} wait {_zone(f)}; the limit is {_number(f, 'limit'):.0f}.",
        "Open another till, or send a colleague to the queue.",
    ),
    "queue_wait": _Template(
        "Long wait",
        lambda f: f"A customer has been waiting {_minutes(f)} {_zone(f)}.",
        "Open another till; if it repeats at this hour, plan one more person for it.",
    ),
    "occupancy": _Template(
        "Too many people",
        lambda f: f"{_people(f)} are {_zone(f)}; the limit is {_number(f, 'limit'):.0f}.",
        "Let no more people in until the number has fallen below the limit.",
    ),
    "loitering": _Template(
        "Long stay",
        lambda f: f"A person has been {_zone(f)} for {_minutes(f)}.",
        "Look at the live picture; offer help or inform the manager on duty.",
    ),
    "after_hours": _Template(
        "Person in the closed shop",
        lambda f: f"{_people(f)} in view {_at(f)} while the shop is closed.",
        "Look at the live picture. If it is not staff, call security. Disarm the alerts for "
        "planned work after hours.",
    ),
    "tailgating": _Template(
        "Two people through one opening",
        lambda f: f"A second person followed through line {f.get('line')} {_at(f)}.",
        "Check who went in; remind staff to let the door close behind them.",
    ),
    "wrong_direction": _Template(
        "Wrong direction",
        lambda f: (
            f"A person crossed line {f.get('line')} {_at(f)} in the direction "
            f"'{f.get('direction')}', which is not allowed."
        ),
        "Send a colleague to this door. If the direction is fine, remove the line from the rule.",
    ),
    "camera_offline": _Template(
        "Camera offline",
        _camera_offline,
        "Check its power and network cable, then its address and password: "
        "`trinetra check --cameras` tells what it answers.",
    ),
    "camera_frozen": _Template(
        "Camera frozen",
        lambda f: f"Camera {f.get('camera')} sends the same picture again and again.",
        "Restart the camera; update its firmware if it happens again.",
    ),
    "camera_covered": _Template(
        "Camera covered",
        lambda f: f"Camera {f.get('camera')} sees almost nothing: it is covered, or it is dark.",
        "Remove what covers the lens, clean it, or switch on the light.",
    ),
    "camera_moved": _Template(
        "Camera moved",
        lambda f: f"Camera {f.get('camera')} shows another view than before.",
        "Turn it back. If it should stay like this, draw its lines and zones again in Setup: "
        "figures of the old ones are wrong.",
    ),
    "frames_dropped": _Template(
        "Pictures are lost",
        lambda f: (
            f"{_number(f, 'share'):.0%} of the pictures of camera {f.get('camera')} were dropped."
        ),
        "The machine is too slow for its cameras: lower their fps, or add an inference worker.",
    ),
    "latency": _Template(
        "Results are late",
        lambda f: (
            f"1 in 100 results comes later than {_number(f, 'p99_s'):.1f} s; the limit is "
            f"{_number(f, 'limit'):.1f} s."
        ),
        "Look at Health for the stage with the highest load; lower the fps of the cameras, or add "
        "a process of that stage.",
    ),
    "drift": _Template(
        "Pictures of faces have changed",
        lambda f: f"Faces {_at(f)} differ from those that the system was calibrated with.",
        "Clean the lens and check focus and light; if that is how it stays, run "
        "`trinetra models calibrate`.",
    ),
    "index_unavailable": _Template(
        "Face index unavailable",
        _index_unavailable,
        "Look at Health for the gallery. In one process restart `trinetra run`; on a cluster check "
        "Qdrant.",
    ),
    "figure_incomplete": _Template(
        "Figures are incomplete",
        lambda f: (
            f"Camera {f.get('camera')} was not watched for {_minutes(f)} of the opening hours."
        ),
        "Figures of that time are marked as incomplete. Look at Health for what the camera or "
        "its service was waiting for.",
    ),
}
