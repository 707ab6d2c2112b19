"""``trinetra customers``: an operator's changes to customers while no service runs."""

import asyncio
import json
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from tests.conftest import unavailable
from tests.flows.commands import Commands

from trinetra.adapters.sql.customer_log import SqlCustomerLog
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.commands import customers as customer_commands
from trinetra.customers.customer_feed import read_people
from trinetra.errors import CustomerConflict, PhotoRejected
from trinetra.events.customers import CustomerChange, CustomerDirectory
from trinetra.events.schema import Visit
from trinetra.identities.decision.enrollment import enrolled, faces_of
from trinetra.identities.tracking.track_faces import Shot
from trinetra.models.manifest import load_manifest
from trinetra.ports import Template
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, derive_id

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODEL = load_manifest().profile("default").face_embedder
GUIDE = Path(__file__).parents[2] / "docs" / "customers.md"
ANN, BOB, SHE = CustomerId("cus_ann"), CustomerId("cus_bob"), CustomerId("cus_anonymous")
customers = Commands("customers", customer_commands.register)
ran, failed = customers.output, customers.failed


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    return f"sqlite:///{tmp_path}/data/insights.db"


def people(url: str) -> CustomerDirectory:
    async def read() -> CustomerDirectory:
        async with SqlCustomerLog.open(url) as customer_log:
            return await read_people(customer_log)

    return asyncio.run(read())


def write(url: str, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()) -> None:
    async def keep() -> None:
        async with SqlCustomerLog.open(url) as customer_log:
            await customer_log.write(changes, templates)

    asyncio.run(keep())


def know(url: str, who: CustomerId, name: str, *, model: str = MODEL.version) -> None:
    face = np.random.default_rng(len(name)).normal(size=MODEL.dimension).astype(np.float32)
    shot = Shot(face / np.linalg.norm(face), 0.8, 90.0, NOW)
    kind = IdentityKind.VIP
    faces = [Template(model, entry) for entry in faces_of(who, kind, [shot])]
    write(url, [enrolled(who, name, kind, NOW, consent=True, purpose=None)], faces)


def visited(url: str, who: CustomerId) -> None:
    visit = Visit(
        event_id=EventId(f"visit_{who}"),
        site_id=SiteId("shop"),
        camera_id=CameraId("door"),
        captured_at=NOW,
        customer_id=who,
        kind=IdentityKind.ANONYMOUS,
        started_at=NOW,
        cameras=(CameraId("door"),),
        visit_number=3,
    )

    async def keep() -> None:
        async with SqlInsightStore.open(url) as store:
            await store.record([visit])

    asyncio.run(keep())


def test_everybody_is_listed_with_name_kind_and_photos(url: str) -> None:
    know(url, ANN, "Ann Lee")
    know(url, BOB, "Bob Ray", model="another@1")

    rows = json.loads(ran("list", "--json"))

    assert [(r["name"], r["kind"], r["photos"]) for r in rows] == [
        ("Ann Lee", "vip", 1),
        ("Bob Ray", "vip", 0),
    ]
    assert "Ann Lee" in ran("list")


def test_in_a_narrow_window_only_the_name_is_broken(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    who = CustomerId(derive_id("cus", "somebody"))
    know(url, who, "Ann Lee of the house at the end of the long road")
    ran("update", who, "--kind", "watchlist", "--purpose", "a theft")

    shown = ran("list")

    assert re.search(rf"{who} +\S.* watchlist +no +2026-11-22 +1\b", shown), shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "Ann" in shown


def test_an_empty_book_says_so() -> None:
    assert ran("list") == "No customers are enrolled.\n"
    assert ran("merge-candidates") == "There are no merge candidates.\n"


def test_all_that_is_kept_of_a_person_is_shown(url: str) -> None:
    know(url, ANN, "Ann Lee")
    visited(url, SHE)
    ran("merge", SHE, ANN)

    told = json.loads(ran("show", ANN, "--json"))

    assert (told["name"], told["consent"], told["also_known_as"]) == ("Ann Lee", True, [SHE])
    assert json.loads(ran("show", SHE, "--json")) == json.loads(ran("show", ANN, "--json")) | {
        "last_seen": NOW.isoformat(),
        "visits": 3,
    }
    assert "name: Ann Lee" in ran("show", ANN)
    [visit] = json.loads(ran("show", ANN, "--json"))["records"]
    assert (visit["type"], visit["customer_id"]) == ("visit", SHE)
    assert "visit door visit_cus_anonymous" in ran("show", ANN)


def test_an_anonymous_visitor_can_be_shown_and_named(url: str) -> None:
    visited(url, SHE)
    assert json.loads(ran("show", SHE, "--json"))["kind"] == "anonymous"

    ran("update", SHE, "--name", "Eve", "--kind", "vip", "--consent")

    assert people(url).customers[SHE].name == "Eve"


def test_a_new_kind_keeps_the_name_and_needs_its_own_basis(url: str) -> None:
    know(url, ANN, "Ann Lee")

    ran("update", ANN, "--kind", "vip", "--purpose", "valued guest")
    assert "--purpose" in str(failed("update", ANN, "--kind", "watchlist", "--consent"))
    assert "--consent" in str(failed("update", ANN, "--kind", "opted-out"))
    ran("update", ANN, "--kind", "watchlist", "--purpose", "a theft")
    customer = people(url).customers[ANN]
    assert (customer.name, customer.kind) == ("Ann Lee", IdentityKind.WATCHLIST)
    assert (customer.consent, customer.purpose) == (False, "a theft")

    ran("update", ANN, "--kind", "opted-out", "--consent")
    customer = people(url).customers[ANN]
    assert (customer.kind, customer.consent, customer.purpose) == (
        IdentityKind.OPTED_OUT,
        True,
        None,
    )


def test_a_merge_holds_until_it_is_undone_and_can_be_said_again(url: str) -> None:
    know(url, ANN, "Ann Lee")
    visited(url, SHE)
    for _ in range(2):
        ran("merge", SHE, ANN)
        assert people(url).canonical(SHE) == ANN
        ran("split", SHE)
        assert people(url).canonical(SHE) == SHE


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("merge", ANN, ANN), "cannot be merged with itself"),
        (("merge", "nobody", ANN), "nobody is unknown"),
        (("merge", ANN, "nobody"), "nobody is unknown"),
        (("merge", ANN, SHE), "merge the other way round"),
        (("split", ANN), "nothing to undo"),
        (("split", "nobody"), "nobody is unknown"),
        (("show", "nobody"), "nobody is unknown"),
        (("update", ANN), "nothing to change"),
        (("update", ANN, "--name", " "), "printable"),
        (("update", "nobody", "--name", "Eve"), "nobody is unknown"),
        (("merge-candidates", "--dismiss", ANN, BOB), "there is no proposal"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    url: str, arguments: tuple[str, ...], complaint: str
) -> None:
    know(url, ANN, "Ann Lee")
    visited(url, SHE)
    before = people(url)

    assert complaint in str(failed(*arguments))
    assert people(url) == before


def test_a_merge_that_was_undone_is_not_undone_again(url: str) -> None:
    know(url, ANN, "Ann Lee")
    visited(url, SHE)
    ran("merge", SHE, ANN)
    ran("split", SHE)

    assert "nothing to undo" in str(failed("split", SHE))


def test_proposals_are_listed_until_they_are_dismissed(url: str) -> None:
    know(url, ANN, "Ann Lee")
    proposal = CustomerChange(
        change_id="p", change="merge_proposed", customer_id=SHE, other=ANN, at=NOW, score=0.81
    )
    write(url, [proposal])

    [row] = json.loads(ran("merge-candidates", "--json"))
    assert (row["customer_id"], row["other"], row["score"]) == (SHE, ANN, 0.81)
    assert SHE in ran("merge-candidates")
    ran("merge-candidates", "--dismiss", ANN, SHE)

    assert json.loads(ran("merge-candidates", "--json")) == []
    assert "there is no proposal" in str(failed("merge-candidates", "--dismiss", ANN, SHE))


@pytest.mark.parametrize(
    ("photo", "content", "complaint"),
    [
        ("none.jpg", None, "no such file"),
        ("folder", b"", "is a directory"),
        ("text.jpg", b"not a picture", "not a readable image"),
    ],
)
def test_what_is_no_photo_is_refused_before_any_network_is_loaded(
    url: str, tmp_path: Path, photo: str, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / photo
    if photo == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)

    failure = failed("enroll", "Ann", path, "--consent")

    assert isinstance(failure, PhotoRejected)
    assert complaint in str(failure)
    assert people(url) == CustomerDirectory()


def test_too_many_photos_are_refused_before_any_is_read() -> None:
    failure = failed("enroll", "Ann", *["none.jpg"] * 6, "--consent")

    assert isinstance(failure, PhotoRejected)
    assert "6 photos were given, the maximum is 5" in str(failure)


def test_nobody_is_enrolled_without_a_basis(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.touch()

    assert "--consent" in str(failed("enroll", "Ann", photo))
    assert "--purpose" in str(failed("enroll", "Ann", photo, "--kind", "watchlist"))
    assert "printable" in str(failed("enroll", "A\nnn", photo, "--consent"))


@pytest.fixture
def faces_dir(clips_dir: Path, models_dir: Path) -> Path:
    """Return a folder with several photographs of each of some people."""
    folder = clips_dir.parent / "faces"
    if not folder.is_dir():
        unavailable(f"no folder of photographs beside {clips_dir.name}")
    return folder


@pytest.mark.weights
@pytest.mark.clips
def test_a_person_is_enrolled_once_from_real_photos(
    url: str, faces_dir: Path, tmp_path: Path
) -> None:
    anna, ben = (sorted(faces_dir.glob(f"{n}/*.jpg")) for n in ("Ana_Guevara", "Al_Gore"))
    told = json.loads(ran("enroll", "Ana", *anna[:3], "--kind", "vip", "--consent", "--json"))

    again = failed("enroll", "Again", anna[3], "--consent")
    mixed = failed("enroll", "Mixed", anna[0], ben[0], "--consent")
    two = np.hstack([cv2.imread(str(path)) for path in (anna[0], ben[0])])
    cv2.imwrite(str(tmp_path / "two.png"), two)
    several = failed("enroll", "Two", tmp_path / "two.png", "--consent")
    cv2.imwrite(
        str(tmp_path / "far.png"), cv2.resize(cv2.imread(str(ben[0])), None, fx=0.3, fy=0.3)
    )
    far = failed("enroll", "Far", tmp_path / "far.png", "--consent")

    cv2.imwrite(
        str(tmp_path / "headstand.png"), cv2.rotate(cv2.imread(str(ben[0])), cv2.ROTATE_180)
    )
    headstand = failed("enroll", "Headstand", tmp_path / "headstand.png", "--consent")

    assert isinstance(again, CustomerConflict)
    assert told["customer_id"] in str(again)
    assert "another person" in str(mixed)
    assert "shows 2 faces" in str(several)
    assert "48 px are required" in str(far)
    assert "not upright" in str(headstand)
    [customer] = people(url).customers.values()
    assert (customer.name, customer.kind) == ("Ana", IdentityKind.VIP)
    assert json.loads(ran("list", "--json"))[0]["photos"] == 3
    ran("enroll", "Twin", anna[3], "--consent", "--allow-duplicate")
    assert len(people(url).customers) == 2


def test_every_command_of_the_guide_is_one() -> None:
    group = typer.main.get_command(customers.app).commands["customers"]
    lines = re.findall(r"^    trinetra customers (.+)$", GUIDE.read_text(), re.MULTILINE)
    for line in lines:
        name, *arguments = shlex.split(line)
        _, command, _ = group.resolve_command(group.make_context("customers", [name]), [name])
        command.make_context(name, arguments)
    assert {shlex.split(line)[0] for line in lines} >= {"enroll", "list", "show", "merge", "split"}
