"""Error of the queue forecast on days of the digital twin, hour after hour as it would be made.

A forecast sees only what had ended before it, and the number of parties in the queues. Its range
follows from the errors of earlier forecasts of the same day, once their outcome was known. It is
compared with the waits of the parties that joined in the minutes after it, and so is the naive
forecast: the mean wait of the last quarter of an hour.

The queues are the twin's own, not those that cameras saw: docs/queues.md says how well these agree.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from trinetra.events.schema import QueueVisit
from trinetra.insights.queues.forecast import COVERAGE, HORIZONS_S, forecast
from trinetra.insights.queues.track_record import walk
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Behavior, Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import QueueTruth
from trinetra.values import (
    CameraId,
    EventId,
    Instant,
    SiteId,
    TrackId,
    after,
    seconds_between,
)

_NAIVE_S = 900.0


class Shop(NamedTuple):
    """A twin's shop: shoppers an hour, and the tills that are open."""

    shoppers_per_hour: float
    open_tills: int


SHOPS: Mapping[str, Shop] = {
    "one till": Shop(60.0, 1),
    "one till, crowded": Shop(100.0, 1),
    "two tills": Shop(120.0, 2),
    "two tills, crowded": Shop(240.0, 2),
    "three tills": Shop(240.0, 3),
}
SEEDS = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Made:
    """One forecast with its outcome, all in seconds."""

    expected_s: float
    naive_s: float
    actual_s: float
    low_s: float | None
    high_s: float | None

    @property
    def is_covered(self) -> bool | None:
        """Whether the outcome was in the range; None without one."""
        if self.low_s is None or self.high_s is None:
            return None
        return self.low_s <= self.actual_s <= self.high_s


class Quality(NamedTuple):
    """Mean absolute errors of forecasts in seconds, the share in the range, and their number."""

    error_s: float
    naive_s: float
    actual_s: float
    coverage: float | None
    number: int


def day_of(seed: int, shop: Shop, hours: float = 12.0) -> list[QueueVisit]:
    """Return the visits to the queues of a twin's day, as its truth has them."""
    behavior = Behavior(open_tills=shop.open_tills)
    scenario = Scenario(seed, shop.shoppers_per_hour, hours, behavior=behavior)
    twin = Twin(built_in_shop(), scenario)
    return [_visit(line) for line in Recorder(twin.world).queues() if line.till_id]


def walk_forward(visits: Sequence[QueueVisit], horizon_s: float) -> Iterator[Made]:
    """Yield the forecasts of a day in order, each made without knowledge of what came after it.

    Times after which no one joined a queue within the horizon are left out.
    """
    known: list[tuple[Instant, float]] = []
    for past in walk(visits, horizon_s):
        made = forecast(past.state, [error for known_at, error in known if known_at <= past.at])
        known.append((past.known_at, past.error))
        if made is not None:
            naive_s = _naive_s(past.ended, past.at)
            yield Made(made.wait_s, naive_s, past.actual_s, made.low_s, made.high_s)


def quality(made: Sequence[Made]) -> Quality:
    """Return how good some forecasts were."""
    covered = [one.is_covered for one in made if one.is_covered is not None]
    return Quality(
        error_s=fmean(abs(one.expected_s - one.actual_s) for one in made),
        naive_s=fmean(abs(one.naive_s - one.actual_s) for one in made),
        actual_s=fmean(one.actual_s for one in made),
        coverage=fmean(covered) if covered else None,
        number=len(made),
    )


def measure() -> dict[str, dict[float, Quality]]:
    """Return the quality of the forecasts in each shop, by horizon, over all days."""
    found: dict[str, dict[float, Quality]] = {}
    for name, shop in SHOPS.items():
        days = [day_of(seed, shop) for seed in SEEDS]
        found[name] = {
            horizon_s: quality([made for day in days for made in walk_forward(day, horizon_s)])
            for horizon_s in HORIZONS_S
        }
    return found


def as_table(found: Mapping[str, Mapping[float, Quality]]) -> str:
    """Return the qualities as a Markdown table."""
    rows = [
        f"| | mean wait | next | error | naive | inside the {COVERAGE:.0%} range |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, by_horizon in found.items():
        for horizon_s, of in by_horizon.items():
            inside = "-" if of.coverage is None else f"{of.coverage:.0%}"
            rows.append(
                f"| {name} | {of.actual_s:.0f} s | {horizon_s / 60:.0f} min | {of.error_s:.1f} s "
                f"| {of.naive_s:.1f} s | {inside} |"
            )
    return "\n".join(rows) + "\n"


def _visit(line: QueueTruth) -> QueueVisit:
    served_at = after(line.joined_at, line.wait_s) if line.end == "served" else None
    return QueueVisit(
        event_id=EventId(line.party_id),
        site_id=SiteId("twin"),
        camera_id=CameraId("till"),
        captured_at=line.left_at,
        queue_id=None,
        till_id=line.till_id,
        joined_at=line.joined_at,
        served_at=served_at,
        end="served" if served_at else "abandoned",
        wait_s=line.wait_s,
        service_s=line.service_s,
        track_id=TrackId(line.party_id),
    )


def _naive_s(ended: Sequence[QueueVisit], at: Instant) -> float:
    recent = [
        v.wait_s or 0.0 for v in ended if v.end == "served" and _s(v.captured_at, at) < _NAIVE_S
    ]
    return fmean(recent) if recent else 0.0


_s = seconds_between
