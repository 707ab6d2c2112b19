"""Child process that serves recordings as RTSP cameras, with GStreamer's RTSP server.

GStreamer's Python bindings belong to the system's Python, so this file runs there as a script, by
itself: it imports only the standard library and ``gi``. It reads one JSON object from standard
input (see ``trinetra.twin.rtsp``) and writes one to standard output: ``{"port": n}`` once cameras
can be opened, ``{"missing": why}`` if GStreamer is incomplete, ``{"failed": why}`` if it cannot
listen on the address. It exits when its standard input is closed, and so never outlives its parent.
With the argument ``--probe`` it only reports whether GStreamer is complete.
"""

import bisect
import json
import mmap
import os
import signal
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

_VERSIONS = {"GLib": "2.0", "Gst": "1.0", "GstApp": "1.0", "GstRtsp": "1.0", "GstRtspServer": "1.0"}
_ELEMENTS = ("appsrc", "rtph264pay", "rtpbin")
_ROLE = "viewer"
_SESSION_CLEANUP_S = 5
# config-interval=0: the recording has parameter sets before every key frame. Otherwise the
# payloader would insert them before every slice and split one picture into several.
_PIPELINE = (
    "( appsrc name=recording format=time is-live=false "
    'caps="video/x-h264,stream-format=byte-stream,alignment=au" '
    "! rtph264pay name=pay0 pt=96 config-interval=0 aggregate-mode=zero-latency )"
)


class Incomplete(Exception):
    """A part of GStreamer or of its Python bindings is not installed."""


class AccessUnit(NamedTuple):
    """One coded picture: size in bytes, timestamps, and whether it is a key frame."""

    size: int
    pts_ns: int
    dts_ns: int
    is_key: bool


class Loop:
    """An endless recording: access unit ``n`` for every ``n`` from 0, with increasing timestamps.

    ``period_ns`` is the length of one pass, from its first picture to the first of the next pass.
    The recording must start with a key frame, and every key frame must carry its parameter sets.
    """

    def __init__(
        self, data: "mmap.mmap | bytes", units: "list[AccessUnit]", period_ns: int
    ) -> None:
        self._data = data
        self._units = units
        self._period_ns = period_ns
        self._offsets = [0]
        for unit in units:
            self._offsets.append(self._offsets[-1] + unit.size)
        self._keys = [index for index, unit in enumerate(units) if unit.is_key]
        self._key_dts_ns = [units[index].dts_ns for index in self._keys]

    def key_at(self, elapsed_ns: int) -> int:
        """Return the key frame playing ``elapsed_ns`` after the start, or the last before it."""
        passes, within_ns = divmod(elapsed_ns, self._period_ns)
        position = within_ns + self._units[0].dts_ns
        key = self._keys[bisect.bisect_right(self._key_dts_ns, position) - 1]
        return passes * len(self._units) + key

    def unit(self, number: int) -> "tuple[bytes, int, int]":
        """Return the bytes, presentation time and decoding time (ns) of a unit."""
        passes, index = divmod(number, len(self._units))
        unit, shift_ns = self._units[index], passes * self._period_ns
        start = self._offsets[index]
        return self._data[start : start + unit.size], unit.pts_ns + shift_ns, unit.dts_ns + shift_ns


def load_gstreamer() -> Any:
    """Return the namespaces of GLib and GStreamer, initialized. Raises Incomplete."""
    try:
        gi: Any = import_module("gi")
        for namespace, version in _VERSIONS.items():
            gi.require_version(namespace, version)
        bindings = {name: import_module(f"gi.repository.{name}") for name in _VERSIONS}
    except (ImportError, ValueError) as error:
        raise Incomplete(str(error)) from error
    repository: Any = SimpleNamespace(**bindings)
    repository.Gst.init(None)
    lacking = [name for name in _ELEMENTS if repository.Gst.ElementFactory.find(name) is None]
    if lacking:
        raise Incomplete(f"GStreamer has no element {', '.join(lacking)}")
    return repository


class Cameras:
    """An RTSP server with one mount point for each recording."""

    def __init__(self, repository: Any, config: "dict[str, Any]") -> None:
        self._gst = repository.Gst
        self._rtsp = repository.GstRtspServer
        self._glib = repository.GLib
        self._methods = repository.GstRtsp.RTSPAuthMethod
        self._started_s = time.monotonic()
        self._server = self._rtsp.RTSPServer()
        self._server.set_address(config["host"])
        self._server.set_service(str(config["port"]))
        self._has_users = config["username"] is not None
        if self._has_users:
            self._server.set_auth(self._auth(config))
        mounts = self._server.get_mount_points()
        for camera in config["cameras"]:
            mounts.add_factory("/" + camera["name"], self._factory(camera))

    def listen(self) -> "int | None":
        """Start to accept clients and return the port, or None if the address cannot be used."""
        if not self._server.attach(None):
            return None
        self._glib.timeout_add_seconds(_SESSION_CLEANUP_S, self._forget_lost_clients)
        return int(self._server.get_bound_port())

    def _forget_lost_clients(self) -> bool:
        self._server.get_session_pool().cleanup()
        return True  # keeps the timer running

    def _auth(self, config: "dict[str, Any]") -> Any:
        username, password = config["username"], config["password"]
        auth, token = self._rtsp.RTSPAuth(), self._rtsp.RTSPToken()
        token.set_string("media.factory.role", _ROLE)
        # The bindings accept one method at a time: their enum has no value for both together.
        if config["scheme"] == "basic":
            auth.set_supported_methods(self._methods.BASIC)
            auth.add_basic(self._rtsp.RTSPAuth.make_basic(username, password), token)
        else:
            auth.set_supported_methods(self._methods.DIGEST)
            auth.add_digest(username, password, token)
        return auth

    def _factory(self, camera: "dict[str, Any]") -> Any:
        factory = self._rtsp.RTSPMediaFactory()
        factory.set_launch(_PIPELINE)
        factory.set_shared(True)
        if self._has_users:
            permissions = self._rtsp.RTSPPermissions()
            for permission in ("media.factory.access", "media.factory.construct"):
                permissions.add_permission_for_role(_ROLE, permission, True)
            factory.set_permissions(permissions)
        factory.connect("media-configure", self._play, _open_loop(camera))
        return factory

    def _play(self, _factory: Any, media: Any, loop: Loop) -> None:
        """Feed a client's media from the current position of the recording.

        Every recording plays from the server's start, with or without viewers, so that cameras that
        were recorded together stay synchronized.
        """
        first = loop.key_at(int((time.monotonic() - self._started_s) * 1e9))
        origin_ns = loop.unit(first)[2]
        number = first

        def push_next(source: Any, _wanted_bytes: int) -> None:
            nonlocal number
            data, pts_ns, dts_ns = loop.unit(number)
            buffer = self._gst.Buffer.new_wrapped(data)
            buffer.pts, buffer.dts = pts_ns - origin_ns, dts_ns - origin_ns
            number += 1
            source.emit("push-buffer", buffer)

        source = media.get_element().get_by_name_recurse_up("recording")
        source.connect("need-data", push_next)


def _open_loop(camera: "dict[str, Any]") -> Loop:
    with Path(camera["stream"]).open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return Loop(data, [AccessUnit(*unit) for unit in camera["units"]], camera["period_ns"])


def say(message: "dict[str, Any]") -> None:
    """Send a message to the parent process."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(repository: Any, config: "dict[str, Any]") -> None:
    """Serve until standard input is closed."""
    cameras = Cameras(repository, config)
    port = cameras.listen()
    if port is None:
        say({"failed": f"{config['host']}:{config['port']} cannot be used as a listening address"})
        return
    glib = repository.GLib
    main_loop = glib.MainLoop()
    closed = glib.IOCondition.IN | glib.IOCondition.HUP
    glib.io_add_watch(
        sys.stdin.fileno(), glib.PRIORITY_DEFAULT, closed, lambda *_: main_loop.quit()
    )
    say({"port": port})
    main_loop.run()


def main() -> None:
    """Run the child process."""
    # The terminal sends Ctrl-C to the whole process group; the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # GStreamer would leave its list of plugins in the user's home folder.
    with tempfile.TemporaryDirectory(prefix="gstreamer-") as folder:
        os.environ.setdefault("GST_REGISTRY", os.path.join(folder, "registry"))  # noqa: PTH118
        run()


def run() -> None:
    """Probe, or serve until standard input is closed."""
    try:
        repository = load_gstreamer()
    except Incomplete as incomplete:
        say({"missing": str(incomplete)})
        return
    if "--probe" in sys.argv[1:]:
        say({"version": repository.Gst.version_string()})
        return
    line = sys.stdin.readline()
    if line:
        serve(repository, json.loads(line))


if __name__ == "__main__":
    main()
