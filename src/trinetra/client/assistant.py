"""Tools by which language models read a shop: an MCP server on the REST API.

A model sees what its token may see, and changes nothing. Names of people are offered as a tool only
to tokens that may read customers.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from functools import wraps
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from trinetra import __version__
from trinetra.client.http import AsyncClient
from trinetra.client.models import Comparison, FigureValue, Granularity, PeriodKind
from trinetra.errors import TrinetraError

P = ParamSpec("P")
T = TypeVar("T")
Answer = dict[str, Any]
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_MOST_FIGURES = 2000
_MOST_JOURNEYS = 5000
_INSTRUCTIONS = """\
Answers questions about one shop, counted by its cameras. Call shop first: it tells the time zone,
the present time and the cameras. Call list_metrics before the first question for figures: it tells
the names of metrics and what each counts. A value of null is unknown, not zero; completeness is the
share of the opening hours that was watched, and low and high bound the true value with 95 %
confidence. Say so when a figure is incomplete. Days are by the shop's clock, last days included."""
Day = Annotated[date, Field(description="First day, by the shop's clock, like 2026-11-27.")]
LastDay = Annotated[date, Field(description="Last day, included.")]
Metrics = Annotated[
    list[str], Field(description="Names from list_metrics, like traffic_in; at most ten.")
]
Place = Annotated[
    str, Field(description="One line or zone, like door/main; empty for the whole shop.")
]


def assistant(client: AsyncClient, permissions: frozenset[str]) -> MCPServer[Any]:
    """Return the server; ``permissions`` are those of the client's token."""
    server: MCPServer[Any] = MCPServer(
        "trinetra",
        title="TRINETRA",
        description="Figures of a shop from its cameras.",
        instructions=_INSTRUCTIONS,
        version=__version__,
        log_level="ERROR",
    )
    tools: list[tuple[str, Callable[..., Awaitable[Answer]]]] = [
        ("figures:read", _Shop(client).shop),
        ("figures:read", _Shop(client).cameras),
        ("figures:read", _Figures(client).list_metrics),
        ("figures:read", _Figures(client).figures),
        ("figures:read", _Figures(client).compare),
        ("figures:read", _Figures(client).why),
        ("figures:read", _Shop(client).journeys),
        ("figures:read", _Shop(client).vehicles),
        ("alerts:read", _Shop(client).alerts),
        ("customers:read", _People(client).find_customers),
    ]
    for permission, tool in tools:
        if permission in permissions:
            server.add_tool(_explained(tool), annotations=_READS)
    return server


class _Figures:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list_metrics(self) -> Answer:
        """List all metrics: name, unit, what each counts and what it leaves out."""
        found = await self._client.metrics()
        return {"metrics": [_plain(metric) for metric in found.items]}

    async def figures(
        self,
        metrics: Metrics,
        first_day: Day,
        last_day: LastDay,
        granularity: Annotated[
            Granularity, Field(description="Length of the rows; range: one figure for all days.")
        ] = "range",
        by_place: Annotated[  # noqa: FBT002 - models give arguments by name
            bool, Field(description="Figures of each line and zone instead of the whole shop.")
        ] = False,
    ) -> Answer:
        """Return figures of some days: how many people came, waited, bought, and so on."""
        found = await self._client.figures(
            metrics[:10], first_day, _after(last_day), granularity=granularity, by_place=by_place
        )
        return {
            "timezone": found.timezone,
            "figures": [_figure(figure) for figure in found.figures[:_MOST_FIGURES]],
            "left_out": max(0, len(found.figures) - _MOST_FIGURES),
            "changes_of_the_setup": [_plain(mark) for mark in found.marks],
        }

    async def compare(
        self,
        metrics: Metrics,
        period: Annotated[
            PeriodKind, Field(description="day, week, month; range: give both days.")
        ],
        first_day: Annotated[
            date | None, Field(description="A day of the period; the last one over if left out.")
        ] = None,
        last_day: Annotated[
            date | None, Field(description="Of a range only: its last day.")
        ] = None,
        against: Annotated[
            Comparison, Field(description="last-week is for days; previous is the period before.")
        ] = "previous",
    ) -> Answer:
        """Compare a period with an earlier one: both values and the relative change.

        The change is null if either was not watched well enough to be compared.
        """
        report = await self._client.report(
            period,
            first_day,
            last_day,
            metrics=metrics[:10],
            compare=[against],
            rows_of=metrics[:1],
        )
        return {
            "period": _plain(report.period),
            "compared_with": [_plain(other) for other in report.compared],
            "lines": [
                {
                    "metric": line.metric,
                    "place": line.place,
                    "now": _figure(line.figure),
                    "before": [_figure(figure) for figure in line.compared],
                    "relative_change": list(line.changes),
                }
                for line in report.lines
            ],
            "notes": list(report.notes),
        }

    async def why(
        self,
        metric: Annotated[str, Field(description="A name from list_metrics.")],
        first_day: Day,
        last_day: LastDay,
        place: Place = "",
    ) -> Answer:
        """Explain a figure: what was counted and left out, and when no camera was watching."""
        found = await self._client.why(metric, first_day, _after(last_day), place)
        return {
            "definition": _plain(found.metric),
            "figure": _figure(found.figure),
            "counted": found.counted,
            "left_out": found.left_out,
            "adds_up": found.is_exact,
            "examples": [_plain(one) for one in found.contributions[:20]],
            "left_out_because": dict(Counter(one.why for one in found.omissions)),
            "not_watched": [_plain(gap) for gap in found.gaps],
        }


class _Shop:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def shop(self) -> Answer:
        """Return the shop: name, time zone, the present time and the opening hours."""
        return _plain(await self._client.site(), exclude={"cameras"})

    async def cameras(self) -> Answer:
        """List the cameras with their roles, counting lines and zones, which are places."""
        site = await self._client.site()
        return {
            "cameras": [
                {
                    "id": camera.id,
                    "role": camera.role,
                    "lines": [f"{camera.id}/{line.id}" for line in camera.lines],
                    "zones": [
                        {"place": f"{camera.id}/{zone.id}", "kind": zone.kind}
                        for zone in camera.zones
                    ],
                }
                for camera in site.cameras
            ]
        }

    async def journeys(self, first_day: Day, last_day: LastDay) -> Answer:
        """Return the most frequent ways through the shop: which zones visitors stayed in, in order.

        Only visitors who were recognized across cameras; no one is named.
        """
        ways, read, cursor = Counter[str](), 0, None
        while read < _MOST_JOURNEYS:
            page = await self._client.insights(
                "journey", first_day, _after(last_day), limit=1000, cursor=cursor
            )
            for journey in page.items:
                steps = journey.fields.get("steps", [])
                ways[" > ".join(f"{s['camera_id']}/{s['zone_id']}" for s in steps)] += 1
            read, cursor = read + len(page.items), page.next_cursor
            if cursor is None:
                break
        ranked = ways.most_common(20)
        return {
            "journeys": read,
            "is_complete": cursor is None,
            "ways": [{"zones": way, "visitors": number} for way, number in ranked],
        }

    async def vehicles(self, first_day: Day, last_day: LastDay) -> Answer:
        """Return how many vehicles came, by type, and how long they stayed; no plates."""
        page = await self._client.vehicles(first_day, _after(last_day), limit=1000)
        stays = sorted(visit.stay_s for visit in page.items)
        return {
            "vehicles": len(stays),
            "is_complete": page.next_cursor is None,
            "by_type": dict(Counter(visit.label for visit in page.items)),
            "median_stay_s": stays[len(stays) // 2] if stays else None,
        }

    async def alerts(
        self,
        state: Annotated[
            Literal["open", "acknowledged", "closed", "all"],
            Field(description="open: needs attention now."),
        ] = "open",
    ) -> Answer:
        """List alerts, newest first, each with what to do about it."""
        found = await self._client.alerts(None if state == "all" else state, limit=50)
        told = {"rule", "severity", "state", "title", "message", "advice", "raised_at", "camera_id"}
        return {"alerts": [_plain(alert, include=told) for alert in found.items]}


class _People:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def find_customers(
        self, text: Annotated[str, Field(description="Part of a name or an id.")]
    ) -> Answer:
        """Find enrolled customers by name, with how often and when they were last seen.

        These are personal data: the search is entered in the audit log. Ask only when the question
        is about a person.
        """
        found = await self._client.customers(text=text, limit=5)
        people = [await self._client.customer(one.customer_id) for one in found.items]
        return {"customers": [_plain(person, exclude={"timeline"}) for person in people]}


def _explained(tool: Callable[P, Awaitable[Answer]]) -> Callable[P, Awaitable[Answer]]:
    """Return a tool whose failures tell the model what the API said, and what to do."""

    @wraps(tool)
    async def explained(*args: P.args, **options: P.kwargs) -> Answer:
        try:
            return await tool(*args, **options)
        except TrinetraError as failure:
            raise ToolError(str(failure)) from failure

    return explained


def _after(day: date) -> date:
    return day + timedelta(days=1)


def _figure(figure: FigureValue | None) -> Answer | None:
    if figure is None:
        return None
    told = _plain(figure, exclude={"version", "imputed"})
    return {name: value for name, value in told.items() if value is not None or name == "value"}


def _plain(
    resource: BaseModel, *, include: set[str] | None = None, exclude: set[str] | None = None
) -> Answer:
    return resource.model_dump(mode="json", include=include, exclude=exclude)
