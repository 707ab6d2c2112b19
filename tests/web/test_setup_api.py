"""``/v1/setup``: several people change one site file, and none overwrites another."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.web.setup_shop import SITE, SetupShop, made_shop

from trinetra.web.access import Role

MOVE = {"op": "put", "path": ["cameras", "door", "lines", "main", "a"], "value": [0.2, 0.5]}


@pytest.fixture
def shop(tmp_path: Path) -> SetupShop:
    return made_shop(tmp_path)


async def test_the_file_is_told_as_text_and_as_what_it_says(shop: SetupShop) -> None:
    answer = await shop.client().get("/v1/setup")
    found = answer.json()
    assert answer.headers["etag"] == f'"{found["etag"]}"'
    assert found["text"] == SITE
    assert (found["is_valid"], found["cannot_write"]) == (True, None)
    [line] = found["cameras"][0]["lines"]
    assert (line["id"], line["way_in"]) == ("main", "down")
    assert found["edges"] == [{"a": "door", "b": "till", "distance_m": 12.0, "one_way": False}]


async def test_addresses_are_hidden_from_those_who_may_only_read(shop: SetupShop) -> None:
    for role in (Role.OPERATOR, Role.PRIVACY_OFFICER):
        answer = await shop.client(role).get("/v1/setup")
        assert answer.status_code == 200
        assert "hidden" not in answer.text
        assert "# by the ladder" in answer.json()["text"]
    assert (await shop.client(Role.VIEWER).get("/v1/setup")).status_code == 403
    assert (await shop.client(Role.OPERATOR).post("/v1/setup/check", json={})).status_code == 403


async def test_a_check_tells_findings_difference_and_takeover_and_writes_nothing(
    shop: SetupShop,
) -> None:
    proposal = {"edits": [MOVE, {"path": ["policies"], "value": {"stays": {"bridge_s": 4}}}]}
    review = (await shop.client().post("/v1/setup/check", json=proposal)).json()
    assert review["is_valid"]
    assert (
        "+      - {id: main, a: [0.2, 0.5], b: [0.9, 0.5]}  # chalked on the floor"
        in review["diff"]
    )
    hows = {each["what"]: each["how"] for each in review["takeovers"]}
    assert hows == {"policies": "restart", "cameras.door": "restart"}  # this process runs nothing
    assert shop.path.read_text() == SITE


async def test_all_mistakes_are_told_at_once_with_their_places(shop: SetupShop) -> None:
    text = SITE.replace("role: entrance", "role: entrnce").replace("[0.9, 0.5]", "[9, 0.5]")
    review = (await shop.client().post("/v1/setup/check", json={"text": text})).json()
    errors = [f for f in review["findings"] if f["kind"] == "error"]
    assert not review["is_valid"]
    assert [(e["line"], e["path"]) for e in errors] == [
        (6, "cameras[0].role"),
        (9, "cameras[0].lines[0].b[0]"),
    ]


async def test_a_line_that_cannot_count_is_a_warning(shop: SetupShop) -> None:
    low = {
        "path": ["cameras", "door", "lines", "main"],
        "value": {"id": "main", "a": [0, 1], "b": [1, 1]},
    }
    review = (await shop.client().post("/v1/setup/check", json={"edits": [low]})).json()
    assert any("runs along the lower border" in f["message"] for f in review["findings"])


async def test_a_change_is_written_with_comments_and_mode_kept(shop: SetupShop) -> None:
    shop.path.chmod(0o640)
    answer = await shop.put(await shop.etag(), edits=[MOVE])
    assert answer.status_code == 200
    assert shop.path.read_text() == SITE.replace("a: [0.1, 0.5]", "a: [0.2, 0.5]")
    assert stat.S_IMODE(shop.path.stat().st_mode) == 0o640
    assert answer.headers["etag"] == await shop.etag()
    [kept] = (shop.path.parent / "site.yaml.history").iterdir()
    assert kept.read_text() == SITE


async def test_of_two_people_the_second_sees_what_the_first_did(shop: SetupShop) -> None:
    read_by_both = await shop.etag()
    assert (await shop.put(read_by_both, edits=[MOVE])).status_code == 200
    other = {"path": ["timezone"], "value": "Asia/Kolkata"}
    refused = await shop.put(read_by_both, edits=[other])
    told = refused.json()
    assert (refused.status_code, told["etag"]) == (412, (await shop.etag()).strip('"'))
    assert "-      - {id: main, a: [0.1, 0.5]" in told["diff"]
    assert "+      - {id: main, a: [0.2, 0.5]" in told["diff"]
    assert "Kolkata" not in shop.path.read_text()
    assert (await shop.put(f'"{told["etag"]}"', edits=[other])).status_code == 200
    assert "a: [0.2, 0.5]" in shop.path.read_text()


async def test_an_edit_by_hand_meanwhile_is_shown_as_a_difference(shop: SetupShop) -> None:
    etag = await shop.etag()
    shop.path.write_text(SITE + "# moved by Ravi\n")
    refused = await shop.put(etag, edits=[MOVE])
    assert refused.status_code == 412
    assert "+# moved by Ravi" in refused.json()["diff"]
    assert shop.path.read_text() == SITE + "# moved by Ravi\n"


async def test_a_state_that_no_one_knows_has_no_difference(shop: SetupShop) -> None:
    refused = await shop.put('"0123456789abcdef0123456789abcdef"', edits=[MOVE])
    assert (refused.status_code, refused.json()["diff"]) == (412, None)


async def test_after_a_restart_the_difference_comes_from_the_copies(
    shop: SetupShop, tmp_path: Path
) -> None:
    first = await shop.etag()
    changed = await shop.put(first, edits=[MOVE])
    again = made_shop(tmp_path, shop.path.read_text())
    refused = await again.put(first, edits=[])
    assert refused.status_code == 412
    assert "+      - {id: main, a: [0.2, 0.5]" in refused.json()["diff"]
    assert changed.headers["etag"] == await again.etag()


async def test_without_if_match_nothing_is_written(shop: SetupShop) -> None:
    answer = await shop.client().put("/v1/setup", json={"edits": [MOVE]})
    assert answer.status_code == 428
    for wrong in ("*", 'W/"0123456789"', "x"):
        assert (await shop.put(wrong, edits=[MOVE])).status_code == 422
    assert shop.path.read_text() == SITE


async def test_an_invalid_change_is_refused_with_its_findings(shop: SetupShop) -> None:
    wide = {"path": ["cameras", "door", "lines", "main", "a"], "value": [2, 0.5]}
    refused = await shop.put(await shop.etag(), edits=[wide])
    told = refused.json()
    assert (refused.status_code, told["findings"][0]["path"]) == (422, "cameras[0].lines[0].a[0]")
    assert shop.path.read_text() == SITE


HUGE = [[n / 100_000, (n * n % 7) / 7] for n in range(100_000)]


@pytest.mark.parametrize(
    "value",
    [
        HUGE,
        HUGE[:2000],
        [[0, 0]] * 65,
        [[0, 0], [1, 1], [0, 1], [1, 0]],
        [[0, 0], [1e308, 1], [0, 1]],
        "x" * 10_000,
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"k": 1}}}}}}}}}}},
        None,
        [],
    ],
    ids=["huge", "2000", "65", "bow tie", "far", "text", "deep", "null", "empty"],
)
async def test_polygons_that_are_none_are_refused(shop: SetupShop, value: Any) -> None:
    zone = {"id": "z", "polygon": value}
    edits = [{"path": ["cameras", "door", "zones"], "value": [zone]}]
    answer = await shop.client().post("/v1/setup/check", json={"edits": edits})
    refused = await shop.put(await shop.etag(), edits=edits)
    assert answer.status_code in {413, 422} or not answer.json()["is_valid"]
    assert refused.status_code in {413, 422}
    assert shop.path.read_text() == SITE


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_numbers_that_are_none_are_refused(shop: SetupShop, number: str) -> None:
    body = '{"edits": [{"path": ["cameras", "door", "lines", "main", "a"], "value": [%s, 0]}]}'
    for path in ("/v1/setup/check", "/v1/setup"):
        answer = await shop.client().request(
            "POST" if "check" in path else "PUT",
            path,
            content=body % number,
            headers={"If-Match": await shop.etag(), "Content-Type": "application/json"},
        )
        assert answer.status_code == 422
    pairs = f'{{"pairs": [[[0,0],[0,0]],[[1,0],[{number},0]],[[1,1],[4,4]],[[0,1],[0,4]]]}}'
    headers = {"Content-Type": "application/json"}
    answer = await shop.client().post("/v1/setup/floor", content=pairs, headers=headers)
    assert answer.status_code == 422


async def test_a_write_protected_file_is_told_before_and_at_the_attempt(shop: SetupShop) -> None:
    shop.path.chmod(0o444)
    found = (await shop.client().get("/v1/setup")).json()
    assert "write-protected" in found["cannot_write"]
    refused = await shop.put(f'"{found["etag"]}"', edits=[MOVE])
    assert (refused.status_code, "chmod u+w" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"", "the file is empty"),
        (b"a: [", '"line":1,"column":5'),
        (b"x" * 1_000_001, "larger"),
    ],
)
async def test_an_unreadable_file_is_an_answer_and_no_failure(
    shop: SetupShop, content: bytes, told: str
) -> None:
    shop.path.write_bytes(content)
    answer = await shop.client().get("/v1/setup")
    assert answer.status_code in {200, 409}
    assert told in answer.text
    check = await shop.client().post("/v1/setup/check", json={"edits": [MOVE]})
    assert check.status_code in {409, 422}


async def test_a_missing_file_is_an_answer(shop: SetupShop) -> None:
    shop.path.unlink()
    answer = await shop.client().get("/v1/setup")
    assert (answer.status_code, "cannot be read" in answer.json()["detail"]) == (409, True)


async def test_an_invalid_file_can_be_repaired_by_its_text(shop: SetupShop) -> None:
    shop.path.write_text("site: [")
    etag = await shop.etag()
    assert (await shop.put(etag, text=SITE)).status_code == 200
    assert shop.path.read_text() == SITE


async def test_floor_points_show_a_grid_and_their_error(shop: SetupShop) -> None:
    pairs = [[[0.1, 0.9], [0, 0]], [[0.9, 0.9], [4, 0]], [[0.7, 0.4], [4, 6]], [[0.3, 0.4], [0, 6]]]
    found = (await shop.client().post("/v1/setup/floor", json={"pairs": pairs})).json()
    assert found["rms_m"] < 1e-6
    assert len(found["grid"]) >= 10
    corner = [point for line in found["grid"] for point in line]
    assert any(abs(x - 0.1) < 0.03 and abs(y - 0.9) < 0.03 for x, y in corner)
    line = [[[0, 0], [0, 0]], [[0.1, 0.1], [1, 1]], [[0.2, 0.2], [2, 2]], [[0.3, 0.3], [3, 3]]]
    refused = await shop.client().post("/v1/setup/floor", json={"pairs": line})
    assert refused.status_code == 422


async def test_garbage_in_place_of_json_is_refused(shop: SetupShop) -> None:
    for body in (b"", b"{", b"[]", b"\xff", json.dumps({"edits": [{"path": []}]}).encode()):
        answer = await shop.client().post(
            "/v1/setup/check", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {400, 422}
