"""``trinetra report`` on a real database: from insights on record to files."""

import asyncio
import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from openpyxl import load_workbook

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.schema import CameraCoverage, InsightEvent, LineCrossing
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.values import CameraId, EventId, SiteId, TrackId

REPOSITORY = Path(__file__).parents[2]
BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, tzinfo=BERLIN)
SITE = """
site: corner-shop
timezone: Europe/Berlin
opening_hours:
  - {days: [mon, tue, wed, thu, fri, sat], opens: "09:00", closes: "20:00"}
cameras:
  - id: front
    role: tracking
    source: {file: front.mp4}
    lines: [{id: door, a: [0.1, 0.5], b: [0.9, 0.5]}, {id: yard, a: [0.1, 0.6], b: [0.9, 0.6]}]
"""


def common(name: str, at: datetime) -> dict:
    return {
        "event_id": EventId(name),
        "site_id": SiteId("corner-shop"),
        "camera_id": CameraId("front"),
        "captured_at": at.astimezone(UTC),
    }


def crossing(name: str, at: datetime, line: str = "door") -> LineCrossing:
    rest = {"track_id": TrackId("t"), "label": "person", "direction": "in"}
    return LineCrossing(**common(name, at), **rest, line_id=line)


def day(start: datetime, blind: tuple[int, ...] = ()) -> list[InsightEvent]:
    """Return as many people as the hour says in each hour that was watched; one by the yard."""
    insights: list[InsightEvent] = [crossing(f"yard {start}", start.replace(hour=10), "yard")]
    for hour in range(9, 20):
        at = start.replace(hour=hour)
        if hour not in blind:
            end = common(f"seen {at}", at + timedelta(hours=1))
            insights.append(CameraCoverage(**end, started_at=at.astimezone(UTC), frames=9))
            insights += [crossing(f"{at} {n}", at + timedelta(minutes=n)) for n in range(hour)]
    return insights


def record(folder: Path, *insights: InsightEvent) -> None:
    async def write() -> None:
        url = f"sqlite:///{folder}/data/insights.db"
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            await store.prepare_figures(BERLIN, {}, MONDAY.astimezone(UTC))
            await store.record(insights)

    asyncio.run(write())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a site file and the figures of two Mondays, the last one half blind."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "site.yaml").write_text(SITE, encoding="utf-8")
    record(folder, *day(MONDAY - timedelta(days=7)), *day(MONDAY, blind=(11, 12)))
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trinetra.cli", "report", *words],
        cwd=folder,
        env={**os.environ, "TRINETRA_DATA_DIR": str(folder / "data"), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def succeeded(folder: Path, *words: str) -> str:
    told = run(folder, *words)
    assert told.returncode == 0, told.stderr
    return told.stdout


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_terminal_shows_figures_gaps_and_comparisons(shop: Path) -> None:
    text = succeeded(shop, "daily", "--date", "2026-11-23", "--metric", "traffic_in")
    assert "Daily report: Monday 23 November 2026" in text
    assert re.search(r"Traffic in +Whole shop +132 +82 % +155", text)
    assert re.search(r"front › yard +1 +82 %", text)
    assert re.search(r"11:00 +unknown +0 % +11", text)
    assert "Nothing was watched: 11:00 to 13:00. These figures are unknown, not zero." in text


def test_csv_has_the_figures_that_were_recorded(shop: Path) -> None:
    words = ("--date", "2026-11-23", "--metric", "traffic_in", "--format", "csv")
    found = rows(succeeded(shop, "daily", *words, "--compare", "last-week"))
    door = {
        r["local_start"][11:13]: r
        for r in found
        if r["place"] == "front/door" and r["period"] == "this"
    }
    for hour in range(9, 20):
        expected = "" if hour in {11, 12} else str(hour)
        assert door[f"{hour:02}"]["value"] == expected
    before = [r for r in found if r["period"] == "last-week" and r["place"] == ""]
    assert sum(float(r["value"]) for r in before) == sum(range(9, 20)) + 1
    assert before[0]["start"] == "2026-11-16T00:00:00+01:00"


@pytest.mark.parametrize("suffix", ["html", "pdf", "xlsx", "csv"])
def test_the_suffix_of_the_output_tells_the_format(shop: Path, suffix: str) -> None:
    succeeded(shop, "daily", "--date", "2026-11-23", "--output", f"day.{suffix}")
    content = (shop / f"day.{suffix}").read_bytes()
    begin = {"html": b"<!doctype", "pdf": b"%PDF", "xlsx": b"PK", "csv": b"site,metric,"}
    assert content.startswith(begin[suffix])
    if suffix == "xlsx":
        summary = load_workbook(io.BytesIO(content))["Summary"]
        assert summary["A2"].value == "Traffic in"
        assert summary["C2"].value == 132


def test_files_get_a_name_where_none_was_given(shop: Path) -> None:
    told = run(shop, "monthly", "--date", "2026-11", "--format", "html")
    assert (told.returncode, told.stderr) == (0, "note: wrote corner-shop-2026-11.html\n")
    assert "November 2026" in (shop / "corner-shop-2026-11.html").read_text(encoding="utf-8")


def commands_of(page: str) -> list[str]:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^    trinetra report (.+)$", text, re.MULTILINE)


@pytest.mark.parametrize("words", [*commands_of("reports.md"), *commands_of("bi.md")])
def test_every_command_of_the_documentation_runs(shop: Path, words: str) -> None:
    succeeded(shop, *words.partition(" > ")[0].split())


def test_the_recipes_for_duckdb_run_on_an_export(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded(shop, "monthly", "--date", "2026-11", "--format", "parquet", "--output", "figures")
    changed = succeeded(shop, "changed", "--since", "0")
    (shop / "changed.csv").write_text(changed, encoding="utf-8")
    monkeypatch.chdir(shop)
    page = (REPOSITORY / "docs" / "bi.md").read_text(encoding="utf-8")
    by_day, by_weekday, comparable, merge = re.findall(r"```sql duckdb\n(.*?)```", page, re.DOTALL)
    with duckdb.connect() as database:
        known = {str(d): v for d, v, _ in database.sql(by_day).fetchall() if v is not None}
        assert (known["2026-11-16"], known["2026-11-23"]) == (155, 132)
        assert database.sql(by_weekday).fetchall() == [("Monday", 155.0, 1)]
        assert database.sql(comparable).fetchall() == []  # one of the two Mondays has a gap
        unfiltered = comparable.replace(" and completeness >= 0.95", "")
        stores = {str(d): told for d, *told in database.sql(unfiltered).fetchall()}
        assert stores["2026-11-23"] == [1, 132, 155, pytest.approx(-0.148, abs=0.001)]
        database.execute("create table figures as select * from read_csv('changed.csv') limit 7")
        for _ in range(2):
            database.execute(merge)
        assert database.sql("select count(*) from figures").fetchall() == [(len(rows(changed)),)]


def test_what_changed_is_told_once_and_again_when_late_insights_change_it(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    record(tmp_path, *day(MONDAY))
    words = ("changed", "--cursor-file", "at", "--metric", "traffic_in", "--format", "jsonl")
    first = [json.loads(line) for line in succeeded(tmp_path, *words).splitlines()]
    assert {r["value"] for r in first if r["place"] == "front/door"} == set(
        map(float, range(9, 20))
    )
    assert succeeded(tmp_path, *words) == ""

    record(tmp_path, crossing("late", MONDAY.replace(hour=15, minute=59)))
    late = [json.loads(line) for line in succeeded(tmp_path, *words).splitlines()]
    assert [(r["place"], r["local_start"], r["value"]) for r in late] == [
        ("", "2026-11-23T15:00:00", 16.0),
        ("front/door", "2026-11-23T15:00:00", 16.0),
    ]
    assert succeeded(tmp_path, *words) == ""


def test_a_change_is_told_in_parts_without_a_loss(shop: Path) -> None:
    whole = {tuple(r.values()) for r in rows(succeeded(shop, "changed", "--since", "0"))}
    found, cursor = set(), "0"
    while True:
        told = run(shop, "changed", "--since", cursor, "--most", "1")
        following = told.stderr.rsplit(maxsplit=1)[-1]
        found |= {tuple(r.values()) for r in rows(told.stdout)}
        if following == cursor:
            break
        cursor = following
    assert found == whole


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("daily --date 2999-01-01", "1 January 2999 is in the future: in Europe/Berlin it is 20"),
        ("daily --date 23.11.2026", "--date 23.11.2026: write a day like 20"),
        ("monthly --date 2026-13", "--date 2026-13-01: write a day like"),
        ("daily --metric visitors", "no metric is called 'visitors'; there are: footfall_in,"),
        ("range --from 2026-11-02 --to 2026-11-01", "exchange --from and --to"),
        ("daily --output day.doc", "day.doc does not tell the format"),
        ("daily --output no/such/day.pdf", "no/such/day.pdf cannot be written: no such file"),
        ("daily --site none.yaml", "none.yaml"),
        ("changed", "give the cursor by --since (0 at first) or --cursor-file"),
        ("range --from 2020-01-01 --to 2026-01-01 --granularity hour", "at most 400 days"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_with_the_reason(
    shop: Path, words: str, complaint: str
) -> None:
    told = run(shop, *words.split())
    assert (told.returncode, complaint in told.stderr) == (1, True), told.stderr
    assert "Traceback" not in told.stderr


def test_a_period_without_figures_is_a_gap_and_the_way_out_is_named(shop: Path) -> None:
    told = run(shop, "monthly", "--date", "2024-02", "--metric", "traffic_in")
    assert told.returncode == 0
    assert "Nothing is on record for this period." in told.stdout
    assert "Nothing was watched: Thu 1 Feb to Thu 29 Feb." in told.stdout
    assert "there are figures from 2026-11-16 to 2026-11-23" in told.stderr


def test_a_database_that_is_not_there_is_named_and_not_created(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    told = run(tmp_path, "daily")
    assert told.returncode == 1
    assert "insights.db does not exist. Start `trinetra run`" in told.stderr
    assert not (tmp_path / "data").exists()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    record(tmp_path, *day(MONDAY))
    with closing(sqlite3.connect(tmp_path / "data" / "insights.db")) as database, database:
        database.execute("update trinetra_revision set version_num = '9999'")
    told = run(tmp_path, "daily")
    assert (told.returncode, "use the newer TRINETRA" in told.stderr) == (1, True)


def test_a_report_does_not_wait_for_the_engine_that_writes(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    record(tmp_path, *day(MONDAY))
    with closing(sqlite3.connect(tmp_path / "data" / "insights.db")) as database:
        database.isolation_level = None
        database.execute("begin immediate")
        told = run(tmp_path, "daily", "--date", "2026-11-23", "--metric", "traffic_in")
    assert told.returncode == 0, told.stderr


def test_a_database_that_stays_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    record(tmp_path, *day(MONDAY))
    with closing(sqlite3.connect(tmp_path / "data" / "insights.db")) as database:
        database.isolation_level = None
        database.execute("pragma locking_mode = exclusive")  # keeps readers out too, as copiers do
        database.execute("begin exclusive")
        told = run(tmp_path, "daily", "--date", "2026-11-23", "--metric", "traffic_in")
    assert told.returncode == 1
    assert re.search(r"insights\.db was locked by another program for more than \d+ s", told.stderr)
