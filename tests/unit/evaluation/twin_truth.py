"""A short ground truth of the twin: one shopper, one staff member, one camera."""

import json
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BOX = (10.0, 20.0, 70.0, 170.0)


def at(seconds: float) -> datetime:
    """Return an instant of the run."""
    return NOON + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return at(seconds).isoformat().replace("+00:00", "Z")


def twin_lines() -> list[dict[str, object]]:
    camera = {"camera_id": "door", "role": "entrance", "fps": 5.0}
    seen = ["p1", *BOX, 1.0]
    return [
        {"type": "run", "windows": [[stamp(0), stamp(60)]], "cameras": [camera]},
        {"type": "person", "person_id": "p1", "kind": "shopper"},
        {"type": "person", "person_id": "p2", "kind": "staff"},
        *(
            {
                "type": "visit",
                "person_id": person,
                "arrived_at": stamp(0),
                "left_at": stamp(50),
                "outcome": outcome,
            }
            for person, outcome in (("p1", "bought"), ("p2", "worked"))
        ),
        *(
            {"type": "frame", "camera_id": "door", "captured_at": stamp(t), "persons": persons}
            for t, persons in (
                (0.0, [seen, ["p2", 300.0, 20.0, 360.0, 170.0, 0.1]]),
                (0.2, [seen]),
                (5.0, [seen]),
            )
        ),
        {
            "type": "crossing",
            "camera_id": "door",
            "line_id": "step",
            "direction": "in",
            "at": stamp(1),
            "label": "person",
            "subject_id": "p1",
        },
        {
            "type": "crossing",
            "camera_id": "door",
            "line_id": "step",
            "direction": "in",
            "at": stamp(1),
            "label": "car",
            "subject_id": "c1",
        },
        *(
            {
                "type": "stay",
                "camera_id": "door",
                "zone_id": "mat",
                "person_id": "p1",
                "entered_at": stamp(a),
                "left_at": stamp(b),
            }
            for a, b in ((1, 6), (20, 25))
        ),
        {
            "type": "queue",
            "joined_at": stamp(30),
            "end": "served",
            "wait_s": 12.0,
            "till_id": "t1",
        },
        {"type": "queue", "joined_at": stamp(31), "end": "balked", "wait_s": 0.0},
    ]


def as_lines(documents: list[dict[str, object]]) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)
