"""Open-set identification on faces whose similarities are known by construction."""

import numpy as np
import pytest

from trinetra.evaluation.open_set import Acceptance, identification_scores

PICTURES = 4


def faces(people: int, *, spread: float = 0.0, shared: float = 0.0) -> np.ndarray:
    """Return unit vectors; people are orthogonal, but for what all of them share."""
    random = np.random.default_rng(3)
    own = np.repeat(np.eye(people, people + 1), PICTURES, axis=0)
    own[:, -1] = shared
    noisy = own + spread * random.normal(size=own.shape)
    return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)


def rates(vectors: np.ndarray, cosine: float, margin: float = 0.0) -> tuple[float, float]:
    people = len(vectors) // PICTURES
    numbers = np.repeat(np.arange(people), PICTURES).tolist()
    scores = identification_scores(vectors, numbers, Acceptance(cosine, margin))
    return scores[0].value or 0.0, scores[1].value or 0.0


def test_distinct_people_are_identified_without_error() -> None:
    vectors = faces(12)
    assert rates(vectors, cosine=0.5) == (0.0, 0.0)
    scores = identification_scores(
        vectors, np.repeat(np.arange(12), PICTURES).tolist(), Acceptance(0.5, 0.0)
    )
    assert scores[0].interval is not None
    assert scores[0].interval.high == pytest.approx(0.3903, abs=1e-4), "Wilson's, of 6 people"
    assert scores[0].n == 20 * 6


def test_a_threshold_below_what_all_share_accepts_every_stranger() -> None:
    assert rates(faces(12, shared=2.0), cosine=0.5)[0] == 1.0


def test_a_margin_refuses_strangers_who_resemble_all_alike() -> None:
    assert rates(faces(12, shared=2.0), cosine=0.5, margin=0.05) == (0.0, 0.0)


def test_a_threshold_above_all_misses_everybody() -> None:
    assert rates(faces(12, spread=0.3), cosine=1.01) == (0.0, 1.0)


def test_people_with_one_picture_take_no_part() -> None:
    vectors = np.concatenate([faces(4), faces(4)[:1]])
    numbers = [*np.repeat(np.arange(4), PICTURES).tolist(), 9]
    scores = identification_scores(vectors, numbers, Acceptance(0.5, 0.0))
    assert scores[0].note == "2 people enrolled"
