"""Pictures of the cameras: who may see what, people made unrecognizable, each made once for all."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from msgspec.structs import replace
from tests.web.live_shop import PERSON, LiveStage, decoded, noise, open_live_shop, until

from trinetra.adapters.disk.audit import AuditLog
from trinetra.client import AsyncClient
from trinetra.errors import BufferUnavailable
from trinetra.events.schema import TrackPosition
from trinetra.hosting import serving
from trinetra.values import CameraId, CustomerId, IdentityKind, TrackId
from trinetra.web.access import Role
from trinetra.web.live.pictures import Variant

DOOR = "/v1/cameras/door/snapshot"
HEAD = (slice(50, 112), slice(104, 196))
"""The upper part of PERSON in a picture of 640 x 360."""
FEET = (slice(250, 340), slice(110, 190))


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[LiveStage]:
    async with open_live_shop(tmp_path) as stage:
        yield stage


def content(image: np.ndarray) -> np.ndarray:
    return image[140:500].astype(np.int16)


def off(picture: np.ndarray, image: np.ndarray, part: tuple[slice, slice]) -> float:
    return float(np.abs(picture[part] - content(image)[part]).mean())


async def test_heads_are_unrecognizable_and_the_rest_is_not(shop: LiveStage) -> None:
    image = noise()
    frame = await shop.frame(image=image)
    await shop.detect(frame, people=[PERSON])
    async with shop.client(Role.VIEWER) as client:
        reply = await client.get(DOOR)
    picture = decoded(reply.content)
    assert reply.headers["content-type"] == "image/jpeg"
    assert picture.shape == (360, 640, 3)
    assert off(picture, image, FEET) < 15
    assert off(picture, image, HEAD) > 40


async def test_a_face_without_a_person_is_unrecognizable_too(shop: LiveStage) -> None:
    image = noise()
    await shop.detect(await shop.frame(image=image), faces=[(800.0, 200.0, 900.0, 320.0)])
    async with shop.client(Role.VIEWER) as client:
        picture = decoded((await client.get(DOOR)).content)
    assert off(picture, image, (slice(100, 160), slice(400, 450))) > 40


async def test_a_person_missed_in_one_frame_is_hidden_by_the_frame_before(shop: LiveStage) -> None:
    await shop.detect(await shop.frame(), people=[PERSON])
    image = noise(99)
    await shop.detect(await shop.frame(image=image))
    async with shop.client(Role.VIEWER) as client:
        picture = decoded((await client.get(DOOR)).content)
    assert off(picture, image, FEET) < 15
    assert off(picture, image, HEAD) > 40


async def test_a_frame_of_which_nothing_is_known_is_reduced_as_a_whole(shop: LiveStage) -> None:
    image = noise()
    await shop.frame(image=image)
    async with shop.client(Role.VIEWER) as client:
        reply = await client.get(DOOR)
    picture = decoded(reply.content)
    assert "covered" in reply.headers["etag"]
    columns = np.abs(np.diff(picture.mean(axis=2).mean(axis=0))) > 2
    assert columns.sum() < 2 * 24


async def test_a_camera_that_does_not_look_for_people_is_coarse(shop: LiveStage) -> None:
    image = noise()
    await shop.detect(await shop.frame("parking", image=image))
    async with shop.client(Role.VIEWER) as client:
        picture = decoded((await client.get("/v1/cameras/parking/snapshot")).content)
    assert off(picture, image, FEET) > 30


async def test_the_same_frame_is_not_sent_again(shop: LiveStage) -> None:
    await shop.shown()
    async with shop.client(Role.VIEWER) as client:
        tag = (await client.get(DOOR)).headers["etag"]
        again = await client.get(DOOR, headers={"If-None-Match": tag})
        other = await client.get(DOOR, headers={"If-None-Match": '"garbage"'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/cameras/nowhere/snapshot", "no camera nowhere"),
        ("/v1/cameras/..%2f..%2fetc/snapshot", ""),
        ("/v1/cameras/nowhere/live", "no camera nowhere"),
        ("/v1/streams/nonsense", "no live topic"),
    ],
)
async def test_what_does_not_exist_is_not_found(shop: LiveStage, path: str, words: str) -> None:
    async with shop.client(Role.VIEWER) as client:
        reply = await client.get(path)
    assert reply.status_code == 404
    assert words in reply.json()["detail"]


async def test_a_camera_that_was_never_seen_has_an_empty_picture(shop: LiveStage) -> None:
    async with shop.client(Role.VIEWER) as client:
        reply = await client.get("/v1/cameras/till/snapshot")
    assert (reply.status_code, reply.content) == (204, b"")


async def test_faces_need_a_permission_and_are_entered_once_per_viewing(shop: LiveStage) -> None:
    image = noise()
    await shop.detect(await shop.frame(image=image), people=[PERSON])
    trail = AuditLog(shop.settings.data_dir / "audit")
    async with shop.client(Role.VIEWER) as client:
        refused = await client.get(DOOR, params={"faces": "clear"})
    assert (refused.status_code, trail.lines()) == (403, [])
    async with shop.client(Role.OPERATOR) as client:
        replies = [await client.get(DOOR, params={"faces": "clear"}) for _ in range(3)]
        blurred = await client.get(DOOR)
    assert off(decoded(replies[0].content), image, HEAD) < 15
    assert off(decoded(blurred.content), image, HEAD) > 40
    [line] = trail.lines()
    assert (line.action, "Asha" in line.detail, "door" in line.detail) == ("view_faces", True, True)


async def test_boxes_are_drawn_with_the_end_of_the_pseudonym(shop: LiveStage) -> None:
    frame = await shop.shown(people=[PERSON])
    who = {"customer_id": CustomerId("cus_abcdef"), "kind": IdentityKind.ENROLLED}
    await shop.track(frame, TrackPosition(TrackId("trk_1"), "person", PERSON, **who))
    async with shop.client(Role.VIEWER) as client:
        plain = decoded((await client.get(DOOR)).content)
        drawn = decoded((await client.get(DOOR, params={"boxes": True})).content)
    edge = (slice(200, 300), slice(99, 102))
    assert np.abs(plain[edge] - drawn[edge]).mean() > 20


async def test_a_damaged_picture_is_told_as_none(shop: LiveStage) -> None:
    frame = await shop.frame()
    broken = replace(frame, seq=frame.seq + 1, jpeg=b"\xff\xd8 nothing")
    await shop.buffer.append(broken)
    await shop.detect(broken)
    async with shop.client(Role.VIEWER) as client:
        assert (await client.get(DOOR)).status_code == 204


async def test_a_picture_is_made_once_for_all_who_ask(shop: LiveStage) -> None:
    await shop.shown(people=[PERSON])
    async with shop.client(Role.VIEWER) as client:
        replies = await asyncio.gather(*(client.get(DOOR) for _ in range(50)))
    assert len({reply.content for reply in replies}) == 1
    feed = shop.live.feed.pictures.feed("door")
    assert feed.encoded == 1


async def test_a_wall_is_read_in_one_request_without_what_is_known(shop: LiveStage) -> None:
    for camera in ("door", "till"):
        await shop.shown(camera, people=[PERSON])
    asked = {"camera": ["door", "till", "parking"]}
    async with shop.client(Role.VIEWER) as client:
        await until_bright(client, asked)
        reply = await client.get("/v1/snapshots", params=asked)
        tags = re.findall(rb'name="(\w+)"; filename="([^"]+)"', reply.content)
        known = ", ".join(f'"{tag.decode()}"' for _, tag in tags)
        again = await client.get("/v1/snapshots", params=asked, headers={"If-None-Match": known})
        await shop.shown("till")
        newest = await shop.live.feed.pictures.feed("till").picture(Variant(is_small=True))
    assert [name for name, _ in tags] == [b"door", b"till"]
    assert (again.status_code, again.content) == (304, b"")
    assert decoded(newest.jpeg).shape == (180, 320, 3)


async def until_bright(client: httpx.AsyncClient, asked: dict) -> None:
    """Ask until both pictures are there: a wall does not wait for the slowest camera."""
    while (await client.get("/v1/snapshots", params=asked)).content.count(b"filename=") < 2:
        pass


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 422),
        ({"camera": ["x"] * 65}, 422),
        ({"camera": ["door", "nowhere"]}, 404),
        ({"camera": ["door"], "faces": "clear"}, 403),
        ({"camera": ["door"], "faces": "shown"}, 422),
    ],
)
async def test_a_wall_that_cannot_be_shown_is_refused(
    shop: LiveStage, params: dict, status: int
) -> None:
    async with shop.client(Role.VIEWER) as client:
        assert (await client.get("/v1/snapshots", params=params)).status_code == status


async def test_an_outage_of_the_buffer_is_told_and_ends(
    shop: LiveStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.shown()

    async def away(camera_id: CameraId) -> None:
        raise BufferUnavailable("Redis at buffer:6379 does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(shop.live.feed.pictures.frames, "latest", away)
        async with shop.client(Role.VIEWER) as client:
            reply = await client.get(DOOR)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    async with shop.client(Role.VIEWER) as client:
        while (reply := await client.get(DOOR)).status_code == 503:
            pass
    assert reply.status_code == 200


async def test_a_stream_is_encoded_once_for_all_viewers(shop: LiveStage) -> None:
    await shop.shown()
    async with serving(shop.app, address="127.0.0.1", port=0) as port:
        url = f"http://127.0.0.1:{port}/v1/cameras/door/live"
        started = asyncio.Barrier(4)
        seen = await asyncio.gather(
            *(_two_pictures(shop, url, started) for _ in range(3)), _next(shop, started)
        )
    assert seen[0] == seen[1] == seen[2]
    assert [picture[:2] for picture in seen[0]] == [b"\xff\xd8"] * 2
    assert shop.live.feed.pictures.feed("door").encoded == 2


async def _next(shop: LiveStage, started: asyncio.Barrier) -> None:
    await started.wait()
    await shop.shown()


async def _two_pictures(shop: LiveStage, url: str, started: asyncio.Barrier) -> list[bytes]:
    async with httpx.AsyncClient(timeout=60) as client, client.stream("GET", url) as reply:
        assert "multipart/x-mixed-replace" in reply.headers["content-type"]
        found, content = [], b""
        async for part in reply.aiter_raw():
            content += part
            while (picture := _complete(content)) is not None:
                if not found:
                    await started.wait()
                found.append(picture)
                content = content[content.index(picture) + len(picture) :]
            if len(found) == 2:
                return found
    raise AssertionError("the stream ended")


def _complete(content: bytes) -> bytes | None:
    head, found, rest = content.partition(b"\r\n\r\n")
    if not found:
        return None
    length = int(head.lower().rpartition(b"content-length: ")[2])
    return rest[:length] if len(rest) >= length else None


async def test_a_feed_gives_a_slow_viewer_the_newest_picture(shop: LiveStage) -> None:
    feed = shop.live.feed.pictures.feed("door")
    await shop.shown()
    watching = feed.watch(Variant())
    first = await anext(watching)
    for _ in range(4):
        last = await shop.shown()
    await until(lambda: any(f.frame.seq == last.seq for f in feed._shown.values()))
    second = await anext(watching)
    await watching.aclose()
    assert second.captured_at == last.captured_at > first.captured_at


async def test_a_machine_that_is_far_behind_still_shows_an_older_frame(shop: LiveStage) -> None:
    feed = shop.live.feed.pictures.feed("door")
    frames = [await shop.frame() for _ in range(300)]
    for number, frame in enumerate(frames):
        feed._take(frame, number / 2)
    await shop.detect(frames[100])
    assert not feed._shown or feed._shown[False].seen is None
    near = [f for f in frames if (f.session, f.seq) in feed._pending]
    assert len(near) <= 64
    middle = next(f for f in near if f.seq > frames[100].seq)
    await shop.detect(middle)
    feed._take(frames[-1], 150.0)
    assert feed._shown[False].frame == middle


async def test_the_state_of_the_cameras_is_told_as_far_as_known(shop: LiveStage) -> None:
    frame = await shop.shown(people=[PERSON])
    await shop.track(frame, TrackPosition(TrackId("trk_1"), "person", PERSON))
    shop.signed_in.role = Role.VIEWER
    async with AsyncClient("http://shop", transport=httpx.ASGITransport(app=shop.app)) as client:
        door, till, parking = (await client.cameras()).items
        picture = await client.snapshot("door")
    assert (door.state, door.fps, door.dropped, door.people) == (
        "streaming",
        5.04,
        {"buffer_full": 3},
        1,
    )
    assert door.delay_s is not None
    assert (till.state, till.fps, till.people, till.delay_s) == ("unknown", None, None, None)
    assert parking.has_pictures
    assert picture.startswith(b"\xff\xd8")


async def test_people_are_placed_on_the_floor_without_names(shop: LiveStage) -> None:
    frame = await shop.frame()
    who = {"customer_id": CustomerId("cus_abcdef"), "kind": IdentityKind.STAFF}
    await shop.track(
        frame,
        TrackPosition(TrackId("trk_1"), "person", (590.0, 300.0, 690.0, 700.0), **who),
        TrackPosition(TrackId("trk_2"), "car", (0.0, 300.0, 90.0, 700.0)),
    )
    async with shop.client(Role.VIEWER) as client:
        plan = (await client.get("/v1/floor")).json()
    [person] = plan["now"]["people"]
    assert (person["camera"], person["kind"]) == ("door", "staff")
    assert 1.5 < person["x_m"] < 2.5
    assert "cus_abcdef" not in str(plan)
    assert [area["zone"] for area in plan["areas"]] == ["mat"]
    assert {camera["id"]: camera["is_calibrated"] for camera in plan["now"]["cameras"]} == {
        "door": True,
        "till": False,
    }
