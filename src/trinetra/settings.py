"""Settings of this machine: ``TRINETRA_*`` environment variables, read once by the wiring.

What a shop is like stands in the site file; how and where TRINETRA runs stands here.
"""

import os
import platform
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trinetra.errors import ConfigurationError

PREFIX = "TRINETRA_"
TEST_PREFIX = "TRINETRA_TEST_"

Port = Annotated[int, Field(ge=0, le=65535, description="0 takes any free port.")]
Profile = Literal["default", "reference"]
Backend = Literal["auto", "onnxruntime", "openvino"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
KafkaSecurity = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$|^$")]


def _user_folder(variable: str, fallback: str) -> Path:
    """Return TRINETRA's folder under an XDG base folder (freedesktop.org base directories 0.8)."""
    base = Path(os.environ.get(variable, ""))
    # The specification has relative paths ignored.
    return (base if base.is_absolute() else Path.home() / fallback) / "trinetra"


class Settings(BaseSettings):
    """How and where TRINETRA runs; field ``x`` is set by the variable ``TRINETRA_X``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )
    data_dir: Path = Field(default_factory=lambda: _user_folder("XDG_DATA_HOME", ".local/share"))
    cache_dir: Path = Field(default_factory=lambda: _user_folder("XDG_CACHE_HOME", ".cache"))
    models_dir: Path | None = None
    samples_dir: Path | None = None

    profile: Profile = "default"
    backend: Backend = "auto"
    inference_lanes: int = Field(
        default=0, ge=0, le=64, description="Batches inferred at once; 0 leaves it to us."
    )
    threads: int = Field(default=0, ge=0, le=256, description="Per network; 0 leaves it to us.")
    batch_max_frames: int = Field(default=4, ge=1, le=64)
    batch_window_ms: float = Field(default=20.0, ge=0, le=1000)

    namespace: Name = Field(
        default="", description="Keeps the names of one shop apart from another's on one cluster."
    )
    instance: str = Field(
        default_factory=platform.node,
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Tells processes of one service apart; the same after every restart.",
    )

    frame_buffer: Literal["memory", "redis"] = "memory"
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    frame_max_age_s: float = Field(
        default=10.0, gt=0, description="Older frames of live cameras are skipped, and counted."
    )

    event_log: Literal["memory", "kafka"] = "memory"
    kafka_servers: str = "127.0.0.1:9092"
    kafka_security: KafkaSecurity = "plaintext"
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None
    spool_max_mb: int = Field(
        default=1024, ge=1, description="Events on disk while the event log is down."
    )

    gallery: Literal["edge", "memory", "qdrant"] = "edge"
    qdrant_url: str = "http://127.0.0.1:6334"
    qdrant_api_key: SecretStr | None = None

    store_url: SecretStr | None = Field(
        default=None, description="Where insights are kept; SQLite in the data folder if not given."
    )

    host: str = "127.0.0.1"
    embedded_port: Port = 8000
    ingest_port: Port = 8001
    infer_port: Port = 8002
    resolve_port: Port = 8003
    insight_port: Port = 8004
    drain_deadline_s: float = Field(default=30.0, gt=0, le=600)

    log_json: bool = False
    log_level: LogLevel = "INFO"
    debug: bool = Field(default=False, description="Show tracebacks of planned failures.")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator(
        *("data_dir", "cache_dir", "models_dir", "samples_dir"),
        *("kafka_ca_file", "kafka_cert_file", "kafka_key_file"),
    )
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder.expanduser().absolute() if folder else None

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        ports = [self.ingest_port, self.infer_port, self.resolve_port, self.insight_port]
        taken = [port for port in ports if port]
        if len(set(taken)) < len(taken):
            raise PydanticCustomError(
                "together", "TRINETRA_*_PORT: two services have the same port"
            )
        return self

    @model_validator(mode="after")
    def _user_has_a_password(self) -> "Settings":
        if not self.kafka_security.startswith("sasl"):
            return self
        if self.kafka_user is None or self.kafka_password is None:
            raise PydanticCustomError(
                "together",
                "TRINETRA_KAFKA_USER and TRINETRA_KAFKA_PASSWORD: SASL needs both",
            )
        return self


def load_settings() -> Settings:
    """Return the settings that the environment makes.

    Raises ConfigurationError naming every variable that is unknown or has a value that cannot be
    used; the values themselves are not repeated.
    """
    faults = list(_unknown_variables(os.environ))
    try:
        settings = Settings()
    except ValidationError as cause:
        faults += [_told(error) for error in cause.errors(include_url=False)]
        raise _invalid(faults) from None
    if faults:
        raise _invalid(faults)
    return settings


def _invalid(faults: Iterable[str]) -> ConfigurationError:
    return ConfigurationError("the settings cannot be used:\n  " + "\n  ".join(faults))


def _unknown_variables(environ: Iterable[str]) -> Iterator[str]:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "unset it"
            yield f"{name}: no such setting ({hint})"


def _told(error: ErrorDetails) -> str:
    if not error["loc"]:  # about several, which the message names
        return error["msg"]
    expected = error.get("ctx", {}).get("expected")
    reason = f"not one of {expected}" if expected else error["msg"].removeprefix("Input ")
    return f"{PREFIX}{str(error['loc'][0]).upper()}: {reason}"
