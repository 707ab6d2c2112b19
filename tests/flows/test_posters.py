"""Faces of posters, faces without bodies and leaning heads: nobody is counted or enrolled twice."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from tests.flows.shop import FPS, NOON, Person, detection
from tests.flows.test_identity_resolver import Shop, identities

from trinetra.events.codec import decode
from trinetra.events.schema import AnyEvent, DetectionEvent, LifecycleEvent, TracksEvent
from trinetra.identities.face_identifier import FaceIdentifier
from trinetra.identities.gate.topology import Sighting
from trinetra.telemetry import REGISTRY
from trinetra.values import CameraId, CustomerId, IdentityKind

ANNA = Person(1)


def standing(
    seconds: float, *, body: bool, moves: float = 0.0, person: Person = ANNA
) -> Iterator[DetectionEvent]:
    """Yield the frames of a face that moves by ``moves`` pixels between frames."""
    for number in range(round(seconds * FPS)):
        at = NOON + timedelta(seconds=number / FPS)
        event = detection("door", at, [(person, 100.0 + moves * number)])
        yield event if body else msgspec.structs.replace(event, objects=())


def shown(events: Sequence[AnyEvent]) -> int:
    """Return how many frames show a track."""
    return sum(bool(event.tracks) for event in events if isinstance(event, TracksEvent))


@pytest.mark.parametrize("body", [True, False])
async def test_a_poster_is_never_enrolled_however_long_it_is_seen(body: bool) -> None:
    out = await Shop().resolve(standing(300, body=body))
    assert "new" not in {event.status for event in identities(out)}
    reasons = {event.reasons for event in identities(out)}
    assert reasons <= {("no_movement",), ("collecting_faces",)}
    assert (shown(out) > 0) == body


async def test_a_face_without_a_body_counts_and_is_enrolled_once_it_moves() -> None:
    out = await Shop().resolve(standing(4, body=False, moves=3.0))
    assert [event.status for event in identities(out)].count("new") == 1
    assert shown(out) > 0


async def test_a_head_that_leans_out_of_its_place_stays_one_person() -> None:
    frames = []
    for number, event in enumerate(standing(6, body=True, moves=8.0)):
        [face], [body] = event.faces, event.objects
        if 10 <= number < 25:  # 2.3 widths of the face from the middle of the body's box
            x = (body.box[0] + body.box[2]) / 2 + 70.0
            face = msgspec.structs.replace(face, box=(x - 15, 110.0, x + 15, 160.0))
        frames.append(msgspec.structs.replace(event, faces=(face,)))
    out = await Shop().resolve(frames)
    tracks = [event.tracks for event in out if isinstance(event, TracksEvent)]
    assert max(map(len, tracks)) == 1
    assert len({track.track_id for here in tracks for track in here}) == 1


@pytest.mark.parametrize(
    ("kind", "hours", "reported"),
    [
        (IdentityKind.ANONYMOUS, 12, 1.0),
        (IdentityKind.ANONYMOUS, 11, 0.0),
        (IdentityKind.STAFF, 12, 0.0),
    ],
)
async def test_an_identity_that_never_leaves_is_reported_once_and_by_name(
    kind: IdentityKind, hours: int, reported: float, capsys: pytest.CaptureFixture[str]
) -> None:
    context = Shop().context
    identifier = FaceIdentifier(context)
    for minutes in range(0, hours * 60 + 1, 20):
        at = NOON + timedelta(minutes=minutes)
        context.registry.see(CustomerId("cus_poster"), kind, Sighting(CameraId("door"), at, at))
        await identifier.expire(at)
    await identifier.expire(at)
    assert REGISTRY.get_sample_value("trinetra_always_present_identities") == reported
    assert capsys.readouterr().out.count("cus_poster") == reported


# --- real pictures ----------------------------------------------------------------------------


def clip_events(video: Path, folder: Path, models_dir: Path) -> list[AnyEvent]:
    """Return the events of a face camera that sees a clip, with the networks of the product."""
    events = folder / f"{video.stem}.jsonl"
    command = [sys.executable, "-m", "trinetra.cli", "eval", "clip", str(video)]
    arguments = ["--persons", "1", "--events", str(events), "--json"]
    folders = {"TRINETRA_DATA_DIR": str(folder), "TRINETRA_MODELS_DIR": str(models_dir)}
    subprocess.run(
        [*command, *arguments], check=True, env={**os.environ, **folders}, capture_output=True
    )
    return [decode(line) for line in events.read_bytes().splitlines()]


def created(events: Sequence[AnyEvent]) -> int:
    return sum(isinstance(event, LifecycleEvent) and event.change == "created" for event in events)


def write_still(clip: Path, target: Path, *, frame: int, seconds: int, noise: float) -> None:
    """Write a video that shows one frame of a clip all the time, with the noise of a sensor."""
    random = np.random.default_rng(1)
    with av.open(str(clip)) as source:
        pictures = [picture.to_ndarray(format="bgr24") for picture in source.decode(video=0)]
    still, fps = pictures[frame].astype(np.float32), 8
    with av.open(str(target), "w") as video:
        stream = video.add_stream("mpeg4", rate=fps)
        stream.height, stream.width = still.shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 6_000_000
        for _ in range(seconds * fps):
            noisy = np.clip(still + random.normal(scale=noise, size=still.shape), 0, 255)
            picture = av.VideoFrame.from_ndarray(noisy.astype(np.uint8), format="bgr24")
            video.mux(stream.encode(picture))
        video.mux(stream.encode())


def test_a_person_before_a_face_camera_is_enrolled_and_a_photograph_of_them_is_not(
    clips_dir: Path, models_dir: Path, tmp_path: Path
) -> None:
    clip = clips_dir / "face-demographics-walking-and-pause.mp4"
    assert created(clip_events(clip, tmp_path, models_dir)) > 0
    still = tmp_path / "still.mp4"
    write_still(clip, still, frame=30, seconds=30, noise=4.0)
    events = clip_events(still, tmp_path, models_dir)
    seen = [e for e in events if isinstance(e, DetectionEvent) and e.faces]
    assert len(seen) > 200
    assert any(face.embedding is not None for event in seen for face in event.faces)
    assert created(events) == 0
