"""What the web shows live follows the site file while it runs; Setup draws on live pictures."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.web.live_shop import PERSON, SITE, LiveStage, decoded, noise, open_live_shop

from trinetra.values import CameraId
from trinetra.web.access import Role
from trinetra.web.live.pictures import Variant

YARD = """\
  - id: yard
    role: tracking
    source: {file: yard.mp4}
    position: {x_m: 1, y_m: 1}
policies"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


@pytest.fixture
async def shop(tmp_path: Path, path: Path) -> AsyncIterator[LiveStage]:
    async with open_live_shop(tmp_path, site_file=path) as stage:
        yield stage


async def save(shop: LiveStage, path: Path, text: str) -> None:
    await asyncio.to_thread(path.write_text, text)
    await shop.watcher.look()
    assert shop.watcher.problems == ()


async def cameras(shop: LiveStage) -> list[str]:
    async with shop.client(Role.VIEWER) as client:
        return [one["id"] for one in (await client.get("/v1/cameras")).json()["items"]]


async def test_a_camera_that_is_added_is_shown_without_a_restart(
    shop: LiveStage, path: Path
) -> None:
    assert await cameras(shop) == ["door", "till", "parking"]
    await save(shop, path, SITE.replace("policies", YARD))
    assert await cameras(shop) == ["door", "till", "parking", "yard"]
    image = noise()
    await shop.detect(await shop.frame("yard", image), people=[PERSON])
    async with shop.client(Role.VIEWER) as client:
        picture = await client.get("/v1/cameras/yard/snapshot")
        floor = (await client.get("/v1/floor")).json()
    assert picture.status_code == 200
    assert "blurred" in picture.headers["etag"]
    assert "yard" in {one["id"] for one in floor["now"]["cameras"]}


async def test_a_camera_that_is_removed_is_gone_and_its_viewers_are_let_go(
    shop: LiveStage, path: Path
) -> None:
    await shop.shown("till")
    feed = shop.live.feed.pictures.feed("till")
    watching = feed.watch(Variant())
    await anext(watching)
    waiting = asyncio.create_task(anext(watching, None))
    begin, end = SITE.index("  - id: till"), SITE.index("  - id: parking")
    await save(shop, path, SITE[:begin] + SITE[end:])
    assert await waiting is None
    assert await cameras(shop) == ["door", "parking"]
    async with shop.client(Role.VIEWER) as client:
        assert (await client.get("/v1/cameras/till/snapshot")).status_code == 404
        assert (await client.get("/v1/queues")).json()["queues"] == []
    assert await feed.picture(Variant()) is None
    assert await feed.present(Variant()) is None
    await shop.shown("till")  # a frame that was on its way
    assert shop.live.feed.view.tracks(CameraId("till"), (7, 1)) is None


async def test_a_camera_that_stays_keeps_its_viewers_and_what_is_known_of_it(
    shop: LiveStage, path: Path
) -> None:
    await shop.shown("door")
    before = shop.live.feed.pictures.feed("door")
    picture = await before.picture(Variant())
    await save(shop, path, SITE.replace("policies", YARD))
    assert shop.live.feed.pictures.feed("door") is before
    assert await before.picture(Variant()) is picture


async def test_zones_are_drawn_on_the_floor_as_the_file_has_them_now(
    shop: LiveStage, path: Path
) -> None:
    await save(shop, path, SITE.replace("{id: mat,", "{id: rug,"))
    async with shop.client(Role.VIEWER) as client:
        areas = (await client.get("/v1/floor")).json()["areas"]
    assert {area["zone"] for area in areas} == {"rug"}


async def test_setup_draws_on_the_live_picture_with_heads_unrecognizable(shop: LiveStage) -> None:
    image = noise()
    await shop.detect(await shop.frame(image=image), people=[PERSON])
    async with shop.client() as client:
        # The file of this camera does not exist: nothing but its live picture can be shown.
        reply = await client.get("/v1/setup/cameras/door/picture")
    picture, clear = decoded(reply.content), image[140:500].astype(np.int16)
    assert np.abs(picture - clear)[250:340, 110:190].mean() < 15
    assert np.abs(picture - clear)[50:112, 104:196].mean() > 40


@pytest.mark.parametrize("camera", ["till", "parking"])
async def test_setup_connects_to_a_camera_whose_live_picture_shows_too_little(
    shop: LiveStage, camera: str
) -> None:
    frame = await shop.frame(camera)  # nothing is known of it
    if camera == "parking":  # which does not look for people
        await shop.detect(frame)
    async with shop.client() as client:
        reply = await client.get(f"/v1/setup/cameras/{camera}/picture")
    assert reply.status_code == 502
    assert f"{camera}.mp4" in reply.json()["detail"]
