"""Measures the noise of the platform's own worker on labeled footage, for the digital twin.

``measure_noise`` runs the worker's networks on the sequences of a folder (docs/twin.md) and
compares what they find with the labels. Two sequences are left out, to hold ``twin_figures``
against them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from trinetra.errors import ConfigurationError
from trinetra.evaluation.noise.faces import measure_faces
from trinetra.evaluation.noise.fits import SHARES
from trinetra.evaluation.noise.footage import Compared, LabeledFootage, Rect, compare
from trinetra.evaluation.noise.statistics import CLEAR, SMALL, figures, measure, measure_ghosts
from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent
from trinetra.site import Site
from trinetra.twin.noise import Noise
from trinetra.twin.portraits import Portraits
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario, Sensing
from trinetra.twin.shop import built_in_shop
from trinetra.values import Role
from trinetra.wiring.footage import Footage
from trinetra.wiring.networks import Networks

_ROLE, _LABELS = Role.TRACKING, ("person",)
_STRIPE_VALUES = 18
_FPS = 5.0
_SHOPPERS_PER_HOUR, _TWIN_HOURS = 240.0, 0.25
"""A crowded view, as most of the labeled ones are."""
_FAR: Rect = (0.13, 0.03, 0.45, 0.19)
"""The far end of the corridor, whose people are not labeled."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A sequence of the folder: its video, its labels if any, and what is not labeled in it."""

    name: str
    video: str
    labels: str | None
    fps: float = 25.0
    ignored: tuple[Rect, ...] = ()


MEASURED = (
    Recording("tud-stadtmitte", "tud_stadtmitte/tud_stadtmitte.mp4", "tud_stadtmitte/gt.txt"),
    Recording(
        "caviar-oneleaveshop1-cor",
        "caviar_oneleaveshop1/OneLeaveShop1cor.mpg",
        "caviar_oneleaveshop1/cor_gt.txt",
        ignored=((0.33, 0.03, 0.42, 0.19),),
    ),
)
EMPTY = Recording(
    "caviar-shopassistant1",
    "caviar_shopassistant1/ShopAssistant1cor.mp4",
    None,
    ignored=(_FAR,),
)
EMPTY_FRAMES = range(575, 1341)
"""The stretch without people, for ghosts."""
HELD_OUT = (
    Recording("tud-campus", "tud_campus/tud_campus.mp4", "tud_campus/gt.txt"),
    Recording(
        "caviar-oneleaveshop1-front",
        "caviar_oneleaveshop1/OneLeaveShop1front.mpg",
        "caviar_oneleaveshop1/front_gt.txt",
    ),
)
SAME_MAN = (("caviar-oneleaveshop1-cor", 6), ("caviar-oneleaveshop1-front", 2))
"""One man before two cameras: the only evidence of how much the light differs between views.

It is also the only use of a sequence that is left out.
"""


def measure_noise(
    folder: Path, portraits: Portraits, networks: Networks
) -> tuple[Noise, Mapping[str, Any]]:
    """Return the noise, and figures of each sequence to compare the twin with.

    Raises ConfigurationError if a sequence is missing, SourceUnavailable, EngineFailure.
    """
    seen = {
        one.name: compare(_detected(one, folder, networks)) for one in (*MEASURED, *HELD_OUT, EMPTY)
    }
    labeled = [seen[one.name] for one in MEASURED]
    told = measure(labeled)
    told["ghosts"] = measure_ghosts(
        [
            *((one, [range(one.footage.frames)]) for one in labeled),
            (seen[EMPTY.name], [EMPTY_FRAMES]),
        ]
    )
    told["clothes"]["light"] = _light(seen)
    document = {
        "provenance": _provenance(networks),
        "shares": SHARES,
        "clear_from": CLEAR,
        "small_below": SMALL,
        **told,
        "faces": _faces(portraits),
    }
    footage = {
        one.name: figures(compare(seen[one.name].footage.thinned(_FPS)))
        for one in (*MEASURED, *HELD_OUT)
    }
    return msgspec.convert(document, Noise, strict=False), footage


def _faces(portraits: Portraits) -> dict[str, Any]:
    told = measure_faces(
        portraits.person,
        portraits.found,
        portraits.reason,
        portraits.measures,
        portraits.box,
        portraits.points,
        portraits.embedding,
    )
    return {"reasons": portraits.reasons, **told}


def _provenance(networks: Networks) -> dict[str, Any]:
    return {
        "measured_on": [one.name for one in (*MEASURED, EMPTY)],
        "held_out": [one.name for one in HELD_OUT],
        "detector": networks.profile.detector_for(_ROLE, _LABELS).version,
        "faces": " ".join(networks.versions[task] for task in ("face_find", "face_embed")),
        "date": date.today().isoformat(),  # noqa: DTZ011 - the day on this machine
        "by": "trinetra twin measure",
    }


def _light(seen: Mapping[str, Compared]) -> list[float]:
    """Return the difference in each channel of one man before two cameras, as a deviation."""
    means = []
    for name, who in SAME_MAN:
        one = seen[name]
        rows = np.flatnonzero((one.footage.who == who) & one.is_found)
        stripes = one.footage.stripes[one.match[rows]]
        means.append(np.nanmean(stripes, axis=0).reshape(-1, 3).mean(axis=0))
    # The difference of two cameras has twice the variance of one.
    return [round(float(d), 2) for d in np.abs(means[0] - means[1]) / np.sqrt(2)]


def _detected(one: Recording, folder: Path, networks: Networks) -> LabeledFootage:
    video = folder / one.video
    site = Site.model_validate(
        {
            "site": "footage",
            "timezone": "UTC",
            "cameras": [{"id": "view", "role": _ROLE.value, "source": {"file": str(video)}}],
        }
    )
    events = list(Footage(site, networks).of_video(site.cameras[0], video))
    return as_footage(one, events, _labels(folder / one.labels) if one.labels else np.zeros((0, 6)))


def as_footage(
    one: Recording, events: Sequence[DetectionEvent], labels: np.ndarray[Any, Any]
) -> LabeledFootage:
    """Return detections beside labels.

    ``labels (n, 6)``: frame from 1, person, left, top, width, height.
    """
    found = [(frame, box) for frame, event in enumerate(events) for box in event.objects]
    left, top, width, height = labels[:, 2:6].T
    return LabeledFootage(
        name=one.name,
        fps=one.fps,
        frames=len(events),
        size=(events[0].frame_width, events[0].frame_height),
        true_frame=labels[:, 0].astype(np.int64) - 1,
        who=labels[:, 1].astype(np.int64),
        true_xyxy=np.stack([left, top, left + width, top + height], axis=1),
        found_frame=np.array([frame for frame, _ in found], np.int64),
        found_xyxy=np.array([box.box for _, box in found], np.float64).reshape(-1, 4),
        score=np.array([box.score for _, box in found], np.float64),
        stripes=np.array([_stripes(box.appearance) for _, box in found]).reshape(
            -1, _STRIPE_VALUES
        ),
        ignored=one.ignored,
    )


def _stripes(packed: bytes | None) -> list[float]:
    """Return the values of a descriptor: a tag, and one byte each."""
    if packed is None or len(packed) != 1 + _STRIPE_VALUES:
        return [float("nan")] * _STRIPE_VALUES
    return [float(value) for value in packed[1:]]


def _labels(path: Path) -> np.ndarray[Any, Any]:
    """Return the labels of a MOTChallenge text file. Raises ConfigurationError."""
    try:
        table = np.loadtxt(path, delimiter=",", usecols=range(7), ndmin=2)
    except (OSError, ValueError) as cause:
        raise ConfigurationError(f"{path} has no labels: {cause}") from cause
    return np.asarray(table[table[:, 6] > 0][:, :6])


def as_json(noise: Noise) -> str:
    """Return the noise with each field on one line, so that changes can be read."""
    sections = []
    for name, section in msgspec.to_builtins(noise).items():
        if isinstance(section, dict):
            fields = (f"  {_json(field)}: {_json(value)}" for field, value in section.items())
            sections.append(f" {_json(name)}: {{\n" + ",\n".join(fields) + "\n }")
        else:
            sections.append(f" {_json(name)}: {_json(section)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def twin_figures(camera: str, sensing: Sensing | None = None) -> Mapping[str, float]:
    """Return the figures of a simulated view, at the frame rate that cameras have."""
    plan = built_in_shop()
    views = tuple(replace(view, fps=_FPS) for view in plan.views if view.camera_id == camera)
    twin = Twin(
        replace(plan, views=views),
        Scenario(7, _SHOPPERS_PER_HOUR, _TWIN_HOURS, sensing=sensing or Sensing()),
    )
    events: list[DetectionEvent] = []
    labels: list[tuple[float, ...]] = []
    people: dict[str, int] = {}
    by_seq: dict[int, int] = {}
    for batch in twin.batches():
        for arrival in sorted(batch.arrivals, key=lambda one: one.seq):
            by_seq[arrival.seq] = len(events)
            events.append(_detection(arrival.payload))
        for line in map(msgspec.json.decode, batch.frames):
            for name, x1, y1, x2, y2, _ in line["persons"]:
                who = people.setdefault(name, len(people))
                labels.append((line["seq"], who, x1, y1, x2 - x1, y2 - y1))
    table = np.array([(by_seq[int(seq)] + 1, *rest) for seq, *rest in labels if seq in by_seq])
    footage = as_footage(Recording(f"twin {camera}", "", None, _FPS), events, table)
    return figures(compare(footage))


def _detection(payload: bytes) -> DetectionEvent:
    event = decode(payload)
    if not isinstance(event, DetectionEvent):
        raise TypeError(f"a twin emits detections, not {event!r}")
    return event
