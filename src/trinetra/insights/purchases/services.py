"""Services at tills: the stays of one party in the zones of a till, put together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trinetra.events.schema import ZoneStay
from trinetra.insights.config import PERSON
from trinetra.values import CameraId, IdentityKind, Instant, seconds_between

TillZones = Mapping[str, frozenset[tuple[CameraId, str]]]
"""The zones, as camera and zone id, in which the customers of each till stand while they pay."""
_LEAST_SHARED = 0.5


@dataclass(frozen=True, slots=True)
class Service:
    """Stays of people who were at a till together; one of them, the payer, stands for all."""

    stays: tuple[ZoneStay, ...]

    @property
    def payer(self) -> ZoneStay:
        """The stay of a known customer if there is one, else the longest."""
        return max(self.stays, key=lambda s: (s.customer_id is not None, s.dwell_s, s.event_id))

    @property
    def ended_at(self) -> Instant:
        """When the last of them left."""
        return max(stay.captured_at for stay in self.stays)

    @property
    def length_s(self) -> float:
        """From the first who came to the last who left."""
        return seconds_between(min(stay.entered_at for stay in self.stays), self.ended_at)


def services_at(stays: Iterable[ZoneStay], *, one_till: bool, party_end_s: float) -> list[Service]:
    """Return the services that stays in the zones of a till were, in order of their end.

    A till serves one party at a time: people who were there together and left together were one
    party. That does not hold for zones that several tills share (``one_till`` false).
    """
    parties: list[list[ZoneStay]] = []
    for stay in sorted(filter(_counts, stays), key=lambda s: (s.captured_at, s.event_id)):
        party = parties[-1] if parties and one_till else []
        is_same = (
            bool(party)
            and seconds_between(party[-1].captured_at, stay.captured_at) <= party_end_s
            and _were_together(party[-1], stay)
        )
        if is_same:
            party.append(stay)
        else:
            parties.append([stay])
    return [Service(tuple(party)) for party in parties]


def groups_of_tills(zones_of_till: TillZones) -> list[tuple[str, ...]]:
    """Return the tills, those that share a zone in one group."""
    groups: list[set[str]] = []
    for till in sorted(zones_of_till):
        touching = [g for g in groups if any(zones_of_till[till] & zones_of_till[t] for t in g)]
        merged = {till}.union(*touching)
        groups = [*(g for g in groups if g not in touching), merged]
    return sorted(tuple(sorted(group)) for group in groups)


def _counts(stay: ZoneStay) -> bool:
    return stay.label == PERSON and stay.kind is not IdentityKind.STAFF


def _were_together(one: ZoneStay, other: ZoneStay) -> bool:
    """Return whether two stays overlap for most of the shorter one."""
    begin = max(one.entered_at, other.entered_at)
    end = min(one.captured_at, other.captured_at)
    shorter_s = min(one.dwell_s, other.dwell_s)
    return seconds_between(begin, end) >= _LEAST_SHARED * max(shorter_s, 1e-3)


def stays_by_zone(
    stays: Sequence[ZoneStay], zones: Iterable[tuple[CameraId, str]]
) -> list[ZoneStay]:
    """Return the stays in some zones."""
    wanted = frozenset(zones)
    return [stay for stay in stays if (stay.camera_id, stay.zone_id) in wanted]
