"""Where Kafka is: what can be told of it without one."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.client import KafkaClient, raise_if_refused
from trinetra.adapters.kafka.event_log import KafkaConnection
from trinetra.errors import ConfigurationError, EventLogUnavailable


def test_a_password_is_not_shown() -> None:
    assert "horse" not in repr(KafkaConnection("a:1", user="shop", password="horse"))


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


def test_credentials_become_settings_of_the_client() -> None:
    login = KafkaConnection("a:1, b:2", security="sasl_plaintext", user="u", password="p").login()
    assert login == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
    }


@pytest.mark.parametrize(
    ("code", "told", "advice"),
    [
        (KafkaError._AUTHENTICATION, "Authentication failed", "TRINETRA_KAFKA_USER, _PASSWORD"),
        (KafkaError._AUTHENTICATION, "PLAIN mechanism handshake failed", "_KAFKA_SASL_MECHANISM"),
        (KafkaError._SSL, "certificate verify failed", "TRINETRA_KAFKA_CA_FILE"),
        (KafkaError._SSL, "wrong version number", "check TRINETRA_KAFKA_SECURITY"),
    ],
)
def test_a_refusal_names_the_setting_to_change(code: int, told: str, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        raise_if_refused(KafkaError(code, told), KafkaConnection("a:1", user="shop"))


def test_a_lost_connection_is_no_refusal() -> None:
    raise_if_refused(KafkaError(KafkaError._TRANSPORT, "refused"), KafkaConnection("a:1"))


async def test_a_port_where_nobody_listens_is_named() -> None:
    with pytest.raises(EventLogUnavailable, match=r"127\.0\.0\.1:1.* Connection refused"):
        async with KafkaClient.open(KafkaConnection("127.0.0.1:1"), SystemClock()):
            pass
