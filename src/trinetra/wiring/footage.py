"""Runs the networks of a worker on recorded pictures, without the rest of the platform.

Encoding, plan and analysis are those of a live camera, so that what is measured on recordings holds
for cameras.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trinetra.adapters.video.video_file import VideoFileSource
from trinetra.detections.frame_analyzer import FrameAnalyzer
from trinetra.errors import FrameRejected, SourceUnavailable
from trinetra.events.plates import PlateKey
from trinetra.events.schema import DetectionEvent
from trinetra.frames.encode import Encoder, Picture
from trinetra.site import Camera, Site
from trinetra.values import EPOCH, Instant
from trinetra.wiring import assembly
from trinetra.wiring.config import ingest_plan
from trinetra.wiring.networks import Networks

_BATCH = 4


@dataclass(frozen=True, slots=True)
class Footage:
    """Analyzes pictures as the frames of the cameras of a site."""

    site: Site
    networks: Networks
    plate_key: PlateKey | None = None

    def of_video(self, camera: Camera, video: Path) -> Iterator[DetectionEvent]:
        """Yield the event of every frame of a video. Raises SourceUnavailable, EngineFailure."""
        source = VideoFileSource(video, EPOCH)
        source.open()
        try:
            yield from self.of_pictures(camera, _frames(source))
        finally:
            source.close()

    def of_pictures(
        self, camera: Camera, pictures: Iterator[tuple[Instant, Picture]]
    ) -> Iterator[DetectionEvent]:
        """Yield the event of every picture. Raises SourceUnavailable if one is unusable."""
        encoder = Encoder(camera.camera_id, ingest_plan(camera, in_step=True).encoding)
        [lane, *_] = self.networks.lanes
        config = assembly.analyzer_config(self.site, self.networks, self.plate_key)
        analyzer = FrameAnalyzer(
            config, lane.detectors, lane.faces, bodies=lane.bodies, plates=lane.plates
        )
        frames = [encoder.encode(seq, at, picture) for seq, (at, picture) in enumerate(pictures)]
        for first in range(0, len(frames), _BATCH):
            yield from _usable(analyzer.work(frames[first : first + _BATCH]))


def _usable(analyzed: Sequence[DetectionEvent | FrameRejected]) -> Iterator[DetectionEvent]:
    for one in analyzed:
        if isinstance(one, FrameRejected):
            raise SourceUnavailable(f"a frame of the footage is unusable: {one}") from one
        yield one


def _frames(source: VideoFileSource) -> Iterator[tuple[Instant, Picture]]:
    while (picture := source.read(key_frames_only=False)) is not None:
        yield picture.captured_at, picture
