"""Files of reports: what each format shows, and that none shows zero for what is unknown."""

import csv
import io
import json
import re
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields
from openpyxl import load_workbook
from tests.unit.reports.shop import BERLIN, DWELL, METRICS, TRAFFIC, figure, report_of, table

from trinetra.errors import ConfigurationError
from trinetra.events.figures import Mark
from trinetra.reports.build import build
from trinetra.reports.document import Document
from trinetra.reports.files import document_bytes, write_data_set, write_file
from trinetra.reports.html import html_text
from trinetra.reports.periods import Period, day_of, month_of
from trinetra.reports.records import Record, records
from trinetra.reports.text import csv_text, json_lines

MONDAY = day_of(date(2026, 11, 23), BERLIN)
BLIND = range(11, 13)
MARK = Mark(at=datetime(2026, 11, 23, 12, 30, tzinfo=UTC), what="geometry", name="<front>/door")
EVIL = '=cmd|"/c calc"!A1'


def monday(**rest: object) -> Document:
    return build(report_of(MONDAY, blind=BLIND, marks=(MARK,), **rest))


def rows_of(period: Period = MONDAY, blind: range = BLIND) -> list[Record]:
    detail = report_of(period, blind=blind).figures.detail
    return list(records([("this", detail)], METRICS))


class Page(HTMLParser):
    """Tables as lists of rows, and all tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data.strip()


def test_csv_has_one_row_per_figure_and_reads_back_exactly() -> None:
    found = rows_of()
    read = list(csv.DictReader(io.StringIO(csv_text(found), newline="")))
    assert len(read) == len(found) == 48
    for row, record in zip(read, found, strict=True):
        assert (float(row["value"]) if row["value"] else None) == record.value
        assert datetime.fromisoformat(row["start"]) == record.start
        assert row["local_start"] == row["start"][:19]
    unknown = [r for r in read if r["local_start"][11:13] in {"11", "12"}]
    assert {(r["value"], r["completeness"]) for r in unknown} == {("", "0")}


@given(st.text(max_size=20), st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_text_and_number_survive_csv_and_json(place: str, value: float | None) -> None:
    record = rows_of()[0]._replace(place=place, value=value)
    (row,) = csv.DictReader(io.StringIO(csv_text([record]), newline=""))
    assert row["place"] == place
    assert (float(row["value"]) if row["value"] else None) == value
    assert json.loads(json_lines([record]))["value"] == value


def test_lines_of_csv_end_as_the_standard_says() -> None:
    text = csv_text(rows_of()[:2])
    assert text.count("\r\n") == 3
    assert "\n" not in text.replace("\r\n", "")


def test_what_has_not_happened_yet_is_not_exported() -> None:
    now = datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
    found = records([("this", report_of(MONDAY).figures.detail)], METRICS, now)
    assert max(record.start for record in found) <= now


def test_html_loads_nothing_and_runs_nothing() -> None:
    text = html_text(monday())
    tags = Page(text).tags
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert all(a["href"].startswith("#") for _, a in tags if "href" in a)
    assert "://" not in text
    assert "url(" not in text
    policy = [a["content"] for tag, a in tags if "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_chart_has_a_table_with_the_same_figures() -> None:
    text = html_text(monday())
    page = Page(text)
    charts = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert len(charts) == 2 * len(METRICS)  # for screens and for phones
    times = [t for t in page.tables if t[0][0] == "Hour"]
    assert len(times) == len(METRICS)
    bars = [title.text for title in charts[0].iter("title")]
    cells = [f"{row[0]}: {row[1]}" for row in times[0][1:-1] if row[1] != "unknown"]
    assert bars == cells
    assert [row[1] for row in times[0] if row[0] in {"11:00", "12:00"}] == ["unknown"] * 2


def test_html_shows_completeness_ranges_marks_and_escapes_names() -> None:
    text = html_text(monday())
    rows = {row[0]: row for row in Page(text).tables[0]}
    assert rows["Hour"][:4] == ["Hour", "Traffic in", "95 % range", "Watched"]
    assert rows["17:00"][3] == "62 %"
    assert rows["11:00"][2:4] == ["–", "0 %"]
    assert "A line or zone was redrawn (&lt;front&gt;/door)" in text
    assert "<front>" not in text


def test_every_tag_of_the_page_is_closed() -> None:
    text = html_text(monday())
    body = re.sub(r"<!doctype html>|<meta[^>]*>|<style>.*?</style>", "", text, flags=re.DOTALL)
    body = body.replace("<details open>", "<details>")  # the only attribute without a value
    assert ET.fromstring(body).tag == "html"


def test_a_report_of_nothing_says_so_in_every_format() -> None:
    def nothing(start: datetime, end: datetime) -> list:
        return [figure(start, end, None, completeness=0.0)]

    report = report_of(MONDAY, metrics=(TRAFFIC,))
    tables = [table(MONDAY, g, nothing) for g in ("hour", "range", "range")]
    document = build(replace(report, compared=(), figures=type(report.figures)(*tables)))
    text = html_text(document)
    assert "Nothing is on record for this period." in text
    assert "There is no figure to draw: unknown." in text
    assert document_bytes(document, "xlsx")
    assert document_bytes(document, "pdf").startswith(b"%PDF")


def test_a_workbook_has_real_dates_and_numbers_and_empty_cells() -> None:
    book = load_workbook(io.BytesIO(document_bytes(monday(), "xlsx")))
    assert book.sheetnames == ["Summary", "Traffic in", "Dwell time (median)", "Notes"]
    traffic = book["Traffic in"]
    assert traffic.freeze_panes == "B2"
    rows = list(traffic.iter_rows(min_row=2, values_only=True))
    by_hour = {row[0].hour: row for row in rows}
    assert by_hour[9][0] == datetime(2026, 11, 23, 9)  # noqa: DTZ001 - as in Excel
    assert isinstance(by_hour[9][2], int | float)
    assert (by_hour[11][2], by_hour[11][6]) == (None, "unknown")
    assert by_hour[17][5] == pytest.approx(0.62)
    assert traffic.column_dimensions["A"].width > 15


def test_a_workbook_has_durations_that_excel_can_add() -> None:
    document = monday()
    book = load_workbook(io.BytesIO(document_bytes(document, "xlsx")))
    cell = book["Dwell time (median)"]["C2"]
    number = document.sections[1].rows[0].value.number
    assert cell.number_format == "[h]:mm:ss"
    assert cell.value.total_seconds() == pytest.approx(number, abs=1e-3)


def test_no_text_becomes_a_formula() -> None:
    evil = replace(TRAFFIC, title=EVIL, counts=EVIL)
    report = replace(report_of(MONDAY), site=EVIL, metrics=(evil, replace(DWELL, title=EVIL)))
    places = report.figures.places
    named = tuple(with_fields(f, place=f"{EVIL}/{n}") for n, f in enumerate(places.figures))
    figures = replace(report.figures, places=with_fields(places, figures=named))
    book = load_workbook(
        io.BytesIO(document_bytes(build(replace(report, figures=figures)), "xlsx"))
    )
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    assert any(cell.value == EVIL for cell in cells)
    assert len(set(book.sheetnames)) == 4


def test_a_pdf_has_pages_and_its_title() -> None:
    content = document_bytes(monday(), "pdf")
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")


def written(folder: Path, period: Period, found: list[Record]) -> list[Path]:
    return write_data_set(folder, found, period.start, period.end)


def data_set(folder: Path) -> list[dict]:
    files = sorted(folder.rglob("*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def test_parquet_is_partitioned_as_query_engines_expect(tmp_path: Path) -> None:
    files = written(tmp_path, MONDAY, rows_of())
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "site=shop/metric=dwell_median/year=2026/month=11/hour.parquet",
        "site=shop/metric=traffic_in/year=2026/month=11/hour.parquet",
    ]
    answer = duckdb.sql(
        f"select site, metric, month, count(*), count(value) from "
        f"read_parquet('{tmp_path}/**/*.parquet', hive_partitioning = true) group by all order by 2"
    ).fetchall()
    assert [row[:2] for row in answer] == [("shop", "dwell_median"), ("shop", "traffic_in")]
    assert [row[3:] for row in answer] == [(24, 9), (24, 22)]


def test_exports_of_the_same_time_replace_each_other_and_keep_the_rest(tmp_path: Path) -> None:
    tuesday = day_of(date(2026, 11, 24), BERLIN)
    written(tmp_path, MONDAY, rows_of())
    written(tmp_path, tuesday, rows_of(tuesday))
    written(tmp_path, MONDAY, rows_of())
    assert len(data_set(tmp_path)) == 2 * 48
    later = [record._replace(value=1.0) for record in rows_of()]
    written(tmp_path, MONDAY, later)
    values = [r["value"] for r in data_set(tmp_path) if r["local_start"].day == 23]
    assert values == [1.0] * 48
    month = month_of(MONDAY.first, BERLIN)
    written(tmp_path, month, rows_of(month, blind=range(0)))
    assert len(data_set(tmp_path)) == 2 * 48 + 2 * 30
    assert not list(tmp_path.rglob("*.unfinished"))


def test_a_file_of_other_columns_is_refused_and_kept(tmp_path: Path) -> None:
    (file, *_) = written(tmp_path, MONDAY, rows_of())
    for content in (b"not Parquet", b""):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"hour\.parquet is not a file of this"):
            written(tmp_path, MONDAY, rows_of())
        assert file.read_bytes() == content


def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.delitem(sys.modules, "trinetra.reports.workbook", raising=False)
    with pytest.raises(ConfigurationError, match=r"xlsxwriter: pip install 'trinetra\[reports\]'"):
        document_bytes(monday(), "xlsx")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no/x\.pdf cannot be written: no such file"):
        write_file(tmp_path / "no" / "x.pdf", b"")
