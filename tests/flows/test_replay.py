"""Recorded detections under other settings: what would change, without live effects."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.faults.test_interrupts import running_in
from tests.flows.shop import NOON, detection
from typer.testing import CliRunner

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk import gallery_file
from trinetra.adapters.disk.journal_history import JournalHistory
from trinetra.commands.application import app
from trinetra.errors import TrinetraError
from trinetra.evaluation.change import differences
from trinetra.events.codec import decode, encode
from trinetra.events.topics import DETECTIONS
from trinetra.ports import Record
from trinetra.replay.event_history import FileHistory
from trinetra.replay.recording import Recording, Window, record
from trinetra.settings import Settings
from trinetra.site.overrides import with_overrides
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.service import write
from trinetra.twin.shop import built_in_shop
from trinetra.values import CustomerId, GalleryEntry, IdentityKind
from trinetra.wiring.connections import open_log
from trinetra.wiring.replay import ReplayInputs, ReplayVariant, run_variant, run_variants
from trinetra.wiring.replay_inputs import prepare_replay
from trinetra.wiring.simulation import site_of

LOOSER = "matching.similarity=0.65"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a minute of a twin, in which some people are known again."""
    folder = tmp_path_factory.mktemp("shop")
    write(Twin(built_in_shop(), Scenario(1, 600.0, 1 / 60)), folder)
    return folder


def recorded(path: Path, window: Window | None = None) -> Recording:
    reading = record(FileHistory(path), window or Window(), path.parent, lambda _: None)
    return asyncio.run(reading)


def inputs_for(recording: Recording, tmp_path: Path, gallery: Path | None = None) -> ReplayInputs:
    settings = Settings(data_dir=tmp_path)
    preparing = prepare_replay(FileHistory(recording.path), recording, settings, None, gallery)
    return asyncio.run(preparing).inputs


def invoke(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["replay", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_the_same_settings_change_nothing_and_other_settings_do(shop: Path, tmp_path: Path) -> None:
    recording = recorded(shop / "events.jsonl")
    inputs = inputs_for(recording, tmp_path)
    looser = ReplayInputs(with_overrides(inputs.site, [LOOSER]), inputs.model)
    done: list[int] = []
    now, again, then = (
        run_variant(ReplayVariant(each, recording), done.append)
        for each in (inputs, inputs, looser)
    )
    assert done[-1] == len(recording)
    assert differences(now.outcome, again.outcome).changes == ()
    found = differences(now.outcome, then.outcome)
    assert found.changes
    assert now.outcome.figures["tracks", "known"] < then.outcome.figures["tracks", "known"]


def test_a_replay_writes_the_same_bytes_again(shop: Path, tmp_path: Path) -> None:
    recording = recorded(shop / "events.jsonl")
    variant = ReplayVariant(inputs_for(recording, tmp_path), recording)
    files = [tmp_path / "once.jsonl", tmp_path / "twice.jsonl"]
    for file in files:
        run_variant(replace(variant, output=file), lambda _done: None)
    once, twice = (file.read_bytes() for file in files)
    assert b'"type":"identity"' in once
    assert once == twice


def test_what_was_recorded_after_the_clock_was_set_back_is_replayed_after_what_was_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.jsonl"
    events = [
        msgspec.structs.replace(detection(camera, NOON + timedelta(seconds=s), []), session=number)
        for number, start in ((20, 0.0), (7, -5.0))
        for s in (start + n / 5 for n in range(50))
        for camera in ("door", "till")
    ]
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    recording = recorded(path)
    replayed = [decode(payload) for _, payload in recording.detections()]
    assert replayed == events
    assert recording.first_at == NOON - timedelta(seconds=5)
    assert recording.last_at == NOON + timedelta(seconds=9.8)


def test_the_command_scores_both_sides_and_writes_nothing_live(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = contents(shop)
    told = invoke("--file", str(shop / "events.jsonl"), "--set", LOOSER)
    assert told["set"] == [LOOSER]
    assert told["detections"] == len((shop / "events.jsonl").read_bytes().splitlines())
    assert {score["better"] for score in told["scores"]} <= {"better", "worse", "same"}
    assert {"tracks", "identities", "insights"} == {score["kind"] for score in told["scores"]}
    assert told["tracks"][0]["before"]["event_id"].startswith("idn_")
    assert contents(shop) == before
    assert contents(tmp_path) == {}


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_is_recorded_is_put_into_the_order_of_capture_and_cut_to_the_window(
    shop: Path, tmp_path: Path
) -> None:
    lines = (shop / "events.jsonl").read_bytes().splitlines()
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_bytes(b"\n".join([*reversed(lines), b'{"type":"detection"', b"", b"{}"]))
    whole = recorded(mixed)
    events = [decode(payload) for _, payload in whole.detections()]
    assert [e.captured_at for e in events] == sorted(e.captured_at for e in events)
    assert len(events) == len(lines)
    assert whole.unreadable == 1
    middle = whole.first_at + (whole.last_at - whole.first_at) / 2
    part = recorded(mixed, Window(middle, middle + timedelta(seconds=10)))
    assert 0 < len(part) < len(whole)
    assert part.first_at >= middle
    assert part.last_at < middle + timedelta(seconds=10)


def test_a_file_that_a_json_tool_has_written_again_is_replayed(shop: Path, tmp_path: Path) -> None:
    lines = (shop / "events.jsonl").read_text(encoding="utf-8").splitlines()
    spaced = tmp_path / "events.jsonl"
    sorted_lines = (json.dumps(json.loads(line), sort_keys=True) for line in lines)
    spaced.write_text("\n".join(sorted_lines) + "\n", encoding="utf-8")
    told = [decode(payload) for _, payload in recorded(spaced).detections()]
    assert told == [decode(payload) for _, payload in recorded(shop / "events.jsonl").detections()]


def test_who_was_in_the_gallery_before_is_known_and_who_came_later_is_not(
    shop: Path, tmp_path: Path
) -> None:
    recording = recorded(shop / "events.jsonl")
    inputs = inputs_for(recording, tmp_path)
    day = timedelta(days=1)
    entries = [
        GalleryEntry(
            entry_id=f"emb_{number}",
            customer_id=CustomerId(f"cus_{number}"),
            kind=IdentityKind.ANONYMOUS,
            embedding=np.eye(inputs.model.dimension, dtype=np.float32)[number],
            quality=0.7,
            first_seen=first_seen,
            last_seen=recording.last_at,
            expires_at=None,
            consent=False,
        )
        for number, first_seen in enumerate((recording.first_at - day, recording.first_at))
    ]
    export = tmp_path / "gallery"
    with gallery_file.writing(export, inputs.model.version, inputs.model.dimension) as writer:
        writer.add(entries)
    known = inputs_for(recording, tmp_path, export).entries
    assert [entry.customer_id for entry in known] == ["cus_0"]


def test_a_log_of_one_process_is_replayed_from_its_journal(shop: Path, tmp_path: Path) -> None:
    payloads = (shop / "events.jsonl").read_bytes().splitlines()[:200]
    settings = Settings(data_dir=tmp_path / "data")

    async def run() -> Recording:
        async with open_log(site_of(built_in_shop()), settings, SystemClock()) as log:
            events = [decode(payload) for payload in payloads]
            await log.append(
                [
                    Record(DETECTIONS, event.camera_id, payload)
                    for event, payload in zip(events, payloads, strict=True)
                ]
            )
        past = JournalHistory(settings.data_dir / "journal")
        return await record(past, Window(), tmp_path, lambda _: None)

    recording = asyncio.run(run())
    assert sorted(payload for _, payload in recording.detections()) == sorted(payloads)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "matching.similarty=0.7"], "did you mean matching.similarity"),
        (["--set", LOOSER, "--from", "yesterday"], "write how long ago"),
        (["--set", LOOSER, "--from", "2036-01-01T00:00Z"], "no detections of the time asked for"),
        (["--set", LOOSER, "--gallery", "missing"], "missing"),
        (["--set", LOOSER, "--site", "other.yaml"], "name their site file with --site"),
        (["--set", LOOSER, "--truth", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_what_cannot_be_replayed_is_told(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.yaml").write_text(
        "site: another\ntimezone: UTC\ncameras:\n"
        "  - {id: door, role: entrance, source: {url: 'rtsp://127.0.0.1:8554/door'}}\n"
    )
    command = ["replay", "--file", str(shop / "events.jsonl"), *arguments]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, TrinetraError)
    assert told in str(result.exception)


def test_a_side_that_fails_tells_why(shop: Path, tmp_path: Path) -> None:
    recording = recorded(shop / "events.jsonl")
    side = ReplayVariant(
        inputs_for(recording, tmp_path), recording, truth=tmp_path / "nowhere.jsonl"
    )
    with pytest.raises(TrinetraError, match=r"nowhere\.jsonl"):
        run_variants([side], lambda _side, _done: None)


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_both_sides_and_leaves_nothing_behind(
    shop: Path, tmp_path: Path, ends: signal.Signals
) -> None:
    many = tmp_path / "many.jsonl"
    many.write_bytes((shop / "events.jsonl").read_bytes())
    work = tmp_path / "work"
    work.mkdir()
    # Under nohup, the signal would be ignored here as well.
    default = f"import signal; signal.signal({int(ends)}, signal.SIG_DFL)"
    program = f"{default}; from trinetra.cli import main; main()"
    command = [sys.executable, "-c", program, "replay", "--file", str(many), "--set", LOOSER]
    environ = {**os.environ, "TMPDIR": str(work), "TRINETRA_DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen(
        command, env=environ, stderr=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()  # the note comes right before the sides begin
        assert "the gallery is empty" in first
        os.killpg(process.pid, ends)
        rest = process.stderr.read()
        assert process.wait() == 128 + ends
    assert "Traceback" not in rest
    assert list(work.iterdir()) == []
    assert list((tmp_path / "data" / "tmp").iterdir()) == []
    # A process that ended but was not waited for still has an id, but no command line.
    assert not any(running_in(process.pid))
