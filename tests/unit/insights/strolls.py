"""Random but reproducible events of people who stroll through a shop with several cameras."""

from collections.abc import Iterator
from random import Random

from tests.unit.insights.walks import frame, identity, position

from trinetra.events.schema import IdentityEvent, Point, TrackPosition, TracksEvent
from trinetra.insights.config import CameraInsights, Line, Zone
from trinetra.values import CameraId, IdentityKind

CAMERAS = tuple(CameraId(name) for name in ("door", "aisle", "till", "corner", "shelf"))
PLAN = CameraInsights(
    zones=(
        Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))),
        Zone("table", ((0.4, 0.6), (0.6, 0.6), (0.6, 1.0), (0.4, 1.0)), min_dwell_s=1.0),
    ),
    lines=(Line("entry", (0.0, 0.5), (1.0, 0.5)), Line("side", (0.5, 0.0), (0.5, 1.0))),
)
_STEP_S = 0.5
_GONE_S = 90.0
LEAST_PAUSE_S = 300.0
"""Less than between two bursts, more than within one."""
CameraEvent = TracksEvent | IdentityEvent


def stroll(random: Random, *, bursts: int = 8) -> list[CameraEvent]:
    """Return the events of all cameras in order of time; the views are empty at the end.

    Customers come in bursts, some of which belong to one visit and some to the next.
    """
    events: list[CameraEvent] = []
    start_s = 0.0
    for burst in range(bursts):
        for number, camera in enumerate(CAMERAS):
            events += camera_burst(random, camera, start_s + number * 0.01, str(burst))
        start_s += random.choice([2 * LEAST_PAUSE_S, 4 * LEAST_PAUSE_S, 4000.0])
    return sorted(events, key=lambda event: event.captured_at)


def camera_burst(
    random: Random, camera: CameraId, start_s: float, name: str, *, steps: int = 24
) -> Iterator[CameraEvent]:
    """Yield half a minute of one camera: people wander; tracks break and are (re)identified."""
    tracks = {f"{camera}-{name}-{n}": _somewhere(random) for n in range(random.randrange(1, 4))}
    for number in range(steps):
        at_s = start_s + number * _STEP_S
        for track in list(tracks):
            if random.random() < 0.1:
                # Lost by the tracker and found again as a new track, there or elsewhere.
                foot = tracks.pop(track)
                tracks[f"{track}{number}"] = foot if random.random() < 0.7 else _somewhere(random)
        seen = [_position(random, t, foot) for t, foot in tracks.items() if random.random() < 0.9]
        yield frame(at_s, seen, camera=camera)
        for track in tracks:
            if random.random() < 0.12:
                yield identity(
                    at_s,
                    track,
                    _customer(random),
                    started=at_s - random.choice([0.0, 1.0, 4.0]),
                    kind=IdentityKind.ENROLLED,
                    camera=camera,
                )
        tracks = {track: _moved(random, foot) for track, foot in tracks.items()}
    end_s = start_s + steps * _STEP_S
    yield from (frame(end_s + pause, camera=camera) for pause in (2.0, 4.0, _GONE_S))


def _position(random: Random, track: str, foot: Point) -> TrackPosition:
    who = _customer(random) if random.random() < 0.05 else None
    return position(track, foot, customer=who, kind=IdentityKind.ENROLLED if who else None)


def _customer(random: Random) -> str | None:
    return random.choice(["ann", "bob", "cat", "dan", "eve", "fay", None])


def _somewhere(random: Random) -> Point:
    return random.random(), 0.45 + random.random() / 2


def _moved(random: Random, foot: Point) -> Point:
    x, y = (c + random.uniform(-0.12, 0.12) for c in foot)
    return min(max(x, 0.0), 1.0), min(max(y, 0.42), 1.0)
