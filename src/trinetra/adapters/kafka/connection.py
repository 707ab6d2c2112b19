"""Where Kafka is and how one logs in there; and whether that works, with the reason if not."""

import asyncio
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.metadata import MetadataRequest

from trinetra.errors import ConfigurationError, EventLogUnavailable

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_CONNECT_TIMEOUT_S = 5.0
# Request kinds (by API key) with the version of each that this adapter cannot do without: static
# membership of JoinGroup, and OffsetFetch that waits for transactions. Kafka has them since 2.5.
_NEEDED_VERSIONS = {11: 5, 9: 7, 12: 3, 13: 3, 22: 0}


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Addresses ``host:port`` joined by commas, and credentials; files are in PEM format."""

    servers: str
    security: Security = "plaintext"
    mechanism: Mechanism = "SCRAM-SHA-512"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The host and port of every server. Raises ConfigurationError."""
        try:
            found = [(host, int(port)) for host, port, _ in collect_hosts(self.servers)]
        except ValueError:
            found = []
        if not found or not all(host and 0 < port < 1 << 16 for host, port in found):
            raise ConfigurationError(
                f"TRINETRA_KAFKA_SERVERS={self.servers!r}: write it as host:port,host:port"
            )
        return found

    def login(self) -> dict[str, Any]:
        """Return what each of aiokafka's clients needs to log in. Raises ConfigurationError."""
        options: dict[str, Any] = {"security_protocol": self.security.upper()}
        if self.security.endswith("ssl"):
            options["ssl_context"] = self._tls()
        if self.security.startswith("sasl"):
            if self.user is None or self.password is None:
                raise ConfigurationError(
                    "Kafka: SASL needs TRINETRA_KAFKA_USER and TRINETRA_KAFKA_PASSWORD"
                )
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as cause:
            files = [str(f) for f in (self.ca_file, self.cert_file, self.key_file) if f]
            raise ConfigurationError(
                f"Kafka: {' or '.join(files) or 'the certificates of this machine'} cannot be "
                f"used ({_reason(cause)}): TRINETRA_KAFKA_CA_FILE, _CERT_FILE and _KEY_FILE name "
                "PEM files"
            ) from cause
        return context


async def probe(connection: KafkaConnection) -> None:
    """Return when one server lets us in and is new enough.

    Raises ConfigurationError when a server refuses us for good, EventLogUnavailable with what each
    of them did when none answers.
    """
    login = connection.login()
    silent = []
    for host, port in connection.addresses:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await _knock_at(host, port, login)
        except TimeoutError:
            silent.append(f"{host}:{port} did not answer within {_CONNECT_TIMEOUT_S:g} s")
        except (OSError, KafkaError) as cause:
            _raise_if_refused(cause, f"{host}:{port}", connection)
            silent.append(f"{host}:{port}: {_reason(cause)}{_hint(cause, connection)}")
        else:
            return
    raise EventLogUnavailable(
        f"Kafka is not reachable: {'; '.join(silent)} (see TRINETRA_KAFKA_SERVERS)"
    )


async def _knock_at(host: str, port: int, login: dict[str, Any]) -> None:
    timeout_ms = int(_CONNECT_TIMEOUT_S * 1000)
    door = await create_conn(host, port, request_timeout_ms=timeout_ms, **login)
    try:
        await _check_version(door, f"{host}:{port}")
        # One that wants a login answers the question for its version, and hangs up at any other.
        await door.send(MetadataRequest([], allow_auto_topic_creation=False))
    finally:
        closed = door.close()
        if closed is not None:
            await closed


async def _check_version(door: AIOKafkaConnection, where: str) -> None:
    offered = await door.send(ApiVersionRequest())
    spoken = {key: range(oldest, newest + 1) for key, oldest, newest in offered.api_versions}
    if any(needed not in spoken.get(key, ()) for key, needed in _NEEDED_VERSIONS.items()):
        raise ConfigurationError(
            f"Kafka at {where} is too old, or newer than TRINETRA knows: use Kafka 2.5 to 4"
        )


def _raise_if_refused(cause: Exception, where: str, connection: KafkaConnection) -> None:
    if isinstance(cause, SaslAuthenticationFailed):
        raise ConfigurationError(
            f"Kafka at {where} refuses user {connection.user!r} by {connection.mechanism}: check "
            "TRINETRA_KAFKA_USER, _PASSWORD and _SASL_MECHANISM"
        ) from None  # its text may repeat what was sent
    if isinstance(cause, UnsupportedSaslMechanismError | IllegalSaslStateError):
        raise ConfigurationError(
            f"Kafka at {where} does not offer a login by {connection.mechanism}: check "
            "TRINETRA_KAFKA_SASL_MECHANISM and TRINETRA_KAFKA_SECURITY"
        ) from cause
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise ConfigurationError(
            f"Kafka at {where} shows a certificate that is not trusted "
            f"({cause.verify_message}): TRINETRA_KAFKA_CA_FILE must name the authority that signed "
            "it, and TRINETRA_KAFKA_SERVERS the host it was made for"
        ) from cause
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        raise ConfigurationError(
            f"Kafka at {where} does not speak TLS: check TRINETRA_KAFKA_SECURITY and the port"
        ) from cause


def _hint(cause: Exception, connection: KafkaConnection) -> str:
    """Return what else may be wrong where a server took the connection and hung up."""
    if isinstance(cause, ConnectionRefusedError) or not isinstance(
        cause, KafkaError | ConnectionError | ssl.SSLError
    ):
        return ""
    return (
        " (if that port is Kafka's and it is up, it does not take "
        f"{connection.security}: check TRINETRA_KAFKA_SECURITY)"
    )


def _reason(cause: Exception) -> str:
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno).lower()  # asyncio's own text repeats the address
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(cause) or type(cause).__name__
