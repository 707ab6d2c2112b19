"""Builds a replay: the production services on adapters in memory and a clock that stands still."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.memory.insight_store import MemoryInsightStore
from trinetra.errors import StorageFull
from trinetra.evaluation.replayed import Reference, ReplayResult, ReplayScoring
from trinetra.events.customers import CustomerDirectory
from trinetra.events.plates import PlateKey
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.replay.clock import ReplayClock
from trinetra.replay.player import MAX_PENDING, Detected, Listener, play
from trinetra.replay.processes import Done, Progress, run_side_by_side
from trinetra.replay.recording import Recording
from trinetra.site import Site
from trinetra.values import GalleryEntry
from trinetra.wiring import assembly
from trinetra.wiring.assembly import EnginePorts, FaceModel, Member, ResolverPorts

_TELL_EVERY = 500
_MEMBER = Member("replay", ends_with_process=True, poll_customers_s=0.0, has_peers=False)
"""The customer log is read on every turn, because the clock stands still."""


@dataclass(frozen=True, slots=True)
class ReplayInputs:
    """The inputs of a replay: the site, the face model, and the people known at its start.

    ``model`` is calibrated and carries the version that read the faces: those of another version
    would be ignored. Without ``plate_key`` license plates are.
    """

    site: Site
    model: FaceEmbedderModel
    entries: Sequence[GalleryEntry] = ()
    people: CustomerDirectory = field(default_factory=CustomerDirectory)
    plate_key: PlateKey | None = None


@dataclass(frozen=True, slots=True)
class ReplayVariant:
    """One of several replays of a recording.

    ``truth`` is a file to score against; see ``Reference`` for ``is_whole``. All events are
    written to ``output``, if it is given.
    """

    inputs: ReplayInputs
    recording: Recording
    truth: Path | None = None
    is_whole: bool = True
    output: Path | None = None


async def replay(inputs: ReplayInputs, detections: Iterable[Detected], listener: Listener) -> None:
    """Run detections through resolver and insight engine, and call ``listener`` with each event.

    The same detections give the same events on every machine. Nothing that lasts is read or
    written, and no other process takes part: there are no erasures to confirm and no sightings of
    other resolvers to read.
    """
    clock, customer_log = ReplayClock(), MemoryCustomerLog()
    log = MemoryEventLog(clock, max_records=MAX_PENDING)
    gallery = MemoryGallery(inputs.model.dimension)
    await gallery.upsert(inputs.entries)
    # Changes in the customer log of the replay are numbered from 1.
    people = replace(deepcopy(inputs.people), number=0)
    resolver = assembly.resolver(
        inputs.site,
        FaceModel(inputs.model),
        ResolverPorts(log, gallery, customer_log, clock, plate_key=inputs.plate_key),
        _MEMBER,
        directory=people,
    )
    engine = assembly.engine(
        inputs.site, EnginePorts(log, MemoryInsightStore(), customer_log, clock), _MEMBER
    )
    await play(detections, log, (resolver, engine), listener)


def run_variants(variants: Sequence[ReplayVariant], progress: Progress) -> list[ReplayResult]:
    """Run every variant in a process of its own and return the results in order.

    ``progress`` is called with the index of a variant and how many of its events are done. Call it
    from the main thread. Raises TrinetraError with the message of a variant that failed.
    """
    return run_side_by_side([partial(run_variant, variant) for variant in variants], progress)


def run_variant(variant: ReplayVariant, done: Done) -> ReplayResult:
    """Run one variant here; ``done`` is called now and then with how many events are done."""
    site = variant.inputs.site
    scoring = ReplayScoring(site.policies.stays.visit_gap_s, _reference(variant))
    with _writing(variant.output) as output:

        def listen(payload: bytes) -> None:
            if output is not None:
                output.write(payload + b"\n")
            scoring.add(payload)

        asyncio.run(replay(variant.inputs, _counted(variant.recording, done), listen))
    return scoring.result()


def _reference(variant: ReplayVariant) -> Reference | None:
    if variant.truth is None:
        return None
    zones = [zone.min_dwell_s for camera in variant.inputs.site.cameras for zone in camera.zones]
    return Reference(variant.truth, variant.is_whole, min(zones, default=0.0))


@contextmanager
def _writing(path: Path | None) -> Iterator[BinaryIO | None]:
    """Open a file for the events, if one is wanted. Raises StorageFull."""
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


def _counted(recording: Recording, done: Done) -> Iterator[Detected]:
    for number, detected in enumerate(recording.detections(), start=1):
        yield detected
        if number % _TELL_EVERY == 0 or number == len(recording):
            done(number)
