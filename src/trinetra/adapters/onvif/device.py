"""Asks a camera for its streams by ONVIF (SOAP over HTTP, WS-UsernameToken with digest).

The camera is not trusted: redirects are not followed, addresses on other hosts are refused, answers
are bounded, and no message repeats what a camera sent.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit
from xml.sax.saxutils import escape

import httpx

from trinetra.adapters.onvif.xml import MAX_BYTES, Element, XmlRefused, read_xml
from trinetra.errors import ConfigurationError, SourceRefused, SourceUnavailable
from trinetra.ports import Clock
from trinetra.redaction import shown_address

_TIMEOUT_S = 5.0
_MOST_PROFILES = 8
_MAX_NAME = 100
_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_STREAM = (
    f'<StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream><Transport xmlns="{_SCHEMA}">'
    "<Protocol>RTSP</Protocol></Transport></StreamSetup><ProfileToken>{token}</ProfileToken>"
)


@dataclass(frozen=True, slots=True)
class Login:
    """A camera's user; none if the name is empty."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Login(...)"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that a camera offers; the address has no login."""

    name: str
    url: str
    codec: str = ""
    width: int = 0
    height: int = 0


def streams(
    address: str,
    login: Login,
    clock: Clock,
    *,
    transport: httpx.BaseTransport | None = None,
) -> list[Stream]:
    """Return the streams of a camera; blocks for at most some seconds a question.

    Raises ConfigurationError for an address that is none, SourceRefused for a login that the camera
    does not accept, SourceUnavailable for a camera that does not answer or answers garbage.
    """
    host = _host_of(address)
    with httpx.Client(
        timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False, transport=transport
    ) as http:
        camera = _Camera(http, host, login, clock, shown_address(address))
        camera.set_clock(address)
        media = camera.media_service(address)
        return list(camera.streams(media))


def _host_of(address: str) -> str:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as cause:
        raise ConfigurationError("this is no address of an ONVIF service") from cause
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ConfigurationError(
            "the address of an ONVIF service begins with http:// or https:// and has no login in it"
        )
    return parts.hostname


class _Camera:
    def __init__(
        self, http: httpx.Client, host: str, login: Login, clock: Clock, shown: str
    ) -> None:
        self._http = http
        self._host = host
        self._login = login
        self._clock = clock
        self._shown = shown
        self._ahead = timedelta()

    def set_clock(self, address: str) -> None:
        """Learn the camera's clock: it accepts only digests of its own present."""
        if not self._login.username:
            return
        answer = self._ask(address, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>', signed=False)
        told = answer.first("UTCDateTime")
        if told is None:
            return
        fields = [
            told.text_of(*path)
            for path in (
                ("Date", "Year"),
                ("Date", "Month"),
                ("Date", "Day"),
                ("Time", "Hour"),
                ("Time", "Minute"),
                ("Time", "Second"),
            )
        ]
        try:
            year, month, day, hour, minute, second = map(int, fields)
            now = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
            self._ahead = now - self._clock.now()
        except (ValueError, OverflowError) as cause:
            raise self._garbage("its clock shows no time") from cause

    def media_service(self, address: str) -> str:
        """Return the address of the service for streams."""
        asked = f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
        found = self._ask(address, asked).text_of("Capabilities", "Media", "XAddr")
        if not found:
            raise self._garbage("it names no service for streams")
        return self._own(found, ("http", "https"))

    def streams(self, media: str) -> Iterator[Stream]:
        """Yield the streams of the profiles."""
        profiles = list(self._ask(media, f'<GetProfiles xmlns="{_MEDIA}"/>').all("Profiles"))
        if not profiles:
            raise self._garbage("it has no profile with a stream")
        for profile in profiles[:_MOST_PROFILES]:
            token = escape(profile.attributes.get("token", ""))
            question = _STREAM.format(token=token)
            asked = f'<GetStreamUri xmlns="{_MEDIA}">{question}</GetStreamUri>'
            url = self._own(self._ask(media, asked).text_of("MediaUri", "Uri"), ("rtsp", "rtsps"))
            encoder = profile.first("VideoEncoderConfiguration") or Element("")
            yield Stream(
                name=_printable(profile.text_of("Name")),
                url=url,
                codec=_printable(encoder.text_of("Encoding")),
                width=_number(encoder.text_of("Resolution", "Width")),
                height=_number(encoder.text_of("Resolution", "Height")),
            )

    def _own(self, address: str, schemes: tuple[str, ...]) -> str:
        """Return an address without a login; raises SourceUnavailable if it leads elsewhere."""
        try:
            parts = urlsplit(address.strip())
            port = parts.port
        except ValueError as cause:
            raise self._garbage("it names an address that is none") from cause
        if parts.scheme not in schemes:
            raise self._garbage("it names an address of another kind")
        if parts.hostname != self._host:
            raise SourceUnavailable(
                f"{self._shown} names an address on another host, which is not followed; write the"
                " stream's address by hand if that is right"
            )
        host = f"[{parts.hostname}]" if ":" in self._host else self._host
        netloc = host if port is None else f"{host}:{port}"
        return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))

    def _ask(self, address: str, question: str, *, signed: bool = True) -> Element:
        header = self._header() if signed and self._login.username else ""
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_SOAP}">'
            f"<s:Header>{header}</s:Header><s:Body>{question}</s:Body></s:Envelope>"
        )
        status, payload = self._post(address, body.encode())
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._refused()
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise SourceUnavailable(f"{self._shown} redirects elsewhere, which is not followed")
        try:
            answer = read_xml(payload)
        except XmlRefused as cause:
            raise self._garbage(str(cause)) from cause
        if answer.first("Fault"):
            codes = {each.text.rpartition(":")[2].strip() for each in answer.all("Value")}
            if codes & {"NotAuthorized", "FailedAuthentication", "FailedCheck"}:
                raise self._refused()
            raise SourceUnavailable(f"{self._shown} does not answer this question of ONVIF")
        body_element = answer.first("Body")
        if body_element is None:
            raise self._garbage("it is no answer of ONVIF")
        return body_element

    def _post(self, address: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
        try:
            with self._http.stream("POST", address, content=body, headers=headers) as reply:
                payload = b""
                for part in reply.iter_raw():
                    payload += part
                    if len(payload) > MAX_BYTES:
                        raise self._garbage("it is too long")
                return reply.status_code, payload
        except httpx.HTTPError as cause:
            raise SourceUnavailable(
                f"{self._shown} does not answer by ONVIF ({type(cause).__name__}): check the "
                "address, and that ONVIF is switched on in the camera"
            ) from cause

    def _header(self) -> str:
        """Return the header with user name and digest (OASIS, Web Services Security 1.1)."""
        nonce = secrets.token_bytes(16)
        created = (self._clock.now() + self._ahead).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        secret = nonce + created.encode() + self._login.password.encode()
        digest = base64.b64encode(hashlib.sha1(secret, usedforsecurity=False).digest()).decode()
        name = f"{_SECURITY}-username-token-profile-1.0#PasswordDigest"
        encoding = f"{_SECURITY}-soap-message-security-1.0#Base64Binary"
        return (
            f'<Security s:mustUnderstand="1" xmlns="{_SECURITY}-wssecurity-secext-1.0.xsd">'
            f"<UsernameToken><Username>{escape(self._login.username)}</Username>"
            f'<Password Type="{name}">{digest}</Password>'
            f'<Nonce EncodingType="{encoding}">{base64.b64encode(nonce).decode()}</Nonce>'
            f'<Created xmlns="{_SECURITY}-wssecurity-utility-1.0.xsd">{created}</Created>'
            "</UsernameToken></Security>"
        )

    def _refused(self) -> SourceRefused:
        return SourceRefused(
            f"{self._shown} refuses the login: check user and password, and that this user may use "
            "ONVIF, which some cameras allow separately"
        )

    def _garbage(self, what: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self._shown} does not answer as a camera does: {what}. Write the stream's address "
            "by hand"
        )


def _printable(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable())[:_MAX_NAME]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len("99999") else 0
