"""RTSP camera for tests: plays an H.264 file in a loop over RTSP, and fails on command.

RTSP 1.0 (RFC 2326) with interleaved RTP (RFC 3550), H.264 in packetization mode 1 (RFC 6184) and
digest authentication (RFC 2617). Nothing is transcoded: the file's access units go out as they are.
"""

import asyncio
import base64
import hashlib
import itertools
import re
import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import av

_RTP_HZ = 90_000
_RTP_PAYLOAD = 1_400
_FU_A = 28
_SPS = 7


class Mood(Enum):
    """Behavior of the camera for new connections."""

    WELL = "well"
    GARBAGE = "garbage"
    """Answers with bytes that are not RTSP."""
    SILENT = "silent"
    """Accepts and sends nothing."""


@dataclass(frozen=True)
class _Clip:
    """The access units of a file: ``(time in 90 kHz ticks, NAL units)``, and its parameter sets."""

    parameter_sets: list[bytes]
    units: list[tuple[int, list[bytes]]]
    duration: int


def _load(path: Path) -> _Clip:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        parameter_sets = _parameter_sets(stream.codec_context.extradata)
        units = []
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            nals = list(_length_prefixed(bytes(packet)))
            if packet.is_keyframe and not any(nal[0] & 31 == _SPS for nal in nals):
                nals = parameter_sets + nals
            units.append((_ticks(packet.pts * packet.time_base), nals))
        frame_ticks = _ticks(1 / stream.average_rate)
    return _Clip(parameter_sets, units, units[-1][0] - units[0][0] + frame_ticks)


def _ticks(seconds: Fraction) -> int:
    return int(seconds * _RTP_HZ)


def _length_prefixed(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def _parameter_sets(avcc: bytes) -> list[bytes]:
    """Return SPS and PPS from an AVCDecoderConfigurationRecord (ISO 14496-15)."""
    found, at = [], 5
    for mask in (31, 255):
        count, at = avcc[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(avcc[at : at + 2])
            found.append(avcc[at + 2 : at + 2 + size])
            at += 2 + size
    return found


def _fragments(nal: bytes) -> list[bytes]:
    """Return a NAL unit as RTP payloads: whole, or in FU-A fragments."""
    if len(nal) <= _RTP_PAYLOAD:
        return [nal]
    indicator, header, body = nal[0] & 0xE0 | _FU_A, nal[0] & 31, nal[1:]
    starts = range(0, len(body), _RTP_PAYLOAD)
    return [
        bytes([indicator, (0x80 if at == 0 else 0) | (0x40 if at == starts[-1] else 0) | header])
        + body[at : at + _RTP_PAYLOAD]
        for at in starts
    ]


class RtspCamera:
    """The camera, with its own thread and event loop; a context manager.

    Every path except ``missing`` is a stream. Pictures are carried by TCP, or with ``udp`` by UDP
    only. ``preview`` is a clip that it offers as another video, before its own.
    """

    def __init__(
        self,
        clip: Path,
        *,
        user: str | None = None,
        password: str | None = None,
        udp: bool = False,
        preview: Path | None = None,
    ) -> None:
        self._udp = udp
        self._clips = [_load(each) for each in (preview, clip) if each is not None]
        self._user, self._password = user, password
        self._nonce = secrets.token_hex(8)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rtsp-camera")
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._playing = asyncio.Event()
        self._playing.set()
        self.mood = Mood.WELL
        self.plays = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self) -> None:
        """Listen, on the same port as before a restart."""
        self._do(self._start())

    def kill(self) -> None:
        """Stop listening and close every connection."""
        self._do(self._kill())

    def drop(self) -> None:
        """Close every connection, but keep listening."""
        self._do(self._drop())

    def stall(self) -> None:
        """Keep the connections open, but send no more pictures."""
        self._loop.call_soon_threadsafe(self._playing.clear)

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self._playing.set)

    def _do(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _drop(self) -> None:
        for client in self._clients:
            client.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _kill(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._drop()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(writer)
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has disconnected
        except asyncio.CancelledError:
            pass  # drop() or kill()
        finally:
            self._tasks.discard(task)
            self._clients.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mood is Mood.GARBAGE:
            await reader.read(1)
            writer.write(b"\x00\xffSMTP? no.\r\n\r\n" * 64)
            await writer.drain()
            return
        if self.mood is Mood.SILENT:
            await asyncio.Event().wait()
        pumps, client_port = [], 0
        try:
            while (request := await _next_request(reader)) is not None:
                method, url, headers = request
                status, extra, body = self._answer(method, url, headers)
                if ports := re.search(r"client_port=(\d+)", headers.get("transport", "")):
                    client_port = int(ports[1])
                writer.write(_response(status, headers.get("cseq", "0"), extra, body))
                await writer.drain()
                if method == "PLAY" and status == 200:
                    self.plays += 1
                    pumps += [
                        asyncio.create_task(self._pump(writer, client_port, track))
                        for track in range(len(self._clips))
                    ]
                if method == "TEARDOWN":
                    break
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _answer(self, method: str, url: str, headers: dict[str, str]) -> tuple[int, str, str]:
        if method != "OPTIONS" and not self._is_authorised(
            method, headers.get("authorization", "")
        ):
            return 401, f'WWW-Authenticate: Digest realm="cam", nonce="{self._nonce}"\r\n', ""
        if urlsplit(url).path.startswith("/missing"):
            return 404, "", ""
        if method == "DESCRIBE":
            return 200, f"Content-Type: application/sdp\r\nContent-Base: {url}/\r\n", self._sdp()
        if method == "SETUP" and ("TCP" in headers.get("transport", "")) == self._udp:
            return 461, "", ""
        if method == "SETUP":
            channel = 2 * int(url.rpartition("=")[2])
            tcp = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
            transport = f"Transport: {headers['transport'] if self._udp else tcp}\r\n"
            return 200, f"{transport}Session: 12345678;timeout=60\r\n", ""
        public = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        return 200, f"{public}Session: 12345678\r\n", ""

    def _is_authorised(self, method: str, header: str) -> bool:
        if self._user is None:
            return True
        if not header.startswith("Digest "):
            return False
        fields = dict(part.strip().split("=", 1) for part in header[7:].split(","))
        fields = {name: value.strip('"') for name, value in fields.items()}
        account = _md5(f"{self._user}:cam:{self._password}")
        request = _md5(f"{method}:{fields['uri']}")
        return fields["response"] == _md5(f"{account}:{self._nonce}:{request}")

    def _sdp(self) -> str:
        session = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        head = f"{session}a=control:*\r\n"
        return head + "".join(_media(clip, track) for track, clip in enumerate(self._clips))

    async def _pump(self, writer: asyncio.StreamWriter, client_port: int, track: int) -> None:
        clip = self._clips[track]
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        started = self._loop.time()
        number = itertools.count(secrets.randbelow(1 << 16))
        offset = secrets.randbelow(1 << 31)
        try:
            for turn in itertools.count():
                for ticks, nals in clip.units:
                    at = turn * clip.duration + ticks
                    await asyncio.sleep(started + at / _RTP_HZ - self._loop.time())
                    await self._playing.wait()
                    packets = _packets(nals, number, offset + at)
                    if self._udp:
                        for packet in packets:
                            datagrams.sendto(packet, ("127.0.0.1", client_port))
                        continue
                    writer.write(b"".join(_interleaved(packet, 2 * track) for packet in packets))
                    await writer.drain()
        except ConnectionError:
            return
        finally:
            datagrams.close()


async def _next_request(
    reader: asyncio.StreamReader,
) -> tuple[str, str, dict[str, str]] | None:
    """Return method, URL and headers, skipping the client's RTCP; None at the end of the stream."""
    while first := await reader.read(1):
        if first == b"$":
            _, size = struct.unpack(">BH", await reader.readexactly(3))
            await reader.readexactly(size)
            continue
        lines = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, url, _ = lines[0].split(" ")
        pairs = (line.split(": ", 1) for line in lines[1:] if ": " in line)
        return method, url, {name.lower(): value for name, value in pairs}
    return None


def _response(status: int, cseq: str, extra: str, body: str) -> bytes:
    reasons = {200: "OK", 401: "Unauthorized", 404: "Not Found", 461: "Unsupported Transport"}
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"RTSP/1.0 {status} {reasons[status]}\r\nCSeq: {cseq}\r\n{extra}{length}\r\n"
    return (head + body).encode()


def _packets(nals: list[bytes], number: Iterator[int], ticks: int) -> list[bytes]:
    payloads = [part for nal in nals for part in _fragments(nal)]
    packets = []
    for index, payload in enumerate(payloads):
        marker = 0x80 if index == len(payloads) - 1 else 0
        rtp = struct.pack(
            ">BBHII", 0x80, marker | 96, next(number) & 0xFFFF, ticks & 0xFFFFFFFF, 0x7E57
        )
        packets.append(rtp + payload)
    return packets


def _interleaved(packet: bytes, channel: int) -> bytes:
    return struct.pack(">BBH", 36, channel, len(packet)) + packet


def _media(clip: _Clip, track: int) -> str:
    """Return the media description of a video (RFC 6184, 8.2.1)."""
    sprop = ",".join(base64.b64encode(one).decode() for one in clip.parameter_sets)
    profile = clip.parameter_sets[0][1:4].hex()
    return (
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop};"
        f"profile-level-id={profile}\r\na=control:trackID={track}\r\n"
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
