"""Rules between values of a site file that are valid each, but contradict each other.

The rules read the validated site, because most values are defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trinetra.site.conflicts import Conflict, Loc
from trinetra.site.sources import FolderSource

if TYPE_CHECKING:
    from trinetra.site.cameras import Camera
    from trinetra.site.schema import Site

LONGEST_INTERVAL_S = 5.0
"""Longest time between two frames over which people are tracked."""


def contradictions(site: Site) -> list[Conflict]:
    """Return the contradictions between a site's values."""
    bridge_s = site.policies.stays.bridge_s
    return [
        found
        for index, camera in enumerate(site.cameras)
        for key, name, fps in _slow_rates(camera)
        for found in _too_slow(("cameras", index, key), f"{name} {fps:g}", camera, fps, bridge_s)
    ]


def _slow_rates(camera: Camera) -> Iterator[tuple[str, str, float]]:
    """Yield the lowest rates of a camera, each with the key that sets it and its name."""
    key = "fps_floor" if "fps_floor" in camera.model_fields_set else "fps"
    yield key, key, camera.fps_floor
    if isinstance(camera.source, FolderSource):
        yield "source", "fps", camera.source.fps


def _too_slow(
    loc: Loc, name: str, camera: Camera, fps: float, bridge_s: float
) -> Iterator[Conflict]:
    """Yield why people could not be followed from frame to frame at this rate."""
    interval_s = 1.0 / fps
    told = f"{name} is a frame every {interval_s:.3g} s"
    if interval_s > LONGEST_INTERVAL_S:
        yield Conflict(
            loc,
            f"{told}: tracks would end after every frame",
            f"at least {1.0 / LONGEST_INTERVAL_S:g}",
        )
    elif camera.zones and interval_s > bridge_s:
        yield Conflict(
            loc,
            f"{told}, but stays end after {bridge_s:g} s without one (policies.stays.bridge_s)",
            f"raise bridge_s to {interval_s:.3g} or more",
        )
