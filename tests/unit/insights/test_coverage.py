"""Coverage: cameras report when they were watched, and every second of it counts once."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trinetra.insights.camera.coverage import CoverageMeter
from trinetra.insights.camera.reports import Place
from trinetra.insights.metrics.coverage import cells
from trinetra.values import CameraId, SiteId

START = datetime(2026, 3, 1, 11, 59, tzinfo=UTC)
DOOR = Place(SiteId("shop"), CameraId("door"))
GAPS_S = st.one_of(st.floats(0.05, 5.0), st.floats(5.01, 400.0))


def watch(meter: CoverageMeter, gaps_s: list[float]) -> tuple[dict, float]:
    """Return the last report of each span, and the seconds that were watched."""
    at, reports, watched = START, meter.step(START), 0.0
    for gap_s in gaps_s:
        step = timedelta(seconds=round(gap_s, 3))
        at += step
        watched += step.total_seconds() if step <= timedelta(seconds=5) else 0.0
        reports += meter.step(at)
    reports += meter.end(None)
    return {report.event_id: report for report in reports}, watched


@given(st.lists(GAPS_S, max_size=300))
def test_the_cells_of_all_spans_add_up_to_the_time_watched(gaps_s: list[float]) -> None:
    spans, watched = watch(CoverageMeter(DOOR, 5.0), gaps_s)
    found = [cell for span in spans.values() for cell in cells(span)]
    assert sum(cell.value for cell in found) == round(1000 * watched)
    by_minute: dict[datetime, int] = {}
    for cell in found:
        by_minute[cell.at] = by_minute.get(cell.at, 0) + cell.value
    assert all(0 < value <= 60_000 for value in by_minute.values())
    assert all(at.second == at.microsecond == 0 for at in by_minute)


def test_a_span_grows_each_minute_under_its_id_and_ends_at_the_full_hour() -> None:
    meter = CoverageMeter(DOOR, 5.0)
    reports = [r for s in range(200) for r in meter.step(START + timedelta(seconds=s))]
    noon = START + timedelta(minutes=1)
    assert [(r.started_at, r.captured_at) for r in reports] == [
        (START, START + timedelta(minutes=1)),
        (START, noon),
        (noon, noon + timedelta(minutes=1)),
        (noon, noon + timedelta(minutes=2)),
    ]
    assert reports[0].event_id == reports[1].event_id != reports[2].event_id
    assert reports[2].event_id == reports[3].event_id


def test_a_gap_ends_a_span_at_its_last_frame_and_says_so() -> None:
    meter = CoverageMeter(DOOR, 5.0)
    meter.step(START)
    meter.step(START + timedelta(seconds=3))
    [gap] = meter.step(START + timedelta(seconds=9))
    assert (gap.captured_at, gap.ended) == (START + timedelta(seconds=3), "gap")
    meter.step(START + timedelta(seconds=10))
    [silent] = meter.end("silent")
    assert (silent.started_at, silent.ended) == (START + timedelta(seconds=9), "silent")


def test_a_single_frame_is_no_time_watched() -> None:
    meter = CoverageMeter(DOOR, 5.0)
    assert meter.step(START) == []
    assert meter.end("session") == []
