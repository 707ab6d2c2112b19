"""Cameras are searched and tried by the API: a login is used once, and nothing leads elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.servers.clips import jpeg, write_clip
from tests.servers.mjpeg_camera import MjpegCamera
from tests.servers.onvif_camera import BOMB, LOOPBACK, OnvifCamera
from tests.web.setup_shop import SITE, SetupShop, made_shop

from trinetra.adapters.clock import SystemClock
from trinetra.site import load_site
from trinetra.web.access import Role
from trinetra.wiring import camera_desk
from trinetra.wiring.camera_desk import SiteCameraDesk


@contextmanager
def searching(shop: SetupShop) -> Iterator[OnvifCamera]:
    desk = SiteCameraDesk(
        lambda: load_site(shop.path),
        {},
        SystemClock(),
        interfaces=lambda: {"lo": LOOPBACK},
        search_s=1.0,
    )
    shop.inner.state.backend = replace(shop.inner.state.backend, camera_desk=desk)
    with OnvifCamera().running() as camera:
        yield camera


@pytest.fixture
def shop(tmp_path: Path) -> SetupShop:
    return made_shop(tmp_path)


async def test_a_camera_is_found_asked_and_its_login_stays_out_of_every_answer(
    shop: SetupShop,
) -> None:
    with searching(shop) as camera:
        found = (await shop.client().post("/v1/setup/search")).json()
        [one] = [each for each in found["cameras"] if each["address"] == camera.address]
        assert (one["name"], one["host"], one["is_in_site"]) == ("Front door", LOOPBACK, False)
        login = {"address": one["address"], "username": "admin", "password": camera.password}
        told = await shop.client().post("/v1/setup/streams", json=login)
        assert told.json()["streams"][0]["url"] == "rtsp://127.0.0.1:554/main?a=1&b=2"
        assert "secret" not in told.text
        refused = await shop.client().post("/v1/setup/streams", json=login | {"password": "hush"})
        assert (refused.status_code, "hush" in refused.text) == (502, False)


async def test_a_camera_that_answers_garbage_to_a_search_is_a_note(shop: SetupShop) -> None:
    with searching(shop) as camera:
        camera.discovery = lambda _: BOMB
        found = (await shop.client().post("/v1/setup/search")).json()
    assert camera.address not in {each["address"] for each in found["cameras"]}
    assert any("document type" in problem for problem in found["problems"])


async def test_a_camera_is_tried_with_a_login_and_shows_its_picture(shop: SetupShop) -> None:
    with MjpegCamera([jpeg(64, 48)] * 3, user="u", password="p@ss") as camera:
        body = {"url": camera.url, "username": "u", "password": "p@ss"}
        tried = (await shop.client().post("/v1/setup/tries", json=body)).json()
        assert (tried["problem"], tried["width"], tried["height"]) == (None, 64, 48)
        picture = await shop.client().get(tried["picture"])
        assert picture.headers["content-type"] == "image/jpeg"
        assert picture.content[:2] == b"\xff\xd8"
        for role in (Role.OPERATOR, Role.PRIVACY_OFFICER, Role.VIEWER):
            assert (await shop.client(role).get(tried["picture"])).status_code == 403
            assert (await shop.client(role).post("/v1/setup/tries", json=body)).status_code == 403
    assert "p@ss" not in shop.path.read_text()


async def test_a_page_that_is_no_camera_tells_nothing_of_itself(shop: SetupShop) -> None:
    page = b"<html>root:x:0:0 internal dashboard</html>"
    with MjpegCamera([], body=page, content_type="text/html") as camera:
        tried = await shop.client().post("/v1/setup/tries", json={"url": camera.url})
    assert tried.json()["problem"]
    assert "internal" not in tried.text
    assert "root:" not in tried.text


async def test_a_redirect_to_another_host_is_not_followed(shop: SetupShop) -> None:
    with (
        MjpegCamera([jpeg(64, 48)] * 3) as other,
        MjpegCamera([], redirect=other.url) as camera,
    ):
        tried = (await shop.client().post("/v1/setup/tries", json={"url": camera.url})).json()
        assert tried["problem"]
        assert other.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "concat:/etc/passwd",
        "rtsp://a:b@192.0.2.1/",
        "gopher://127.0.0.1/",
        "http://[::1",
        "rtsp://",
    ],
)
async def test_what_is_no_address_of_a_camera_is_refused(shop: SetupShop, url: str) -> None:
    tried = await shop.client().post("/v1/setup/tries", json={"url": url})
    assert tried.status_code == 422


async def test_few_cameras_are_tried_at_once(
    shop: SetupShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_desk, "_AT_ONCE", 0)
    tried = await shop.client().post("/v1/setup/tries", json={"url": "rtsp://192.0.2.1/"})
    assert (tried.status_code, "Retry-After" in tried.headers) == (429, True)


async def test_the_picture_for_drawing_comes_from_the_camera_of_the_file(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=5, fps=10, size=(160, 96))
    text = SITE.replace('{url: "rtsp://192.0.2.2/x"}', "{file: clip.mp4}")
    shop = made_shop(tmp_path, text)
    picture = await shop.client().get("/v1/setup/cameras/till/picture")
    assert (picture.status_code, picture.content[:2]) == (200, b"\xff\xd8")
    assert (await shop.client().get("/v1/setup/cameras/gone/picture")).status_code == 404
    assert (await shop.client().get("/v1/setup/tries/gone/picture")).status_code == 404
