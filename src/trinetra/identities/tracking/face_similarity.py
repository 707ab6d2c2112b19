"""How much the faces of a frame are like those of the tracks it may continue."""

from collections.abc import Mapping, Sequence

import numpy as np

from trinetra.errors import MalformedEvent
from trinetra.events.codec import unpack_embedding
from trinetra.events.schema import FaceBox
from trinetra.values import Embedding, TrackId


def likeness(
    faces: Sequence[FaceBox | None], known: Mapping[TrackId, Embedding], dimension: int
) -> dict[tuple[TrackId, int], float]:
    """Return the cosine of every track's face, a unit vector, and every face of a frame.

    ``faces`` has the face of each detection, where it has one. One that cannot be compared is left
    out: what is wrong with it is said where it is added to the evidence.
    """
    if not known:
        return {}
    shown = {
        d: vector
        for d, face in enumerate(faces)
        if (vector := _vector(face, dimension)) is not None
    }
    if not shown:
        return {}
    cosines = np.stack(list(known.values())) @ np.stack(list(shown.values())).T
    return {
        (track_id, detection): cosine
        for track_id, row in zip(known, cosines.tolist(), strict=True)
        for detection, cosine in zip(shown, row, strict=True)
    }


def owners(alike: Mapping[tuple[TrackId, int], float], same_cosine: float) -> dict[int, TrackId]:
    """Return which faces are clearly those of a track, by the detection that they were given to.

    In a pair walking side by side, the one behind may show nothing but the face: it then lies where
    the other one's would, and only whose it was before tells them apart.
    """
    best: dict[int, tuple[float, TrackId]] = {}
    for (track_id, detection), cosine in alike.items():
        if cosine >= same_cosine and cosine > best.get(detection, (0.0, track_id))[0]:
            best[detection] = cosine, track_id
    return {detection: track_id for detection, (_, track_id) in best.items()}


def _vector(face: FaceBox | None, dimension: int) -> Embedding | None:
    if face is None or face.embedding is None:
        return None
    try:
        return unpack_embedding(face.embedding, dimension)
    except MalformedEvent:
        return None
