"""The twin from the outside: its files, its feed, and the platform's results on it."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.commands.application import app
from trinetra.commands.twin import resolve
from trinetra.errors import StorageFull
from trinetra.events.codec import decode
from trinetra.events.topics import DETECTIONS
from trinetra.site import EXAMPLE, site_from_text
from trinetra.streaming.event_recorder import Tally
from trinetra.twin.emission import Arrival
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.service import publish, write
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import AnyTruth, CrossingTruth, StayTruth, Transaction, VisitTruth
from trinetra.wiring.simulation import floor_plan, site_of

FILES = ("events.jsonl", "truth.jsonl", "pos.jsonl")
SHORT = ("--hours", "0.03", "--shoppers-per-hour", "300")


def digests(folder: Path) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES]


def run_elsewhere(folder: Path, hash_seed: str) -> subprocess.Popen[bytes]:
    """Start the command in a separate process."""
    program = "from trinetra.commands.application import app; app()"
    arguments = ["twin", "run", *SHORT, "--seed", "7", "--out", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )


def test_one_seed_is_one_run_to_the_byte_and_another_seed_is_another(tmp_path: Path) -> None:
    with run_elsewhere(tmp_path / "a", "1") as first, run_elsewhere(tmp_path / "b", "2") as again:
        command = ["twin", "run", *SHORT, "--seed", "8", "--out", str(tmp_path / "c")]
        assert CliRunner().invoke(app, command).exit_code == 0
    assert (first.returncode, again.returncode) == (0, 0)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert not set(digests(tmp_path / "a")[:2]) & set(digests(tmp_path / "c"))


def test_the_files_are_what_they_are_documented_to_be(tmp_path: Path) -> None:
    model = Twin(built_in_shop(), Scenario(seed=3, shoppers_per_hour=120, hours=0.3))
    written = write(model, tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    lines = {name: (folder / name).read_bytes().splitlines() for name in FILES}
    assert [len(lines[name]) for name in FILES] == [
        written.events,
        written.truths,
        written.transactions,
    ]
    events = [decode(line) for line in lines["events.jsonl"]]
    assert {event.models["detect"] for event in events} == {"twin@1"}
    truth = msgspec.json.Decoder(AnyTruth)
    kinds = Counter(type(truth.decode(line)).__name__ for line in lines["truth.jsonl"])
    assert kinds["RunTruth"] == 1
    assert min(kinds[f"{name}Truth"] for name in ("Frame", "Crossing", "Stay", "Queue")) > 0
    receipts = msgspec.json.Decoder(Transaction)
    paid = [receipts.decode(line).at for line in lines["pos.jsonl"]]
    assert paid
    assert paid == sorted(paid)


def test_a_folder_that_cannot_be_written_is_a_planned_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFull, match="cannot be written"):
        write(Twin(built_in_shop(), Scenario(hours=0.01)), tmp_path / "file")


# --- publishing -------------------------------------------------------------------------------


async def published(log: MemoryEventLog) -> list[bytes]:
    reader = await log.subscribe([DETECTIONS], "test")
    got: list[bytes] = []
    while batch := await reader.poll(max_records=10_000, wait_s=0):
        got += [delivery.value for delivery in batch]
    return got


async def test_everything_goes_into_the_log_in_order_per_camera() -> None:
    model = Twin(built_in_shop(), Scenario(shoppers_per_hour=60, hours=0.02))
    log = MemoryEventLog(SystemClock())
    told = await publish(model.arrivals(), log, SystemClock())
    arrivals = list(model.arrivals())
    assert told.events == len(arrivals)
    assert told.payload_bytes == sum(len(a.payload) for a in arrivals)
    got = await published(log)
    for view in model.plan.views:
        mine = [p for p in got if decode(p).camera_id == view.camera_id]
        assert mine == [a.payload for a in arrivals if a.camera_id == view.camera_id]


async def settle() -> None:
    """Let the publisher run until it sleeps again."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_at_a_chosen_speed_events_come_when_they_are_due() -> None:
    clock = ManualClock()
    log = MemoryEventLog(clock)
    arrivals = [Arrival(second * 1_000_000, 0, second, "c", b"x") for second in range(100)]
    feeding = asyncio.create_task(publish(arrivals, log, clock, speed=8))
    await settle()
    for _ in range(50):
        clock.advance(0.125)
        await settle()
    assert not feeding.done()
    assert len(await published(log)) == 51
    for _ in range(49):
        clock.advance(0.125)
        await settle()
    assert (await feeding).events == 100


async def test_a_night_is_cut_short() -> None:
    clock = ManualClock()
    log = MemoryEventLog(clock)
    evening_and_morning = [Arrival(0, 0, 0, "c", b"x"), Arrival(43_200_000_000, 0, 1, "c", b"y")]
    feeding = asyncio.create_task(publish(evening_and_morning, log, clock, speed=1))
    await settle()
    clock.advance(60)
    assert (await feeding).events == 2


# --- through the platform -----------------------------------------------------------------------


@dataclass(frozen=True)
class QuietShop:
    """A quarter of an hour: what happened, and what the platform made of its events."""

    truth: list[AnyTruth]
    tally: Tally
    arrivals: int


@pytest.fixture(scope="module")
def quiet_shop() -> QuietShop:
    model = Twin(built_in_shop(), Scenario(seed=2, shoppers_per_hour=40, hours=0.25))
    tally = asyncio.run(resolve(model, site_of(model.plan), None))
    truth = list(Recorder(model.world).lines())
    return QuietShop(truth, tally, sum(1 for _ in model.arrivals()))


def test_the_platform_counts_about_what_happened_in_a_quiet_shop(quiet_shop: QuietShop) -> None:
    truth, tally = quiet_shop.truth, quiet_shop.tally
    crossed = Counter((c.label, c.direction) for c in truth if isinstance(c, CrossingTruth))
    for direction in ("in", "out"):
        assert tally.footfall[direction] == pytest.approx(crossed["person", direction], abs=1)
        assert tally.vehicles[direction] == pytest.approx(crossed["car", direction], abs=1)
    inferred = sum(camera.frames_inferred for camera in tally.cameras.values())
    assert inferred == quiet_shop.arrivals


@pytest.mark.xfail(
    reason="a track that breaks begins another stay: three zones are right, dairy has 15 of 9"
)
def test_the_platform_counts_about_as_many_stays_as_there_were(quiet_shop: QuietShop) -> None:
    truth, tally = quiet_shop.truth, quiet_shop.tally
    stays = Counter(s.zone_id for s in truth if isinstance(s, StayTruth))
    for zone in ("drinks", "fruit", "dairy", "bread"):
        assert tally.stays[zone] == pytest.approx(stays[zone], rel=0.4, abs=3)


def test_the_platform_knows_about_as_many_customers_as_there_were(quiet_shop: QuietShop) -> None:
    truth, tally = quiet_shop.truth, quiet_shop.tally
    shoppers = {v.person_id for v in truth if isinstance(v, VisitTruth) and v.outcome != "worked"}
    # Staff who are not enrolled count as customers.
    assert len(shoppers) - 1 <= tally.customers.total <= len(shoppers) + 3


async def test_the_platform_runs_on_the_twin_of_somebodys_site_file() -> None:
    site = site_from_text(EXAMPLE)
    model = Twin(floor_plan(site), Scenario(seed=2, shoppers_per_hour=60, hours=0.1))
    truth = list(Recorder(model.world).lines())
    tally = await resolve(model, site, None)
    ins = sum(isinstance(c, CrossingTruth) and c.direction == "in" for c in truth)
    assert tally.footfall["in"] == pytest.approx(ins, abs=1)


# --- the command ----------------------------------------------------------------------------------


def test_without_files_the_command_prints_what_happened() -> None:
    result = CliRunner().invoke(app, ["twin", "run", *SHORT, "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output)
    assert summary["cameras"] == 6
    assert summary["shoppers"] == sum(
        summary[kind] for kind in ("bought", "browsed", "balked", "reneged")
    )


def test_the_command_publishes_and_tells_what_the_platform_made_of_it() -> None:
    result = CliRunner().invoke(
        app, ["twin", "run", "--hours", "0.02", "--publish", "--speed", "max", "--json"]
    )
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.output)["resolved"]["footfall"]) == {"in", "out"}


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", "inf"])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    result = CliRunner().invoke(app, ["twin", "run", "--speed", speed, "--hours", "0.01"])
    assert result.exit_code == 1
    assert "give a positive number, or max" in str(result.exception)
