"""The live view of ``trinetra run``: today's figures from the store, in 80 columns."""

import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import msgspec
import pytest
from rich.console import Console
from tests.contracts.test_insight_store import crossing, stay, visit

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.commands.display import LiveView
from trinetra.commands.today import Figures, Today, day_of, figures_of
from trinetra.frames.connection import CameraState, CameraStatus
from trinetra.site import Site
from trinetra.streaming.event_recorder import EventRecorder
from trinetra.values import CameraId, IdentityKind

FIGURES = Figures(came_in=1234, went_out=1198, customers=987, visits=1012, stays=2345)
LONG = "entrance-of-the-northern-building-second-floor-left-door"


def site(*names: str, timezone: str = "Asia/Kolkata") -> Site:
    cameras = [
        {"id": name, "role": "entrance", "source": {"url": f"rtsp://192.0.2.{n}/main"}}
        for n, name in enumerate(names or ("door",), start=1)
    ]
    return Site.model_validate({"site": "shop", "timezone": timezone, "cameras": cameras})


def status(problem: str | None = None) -> CameraStatus:
    return CameraStatus(
        state=CameraState.BACKOFF if problem else CameraState.STREAMING,
        since=datetime(2026, 3, 1, tzinfo=UTC),
        frames_read=12_345_678,
        frames_sampled=9,
        dropped={},
        frames_left_to_other=0,
        failures=0,
        last_frame_at=None,
        width=1920,
        height=1080,
        sample_fps=5.0,
        key_frames_only=False,
        problem=problem,
    )


def drawn(shop: Site, today: Today, problems: dict[str, str], *, height: int = 24) -> list[str]:
    cameras = {CameraId(c.id): status(problems.get(c.id)) for c in shop.cameras}
    recorder = EventRecorder(MemoryEventLog(SystemClock()))
    platform = SimpleNamespace(cameras=lambda: cameras, recorder=recorder)
    for camera_id in cameras:
        tally = recorder.tally.cameras[camera_id]
        tally.frames_inferred = 10_234_567
        tally.tracks.total = 123_456
    console = Console(file=io.StringIO(), width=80, height=height, force_terminal=False)
    console.print(LiveView(shop, platform, today))
    return console.file.getvalue().splitlines()


def test_every_line_fits_80_columns_and_can_be_read() -> None:
    problem = "rtsp://192.0.2.1/main did not answer within 5 s; it is tried again in 12 s, " * 2
    lines = drawn(site(LONG, "till"), Today(FIGURES), {LONG: problem})
    assert max(map(len, lines)) <= 80
    figures = "today in 1234 out 1198 customers 987 visits 1012 stays 2345"
    assert " ".join(lines[0].split()) == figures
    heads, row = lines[2].split(), next(line for line in lines if line.startswith(" till"))
    assert heads == ["camera", "state", "read", "inferred", "tracks"]
    assert row.split() == ["till", "streaming", "12345678", "10234567", "123456"]
    assert any(line.startswith(" entrance-of-the-northern-bu") for line in lines)
    assert any("entrance-of-the-northe…" in line and "did not answer" in line for line in lines)


def test_many_cameras_fit_the_screen_with_those_in_trouble_first() -> None:
    names = [f"camera-{n:02}" for n in range(40)]
    lines = drawn(site(*names), Today(FIGURES), {"camera-37": "refused"})
    assert len(lines) <= 24
    rows = [line for line in lines if "streaming" in line or "backoff" in line]
    assert rows[0].split()[:2] == ["camera-37", "backoff"]
    assert len(rows) > 12
    assert f" and {40 - len(rows)} more cameras" in lines
    assert " camera-37: refused" in lines


def test_before_the_first_reading_no_figure_is_shown() -> None:
    assert drawn(site(), Today(), {})[0].strip() == "today: not read yet"


async def test_today_is_the_day_of_the_shop_and_outlives_a_restart() -> None:
    shop = site()
    midnight = datetime(2026, 3, 1, tzinfo=ZoneInfo(shop.timezone)).astimezone(UTC)

    def at(hours: float, event: object, number: int, **changes: object) -> object:
        time = midnight + timedelta(hours=hours)
        changes = {"captured_at": time, "event_id": f"id_{number}", **changes}
        return msgspec.structs.replace(event, **changes)

    staff = IdentityKind.STAFF
    insights = [
        at(-0.1, crossing(0), 1),
        at(0.1, crossing(0), 2),
        at(23.9, crossing(0), 3),
        at(9, crossing(0), 4, direction="out"),
        at(9, crossing(0), 5, kind=staff),
        at(9, crossing(0), 6, label="car"),
        at(24.1, crossing(0), 7),
        at(9, stay(0), 8),
        at(9, stay(0), 9, kind=staff),
        at(-1, visit(1), 10),
        at(9, visit(1), 11),
        at(12, visit(2), 12),
        at(12, visit(3, customer="bob"), 13),
        at(12, visit(4, customer="eve"), 14, kind=staff),
        at(12, visit(5, customer="cat"), 15, withdrawn=True),
    ]
    async with SqlInsightStore.open("sqlite://") as store:
        await store.record(insights)
        found = await figures_of(store, shop, midnight + timedelta(hours=20))
    assert found == Figures(came_in=2, went_out=1, customers=2, visits=3, stays=1)


@pytest.mark.parametrize(("day", "hours"), [(28, 24), (29, 23)])
def test_a_day_on_which_clocks_change_has_its_own_length(day: int, hours: int) -> None:
    now = datetime(2026, 3, day, 12, tzinfo=UTC)
    start, end = (t.astimezone(UTC) for t in day_of(now, site(timezone="Europe/Berlin")))
    assert (end - start).total_seconds() == hours * 3600
