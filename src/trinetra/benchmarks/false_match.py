"""False match rate of tracks over many pairs: ``run(seeds)``.

A twin's day has a few hundred searches, too few to measure a rate of 1 in 10,000. Therefore every
two tracks of a run are compared by their fused faces, as a search compares a track to the gallery.
The true person of a track is the one whose face in the twin is nearest to the track's faces. The
threshold is the one for a gallery of all people of the last seed, and the smallest faces.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trinetra.benchmarks.decision import Bench, detections
from trinetra.evaluation.intervals import wilson
from trinetra.identities.decision.open_set import Rivals
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.wiring.simulation import site_of

_SHOPPERS_PER_HOUR = 240.0
_MIN_FACE_PX = 32.0
_LEAST_FACES = 2
"""Of a track to be searched for at all."""


def run(seeds: Iterable[int], *, hours: float = 0.25) -> dict[str, Any]:
    """Return false matches and misses among all pairs of tracks, pooled over seeds."""
    impostors, genuine, most, policy = [], [], 0, None
    for seed in seeds:
        twin = Twin(built_in_shop(), Scenario(seed, _SHOPPERS_PER_HOUR, hours))
        bench = Bench(site_of(twin.plan), twin)
        faces = asyncio.run(_fused(bench, twin))
        people = _people(faces, twin)
        rules = bench.context.rules
        rules = replace(rules, rivals=Rivals().updated(len(np.unique(people)), 0))
        policy = rules.policy("gallery", _MIN_FACE_PX)
        scores, same = _pairs(faces, people, policy.scale_offset, policy.scale_gain)
        impostors.append(scores[~same])
        genuine.append(scores[same])
        most += len(faces)
    limit = policy.similarity if policy else 1.0
    others, own = np.concatenate(impostors), np.concatenate(genuine)
    return {
        "tracks": most,
        "threshold": limit,
        **_rate("false matches", int((others >= limit).sum()), len(others)),
        "highest score of two people": round(float(others.max()), 4),
        **_rate("misses", int((own < limit).sum()), len(own)),
    }


async def _fused(bench: Bench, twin: Twin) -> NDArray[np.float32]:
    """Return the fused face of every ended track with enough faces."""
    costs = [await bench.frame(event) for event in detections(twin)]
    shown = [identity.evidence for cost in costs for identity in cost.ended]
    return np.stack([seen.groups[0].center for seen in shown if seen.usable >= _LEAST_FACES])


def _people(faces: NDArray[np.float32], twin: Twin) -> NDArray[np.intp]:
    world = twin.world
    bank = twin.faces.synthetic
    known = np.stack([bank.face(person.index) for person in world.people])
    return np.asarray(np.argmax(faces @ known.T, axis=1), np.intp)


def _pairs(
    faces: NDArray[np.float32], people: NDArray[np.intp], offset: float, gain: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    one, other = np.triu_indices(len(faces), 1)
    scores = np.clip(offset + gain * (faces @ faces.T)[one, other], 0, 1)
    return scores, people[one] == people[other]


def _rate(name: str, count: int, pairs: int) -> dict[str, Any]:
    low, high = wilson(count, pairs)
    return {
        f"{name}": count,
        f"{name}: pairs": pairs,
        f"{name}: 95 % interval": [float(f"{low:.2g}"), float(f"{high:.2g}")],
    }
