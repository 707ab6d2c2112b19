"""Hosting: ordered drain, first failure wins, correct health status."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import ASGIApp
from structlog.testing import capture_logs
from tests.unit.events.samples import detection, face

from trinetra import __version__, hosting
from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import (
    BufferUnavailable,
    ConfigurationError,
    EngineFailure,
    EventLogUnavailable,
)
from trinetra.hosting import (
    MAX_WATCHERS,
    DrainIncomplete,
    Opened,
    PatientService,
    health_app,
    host,
    serving,
    stop_on_signals,
)
from trinetra.streaming.event_recorder import EventRecorder
from trinetra.streaming.retry import Backoff


class Stage:
    """A service that records its stop; it can end by itself, fail, or never finish."""

    def __init__(self, name: str, journal: list[str], *, ends: bool = False) -> None:
        self.name = name
        self.journal = journal
        self.ends = ends
        self.failure: Exception | None = None
        self.stuck = False
        self.running = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        self.running.set()
        if self.failure:
            raise self.failure
        if not self.ends:
            await stopping.wait()
        if self.stuck:
            await asyncio.Event().wait()
        self.journal.append(self.name)

    def ready(self) -> bool:
        return self.running.is_set()

    def status(self) -> dict[str, int]:
        return {"done": len(self.journal)}


def chain(journal: list[str], *names: str) -> list[Stage]:
    return [Stage(name, journal) for name in names]


async def test_services_stop_one_after_the_other_in_the_order_of_the_data() -> None:
    journal: list[str] = []
    stop = asyncio.Event()
    stop.set()
    await host(chain(journal, "frames", "detections", "identities"), stop=stop, drain_deadline_s=5)
    assert journal == ["frames", "detections", "identities"]


async def test_a_process_logs_that_it_started_became_ready_and_stopped() -> None:
    stages, stop = chain([], "frames", "detections"), asyncio.Event()
    with capture_logs() as lines:
        running = asyncio.create_task(host(stages, stop=stop, drain_deadline_s=5))
        while "ready" not in {line["event"] for line in lines}:  # noqa: ASYNC110 -- of the log
            await asyncio.sleep(0.001)
        stop.set()
        await running
    told = [(line["event"], line.get("services")) for line in lines if line["event"] != "draining"]
    names = ["frames", "detections"]
    assert told == [("started", names), ("ready", names), ("stopped", names)]
    assert {line["version"] for line in lines if "version" in line} == {__version__}


async def test_the_others_drain_when_the_first_has_nothing_more_to_read() -> None:
    journal: list[str] = []
    stages = chain(journal, "frames", "detections")
    stages[0].ends = True
    await host(stages, stop=asyncio.Event(), drain_deadline_s=5)
    assert journal == ["frames", "detections"]


async def test_a_service_that_does_not_finish_is_named_and_the_rest_ends_too() -> None:
    stages = chain([], "frames", "detections", "identities")
    stages[1].stuck = True
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(DrainIncomplete, match="detections, identities did not finish"):
        await host(stages, stop=stop, drain_deadline_s=0.01)


async def test_the_first_failure_ends_all_and_is_raised_as_it_is() -> None:
    stages = chain([], "frames", "detections")
    stages[1].failure = EngineFailure("the network is broken")
    with pytest.raises(EngineFailure, match="the network is broken"):
        await host(stages, stop=asyncio.Event(), drain_deadline_s=5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_asks_for_a_drain(number: signal.Signals) -> None:
    journal: list[str] = []
    stages = chain(journal, "frames", "detections")
    with stop_on_signals() as stop:
        running = asyncio.create_task(host(stages, stop=stop, drain_deadline_s=5))
        await stages[1].running.wait()
        os.kill(os.getpid(), number)
        await running
    assert journal == ["frames", "detections"]


async def test_a_second_signal_interrupts_a_drain_that_hangs() -> None:
    stages = chain([], "frames")
    stages[0].stuck = True

    async def run() -> None:
        with stop_on_signals() as stop:
            running = asyncio.create_task(host(stages, stop=stop, drain_deadline_s=600))
            await stages[0].running.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await stop.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await running

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(run())


async def test_the_health_page_is_ready_only_when_every_service_is() -> None:
    stages = chain([], "frames", "detections")
    async with (
        serving(health_app(stages), address="127.0.0.1", port=0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/health/live")).json() == {"status": "live"}
        assert (await client.get("/health/ready")).status_code == 503
        for stage in stages:
            stage.running.set()
        ready = await client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json()["services"]["frames"] == {"ready": True, "detail": {"done": 0}}
        metrics = (await client.get("/metrics")).text
    assert "trinetra_frames_dropped" in metrics


async def test_a_port_in_use_is_a_configuration_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"):
            async with serving(health_app([]), address="127.0.0.1", port=port):
                pass


def client_of(app: ASGIApp, host: str = "127.0.0.1") -> httpx.AsyncClient:
    """Return a client of an app that is asked for under a host name."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


@pytest.mark.parametrize(
    ("host", "code"),
    [
        *(("localhost:8000", 200), ("127.0.0.1", 200), ("10.0.0.7:8003", 200), ("[::1]:8000", 200)),
        *(("shop-pc", 200), ("SHOP-PC.:8000", 200), ("evil.example", 421)),
        *(("127.0.0.1.evil.example", 421), ("localhost.evil.example:8000", 421)),
    ],
)
@pytest.mark.parametrize("page", ["/health/live", "/health/ready", "/metrics", "/events"])
async def test_a_name_that_is_not_this_machines_is_refused(host: str, code: int, page: str) -> None:
    async def watch(_last: int) -> AsyncIterator[bytes]:
        yield b"{}"

    app = health_app([], watch, allowed_hosts=["shop-pc"])
    async with client_of(app) as client:
        answer = await client.get(page, headers={"Host": host})
    assert answer.status_code == code
    assert ("TRINETRA_ALLOWED_HOSTS" in answer.text) is (code == 421)


async def test_watchers_are_bounded_and_one_that_leaves_makes_room() -> None:
    app = health_app([], EventRecorder(MemoryEventLog(SystemClock())).recent.watch)
    url = "/events"
    async with (
        serving(app, address="127.0.0.1", port=0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        async with contextlib.AsyncExitStack() as watching:
            for _ in range(MAX_WATCHERS):
                await watching.enter_async_context(client.stream("GET", url))
            refused = await client.get(url)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        while True:  # the server learns of a closed connection by itself
            async with client.stream("GET", url) as answer:
                if answer.status_code == 200:
                    break


async def test_the_health_page_asks_a_server_once_for_many_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosting, "READY_CACHE_S", 3600.0)
    asked, answers = 0, asyncio.Event()

    class Slow:
        name = "gallery"

        async def check(self) -> str:
            nonlocal asked
            asked += 1
            await answers.wait()
            return "here"

    app = health_app([], dependencies=lambda: [Slow()])
    async with client_of(app) as client:
        several = [asyncio.create_task(client.get("/health/ready")) for _ in range(20)]
        while not asked:  # noqa: ASYNC110 - it is asked in the course of the requests
            await asyncio.sleep(0)
        answers.set()
        pages = await asyncio.gather(*several)
        pages.append(await client.get("/health/ready"))
    assert {page.json()["dependencies"]["gallery"]["detail"] for page in pages} == {"here"}
    assert asked == 1


async def test_watched_events_carry_no_embeddings() -> None:
    recorder = EventRecorder(MemoryEventLog(SystemClock()))
    app = health_app([], recorder.recent.watch)
    recorder.recent.add(detection(faces=(face(),)))
    async with (
        serving(app, address="127.0.0.1", port=0) as port,
        httpx.AsyncClient() as client,
        client.stream("GET", f"http://127.0.0.1:{port}/events?last=10") as reply,
    ):
        line = await anext(reply.aiter_lines())
    assert '"det_1"' in line
    assert '"embedding"' not in line


class Needs:
    """An opening whose server is unavailable for a while."""

    def __init__(self, stage: Stage, failures: list[Exception]) -> None:
        self.stage = stage
        self.failures = failures
        self.closed = False
        self.tried = asyncio.Event()

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[Opened]:
        self.tried.set()
        if self.failures:
            raise self.failures.pop(0)
        yield Opened(self.stage)
        self.closed = True


async def test_a_service_waits_for_its_servers_and_says_for_which() -> None:
    away = [BufferUnavailable("redis is away"), EventLogUnavailable("kafka is away")]
    needs = Needs(Stage("worker", [], ends=True), list(away))
    service = PatientService("worker", needs, SystemClock(), backoff=Backoff(0.001))
    assert (service.ready(), service.name) == (False, "worker")
    with capture_logs() as lines:
        await service.run(asyncio.Event())
    assert (needs.failures, needs.closed) == ([], True)
    assert [(line["event"], line.get("cause")) for line in lines[:2]] == [
        ("a server of worker unavailable", "redis is away"),
        ("a server of worker available again", None),
    ]


async def test_a_service_that_waits_for_a_server_can_be_stopped() -> None:
    stop = asyncio.Event()
    needs = Needs(Stage("worker", []), [BufferUnavailable("away")] * 1000)
    service = PatientService("worker", needs, SystemClock(), backoff=Backoff(60, 60))
    running = asyncio.create_task(service.run(stop))
    await needs.tried.wait()
    assert service.status() == {"waiting": "away"}
    stop.set()
    await running
    assert not service.ready()


async def test_what_waiting_cannot_mend_ends_the_service() -> None:
    needs = Needs(Stage("worker", []), [ConfigurationError("wrong password")])
    with pytest.raises(ConfigurationError):
        await PatientService("worker", needs, SystemClock()).run(asyncio.Event())


class Server:
    def __init__(self, name: str, fault: Exception | None = None) -> None:
        self.name = name
        self.fault = fault

    async def check(self) -> str:
        if self.fault:
            raise self.fault
        return "version 7"


async def test_the_health_page_tells_which_server_is_away_and_no_password() -> None:
    servers = [
        Server("frame buffer"),
        Server("event log", EventLogUnavailable("kafka://shop:hunter2@127.0.0.1 is away")),
    ]
    app = health_app([], dependencies=lambda: servers)
    async with serving(app, address="127.0.0.1", port=0) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/health/ready")
    assert answer.json()["dependencies"] == {
        "frame buffer": {"up": True, "detail": "version 7"},
        "event log": {"up": False, "detail": "kafka://***@127.0.0.1 is away"},
    }


async def test_a_service_that_is_being_opened_can_be_stopped() -> None:
    opening = asyncio.Event()

    @contextlib.asynccontextmanager
    async def for_ever() -> AsyncIterator[Opened]:
        opening.set()
        await asyncio.Event().wait()
        yield Opened(Stage("worker", []))

    stop = asyncio.Event()
    running = asyncio.create_task(PatientService("worker", for_ever, SystemClock()).run(stop))
    await opening.wait()
    stop.set()
    await running


async def test_a_server_that_refuses_the_health_page_is_shown_as_down() -> None:
    refusing = Server("event log", ConfigurationError("no rights"))
    app = health_app([], dependencies=lambda: [refusing])
    async with serving(app, address="127.0.0.1", port=0) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/health/ready")
    assert answer.json()["dependencies"]["event log"] == {"up": False, "detail": "no rights"}
