"""A camera that speaks ONVIF on loopback: answers multicast probes, and SOAP with a digest login.

It can misbehave in every way that a test names: answer garbage, entity bombs, addresses of other
hosts, redirects, endless bodies, or nothing.
"""

import base64
import hashlib
import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

LOOPBACK, GROUP, PORT = "127.0.0.1", "239.255.255.250", 3702
_ENVELOPE = (
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" '
    'xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:tt="http://www.onvif.org/ver10/schema">{}</s:Envelope>'
)
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">'
    b'<!ENTITY z SYSTEM "file:///etc/passwd">]><a>&y;&z;</a>'
)


@dataclass
class OnvifCamera:
    """A camera; ``answer`` replaces what it says to a SOAP question, by the question's name."""

    username: str = "admin"
    password: str = "secret & <old>"
    clock_ahead: timedelta = timedelta(hours=3)
    answer: dict[str, bytes] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    location: str = ""
    stream_host: str = LOOPBACK
    discovery: Callable[[str], bytes] | None = None
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/onvif/device_service"

    # --- discovery

    def matches(self, message: str) -> bytes:
        """Return the answer to a probe."""
        if self.discovery is not None:
            return self.discovery(message)
        return self.match(message, self.address)

    def match(self, message: str, address: str, scope: str = "Front%20door") -> bytes:
        return (
            '<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
            'xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
            'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
            f"<e:Header><w:RelatesTo>{message}</w:RelatesTo></e:Header><e:Body><d:ProbeMatches>"
            f"<d:ProbeMatch><d:Scopes>onvif://www.onvif.org/name/{scope} "
            "onvif://www.onvif.org/hardware/SIM-1</d:Scopes>"
            f"<d:XAddrs>{address}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
        ).encode()

    # --- SOAP

    def reply(self, body: str) -> tuple[int, bytes]:
        """Return status and body of the answer to a question."""
        found = re.search(r"<s:Body><(\w+)", body)
        name = found[1] if found else ""
        self.asked.append(name)
        if name in self.answer or name in self.status:
            return self.status.get(name, 200), self.answer.get(name, b"")
        if name != "GetSystemDateAndTime" and not self._is_signed(body):
            fault = (
                "<s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode>"
                "<s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code></s:Fault></s:Body>"
            )
            return 400, _ENVELOPE.format(fault).encode()
        return 200, _ENVELOPE.format(f"<s:Body>{getattr(self, f'_{name}')()}</s:Body>").encode()

    def _is_signed(self, body: str) -> bool:
        """Check name and digest, and that it was made at the camera's own present."""
        fields = [
            re.search(rf"<{tag}[^>]*>([^<]*)</{tag}>", body)
            for tag in ("Username", "Password", "Nonce", "Created")
        ]
        if not all(fields):
            return False
        name, digest, nonce, created = (match[1] for match in fields if match)
        secret = base64.b64decode(nonce) + created.encode() + self.password.encode()
        expected = base64.b64encode(hashlib.sha1(secret).digest()).decode()  # noqa: S324
        made = datetime.fromisoformat(created)
        is_present = abs(made - self._now()) < timedelta(minutes=1)
        return (name, digest) == (self.username, expected) and is_present

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.clock_ahead

    def _GetSystemDateAndTime(self) -> str:  # noqa: N802
        now = self._now()
        return (
            "<tds:GetSystemDateAndTimeResponse><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
            f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
            f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date>"
            "</tt:UTCDateTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _GetCapabilities(self) -> str:  # noqa: N802
        address = f"http://{LOOPBACK}:{self.port}/onvif/media_service"
        return (
            "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media>"
            f"<tt:XAddr>{address}</tt:XAddr></tt:Media></tds:Capabilities>"
            "</tds:GetCapabilitiesResponse>"
        )

    def _GetProfiles(self) -> str:  # noqa: N802
        return (
            '<trt:GetProfilesResponse><trt:Profiles token="main"><tt:Name>Main</tt:Name>'
            "<tt:VideoEncoderConfiguration><tt:Encoding>H264</tt:Encoding><tt:Resolution>"
            "<tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:Resolution>"
            "</tt:VideoEncoderConfiguration></trt:Profiles></trt:GetProfilesResponse>"
        )

    def _GetStreamUri(self) -> str:  # noqa: N802
        url = f"rtsp://admin:leak@{self.stream_host}:554/main?a=1&amp;b=2"
        return (
            f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{url}</tt:Uri></trt:MediaUri>"
            "</trt:GetStreamUriResponse>"
        )

    # --- running

    @contextmanager
    def running(self) -> Iterator["OnvifCamera"]:
        """Serve SOAP on a free port, and answer probes on loopback."""
        server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        self.port = server.server_port
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((GROUP, PORT))
        membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(LOOPBACK))
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        listener.settimeout(0.1)  # the thread has to notice a stop
        stop = Event()
        threads = [
            Thread(target=server.serve_forever, daemon=True),
            Thread(target=self._answer_probes, args=(listener, stop), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            stop.set()
            for thread in threads:
                thread.join()
            listener.close()

    def _answer_probes(self, listener: socket.socket, stop: Event) -> None:
        while not stop.is_set():
            try:
                payload, sender = listener.recvfrom(65_535)
            except TimeoutError:
                continue
            found = re.search(rb"MessageID>([^<]+)<", payload)
            if found:
                listener.sendto(self.matches(found[1].decode()), sender)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, payload = camera.reply(body)
                self.send_response(status)
                if camera.location and 300 <= status < 400:
                    self.send_header("Location", camera.location)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler
