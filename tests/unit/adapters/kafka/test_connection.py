"""Where Kafka is: what can be told of it without one."""

import asyncio
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from trinetra.adapters.kafka.connection import probe
from trinetra.adapters.kafka.event_log import KafkaConnection
from trinetra.errors import ConfigurationError, EventLogUnavailable


def test_a_password_is_not_shown() -> None:
    assert "horse" not in repr(KafkaConnection("a:1", user="shop", password="horse"))  # noqa: S106


@pytest.mark.parametrize("servers", ["", ":9092", "a:0", "a:99999", "a:b"])
def test_addresses_that_are_none_are_refused_by_name_of_the_setting(servers: str) -> None:
    with pytest.raises(ConfigurationError, match="TRINETRA_KAFKA_SERVERS"):
        _ = KafkaConnection(servers).addresses


def test_every_address_of_a_list_is_tried() -> None:
    assert sorted(KafkaConnection("a:1,b:2").addresses) == [("a", 1), ("b", 2)]


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        KafkaConnection("a:1", security="ssl", ca_file=ca_file).login()


def test_a_login_without_a_password_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="TRINETRA_KAFKA_PASSWORD"):
        KafkaConnection("a:1", security="sasl_ssl", user="shop").login()


def versions(request: bytes) -> bytes:
    """Return how a broker of 2017 answers which requests it knows."""
    (correlation,) = struct.unpack_from(">i", request, 4)
    known = [(3, 0, 5), (9, 0, 3), (11, 0, 2), (12, 0, 1), (13, 0, 1), (18, 0, 0)]
    body = struct.pack(">ihi", correlation, 0, len(known))
    body += b"".join(struct.pack(">hhh", *kind) for kind in known)
    return struct.pack(">i", len(body)) + body


async def test_a_broker_that_is_too_old_is_told_so() -> None:
    served = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # it hangs up
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                writer.write(versions(await reader.readexactly(size)))
        writer.close()
        served.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(ConfigurationError, match="too old"):
            await probe(KafkaConnection(f"127.0.0.1:{port}"))
        await served.wait()


async def test_a_port_where_nobody_listens_is_named() -> None:
    with pytest.raises(EventLogUnavailable, match=r"127\.0\.0\.1:1: connection refused"):
        await probe(KafkaConnection("127.0.0.1:1"))
