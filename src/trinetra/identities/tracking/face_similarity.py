"""Similarity of the faces in a frame to the faces of the tracks."""

from collections.abc import Mapping, Sequence

import numpy as np

from trinetra.errors import MalformedEvent
from trinetra.events.codec import unpack_embedding
from trinetra.events.schema import FaceBox
from trinetra.values import Embedding, TrackId


def compare_faces(
    faces: Sequence[FaceBox | None], known: Mapping[TrackId, Embedding], dimension: int
) -> dict[tuple[TrackId, int], float]:
    """Return the cosine of every track's face, a unit vector, with every face of a frame.

    ``faces`` has the face of each detection, or None. A malformed embedding is skipped here; it is
    reported when the face is added to the evidence.
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
    """Return the track that a face clearly belongs to, by the detection it was found in.

    The geometry can be wrong: when two people walk side by side, the one behind may show only the
    face, which then lies where the face of the one in front would. Only its similarity to the
    tracks' earlier faces tells them apart, so it may overrule the position.
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
