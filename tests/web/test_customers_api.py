"""``/v1/customers``: lists, evidence, changes, photos and erasure, as callers see them."""

import io
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from msgspec.structs import replace
from tests.flows.api_shop import NOON
from tests.web.people_shop import ANN, BOB, BOBS_VISIT, EVE, SCRIPT, PeopleShop, open_people_shop

from trinetra.adapters.disk.receipts import Signed, check
from trinetra.client import ApiProblem, NotAuthorized, Photo
from trinetra.values import CustomerId, EventId, GalleryEntry, IdentityKind
from trinetra.web.access import Role
from trinetra.web.photos import MOST_BYTES
from trinetra.wiring.audit_trail import audit_log

STRANGER = CustomerId("cus_0123456789abcdef01234567")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[PeopleShop]:
    async with open_people_shop(tmp_path) as opened:
        yield opened


def deeds(shop: PeopleShop) -> list[tuple[str, str]]:
    return [(line.by, line.action) for line in audit_log(shop.settings).lines()]


async def refused(reply: httpx.Response, status: int, told: str) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert told in reply.json()["detail"]


async def test_enrolled_customers_are_listed_in_pages_and_found_by_a_part_of_the_name(
    shop: PeopleShop,
) -> None:
    for number, who in enumerate((ANN, BOB, EVE)):
        await shop.know(who, f"{who.title()} {SCRIPT}", seed=number)
    client = shop.client(Role.OPERATOR)
    first = await client.customers(limit=2)
    second = await client.customers(limit=2, cursor=first.next_cursor)
    assert [c.customer_id for c in (*first.items, *second.items)] == [ANN, BOB, EVE]
    assert second.next_cursor is None
    [found] = (await client.customers(text="bOB")).items
    assert (found.name, found.photos, found.kind) == (f"Bob {SCRIPT}", 1, "vip")
    assert (await client.customers(kind="staff")).items == ()
    assert deeds(shop) == [("Asha", "list")] * 4


@pytest.mark.parametrize("cursor", ["x", "YQ", "\u00e9", "YR9i", "////"])
async def test_a_cursor_that_no_page_had_is_refused(shop: PeopleShop, cursor: str) -> None:
    reply = await shop.http().get("/v1/customers", params={"cursor": cursor})
    if cursor == "YR9i":  # well formed, and before everyone
        assert reply.status_code == 200
    else:
        await refused(reply, 422, "begin without one")


async def test_a_person_is_shown_with_all_that_is_on_record(shop: PeopleShop) -> None:
    await shop.know(ANN, "Ann")
    await shop.propose(ANN, BOB)
    ann = await shop.client().customer(ANN)
    assert ann.customer is not None
    assert (ann.customer.name, ann.may_be, ann.recorded) == ("Ann", (BOB,), 2)
    assert {(i.kind, i.event_id) for i in ann.timeline} == {("visit", "v1"), ("visit", "v2")}
    bob = await shop.client().customer(BOB)
    assert (bob.customer, bob.visits, bob.last_seen) == (None, 2, NOON + timedelta(minutes=30))


async def test_nobody_without_the_permission_sees_people(shop: PeopleShop) -> None:
    await shop.know(ANN, "Ann")
    for role in (None, Role.VIEWER):
        for path in ("/v1/customers", f"/v1/customers/{ANN}", f"/v1/explanations/{ANN}"):
            reply = await shop.http(role).get(path)
            assert reply.status_code == (401 if role is None else 403)
            assert "Ann" not in reply.text
    with pytest.raises(NotAuthorized, match="customers:erase"):
        await shop.client(Role.OPERATOR).erase_customer(ANN)
    assert deeds(shop) == []


async def test_a_customer_is_renamed_and_another_kind_needs_a_basis(shop: PeopleShop) -> None:
    await shop.know(ANN, "Ann")
    client = shop.client(Role.OPERATOR)
    assert (await client.update_customer(ANN, name="Anna")).customer.name == "Anna"
    with pytest.raises(ApiProblem, match="watchlist needs a purpose"):
        await client.update_customer(ANN, kind="watchlist")
    with pytest.raises(ApiProblem, match="nothing to change"):
        await client.update_customer(ANN)
    with pytest.raises(ApiProblem, match="printable"):
        await client.update_customer(ANN, name="A\nB")
    staff = await client.update_customer(ANN, kind="staff", purpose="works agreement of May")
    assert (staff.customer.kind, staff.customer.name) == ("staff", "Anna")
    assert ("Asha", "rename") in deeds(shop)


async def test_two_identities_are_merged_and_the_merge_is_undone(shop: PeopleShop) -> None:
    await shop.know(ANN, "Ann")
    await shop.propose(BOB, ANN, 0.83)
    client = shop.client(Role.OPERATOR)
    [candidate] = (await client.merge_candidates()).items
    assert (candidate.customer_id, candidate.other, candidate.other_name) == (BOB, ANN, "Ann")

    merged = await client.merge_customers(BOB, ANN)
    assert (merged.customer_id, merged.also_known_as) == (ANN, (BOB,))
    assert (await client.merge_candidates()).items == ()
    assert (await client.split_customer(BOB)).customer is None
    with pytest.raises(ApiProblem, match="nothing to undo") as failure:
        await client.split_customer(BOB)
    assert failure.value.status == 409
    assert [action for _, action in deeds(shop)].count("merge") == 1


async def test_a_pair_that_are_two_people_is_dismissed(shop: PeopleShop) -> None:
    await shop.propose(BOB, ANN)
    client = shop.client(Role.OPERATOR)
    await client.dismiss_merge_candidate(ANN, BOB)
    assert (await client.merge_candidates()).items == ()
    with pytest.raises(ApiProblem, match="no proposal"):
        await client.dismiss_merge_candidate(ANN, BOB)


async def test_an_unknown_person_is_not_found(shop: PeopleShop) -> None:
    http = shop.http()
    await refused(await http.get(f"/v1/customers/{STRANGER}"), 404, "is unknown")
    await refused(await http.post(f"/v1/customers/{STRANGER}/split"), 404, "is unknown")
    await refused(await http.get("/v1/customers/a%2Fb"), 404, "Not Found")
    await refused(await http.get("/v1/customers/a%20b"), 422, "customer_id")
    await refused(await http.get("/v1/explanations/evt_1"), 404, "journal")
    await refused(await http.get(f"/v1/customers/{ANN}/erasure"), 404, "no erasure of ann was")


async def test_staff_candidates_are_listed_with_reasons(shop: PeopleShop) -> None:
    assert (await shop.client().staff_candidates(7)).items == ()
    assert deeds(shop) == [("Asha", "list")]


async def test_who_was_accepted_as_staff_is_no_candidate_from_then_on(shop: PeopleShop) -> None:
    hours = {"started_at": NOON - timedelta(hours=9), "captured_at": NOON}
    names = {"event_id": EventId("eve9"), "customer_id": EVE, "visit_number": 1}
    await shop.store.record([replace(BOBS_VISIT, **hours, **names)])
    await shop.know(EVE, "Eve")
    client = shop.client(Role.ADMIN)
    [found] = (await client.staff_candidates(7)).items
    assert (found.customer_id, found.present_s) == (EVE, 9 * 3600)
    await client.update_customer(EVE, kind="staff", purpose="works agreement")
    assert (await client.staff_candidates(7)).items == ()


async def test_a_person_is_erased_with_a_signed_receipt(shop: PeopleShop, tmp_path: Path) -> None:
    await shop.know(ANN, "Ann")
    client = shop.client(Role.PRIVACY_OFFICER)
    done = await client.erase_customer(ANN)
    again = await client.erasure(ANN)
    assert done.is_done
    assert again.is_done
    assert again.done_at == done.done_at
    file = tmp_path / "receipt.json"
    file.write_bytes(done.receipt.model_dump_json().encode())
    signed: Signed = check(file)
    assert signed.receipt["erased"].items() >= {
        ("book_entries", 3),
        ("gallery_faces", 0),
    }
    assert "Ann" not in done.model_dump_json(exclude={"customer_id"})
    with pytest.raises(ApiProblem, match="was erased"):
        await client.customer(ANN)
    assert [deed for deed in deeds(shop) if deed[1].startswith("forg")] == [
        ("Asha", "forget"),
        ("Asha", "forgotten"),
    ]
    assert (await client.customers()).items == ()


def jpeg(width: int = 40, height: int = 30) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def png_bomb() -> bytes:
    fields = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + fields + struct.pack(">I", zlib.crc32(fields))


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"", 422, "use a JPEG, PNG or WebP"),
        (b"GIF89a" + bytes(100), 422, "use a JPEG, PNG or WebP"),
        (b"<svg onload='alert(1)'/>", 422, "use a JPEG, PNG or WebP"),
        (png_bomb(), 422, "60000 x 60000 pixels"),
        (jpeg()[:300], 422, "not a readable image"),
        (bytes(MOST_BYTES + 1), 413, "10 MB"),
    ],
)
async def test_what_is_no_photo_is_refused_and_nothing_is_kept(
    shop: PeopleShop, content: bytes, status: int, told: str
) -> None:
    files = {"photo": ("a.jpg", content)}
    await refused(await shop.http().post("/v1/customers/search", files=files), status, told)
    data = {"name": "Ann", "consent": "true"}
    reply = await shop.http().post("/v1/customers", files=files, data=data)
    await refused(reply, status, told)
    assert (await shop.client().customers()).items == ()


class Endless(io.RawIOBase):
    """Counts what is read of it."""

    def __init__(self, size: int) -> None:
        self.left, self.size = size, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        count = min(self.left, len(buffer))  # type: ignore[arg-type]
        buffer[:count] = bytes(count)  # type: ignore[index]
        self.left -= count
        return count


async def test_a_photo_of_50_mb_is_refused_while_it_is_read(shop: PeopleShop) -> None:
    body = Endless(50 << 20)
    begin = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'

    async def sent() -> AsyncIterator[bytes]:
        yield begin
        while chunk := body.read(1 << 16):
            yield chunk

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = await shop.http().post("/v1/customers", content=sent(), headers=headers)
    await refused(reply, 413, "10 MB")
    assert body.size - body.left < MOST_BYTES + (1 << 20)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"content": b"photo"}, "multipart/form-data"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "boundary"),
        ({"files": {"other": b"x"}}, "no file named photo"),
        ({"files": [("photo", jpeg())] * 6, "data": {"name": "A"}}, "Too many files"),
        ({"files": {"photo": jpeg()}}, "name: Field required"),
        ({"files": {"photo": jpeg()}, "data": {"name": "A", "kind": "boss"}}, "kind:"),
    ],
)
async def test_a_form_that_is_wrong_says_where(shop: PeopleShop, request_: dict, told: str) -> None:
    await refused(await shop.http().post("/v1/customers", **request_), 422, told)


async def test_without_a_basis_no_photo_is_looked_at(shop: PeopleShop) -> None:
    with pytest.raises(ApiProblem, match="needs the person's consent") as failure:
        await shop.client().enroll_customer("Ann", [Photo("a.jpg", jpeg())])
    assert failure.value.status == 409


async def test_without_networks_a_search_says_what_to_do(
    shop: PeopleShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = shop.inner.state.backend.photos.reader  # type: ignore[attr-defined]
    empty = shop.settings.model_copy(update={"models_dir": None, "cache_dir": tmp_path / "none"})
    monkeypatch.setattr(reader, "_settings", empty)
    reply = await shop.http().post("/v1/customers/search", files={"photo": ("a.jpg", jpeg())})
    await refused(reply, 503, "trinetra models fetch")


@pytest.fixture
def faces(clips_dir: Path, models_dir: Path) -> dict[str, list[Path]]:
    """Return photographs of some people, by their names."""
    people = sorted((clips_dir.parent / "faces").iterdir())
    return {person.name: sorted(person.glob("*.jpg")) for person in people if person.is_dir()}


@pytest.mark.weights
@pytest.mark.clips
async def test_a_person_is_enrolled_and_found_by_other_photos_however_they_are_stored(
    shop: PeopleShop, faces: dict[str, list[Path]]
) -> None:
    from PIL import Image, ImageOps  # noqa: PLC0415 - of weasyprint, to write what OpenCV cannot

    anna, ben = faces["Ana_Guevara"], faces["Al_Gore"]
    client = shop.client(Role.OPERATOR)
    photos = [Photo(path.name, path.read_bytes()) for path in anna[:3]]
    enrolled = await client.enroll_customer(f"Ana {SCRIPT}", photos, consent=True, kind="vip")
    assert enrolled.photos == 3

    with Image.open(anna[3]) as image:
        cmyk, turned = io.BytesIO(), io.BytesIO()
        image.convert("CMYK").save(cmyk, "JPEG", quality=95)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be shown turned by a quarter
        ImageOps.exif_transpose(image).rotate(90, expand=True).save(turned, "JPEG", exif=exif)
    for content in (anna[3].read_bytes(), cmyk.getvalue(), turned.getvalue()):
        found = await client.search_by_photo(Photo("a.jpg", content))
        best = found.items[0]
        assert (best.customer_id, best.is_match) == (enrolled.customer_id, True)
        assert best.name == f"Ana {SCRIPT}"
    other = await client.search_by_photo(Photo("b.jpg", ben[0].read_bytes()))
    assert not any(match.is_match for match in other.items)
    with pytest.raises(ApiProblem, match="enrolled already"):
        await client.enroll_customer("Again", [Photo("a.jpg", anna[3].read_bytes())], consent=True)
    assert ("Asha", "search") in deeds(shop)
    assert not list(shop.settings.data_dir.rglob("*.jpg"))


@pytest.mark.weights
@pytest.mark.clips
async def test_a_search_also_finds_people_who_are_not_enrolled(
    shop: PeopleShop, faces: dict[str, list[Path]]
) -> None:
    [one, two, *_] = faces["Al_Gore"]
    reader = shop.inner.state.backend.photos.reader  # type: ignore[attr-defined]
    [shot] = (await reader.shots([Photo("a", one.read_bytes())], largest=True)).values()
    entry = GalleryEntry(
        "e1", BOB, IdentityKind.ANONYMOUS, shot.embedding, 0.8, NOON, NOON, None, False
    )
    await shop.gallery.upsert([entry])
    found = await shop.client().search_by_photo(Photo("b", two.read_bytes()), largest=True)
    assert [(m.customer_id, m.kind, m.name) for m in found.items] == [(BOB, "anonymous", None)]
