"""``trinetra footfall`` and ``customers staff-candidates``, on a store and on recorded tracks."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from tests.flows.commands import Commands
from tests.unit.insights.walks import frame

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.commands import footfall as footfall_commands
from trinetra.commands import staff_candidates as staff_commands
from trinetra.errors import ConfigurationError
from trinetra.events.codec import encode
from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, LineCrossing, Visit
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.site import SiteInvalid, load_site
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId
from trinetra.wiring.config import derivations

SITE = """
site: shop
timezone: UTC
opening_hours:
  - {days: [mon, tue, wed, thu, fri, sat, sun], opens: "09:00", closes: "20:00"}
doors:
  - {id: main, lines: [[door, step], [hall, step]]}
cameras:
  - id: door
    role: entrance
    source: {file: a.mp4}
    lines:
      - {id: step, a: [0.2, 0.5], b: [0.8, 0.5]}
      - {id: kerb, a: [0.1, 0.9], b: [0.9, 0.9], kind: passby}
  - id: hall
    role: face
    source: {file: b.mp4}
    lines: [{id: step, a: [0.2, 0.5], b: [0.8, 0.5]}]
"""
DAY = datetime(2026, 11, 29, tzinfo=UTC)
footfall = Commands("footfall", footfall_commands.register)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    return path


def crossing(number: int, seconds: float, camera: str, line: str, **fields: object) -> LineCrossing:
    return LineCrossing(
        event_id=EventId(f"{camera}-{line}-{number}"),
        site_id=SiteId("shop"),
        camera_id=CameraId(camera),
        captured_at=DAY + timedelta(hours=12, seconds=seconds),
        line_id=line,
        direction="in",
        track_id=TrackId(f"{camera}-{number}"),
        label="person",
        **fields,
    )


def record(tmp_path: Path, site: Path, insights: Sequence[InsightEvent]) -> None:
    """Record insights, and what the engine derives from them."""

    async def write() -> None:
        url = f"sqlite:///{tmp_path}/data/insights.db"
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            known = list(insights)
            for derivation in derivations(load_site(site)):
                read = [e for e in known if e.__struct_config__.tag in derivation.inputs]
                known += derivation.derive(Span(DAY, DAY + timedelta(days=1)), read)
            await store.record(known)

    asyncio.run(write())


def test_a_day_shows_people_groups_and_visitors_once_over_two_cameras(
    tmp_path: Path, site: Path
) -> None:
    who = [CustomerId(f"c{n // 2}") for n in range(20)]  # everyone comes in twice
    seen = [crossing(n, 600 * n, "door", "step", customer_id=who[n]) for n in range(20)]
    seen += [crossing(n, 600 * n + 1, "hall", "step") for n in range(20)]
    seen += [crossing(n, 600 * n + 300, "door", "kerb") for n in range(40)]
    record(tmp_path, site, seen)
    told = json.loads(footfall.output("day", site, "--day", "2026-11-29", "--json"))
    assert (told["people_in"], told["people_out"], told["groups_in"]) == (20, 0, 20)
    assert told["passed_by"] == 40
    assert told["unique_visitors_from"] < 10.0 < told["unique_visitors_to"]
    assert "people in: 20" in footfall.output("day", site, "--day", "2026-11-29")


def test_a_count_by_hand_corrects_the_visitors_of_a_day(tmp_path: Path, site: Path) -> None:
    seen = [
        crossing(n, 300 * n, "door", "step", customer_id=CustomerId(f"c{n}")) for n in range(90)
    ]
    record(tmp_path, site, seen)
    counted = ("--counted", 1000, 900, 900)
    told = json.loads(footfall.output("day", site, "--day", "2026-11-29", *counted, "--json"))
    assert told["unique_visitors"] == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--day", "29.11.2026"), "write it as 2026-11-29"),
        (("--counted", "10", "10", "11"), "hits cannot exceed"),
        (("--counted", "0", "0", "0"), "hits cannot exceed"),
    ],
)
def test_mistakes_in_the_options_are_told(
    site: Path, arguments: tuple[str, ...], told: str
) -> None:
    failure = footfall.failed("day", site, *arguments)
    assert isinstance(failure, ConfigurationError)
    assert told in str(failure)


@pytest.mark.parametrize(
    ("doors", "told"),
    [
        ("[[door, nowhere]]", "no camera has this line"),
        ("[[door, step], [door, kerb]]", "of kind passby"),
        ("[[door, step], [door, step]]", "part of a door already"),
    ],
)
def test_a_door_of_lines_that_cannot_be_one_is_refused(
    tmp_path: Path, site: Path, doors: str, told: str
) -> None:
    site.write_text(SITE.replace("[[door, step], [hall, step]]", doors), encoding="utf-8")
    with pytest.raises(SiteInvalid) as failure:
        load_site(site)
    assert told in str([problem.message for problem in failure.value.problems])


def test_an_audit_reads_the_tracks_of_a_file(tmp_path: Path, site: Path) -> None:
    events = [frame(0)]
    for number in range(30):
        events += [
            frame(10 * number + 5 + 0.2 * i, {f"t{number}": (0.5, 0.49 + 0.02 * i)})
            for i in range(20)
        ]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in [*events, frame(400)]))
    told = json.loads(footfall.output("audit", site, path, "--json"))
    step = next(each for each in told if each["ref"] == ["door", "step"])
    assert (step["near"], step["born"]) == (30, 30)
    assert "begin at it" in footfall.output_and_notes("audit", site, path).replace("\n", " ")


def test_staff_candidates_are_listed_with_their_effect(tmp_path: Path, site: Path) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    visits = [
        Visit(
            event_id=EventId(f"vis_{who}"),
            site_id=SiteId("shop"),
            camera_id=CameraId("door"),
            captured_at=today - timedelta(hours=24 - hour - hours),
            customer_id=CustomerId(who),
            kind=IdentityKind.ANONYMOUS,
            started_at=today - timedelta(hours=24 - hour),
            cameras=(CameraId("door"),),
            visit_number=1,
        )
        for who, hour, hours in (("cus_eve", 8.0, 9.0), ("cus_ann", 12.0, 0.5))
    ]
    record(tmp_path, site, visits)
    staff = Commands("customers", lambda app: app.add_typer(group(), name="customers"))
    (found,) = json.loads(staff.output("staff-candidates", site, "--json"))
    assert (found["customer_id"], found["visits"]) == ("cus_eve", 1)
    assert len(found["reasons"]) == 2
    assert "2 visits become 1" in staff.output_and_notes("staff-candidates", site)


def group() -> typer.Typer:
    """Return a group with the command under test, and another so that it stays a group."""
    app = typer.Typer()
    staff_commands.register(app)
    app.command("other")(lambda: None)
    return app
