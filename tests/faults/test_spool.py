"""The spool under outages, kills and a full disk: nothing acknowledged is lost or overtaken."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import unavailable

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.framing import encode_frame, parse
from trinetra.adapters.disk.spool import SpoolingEventLog, SpoolPolicy
from trinetra.adapters.disk.spool_file import Stored, encode
from trinetra.errors import EventLogUnavailable
from trinetra.events.topics import DETECTIONS
from trinetra.ports import Record
from trinetra.streaming.retry import Backoff
from trinetra.telemetry import configure_logging
from trinetra.values import EPOCH

KEYS = "abc"
POLICY = SpoolPolicy(batch_records=4, backoff=Backoff(0.0005, 0.002), segment_bytes=1 << 10)


class Wire:
    """A log that is away now and then; what it accepts outlives the process that sent it."""

    def __init__(self, sent: list[tuple[str, int]]) -> None:
        self.sent = sent
        self.up = True

    async def append(self, records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        for record in records:
            if not self.up:  # perhaps in the middle of the batch
                raise EventLogUnavailable("nobody answers")
            self.sent.append((record.key, int(record.value or b"")))

    async def subscribe(self, *_arguments: object) -> None:
        raise NotImplementedError

    async def latest(self, *_arguments: object) -> dict[str, bytes]:
        raise NotImplementedError


def assert_nothing_lost_or_overtaken(
    acknowledged: Iterable[tuple[str, int]], sent: Iterable[tuple[str, int]]
) -> None:
    """Repeats are allowed: they carry the ids of what they repeat."""
    first: dict[str, list[int]] = defaultdict(list)
    for key, number in sent:
        if number not in first[key]:
            first[key].append(number)
    assert all(numbers == sorted(numbers) for numbers in first.values())
    lost = [(key, number) for key, number in acknowledged if number not in first[key]]
    assert lost == []


APPEND = st.tuples(st.just("append"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=6))
KILL = st.tuples(st.just("kill"), st.tuples(st.integers(0, 60), st.booleans()))
FALL, RISE, EMPTY = (st.tuples(st.just(what), st.none()) for what in ("fall", "rise", "empty"))
OUTAGE = st.tuples(FALL, APPEND, RISE, APPEND)
STEPS = st.lists(
    st.one_of(OUTAGE, st.tuples(st.one_of(APPEND, FALL, RISE, EMPTY, KILL))), max_size=20
).map(lambda groups: [step for group in groups for step in group])


class Run:
    """One process after the other on the same spool, each ended by what a kill leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.sent: list[tuple[str, int]] = []
        self.acknowledged: list[tuple[str, int]] = []
        self.number = 0
        self.lifecycle_events = 0

    @property
    def folder(self) -> Path:
        return self.root / str(self.lifecycle_events)

    async def live(self, steps: list[tuple[str, object]]) -> list[tuple[str, object]]:
        """Take steps up to the next kill; return those after it."""
        wire = Wire(self.sent)
        async with SpoolingEventLog.open(
            wire, self.folder, max_bytes=1 << 20, clock=SystemClock(), policy=POLICY
        ) as spool:
            while steps:
                (what, detail), *steps = steps
                if what == "kill":
                    wire.sent = []  # what a dead process still does, nobody sees
                    await spool._disk._run(self.leave_behind, detail)
                    return steps
                await self.step(spool, wire, what, detail)
            wire.up = True
            await emptied(spool)
        return steps

    async def step(self, spool: SpoolingEventLog, wire: Wire, what: str, detail: object) -> None:
        if what == "append":
            await asyncio.gather(*(self.append(spool, key) for key in set(detail)))
            await self.append(spool, *detail)
        elif what == "empty" and wire.up:
            await emptied(spool)
        else:
            wire.up = wire.up if what == "empty" else what == "rise"

    async def append(self, spool: SpoolingEventLog, *keys: str) -> None:
        numbered = [(key, self.number + n) for n, key in enumerate(keys)]
        self.number += len(keys)
        await spool.append([Record(DETECTIONS, key, b"%d" % n) for key, n in numbered])
        self.acknowledged += numbered

    def leave_behind(self, how: tuple[int, bool]) -> None:
        """Copy the folder as it is, with half a record behind the last, perhaps without cursor."""
        torn_bytes, loses_cursor = how
        after = self.root / str(self.lifecycle_events + 1)
        shutil.copytree(self.folder, after)
        self.lifecycle_events += 1
        segments = sorted(after.glob("*.spool"))
        with (segments[-1] if segments else after / f"{999:020}.spool").open("ab") as file:
            torn = encode(Stored(EPOCH, Record(DETECTIONS, "a", b"-1" * 40)))
            file.write(encode_frame(1000, torn)[:torn_bytes])
        if loses_cursor:
            (after / "cursor").unlink()


async def emptied(spool: SpoolingEventLog) -> None:
    while spool.status().bytes:  # noqa: ASYNC110  only tests wait for it
        await asyncio.sleep(0)


@given(steps=STEPS)
@settings(max_examples=40)
async def test_whatever_happens_nothing_acknowledged_is_lost_or_overtaken(
    steps: list[tuple[str, object]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        while steps:
            steps = await run.live(steps)
        await run.live([])
        assert_nothing_lost_or_overtaken(run.acknowledged, run.sent)


# --- real kills ---------------------------------------------------------------------------------


class FileLog:
    """A log in a file, for a process that will be killed; away every other twenty calls."""

    def __init__(self, path: Path, *, always_up: bool = False) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.always_up = always_up
        self.calls = 0

    async def append(self, records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        self.calls += 1
        if not self.always_up and self.calls // 20 % 2:
            raise EventLogUnavailable("nobody answers")
        for record in records:
            os.write(self.file, b"%s %s\n" % (record.key.encode(), record.value))


async def spool_until_killed(folder: Path, life: int) -> None:
    """Append for ever, one task per key, and print what was acknowledged."""
    configure_logging(as_json=True, level="ERROR")
    log = FileLog(folder / "log")
    async with SpoolingEventLog.open(
        log, folder / "spool", max_bytes=1 << 24, clock=SystemClock(), policy=POLICY
    ) as spool:

        async def write(key: str) -> None:
            for number in range(life * 10**6, (life + 1) * 10**6):
                await spool.append([Record(DETECTIONS, key, b"%d" % number)])
                os.write(1, b"%s %d\n" % (key.encode(), number))

        await asyncio.gather(*map(write, KEYS))


async def drain(folder: Path) -> None:
    log = FileLog(folder / "log", always_up=True)
    async with SpoolingEventLog.open(
        log, folder / "spool", max_bytes=1 << 24, clock=SystemClock(), policy=POLICY
    ) as spool:
        await emptied(spool)


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.faults.test_spool import spool_until_killed
asyncio.run(spool_until_killed(Path(sys.argv[2]), int(sys.argv[3])))
"""


async def test_a_process_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    acknowledged: list[tuple[str, int]] = []
    for life, moment in enumerate(np.random.default_rng(4).integers(50, 900, 4)):
        acknowledged += lines(killed_after(tmp_path, life, moment))
    await drain(tmp_path)
    sent = lines((tmp_path / "log").read_text().splitlines())
    assert len(acknowledged) > 500
    assert_nothing_lost_or_overtaken(acknowledged, sent)


def killed_after(folder: Path, life: int, acknowledgements: int) -> list[str]:
    """Return what a process acknowledged until it was killed."""
    root = str(Path(__file__).parents[2])
    arguments = [sys.executable, "-c", CHILD, root, str(folder), str(life)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        told += process.stdout.readlines()
    return [line for line in told if line.endswith("\n")]


def lines(told: Iterable[str]) -> list[tuple[str, int]]:
    return [(key, int(number)) for key, number in (line.split() for line in told)]


# --- a full disk --------------------------------------------------------------------------------

ON_A_SMALL_DISK = """
import asyncio, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.faults.test_spool import fill_the_disk

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
asyncio.run(fill_the_disk(disk))
"""


async def fill_the_disk(disk: Path) -> None:
    """Spool until the disk is full, make room, spool more, and see what arrives."""
    sent: list[tuple[str, int]] = []
    wire = Wire(sent)
    wire.up = False
    (disk / "filler").write_bytes(bytes(300_000))
    number = 0
    async with SpoolingEventLog.open(
        wire, disk / "spool", max_bytes=1 << 30, clock=SystemClock(), policy=POLICY
    ) as spool:

        async def append_until_refused() -> str:
            nonlocal number
            try:
                while True:
                    await spool.append([Record(DETECTIONS, "a", b"%04000d" % number)])
                    number += 1
            except EventLogUnavailable as refused:
                return str(refused)

        assert "no space left" in await append_until_refused()
        full = number
        assert full > 10
        assert not any(parse(file.read_bytes()).gaps for file in (disk / "spool").glob("*.spool"))
        (disk / "filler").unlink()
        await append_until_refused()
        assert number > full
        wire.up = True
        await emptied(spool)
    assert [n for _, n in sent] == list(range(number))


def may_mount() -> bool:
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def test_on_a_full_disk_the_spool_refuses_whole_records_and_sends_all_it_took(
    tmp_path: Path,
) -> None:
    if not may_mount():
        unavailable("this user may not mount a small disk", "TRINETRA_TEST_REQUIRE_SERVERS")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path), root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
