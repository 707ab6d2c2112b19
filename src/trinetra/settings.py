"""Settings of this machine: ``TRINETRA_*`` environment variables, read once by the wiring.

The site file describes the shop; these settings describe how and where TRINETRA runs.
"""

import os
import platform
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trinetra.errors import ConfigurationError

PREFIX = "TRINETRA_"
TEST_PREFIX = "TRINETRA_TEST_"

Port = Annotated[int, Field(ge=0, le=65535)]
Profile = Literal["default", "small", "accurate", "reference"]
Backend = Literal["auto", "onnxruntime", "openvino"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
KafkaSecurity = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$|^$")]


def _user_folder(variable: str, fallback: str) -> Path:
    """Return TRINETRA's folder in an XDG base folder (freedesktop.org base directories 0.8)."""
    base = Path(os.environ.get(variable, ""))
    # The specification requires relative paths to be ignored.
    return (base if base.is_absolute() else Path.home() / fallback) / "trinetra"


class Settings(BaseSettings):
    """Settings of this installation; field ``x`` is set by the variable ``TRINETRA_X``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )
    data_dir: Path = Field(
        default_factory=lambda: _user_folder("XDG_DATA_HOME", ".local/share"),
        description="Folder for persistent data: insights, gallery, spool, local servers.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: _user_folder("XDG_CACHE_HOME", ".cache"),
        description="Folder for files that can be made again: networks, compiled ones too, clips.",
    )
    models_dir: Path | None = Field(
        default=None, description="Folder of your own networks, searched before any is fetched."
    )
    samples_dir: Path | None = Field(
        default=None, description="Folder of your own clips, searched before any is fetched."
    )
    real_dir: Path | None = Field(
        default=None, description="Folder of labeled recordings that `trinetra eval real` scores."
    )
    plates_dir: Path | None = Field(
        default=None,
        description="Folder of labeled photos of license plates that `trinetra eval real` scores.",
    )

    profile: Profile = Field(
        default="default", description="Set of networks to run; `trinetra models list` shows them."
    )
    backend: Backend = Field(default="auto", description="Inference runtime; auto takes OpenVINO.")
    inference_lanes: int = Field(
        default=0, ge=0, le=64, description="Batches inferred in parallel; 0 chooses automatically."
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="Threads of each network; 0 chooses automatically."
    )
    batch_max_frames: int = Field(
        default=4, ge=1, le=64, description="Maximum frames in one batch."
    )
    batch_window_ms: float = Field(
        default=20.0,
        ge=0,
        le=1000,
        description="Maximum wait of a batch for more frames, in ms.",
    )

    namespace: Name = Field(
        default="", description="Prefix that separates the names of shops on one cluster."
    )
    instance: str = Field(
        default_factory=platform.node,
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Name of this process within its service; keep it across restarts.",
    )

    frame_buffer: Literal["memory", "redis"] = Field(
        default="memory", description="Where frames are buffered; several processes need redis."
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis URL; rediss:// for TLS, redis://USER:PASSWORD@HOST for a login.",
    )
    frames_max_mb: int = Field(
        default=320,
        ge=1,
        description=(
            "Maximum memory for buffered frames, divided between the cameras, in MB; leave Redis "
            "a third more."
        ),
    )
    ready_camera_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description=(
            "Share of cameras that must deliver frames for the ingestor to be ready, rounded up; "
            "with 0 it is ready whenever the frame buffer is."
        ),
    )
    frame_max_age_s: float = Field(
        default=10.0,
        gt=0,
        description=(
            "Frames of live cameras that waited longer in the buffer are skipped and counted, in "
            "seconds."
        ),
    )

    event_log: Literal["memory", "kafka"] = Field(
        default="memory", description="Where events are stored; several processes need kafka."
    )
    kafka_servers: str = Field(
        default="127.0.0.1:9092", description="Bootstrap brokers as HOST:PORT, separated by commas."
    )
    kafka_security: KafkaSecurity = Field(
        default="plaintext", description="Encryption (ssl), login (sasl), or both."
    )
    kafka_sasl_mechanism: SaslMechanism = Field(
        default="SCRAM-SHA-512", description="Login mechanism of Kafka."
    )
    kafka_user: str | None = Field(default=None, description="Required if security includes sasl.")
    kafka_password: SecretStr | None = Field(
        default=None, description="Required if security includes sasl."
    )
    kafka_ca_file: Path | None = Field(
        default=None, description="Trusted authorities, in PEM; by default those of the system."
    )
    kafka_cert_file: Path | None = Field(
        default=None, description="Client certificate, in PEM, if Kafka requires one."
    )
    kafka_key_file: Path | None = Field(
        default=None, description="Private key of that certificate."
    )
    spool_max_mb: int = Field(
        default=1024,
        ge=1,
        description="Maximum disk space for events while the event log is down, in MB.",
    )

    journal_max_mb: int = Field(
        default=4096,
        ge=0,
        description="Maximum disk space for the journal of the memory log, in MB; 0 keeps none.",
    )

    gallery: Literal["edge", "memory", "qdrant"] = Field(
        default="edge",
        description="Where known faces are stored; edge: the data folder, for a single resolver.",
    )
    qdrant_url: str = Field(
        default="http://127.0.0.1:6334", description="Qdrant's gRPC address; https:// for TLS."
    )
    qdrant_api_key: SecretStr | None = Field(
        default=None, description="Required if Qdrant demands one; it must allow writing."
    )

    store_url: SecretStr | None = Field(
        default=None,
        description=(
            "Database of insights, customers and erasures, shared by all processes; "
            "with the memory log by default SQLite in the data folder, with kafka required."
        ),
    )

    plate_key: SecretStr | None = Field(
        default=None,
        description=(
            "Secret for license plates, the same for every worker and resolver of a site; with the "
            "memory log by default a random one in the data folder."
        ),
    )

    host: str = Field(
        default="127.0.0.1",
        description="Address for the web, health and metrics; 0.0.0.0 is all interfaces.",
    )
    allowed_hosts: str = Field(
        default="",
        description=(
            "Names by which health, metrics and events may be requested, separated by commas; "
            "besides localhost, this machine's name, TRINETRA_HOST and any IP address."
        ),
    )
    embedded_port: Port = Field(
        default=8000, description="Port of `trinetra run`; here and below, 0 takes any free port."
    )
    ingest_port: Port = Field(default=8001, description="Port of `trinetra ingest`.")
    infer_port: Port = Field(default=8002, description="Port of `trinetra infer`.")
    resolve_port: Port = Field(default=8003, description="Port of `trinetra resolve`.")
    insight_port: Port = Field(default=8004, description="Port of `trinetra insight`.")
    health_urls: str = Field(
        default="",
        description=(
            "Addresses of the services of a cluster, like http://host:8001, separated by commas: "
            "the dashboard asks them for cameras and health."
        ),
    )
    web_port: Port = Field(default=8006, description="Port of `trinetra web`.")
    web_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s?#@]+/?$",
        description=(
            "Address by which browsers reach the web, like https://shop.example, if it differs "
            "from host and port; links and the single sign-on use it."
        ),
    )
    tls_cert_file: Path | None = Field(
        default=None, description="Certificate chain of the web, in PEM; none: HTTP without TLS."
    )
    tls_key_file: Path | None = Field(
        default=None, description="Private key of that certificate, in PEM."
    )
    trusted_proxies: str = Field(
        default="",
        description=(
            "Addresses or networks of reverse proxies, separated by commas; only these are "
            "believed what X-Forwarded-For and X-Forwarded-Proto say."
        ),
    )
    web_session_idle_min: float = Field(
        default=480.0, gt=0, le=43_200, description="Minutes without requests that end a session."
    )
    web_session_max_h: float = Field(
        default=168.0, gt=0, le=8_760, description="Hours after which a session ends in any case."
    )
    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])[^\s?#]*$",
        description="Issuer of an OpenID provider for single sign-on, like https://id.example.",
    )
    oidc_client_id: str | None = Field(
        default=None, description="Client id at the provider; its redirect: /login/oidc/callback."
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Secret of that client, unless it is a public one."
    )
    oidc_scope: str = Field(
        default="openid profile email", description="Scopes to ask the provider for."
    )
    oidc_groups_claim: str = Field(
        default="groups", description="Claim of the ID token that has the groups of a user."
    )
    oidc_roles: str = Field(
        default="",
        description=(
            "Roles by group as GROUP=ROLE, separated by commas; users without such a group are "
            "refused. Roles: viewer, operator, privacy_officer, admin."
        ),
    )
    oidc_sites: str = Field(
        default="", description="Sites by group as GROUP=SITE; empty: every user sees all sites."
    )
    oidc_label: str = Field(
        default="single sign-on", description="What the login page calls the provider."
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="Bearer token that /metrics of the web's port demands; none: open.",
    )
    api_token: SecretStr | None = Field(
        default=None,
        description="API token with which commands ask another machine (`--url`).",
    )
    alert_port: Port = Field(default=8005, description="Port of `trinetra alert`.")
    alert_metrics_urls: str = Field(
        default="",
        description=(
            "Metrics that `trinetra alert` judges, as URLs separated by commas; by default those "
            "of the other services on this host, at their ports."
        ),
    )
    drain_deadline_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="Maximum time for a stopped service to finish its work, in seconds.",
    )

    transactions_token: SecretStr | None = Field(
        default=None,
        description="Token that points of sale send with POST /v1/transactions; none: closed.",
    )

    log_json: bool = Field(default=False, description="Log JSON lines instead of text.")
    log_level: LogLevel = Field(default="INFO", description="Minimum level to log.")
    debug: bool = Field(default=False, description="Show tracebacks of planned failures.")

    @property
    def host_names(self) -> frozenset[str]:
        """Names by which this process may be requested."""
        given = {name.strip() for name in self.allowed_hosts.split(",")} - {""}
        if external := urlsplit(self.web_url or "").hostname:
            given.add(external)
        return frozenset({self.host, self.instance, platform.node(), *given})

    @property
    def metrics_urls(self) -> tuple[str, ...]:
        """Metrics of the services that alerts are about."""
        if given := [url.strip() for url in self.alert_metrics_urls.split(",") if url.strip()]:
            return tuple(given)
        ports = (self.ingest_port, self.infer_port, self.resolve_port, self.insight_port)
        return tuple(f"http://127.0.0.1:{port}/metrics" for port in ports if port)

    def with_store(self, url: str) -> Self:
        """Return these settings with another database."""
        return self.model_copy(update={"store_url": SecretStr(url)})

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator(
        *("data_dir", "cache_dir", "models_dir", "samples_dir"),
        *("kafka_ca_file", "kafka_cert_file", "kafka_key_file"),
        *("tls_cert_file", "tls_key_file"),
    )
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder.expanduser().absolute() if folder else None

    @field_validator("alert_metrics_urls")
    @classmethod
    def _http_urls(cls, urls: str) -> str:
        for url in filter(None, map(str.strip, urls.split(","))):
            if not url.startswith(("http://", "https://")):
                raise PydanticCustomError("urls", "not http:// or https:// URLs, with commas")
        return urls

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        ports = [
            *(self.ingest_port, self.infer_port, self.resolve_port, self.insight_port),
            *(self.alert_port, self.web_port),
        ]
        taken = [port for port in ports if port]
        if len(set(taken)) < len(taken):
            raise PydanticCustomError(
                "together", "TRINETRA_*_PORT: two services have the same port"
            )
        return self

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> "Settings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise PydanticCustomError(
                "together", "TRINETRA_TLS_CERT_FILE and TRINETRA_TLS_KEY_FILE: TLS needs both"
            )
        return self

    @model_validator(mode="after")
    def _provider_is_complete(self) -> "Settings":
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_roles):
            raise PydanticCustomError(
                "together",
                "TRINETRA_OIDC_CLIENT_ID and TRINETRA_OIDC_ROLES: single sign-on needs both",
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
    """Return the settings from the environment.

    Raises ConfigurationError naming every variable that is unknown or has an invalid value; the
    values themselves are not repeated.
    """
    faults = list(_unknown_variables(os.environ))
    try:
        settings = Settings()
    except ValidationError as cause:
        faults += [_message(error) for error in cause.errors(include_url=False)]
        raise _invalid(faults) from None
    if faults:
        raise _invalid(faults)
    return settings


def _invalid(faults: Iterable[str]) -> ConfigurationError:
    return ConfigurationError("invalid settings:\n  " + "\n  ".join(faults))


def _unknown_variables(environ: Iterable[str]) -> Iterator[str]:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "unset it"
            yield f"{name}: unknown setting ({hint})"


def _message(error: ErrorDetails) -> str:
    if not error["loc"]:  # an error of several variables, which the message names
        return error["msg"]
    expected = error.get("ctx", {}).get("expected")
    reason = f"not one of {expected}" if expected else error["msg"].removeprefix("Input ")
    return f"{PREFIX}{str(error['loc'][0]).upper()}: {reason}"
