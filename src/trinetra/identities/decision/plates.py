"""Decides which plate a track's readings show, and whether it is on the site's watchlist.

The readings are sealed wherever they are stored, in events and in snapshots; the vote unseals them.
What is published is the pseudonym of the elected text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from trinetra.errors import MalformedEvent
from trinetra.events.plates import PlateCharacters, PlateKey
from trinetra.events.schema import AlertEvent, DetectionEvent, PlateReading, TrackPlate
from trinetra.identities.decision.alerts import listed_plate
from trinetra.identities.decision.track_identity import FrameOutcome
from trinetra.plates.confusion import folded, letters_and_digits
from trinetra.plates.countries import Fitted, fit_country
from trinetra.plates.matching import ALIKE_COST, matches
from trinetra.plates.voting import Vote, vote
from trinetra.values import CustomerId, TrackId

_MAX_LISTED_COST = ALIKE_COST
"""A plate that differs from a watchlist entry by one similar character still matches it."""


@dataclass(frozen=True, slots=True)
class PlatePolicy:
    """How plates are normalized, published and compared with the watchlist.

    ``countries`` are those whose formats correct a reading, in order of preference. ``watchlist``
    are plates and patterns, see ``plates.matching``. ``min_confidence`` is that of a vote from
    which on the plate is published.
    """

    countries: tuple[str, ...] = ()
    keeps_text: bool = False
    watchlist: tuple[str, ...] = ()
    min_confidence: float = 0.6


@dataclass(frozen=True, slots=True)
class PlateBook:
    """Reads sealed plates with the key of the site."""

    key: PlateKey
    policy: PlatePolicy

    def elected(self, readings: Sequence[PlateReading]) -> tuple[Vote, Fitted] | None:
        """Return the vote of a track's readings, and its text in the format of a country.

        None without a reading, or as long as they disagree too much. Readings from before a change
        of the key, which a restored track may have, count no more.
        """
        opened = (self.opened(read) for read in readings)
        found = vote(read for read in opened if read is not None)
        if found is None or found.confidence < self.policy.min_confidence:
            return None
        return found, fit_country(letters_and_digits(found.text), self.policy.countries)

    def opened(self, plate: PlateReading) -> PlateCharacters | None:
        """Return the characters of a reading, or None if it was sealed with another key."""
        try:
            return self.key.unseal(plate.sealed)
        except MalformedEvent:
            return None

    def track_plate(self, found: Vote, fitted: Fitted) -> TrackPlate:
        """Return the plate as it is published.

        Of a text that fits no format, readings that differ only by characters which can hardly be
        told apart have the same pseudonym.
        """
        name = fitted.text if fitted.country else folded(fitted.text)
        return TrackPlate(
            plate_id=self.key.pseudonym(name),
            confidence=round(found.confidence, 3),
            readings=found.readings,
            country=fitted.country,
            text=fitted.text if self.policy.keeps_text else None,
        )

    def listed(self, fitted: Fitted) -> list[str]:
        """Return the entries of the watchlist that a plate matches."""
        entries = self.policy.watchlist
        return [entry for entry in entries if matches(entry, fitted.text, _MAX_LISTED_COST)]

    def decide(
        self, event: DetectionEvent, outcome: FrameOutcome
    ) -> tuple[Mapping[TrackId, TrackPlate], list[AlertEvent]]:
        """Return the plates of a frame's tracks, and alerts for those newly found on the list."""
        plates: dict[TrackId, TrackPlate] = {}
        alerts: list[AlertEvent] = []
        for seen in outcome.visible:
            elected = self.elected(seen.plates)
            if elected is None:
                continue
            identity = seen.identity
            plates[identity.track_id] = self.track_plate(*elected)
            for entry in self.listed(elected[1]):
                mark = CustomerId(f"plate/{entry}")
                if mark not in identity.alerted:
                    identity.alerted.add(mark)
                    where = (event.site_id, event.camera_id, event.captured_at)
                    alerts.append(listed_plate(*where, identity.track_id, entry))
        return plates, alerts


def without_foreign_plates(
    event: DetectionEvent, book: PlateBook | None
) -> tuple[DetectionEvent, int]:
    """Return the event without plates that the key does not open, and how many were removed."""
    kept = tuple(
        seen
        if seen.plate is None or (book is not None and book.opened(seen.plate) is not None)
        else replace(seen, plate=None)
        for seen in event.objects
    )
    removed = sum(a is not b for a, b in zip(kept, event.objects, strict=True))
    return (replace(event, objects=kept) if removed else event), removed
