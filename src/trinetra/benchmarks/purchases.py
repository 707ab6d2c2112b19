"""Receipts of the digital twin, attributed to people by the insights of its cameras.

The twin's detections are replayed through resolver and insight engine as in production. Its tills
print receipts by clocks of their own, and these are attributed by the derivation that the engine
runs. Each till of the shop has a zone of its own in front of its desk.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from trinetra.benchmarks.accuracy import PROFILE, STORES, Store
from trinetra.evaluation.boxes import Boxes
from trinetra.evaluation.purchases import (
    Buyers,
    Claim,
    people_of_claims,
    score_conversion,
    score_purchases,
)
from trinetra.evaluation.reading import Gathered, read_truth
from trinetra.evaluation.scores import Score
from trinetra.events.codec import decode
from trinetra.events.derivation import Span
from trinetra.events.receipts import ReceiptRules, read_receipt
from trinetra.events.schema import InsightEvent, LineCrossing, Purchase, Receipt, Visit, ZoneStay
from trinetra.insights.metrics.people import is_customer
from trinetra.replay.player import Detected
from trinetra.site import Site
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.service import write
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import PurchaseTruth
from trinetra.values import CameraId, EventId, microseconds
from trinetra.wiring.config import purchases
from trinetra.wiring.replay import ReplayInputs, replay
from trinetra.wiring.simulation import face_model, site_document

_TOLERANCE_US = 1000
__all__ = ["STORES", "PurchaseRun", "measure_run", "scores_of"]


@dataclass(frozen=True, slots=True)
class PurchaseRun:
    """What one run of a store gave: the parties, the claims with the people named, the counts."""

    buyers: Buyers
    claims: tuple[Claim, ...]
    people: Mapping[str, str]
    came_in: int
    true_came_in: int
    sales: int


def measure_run(store: Store, seed: int) -> PurchaseRun:
    """Run a store once and attribute its receipts."""
    plan = built_in_shop()
    twin = Twin(plan, Scenario(seed, store.shoppers_per_hour, store.hours))
    site = Site.model_validate(site_document(plan))
    with tempfile.TemporaryDirectory(prefix="trinetra-purchases-") as name:
        write(twin, Path(name))
        truth = read_truth(Path(name) / "truth.jsonl")
    insights, tracks = _insights_of(twin, site)
    receipts = list(_receipts_of(twin, site))
    found = [p for p in _derived(site, [*insights, *receipts]) if isinstance(p, Purchase)]
    claims = tuple(_claims(found, insights))
    crossings = truth.facts.crossings or ()
    return PurchaseRun(
        buyers=_buyers_of(twin),
        claims=claims,
        people=people_of_claims(claims, truth.boxes, tracks, tolerance_us=_TOLERANCE_US),
        came_in=sum(
            i.direction == "in" and is_customer(i) for i in insights if isinstance(i, LineCrossing)
        ),
        true_came_in=sum(crossing.direction == "in" for crossing in crossings),
        sales=len(found),
    )


def scores_of(runs: Sequence[PurchaseRun]) -> list[Score]:
    """Return the scores of some runs together."""
    buyers: dict[str, frozenset[str]] = {}
    people: dict[str, str] = {}
    for run in runs:
        buyers |= run.buyers
        people |= run.people
    claims = [claim for run in runs for claim in run.claims]
    conversion = score_conversion(
        sales=sum(run.sales for run in runs),
        true_sales=len(buyers),
        came_in=sum(run.came_in for run in runs),
        true_came_in=sum(run.true_came_in for run in runs),
    )
    return [*score_purchases(buyers, claims, people).scores, conversion]


def _insights_of(twin: Twin, site: Site) -> tuple[list[InsightEvent], Mapping[str, Boxes]]:
    """Return the last state of every insight, and the tracks by camera."""
    found: dict[EventId, InsightEvent] = {}
    gathered = Gathered()

    def listen(payload: bytes) -> None:
        event = decode(payload)
        gathered.add(event)
        if isinstance(event, ZoneStay | Visit | LineCrossing):
            found[event.event_id] = event

    def detections() -> Iterator[Detected]:
        for arrival in twin.arrivals():
            yield CameraId(arrival.camera_id), arrival.payload

    asyncio.run(replay(ReplayInputs(site, face_model(twin, PROFILE)), detections(), listen))
    return list(found.values()), gathered.findings().tracks


def _receipts_of(twin: Twin, site: Site) -> Iterator[Receipt]:
    rules = ReceiptRules(site.site_id)
    for told in Recorder(twin.world).transactions():
        document = {
            "receipt_id": told.transaction_id,
            "till_id": told.till_id,
            "issued_at": told.issued_at.isoformat(),
            "total_minor": told.amount_cents,
            "currency": told.currency,
            "item_count": told.items,
        }
        yield read_receipt(document, rules, None)


def _derived(site: Site, inputs: Sequence[InsightEvent]) -> Iterator[InsightEvent]:
    derivation = purchases(site)
    ordered = sorted(inputs, key=lambda event: (event.captured_at, event.event_id))
    days = {
        event.captured_at.replace(hour=0, minute=0, second=0, microsecond=0) for event in inputs
    }
    for day in sorted(days):
        span = Span(day, day + timedelta(seconds=derivation.window_s))
        margin = timedelta(seconds=derivation.margin_s)
        near = [e for e in ordered if span.start - margin <= e.captured_at < span.end + margin]
        yield from derivation.derive(span, near)


def _claims(found: Sequence[Purchase], insights: Sequence[InsightEvent]) -> Iterator[Claim]:
    stays = {event.event_id: event for event in insights if isinstance(event, ZoneStay)}
    for purchase in found:
        if purchase.stay_id is not None:
            stay = stays[purchase.stay_id]
            yield Claim(
                purchase.receipt_id,
                stay.camera_id,
                stay.track_id,
                microseconds(stay.entered_at),
                microseconds(stay.captured_at),
                purchase.confidence,
            )


def _buyers_of(twin: Twin) -> Buyers:
    lines = Recorder(twin.world).lines()
    return {
        line.transaction_id: frozenset(line.person_ids)
        for line in lines
        if isinstance(line, PurchaseTruth)
    }
