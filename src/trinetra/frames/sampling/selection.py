"""Frame selection for one camera: motion, sampling and idle detection combined."""

from typing import Protocol

from trinetra.frames.sampling.motion import Luma, MotionConfig, MotionMeter
from trinetra.frames.sampling.sampler import IdleConfig, IdleWatch, Sampler, SamplingConfig
from trinetra.frames.sampling.view import PictureProblem, ViewConfig, ViewWatch
from trinetra.values import Instant


class HasLuma(Protocol):
    """The part of a decoded frame that selection needs."""

    def luma(self, width: int, height: int) -> Luma:
        """Return the brightness scaled to ``(height, width)``."""


class Selection:
    """Decides which frames of one camera are kept and how the next one is decoded."""

    def __init__(
        self,
        sampling: SamplingConfig,
        motion: MotionConfig,
        idle: IdleConfig,
        view: ViewConfig | None = None,
    ) -> None:
        """Without ``view`` the picture is not judged."""
        self._motion = motion
        self._meter = MotionMeter(motion)
        self._sampler = Sampler(sampling)
        self._idle = IdleWatch(idle)
        self._view = ViewWatch(view) if view else None

    @property
    def key_frames_only(self) -> bool:
        """True while the camera is idle and needs no full decoding."""
        return self._idle.is_idle

    @property
    def problems(self) -> frozenset[PictureProblem]:
        """What is wrong with the picture, as far as it was judged."""
        return self._view.problems if self._view else frozenset()

    def wants(self, frame: HasLuma, captured_at: Instant, *, lag: int) -> bool:
        """Return whether to keep this frame; frames must be passed in order of capture."""
        if self._meter.is_due(captured_at):
            luma = frame.luma(self._motion.width, self._motion.height)
            self._idle.observe(captured_at, self._meter.update(captured_at, luma))
            if self._view is not None and self._view.is_due(captured_at):
                self._view.update(captured_at, luma)
        return self._sampler.wants(captured_at, motion=self._meter.score, lag=lag)
