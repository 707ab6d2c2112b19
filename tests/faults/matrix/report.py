"""The results as a document for people."""

import platform
import statistics
from collections.abc import Iterable, Sequence
from datetime import date

from tests.faults.matrix.rows import Extent
from tests.faults.matrix.run import Result

_HEAD = """\
# Reliability

What is lost, doubled or interrupted when things break. This page is written by
`make reliability` ({day}, {system}); `make faults ARGS=--short` runs the short form, which is part
of CI.

Every row starts the four services as processes of their own on a real Redis, a real Apache Kafka
(one broker, KRaft) and a gallery server that speaks Qdrant's protocol over the Qdrant engine, puts
a steady load on them (frames of two clips at {fps:g} frames/s each, and the detections of a
simulated shop at {speed:g} times real speed), breaks something, lets everything come out, and reads
the topics with a plain Kafka client that sees committed records alone. What comes out is compared
with what went in, and with what one undisturbed process makes of the same detections.

{extent}
"""
_PROMISES = """
- **frames**: acknowledged by the buffer to the ingestor. *dropped*: gave way to newer ones in the
  bounded buffer, were in it when Redis lost all it had, or were too old when their turn came; all
  are counted and allowed. **lost**: any other without its detection event. *again*: their event is
  in the log twice, under one id; readers recognize it.
- *late*: detections that came too late for the order of their camera, as when a worker stood still
  with a frame in hand; resolvers leave them out and count them.
- **lost / doubled** of identities: a frame without its `tracks` event, a person's track without a
  decision, a detection that the log acknowledged and no longer has / an event that is there twice.
- **tracks broken**: tracks that an undisturbed run has and this one has not, or the reverse.
- **lost / doubled** of insights: line crossings, stays and visits that one undisturbed engine makes
  of the very identities that are in the log; any insight, in the same words, that is there more
  often than that engine says it.
- **recovery**: from the moment when the process was started again, or the server or network was
  back, to the first new output that depends on it: median and longest of all faults of the row.
- What resolvers know of each other is not in the table. `tests/faults/test_registry_replicas.py`
  runs three of them on a real Kafka, ends and replaces them at random, and compares: in the end
  every registry is the one that the log alone makes, and a way that nobody can have walked between
  cameras of two resolvers is an alert, also when both were replaced in between.
"""
_TITLES = (
    *("fault", "frames", "dropped", "lost", "again", "detections", "late"),
    *("identities lost / doubled", "tracks (broken)", "insights lost / doubled"),
    "recovery median / longest",
)


def page(results: Sequence[Result], extent: Extent, *, fps: float, speed: float) -> str:
    """Return the whole document."""
    head = _HEAD.format(
        day=date.today().isoformat(),  # noqa: DTZ011 - the day where it was run
        system=f"{platform.machine()}, Python {platform.python_version()}",
        fps=fps,
        speed=speed,
        extent=(
            f"Kills of each service: {extent.kills}. Away or standing still: the gallery "
            f"{extent.gallery_away_s:g} s, a stopped process {extent.stopped_s:g} s, a server "
            f"{extent.server_away_s:g} s, the network {extent.stalled_s:g} s."
        ),
    )
    return "\n".join([head, *_table(results), _PROMISES, *_kept(results)])


def _table(results: Iterable[Result]) -> list[str]:
    lines = [f"| {' | '.join(_TITLES)} |", "| --- " + "| --: " * (len(_TITLES) - 1) + "|"]
    return lines + [_line(result) for result in results]


def _line(result: Result) -> str:
    f = result.figures
    dropped = f.frames_dropped + f.frames_stale + f.frames_flushed
    lost = f.detections_lost + f.tracked_lost + f.identities_lost
    cells = (
        result.row,
        f.frames,
        dropped,
        f.frames_lost,
        f.frames_repeated,
        f.detections,
        f.tracked_late,
        f"{lost} / {f.tracked_doubled + f.identities_doubled}",
        f"{f.tracks} ({f.tracks_broken})",
        f"{f.insights_lost} / {f.insights_doubled}",
        _recovery(result.recovery_s),
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _recovery(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    return f"{statistics.median(seconds):.1f} s / {max(seconds):.1f} s"


def _kept(results: Iterable[Result]) -> list[str]:
    broken = [f"- {r.row}: {', '.join(r.figures.faults)}" for r in results if r.figures.faults]
    return ["## Promises not kept in this run\n", *broken, ""] if broken else []
