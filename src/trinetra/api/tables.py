"""Arrow tables for users: pyarrow is imported when the first one is wanted."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from trinetra.errors import ConfigurationError
from trinetra.evaluation.scores import Score, ScoreSheet
from trinetra.events.figures import FigureTable
from trinetra.events.schema import AnyEvent, InsightEvent, Visit
from trinetra.events.visits import is_older
from trinetra.insights.metrics.catalog import METRICS

if TYPE_CHECKING:
    import pyarrow as pa


def _by_tag(union: Any) -> Mapping[str, type[Any]]:
    return {type_.__struct_config__.tag: type_ for type_ in get_args(union)}


INSIGHTS = _by_tag(InsightEvent)
"""The types of insights by name."""
EVENTS = _by_tag(AnyEvent)
"""The types of all events by name."""
_UNITS = {metric.name: metric.unit for metric in METRICS}


class ScoreRow(NamedTuple):
    """One score of a sheet; ``low`` and ``high`` bound the true value with 95 % confidence."""

    name: str
    of: str
    value: float | None
    unit: str
    low: float | None
    high: float | None
    truth: float | None
    found: float | None
    n: int | None
    note: str


def type_named(name: str, types: Mapping[str, type[Any]]) -> type[Any]:
    """Return a type of events by its name. Raises ConfigurationError."""
    if name not in types:
        raise ConfigurationError(
            f"no type of event is called {name!r}; there are: {', '.join(types)}"
        )
    return types[name]


def figures(table: FigureTable) -> "pa.Table":
    """Return one row per figure. Raises ConfigurationError without pyarrow."""
    with _needing_arrow():
        from trinetra.reports.arrow import figures_table  # noqa: PLC0415
    return figures_table(table, _UNITS)


def events(kind: type[Any], found: Iterable[AnyEvent], timezone: str) -> "pa.Table":
    """Return one row per event of one type. Raises ConfigurationError without pyarrow."""
    with _needing_arrow():
        from trinetra.reports.arrow import events_table  # noqa: PLC0415
    return events_table(kind, found, timezone)


def scores(sheet: ScoreSheet) -> "pa.Table":
    """Return one row per score. Raises ConfigurationError without pyarrow."""
    with _needing_arrow():
        from trinetra.reports.arrow import rows_table  # noqa: PLC0415
    return rows_table(ScoreRow, map(_score_row, sheet.scores))


def _score_row(score: Score) -> ScoreRow:
    low, high = score.interval or (None, None)
    return ScoreRow(
        name=score.name,
        of=score.of,
        value=score.value,
        unit=score.unit,
        low=low,
        high=high,
        truth=score.truth,
        found=score.found,
        n=score.n,
        note=score.note,
    )


def last_states(found: Iterable[AnyEvent]) -> list[AnyEvent]:
    """Return each event once, in its last state, without visits that were withdrawn."""
    states: dict[str, AnyEvent] = {}
    for event in found:
        known = states.get(event.event_id)
        if known is None or not _is_older(event, known):
            states[event.event_id] = event
    return [e for e in states.values() if not (isinstance(e, Visit) and e.withdrawn)]


def _is_older(event: AnyEvent, known: AnyEvent) -> bool:
    return (
        isinstance(event, InsightEvent)
        and isinstance(known, InsightEvent)
        and is_older(event, known)
    )


@contextmanager
def _needing_arrow() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as cause:
        raise ConfigurationError(
            f"tables need the package {cause.name}: pip install 'trinetra[arrow]'"
        ) from cause
