"""Runs replays side by side, each in a process of its own."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, NamedTuple, TypeVar

from trinetra.errors import TrinetraError
from trinetra.telemetry import configure_logging

T = TypeVar("T")
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

Done = Callable[[int], None]
"""Is called with how many events of a replay are done."""
Job = Callable[[Done], T]
"""A replay; it is sent to another process, so it must be picklable."""
Progress = Callable[[int, int], None]
"""Is called with the index of a job and how many of its events are done."""


class _Finished(NamedTuple, Generic[T]):
    """The result of a job, on its way to the parent."""

    result: T


def run_side_by_side(jobs: Sequence[Job[T]], progress: Progress) -> list[T]:
    """Run every job in a process of its own and return the results in order.

    Call it from the main thread. An exception, also that of Ctrl-C, ends the processes at once.
    Raises TrinetraError with the message of a job that failed.
    """
    context = get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in jobs]
    processes: list[BaseProcess] = [
        context.Process(target=_serve, args=(job, theirs), daemon=True)
        for job, (_, theirs) in zip(jobs, pipes, strict=True)
    ]
    try:
        with _sigint_blocked(), _single_threaded():
            for process, (_, theirs) in zip(processes, pipes, strict=True):
                process.start()
                theirs.close()  # so that a read here ends when the process does
        return _results([ours for ours, _ in pipes], progress)
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def _serve(job: Job[T], parent: Connection) -> None:
    configure_logging(as_json=False, level="ERROR")
    try:
        parent.send(_Finished(job(parent.send)))
    except TrinetraError as failure:
        parent.send(str(failure))


def _results(pipes: Sequence[Connection], progress: Progress) -> list[T]:
    results: dict[int, T] = {}
    while waiting := [pipe for n, pipe in enumerate(pipes) if n not in results]:
        for pipe in wait(waiting):
            number = next(n for n, ours in enumerate(pipes) if ours is pipe)
            message: _Finished[T] | int | str = _received(pipes[number])
            match message:
                case _Finished(result):
                    results[number] = result
                case int(done):
                    progress(number, done)
                case str(failure):
                    raise TrinetraError(failure)
    return [results[n] for n in range(len(pipes))]


def _received(pipe: Connection) -> _Finished[T] | int | str:
    try:
        message: _Finished[T] | int | str = pipe.recv()
    except EOFError as cause:
        raise TrinetraError("a replay ended early; its last messages are above") from cause
    return message


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Let processes that start here ignore Ctrl-C; this process handles it and ends them.

    They inherit the blocked signal. One that arrives here meanwhile is delivered at the end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Let processes that start here multiply matrices in one thread each.

    They share the cores between them. And the last digits of a sum depend on how many threads
    share the work: with one thread they do not depend on the number of cores.
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
