"""Runs services: signals, one task group, an ordered drain with a deadline, health and metrics.

Services are listed in the order of the data flow. When a stop is requested, or the first service
has no more input, each service in turn stops its intake, finishes its work and returns, so that no
data is lost between them.
"""

import asyncio
import contextlib
import gc
import ipaddress
import os
import secrets
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import msgspec
import uvicorn
from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from trinetra import __version__
from trinetra.errors import (
    ConfigurationError,
    ServerUnavailable,
    StorageFull,
    TrinetraError,
)
from trinetra.ports import Clock
from trinetra.redaction import mask_urls
from trinetra.streaming.retry import Backoff, OutageTracker, Retrier, StoppedError
from trinetra.telemetry import SERVICE_READY, exposition, get_logger

log = get_logger("hosting")
App = ASGIApp
"""An application that ``serving`` can serve."""
READY_CACHE_S = 1.0
"""Maximum age of the state of servers on the health page, in seconds."""
MAX_WATCHERS = 16
"""Maximum number of clients that watch events at the same time."""
_CHECK_S = 1.0
_READY_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Service(Protocol):
    """A stage of the platform that runs until it is told to stop."""

    @property
    def name(self) -> str:
        """The service's name in logs, metrics and on the health page."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until ``stopping`` is set or the input has ended, then drain and return."""

    def ready(self) -> bool:
        """Return whether the service is working."""

    def status(self) -> object:
        """Return details for the health page: plain values, or dataclasses of them."""


@runtime_checkable
class Dependency(Protocol):
    """A server that a service needs."""

    @property
    def name(self) -> str:
        """The server's purpose, on the health page."""

    async def check(self) -> str:
        """Return what answered. Raises ServerUnavailable if nothing does."""


class Reply(Protocol):
    """An answer to a request: an HTTP status and a JSON document, a problem for 400 and more."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def document(self) -> Mapping[str, Any]:
        """JSON document; a problem (RFC 9457) if the status is 400 or more."""


class ReceiptTaker(Protocol):
    """Takes the receipts that points of sale post."""

    async def accept(self, body: bytes) -> Reply:
        """Take the receipts in a JSON document, all or none. Raises ServerUnavailable."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A service with its resources open, and the servers among them.

    ``receipts`` is set if this process takes receipts.
    """

    service: Service
    dependencies: tuple[Dependency, ...] = ()
    receipts: ReceiptTaker | None = None


class PatientService:
    """A service that waits until its servers are available, alive but not ready.

    This allows processes to start in any order. Errors that waiting cannot resolve are raised at
    once.
    """

    def __init__(
        self,
        name: str,
        opening: Callable[[], AbstractAsyncContextManager[Opened]],
        clock: Clock,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._name = name
        self._opening = opening
        self._clock = clock
        self._backoff = backoff
        self._outage = OutageTracker(clock, log, f"a server of {name}")
        self._opened: Opened | None = None

    @property
    def name(self) -> str:
        """Name of the wrapped service."""
        return self._name

    def ready(self) -> bool:
        """Return whether the service is open and ready."""
        return self._opened is not None and self._opened.service.ready()

    def status(self) -> object:
        """Return the service's status, or what it is waiting for."""
        return (
            self._opened.service.status()
            if self._opened
            else {"waiting": self._outage.cause or "opening its adapters"}
        )

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """The servers of the service, once it is open."""
        return self._opened.dependencies if self._opened else ()

    @property
    def receipts(self) -> ReceiptTaker | None:
        """Takes receipts, once the service is open."""
        return self._opened.receipts if self._opened else None

    async def run(self, stopping: asyncio.Event) -> None:
        """Open the service as soon as its servers answer, then run it.

        While it is being opened there is no work to finish, so a stop cancels the opening at once.
        """
        serving = asyncio.ensure_future(self._serve(stopping))
        stop_requested = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait({serving, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
            if self._opened is None:
                serving.cancel()
            await asyncio.wait({serving})
        finally:
            serving.cancel()
            stop_requested.cancel()
            await asyncio.gather(serving, stop_requested, return_exceptions=True)
        if not serving.cancelled():
            serving.result()

    async def _serve(self, stopping: asyncio.Event) -> None:
        async with contextlib.AsyncExitStack() as stack:
            self._opened = await self._open(stack, stopping)
            if self._opened is not None:
                await self._opened.service.run(stopping)

    async def _open(
        self, stack: contextlib.AsyncExitStack, stopping: asyncio.Event
    ) -> Opened | None:
        if stopping.is_set():
            return None
        retrier = Retrier(self._outage, self._clock, stopping, backoff=self._backoff)
        try:
            return await retrier.call(lambda: stack.enter_async_context(self._opening()))
        except StoppedError:
            return None


class DrainIncomplete(TrinetraError):
    """Services did not finish within the drain deadline and were cancelled."""


async def host(
    services: Sequence[Service],
    *,
    stop: asyncio.Event,
    drain_deadline_s: float,
    owns_process: bool = False,
) -> None:
    """Run the services until ``stop`` is set or the first one ends, then drain them in order.

    Logs ``started``, ``ready`` once every service is, and ``stopped``. The first failure of any
    service cancels the others and is raised unchanged. If this ``owns_process``, the memory that
    is in use when all are ready is kept. Raises DrainIncomplete if the deadline passes.
    """
    stoppings = [asyncio.Event() for _ in services]
    names = [service.name for service in services]
    log.info("started", version=__version__, services=names)
    try:
        async with asyncio.TaskGroup() as group, _telling_ready(services, owns_process):
            tasks = [
                group.create_task(service.run(stopping), name=service.name)
                for service, stopping in zip(services, stoppings, strict=True)
            ]
            await _until(stop, tasks[0])
            log.info("draining", deadline_s=drain_deadline_s)
            await _drain(tasks, stoppings, drain_deadline_s)
    except BaseExceptionGroup as failures:
        raise _first(failures) from failures
    finally:
        log.info("stopped", version=__version__, services=names)


@contextlib.asynccontextmanager
async def _telling_ready(
    services: Sequence[Service],
    owns_process: bool,  # noqa: FBT001
) -> AsyncIterator[None]:
    """Log once, within the context, that every service is ready."""

    async def tell() -> None:
        while not all(service.ready() for service in services):  # noqa: ASYNC110  no service tells
            await asyncio.sleep(_READY_S)
        if owns_process:
            keep_memory()
        log.info("ready", version=__version__, services=[service.name for service in services])

    telling = asyncio.create_task(tell(), name="ready")
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


def keep_memory() -> None:
    """Keep all objects that are in use until the process ends.

    Garbage collection then leaves them alone. A full one took 0.15 s with those of a web process,
    in which nothing else could happen.
    """
    gc.collect()
    gc.freeze()


async def _until(stop: asyncio.Event, first: asyncio.Task[None]) -> None:
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({stopped, first}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()


async def _drain(
    tasks: Sequence[asyncio.Task[None]], stoppings: Sequence[asyncio.Event], deadline_s: float
) -> None:
    try:
        async with asyncio.timeout(deadline_s):
            # In order: a service may stop its intake only when the one before it has finished.
            for task, stopping in zip(tasks, stoppings, strict=True):
                stopping.set()
                await asyncio.wait({task})
    except TimeoutError:
        late = [task.get_name() for task in tasks if not task.done()]
        raise DrainIncomplete(
            f"{', '.join(late)} did not finish within {deadline_s:g} s; records in memory are "
            "lost, records in a log are read again. TRINETRA_DRAIN_DEADLINE_S gives more time"
        ) from None


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception that is not a group, in nested groups."""
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


@contextlib.contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """Provide an event that SIGINT and SIGTERM set; every further signal cancels this task."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    main = asyncio.current_task()

    def on_signal() -> None:
        if stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    before = [signal.getsignal(number) for number in _SIGNALS]
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            loop.remove_signal_handler(number)  # which also discards the previous handler
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Ignore SIGINT and SIGTERM from now on."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def health_app(
    services: Sequence[Service],
    watch: Callable[[int], AsyncIterator[bytes]] | None = None,
    dependencies: Callable[[], Sequence[Dependency]] = tuple,
    allowed_hosts: Collection[str] = (),
    transactions: "TransactionDoor | None" = None,
) -> ASGIApp:
    """Return the app with ``/health/live``, ``/health/ready`` and ``/metrics``.

    With ``watch``, which yields the last n events and then every new one, it also has ``/events``,
    and with ``transactions`` also ``POST /v1/transactions``.
    A service itself determines whether it is ready; its dependencies are only shown. Requests for
    another host than ``allowed_hosts`` are refused; see AllowedHosts.
    """
    app = bare_health_app(services, watch, dependencies)
    if transactions is not None:
        app.post("/v1/transactions")(transactions.post)
    return AllowedHosts(app, allowed_hosts)


def bare_health_app(
    services: Sequence[Service],
    watch: Callable[[int], AsyncIterator[bytes]] | None = None,
    dependencies: Callable[[], Sequence[Dependency]] = tuple,
) -> FastAPI:
    """Return the app of ``health_app`` for use inside another one, which checks hosts itself."""
    app = FastAPI(title="TRINETRA health", docs_url=None, redoc_url=None, openapi_url=None)
    checks = _DependencyChecks(dependencies)

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready")
    async def ready() -> Response:
        needed = await checks.read()
        detail = {s.name: {"ready": s.ready(), "detail": s.status()} for s in services}
        all_ready = all(service.ready() for service in services)
        state = "ready" if all_ready else "not ready"
        page = msgspec.json.encode({"status": state, "services": detail, "dependencies": needed})
        status_code = 200 if all_ready else 503
        return Response(page, status_code=status_code, media_type="application/json")

    @app.get("/metrics")
    def metrics() -> Response:
        for service in services:
            SERVICE_READY.labels(service.name).set(service.ready())
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    if watch is not None:
        watchers = _Watchers(watch)

        @app.get("/events")
        def events(last: Annotated[int, Query(ge=0, le=1000)] = 0) -> Response:
            return watchers.answer(last)

    return app


MAX_TRANSACTIONS_BYTES = 4 << 20
"""Maximum size of a request with receipts; a thousand usual ones take a tenth of it."""


class TransactionDoor:
    """``POST /v1/transactions``: checks token, type and size, and passes the body on.

    The content type must be JSON: a web page can send any other type to this machine on behalf of
    its reader without asking. Without a token nothing is accepted.
    """

    def __init__(self, taker: Callable[[], ReceiptTaker | None], token: str | None) -> None:
        self._taker = taker
        self._token = token

    async def post(self, request: Request) -> Response:
        """Answer a request with receipts."""
        if refusal := self._refusal(request):
            return refusal
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_TRANSACTIONS_BYTES:
                return _problem(
                    413, f"more than {MAX_TRANSACTIONS_BYTES} bytes; send fewer at once"
                )
        taker = self._taker()
        if taker is None:
            return _problem(503, "the service is starting; send it again", retry_after_s=5)
        try:
            answer = await taker.accept(bytes(body))
        except (ServerUnavailable, StorageFull) as cause:
            log.warning("receipts not stored", cause=str(cause))
            return _problem(
                503, "the receipts could not be stored; send them again", retry_after_s=5
            )
        return _json(answer.status, answer.document)

    def _refusal(self, request: Request) -> Response | None:
        if self._token is None:
            return _problem(403, "set TRINETRA_TRANSACTIONS_TOKEN to accept receipts")
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            refusal = _problem(401, "send the token: Authorization: Bearer TOKEN")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return _problem(415, "send Content-Type: application/json")
        return None


def _problem(status: int, detail: str, *, retry_after_s: int | None = None) -> Response:
    """Return a problem in the form of RFC 9457."""
    title = HTTPStatus(status).phrase
    answer = _json(
        status, {"type": "about:blank", "title": title, "status": status, "detail": detail}
    )
    if retry_after_s is not None:
        answer.headers["Retry-After"] = str(retry_after_s)
    return answer


def _json(status: int, document: Mapping[str, Any]) -> Response:
    kind = "application/problem+json" if status >= HTTPStatus.BAD_REQUEST else "application/json"
    return Response(msgspec.json.encode(document), status_code=status, media_type=kind)


class AllowedHosts:
    """Refuses requests whose Host header is a name that is not this server's.

    A web page could otherwise read identities from the visitor's own machine or network: it lets
    its own name resolve to 127.0.0.1 (DNS rebinding). The browser then sends that name, never an
    address, so that requests for an IP address are allowed. Prometheus sends addresses too, if it
    finds its targets by DNS or as pods.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        """Allow ``names`` besides localhost, and every IP address."""
        self._app = app
        self._names = {"localhost", *(name.strip().lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it with 421."""
        hosts = [
            value.decode("latin-1") for key, value in scope.get("headers", ()) if key == b"host"
        ]
        if all(map(self._is_allowed, hosts)):
            await self._app(scope, receive, send)
            return
        refusal = "this name is not allowed: add it to TRINETRA_ALLOWED_HOSTS, or use the address\n"
        await PlainTextResponse(refusal, status_code=421)(scope, receive, send)

    def _is_allowed(self, host: str) -> bool:
        name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower().removesuffix(".") in self._names
        return True


class _Watchers:
    """Streams of events, bounded in number: each holds memory and costs time for every event."""

    def __init__(self, watch: Callable[[int], AsyncIterator[bytes]]) -> None:
        self._watch = watch
        self._open = 0

    def answer(self, last: int) -> Response:
        if self._open >= MAX_WATCHERS:
            return PlainTextResponse(
                f"{MAX_WATCHERS} watchers of events are connected already\n",
                status_code=503,
                headers={"Retry-After": "10"},
            )
        return StreamingResponse(self._stream(last), media_type="application/x-ndjson")

    async def _stream(self, last: int) -> AsyncIterator[bytes]:
        if self._open >= MAX_WATCHERS:  # others were answered before this one began
            return
        self._open += 1
        try:
            async for line in self._watch(last):
                yield line
        finally:
            self._open -= 1


class _DependencyChecks:
    """Answers of the dependencies, at most ``READY_CACHE_S`` old, asked once at a time.

    Otherwise whoever reads the page, or several probes together, could load the servers.
    """

    def __init__(self, dependencies: Callable[[], Sequence[Dependency]]) -> None:
        self._dependencies = dependencies
        self._task: asyncio.Task[dict[str, dict[str, object]]] | None = None
        self._fresh_until_s = 0.0

    async def read(self) -> dict[str, dict[str, object]]:
        now_s = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now_s >= self._fresh_until_s):
            self._task = asyncio.create_task(self._check(), name="health-checks")
        return await asyncio.shield(self._task)

    async def _check(self) -> dict[str, dict[str, object]]:
        answers = dict(await asyncio.gather(*map(_checked, self._dependencies())))
        self._fresh_until_s = asyncio.get_running_loop().time() + READY_CACHE_S
        return answers


async def _checked(dependency: Dependency) -> tuple[str, dict[str, object]]:
    """Return a dependency's name and whether it answers, within a short timeout."""
    try:
        async with asyncio.timeout(_CHECK_S):
            return dependency.name, {"up": True, "detail": await dependency.check()}
    except TimeoutError:
        return dependency.name, {"up": False, "detail": f"no answer within {_CHECK_S:g} s"}
    except TrinetraError as cause:
        return dependency.name, {"up": False, "detail": mask_urls(str(cause))}


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to ``stop_on_signals``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Encryption:
    """TLS certificate chain and private key, in PEM."""

    cert_file: Path
    key_file: Path


@contextlib.asynccontextmanager
async def serving(
    app: Any,
    *,
    address: str,
    port: int,
    encryption: Encryption | None = None,
    trusted_proxies: Sequence[str] = (),
) -> AsyncIterator[int]:
    """Serve an app within the context; yields the port, a free one for port 0.

    Only ``trusted_proxies`` (addresses or networks) are believed what they say of the client in
    X-Forwarded-For and X-Forwarded-Proto. Raises ConfigurationError if the address cannot be bound
    or the certificate cannot be used.
    """
    context = None if encryption is None else _tls_context(encryption)
    listener = _bind(address, port)
    bound = int(listener.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_config=None,  # uvicorn's default needs standard output, which a service may lack
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        server_header=False,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )
    server = _QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        yield bound
    finally:
        server.should_exit = True
        await task
        listener.close()


def _tls_context(encryption: Encryption) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(encryption.cert_file, encryption.key_file)
    except OSError as cause:  # ssl.SSLError is one
        raise ConfigurationError(
            f"the certificate {encryption.cert_file} with the key {encryption.key_file} cannot be "
            f"used: {cause.strerror or cause}; TRINETRA_TLS_CERT_FILE and TRINETRA_TLS_KEY_FILE "
            "name PEM files that belong together"
        ) from cause
    return context


def _bind(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port), backlog=64)
    except OSError as cause:
        raise ConfigurationError(
            f"cannot listen on {address}:{port}: {_reason(cause)}; stop what uses it, or choose "
            "another with TRINETRA_HOST and the service's TRINETRA_*_PORT "
            "(TRINETRA_EMBEDDED_PORT where all run in one process)"
        ) from cause


def _reason(cause: OSError) -> str:
    """Return the system's error message, without the address that ``create_server`` adds."""
    return os.strerror(cause.errno).lower() if cause.errno and cause.errno > 0 else str(cause)
