"""A disk that fills up while the platform runs: it says so, ends, and keeps what it had told."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.conftest import unavailable
from tests.faults.product import read_until, site_file, started, trinetra

from trinetra.events.codec import decode
from trinetra.events.schema import IdentityEvent
from trinetra.web.security.local_secret import local_token
from trinetra.wiring.local_secret import local_secret

# In a mount namespace of its own, so that nothing outside sees the small disk.
ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from tests.faults.test_full_disk import fill_up_and_make_room

folder, clips, weights = map(Path, sys.argv[1:4])
disk = folder / "disk"
disk.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320m", "none", disk], check=True)
fill_up_and_make_room(disk, clips, weights)
"""


def fill_up_and_make_room(disk: Path, clips: Path, weights: Path) -> None:
    """Run on a small disk, fill it, look at how the run ends, make room and run again."""
    folder, clip = disk.parent, clips / "face-demographics-walking-and-pause.mp4"
    environ = {"TRINETRA_MODELS_DIR": str(weights), "TRINETRA_DATA_DIR": str(disk / "data")}
    looped = site_file(folder, f"id: door, role: face, source: {{file: {clip}, loop: true}}")
    with started("run", looped, folder=folder, **environ) as process:
        address = read_until(process.stderr, "/health/ready").rpartition("on ")[2].split()[0]
        proof = local_token(local_secret(disk / "data"), datetime.now(UTC))
        with httpx.stream(
            "GET",
            f"{address}/events",
            headers={"Authorization": f"Bearer {proof}"},
            timeout=httpx.Timeout(5.0, read=None),
        ) as live:
            known = first_customers(live.iter_lines(), 3)
        fill(disk / "filler")
        _, said = process.communicate()
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert "error: " in said
    assert "full" in said.rpartition("error: ")[2]
    (disk / "filler").unlink()
    site = site_file(folder, f"id: door, role: face, source: {{file: {clip}}}")
    events = folder / "events.jsonl"
    done = trinetra("run", site, "--events", events, folder=folder, **environ)
    assert done.returncode == 0, done.stderr
    assert set(customers(events.read_text().splitlines())) == known


def first_customers(lines: Iterable[str], number: int) -> set[str]:
    """Return so many customers, as soon as the events tell of them."""
    known: set[str] = set()
    for customer in customers(lines):
        known.add(customer)
        if len(known) == number:
            return known
    raise AssertionError(f"only {known} came")


def customers(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        event = decode(line.encode())
        if isinstance(event, IdentityEvent) and event.customer_id:
            yield event.customer_id


def fill(path: Path) -> None:
    """Take every byte that is left."""
    with path.open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while filler.write(b"\0" * size):
                    pass
            except OSError as cause:
                assert cause.errno == errno.ENOSPC  # noqa: PT017  expected, at the end


def may_mount() -> bool:
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


@pytest.mark.clips
@pytest.mark.weights
def test_a_full_disk_ends_a_run_in_order_and_everybody_is_known_after_making_room(
    clips_dir: Path, models_dir: Path, tmp_path: Path
) -> None:
    if not may_mount():
        unavailable("this user may not mount a small disk", "TRINETRA_TEST_REQUIRE_SERVERS")
    root = str(Path(__file__).parents[2])
    arguments = [str(tmp_path), str(clips_dir), str(models_dir), root]
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", ON_A_SMALL_DISK, *arguments],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
