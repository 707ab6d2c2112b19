"""Accuracy of the face networks on labeled pictures: ``measure_faces(folder, settings, files)``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trinetra.detections.calibration_sample import read_calibration_sample
from trinetra.detections.photo_face import decode_photo
from trinetra.errors import ConfigurationError
from trinetra.evaluation.open_set import Acceptance, identification_scores
from trinetra.evaluation.scores import Score, ScoreSheet
from trinetra.evaluation.verification import Rate, Trial
from trinetra.models.manifest import Profile
from trinetra.settings import Settings
from trinetra.site.policies import Matching
from trinetra.wiring.networks import load_face_reader

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".pgm"})
_LEAST_PEOPLE = 4


def measure_faces(
    folder: Path, profile: Profile, files: Mapping[str, Path], settings: Settings
) -> ScoreSheet:
    """Return the errors on a folder of pictures, a folder for each person, at the thresholds.

    The thresholds are those of a site file that sets none, on the scale of the network's manifest.
    Raises ConfigurationError if there are too few people, or EngineFailure.
    """
    pictures = _pictures(folder)
    reader = load_face_reader(profile, files, settings)
    vectors, person, without = [], [], 0
    for number, path in pictures:
        face = read_calibration_sample(decode_photo(str(path), path.read_bytes()), reader)
        if face is None:
            without += 1
            continue
        vectors.append(face.vectors.unit[0])
        person.append(number)
    people = sorted(set(person))
    if len(people) < _LEAST_PEOPLE:
        raise ConfigurationError(f"{folder}: faces of {len(people)} people were found; need four")
    scale = profile.face_embedder.calibration
    accepts = Acceptance(scale.to_cosine(scale.min_similarity), Matching().margin / scale.gain)
    embeddings = np.stack(vectors)
    trial = Trial.of(embeddings, embeddings, [people.index(p) for p in person])
    random = np.random.default_rng(0)
    scores = (
        Score(name="pictures_without_a_face", value=float(without), n=len(pictures)),
        _score("false_match_rate", trial.false_matches(accepts.cosine, random)),
        _score("false_non_match_rate", trial.false_non_matches(accepts.cosine, random)),
        *identification_scores(embeddings, person, accepts),
    )
    basis = {"folder": folder.name, "people": len(people), "model": profile.face_embedder.version}
    return ScoreSheet("faces", scores, basis)


def _pictures(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder with a folder of pictures per person")
    return [
        (number, path)
        for number, person in enumerate(sorted(p for p in folder.iterdir() if p.is_dir()))
        for path in sorted(person.iterdir())
        if path.suffix.lower() in _PICTURES
    ]


def _score(name: str, rate: Rate) -> Score:
    return Score(name=name, value=rate.value, interval=rate.interval, n=rate.pairs)
