"""Estimates the clock of a till from its receipts and the ends of services there.

The difference between the end of a service and its receipt has a common part, the offset of the
clock together with the usual lateness of a receipt, and a spread. Which receipt belongs to which
service is not known, so both are estimated together: first the offset at which the receipts agree
best with any services, then offset, drift and spread in turn with the association (expectation
maximization). Receipts of people who were not seen, and services without a receipt, are outliers.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from trinetra.insights.purchases.association import Pairs, marginals
from trinetra.insights.purchases.policy import PurchasePolicy

Floats = NDArray[np.float64]
_STEP_S = 1.0
_TURNS = 25
_FREEDOM = 4.0
"""Degrees of freedom of the Student distribution of what is left: now and then it is far off."""
_PRIOR_RECEIPTS = 4.0
_LEAST_SPREAD_S = 0.5
_MAD = 1.4826
"""Deviation of a normal distribution over its median absolute deviation."""
_GATE_SPREADS = 12.0


@dataclass(frozen=True, slots=True)
class Services:
    """Services at a till, in seconds after any instant: their ends and lengths, each ``(m,)``."""

    end_s: Floats
    length_s: Floats


@dataclass(frozen=True, slots=True)
class TillClock:
    """What was estimated of a till.

    A receipt of time t belongs to a service that ends at ``t + offset_s + drift * (t - origin_s)``,
    give or take ``spread_s``. ``seen_share`` of the receipts have such a service;
    ``services_per_s`` is the rate of services without regard to receipts.
    """

    offset_s: float
    drift: float
    origin_s: float
    spread_s: float
    seen_share: float
    services_per_s: float

    def ahead_s(self, issued_s: Floats) -> Floats:
        """Return what must be added to the times of receipts ``(n,)``."""
        return self.offset_s + self.drift * (issued_s - self.origin_s)


def pairs_of(
    issued_s: Floats, services: Services, clock: TillClock, policy: PurchasePolicy
) -> Pairs:
    """Return the possible pairs of receipts and services, with their odds."""
    left_s = services.end_s[None, :] - (issued_s + clock.ahead_s(issued_s))[:, None]
    row, column = np.nonzero(np.abs(left_s) <= _GATE_SPREADS * clock.spread_s)
    density = _student(left_s[row, column] / clock.spread_s) / clock.spread_s
    against = clock.services_per_s * (1.0 - clock.seen_share) / clock.seen_share
    odds = density * _served(services.length_s[column], policy) / against
    return Pairs(row, column, odds, *left_s.shape)


def estimate_clock(issued_s: Floats, services: Services, policy: PurchasePolicy) -> TillClock:
    """Return the clock of a till, given the times of its receipts ``(n,)`` and its services.

    With few receipts it stays near the prior: no offset, the usual spread.
    """
    clock = TillClock(
        offset_s=_rough_offset_s(issued_s, services, policy),
        drift=0.0,
        origin_s=float(np.median(issued_s)) if len(issued_s) else 0.0,
        spread_s=policy.usual_spread_s,
        seen_share=policy.seen_share,
        services_per_s=_rate(services),
    )
    if not len(issued_s) or not len(services.end_s):
        return clock
    for _ in range(_TURNS):
        before, clock = clock, _improved(clock, issued_s, services, policy)
        if abs(before.offset_s - clock.offset_s) + abs(before.spread_s - clock.spread_s) < 1e-3:  # noqa: PLR2004 - a millisecond
            break
    return clock


def _rough_offset_s(issued_s: Floats, services: Services, policy: PurchasePolicy) -> float:
    """Return the most likely offset on a grid: each receipt votes for its distances to services."""
    if not len(issued_s) or not len(services.end_s):
        return 0.0
    half = round(policy.most_offset_s / _STEP_S)
    grid_s = np.arange(-half, half + 1) * _STEP_S
    votes = np.zeros((len(issued_s), len(grid_s)))
    at = np.rint((services.end_s[None, :] - issued_s[:, None]) / _STEP_S).astype(np.int64) + half
    rows, columns = np.nonzero((at >= 0) & (at < len(grid_s)))
    weight = _served(services.length_s, policy)
    np.add.at(votes, (rows, at[rows, columns]), weight[columns])
    density = scipy.ndimage.gaussian_filter1d(
        votes, policy.usual_spread_s / _STEP_S, axis=1, mode="constant"
    )
    share = policy.seen_share
    told = np.log(1.0 - share + share * density / _STEP_S / _rate(services)).sum(axis=0)
    prior = -1.5 * np.log1p((grid_s / policy.usual_offset_s) ** 2 / 2.0)
    return float(grid_s[int(np.argmax(told + prior))])


def _improved(
    clock: TillClock, issued_s: Floats, services: Services, policy: PurchasePolicy
) -> TillClock:
    """Return the clock that follows from the association under the given one."""
    pairs = pairs_of(issued_s, services, clock, policy)
    weight = marginals(pairs)
    if not weight.sum():
        return clock
    apart_s = services.end_s[pairs.column] - issued_s[pairs.row]
    elapsed_s = issued_s[pairs.row] - clock.origin_s
    offset_s, drift = _line(elapsed_s, apart_s, weight * _trust(apart_s, clock, elapsed_s), policy)
    left_s = np.abs(apart_s - offset_s - drift * elapsed_s)
    # The prior counts like a few receipts with the usual spread.
    squares = weight.sum() * (_MAD * _weighted_median(left_s, weight)) ** 2
    total = weight.sum() + _PRIOR_RECEIPTS
    variance = (squares + _PRIOR_RECEIPTS * policy.usual_spread_s**2) / total
    seen = weight.sum() + _PRIOR_RECEIPTS * policy.seen_share
    return TillClock(
        offset_s=offset_s,
        drift=drift,
        origin_s=clock.origin_s,
        spread_s=max(_LEAST_SPREAD_S, math.sqrt(variance)),
        seen_share=min(0.99, float(seen / (len(issued_s) + _PRIOR_RECEIPTS))),
        services_per_s=clock.services_per_s,
    )


def _line(
    elapsed_s: Floats, apart_s: Floats, weight: Floats, policy: PurchasePolicy
) -> tuple[float, float]:
    """Return offset and drift by weighted least squares; priors keep both small."""
    scale = policy.usual_spread_s
    rows = np.stack([np.ones_like(elapsed_s), elapsed_s], axis=1)
    precision = np.diag([(scale / policy.usual_offset_s) ** 2, (scale / policy.usual_drift) ** 2])
    normal = rows.T @ (weight[:, None] * rows) + precision
    offset_s, drift = np.linalg.solve(normal, rows.T @ (weight * apart_s))
    return float(offset_s), float(drift)


def _trust(apart_s: Floats, clock: TillClock, elapsed_s: Floats) -> Floats:
    """Return the weights of iteratively reweighted least squares for the Student distribution."""
    left = (apart_s - clock.offset_s - clock.drift * elapsed_s) / clock.spread_s
    trust: Floats = (_FREEDOM + 1.0) / (_FREEDOM + left**2)
    return trust


def _weighted_median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values, kind="stable")
    gathered = np.cumsum(weight[order])
    return float(values[order][int(np.searchsorted(gathered, gathered[-1] / 2))])


def _student(value: Floats) -> Floats:
    gammas = math.lgamma((_FREEDOM + 1) / 2) - math.lgamma(_FREEDOM / 2)
    scale = gammas - math.log(_FREEDOM * math.pi) / 2
    density: Floats = np.exp(scale - (_FREEDOM + 1) / 2 * np.log1p(value**2 / _FREEDOM))
    return density


def _served(length_s: Floats, policy: PurchasePolicy) -> Floats:
    """Return the plausibility that stays of these lengths were a service, 0..1."""
    plausible: Floats = 1.0 - np.exp(-((length_s / policy.least_service_s) ** 2))
    return plausible


def _rate(services: Services) -> float:
    """Return the number of services per second, at least one in an hour."""
    if not len(services.end_s):
        return 1.0 / 3600.0
    span_s = float(np.ptp(services.end_s)) + 60.0
    return max(len(services.end_s) / span_s, 1.0 / 3600.0)
