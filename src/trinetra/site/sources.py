"""Picture sources of a camera: a network camera, a video file, or a folder."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from trinetra.errors import ConfigurationError
from trinetra.redaction import shown_address
from trinetra.site.addresses import url_fault
from trinetra.site.fields import EnvName, Flag, Fps, Model

_PLACEHOLDER = ".example"
URL_SCHEMES = ("rtsp", "rtsps", "http", "https")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A camera's user name and password, read from the environment."""

    username: str
    password: SecretStr


class CameraSource(Model, ABC):
    """What every kind of source declares; a new kind is also added to ``Source``.

    ``key`` is the key by which the site file chooses the kind. A live source ends only by failing,
    and its frames are dropped if they come too fast; a recording can wait.
    """

    key: ClassVar[str]
    is_live: ClassVar[bool]

    @property
    @abstractmethod
    def shown(self) -> str:
        """The source for display, without what could be a credential."""

    @abstractmethod
    def obstacles(self, environ: Mapping[str, str]) -> Iterator[str]:
        """Yield what prevents reading the source on this machine, as far as it can be seen here."""


class StreamSource(CameraSource):
    """A network camera: RTSP, or MJPEG over HTTP."""

    key = "url"
    is_live = True
    url: Annotated[
        str,
        Field(
            repr=False,
            description="rtsp://, rtsps://, http:// or https:// address, without user or password.",
            examples=["rtsp://192.168.1.20:554/stream1"],
        ),
    ]
    username_env: Annotated[
        EnvName | None, Field(description="Name of the environment variable with the user name.")
    ] = None
    password_env: Annotated[
        EnvName | None, Field(description="Name of the environment variable with the password.")
    ] = None
    timeout_s: Annotated[
        float,
        Field(
            strict=True,
            ge=1,
            le=120,
            description="Seconds without a frame after which the camera counts as stalled.",
        ),
    ] = 5.0

    transport: Annotated[
        Literal["tcp", "udp"],
        Field(
            description=(
                "Transport of RTSP's pictures. udp is for cameras without tcp: what the network "
                "loses damages pictures."
            )
        ),
    ] = "tcp"

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        if fault := url_fault(url, URL_SCHEMES):
            raise PydanticCustomError("url", fault)
        return url

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password_env and not self.username_env:
            raise PydanticCustomError("credentials", "password_env needs username_env too")
        if self.transport == "udp" and urlsplit(self.url).scheme != "rtsp":
            raise PydanticCustomError("transport", "only rtsp:// can be carried by udp")
        return self

    @property
    def shown(self) -> str:
        """The address for display, without what could be a credential."""
        return shown_address(self.url)

    @property
    def is_placeholder(self) -> bool:
        """True for a host in the domain of examples (RFC 2606), which is no camera."""
        return (urlsplit(self.url).hostname or "").endswith(_PLACEHOLDER)

    def obstacles(self, environ: Mapping[str, str]) -> Iterator[str]:
        """Yield credential variables that are not set, and that the address is a placeholder."""
        for name in self.unset_variables(environ):
            yield f"the environment variable {name} is not set here"
        if self.is_placeholder:
            yield f"{self.shown} is a placeholder: write the camera's own address"

    def unset_variables(self, environ: Mapping[str, str]) -> list[str]:
        """Return the names of the credential variables that are not set in the environment."""
        return [n for n in (self.username_env, self.password_env) if n and not environ.get(n)]

    def credentials(self, environ: Mapping[str, str]) -> Credentials | None:
        """Return the camera's credentials, or None if it needs none.

        Raises ConfigurationError naming the variables that are not set, or for a placeholder.
        """
        if self.is_placeholder:
            raise ConfigurationError(f"{self.shown} is a placeholder: write the camera's address")
        if unset := self.unset_variables(environ):
            names = " and ".join(unset)
            raise ConfigurationError(f"{self.shown} needs {names} in the environment: set it")
        if self.username_env is None:
            return None
        password = environ[self.password_env] if self.password_env else ""
        return Credentials(environ[self.username_env], SecretStr(password))


class _DiskSource(CameraSource):
    is_live = False

    @field_validator("*")
    @classmethod
    def _absolute(cls, value: object, info: ValidationInfo) -> object:
        folder: Path | None = (info.context or {}).get("folder")
        return folder / value.expanduser() if folder and isinstance(value, Path) else value

    loop: Annotated[Flag, Field(description="Restart at the end, endlessly.")] = False

    @property
    @abstractmethod
    def path(self) -> Path:
        """The path that must exist."""

    def obstacles(self, environ: Mapping[str, str]) -> Iterator[str]:  # noqa: ARG002
        """Yield that the path is missing or an empty file."""
        if not self.path.exists():
            yield f"{self.path} is not on this machine"
        elif self.path.is_file() and not self.path.stat().st_size:
            yield f"{self.path} is empty (0 bytes): copy or record it again"


class FileSource(_DiskSource):
    """A video file, played once or looped; a relative path starts at the site file's folder."""

    key = "file"
    file: Annotated[Path, Field(description="Path of a video file.", examples=["clips/till.mp4"])]

    @property
    def path(self) -> Path:
        """The path that must exist."""
        return self.file

    @property
    def shown(self) -> str:
        """The source for display."""
        return f"{self.file}" + (" (looped)" if self.loop else "")


class FolderSource(_DiskSource):
    """A folder of pictures, shown in the order of their names."""

    key = "images"
    images: Annotated[Path, Field(description="Path of a folder of JPEG or PNG pictures.")]
    fps: Annotated[Fps, Field(description="Pictures per second.")] = 5.0

    @property
    def path(self) -> Path:
        """The path that must exist."""
        return self.images

    @property
    def shown(self) -> str:
        """The source for display."""
        return f"{self.images} at {self.fps:g}/s" + (" (looped)" if self.loop else "")


SOURCES: tuple[type[CameraSource], ...] = (StreamSource, FileSource, FolderSource)
SOURCE_KEYS = tuple(source.key for source in SOURCES)


def _source_kind(source: object) -> str | None:
    if isinstance(source, Mapping):
        return next((key for key in SOURCE_KEYS if key in source), None)
    return source.key if isinstance(source, CameraSource) else None


Source = Annotated[
    Annotated[StreamSource, Tag(StreamSource.key)]
    | Annotated[FileSource, Tag(FileSource.key)]
    | Annotated[FolderSource, Tag(FolderSource.key)],
    Discriminator(
        _source_kind,
        custom_error_type="source",
        custom_error_message=f"a source needs one of the keys {', '.join(SOURCE_KEYS)}",
    ),
]
