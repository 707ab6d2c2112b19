"""Cameras are found and asked by ONVIF; what answers garbage is told, and leads nowhere."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests.servers.onvif_camera import BOMB, LOOPBACK, OnvifCamera

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.onvif.device import Login, streams
from trinetra.adapters.onvif.discovery import Discovery, discover
from trinetra.adapters.onvif.xml import MAX_BYTES, XmlRefused, read_xml
from trinetra.errors import ConfigurationError, SourceRefused, SourceUnavailable

LOGIN = Login("admin", "secret & <old>")


@pytest.fixture
def camera() -> Iterator[OnvifCamera]:
    with OnvifCamera().running() as running:
        yield running


def found() -> Discovery:
    return discover([LOOPBACK], SystemClock(), wait_s=1.0)


# --- discovery


def test_a_camera_that_answers_is_found_once(camera: OnvifCamera) -> None:
    [device] = [each for each in found().devices if each.address == camera.address]
    assert (device.address, device.host) == (camera.address, LOOPBACK)
    assert (device.name, device.hardware) == ("Front door", "SIM-1")


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"", "empty"),
        (b"\x00\xff" * 50, "no XML"),
        (b"<a", "no XML"),
        (BOMB, "document type"),
        (b"<a>" * 100, "deeply nested"),
        (b'<?xml version="1.0" encoding="x-none"?><a/>', "no XML"),
    ],
    ids=["empty", "bytes", "cut", "bomb", "deep", "encoding"],
)
def test_garbage_is_a_problem_and_no_camera(camera: OnvifCamera, payload: bytes, told: str) -> None:
    camera.discovery = lambda _: payload
    result = found()
    assert camera.address not in {device.address for device in result.devices}
    if payload:
        assert any(told in problem for problem in result.problems)


def test_an_answer_to_another_search_and_one_that_points_elsewhere_are_dropped(
    camera: OnvifCamera,
) -> None:
    camera.discovery = lambda _: camera.match("uuid:other", camera.address)
    assert any("does not answer this search" in problem for problem in found().problems)
    for address in (
        "http://192.0.2.7/onvif",
        "file:///etc/passwd",
        "http://a@127.0.0.1/x",
        "http://127.0.0.1:99999/",
    ):
        camera.discovery = lambda message, address=address: camera.match(message, address)
        result = found()
        assert address not in {device.address for device in result.devices}
        assert any("not on the host that answered" in problem for problem in result.problems)


def test_names_are_text_of_bounded_length(camera: OnvifCamera) -> None:
    camera.discovery = lambda message: camera.match(message, camera.address, "%1b[31m" + "x" * 500)
    [device] = [each for each in found().devices if each.address == camera.address]
    assert device.name == "[31m" + "x" * 96


def test_an_interface_that_is_not_there_is_told() -> None:
    result = discover(["203.0.113.9"], SystemClock(), wait_s=0.1)
    assert "203.0.113.9 cannot search" in result.problems[0]


def test_large_xml_is_refused_before_it_is_read() -> None:
    with pytest.raises(XmlRefused, match="larger than 256 KiB"):
        read_xml(b"<a>" + b" " * MAX_BYTES + b"</a>")
    with pytest.raises(XmlRefused, match="too many"):
        read_xml(b"<a>" + b"<b/>" * 6000 + b"</a>")


# --- streams


def test_the_streams_of_a_camera_are_told_without_its_login(camera: OnvifCamera) -> None:
    [stream] = streams(camera.address, LOGIN, SystemClock())
    assert stream.url == "rtsp://127.0.0.1:554/main?a=1&b=2"
    assert (stream.name, stream.codec, stream.width, stream.height) == ("Main", "H264", 1920, 1080)


def test_a_wrong_password_is_refused_and_not_repeated(camera: OnvifCamera) -> None:
    for login in (Login("admin", "wrong"), Login("other", LOGIN.password), Login()):
        with pytest.raises(SourceRefused, match="refuses the login") as refused:
            streams(camera.address, login, SystemClock())
        assert "wrong" not in str(refused.value)
    assert camera.asked.count("GetProfiles") == 0


def test_a_camera_whose_clock_is_off_still_accepts_the_digest(camera: OnvifCamera) -> None:
    camera.clock_ahead = -40 * camera.clock_ahead
    assert streams(camera.address, LOGIN, SystemClock())


QUESTIONS = ("GetSystemDateAndTime", "GetCapabilities", "GetProfiles", "GetStreamUri")
GARBAGE = {
    "empty": b"",
    "bytes": b"\x00\xff" * 50,
    "html": b"<html><body>root:x:0:0 secret-page</body></html>",
    "bomb": BOMB,
    "endless": b"<a>" + b"x" * (MAX_BYTES + 1),
    "nothing": b"<e><Body/></e>",
    "elsewhere": b"<e><Body><Capabilities><Media><XAddr>http://192.0.2.7/m</XAddr></Media>"
    b"</Capabilities><Profiles token='a'/><MediaUri><Uri>rtsp://192.0.2.7/x</Uri></MediaUri>"
    b"<UTCDateTime><Date/></UTCDateTime></Body></e>",
    "files": b"<e><Body><Capabilities><Media><XAddr>file:///etc/passwd</XAddr></Media>"
    b"</Capabilities><MediaUri><Uri>file:///etc/passwd</Uri></MediaUri></Body></e>",
    "time": b"<e><Body><UTCDateTime><Date><Year>99999999</Year></Date></UTCDateTime></Body></e>",
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_to_any_question_is_a_clear_error_that_repeats_nothing(
    camera: OnvifCamera, question: str, garbage: bytes
) -> None:
    camera.answer[question] = garbage
    try:
        found = streams(camera.address, LOGIN, SystemClock())
    except SourceUnavailable as cause:
        told = str(cause)
    else:
        told = f"127.0.0.1 {found}"
        assert {urlsplit(stream.url).hostname for stream in found} == {LOOPBACK}
    assert "127.0.0.1" in told
    assert not any(word in told for word in ("secret", "passwd", "192.0.2.7", "root:"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_redirects_are_not_followed(camera: OnvifCamera, question: str) -> None:
    with OnvifCamera().running() as other:
        camera.status[question], camera.location = 302, other.address
        with pytest.raises(SourceUnavailable):
            streams(camera.address, LOGIN, SystemClock())
        assert other.asked == []


def test_a_stream_on_another_host_is_refused(camera: OnvifCamera) -> None:
    camera.stream_host = "192.0.2.7"
    with pytest.raises(SourceUnavailable, match="another host"):
        streams(camera.address, LOGIN, SystemClock())


@pytest.mark.parametrize(
    "address",
    [
        "ftp://127.0.0.1/x",
        "http://",
        "http://a:b@127.0.0.1/",
        "x",
        "http://[::1",
        "http://a:99999/",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError):
        streams(address, LOGIN, SystemClock())


def test_a_host_that_does_not_answer_is_told() -> None:
    with pytest.raises(SourceUnavailable, match="does not answer by ONVIF"):
        streams("http://127.0.0.1:9/onvif", LOGIN, SystemClock())


def test_a_login_shows_nothing_of_itself() -> None:
    assert "secret" not in repr(LOGIN)
