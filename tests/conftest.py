"""Fixtures every test may use: where real clips and weights are, and real servers on loopback."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import settings
from sqlalchemy import create_engine
from tests.servers.postgres import find_postgres, running_postgres

from trinetra.adapters.sql.schema import METADATA, REVISION_TABLE
from trinetra.devservers.kafka import KafkaBroker, KafkaProgram, find_kafka
from trinetra.devservers.process import ServerMissing
from trinetra.devservers.redis import RedisServer, find_redis
from trinetra.settings import load_settings

# A slow machine is not a wrong program: no example has a deadline.
settings.register_profile(
    "steady", settings.get_profile(settings.get_current_profile_name()), deadline=None
)
settings.load_profile("steady")

_REQUIRE_SERVERS = "TRINETRA_TEST_REQUIRE_SERVERS"
_MARKERS = {
    "redis_url": "redis",
    "redis_binary": "redis",
    "kafka_servers": "kafka",
    "kafka_program": "kafka",
    "real_dir": "real",
    "plates_dir": "real",
}
_LONGEST_FIRST = ("flows", "real", "web", "faults", "contracts", "unit")
_ABSENT = pytest.StashKey[dict[str, str]]()
"""Servers that tests asked for in vain, and why they were not to be had."""


def _folder(variable: str, what: str) -> Path:
    if variable not in os.environ:
        unavailable(f"{variable} is not set: no {what} here")
    return Path(os.environ[variable])


def unavailable(reason: str, promise: str = "TRINETRA_TEST_REQUIRE_SAMPLES") -> NoReturn:
    """Skip what needs something from outside, but fail where that is promised to be there."""
    if os.environ.get(promise):
        pytest.fail(f"{reason}, and this run must not skip ({promise})")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Undo what a command has configured: its standard error is closed when its test is over."""
    yield
    structlog.reset_defaults()
    for handler in list(logging.root.handlers):
        if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
            logging.root.removeHandler(handler)


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """Return the folder of sample clips."""
    return _folder("TRINETRA_SAMPLES_DIR", "sample clips")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Return the folder of ready-made weights."""
    return _folder("TRINETRA_MODELS_DIR", "weights")


@pytest.fixture(scope="session")
def plates_dir() -> Path:
    """Return the folder of labeled photos of license plates, in one folder per region."""
    return _folder("TRINETRA_PLATES_DIR", "labeled photos of plates")


@pytest.fixture(scope="session")
def faces_dir() -> Path:
    """Return the folder of photos of faces, in one folder per person."""
    return _folder("TRINETRA_TEST_FACES_DIR", "photos of faces")


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """Return the folder of labeled recordings."""
    return _folder("TRINETRA_REAL_DIR", "labeled recordings")


def _absent(config: pytest.Config, server: str, reason: ServerMissing) -> NoReturn:
    config.stash.setdefault(_ABSENT, {})[server] = str(reason)
    unavailable(str(reason), _REQUIRE_SERVERS)


@pytest.fixture(scope="session")
def redis_binary(pytestconfig: pytest.Config) -> Path:
    """Return a Redis server program; skip the test where there is none."""
    try:
        return find_redis(require_real=bool(os.environ.get(_REQUIRE_SERVERS)))
    except ServerMissing as reason:
        _absent(pytestconfig, "Redis", reason)


@pytest.fixture(scope="session")
def kafka_program(pytestconfig: pytest.Config) -> KafkaProgram:
    """Return Apache Kafka; skip the test where there is none."""
    try:
        return find_kafka(load_settings().cache_dir)
    except ServerMissing as reason:
        _absent(pytestconfig, "Kafka", reason)


@pytest.fixture(scope="session")
def redis_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the URL of the run's Redis; whoever uses it keeps to names of their own."""
    if given := os.environ.get("TRINETRA_TEST_REDIS_URL"):
        yield given
        return
    binary = request.getfixturevalue("redis_binary")
    with RedisServer(tmp_path_factory.mktemp("redis"), binary=binary) as server:
        yield server.url


@pytest.fixture(scope="session")
def kafka_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return ``host:port`` of the run's Kafka; whoever uses it keeps to names of their own."""
    if given := os.environ.get("TRINETRA_TEST_KAFKA_SERVERS"):
        yield given
        return
    program = request.getfixturevalue("kafka_program")
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), program) as broker:
        yield broker.address


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[str]:
    """Return the URL of the run's PostgreSQL, or of one of your own; its tables are dropped."""
    if given := os.environ.get("TRINETRA_TEST_POSTGRES_URL"):
        yield given
        return
    try:
        programs = find_postgres()
    except ServerMissing as reason:
        _absent(pytestconfig, "PostgreSQL", reason)
    with running_postgres(programs) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """Return the URL of a database without tables on a real server."""
    engine = create_engine(postgres_server.replace("postgresql://", "postgresql+psycopg://"))
    METADATA.drop_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"drop table if exists {REVISION_TABLE}")
    engine.dispose()
    return postgres_server


@pytest.fixture
def redis_server(redis_binary: Path, tmp_path: Path) -> Iterator[RedisServer]:
    """Return a Redis of the test's own, which it may kill."""
    with RedisServer(tmp_path / "redis", binary=redis_binary) as server:
        yield server


@pytest.fixture
def kafka_broker(kafka_program: KafkaProgram, tmp_path: Path) -> Iterator[KafkaBroker]:
    """Return a Kafka of the test's own, which it may kill."""
    with KafkaBroker(tmp_path / "kafka", kafka_program) as broker:
        yield broker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a server, so that ``-m "not kafka"`` leaves it out.

    What breaks servers on purpose takes minutes: ``make test`` leaves it to ``make faults``.
    Folders come in the order of how long their files take, so that no worker waits for the last
    file of another.
    """
    items.sort(key=_rank)
    for item in items:
        asked = _MARKERS.keys() & getattr(item, "fixturenames", ())
        for fixture in asked:
            item.add_marker(_MARKERS[fixture])
        breaks_servers = asked or "gallery_server" in item.path.name
        if breaks_servers and "faults" in item.path.parts:
            item.add_marker("faults")


def _rank(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say plainly which servers were absent, and how to get them."""
    if absent := config.stash.get(_ABSENT, {}):
        terminalreporter.section("servers that were not there", yellow=True)
        for server, reason in absent.items():
            terminalreporter.line(f"{server}: {reason}")
