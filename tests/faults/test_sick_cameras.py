"""A healthy camera beside sick ones: it does not notice, they are shown, no password gets out."""

import json
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.faults.product import read_until, site_file, started
from tests.servers.clips import jpeg, write_clip
from tests.servers.mjpeg_camera import MjpegCamera
from tests.servers.rtsp_camera import Mood, RtspCamera

from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent

PASSWORD, ANOTHER = "s3cret/p@ss", "another"
PROBLEMS = {
    "refused": "refused the user or password; check the credentials",
    "mjpeg": "refused the user or password; check the credentials",
    "missing": "was not found: the camera is starting, or the path of its address is wrong",
    "garbage": "answered, but not with readable video",
    "nobody": "cannot be reached: Connection refused",
}


def camera(name: str, url: str) -> str:
    return (
        f'id: {name}, role: tracking, source: {{url: "{url}", username_env: CAMERA_USER, '
        "password_env: CAMERA_PASSWORD}"
    )


def in_mood(mood: Mood, clip: Path) -> RtspCamera:
    server = RtspCamera(clip)
    server.mood = mood
    return server


@pytest.mark.weights
def test_a_healthy_camera_streams_beside_sick_ones_and_no_password_gets_out(
    models_dir: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    events = tmp_path / "events.jsonl"
    with ExitStack() as servers:
        healthy = servers.enter_context(RtspCamera(clip, user="me", password=PASSWORD))
        other = servers.enter_context(RtspCamera(clip, user="me", password=ANOTHER))
        plain = servers.enter_context(RtspCamera(clip))
        garbage = servers.enter_context(in_mood(Mood.GARBAGE, clip))
        silent = servers.enter_context(in_mood(Mood.SILENT, clip))
        mjpeg = servers.enter_context(MjpegCamera([jpeg(64, 64)], user="me", password=ANOTHER))
        site = site_file(
            tmp_path,
            camera("healthy", healthy.url),
            camera("refused", other.url),
            camera("mjpeg", mjpeg.url),
            camera("missing", plain.url.replace("/live", "/missing")),
            camera("garbage", garbage.url),
            camera("nobody", "rtsp://127.0.0.1:1/live"),
            camera("silent", silent.url),
        )
        environ = {
            "CAMERA_USER": "me",
            "CAMERA_PASSWORD": PASSWORD,
            "TRINETRA_MODELS_DIR": str(models_dir),
            "TRINETRA_LOG_LEVEL": "DEBUG",
        }
        run = ("run", site, "--events", events)
        with started(*run, folder=tmp_path, **environ) as process:
            said = read_until(process.stderr, "/health/ready")
            address = said.rpartition("on ")[2].partition(" ")[0]
            said += read_until(process.stderr, "camera streaming", "did not answer within")
            # Its events, as they come: the worker has not been held up by the sick cameras.
            with httpx.stream("GET", f"{address}/events", params={"last": 1000}) as live:
                line = next(live.iter_lines())
            page = httpx.get(f"{address}/health/ready")
            metrics = httpx.get(f"{address}/metrics").text
            process.send_signal(signal.SIGINT)
            summary, rest = process.communicate()
    assert process.returncode == 0
    told = json.loads(page.text)["services"]["stream-ingestor"]["detail"]
    assert (told["healthy"]["state"], told["healthy"]["problem"]) == ("streaming", None)
    for name, problem in PROBLEMS.items():
        assert told[name]["problem"].endswith(problem)
        assert f'trinetra_camera_state{{camera="{name}",state="backoff"}} 1.0' in metrics
    assert told["silent"]["problem"].endswith("did not answer within 5 s")
    seen = [decode(event) for event in events.read_bytes().splitlines()]
    assert {event.camera_id for event in seen} == {"healthy"}
    assert sum(isinstance(event, DetectionEvent) for event in seen) > 5
    everything = (line, page.text, metrics, summary, said, rest, events.read_text())
    assert not any("s3cret" in text or "s3cret%2F" in text for text in everything)
    assert not any("Traceback" in text for text in everything)
