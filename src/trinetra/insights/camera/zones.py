"""Stays in zones, from the first to the last instant the foot was seen inside.

A stay continues while the body's foot is inside. It ends when the foot has been seen outside for
``leave_after_s``, or the body has not been seen for ``bridge_s``; in both cases it lasted until the
last instant the foot was seen inside. A body that comes in from outside must be seen inside for
``confirm_s`` before it counts. A stay that was ended by ``flush`` goes on if the body is
seen inside again within ``bridge_s``. Track breaks are handled by ``track_stitching``.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from trinetra.insights.camera.geometry import Polygon
from trinetra.insights.camera.scene import Scene
from trinetra.insights.config import PERSON, InsightPolicy, StayLimit, Zone
from trinetra.values import Instant, TrackId, longest, seconds_between


class Stay(msgspec.Struct, array_like=True):
    """One stay of a body in a zone.

    ``track_id`` is the track with which the stay began, ``out_since`` when the foot was first seen
    outside since, ``in_since`` when it was last seen to come in. ``is_certain`` is false until the
    foot was inside for long enough, so that it was not only a wrong box. ``alerted_s`` is how long
    it had lasted when it last raised an alert.
    """

    zone_id: str
    body_id: TrackId
    track_id: TrackId
    label: str
    entered_at: Instant
    inside_at: Instant
    out_since: Instant | None = None
    in_since: Instant | None = None
    is_certain: bool = True
    alerted_s: float = 0.0

    @property
    def dwell_s(self) -> float:
        """Seconds from the first to the last instant the foot was seen inside."""
        return seconds_between(self.entered_at, self.inside_at)


_Key = tuple[str, TrackId]


def _areas(zones: Iterable[Zone]) -> tuple[Polygon, ...]:
    return tuple(Polygon.of(zone.polygon) for zone in zones)


@dataclass(slots=True)
class ZoneWatch:
    """Tracks the stays in one camera's zones; ``over`` has ended stays that may be continued."""

    zones: tuple[Zone, ...]
    policy: InsightPolicy
    open: dict[_Key, Stay] = field(default_factory=dict)
    over: dict[_Key, Stay] = field(default_factory=dict)
    _areas: tuple[Polygon, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the polygons."""
        self._areas = _areas(self.zones)

    def resume(self, stays: Iterable[Stay], over: Iterable[Stay]) -> None:
        """Restore the stays from a snapshot, except in zones that no longer exist."""
        zone_ids = {zone.zone_id for zone in self.zones}
        self.open = {(s.zone_id, s.body_id): s for s in stays if s.zone_id in zone_ids}
        self.over = {(s.zone_id, s.body_id): s for s in over if s.zone_id in zone_ids}

    def step(
        self, scene: Scene, body_ids: list[TrackId], in_view: Collection[TrackId] = ()
    ) -> list[Stay]:
        """Process a scene; return the stays that have ended and were long enough to count.

        ``in_view`` are the bodies that were in view before; others need not be seen inside twice,
        because nothing contradicts their first box.
        """
        ended: list[Stay] = []
        for zone, area in zip(self.zones, self._areas, strict=True):
            for row, body_id in enumerate(body_ids):
                key = (zone.zone_id, body_id)
                # Ends the old stay before this frame is seen: a foot that is back inside after
                # leave_after_s starts a new stay and must not extend the old one.
                if self._has_left(key, scene.at):
                    ended += self._close([key])
                self._see(scene, row, key, inside=area.holds(*scene.feet[row]))
                if body_id not in in_view and key in self.open:
                    self.open[key].is_certain = True
        unseen = scene.at - longest(self.policy.bridge_s)
        ended += self._close(
            [
                key
                for key, stay in self.open.items()
                if (self._has_left(key, scene.at) if stay.out_since else stay.inside_at < unseen)
            ]
        )
        self._forget(scene.at)
        return self._counted(ended)

    def change(self, zones: tuple[Zone, ...]) -> list[Stay]:
        """Watch these zones from the next scene on; return the stays that end with the others."""
        same = {zone.zone_id for zone in set(zones) & set(self.zones)}
        ended = self._counted(self._close([key for key in self.open if key[0] not in same]))
        self.over = {key: stay for key, stay in self.over.items() if key[0] in same}
        self.zones, self._areas = zones, _areas(zones)
        return ended

    def flush(self) -> list[Stay]:
        """End every stay at the last instant its foot was seen inside."""
        return self._counted(self._close(list(self.open)))

    def present(
        self, zone_id: str, label: str, now: Instant, but: frozenset[TrackId] = frozenset()
    ) -> int:
        """Return the number of bodies of a label in a zone, see ``occupancy``."""
        return self.occupancy(label, now, but).get(zone_id, 0)

    def occupancy(
        self, label: str, now: Instant, but: frozenset[TrackId] = frozenset()
    ) -> dict[str | None, int]:
        """Return the number of bodies of a label by zone, including briefly unseen ones.

        A body that goes out must be seen outside for ``confirm_s`` before it no longer counts.
        """
        found: dict[str | None, int] = {zone.zone_id: 0 for zone in self.zones}
        oldest = now - longest(self.policy.occupancy_hold_s)
        for stay in self.open.values():
            found[stay.zone_id] += (
                stay.body_id not in but
                and stay.label == label
                and stay.is_certain
                and (stay.out_since is None or self._is_brief(stay.out_since, now))
                and stay.inside_at >= oldest
            )
        return found

    def alerts(self, limits: Sequence[StayLimit]) -> list[tuple[Stay, StayLimit]]:
        """Return the stays of people that have come to last as long as a limit, once for each."""
        found: list[tuple[Stay, StayLimit]] = []
        for stay in self.open.values() if limits else ():
            if stay.label != PERSON or not stay.is_certain:
                continue
            due = [
                limit
                for limit in limits
                if limit.zone_id == stay.zone_id and stay.alerted_s < limit.after_s <= stay.dwell_s
            ]
            found += [(stay, limit) for limit in due]
            stay.alerted_s = max([stay.alerted_s, *(limit.after_s for limit in due)])
        return found

    @property
    def open_stays(self) -> int:
        """Number of stays in progress."""
        return len(self.open)

    def split(
        self, body_id: TrackId, new_id: TrackId, left_at: Instant, joined_at: Instant
    ) -> None:
        """Move the part of every open stay since ``joined_at`` to the body that was split off.

        A stay that was already reported is not changed.
        """
        for zone in self.zones:
            if stay := self.open.get((zone.zone_id, body_id)):
                self.open[zone.zone_id, new_id] = msgspec.structs.replace(
                    stay,
                    body_id=new_id,
                    track_id=new_id,
                    entered_at=max(stay.entered_at, joined_at),
                )
                if stay.entered_at > left_at:
                    del self.open[zone.zone_id, body_id]
                else:
                    stay.inside_at, stay.out_since = min(stay.inside_at, left_at), None

    def merge(self, body_id: TrackId, gone_id: TrackId) -> list[Stay]:
        """Join the stays of ``gone_id`` to those in which ``body_id`` vanished.

        Return the earlier stays that had ended: the body had left the zone before it vanished.
        """
        ended: list[Stay] = []
        for zone in self.zones:
            key = (zone.zone_id, body_id)
            later = self.open.pop((zone.zone_id, gone_id), None)
            if later is None:
                continue
            earlier = self.open.get(key) or self.over.get(key)
            if earlier and self._continues(earlier, later):
                later.track_id, later.entered_at = earlier.track_id, earlier.entered_at
                later.is_certain |= earlier.is_certain
                later.alerted_s = max(later.alerted_s, earlier.alerted_s)
            elif key in self.open:
                ended += self._close([key])
            later.body_id = body_id
            self.open[key] = later
        return self._counted(ended)

    def _continues(self, earlier: Stay, later: Stay) -> bool:
        gap_s = seconds_between(earlier.inside_at, later.entered_at)
        # A body last seen outside had left the zone, so its reappearance inside is a new stay.
        return earlier.out_since is None and gap_s <= self.policy.bridge_s

    def _see(self, scene: Scene, row: int, key: _Key, *, inside: bool) -> None:
        stay = self.open.get(key)
        if not inside:
            if stay and stay.out_since is None:
                stay.out_since = scene.at
        elif stay:
            if stay.out_since or stay.in_since is None:
                stay.in_since = scene.at
            stay.inside_at, stay.out_since = scene.at, None
            stay.is_certain |= not self._is_brief(stay.in_since, scene.at)
        else:
            track_id, label = scene.track_ids[row], scene.labels[row]
            stay = Stay(*key, track_id, label, scene.at, scene.at)
            stay.in_since, stay.is_certain = scene.at, False
            if (earlier := self.over.get(key)) and self._continues(earlier, stay):
                stay.track_id, stay.entered_at = earlier.track_id, earlier.entered_at
                stay.is_certain, stay.alerted_s = earlier.is_certain, earlier.alerted_s
            self.open[key] = stay

    def _is_brief(self, since: Instant, now: Instant) -> bool:
        return seconds_between(since, now) < self.policy.confirm_s

    def _has_left(self, key: _Key, now: Instant) -> bool:
        stay = self.open.get(key)
        return bool(
            stay
            and stay.out_since
            and seconds_between(stay.out_since, now) >= self.policy.leave_after_s
        )

    def _close(self, keys: Iterable[_Key]) -> list[Stay]:
        closed = [self.open.pop(key) for key in keys]
        self.over.update({(stay.zone_id, stay.body_id): stay for stay in closed})
        return closed

    def _counted(self, stays: list[Stay]) -> list[Stay]:
        if not stays:
            return stays
        least = {zone.zone_id: zone.min_dwell_s for zone in self.zones}
        return [s for s in stays if s.is_certain and s.dwell_s >= least[s.zone_id]]

    def _forget(self, now: Instant) -> None:
        oldest = now - longest(self.policy.forget_after_s)
        for key in [key for key, stay in self.over.items() if stay.inside_at < oldest]:
            del self.over[key]
