"""Events are explained from any kind of history: a file, a journal, a cluster."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.events.samples import one_of_each
from typer.testing import CliRunner

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.commands.application import app
from trinetra.errors import ConfigurationError, TrinetraError
from trinetra.events.codec import decode, encode
from trinetra.events.customers import CustomerChange
from trinetra.events.schema import (
    AnyEvent,
    Candidate,
    DetectionEvent,
    Evidence,
    FaceBox,
    FaceQuality,
    IdentityEvent,
    Thresholds,
)
from trinetra.events.topics import ALL, DETECTIONS, IDENTITIES
from trinetra.ports import EventLog, Record
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId
from trinetra.wiring.audit_trail import audit_log
from trinetra.wiring.connections import open_log
from trinetra.wiring.stores import open_customer_log

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HERE: dict[str, Any] = {
    "site_id": SiteId("shop"),
    "camera_id": CameraId("door"),
    "captured_at": NOON,
}
SITE = """\
site: shop
timezone: UTC
cameras:
  - {id: door, role: entrance, source: {url: "rtsp://127.0.0.1:8554/door"}}
"""
EMBEDDING = bytes([0x00, 0x3C]) + bytes(1022)  # a one and zeros, as float16


def identity() -> IdentityEvent:
    return IdentityEvent(
        event_id=EventId("idn_1"),
        track_id=TrackId("trk_1"),
        status="unknown",
        reasons=("resembles_somebody",),
        evidence=Evidence(
            faces_seen=4,
            faces_used=3,
            best_face_px=60.0,
            quality=0.6,
            model="reader@1",
            thresholds=Thresholds(0.72, 0.03, 0.3, 32.0),
            candidates=(Candidate(CustomerId("cus_anna"), 0.69),),
        ),
        track_started_at=NOON,
        **HERE,
    )


def detection() -> DetectionEvent:
    face = FaceBox(
        score=0.9,
        box=(0.0, 0.0, 40.0, 40.0),
        landmarks=((1.0, 1.0),) * 5,
        quality=FaceQuality(0.7, 40.0, 0.8, 0.9, 0.9),
        embedding=EMBEDDING,
    )
    return DetectionEvent(
        event_id=EventId("det_1"),
        frame_seq=1,
        frame_width=640,
        frame_height=480,
        faces=(face,),
        models={"face_embed": "reader@1"},
        **HERE,
    )


async def say(log: EventLog) -> None:
    told: list[tuple[Any, AnyEvent]] = [(DETECTIONS, detection()), (IDENTITIES, identity())]
    await log.append([Record(topic, "door", encode(event)) for topic, event in told])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Work in a folder with a site file, and keep persistent data below it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "site.yaml").write_text(SITE)
    camera = {"id": "door", "role": "entrance", "source": {"url": "rtsp://127.0.0.1:8554/door"}}
    return Site.model_validate({"site": "shop", "timezone": "UTC", "cameras": [camera]})


@pytest.fixture
def file(site: Site, tmp_path: Path) -> Path:
    """Return a file as --events writes it."""
    del site
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in (detection(), identity())))
    return path


def trinetra(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def failure(*arguments: str) -> TrinetraError:
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, TrinetraError), result.output
    return result.exception


def test_a_near_miss_is_explained_from_a_file(file: Path) -> None:
    told = trinetra("explain", "idn_1", "--file", str(file))
    assert "trk_1 was not identified." in told
    assert "cus_anna scored 0.690, 0.030 below the 0.720 that a match needs." in told
    document = json.loads(trinetra("explain", "trk_1", "--file", str(file), "--json"))
    assert document["subject"] == "trk_1"
    assert "0.030 short of the threshold" in document["otherwise"][0]


def test_a_detection_is_explained_without_what_could_identify_a_person(file: Path) -> None:
    told = trinetra("explain", "det_1", "--file", str(file), "--json")
    assert "A face of 40 px" in told
    assert json.loads(told)["event"]["faces"][0].get("embedding") is None


@pytest.mark.usefixtures("site")
def test_an_empty_id_is_refused() -> None:
    assert "the id is empty" in str(failure("explain", " "))


def test_an_unknown_id_tells_how_far_back_the_history_goes(file: Path) -> None:
    fault = failure("explain", "idn_404", "--file", str(file))
    assert isinstance(fault, ConfigurationError)
    assert "goes back to 2026-11-22 12:00:00 UTC (2 events)" in str(fault)


def test_an_empty_or_missing_history_is_told(site: Site, tmp_path: Path) -> None:
    del site
    (tmp_path / "empty.jsonl").touch()
    assert "holds no event" in str(failure("explain", "idn_1", "--file", "empty.jsonl"))
    assert "cannot be read" in str(failure("explain", "idn_1", "--file", "missing.jsonl"))
    assert "there is no journal" in str(failure("explain", "idn_1"))
    assert "write how long ago" in str(failure("explain", "idn_1", "--since", "ages"))


def test_a_platform_in_one_process_is_explained_from_its_journal(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with open_log(site, Settings(), SystemClock()) as log:
            await say(log)

    asyncio.run(run())
    assert "trk_1 was not identified." in trinetra("explain", "idn_1")
    monkeypatch.setenv("TRINETRA_EMBEDDED_PORT", "9")  # where nothing is running
    shown = trinetra("events", "tail", "--all", "--since", "10m", "--json").splitlines()
    assert [json.loads(line)["event_id"] for line in shown] == ["det_1", "idn_1"]
    assert "goes back to" in str(failure("explain", "idn_404", "--since", "1h"))


def test_names_come_from_the_customer_book_and_only_where_they_are_wanted(file: Path) -> None:
    async def enroll() -> None:
        change = CustomerChange(
            change_id="chg_1",
            change="enrolled",
            customer_id=CustomerId("cus_anna"),
            at=NOON,
            kind=IdentityKind.VIP,
            name="Anna Example",
            consent=True,
        )
        async with open_customer_log(Settings()) as customer_log:
            await customer_log.write([change])

    asyncio.run(enroll())
    question = ("explain", "idn_1", "--file", str(file))
    assert "Anna Example" not in trinetra(*question)
    assert audit_log(Settings()).lines() == []
    assert "Anna Example (cus_anna) scored 0.690" in trinetra(*question, "--names")
    assert [line.action for line in audit_log(Settings()).lines()] == ["list"]


def test_a_cluster_is_explained_replayed_and_watched_from_its_topics(
    site: Site, kafka_servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = f"explain-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("TRINETRA_EVENT_LOG", "kafka")
    monkeypatch.setenv("TRINETRA_KAFKA_SERVERS", kafka_servers)
    monkeypatch.setenv("TRINETRA_NAMESPACE", namespace)
    monkeypatch.setenv("TRINETRA_STORE_URL", f"sqlite:///{Settings().data_dir}/insights.db")

    async def run() -> None:
        connection, clock = KafkaConnection(kafka_servers), SystemClock()
        await create_topics(connection, Layout(site.site_id, namespace, ALL), clock)
        async with open_log(site, Settings(), clock) as log:
            assert isinstance(log, KafkaEventLog)
            await say(log)

    asyncio.run(run())
    assert "trk_1 was not identified." in trinetra("explain", "idn_1")
    told = json.loads(trinetra("replay", "--set", "matching.similarity=0.8", "--json"))
    assert (told["site"], told["detections"]) == ("shop", 1)
    assert [event.event_id for event in tail(2)] == ["det_1", "idn_1"]


def tail(count: int) -> Sequence[AnyEvent]:
    """Return the first events that a tail in a separate process shows."""
    program = "from trinetra.cli import main; main()"
    command = [sys.executable, "-c", program, "events", "tail", "--all", "--since", "10m", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        found = [decode(process.stdout.readline()) for _ in range(count)]
        process.terminate()
    return sorted(found, key=lambda event: event.event_id)


def test_a_cluster_has_to_be_told_which_shop_is_meant(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del site
    monkeypatch.setenv("TRINETRA_EVENT_LOG", "kafka")
    (tmp_path / "site.yaml").unlink()
    assert "name the site file with --site" in str(failure("explain", "idn_1"))


def test_what_a_file_holds_is_shown_without_embeddings(file: Path) -> None:
    shown = trinetra("events", "tail", "--all", str(file), "--json").splitlines()
    assert [json.loads(line)["event_id"] for line in shown] == ["det_1", "idn_1"]
    assert "embedding" not in shown[0].replace("face_embed", "")


def test_figures_and_alerts_are_shown_unless_other_events_are_asked_for(tmp_path: Path) -> None:
    events = [e for e in one_of_each() if e.__struct_config__.tag != "lifecycle"]
    file = tmp_path / "said.jsonl"
    file.write_bytes(b"".join(encode(event) + b"\n" for event in events))

    def types(*options: str) -> list[str]:
        shown = trinetra("events", "tail", str(file), "--json", *options).splitlines()
        return [json.loads(line)["type"] for line in shown]

    figures = {"line_crossing", "zone_stay", "occupancy", "visit", "alert"}
    assert set(types()) == figures
    assert set(types("--all")) == {str(e.__struct_config__.tag) for e in events}
    assert set(types("--type", "tracks")) == {"tracks"}
