"""Requests of the REST API as data: pure functions that both clients share.

Each function returns the request; the method of the same name of a client returns its answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from trinetra.client.models import (
    FigureAnswer,
    Granularity,
    MetricInfo,
    Page,
    Session,
    SiteInfo,
)

Answer = TypeVar("Answer")
When = datetime | date
"""An instant with an offset from UTC, or a date: the shop's midnight at which it begins."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request and the type of its answer."""

    method: str
    path: str
    answer: type[Answer]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None


def site() -> Call[SiteInfo]:
    """Return the site."""
    return Call("GET", "/v1/site", SiteInfo)


def session() -> Call[Session]:
    """Return who the caller is, and what the caller may do."""
    return Call("GET", "/v1/session", Session)


def metrics() -> Call[Page[MetricInfo]]:
    """Return the definitions of all metrics."""
    return Call("GET", "/v1/metrics", Page[MetricInfo])


def figures(
    metrics: str | Sequence[str],
    start: When,
    end: When,
    *,
    granularity: Granularity = "day",
    by_place: bool = False,
    places: Sequence[str] = (),
    impute: bool = False,
) -> Call[FigureAnswer]:
    """Return figures of the whole site, with ``by_place`` of each line or zone.

    ``[]`` stands for all metrics. ``places`` restricts the figures to some places; ``impute``
    extrapolates totals over time not watched, and marks them.
    """
    params = {
        "metric": [metrics] if isinstance(metrics, str) else list(metrics),
        "start": start.isoformat(),
        "end": end.isoformat(),
        "granularity": granularity,
        "by_place": by_place,
        "place": list(places),
        "impute": impute,
    }
    return Call("GET", "/v1/figures", FigureAnswer, params)
