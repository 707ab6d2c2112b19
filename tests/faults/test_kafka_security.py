"""Logging in to a real Kafka by passwords and certificates, rightly and wrongly."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import unavailable
from tests.faults.kafka_copier import SOURCE, numbered
from tests.servers.kafka_logs import SITE_ID

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.devservers.kafka import KafkaBroker, KafkaProgram
from trinetra.devservers.network import HOST, free_port
from trinetra.errors import ConfigurationError, EventLogUnavailable, TrinetraError

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
PASSWORD = "correct-horse-battery"
STORE_PASSWORD = "changeit-please"
MODULES = "org.apache.kafka.common.security"
TOPICS = (SOURCE,)


class Doors:
    """A broker with a door of each kind, and what one needs to pass them."""

    def __init__(self, ports: dict[str, int], ca_file: Path) -> None:
        self._ports = ports
        self._ca_file = ca_file

    def login(self, security: str, mechanism: str = "SCRAM-SHA-512") -> KafkaConnection:
        door = {"PLAIN": "PLAIN_DOOR"}.get(mechanism, security.upper())
        return KafkaConnection(
            f"{HOST}:{self._ports[door]}",
            security=security,
            mechanism=mechanism,
            user="shop",
            password=PASSWORD,
            ca_file=self._ca_file,
        )


def key_store(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a key store with a new key for loopback, and its certificate in PEM."""
    keytool = shutil.which("keytool")
    if keytool is None:
        unavailable("keytool, which comes with Java, is not here", "TRINETRA_TEST_REQUIRE_SERVERS")
    store, certificate = folder / f"{name}.p12", folder / f"{name}.pem"
    common = ("-alias", "broker", "-keystore", str(store), "-storepass", STORE_PASSWORD)
    made = ("-keyalg", "EC", "-dname", "CN=broker", "-ext", f"SAN=IP:{HOST}", "-validity", "2")
    subprocess.run([keytool, "-genkeypair", *common, *made], check=True, capture_output=True)
    exported = ("-exportcert", "-rfc", "-file", str(certificate))
    subprocess.run([keytool, *exported, *common], check=True, capture_output=True)
    return store, certificate


def settings_of(ports: dict[str, int], store: Path) -> dict[str, str]:
    scram = f"{MODULES}.scram.ScramLoginModule required;"
    plain = f'{MODULES}.plain.PlainLoginModule required user_shop="{PASSWORD}";'
    kinds = {name: name for name in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")}
    protocols = {"CONTROLLER": "PLAINTEXT", **kinds, "PLAIN_DOOR": "SASL_PLAINTEXT"}
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
    advertised = ",".join(
        f"{name}://{HOST}:{port}" for name, port in ports.items() if name != "CONTROLLER"
    )
    return {
        "listeners": listeners,
        "advertised.listeners": advertised,
        "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
        "listener.name.plain_door.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain_door.plain.sasl.jaas.config": plain,
        "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(store),
        "ssl.keystore.password": STORE_PASSWORD,
        "ssl.key.password": STORE_PASSWORD,
    }


@contextmanager
def broker_with_doors(folder: Path, program: KafkaProgram) -> Iterator[Doors]:
    store, certificate = key_store(folder, "broker")
    settings = {"sasl.enabled.mechanisms": "SCRAM-SHA-512"}
    broker = KafkaBroker(folder / "kafka", program, settings=settings)
    names = ("SSL", "SASL_PLAINTEXT", "SASL_SSL", "PLAIN_DOOR")
    ports = {"PLAINTEXT": broker.port, "CONTROLLER": broker._controller_port}
    ports |= {name: free_port() for name in names}
    settings.update(settings_of(ports, store))
    with broker:
        add_user(program, broker.address)
        yield Doors(ports, certificate)


def add_user(program: KafkaProgram, servers: str) -> None:
    secret = f"SCRAM-SHA-512=[iterations=4096,password={PASSWORD}]"
    command = program.run(
        "kafka.admin.ConfigCommand",
        *("--bootstrap-server", servers, "--alter", "--entity-type", "users"),
        *("--entity-name", "shop", "--add-config", secret),
        heap_mb=128,
        jvm=(),
    )
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def doors(kafka_program: KafkaProgram, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with broker_with_doors(tmp_path_factory.mktemp("doors"), kafka_program) as doors:
        yield doors


async def works(connection: KafkaConnection, namespace: str) -> bool:
    """Create topics, append, read and commit."""
    clock = SystemClock()
    await create_topics(connection, Layout(SITE_ID, namespace, TOPICS), clock)
    async with KafkaEventLog.open(
        connection,
        instance="guest",
        site_id=SITE_ID,
        clock=clock,
        namespace=namespace,
        topics=TOPICS,
    ) as log:
        await log.append(numbered(3))
        reader = await log.subscribe(TOPICS, "guests")
        seen = 0
        while seen < 3:
            seen += len(await reader.poll(max_records=10, wait_s=1))
        return True


async def refusal(connection: KafkaConnection) -> TrinetraError:
    with pytest.raises(TrinetraError) as refused:
        await works(connection, "never")
    return refused.value


@pytest.mark.parametrize(
    ("security", "mechanism"),
    [
        ("ssl", "SCRAM-SHA-512"),
        ("sasl_plaintext", "SCRAM-SHA-512"),
        ("sasl_plaintext", "PLAIN"),
        ("sasl_ssl", "SCRAM-SHA-512"),
    ],
)
async def test_every_kind_of_login_reads_and_writes(
    doors: Doors, security: str, mechanism: str
) -> None:
    namespace = f"{security}-{mechanism.lower()}".replace("_", "-")
    assert await works(doors.login(security, mechanism), namespace)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_a_wrong_password_is_refused_by_name_of_the_setting_and_never_shown(
    doors: Doors, mechanism: str
) -> None:
    wrong = replace(doors.login("sasl_plaintext", mechanism), password="wrong-horse")
    failure = await refusal(wrong)
    assert type(failure) is ConfigurationError
    assert "TRINETRA_KAFKA_USER, _PASSWORD" in str(failure)
    assert "wrong-horse" not in f"{failure}{failure.__cause__}{wrong}"


async def test_a_certificate_of_an_unknown_authority_is_refused(
    doors: Doors, tmp_path: Path
) -> None:
    _, other = key_store(tmp_path, "other")
    failure = await refusal(replace(doors.login("ssl"), ca_file=other))
    assert type(failure) is ConfigurationError
    assert "TRINETRA_KAFKA_CA_FILE" in str(failure)


async def test_a_mechanism_that_the_broker_does_not_offer_is_named(doors: Doors) -> None:
    failure = await refusal(replace(doors.login("sasl_plaintext"), mechanism="PLAIN"))
    assert type(failure) is ConfigurationError
    assert "TRINETRA_KAFKA_SASL_MECHANISM" in str(failure)


@pytest.mark.parametrize(
    ("door", "security"),
    [
        ("plaintext", "ssl"),
        ("plaintext", "sasl_plaintext"),
        ("ssl", "plaintext"),
        ("sasl_plaintext", "plaintext"),
    ],
)
async def test_the_wrong_door_is_told_by_name_of_the_setting(
    doors: Doors, door: str, security: str
) -> None:
    failure = await refusal(replace(doors.login(door), security=security))
    assert type(failure) in {ConfigurationError, EventLogUnavailable}
    assert "TRINETRA_KAFKA_SECURITY" in str(failure)
