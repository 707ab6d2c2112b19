"""Charts: nothing is drawn where nothing is known, and everything stays in the frame."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields
from tests.unit.reports.shop import BERLIN, report_of

from trinetra.events.figures import Mark
from trinetra.reports.build import build
from trinetra.reports.chart import NARROW, WIDE, Chart, chart_of, y_ticks
from trinetra.reports.document import Row, Section, Value
from trinetra.reports.periods import day_of, month_of

MONDAY = day_of(date(2026, 11, 23), BERLIN)
MARK = Mark(at=datetime(2026, 11, 23, 12, 30, tzinfo=UTC), what="geometry", name="front/door")
UNITS = st.sampled_from(["count", "s", "share", "money", "people"])


def charts(blind: range = range(0)) -> list[tuple[Section, Chart]]:
    document = build(report_of(MONDAY, blind=blind, marks=(MARK,)))
    found = []
    for section in document.sections:
        for size in (WIDE, NARROW):
            chart = chart_of(section, document.granularity, document.marks, size)
            assert chart
            found.append((section, chart))
    return found


@given(st.floats(0, 1e9), UNITS)
def test_ticks_are_few_and_reach_from_zero_to_the_highest_value(highest: float, unit: str) -> None:
    ticks = y_ticks(highest, unit)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-9)
    assert 2 <= len(ticks) <= 6
    steps = {round(b - a, 9 - len(str(int(b)))) for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1
    if unit == "count":
        assert all(tick == int(tick) for tick in ticks)


def test_values_are_as_high_as_the_scale_says() -> None:
    for section, chart in charts():
        top = max(chart.y_ticks, key=lambda tick: -tick.at)
        known = [row.value.number for row in section.rows if row.value.number is not None]
        heights = [chart.base - bar.y for bar in chart.bars]
        assert len(known) == len(heights)
        ratios = [height / value for height, value in zip(heights, known, strict=True) if value]
        assert max(ratios) - min(ratios) < 0.02 * max(ratios)
        assert all(chart.top <= bar.y <= chart.base for bar in chart.bars)
        assert {bar.y for bar in chart.bars} == {bar.value_y for bar in chart.bars}
        assert top.at == chart.top


def test_nothing_is_drawn_in_a_gap_but_its_word() -> None:
    for section, chart in charts(blind=range(11, 13)):
        (gap,) = chart.gaps
        assert (gap.state, gap.word) == ("unknown", "unknown")
        inside = [bar for bar in chart.bars if gap.x < bar.center < gap.x + gap.width]
        assert inside == []
        assert len(chart.bars) == len(section.rows) - 2
        assert len(chart.lines) == (0 if section.metric.is_total else 2)


def test_labels_keep_clear_of_each_other() -> None:
    document = build(report_of(month_of(date(2026, 12, 1), BERLIN)))
    for size in (WIDE, NARROW):
        chart = chart_of(document.sections[0], "day", (), size)
        assert chart
        ticks = chart.x_ticks
        gaps = [b.at - a.at for a, b in itertools.pairwise(ticks)]
        assert min(gaps) >= 6 * max(len(tick.text) for tick in ticks)
        assert len(ticks) >= 3


def test_a_mark_stands_where_the_setup_changed() -> None:
    for section, chart in charts():
        (mark,) = chart.marks
        hour = [row.label for row in section.rows].index("13:00")
        width = (chart.right - chart.left) / len(section.rows)
        assert mark.number == 1
        assert abs(mark.x - (chart.left + width * (hour + 0.5))) < 0.11


def test_all_coordinates_are_within_the_picture() -> None:
    for _, chart in charts(blind=range(15, 20)):
        for path in (*chart.lines, *chart.compared):
            for x, y in re.findall(r"([\d.]+) ([\d.]+)", path):
                assert 0 <= float(x) <= chart.size.width
                assert chart.top <= float(y) <= chart.base


def test_losses_hang_below_zero_within_the_picture() -> None:
    document = build(report_of(MONDAY))
    section = document.sections[0]

    def turned(row: Row) -> Row:
        figure = row.value.figure
        assert figure
        assert figure.value is not None
        worth = figure.value - 100
        lost = with_fields(figure, value=worth, low=worth - 5, high=worth + 5)
        return replace(row, value=Value(row.value.state, lost), compared=())

    rows = tuple(turned(row) for row in section.rows)
    chart = chart_of(replace(section, rows=rows), "hour", (), WIDE)
    assert chart
    (zero,) = [tick.at for tick in chart.y_ticks if tick.text == "0"]
    for bar, row in zip(chart.bars, rows, strict=True):
        assert row.value.number is not None
        assert bar.height >= 0
        assert chart.top <= bar.y <= bar.y + bar.height <= chart.base + 0.11
        assert (bar.value_y > zero) == (row.value.number < 0)
        assert min(abs(bar.y - zero), abs(bar.y + bar.height - zero)) < 0.11
