"""The plate of a track: elected over its frames, published as a pseudonym, found on a watchlist."""

from datetime import UTC, datetime

import pytest

from trinetra.events.codec import decode, encode
from trinetra.events.plates import PlateCharacters, PlateKey
from trinetra.events.schema import DetectionEvent, ObjectBox, PlateReading
from trinetra.identities.decision.events import tracks_event
from trinetra.identities.decision.plates import PlateBook, PlatePolicy, without_foreign_plates
from trinetra.identities.decision.track_identity import CameraState, advance
from trinetra.identities.state.snapshot import encode_camera, encode_track, restore
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.values import CameraId, EventId, SiteId, after

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
GATE, SHOP = CameraId("gate"), SiteId("shop")
KEY = PlateKey(b"k" * 32)
BOX = (200.0, 100.0, 500.0, 400.0)
MODEL, DIMENSION = "test@1", 32


def reading(text, confidence=0.9, key=KEY):
    sealed = key.seal(PlateCharacters.of(text, (confidence,) * len(text)))
    return PlateReading(sealed, confidence, (300.0, 350.0, 400.0, 375.0))


def car(plate=None, box=BOX, label="car"):
    return ObjectBox(label, 0.9, box, plate=plate)


def frame(number, *objects):
    return DetectionEvent(
        event_id=EventId(f"det_{number}"),
        site_id=SHOP,
        camera_id=GATE,
        captured_at=after(NOON, number / 5),
        frame_seq=number,
        frame_width=1280,
        frame_height=720,
        objects=objects,
    )


class Gate:
    """One camera of a resolver."""

    def __init__(self, policy=PlatePolicy(), key=KEY):  # noqa: B008  frozen
        self.state, self.book = CameraState(GATE), PlateBook(key, policy)
        self.alerts, self.number, self.text = [], 0, b""

    def show(self, *objects):
        """Return the tracks after one frame."""
        event, self.number = frame(self.number, *objects), self.number + 1
        outcome = advance(
            self.state, event, site_id=SHOP, dimension=DIMENSION, policy=TrackerPolicy()
        )
        plates, alerts = self.book.decide(event, outcome)
        self.alerts += alerts
        encoded = encode(tracks_event(event, outcome, plates))
        self.text += encoded + b"".join(map(encode, alerts))
        return decode(encoded).tracks

    def restart(self, key=KEY):
        """Go on from a snapshot; return its bytes."""
        values = {"camera": encode_camera(self.state)}
        for track_id, identity in self.state.identities.items():
            values[f"track/{track_id}"] = encode_track(identity, MODEL)
        restored = restore(values, model=MODEL, dimension=DIMENSION, window=(16, 1.0))
        assert not restored.faults
        self.state = restored.cameras[GATE]
        self.book = PlateBook(key, self.book.policy)
        return b"".join(values.values())


def plate_of(tracks):
    (track,) = tracks
    return track.plate


def test_the_readings_of_a_track_elect_its_plate():
    gate = Gate(PlatePolicy(keeps_text=True))
    for text in ("KA01AB1234", "KA01A81234", "KA01AB1234", "A01AB1234"):
        tracks = gate.show(car(reading(text)))
    plate = plate_of(tracks)
    assert (plate.text, plate.readings) == ("KA01AB1234", 4)
    assert plate.country is None
    assert 0.6 < plate.confidence < 0.9


def test_a_frame_without_a_reading_keeps_the_plate_and_a_track_without_any_has_none():
    gate = Gate()
    gate.show(car(reading("KA01AB1234")))
    assert plate_of(gate.show(car())).plate_id == KEY.pseudonym("KA01A81234")
    blank = Gate()
    blank.show(car())
    assert plate_of(blank.show(car())) is None


def test_without_permission_only_the_pseudonym_is_published_or_stored():
    gate = Gate(PlatePolicy(watchlist=("KA-01-*",)))
    for _ in range(3):
        tracks = gate.show(car(reading("KA01AB1234")))
    assert plate_of(tracks).text is None
    stored = gate.text + gate.restart()
    for secret in (b"KA01AB1234", b"AB1234", b"KA01A"):
        assert secret not in stored


def test_a_country_format_corrects_what_its_readings_agree_on():
    gate = Gate(PlatePolicy(countries=("IN",)))
    for _ in range(3):
        tracks = gate.show(car(reading("KAO1AB1Z34")))
    plate = plate_of(tracks)
    assert plate.country == "IN"
    assert plate.plate_id == KEY.pseudonym("KA01AB1234")


@pytest.mark.parametrize(("first", "second"), [("XYZ0", "XYZO"), ("B1", "8I"), ("S2G", "5Z6")])
def test_hardly_distinct_readings_of_an_unknown_format_have_one_pseudonym(first, second):
    seen = []
    for text in (first, second):
        gate = Gate(PlatePolicy(keeps_text=True))
        gate.show(car(reading(text)))
        plate = plate_of(gate.show(car(reading(text))))
        assert plate.text == text
        seen.append(plate.plate_id)
    assert seen[0] == seen[1]


def test_letters_of_another_script_are_kept_as_read():
    gate = Gate(PlatePolicy(countries=("IN", "GB"), keeps_text=True))
    gate.show(car(reading("बा०१")))
    plate = plate_of(gate.show(car(reading("बा०१"))))
    assert plate.country is None
    assert plate.text


def test_readings_that_disagree_are_no_plate_until_they_agree():
    gate = Gate()
    for text in ("AAAA", "BBBB", "CCCC"):
        tracks = gate.show(car(reading(text)))
    assert plate_of(tracks) is None
    for _ in range(8):
        tracks = gate.show(car(reading("AAAA", 0.95)))
    assert plate_of(tracks).readings == 8


def test_an_empty_reading_and_one_of_separators_are_no_plate():
    gate = Gate()
    gate.show(car(reading("")))
    assert plate_of(gate.show(car(reading("")))) is None


def test_two_vehicles_keep_their_own_plates():
    gate, far = Gate(), (700.0, 100.0, 1000.0, 400.0)
    for _ in range(3):
        tracks = gate.show(car(reading("KA01AB1234")), car(reading("MH12XY9999"), far))
    found = {track.box[0]: track.plate.plate_id for track in tracks}
    assert found == {200.0: KEY.pseudonym("KA01A81234"), 700.0: KEY.pseudonym("MH12XY9999")}


def test_a_vehicle_that_parks_for_hours_keeps_a_bounded_number_of_readings():
    gate = Gate()
    for _ in range(50):
        tracks = gate.show(car(reading("KA01AB1234")))
    assert plate_of(tracks).readings == 8
    assert len(gate.state.tracker.tracks[0].plates) == 8


def test_the_watchlist_is_announced_once_for_each_track_even_after_a_restart():
    gate = Gate(PlatePolicy(watchlist=("KA-01-*", "MH 12 XY 9999")))
    for _ in range(4):
        gate.show(car(reading("KAO1AB1234")))
    gate.restart()
    gate.show(car(reading("KA01AB1234")))
    (alert,) = gate.alerts
    assert (alert.rule, alert.severity) == ("plate_watchlist", "critical")
    assert alert.detail == {"entry": "KA-01-*"}


def test_a_restart_changes_no_plate():
    calm, restarted = Gate(), Gate()
    for number, text in enumerate(("KA01AB1234", "KA01AB1Z34", "KA01AB1234")):
        if number == 2:
            restarted.restart()
        assert calm.show(car(reading(text))) == restarted.show(car(reading(text)))


def test_after_a_change_of_the_key_old_readings_count_no_more():
    gate, other = Gate(), PlateKey(b"o" * 32)
    for _ in range(3):
        gate.show(car(reading("KA01AB1234")))
    gate.restart(key=other)
    assert plate_of(gate.show(car())) is None
    plate = plate_of(gate.show(car(reading("KA01AB1234", key=other))))
    assert plate.plate_id == other.pseudonym("KA01A81234")


def test_plates_of_another_key_are_removed_and_counted():
    event = frame(0, car(reading("KA01", key=PlateKey(b"o" * 32))), car(reading("KA02")), car())
    kept, removed = without_foreign_plates(event, PlateBook(KEY, PlatePolicy()))
    assert removed == 1
    assert [seen.plate is not None for seen in kept.objects] == [False, True, False]
    assert without_foreign_plates(kept, PlateBook(KEY, PlatePolicy())) == (kept, 0)
    assert without_foreign_plates(event, None)[1] == 2
