"""Every command of README and CONTRIBUTING works as written, in the order of the page."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from trinetra.devservers.kafka import KafkaProgram

REPOSITORY = Path(__file__).parents[2]
FACE_CLIP = "face-demographics-walking-and-pause.mp4"
CLIP = "one-by-one-person-detection.mp4"
SHORT_CLIP = "store-aisle-detection.mp4"
PORTS = ("EMBEDDED", "INGEST", "INFER", "RESOLVE", "INSIGHT")
EVENT = re.compile(r"idn_[0-9a-f]{24}")
CUSTOMER = re.compile(r"cus_[0-9a-f]{24}")


def blocks(page: str) -> dict[str, list[str]]:
    """Return the commands of a page by the heading above them, without their comments."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in (REPOSITORY / page).read_text().splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        elif re.match(r"    (make|eval|curl|kill|\.venv/bin/\w+)\b", line):
            found.setdefault(heading, []).append(re.sub(r"\s+#\s.*", "", line.strip()))
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Terminal:
    """A folder and an environment of their own, in which commands are typed."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        ports = {f"TRINETRA_{name}_PORT": str(free_port()) for name in PORTS}
        data = {"TRINETRA_DATA_DIR": str(folder / "data")}
        self.environ: Mapping[str, str] = {**os.environ, **ports, **data, **environ}

    def run(self, command: str) -> str:
        """Return the standard output of a command that must succeed."""
        done = subprocess.run(
            ["bash", "-ec", installed(command)],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def wait_for(self, service: str) -> None:
        """Wait until a service that was started serves its health."""
        address = f"http://127.0.0.1:{self.environ[f'TRINETRA_{service}_PORT']}/health/live"
        self.run(f"curl --silent --retry 999 --retry-delay 1 --retry-connrefused {address}")

    @contextmanager
    def running(self, command: str) -> Iterator["subprocess.Popen[str]"]:
        """Run a command until Ctrl-C."""
        with subprocess.Popen(
            ["bash", "-c", f"exec {installed(command)}"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGINT)
                process.communicate()
        assert process.returncode in {0, -signal.SIGINT, 128 + signal.SIGINT}


def installed(command: str) -> str:
    """Return the command with this interpreter in place of the environment that make creates."""
    return command.replace(".venv/bin/trinetra", f"{sys.executable} -m trinetra.cli")


def first(lines: Iterator[str], pattern: re.Pattern[str]) -> str:
    """Return the first match in lines that are still being written."""
    for line in lines:
        if match := pattern.search(line):
            return match[0]
    raise AssertionError(f"no {pattern.pattern} was shown")


def test_every_block_of_commands_is_tried_below() -> None:
    assert {page: list(blocks(page)) for page in ("README.md", "CONTRIBUTING.md")} == {
        "README.md": [
            "TRINETRA",
            "Your own cameras",
            "Customers and decisions",
            "One process, or many",
            "Without cameras, and against ground truth",
        ],
        "CONTRIBUTING.md": ["Start"],
    }


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_target_of_make_exists(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    targets = {match[1] for match in re.finditer(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE)}
    make = ["make", "--dry-run", "--directory", str(REPOSITORY), *sorted(targets)]
    done = subprocess.run(make, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert targets


@pytest.mark.clips
@pytest.mark.weights
def test_own_cameras_customers_and_decisions(
    tmp_path: Path, clips_dir: Path, models_dir: Path
) -> None:
    shop = Terminal(tmp_path)
    init, check, connect, run, tail = blocks("README.md")["Your own cameras"]
    assert shop.run(init) is not None
    assert shop.run(check)
    camera = {
        "id": "welcome",
        "role": "face",
        "source": {"file": str(clips_dir / FACE_CLIP), "loop": True},
    }
    site = {"site": "shop", "timezone": "UTC", "cameras": [camera]}
    (tmp_path / "site.yaml").write_text(json.dumps(site))
    shop.run(check)
    shop.run(connect)
    assert list((tmp_path / "site-cameras").iterdir())
    with shop.running(f"{run} --quiet"):
        shop.wait_for("EMBEDDED")
        with shop.running(f"{tail} --type identity --json") as events:
            assert events.stdout is not None
            line = first(events.stdout, re.compile(".*cus_.*"))
    event_id, anonymous = first(iter([line]), EVENT), first(iter([line]), CUSTOMER)

    photos = clips_dir.parent / "faces" / "Ana_Guevara"
    shutil.copy(min(photos.glob("*.jpg")), tmp_path / "ann.jpg")
    enroll, explain, replay, merge, forget = blocks("README.md")["Customers and decisions"]
    ann = first(iter(shop.run(f"{enroll} --json").splitlines()), CUSTOMER)
    assert event_id in shop.run(explain.replace("EVENT_ID", event_id))
    assert "tracks would be decided differently" in shop.run(replay)
    shop.run(merge.replace("ID OTHER", f"{anonymous} {ann}"))
    receipt = json.loads(shop.run(f"{forget.replace('ID', ann)} --yes"))
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    shop.run(".venv/bin/trinetra customers verify-receipt receipt.json")
    assert ann not in shop.run(".venv/bin/trinetra customers list")


def test_a_simulated_shop_and_its_truth(tmp_path: Path, clips_dir: Path, models_dir: Path) -> None:
    shop = Terminal(tmp_path)
    demo, simulate, replay, score, explain, clip, real, rtsp = blocks("README.md")[
        "Without cameras, and against ground truth"
    ]
    with shop.running(demo):
        shop.wait_for("EMBEDDED")
    shop.run(simulate.replace("--hours 1", "--hours 0.02"))
    assert "tracks would be decided differently" in shop.run(replay)
    assert "identity precision" in shop.run(score)
    said = (tmp_path / "day" / "said.jsonl").read_text().splitlines()
    event_id = first(iter(said), EVENT)
    assert "What would have changed it" in shop.run(explain.replace("EVENT_ID", event_id))
    shutil.copy(clips_dir / SHORT_CLIP, tmp_path / "lunch.mp4")
    assert "6" in shop.run(clip)
    (tmp_path / "aisle").mkdir()
    shutil.copy(clips_dir / SHORT_CLIP, tmp_path / "aisle")
    (tmp_path / "aisle" / "footage.toml").write_text("[aisle]\npeople = 3\n")
    assert "for 3" in shop.run(real.replace("FOLDER", "aisle"))
    (tmp_path / "clips").mkdir()
    shutil.copy(clips_dir / CLIP, tmp_path / "clips")
    with shop.running(rtsp.replace("FOLDER", "clips")) as served:
        assert served.stdout is not None
        assert first(served.stdout, re.compile("rtsp://"))


@pytest.mark.kafka
@pytest.mark.redis
def test_many_processes(
    tmp_path: Path,
    clips_dir: Path,
    models_dir: Path,
    redis_binary: Path,
    kafka_program: KafkaProgram,
) -> None:
    commands = blocks("README.md")["One process, or many"]
    install, *session, stop = commands
    assert (install, stop) == ("make devservers", "make devservers-down")
    shop = Terminal(tmp_path)
    camera = {"id": "till", "role": "billing", "source": {"file": str(clips_dir / CLIP)}}
    site = {"site": "shop", "timezone": "UTC", "cameras": [camera]}
    (tmp_path / "site.yaml").write_text(json.dumps(site))
    ports = f" --redis-port {free_port()} --kafka-port {free_port()}"
    script = "\n".join(session).replace("devservers up", f"devservers up{ports}")
    script = script.replace(":8003", f":{shop.environ['TRINETRA_RESOLVE_PORT']}")
    resolver = ".venv/bin/trinetra resolve --site site.yaml &"
    script = script.replace("\ncurl ", f"\n{resolver}\ncurl --retry 60 --retry-connrefused ")
    try:
        assert "resolve" in shop.run(script)
    finally:
        shop.run(".venv/bin/trinetra devservers down --erase")
