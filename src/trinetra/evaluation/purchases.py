"""Scores of receipts that were attributed to people: precision, recall, and calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from trinetra.evaluation.boxes import Boxes, Floats
from trinetra.evaluation.comparison import compare
from trinetra.evaluation.identity import people_of_tracks
from trinetra.evaluation.intervals import bootstrap_sums, wilson
from trinetra.evaluation.scores import Score, ScoreSheet, share

_BANDS = (0.0, 0.8, 0.9, 0.97, 1.01)
"""Bands of confidence in which the share of right attributions is given."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A receipt that was attributed to a track of a camera, at the till from and to an instant."""

    receipt_id: str
    camera: str
    track: str
    from_us: int
    to_us: int
    confidence: float


Buyers = Mapping[str, frozenset[str]]
"""The people of the party that each receipt belongs to."""


def people_of_claims(
    claims: Sequence[Claim],
    truth: Mapping[str, Boxes],
    tracks: Mapping[str, Boxes],
    *,
    tolerance_us: int,
    min_iou: float = 0.3,
) -> dict[str, str]:
    """Return the person that each claim's track covered while at the till, by receipt.

    A track that switched between people counts as the person it covered then. The overlap needed is
    small, because bodies at a till are half hidden.
    """
    found: dict[str, str] = {}
    for camera in sorted({claim.camera for claim in claims}):
        if camera not in truth or camera not in tracks:
            continue
        for claim in (c for c in claims if c.camera == camera):
            at_till = _during(tracks[camera], claim)
            sides = compare([(truth[camera], at_till)], tolerance_us=tolerance_us, share_names=True)
            covered = people_of_tracks(sides, min_iou)
            if claim.track in covered:
                found[claim.receipt_id] = covered[claim.track]
    return found


def score_purchases(
    buyers: Buyers, claims: Sequence[Claim], people: Mapping[str, str], *, seed: int = 0
) -> ScoreSheet:
    """Return how many receipts were attributed to a person of the party that bought.

    ``calibration_error`` is by how much the confidences of the claims exceed the share of right
    ones, in percentage points; it is negative where they are too modest.
    """
    right = {c.receipt_id: people.get(c.receipt_id) in buyers[c.receipt_id] for c in claims}
    hits = sum(right.values())
    scores = [
        _proportion("receipt_precision", "", hits, len(claims)),
        _proportion("receipt_recall", "", hits, len(buyers)),
        _calibration(claims, right, np.random.default_rng(seed)),
    ]
    for low, high in pairwise(_BANDS):
        band = [right[c.receipt_id] for c in claims if low <= c.confidence < high]
        name = f"confidence {low:g} to {min(high, 1.0):g}"
        scores.append(_proportion("receipt_precision", name, sum(band), len(band)))
    return ScoreSheet("purchases", tuple(scores), {"receipts": len(buyers), "claims": len(claims)})


def score_conversion(*, sales: int, true_sales: int, came_in: int, true_came_in: int) -> Score:
    """Return the error of sales per person who came in, in percentage points."""
    mine, real = share(100.0 * sales, came_in), share(100.0 * true_sales, true_came_in)
    return Score(
        name="sales_conversion_error",
        value=None if mine is None or real is None else mine - real,
        unit="%",
        truth=real,
        found=mine,
        n=true_came_in,
        note="percentage points; sales per person who came in",
    )


def _during(tracks: Boxes, claim: Claim) -> Boxes:
    """Return the boxes of a claim's track while it was at the till, with the frames of then."""
    code = tracks.names.index(claim.track) if claim.track in tracks.names else None
    here = (tracks.at_us >= claim.from_us) & (tracks.at_us <= claim.to_us)
    kept = tracks.where(here & (tracks.name == (-2 if code is None else code)))
    frames = tracks.frames_us
    inside = (frames >= claim.from_us) & (frames <= claim.to_us)
    return Boxes(kept.at_us, kept.name, kept.xyxy, kept.score, kept.names, frames[inside])


def _calibration(
    claims: Sequence[Claim], right: Mapping[str, bool], random: np.random.Generator
) -> Score:
    rows = np.array([[c.confidence, float(right[c.receipt_id]), 1.0] for c in claims], np.float64)
    value = float(_excess(rows.sum(axis=0)[None, :])[0]) if len(rows) else None
    return Score(
        name="calibration_error",
        value=value,
        unit="%",
        interval=bootstrap_sums(rows, _excess, random) if len(rows) else None,
        n=len(rows),
        note="mean confidence less share of right claims, percentage points",
    )


def _excess(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        excess: Floats = 100.0 * (sums[:, 0] - sums[:, 1]) / sums[:, 2]
    return excess


def _proportion(name: str, of: str, hits: int, trials: int) -> Score:
    interval = wilson(hits, trials) if trials else None
    return Score(name=name, of=of, value=share(hits, trials), interval=interval, n=trials)
