"""Settings of this machine: ``TRINETRA_*`` environment variables, read once by the wiring.

What a shop is like stands in the site file; how and where TRINETRA runs stands here.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trinetra.errors import ConfigurationError

PREFIX = "TRINETRA_"
TEST_PREFIX = "TRINETRA_TEST_"

Port = Annotated[int, Field(ge=0, le=65535, description="0 takes any free port.")]
Profile = Literal["default", "reference"]
Backend = Literal["auto", "onnxruntime", "openvino"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


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
    planned: ClassVar[Mapping[str, frozenset[str]]] = {
        "frame_buffer": frozenset({"redis"}),
        "event_log": frozenset({"kafka"}),
        "gallery": frozenset({"qdrant"}),
    }
    """Adapters that the design names and this version does not have."""

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

    frame_buffer: Literal["memory"] = "memory"
    event_log: Literal["memory"] = "memory"
    gallery: Literal["edge", "memory"] = "edge"

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

    @field_validator("frame_buffer", "event_log", "gallery", mode="before")
    @classmethod
    def _available(cls, name: object, info: Any) -> object:
        if name in cls.planned[info.field_name]:
            raise PydanticCustomError("planned", "not available in this version")
        return name

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("data_dir", "cache_dir", "models_dir", "samples_dir")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder.expanduser().absolute() if folder else None

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        ports = [self.ingest_port, self.infer_port, self.resolve_port, self.insight_port]
        taken = [port for port in ports if port]
        if len(set(taken)) < len(taken):
            raise PydanticCustomError("ports", "two services have the same port")
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
    names = [PREFIX + str(part).upper() for part in error["loc"][:1]]
    where = names[0] if names else f"{PREFIX}*_PORT"
    field = str(error["loc"][0]) if names else ""
    expected = error.get("ctx", {}).get("expected")
    reason = f"not one of {expected}" if expected else error["msg"].removeprefix("Input ")
    hint = f" (use {_available_names(field)})" if error["type"] == "planned" else ""
    return f"{where}: {reason}{hint}"


def _available_names(field: str) -> str:
    names: tuple[str, ...] = getattr(Settings.model_fields[field].annotation, "__args__", ())
    return " or ".join(names)
