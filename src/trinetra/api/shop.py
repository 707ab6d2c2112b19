"""A shop whose figures and insights are read from the database of its installation."""

import weakref
from collections.abc import Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from zoneinfo import ZoneInfo

from trinetra.adapters.clock import SystemClock
from trinetra.api import tables
from trinetra.api.files import load_site
from trinetra.api.loop import LoopThread
from trinetra.api.times import When, span_of
from trinetra.errors import ConfigurationError
from trinetra.events.figures import GRANULARITIES, Granularity, Mark
from trinetra.insights.figures import SITE, FigureQuery
from trinetra.insights.metrics.catalog import METRICS
from trinetra.insights.metrics.definition import Metric
from trinetra.insights.why import Explanation, explain_figure
from trinetra.ports import SiteStore
from trinetra.settings import load_settings
from trinetra.site import Site
from trinetra.telemetry import log_as_library
from trinetra.wiring.figures import figure_reader
from trinetra.wiring.stores import open_written_store

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class Shop:
    """Answers questions from what is on record; nothing in it waits for ``await``.

    ``site`` is a site or the path of a site file. ``store`` is the URL of the database or the path
    of an SQLite file; by default the one that ``TRINETRA_STORE_URL`` or ``TRINETRA_DATA_DIR``
    names, as for the commands. Close it, or use it in a ``with`` statement.

    Raises ConfigurationError if there is no such database, StoreUnavailable if it does not answer.
    Every method raises StoreUnavailable, too.
    """

    def __init__(self, site: Site | str | Path, store: str | Path | None = None) -> None:
        log_as_library()
        self.site = site if isinstance(site, Site) else load_site(site)
        self.zone = ZoneInfo(self.site.timezone)
        """The time zone of the shop's clock."""
        self._connection = _Connection(store)
        self._reader = figure_reader(self.site, self._connection.store, SystemClock())
        self._close = weakref.finalize(self, self._connection.close)
        # At exit the database's own thread has ended before finalizers run; nothing is unwritten.
        self._close.atexit = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        return f"<Shop {self.site.site!r}, {len(self.site.cameras)} cameras>"

    def close(self) -> None:
        """Disconnect from the database; closing twice does nothing."""
        self._close()

    def metrics(self) -> tuple[Metric, ...]:
        """Return the definitions of all metrics, as docs/metrics.md has them."""
        return METRICS

    def figures(
        self,
        metrics: str | Sequence[str],
        start: When,
        end: When,
        *,
        granularity: Granularity = "day",
        by_place: bool = False,
        places: Collection[str] | None = None,
        impute: bool = False,
    ) -> "pa.Table":
        """Return one row per metric, place and time, with ``value`` and ``completeness`` in 0..1.

        A value is null if it is unknown, for example because nothing was watched. ``[]`` stands for
        all metrics. Figures are of the whole site (place ""), with ``by_place`` of each line or
        zone, and of ``places`` alone if given. ``impute`` extrapolates over time not watched, and
        marks such figures. Raises ConfigurationError for an unknown metric or granularity, a
        naive time, an empty span or one that is too long for its granularity.
        """
        if granularity not in GRANULARITIES:
            raise ConfigurationError(
                f"no granularity is called {granularity!r}; there are: {', '.join(GRANULARITIES)}"
            )
        names = [metrics] if isinstance(metrics, str) else list(metrics)
        span = span_of(start, end, self.zone)
        query = FigureQuery(span, names, granularity, by_place, places, impute)
        return tables.figures(self._connection.run(self._reader.read(query)))

    def changes(self, start: When, end: When) -> list[Mark]:
        """Return changes of cameras, models and definitions, from which on figures may differ."""
        span = span_of(start, end, self.zone)
        return self._connection.run(self._connection.store.marks(span))

    def insights(self, kind: str, start: When, end: When) -> "pa.Table":
        """Return one row per insight of one type, in order of ``captured_at``.

        Types and fields are those of docs/insights.md. Customers are those that the customer log
        has now, after merges; withdrawn visits are left out. Raises ConfigurationError for an
        unknown type or a naive time.
        """
        type_ = tables.type_named(kind, tables.INSIGHTS)
        span = span_of(start, end, self.zone)
        found = self._connection.run(self._connection.store.counted([kind], span))
        return tables.events(type_, tables.last_states(found), self.zone.key)

    def why(self, metric: str, start: When, end: When, place: str | None = None) -> Explanation:
        """Return what a figure counts, what it leaves out, and when nothing was watched.

        Raises ConfigurationError for an unknown metric, a naive time or an empty span.
        """
        span = span_of(start, end, self.zone)
        store = self._connection.store
        return self._connection.run(
            explain_figure(self._reader, store, metric, span, place or SITE)
        )


class _Connection:
    """An open store, and the loop on which it is used."""

    def __init__(self, store: str | Path | None) -> None:
        settings = load_settings()
        if store is not None:
            settings = settings.with_store(_url(store))
        self._loop = LoopThread()
        self._stack = AsyncExitStack()
        self._is_open = True
        try:
            opening = self._stack.enter_async_context(open_written_store(settings))
            self.store: SiteStore = self._loop.run(opening)
        except BaseException:
            self._loop.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of the work. Raises ConfigurationError if the shop was closed."""
        if not self._is_open:
            work.close()
            raise ConfigurationError("this shop is closed; make another trinetra.Shop")
        return self._loop.run(work)

    def close(self) -> None:
        """Disconnect."""
        self._is_open = False
        try:
            self._loop.run(self._stack.aclose())
        finally:
            self._loop.close()


def _url(store: str | Path) -> str:
    """Return the URL of a database that is given as such or as a file."""
    text = str(store)
    return text if "://" in text else f"sqlite:///{text}"
