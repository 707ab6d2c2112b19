"""Erased customers: no event or snapshot contains their id from then on."""

import pytest
from tests.unit.insights.walks import CAMERA, SITE, frame, identity, position

from trinetra.events.codec import encode
from trinetra.events.customers import CustomerDirectory, NumberedChange
from trinetra.events.erasure import erased_change
from trinetra.events.schema import TracksEvent
from trinetra.insights.camera.camera_analytics import Outcome
from trinetra.insights.config import CameraInsights, InsightPolicy, Line, Zone
from trinetra.insights.partitions import CameraPartition
from trinetra.values import EPOCH, CustomerId, IdentityKind

ANN = CustomerId("cus_ann")
PLAN = CameraInsights(
    zones=(Zone("all", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), min_dwell_s=1.0),),
    lines=(Line("door", (0.0, 0.5), (1.0, 0.5)),),
)


def share(people: CustomerDirectory) -> CameraPartition:
    return CameraPartition(SITE, {CAMERA: PLAN}, InsightPolicy(), people.is_erased)


def erase(people: CustomerDirectory) -> None:
    people.apply([NumberedChange(people.number + 1, erased_change(ANN, EPOCH))])


def seen(seconds: float, *, named: bool = True) -> TracksEvent:
    """Return Ann on her way over the line."""
    who = {"customer": ANN, "kind": IdentityKind.ENROLLED} if named else {}
    return frame(seconds, [position("t", (0.5, 0.3 + seconds / 50), **who)])


def step(cameras: CameraPartition, event: object) -> Outcome:
    """Process a camera's event as the engine does: read, then step."""
    return cameras.read(encode(event), 0)() or Outcome()


@pytest.mark.parametrize("named", [True, False])
def test_what_is_told_after_somebody_was_erased_bears_no_id(*, named: bool) -> None:
    people = CustomerDirectory()
    cameras = share(people)
    for n in range(8):
        step(cameras, seen(n / 2))
    step(cameras, identity(4, "later", ANN))
    erase(people)
    cameras.forget()
    assert all(ANN.encode() not in value for value in cameras.changes().values() if value)
    told = [step(cameras, seen(n / 2, named=named)) for n in range(9, 30)]
    told.append(step(cameras, identity(15, "t", ANN)))
    told.append(cameras.flush())
    assert {i.customer_id for o in told for i in o.insights if hasattr(i, "line_id")} == {None}
    assert {i.customer_id for o in told for i in o.insights if hasattr(i, "entered_at")} == {None}
    assert not any(outcome.sightings for outcome in told)


def test_whoever_takes_a_camera_over_forgets_who_was_erased_meanwhile() -> None:
    people = CustomerDirectory()
    before = share(people)
    for n in range(20):
        step(before, seen(n / 2))
    written = {key: value for key, value in before.changes().items() if value}
    erase(people)
    heir = share(people)
    assert heir.resume(written) == {}
    assert ANN.encode() in written[CAMERA]
    assert ANN.encode() not in (heir.changes()[CAMERA] or b"")
