"""Replays in processes of their own, side by side: one per choice of settings."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import BinaryIO

from trinetra.errors import StorageFull, TrinetraError
from trinetra.evaluation.outcome import Outcome, OutcomeGathering
from trinetra.evaluation.reading import Gathered, read_truth
from trinetra.evaluation.scores import ScoreSheet
from trinetra.evaluation.scoring import Choices, identities_sheet, insights_sheet, tracks_sheet
from trinetra.evaluation.truth import Facts, Findings, Truth
from trinetra.events.codec import decode
from trinetra.telemetry import configure_logging
from trinetra.wiring.recorded import Recording
from trinetra.wiring.replay import Detected, Stage, replay

_TELL_EVERY = 500
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_FRAMES = (b'{"type":"tracks"', b'{"type":"occupancy"')

Progress = Callable[[int, int], None]
"""Is told the number of a side and how many of its events are done."""


@dataclass(frozen=True, slots=True)
class ReplayVariant:
    """One replay: on what, of what, and the truth to score it against, if there is one.

    ``whole`` tells that the recording is all of what the truth is about: only then are counts of
    the site compared with it. ``said`` is a file for all events that come of it.
    """

    stage: Stage
    recording: Recording
    truth: Path | None = None
    whole: bool = True
    said: Path | None = None


@dataclass(frozen=True, slots=True)
class VariantResult:
    """What a replay said in the end, and its scores where there is a truth."""

    outcome: Outcome
    sheets: tuple[ScoreSheet, ...] = ()


def run_variants(sides: Sequence[ReplayVariant], progress: Progress) -> list[VariantResult]:
    """Run every side in its own process and return what came of them, in order.

    Call it from the main thread. An exception, also that of Ctrl-C, ends the processes at once.
    Raises TrinetraError for what a side could not do.
    """
    context = get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in sides]
    processes: list[BaseProcess] = [
        context.Process(target=_serve, args=(side, theirs), daemon=True)
        for side, (_, theirs) in zip(sides, pipes, strict=True)
    ]
    try:
        with _deaf_to_ctrl_c(), _single_threaded():
            for process, (_, theirs) in zip(processes, pipes, strict=True):
                process.start()
                theirs.close()  # so that its end is seen here when the process ends
        return _results([ours for ours, _ in pipes], progress)
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def run_variant(side: ReplayVariant, done: Callable[[int], None]) -> VariantResult:
    """Run one side here; ``done`` is told every now and then how many events are through."""
    gathering = OutcomeGathering(side.stage.site.policies.stays.visit_gap_s)
    truth = read_truth(side.truth) if side.truth else None
    found = Gathered() if truth else None

    def listen(payload: bytes) -> None:
        if said is not None:
            said.write(payload + b"\n")
        if found is None and payload.startswith(_FRAMES):
            return  # most of what is said, and of no use without a truth
        event = decode(payload)
        gathering.add(event)
        if found is not None:
            found.add(event)

    with _written(side.said) as said:
        asyncio.run(replay(side.stage, _counted(side.recording, done), listen))
    sheets = _sheets(side, truth, found.findings()) if truth and found else ()
    return VariantResult(gathering.outcome(), tuple(sheets))


@contextmanager
def _written(path: Path | None) -> Iterator[BinaryIO | None]:
    """Open a file for what is said, if it is wanted. Raises StorageFull or ConfigurationError."""
    if path is None:
        yield None
        return
    try:
        with path.open("wb") as file:
            yield file
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise StorageFull(f"{path} cannot be written: {reason}; free space, or name another") from (
            cause
        )


def _serve(side: ReplayVariant, parent: Connection) -> None:
    configure_logging(as_json=False, level="ERROR")
    try:
        parent.send(run_variant(side, parent.send))
    except TrinetraError as failure:
        parent.send(str(failure))


def _results(pipes: Sequence[Connection], progress: Progress) -> list[VariantResult]:
    results: dict[int, VariantResult] = {}
    while waiting := [pipe for n, pipe in enumerate(pipes) if n not in results]:
        for pipe in wait(waiting):
            number = next(n for n, ours in enumerate(pipes) if ours is pipe)
            match _received(pipes[number]):
                case VariantResult() as result:
                    results[number] = result
                case int(done):
                    progress(number, done)
                case str(failure):
                    raise TrinetraError(failure)
    return [results[n] for n in range(len(pipes))]


def _received(pipe: Connection) -> VariantResult | int | str:
    try:
        message: VariantResult | int | str = pipe.recv()
    except EOFError as cause:
        raise TrinetraError("a replay ended before its time; what it said is above") from cause
    return message


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that start here leave Ctrl-C to this one, which then ends them.

    They inherit that the signal is blocked; one that comes here meanwhile waits until the end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Let processes that start here multiply matrices in one thread.

    The sides take the cores between them; and the last digits of a sum, which depend on how many
    threads share the work, do not depend on how many cores there are.
    """
    before = {name: os.environ.get(name) for name in _BLAS_THREADS}
    os.environ.update(dict.fromkeys(_BLAS_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _counted(recording: Recording, done: Callable[[int], None]) -> Iterator[Detected]:
    for number, detected in enumerate(recording.detections(), start=1):
        yield detected
        if number % _TELL_EVERY == 0 or number == len(recording):
            done(number)


def _sheets(side: ReplayVariant, truth: Truth, findings: Findings) -> Iterator[ScoreSheet]:
    """Yield the scores, of what the truth tells at all."""
    zones = [zone.min_dwell_s for camera in side.stage.site.cameras for zone in camera.zones]
    choices = Choices(min_dwell_s=min(zones, default=0.0))
    yield tracks_sheet(truth, findings, choices)
    yield identities_sheet(truth, findings, choices)
    if side.whole and truth.facts != Facts():
        yield insights_sheet(truth, findings, choices)
