"""Plates in simulated frames: mostly right, never in the clear, and only with a key."""

from collections import Counter

import pytest

from trinetra.events.codec import decode
from trinetra.events.plates import PlateKey
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop

KEY = PlateKey(b"the twin's plates are no secret")
SCENARIO = Scenario(11, 120.0, 0.1)


def payloads(key):
    arrivals = Twin(built_in_shop(), SCENARIO, plate_key=key).arrivals()
    return [arrival.payload for arrival in arrivals if arrival.camera_id == "parking"]


@pytest.fixture(scope="module")
def read():
    """Return how often each text was read."""
    events = map(decode, payloads(KEY))
    plates = (seen.plate for event in events for seen in event.objects if seen.plate)
    return Counter(KEY.unseal(plate.sealed).text for plate in plates)


@pytest.fixture(scope="module")
def true():
    drives = Twin(built_in_shop(), SCENARIO).world.drives
    return {"".join(filter(str.isalnum, drive.plate)) for drive in drives}


def test_most_readings_are_right_and_some_are_not(read, true):
    right = sum(count for text, count in read.items() if text in true)
    assert 0.5 < right / read.total() < 0.98


def test_a_twin_is_the_same_in_every_run_and_without_a_key_reads_no_plate():
    assert payloads(KEY) == payloads(KEY)
    assert not any(b'"plate"' in payload for payload in payloads(None))


def test_no_plate_is_in_the_clear(true):
    text = b"".join(payloads(KEY))
    assert not any(plate.encode() in text for plate in true)
