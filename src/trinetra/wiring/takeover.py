"""Decides which changes of a site file running services take over, and which need a restart.

Cameras, lines, zones, floor points, doors, opening hours, the topology, rules and recipients of
alerts are taken over live: every stage exchanges what it goes by between two of its batches, so
that no frame is lost. Site id, time zone, calendar, policies and the channels of alerts are read
once at the start. A camera that needs a network which this process has not loaded waits for a
restart, and with it everything else, because doors and distances may refer to it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from trinetra.site import Camera, Site
from trinetra.values import CameraId
from trinetra.wiring import config as plans

How = Literal["live", "reconnect", "restart"]
MissingFor = Callable[[Camera], str | None]
"""Returns what a process lacks for a camera, None if it has all that it needs."""
_AT_START = ("site", "timezone", "calendar", "policies")
_AT_ONCE = ("opening_hours", "doors", "topology")
_IN_PICTURE = ("lines", "zones", "floor", "position")


@dataclass(frozen=True, slots=True)
class Takeover:
    """One change, and how it takes effect.

    ``live``: between two frames, none is lost. ``reconnect``: this camera alone is connected anew.
    ``restart``: only a restart puts it in force.
    """

    what: str
    how: How
    effect: str


def takeovers(old: Site, new: Site, missing_for: MissingFor = lambda _: None) -> list[Takeover]:
    """Return the changes from one site file to another, and how each takes effect."""
    found = [*_of_site(old, new), *_of_cameras(old, new, missing_for)]
    if not any(each.how == "restart" and each.what.startswith("cameras.") for each in found):
        return found
    waits = "waits for the restart that a camera needs"
    return [e if e.how == "restart" else Takeover(e.what, "restart", waits) for e in found]


def in_force(old: Site, new: Site, changes: list[Takeover]) -> Site:
    """Return the site that running services go by after these changes, until the next restart."""
    if any(each.how == "restart" and each.what.startswith("cameras.") for each in changes):
        return old
    kept = [*_AT_START, *(["alerts"] if _has_other_channels(old, new) else [])]
    return new.model_copy(update={name: getattr(old, name) for name in kept})


def _has_other_channels(old: Site, new: Site) -> bool:
    return old.alerts.channels != new.alerts.channels


def _of_site(old: Site, new: Site) -> Iterator[Takeover]:
    for name in _AT_START:
        if getattr(old, name) != getattr(new, name):
            yield Takeover(name, "restart", "read once, when the services start")
    for name in _AT_ONCE:
        if getattr(old, name) != getattr(new, name):
            yield Takeover(name, "live", "in force from the next events on")
    if _has_other_channels(old, new):
        effect = "channels are opened when the services start; rules and recipients wait for them"
        yield Takeover("alerts", "restart", effect)
    elif old.alerts != new.alerts:
        yield Takeover("alerts", "live", "in force from the next events on")
    if plans.resolver_policy(old) != plans.resolver_policy(_with_policies(new, old)):
        yield Takeover(
            "tracking",
            "restart",
            "the slowest answer and the highest frame rate of all cameras set how long the resolver"
            " waits: until a restart it waits as before",
        )


def _with_policies(new: Site, old: Site) -> Site:
    return new.model_copy(update={"policies": old.policies})


def _of_cameras(old: Site, new: Site, missing_for: MissingFor) -> Iterator[Takeover]:
    before = {camera.camera_id: camera for camera in old.cameras}
    after = {camera.camera_id: camera for camera in new.cameras}
    for camera_id in before.keys() - after.keys():
        yield Takeover(_name(camera_id), "live", "it is no longer read; its figures are kept")
    for camera_id, camera in after.items():
        known = before.get(camera_id)
        if known == camera:
            continue
        if missing := missing_for(camera):
            yield Takeover(_name(camera_id), "restart", missing)
        elif known is None:
            yield Takeover(_name(camera_id), "live", "it is read at once")
        else:
            yield _of_camera(known, camera)


def _of_camera(old: Camera, new: Camera) -> Takeover:
    is_read_anew = old.source != new.source or plans.ingest_plan(
        old, in_step=False
    ) != plans.ingest_plan(new, in_step=False)
    if is_read_anew:
        effect = "this camera is connected anew, which costs it the frames of some seconds"
        return Takeover(_name(new.camera_id), "reconnect", effect)
    changed = [name for name in _IN_PICTURE if getattr(old, name) != getattr(new, name)]
    effect = "between two frames; no frame is lost"
    if {"lines", "zones"} & set(changed):
        effect += ". Stays in a changed zone end, and who is just crossing a changed line may not"
        effect += " count"
    return Takeover(_name(new.camera_id), "live", effect)


def _name(camera_id: CameraId) -> str:
    return f"cameras.{camera_id}"
