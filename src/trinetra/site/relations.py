"""Rules between values of a site file that are valid each, but contradict each other.

The rules read the validated site, because most values are defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trinetra.site.conflicts import Conflict, Loc
from trinetra.site.sources import FolderSource
from trinetra.values import IdentityKind

if TYPE_CHECKING:
    from trinetra.site.cameras import Camera
    from trinetra.site.policies import Policies
    from trinetra.site.schema import Site

_KINDS_WITH_FACES = frozenset(kind.value for kind in IdentityKind)
LONGEST_INTERVAL_S = 5.0
"""Longest time between two frames over which people are tracked."""


def contradictions(site: Site) -> list[Conflict]:
    """Return the contradictions between a site's values."""
    policies = site.policies
    return [
        *(
            found
            for index, camera in enumerate(site.cameras)
            for key, name, fps in _slow_rates(camera)
            for found in _too_slow(
                ("cameras", index, key), f"{name} {fps:g}", camera, fps, policies.stays.bridge_s
            )
        ),
        *_of_matching(policies),
        *_of_merging(policies),
        *_of_times(policies),
        *_of_retention(policies),
    ]


def merge_below_match(
    merge_at: float, similarity: float, *, origin: str = "policies.matching.similarity"
) -> Conflict | None:
    """Return why identities must not be merged from ``merge_at`` on, where faces match later."""
    if merge_at >= similarity:
        return None
    return Conflict(
        ("policies", "consolidation", "merge_at"),
        f"merge_at {merge_at:g} is less than {similarity:g}, from which two faces match ({origin}"
        "): people whose faces do not match would be merged",
        f"at least {similarity:g}, or 1.01 to merge none",
    )


def _of_matching(policies: Policies) -> Iterator[Conflict]:
    matching, loc = policies.matching, ("policies", "matching")
    similarity = matching.similarity
    if matching.new_below > similarity:
        yield Conflict(
            (*loc, "new_below"),
            f"new_below {matching.new_below:g} exceeds similarity {similarity:g}: one score would "
            "be a new and a known person",
            f"at most {similarity:g}",
        )
    sure, doubtful = matching.enrol_after_faces, matching.enrol_in_doubt_after_faces
    if doubtful < sure:
        yield Conflict(
            (*loc, _given(matching, "enrol_in_doubt_after_faces", "enrol_after_faces")),
            f"enrol_in_doubt_after_faces {doubtful} is less than enrol_after_faces {sure}: who is "
            "in doubt would be enrolled sooner than others",
            f"enrol_in_doubt_after_faces: {sure} or more",
        )


def _of_merging(policies: Policies) -> Iterator[Conflict]:
    merging, matching = policies.consolidation, policies.matching
    loc: Loc = ("policies", "consolidation", "propose_at")
    if "merge_at" in merging.model_fields_set and (
        found := merge_below_match(merging.merge_at, matching.similarity)
    ):
        yield found
    if merging.merge_at < merging.propose_at < 1.0:
        yield Conflict(
            loc,
            f"propose_at {merging.propose_at:g} exceeds merge_at {merging.merge_at:g}: pairs that "
            "are merged would not be similar enough to be proposed",
            f"at most {merging.merge_at:g}, or 1.01 to propose nothing",
        )
    if "propose_at" in merging.model_fields_set and merging.propose_at < matching.new_below:
        yield Conflict(
            loc,
            f"propose_at {merging.propose_at:g} is less than {matching.new_below:g}, below which "
            "faces are those of different people (policies.matching.new_below)",
            f"at least {matching.new_below:g}",
        )


def _of_times(policies: Policies) -> Iterator[Conflict]:
    stays, lost_after_s = policies.stays, policies.tracking.lost_after_s
    if policies.registry.ttl_s < lost_after_s:
        yield Conflict(
            ("policies", _given(policies, "registry", "tracking")),
            f"registry.ttl_s {policies.registry.ttl_s:g} is less than tracking.lost_after_s "
            f"{lost_after_s:g}: people would be forgotten while they are tracked",
            f"ttl_s: {lost_after_s:g} or more",
        )
    for key, gap_s in (("bridge_s", stays.bridge_s), ("leave_after_s", stays.leave_after_s)):
        if stays.visit_gap_s < gap_s:
            yield Conflict(
                ("policies", "stays", _given(stays, "visit_gap_s", key)),
                f"visit_gap_s {stays.visit_gap_s:g} is less than {key} {gap_s:g}: a visit would "
                "end within a stay",
                f"visit_gap_s: {gap_s:g} or more",
            )


def _of_retention(policies: Policies) -> Iterator[Conflict]:
    """Yield kinds whose faces would stay in the event log for longer than they may be kept."""
    retention = policies.retention
    detections = retention.detections_days
    for key in type(retention).model_fields:
        days = getattr(retention, key)
        if key.removesuffix("_days") in _KINDS_WITH_FACES and days and days < detections:
            yield Conflict(
                ("policies", "retention", _given(retention, "detections_days", key)),
                f"detections_days {detections} exceeds {key} {days}: detections contain faces, "
                "which would be kept longer than that",
                f"detections_days: at most {days}",
            )


def _given(model: BaseModel, *keys: str) -> str:
    """Return the first key that the site file sets."""
    return next((key for key in keys if key in model.model_fields_set), keys[0])


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
