"""The two clients: one waits, one is asynchronous; both execute the same calls."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from trinetra.client import calls
from trinetra.client.calls import Call
from trinetra.client.event_stream import EventLines
from trinetra.client.models import Problem, StreamedEvent
from trinetra.client.problems import ApiProblem, NotAuthorized, Unreachable

T = TypeVar("T")
P = ParamSpec("P")
EVENTS = "/v1/events"
_TIMEOUT_S = 30.0
_SILENCE_S = 60.0
"""Several times the interval of the server's heartbeats."""


def _waiting(make: Callable[P, Call[T]]) -> Callable[Concatenate["Client", P], T]:
    """Return the method of the synchronous client that executes such a request."""

    @functools.wraps(make)
    def method(client: "Client", /, *args: P.args, **options: P.kwargs) -> T:
        return client.call(make(*args, **options))

    return method


def _awaited(make: Callable[P, Call[T]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    """Return the method of the asynchronous client that executes such a request."""

    @functools.wraps(make)
    async def method(client: "AsyncClient", /, *args: P.args, **options: P.kwargs) -> T:
        return await client.call(make(*args, **options))

    return method


class Client:
    """A synchronous client. Close it, or use it in a ``with`` statement.

    ``base_url`` is the address of TRINETRA, ``token`` an API token (Setup, Users and tokens).
    Every method raises NotAuthorized, ApiProblem or Unreachable.
    """

    def __init__(
        self, base_url: str, token: str | None = None, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._http = httpx.Client(base_url=base_url, headers=_headers(token), timeout=timeout_s)

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

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def call(self, call: Call[T]) -> T:
        """Execute a request."""
        try:
            reply = self._http.request(call.method, call.path, **_sent(call))
        except httpx.TransportError as cause:
            raise _unreachable(self._http.base_url, cause) from cause
        return _read(call, reply)

    def events(
        self, types: Sequence[str] = (), *, cameras: Sequence[str] = (), last_id: str | None = None
    ) -> Iterator[StreamedEvent]:
        """Yield events as they happen, after ``last_id`` if it is given, until the server ends it.

        Without ``types`` those that a shop counts, and alerts.
        """
        try:
            with self._http.stream("GET", EVENTS, **_streamed(types, cameras, last_id)) as reply:
                if reply.is_error:
                    reply.read()
                    raise _problem(reply)
                read = EventLines()
                for line in reply.iter_lines():
                    yield from read.take(line)
        except httpx.TransportError as cause:
            raise _unreachable(self._http.base_url, cause) from cause

    site = _waiting(calls.site)
    session = _waiting(calls.session)
    metrics = _waiting(calls.metrics)
    figures = _waiting(calls.figures)
    alerts = _waiting(calls.alerts)
    acknowledge_alert = _waiting(calls.acknowledge_alert)
    alert_deliveries = _waiting(calls.alert_deliveries)
    alert_controls = _waiting(calls.alert_controls)
    mute_alerts = _waiting(calls.mute_alerts)
    arm_alerts = _waiting(calls.arm_alerts)
    users = _waiting(calls.users)
    add_user = _waiting(calls.add_user)
    change_user = _waiting(calls.change_user)
    set_password = _waiting(calls.set_password)
    set_own_password = _waiting(calls.set_own_password)
    tokens = _waiting(calls.tokens)
    create_token = _waiting(calls.create_token)
    revoke_token = _waiting(calls.revoke_token)
    trail = _waiting(calls.trail)
    setup = _waiting(calls.setup)
    check_setup = _waiting(calls.check_setup)
    change_setup = _waiting(calls.change_setup)
    line_evidence = _waiting(calls.line_evidence)
    estimate_distances = _waiting(calls.estimate_distances)
    fit_floor = _waiting(calls.fit_floor)
    find_cameras = _waiting(calls.find_cameras)
    onvif_streams = _waiting(calls.onvif_streams)
    try_camera = _waiting(calls.try_camera)
    audits = _waiting(calls.audits)
    audit = _waiting(calls.audit)
    record_audit = _waiting(calls.record_audit)
    audited_lines = _waiting(calls.audited_lines)
    recordings = _waiting(calls.recordings)
    start_recording = _waiting(calls.start_recording)
    recording = _waiting(calls.recording)
    recorded_picture = _waiting(calls.recorded_picture)
    end_recording = _waiting(calls.end_recording)
    delete_recording = _waiting(calls.delete_recording)
    customers = _waiting(calls.customers)
    customer = _waiting(calls.customer)
    search_by_photo = _waiting(calls.search_by_photo)
    enroll_customer = _waiting(calls.enroll_customer)
    update_customer = _waiting(calls.update_customer)
    merge_customers = _waiting(calls.merge_customers)
    split_customer = _waiting(calls.split_customer)
    merge_candidates = _waiting(calls.merge_candidates)
    dismiss_merge_candidate = _waiting(calls.dismiss_merge_candidate)
    staff_candidates = _waiting(calls.staff_candidates)
    erase_customer = _waiting(calls.erase_customer)
    erasure = _waiting(calls.erasure)
    explanation = _waiting(calls.explanation)
    insight_types = _waiting(calls.insight_types)
    insights = _waiting(calls.insights)
    why = _waiting(calls.why)
    vehicles = _waiting(calls.vehicles)
    regular_vehicles = _waiting(calls.regular_vehicles)
    context = _waiting(calls.context)
    report = _waiting(calls.report)
    export = _waiting(calls.export)
    figure_changes = _waiting(calls.figure_changes)
    cameras = _waiting(calls.cameras)
    snapshot = _waiting(calls.snapshot)
    floor = _waiting(calls.floor)
    queues = _waiting(calls.queues)
    journeys = _waiting(calls.journeys)
    heatmap = _waiting(calls.heatmap)
    health = _waiting(calls.health)


class AsyncClient:
    """An asynchronous client. Close it, or use it in an ``async with`` statement.

    The arguments are those of ``Client``; ``transport`` and ``headers`` let the dashboard use it
    without a network.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout_s: float = _TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={**_headers(token), **(headers or {})},
            timeout=timeout_s,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def call(self, call: Call[T]) -> T:
        """Execute a request."""
        try:
            reply = await self._http.request(call.method, call.path, **_sent(call))
        except httpx.TransportError as cause:
            raise _unreachable(self._http.base_url, cause) from cause
        return _read(call, reply)

    async def events(
        self, types: Sequence[str] = (), *, cameras: Sequence[str] = (), last_id: str | None = None
    ) -> AsyncIterator[StreamedEvent]:
        """Yield events as they happen; see ``Client.events``."""
        options = _streamed(types, cameras, last_id)
        try:
            async with self._http.stream("GET", EVENTS, **options) as reply:
                if reply.is_error:
                    await reply.aread()
                    raise _problem(reply)
                read = EventLines()
                async for line in reply.aiter_lines():
                    for event in read.take(line):
                        yield event
        except httpx.TransportError as cause:
            raise _unreachable(self._http.base_url, cause) from cause

    site = _awaited(calls.site)
    session = _awaited(calls.session)
    metrics = _awaited(calls.metrics)
    figures = _awaited(calls.figures)
    alerts = _awaited(calls.alerts)
    acknowledge_alert = _awaited(calls.acknowledge_alert)
    alert_deliveries = _awaited(calls.alert_deliveries)
    alert_controls = _awaited(calls.alert_controls)
    mute_alerts = _awaited(calls.mute_alerts)
    arm_alerts = _awaited(calls.arm_alerts)
    users = _awaited(calls.users)
    add_user = _awaited(calls.add_user)
    change_user = _awaited(calls.change_user)
    set_password = _awaited(calls.set_password)
    set_own_password = _awaited(calls.set_own_password)
    tokens = _awaited(calls.tokens)
    create_token = _awaited(calls.create_token)
    revoke_token = _awaited(calls.revoke_token)
    trail = _awaited(calls.trail)
    setup = _awaited(calls.setup)
    check_setup = _awaited(calls.check_setup)
    change_setup = _awaited(calls.change_setup)
    line_evidence = _awaited(calls.line_evidence)
    estimate_distances = _awaited(calls.estimate_distances)
    fit_floor = _awaited(calls.fit_floor)
    find_cameras = _awaited(calls.find_cameras)
    onvif_streams = _awaited(calls.onvif_streams)
    try_camera = _awaited(calls.try_camera)
    audits = _awaited(calls.audits)
    audit = _awaited(calls.audit)
    record_audit = _awaited(calls.record_audit)
    audited_lines = _awaited(calls.audited_lines)
    recordings = _awaited(calls.recordings)
    start_recording = _awaited(calls.start_recording)
    recording = _awaited(calls.recording)
    recorded_picture = _awaited(calls.recorded_picture)
    end_recording = _awaited(calls.end_recording)
    delete_recording = _awaited(calls.delete_recording)
    customers = _awaited(calls.customers)
    customer = _awaited(calls.customer)
    search_by_photo = _awaited(calls.search_by_photo)
    enroll_customer = _awaited(calls.enroll_customer)
    update_customer = _awaited(calls.update_customer)
    merge_customers = _awaited(calls.merge_customers)
    split_customer = _awaited(calls.split_customer)
    merge_candidates = _awaited(calls.merge_candidates)
    dismiss_merge_candidate = _awaited(calls.dismiss_merge_candidate)
    staff_candidates = _awaited(calls.staff_candidates)
    erase_customer = _awaited(calls.erase_customer)
    erasure = _awaited(calls.erasure)
    explanation = _awaited(calls.explanation)
    insight_types = _awaited(calls.insight_types)
    insights = _awaited(calls.insights)
    why = _awaited(calls.why)
    vehicles = _awaited(calls.vehicles)
    regular_vehicles = _awaited(calls.regular_vehicles)
    context = _awaited(calls.context)
    report = _awaited(calls.report)
    export = _awaited(calls.export)
    figure_changes = _awaited(calls.figure_changes)
    cameras = _awaited(calls.cameras)
    snapshot = _awaited(calls.snapshot)
    floor = _awaited(calls.floor)
    queues = _awaited(calls.queues)
    journeys = _awaited(calls.journeys)
    heatmap = _awaited(calls.heatmap)
    health = _awaited(calls.health)


def _streamed(types: Sequence[str], cameras: Sequence[str], last_id: str | None) -> dict[str, Any]:
    return {
        "params": {"type": list(types), "camera": list(cameras)},
        "headers": {"Last-Event-ID": last_id} if last_id else {},
        "timeout": httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S),
    }


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _sent(call: Call[Any]) -> dict[str, Any]:
    params = {name: value for name, value in call.params.items() if value is not None}
    body = call.body
    if isinstance(body, BaseModel):
        body = body.model_dump(mode="json", exclude_unset=True)
    sent: dict[str, Any] = {"params": params, "headers": dict(call.headers)}
    if call.photos:
        files = [("photo", (p.name, p.content, "application/octet-stream")) for p in call.photos]
        sent |= {"files": files, "data": dict(call.form)}
    elif body is not None:
        sent["json"] = body
    return sent


def _read(call: Call[T], reply: httpx.Response) -> T:
    if reply.is_error:
        raise _problem(reply)
    if call.answer is type(None):
        return call.answer()
    if call.answer is bytes:
        return TypeAdapter(call.answer).validate_python(reply.content)
    return TypeAdapter(call.answer).validate_json(reply.content)


def _problem(reply: httpx.Response) -> ApiProblem:
    try:
        told = Problem.model_validate_json(reply.content)
    except ValidationError:  # from a proxy in between
        told = Problem(title=reply.reason_phrase, status=reply.status_code, detail=reply.text[:200])
    kind = NotAuthorized if reply.status_code in {401, 403} else ApiProblem
    return kind(reply.status_code, told.detail, told.request_id, told)


def _unreachable(address: httpx.URL, cause: httpx.TransportError) -> Unreachable:
    return Unreachable(f"{address} does not answer: {cause}; is `trinetra run` running there?")
