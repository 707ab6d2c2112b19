"""``trinetra context import``: what reports know besides what cameras see."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trinetra.adapters.sql.context_store import SqlContextStore
from trinetra.commands.application import app
from trinetra.events.context import ContextEntry
from trinetra.site import EXAMPLE

MAPPING = """
decimal: ","
delimiter: ";"
columns: {kind: Art, name: Name, from: Von, until: Bis, value: Wert, text: Text}
"""
HEADER = "Art;Name;Von;Bis;Wert;Text"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRINETRA_STORE_URL", f"sqlite:///{tmp_path}/insights.db")
    (tmp_path / "site.yaml").write_text(EXAMPLE)
    (tmp_path / "map.yaml").write_text(MAPPING)
    return tmp_path


def imported(folder: Path, *lines: str, dry_run: bool = False) -> tuple[int, str]:
    table = folder / "context.csv"
    table.write_text("\n".join([HEADER, *lines, ""]))
    paths = ["--mapping", str(folder / "map.yaml"), "--site", str(folder / "site.yaml")]
    options = ["--dry-run"] if dry_run else []
    result = CliRunner().invoke(app, ["context", "import", str(table), *paths, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def stored(folder: Path) -> list[ContextEntry]:
    async def read() -> list[ContextEntry]:
        async with SqlContextStore.open(f"sqlite:///{folder}/insights.db") as store:
            return await store.between(
                datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
            )

    return asyncio.run(read())


def test_days_are_those_of_the_shop_and_hours_are_spans(folder: Path) -> None:
    code, _ = imported(
        folder,
        "weather;temperature_c;2026-03-29;;7,5;",
        "staff_hours;till;2026-03-29T09:00:00;2026-03-29T17:30:00;8,5;",
        "promotion;apples;2026-06-01;2026-06-07;;Apples at half price",
        "note;;2026-07-01;;;The street is closed",
        "target;transactions;2026-06-01;2026-06-30;5200;",
    )
    assert code == 0
    weather, staff, promotion, target, note = stored(folder)
    assert (weather.value, weather.name) == (7.5, "temperature_c")
    assert (weather.ends_at - weather.starts_at).total_seconds() == 23 * 3600
    assert (staff.ends_at - staff.starts_at).total_seconds() == 8.5 * 3600
    assert (promotion.ends_at - promotion.starts_at).days == 7
    assert (note.text, target.value) == ("The street is closed", 5200.0)


def test_importing_again_replaces(folder: Path) -> None:
    imported(folder, "weather;temperature_c;2026-05-01;;17,5;")
    imported(folder, "weather;temperature_c;2026-05-01;;19;", "weather;rain_mm;2026-05-01;;0;")
    assert sorted((e.name, e.value) for e in stored(folder)) == [
        ("rain_mm", 0.0),
        ("temperature_c", 19.0),
    ]


def test_broken_lines_are_rejected_and_the_rest_is_stored(folder: Path) -> None:
    code, told = imported(
        folder,
        "weather;temperature_c;2026-05-01;;17.5;",
        "sunshine;hours;2026-05-01;;3;",
        "weather;temperature_c;2026-05-02;;;",
        "promotion;;2026-05-02;;;",
        "target;transactions;2026-05-03;2026-05-01;7;",
        "staff_hours;till;2026-05-01T09:00:00;;8;",
        "target;transactions;2026-13-01;;7;",
        "note;Bad Name;2026-05-01;;;x",
        "target;transactions;2026-05-04;;7;",
    )
    assert code == 1
    assert [e.value for e in stored(folder)] == [7.0]
    assert all(f"context.csv:{number}: " in told for number in range(2, 10))
    assert (folder / "context.csv.rejected").exists()


def test_a_dry_run_stores_nothing(folder: Path) -> None:
    code, told = imported(folder, "target;transactions;2026-05-04;;7;", dry_run=True)
    assert (code, "1 valid, 0 rejected" in told) == (0, True)
    assert stored(folder) == []
