"""Events written by earlier versions stay readable. Golden files are never edited."""

from pathlib import Path

import msgspec
import pytest

from trinetra.events.codec import decode, encode
from trinetra.events.schema import AnyEvent

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "events").glob("*.json"))


def test_every_event_type_has_a_golden_file() -> None:
    covered = {type(decode(path.read_bytes())) for path in GOLDEN}
    assert covered == set(AnyEvent.__args__)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_reads_as_it_did_and_is_written_the_same(path: Path) -> None:
    payload = path.read_bytes()
    event = decode(payload)
    # A file of an optional field bears its name as well: occupancy.v1.unseen.json.
    name = f"{msgspec.json.decode(payload)['type']}.v{event.version}"
    assert path.name.startswith(f"{name}.")
    assert msgspec.json.decode(encode(event)) == msgspec.json.decode(payload)
