"""The Python API on a small database: figures, insights and explanations as tables."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.flows.api_shop import FRIDAY, NOON, RECORDED, SATURDAY, write_shop

import trinetra
from trinetra.events.codec import encode
from trinetra.events.schema import LineCrossing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shop(tmp_path)
    return tmp_path


@pytest.fixture
def shop(folder: Path) -> Iterator[trinetra.Shop]:
    with trinetra.Shop(folder / "site.yaml", folder / "insights.db") as shop:
        yield shop


def test_figures_are_a_table_by_the_shops_clock(shop: trinetra.Shop) -> None:
    table = shop.figures("traffic_in", FRIDAY, SATURDAY, granularity="hour")
    hours = table.to_pylist()
    assert [hour["start"].hour for hour in hours] == list(range(24))
    assert [(hour["value"], hour["completeness"]) for hour in hours[12:14]] == [(5, 1), (None, 0)]
    assert table.schema.metadata[b"site"] == b"shop"


def test_figures_by_place_have_a_row_for_each(shop: trinetra.Shop) -> None:
    noon = datetime(2026, 11, 27, 12, tzinfo=shop.zone)
    table = shop.figures(
        ["traffic_in", "traffic_out"], noon, noon + timedelta(hours=1), by_place=True
    )
    rows = [(row["metric"], row["unit"], row["place"], row["value"]) for row in table.to_pylist()]
    assert rows == [
        ("traffic_in", "count", "door/main", 5),
        ("traffic_out", "count", "door/main", 1),
    ]


def test_no_name_stands_for_every_metric(shop: trinetra.Shop) -> None:
    named = shop.figures([], FRIDAY, SATURDAY)["metric"].to_pylist()
    assert named == [metric.name for metric in shop.metrics()]


def test_insights_have_their_fields_as_columns(shop: trinetra.Shop) -> None:
    table = shop.insights("line_crossing", FRIDAY, SATURDAY)
    assert set(LineCrossing.__struct_fields__) == set(table.column_names)
    rows = table.to_pylist()
    assert [row["event_id"] for row in rows] == [f"e{n}" for n in (0, 1, 2, 3, 4, 5, 50)]
    assert (rows[5]["kind"], rows[5]["along"], rows[6]["along"]) == ("staff", None, 0.5)
    assert rows[0]["captured_at"] == NOON


def test_nested_fields_keep_what_their_json_omits(shop: trinetra.Shop) -> None:
    [row] = shop.insights("receipt", FRIDAY, SATURDAY).to_pylist()
    assert row["items"] == [{"sku": "tea", "amount_minor": 250, "quantity": 1}]


def test_withdrawn_visits_are_left_out(shop: trinetra.Shop) -> None:
    [row] = shop.insights("visit", FRIDAY, SATURDAY).to_pylist()
    assert (row["event_id"], row["cameras"]) == ("v1", ["door"])


def test_a_figure_is_explained(shop: trinetra.Shop) -> None:
    found = shop.why("traffic_in", FRIDAY, SATURDAY)
    assert (found.figure.value, found.is_exact) == (5, True)
    assert [each.insight.event_id for each in found.counted] == [f"e{n}" for n in range(5)]
    assert "staff" in {trinetra.why_left_out(insight) for insight in found.left_out}
    assert [gap.reason for gap in found.gaps] == ["silent"]


def test_a_place_that_nothing_passed_explains_nothing(shop: trinetra.Shop) -> None:
    assert shop.why("traffic_in", FRIDAY, SATURDAY, place="door/back").counted == ()


Ask = Callable[[trinetra.Shop], object]


@pytest.mark.parametrize(
    ("ask", "complaint"),
    [
        (lambda s: s.figures("traffic", FRIDAY, SATURDAY), "no metric is called 'traffic'; there"),
        (lambda s: s.why("traffic", FRIDAY, SATURDAY), "no metric is called 'traffic'; there are"),
        (lambda s: s.insights("door", FRIDAY, SATURDAY), "no type of event is called 'door'"),
        (
            lambda s: s.figures([], FRIDAY, SATURDAY, granularity="year"),
            "no granularity is called 'year'; there are: minute",
        ),
        (
            lambda s: s.figures([], datetime(2026, 11, 27, 9), SATURDAY),  # noqa: DTZ001
            r"no offset from UTC; write datetime\(2026, 11, 27, 9, 0, tzinfo=shop.zone",
        ),
        (lambda s: s.why("traffic_in", "2026-11-27", SATURDAY), "start='2026-11-27' is not a time"),
        (lambda s: s.insights("visit", SATURDAY, FRIDAY), "the end 2026-11-27 is not after"),
        (
            lambda s: s.figures([], NOON, NOON + timedelta(seconds=90)),
            "begin and end at a whole minute",
        ),
    ],
)
def test_a_mistake_is_named_with_what_to_write(
    shop: trinetra.Shop, ask: Ask, complaint: str
) -> None:
    with pytest.raises(trinetra.ConfigurationError, match=complaint):
        ask(shop)


def test_a_database_that_is_not_there_is_not_made(folder: Path) -> None:
    missing = folder / "elsewhere" / "insights.db"
    with pytest.raises(trinetra.ConfigurationError, match="there is no database"):
        trinetra.Shop(folder / "site.yaml", f"sqlite:///{missing}")
    assert not missing.parent.exists()


def test_without_a_store_it_is_that_of_the_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(folder))
    with trinetra.Shop(trinetra.load_site(folder / "site.yaml")) as shop:
        assert shop.insights("receipt", FRIDAY, SATURDAY).num_rows == 1


def test_a_closed_shop_says_so(shop: trinetra.Shop) -> None:
    shop.close()
    shop.close()
    with pytest.raises(trinetra.ConfigurationError, match="this shop is closed"):
        shop.why("traffic_in", FRIDAY, SATURDAY)


async def test_it_works_where_an_event_loop_runs_already(folder: Path) -> None:
    with trinetra.Shop(folder / "site.yaml", folder / "insights.db") as shop:
        assert shop.why("traffic_in", FRIDAY, SATURDAY).figure.value == 5


def test_a_program_that_never_closes_it_ends_in_silence(folder: Path) -> None:
    program = """
        from datetime import date
        import trinetra
        shop = trinetra.Shop("site.yaml", "insights.db")
        print(shop.why("traffic_in", date(2026, 11, 27), date(2026, 11, 28)).figure.value)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "5.0\n", "")


def test_events_of_a_file_are_read_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*map(encode, RECORDED), b'{"type": "nothing"}']))
    events = trinetra.read_events(file)
    assert [next(events) for _ in RECORDED] == list(RECORDED)
    with pytest.raises(trinetra.ConfigurationError, match=f"{file}:{len(RECORDED) + 1}: "):
        next(events)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"lines": {"door": [(0, 0.5)]}}, "line 'door' has 1 points; write its two ends"),
        ({"lines": {"door": [(0, 0.5), (640, 0.5)]}}, "run_clip:"),
        ({"role": "doorman"}, "run_clip:.*role"),
        ({"site": "site.yaml", "role": "face"}, "give either these or a site"),
        ({"start": datetime(2026, 3, 1)}, "start=2026-03-01 00:00:00 has no offset"),  # noqa: DTZ001
    ],
)
def test_a_clip_is_not_run_with_arguments_that_cannot_be(
    tmp_path: Path, arguments: dict, complaint: str
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    with pytest.raises(trinetra.ConfigurationError, match=complaint):
        trinetra.run_clip(clip, **arguments)


def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(trinetra.ConfigurationError, match="there is no clip"):
        trinetra.run_clip(tmp_path / "clip.mp4")
