"""Documents of reports: what is known, what is not and why, and what it is compared with."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields
from tests.unit.reports.shop import BERLIN, DWELL, TRAFFIC, figure, figures_of, report_of, table

from trinetra.events.figures import Mark
from trinetra.reports.build import build, value_of
from trinetra.reports.document import Compared, PeriodFigures, Row
from trinetra.reports.periods import Period, compared_with, day_of, month_of

MONDAY = day_of(date(2026, 11, 23), BERLIN)
NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def traffic(period: Period = MONDAY, **rest: object) -> tuple[Row, ...]:
    return build(report_of(period, **rest)).sections[0].rows


@pytest.mark.parametrize(
    ("value", "completeness", "state"),
    [
        (5.0, 1.0, "known"),
        (0.0, 1.0, "known"),
        (5.0, 0.4, "partial"),
        (5.0, None, "known"),
        (None, 0.0, "unknown"),
        (None, 0.7, "none"),
        (0.0, None, "closed"),
        (None, None, "closed"),
    ],
)
def test_a_value_says_why_it_is_missing(
    value: float | None, completeness: float | None, state: str
) -> None:
    one = figure(NOON, NOON + timedelta(hours=1), value, completeness=completeness)
    assert value_of(one, LATER).state == state
    assert value_of(one, NOON).state == "later"


@given(st.one_of(st.none(), st.floats(0, 1e9)), st.one_of(st.none(), st.floats(0, 1)))
def test_a_number_is_shown_exactly_where_there_is_one(
    value: float | None, completeness: float | None
) -> None:
    shown = value_of(figure(NOON, LATER, value, completeness=completeness), LATER)
    if shown.number is not None:
        assert shown.number == value
    elif value:
        pytest.fail("a value that is there was left out")
    if value is None:
        assert shown.number is None


def test_hours_outside_of_the_opening_hours_are_left_out() -> None:
    assert [row.label for row in traffic()][:: len(traffic()) - 1] == ["09:00", "19:00"]


def test_a_gap_is_named_with_its_times() -> None:
    document = build(report_of(MONDAY, blind=range(11, 13)))
    for section in document.sections:
        assert section.notes == (
            "Nothing was watched: 11:00 to 13:00. These figures are unknown, not zero.",
        )
        states = {row.label: row.value.state for row in section.rows}
        assert (states["11:00"], states["12:00"], states["13:00"]) == (
            "unknown",
            "unknown",
            "known",
        )


def test_hours_are_compared_by_the_wall_clock_when_clocks_change() -> None:
    sunday = day_of(date(2026, 10, 25), BERLIN)

    def hours(start: datetime, end: datetime) -> list:
        local = start.astimezone(BERLIN)
        return [figure(start, end, float(local.hour + 100 * local.fold))]

    compared = [
        Compared(
            each, PeriodFigures(*[table(each.period, g, hours) for g in ("hour", "range", "range")])
        )
        for each in compared_with(sunday)
    ]
    own = PeriodFigures(*[table(sunday, g, hours) for g in ("hour", "range", "range")])
    report = replace(report_of(MONDAY), period=sunday, figures=own, compared=tuple(compared))
    rows = build(report).sections[0].rows
    assert len(rows) == 25
    again = next(row for row in rows if row.label == "02:00 again")
    # A year before, 52 weeks to the day, the clocks changed as well.
    assert [value.state for value in again.compared] == ["absent", "absent", "known"]
    others = [row for row in rows if row is not again]
    assert all(value.number == row.start.hour for row in others for value in row.compared)


def test_a_month_has_no_31st_to_compare_with_in_november() -> None:
    december = traffic(month_of(date(2026, 12, 1), BERLIN))
    assert december[-1].label == "Thu 31 Dec"
    assert december[-1].compared[0].state == "absent"
    assert december[-2].compared[0].state == "known"


def test_changes_are_given_only_between_periods_that_are_over_and_were_watched() -> None:
    headline = build(report_of(MONDAY)).sections[0].headline
    own, before = headline.value.number, headline.compared[0].number
    assert own is not None
    assert before is not None
    assert headline.changes[0] == pytest.approx(own / before - 1)
    running = build(report_of(MONDAY, now=NOON))
    assert running.sections[0].headline.changes == (None, None, None)
    assert any("not over yet" in note for note in running.notes)

    report = report_of(MONDAY)
    total = report.figures.total
    blind = tuple(with_fields(f, completeness=0.9) for f in total.figures)
    partial = replace(report.figures, total=with_fields(total, figures=blind))
    document = build(replace(report, figures=partial))
    assert document.sections[0].headline.changes == (None, None, None)
    assert any("as little as 90 %" in note for note in document.notes)


def test_periods_without_any_figure_are_not_compared_with() -> None:
    def nothing(start: datetime, end: datetime) -> list:
        return [figure(start, end, None, completeness=0.0)]

    report = report_of(MONDAY)
    year = report.compared[2]
    empty = PeriodFigures(
        *[table(year.with_.period, g, nothing) for g in ("hour", "range", "range")]
    )
    compared = (*report.compared[:2], replace(year, figures=empty))
    document = build(replace(report, compared=compared))
    assert document.comparisons == ("day before", "Monday last week")
    assert all(len(row.compared) == 2 for row in document.sections[0].rows)

    own = PeriodFigures(*[table(MONDAY, g, nothing) for g in ("hour", "range", "range")])
    bare = build(replace(report, figures=own))
    assert bare.notes == ("Nothing is on record for this period.",)
    assert {row.value.state for row in bare.sections[0].rows} == {"unknown"}


def test_marks_are_numbered_in_the_order_of_time_by_the_shops_clock() -> None:
    marks = (
        Mark(at=NOON, what="model", name="detection"),
        Mark(at=NOON - timedelta(hours=2), what="geometry", name="front/door"),
    )
    document = build(report_of(MONDAY, marks=marks))
    assert [(mark.number, mark.text) for mark in document.marks] == [
        (1, "23 November, 10:00: A line or zone was redrawn (front/door)"),
        (2, "23 November, 12:00: Another recognition model (detection)"),
    ]


def test_places_are_listed_unless_there_is_only_one() -> None:
    assert [line.place for line in build(report_of(MONDAY)).sections[0].places] == [
        "entrance/door",
        "side/door",
    ]
    report = report_of(MONDAY)
    one = tuple(f for f in report.figures.places.figures if f.place != "side/door")
    places = with_fields(report.figures.places, figures=one)
    alone = build(replace(report, figures=replace(figures_of(MONDAY), places=places)))
    assert alone.sections[0].places == ()


def test_metrics_without_any_figure_are_left_out_unless_they_were_chosen() -> None:
    silent = replace(TRAFFIC, name="sales", title="Sales")
    report = report_of(MONDAY, metrics=(silent, TRAFFIC, DWELL))
    document = build(report)
    assert [section.metric.name for section in document.sections] == ["traffic_in", "dwell_median"]
    assert document.left_out == ("Sales",)
    chosen = build(replace(report, chosen=True))
    assert next(section.metric.name for section in chosen.sections) == "sales"
    assert chosen.left_out == ()
