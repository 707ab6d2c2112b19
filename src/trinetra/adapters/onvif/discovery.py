"""WS-Discovery (OASIS, 1.0 as ONVIF uses it): a probe by multicast, and the answers to it.

Anything in the network may answer. An answer counts only if it names our probe and an address on
the very host that sent it; everything else is counted as a problem and dropped.
"""

import fcntl
import selectors
import socket
import struct
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from trinetra.adapters.onvif.xml import Element, XmlRefused, read_xml
from trinetra.ports import Clock

GROUP, PORT = "239.255.255.250", 3702
_WAIT_S = 3.0
_MOST = 256
_MOST_PROBLEMS = 8
_MOST_DATAGRAMS = 4_096
_DATAGRAM = 65_535
_SIOCGIFADDR = 0x8915
_SCOPE = "onvif://www.onvif.org/"
_MAX_TEXT = 100
_PROBE = """\
<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" \
xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" \
xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" \
xmlns:n="http://www.onvif.org/ver10/network/wsdl">\
<e:Header><w:MessageID>{message}</w:MessageID>\
<w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>\
<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>\
<e:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that answered: the address of its ONVIF service, and what it tells of itself."""

    address: str
    host: str
    name: str = ""
    hardware: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The devices that answered, and what was wrong with other answers and interfaces."""

    devices: tuple[Device, ...]
    problems: tuple[str, ...] = ()


def interfaces() -> dict[str, str]:
    """Return the IPv4 address of each network interface that has one, without loopback."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(asker.fileno(), _SIOCGIFADDR, request)
            except OSError:  # an interface without an address
                continue
            address = socket.inet_ntoa(answer[20:24])
            if not ip_address(address).is_loopback:
                found[name] = address
    return found


def discover(addresses: Sequence[str], clock: Clock, *, wait_s: float = _WAIT_S) -> Discovery:
    """Probe through the interfaces with these addresses; blocks for ``wait_s``."""
    search = _Search()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for address in addresses:
            try:
                opened = stack.enter_context(_probing(address, search.message))
            except OSError as cause:
                reason = (cause.strerror or str(cause)).lower()
                search.note(f"the interface {address} cannot search: {reason}")
            else:
                selector.register(opened, selectors.EVENT_READ, opened)
        until_s = clock.monotonic() + wait_s
        while selector.get_map() and (left_s := until_s - clock.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                if not search.take(key.data):
                    return search.result()
    return search.result()


def _probing(address: str, message: str) -> socket.socket:
    """Return a socket that has sent the probe, twice, because datagrams get lost."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        opened.bind((address, 0))
        probe = _PROBE.format(message=message).encode()
        for _ in range(2):
            opened.sendto(probe, (GROUP, PORT))
    except OSError:
        opened.close()
        raise
    return opened


class _Search:
    """Collects the answers to one probe."""

    def __init__(self) -> None:
        self.message = f"uuid:{uuid.uuid4()}"
        self._devices: dict[str, Device] = {}
        self._problems: dict[str, int] = {}
        self._datagrams = 0

    def note(self, problem: str) -> None:
        self._problems[problem] = self._problems.get(problem, 0) + 1

    def take(self, opened: socket.socket) -> bool:
        """Read one answer; return False after too many."""
        try:
            payload, sender = opened.recvfrom(_DATAGRAM)
        except OSError:  # an ICMP error of an earlier datagram; the next answers come anyway
            return True
        self._datagrams += 1
        host = str(sender[0])
        try:
            for device in _devices(read_xml(payload), self.message, host):
                self._devices.setdefault(device.address, device)
        except XmlRefused as cause:
            self.note(f"{host} answered what is no discovery: {cause}")
        return len(self._devices) < _MOST and self._datagrams < _MOST_DATAGRAMS

    def result(self) -> Discovery:
        devices = sorted(self._devices.values(), key=lambda device: ip_address(device.host))
        return Discovery(tuple(devices), tuple(self._problems)[:_MOST_PROBLEMS])


def _devices(answer: Element, message: str, host: str) -> Iterator[Device]:
    """Yield the devices of an answer. Raises XmlRefused if it answers another probe."""
    if answer.text_of("Header", "RelatesTo") != message:
        raise XmlRefused("it does not answer this search")
    for match in answer.all("ProbeMatch"):
        scopes = match.text_of("Scopes").split()
        addresses = match.text_of("XAddrs").split()
        own = [each for each in addresses if _is_on(each, host)]
        if not own:
            raise XmlRefused("its address is not on the host that answered")
        yield Device(
            address=own[0],
            host=host,
            name=_scope(scopes, "name"),
            hardware=_scope(scopes, "hardware"),
            location=_scope(scopes, "location"),
        )


def _is_on(address: str, host: str) -> bool:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    is_plain = parts.scheme in {"http", "https"} and "@" not in parts.netloc
    return is_plain and parts.hostname == host and len(address) <= 4 * _MAX_TEXT


def _scope(scopes: Sequence[str], kind: str) -> str:
    prefix = f"{_SCOPE}{kind}/"
    value = next((scope[len(prefix) :] for scope in scopes if scope.startswith(prefix)), "")
    text = unquote(value, errors="replace")
    return "".join(sign for sign in text if sign.isprintable())[:_MAX_TEXT]
