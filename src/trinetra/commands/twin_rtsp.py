"""``trinetra twin rtsp``: serves video files as real RTSP cameras on this machine."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from trinetra.adapters.video.h264 import write_elementary_stream
from trinetra.commands.console import note, print_json, print_text, say
from trinetra.commands.options import grouped_options
from trinetra.errors import ConfigurationError
from trinetra.twin.film import TOP_VIEW
from trinetra.twin.rtsp import Address, Recording, RtspServer, Viewer
from trinetra.values import Role

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".ts", ".webm"})
_USERNAME_ENV = "TWIN_CAMERA_USER"
_MAX_NAME = 63
_ROLE_WORDS: Mapping[str, Role] = {
    "car": Role.VEHICLE,
    "parking": Role.VEHICLE,
    "till": Role.BILLING,
    "door": Role.ENTRANCE,
    "welcome": Role.FACE,
} | {role.value: role for role in Role}


class AuthScheme(StrEnum):
    """Authentication scheme."""

    DIGEST = "digest"
    BASIC = "basic"


_Clips = Annotated[
    list[Path],
    typer.Argument(metavar="FOLDER_OR_CLIPS...", help="Video files, or folders of them."),
]
_Port = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="Port; 0 chooses a free one.")
]
_Host = Annotated[str, typer.Option("--host", help="The address to listen on.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """Login that clients need."""

    user: Annotated[str | None, typer.Option("--user", help="User name; default: no login.")] = None
    password_env: Annotated[
        str | None,
        typer.Option(
            "--password-env", metavar="VAR", help="Environment variable with the password."
        ),
    ] = None
    auth: Annotated[AuthScheme, typer.Option("--auth", help="Authentication scheme.")] = (
        AuthScheme.DIGEST
    )

    def viewer(self) -> Viewer | None:
        """Return the login, None if none is needed. Raises BadParameter or ConfigurationError."""
        if (self.user is None) != (self.password_env is None):
            raise typer.BadParameter("--user and --password-env go together")
        if self.user is None or self.password_env is None:
            return None
        if not (password := os.environ.get(self.password_env)):
            raise ConfigurationError(
                f"the environment variable {self.password_env} is not set: export it with the "
                "password of the cameras"
            )
        return Viewer(self.user, password, self.auth.value)


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group ``twin``."""
    group.command("rtsp")(rtsp)


@grouped_options
def rtsp(
    clips: _Clips,
    login: LoginOptions,
    *,
    port: _Port = 8554,
    host: _Host = "127.0.0.1",
    as_json: _Json = False,
) -> None:
    """Serve video files as RTSP cameras, each in a loop, until Ctrl-C.

    H.264 files are sent unchanged; others are encoded first.
    """
    viewer = login.viewer()
    with suppress(KeyboardInterrupt), TemporaryDirectory(prefix="trinetra-rtsp-") as folder:
        recordings = _record(named_clips(clips), Path(folder))
        with RtspServer(recordings, Address(host, port), viewer) as server:
            urls = {recording.name: server.url(recording.name) for recording in recordings}
            _announce(urls, login.password_env, as_json=as_json)
            server.wait()


def named_clips(paths: Iterable[Path]) -> dict[str, Path]:
    """Return the video files by the name of their camera, in order.

    Raises ConfigurationError for a path that is not there and where there is no video at all.
    """
    named: dict[str, Path] = {}
    for path in paths:
        for clip in _clips_at(path):
            named[_unused_name(_slug(clip.stem), named)] = clip
    if not named:
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
        raise ConfigurationError(f"no video files here: looked for names ending in {suffixes}")
    return named


def _clips_at(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    if not path.is_file():
        raise ConfigurationError(f"{path} is neither a video file nor a folder of them")
    return [path]


def _slug(text: str) -> str:
    """Return the text as a camera id: lower case letters, digits, dashes and underscores."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:_MAX_NAME] or "camera"


def _unused_name(name: str, taken: Mapping[str, object]) -> str:
    unused, number = name, 1
    while unused in taken:
        number += 1
        suffix = f"-{number}"
        unused = name[: _MAX_NAME - len(suffix)] + suffix
    return unused


def _record(clips: Mapping[str, Path], folder: Path) -> list[Recording]:
    recordings = []
    for name, clip in clips.items():
        stream = write_elementary_stream(clip, folder / f"{name}.h264")
        if stream.reencoded:
            note(f"{clip} is not H.264 and was re-encoded")
        recordings.append(Recording(name, stream.path, stream.units, stream.period_ns))
    return recordings


def _announce(urls: Mapping[str, str], password_env: str | None, *, as_json: bool) -> None:
    site = site_text(urls, password_env)
    if as_json:
        print_json({"cameras": dict(urls), "site": site})
    else:
        for url in urls.values():
            say(url)
        print_text(
            f"\n# --- site.yaml: save everything below, then `trinetra run site.yaml`\n{site}"
        )
    sys.stdout.flush()  # a reader of the pipe waits for this, and no later output flushes it


def site_text(urls: Mapping[str, str], password_env: str | None) -> str:
    """Return a site file whose cameras are these streams, roles guessed from their names."""
    lines = ["site: twin", "timezone: UTC", "cameras:"]
    if password_env is not None:
        lines.insert(0, f"# export {_USERNAME_ENV}=... {password_env}=...  before you start")
    for name, url in urls.items():
        if name != TOP_VIEW:
            lines += _camera_lines(name, url, password_env)
    return "\n".join(lines) + "\n"


def _camera_lines(name: str, url: str, password_env: str | None) -> Sequence[str]:
    words = re.split(r"[-_]", name)
    role = next((_ROLE_WORDS[word] for word in words if word in _ROLE_WORDS), Role.TRACKING)
    lines = [f'  - id: "{name}"', f"    role: {role}", "    source:", f"      url: {url}"]
    if password_env is not None:
        lines += [
            f"      username_env: {_USERNAME_ENV}",
            f"      password_env: {password_env}",
        ]
    return lines
