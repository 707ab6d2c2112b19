"""Kafka's addresses and credentials, as librdkafka's settings."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trinetra.errors import ConfigurationError

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


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
        pairs = [address.strip().rpartition(":") for address in self.servers.split(",")]
        if not all(
            host and port.isdecimal() and 0 < int(port) < 1 << 16 for host, _, port in pairs
        ):
            raise ConfigurationError(
                f"TRINETRA_KAFKA_SERVERS={self.servers!r}: write it as host:port,host:port"
            )
        return [(host, int(port)) for host, _, port in pairs]

    def login(self) -> dict[str, Any]:
        """Return the settings with which a client logs in. Raises ConfigurationError."""
        settings: dict[str, Any] = {
            "bootstrap.servers": ",".join(f"{host}:{port}" for host, port in self.addresses),
            "security.protocol": self.security,
        }
        if self.security.endswith("ssl"):
            self._check_files()
            files = {"ca": self.ca_file, "certificate": self.cert_file, "key": self.key_file}
            settings |= {f"ssl.{name}.location": str(path) for name, path in files.items() if path}
        if self.security.startswith("sasl"):
            if self.user is None or self.password is None:
                raise ConfigurationError(
                    "Kafka: SASL needs TRINETRA_KAFKA_USER and TRINETRA_KAFKA_PASSWORD"
                )
            settings |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        return settings

    def _check_files(self) -> None:
        """Read the files as librdkafka will: its own error does not name the setting."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as cause:
            files = [str(f) for f in (self.ca_file, self.cert_file, self.key_file) if f]
            reason = (cause.strerror or str(cause)).lower()
            raise ConfigurationError(
                f"Kafka: {' or '.join(files) or 'the certificates of this machine'} cannot be "
                f"used ({reason}): TRINETRA_KAFKA_CA_FILE, _CERT_FILE and _KEY_FILE name "
                "PEM files"
            ) from cause
