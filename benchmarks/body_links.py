"""Measures links by body on labeled footage, and on the twin with and without them.

    python benchmarks/body_links.py footage [--dir DIR]
    python benchmarks/body_links.py twin [--seeds 1 2] [--shoppers 60] [--hours 0.4]

``footage`` embeds the labeled boxes of TUD and CAVIAR OneLeaveShop1 and gives the mean cosine of
five pictures, a fifth of a second apart, and five others: of one person and of two, in one view and
in two. Thresholds
are given leaving one scene out: their mean and deviation are those of the strangers of all other
scenes. ``twin`` replays a simulated shop whose workers embed bodies, and gives the share of
people's tracked time that carries their identity.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.inference import openvino
from trinetra.benchmarks.accuracy import Store, measure_links
from trinetra.detections.bodies import BodyEmbedderSpec, NetworkBodyEmbedder
from trinetra.models.fetch import ensure_model
from trinetra.models.manifest import load_manifest
from trinetra.models.progress import SilentProgress
from trinetra.settings import load_settings
from trinetra.wiring import networks

NETWORK = "person-reidentification-retail-0287"
VIEWS = {
    "stadtmitte": ("tud_stadtmitte/tud_stadtmitte.mp4", "tud_stadtmitte/gt.txt"),
    "campus": ("tud_campus/tud_campus.mp4", "tud_campus/gt.txt"),
    "cor": ("caviar_oneleaveshop1/OneLeaveShop1cor.mpg", "caviar_oneleaveshop1/cor_gt.txt"),
    "front": ("caviar_oneleaveshop1/OneLeaveShop1front.mpg", "caviar_oneleaveshop1/front_gt.txt"),
}
SAME_PERSON = ("cor", 6), ("front", 2)
"""The only person whom two views show well enough."""
FPS, EVERY = 25.0, 5
PICTURES, APART_S, MARGIN, RATE = 5, 1.0, 0.05, 0.01
LEAST_PX, MOST_HIDDEN, LEAST_INSIDE = 40.0, 0.4, 0.8

Person = tuple[str, int]
Vector = NDArray[np.float32]


class Mean(NamedTuple):
    """The mean of some pictures of one person, taken from ``first_s`` to ``last_s``."""

    first_s: float
    last_s: float
    vector: Vector


def boxes_of(path: Path) -> dict[int, list[tuple[int, NDArray[np.float64]]]]:
    """Return the labeled people of each frame, as id and box."""
    found: dict[int, list[tuple[int, NDArray[np.float64]]]] = defaultdict(list)
    with path.open(encoding="utf-8") as lines:
        for row in csv.reader(lines):
            x, y, wide, tall = map(float, row[2:6])
            found[int(row[0])].append((int(row[1]), np.array([x, y, x + wide, y + tall])))
    return found


def hidden(box: NDArray[np.float64], others: Sequence[NDArray[np.float64]]) -> float:
    """Return the largest share of a box that a nearer person covers."""
    shares = [0.0]
    for other in others:
        wide, tall = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
        if other[3] > box[3] and wide > 0 and tall > 0:
            shares.append(wide * tall / np.prod(box[2:] - box[:2]))
    return max(shares)


def is_good(inside: float, covered: float, box: NDArray[np.float64]) -> bool:
    """Return whether a box shows enough of a person."""
    return bool(inside >= LEAST_INSIDE and covered <= MOST_HIDDEN and box[3] - box[1] >= LEAST_PX)


def pictures(
    clip: Path, labels: Path, net: NetworkBodyEmbedder
) -> dict[int, list[tuple[float, Vector]]]:
    """Return the embeddings of each person in a clip, with their times."""
    people: dict[int, list[tuple[float, Vector]]] = defaultdict(list)
    labeled = boxes_of(labels)
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0), start=1):
            if number % EVERY:
                continue
            image = frame.to_ndarray(format="bgr24")
            size = np.array([image.shape[1], image.shape[0]] * 2)
            there = labeled.get(number, [])
            for one, box in there:
                x1, y1, x2, y2 = np.clip(box, 0, size).round().astype(int)
                inside = (x2 - x1) * (y2 - y1) / np.prod(box[2:] - box[:2])
                covered = hidden(box, [b for other, b in there if other != one])
                if is_good(inside, covered, box):
                    people[one].append((number / FPS, net.embed([image[y1:y2, x1:x2]])[0]))
    return people


def means(seen: Sequence[tuple[float, Vector]]) -> list[Mean]:
    """Return the means of every five consecutive pictures."""
    groups = [seen[at : at + PICTURES] for at in range(0, len(seen) - PICTURES + 1, PICTURES)]
    return [
        Mean(group[0][0], group[-1][0], np.mean([vector for _, vector in group], axis=0))
        for group in groups
    ]


def cosines(a: Sequence[Mean], b: Sequence[Mean]) -> list[float]:
    """Return the mean cosine of the pictures of every pair of means."""
    return [float(one.vector @ other.vector) for one, other in product(a, b)]


def summary(values: Sequence[float]) -> str:
    """Return number, mean, deviation and quantiles of some cosines."""
    if len(values) < 2:  # noqa: PLR2004  a deviation needs two
        return f"n {len(values)}"
    told = " ".join(f"{np.quantile(values, q):.2f}" for q in (0.01, 0.05, 0.5, 0.95, 0.99))
    return f"n {len(values)}, mean {fmean(values):.3f}, deviation {stdev(values):.3f}, {told}"


def threshold(strangers: Sequence[float], compared: int) -> float:
    """Return the cosine that any of so many strangers exceeds with probability RATE."""
    each = 1 - (1 - RATE) ** (1 / compared)
    return fmean(strangers) + stdev(strangers) * NormalDist().inv_cdf(1 - each)


def footage(folder: Path) -> None:
    """Print the cosines, and the links within each view under thresholds from other scenes."""
    settings = load_settings()
    model = load_manifest().find(NETWORK)
    path = ensure_model(
        model,
        models_dir=settings.models_dir,
        cache_dir=settings.cache_dir,
        progress=SilentProgress(),
    )
    spec = BodyEmbedderSpec(networks._input(model.input), model.dimension)  # noqa: SLF001
    net = NetworkBodyEmbedder(openvino.load(path, threads=1), spec)
    people: dict[Person, list[Mean]] = {
        (view, one): means(seen)
        for view, (clip, labels) in VIEWS.items()
        for one, seen in pictures(folder / clip, folder / labels, net).items()
    }
    print("quantiles: 1 %, 5 %, 50 %, 95 %, 99 %")
    for view in VIEWS:
        print(view, "one person:", summary([*_same(people, view)]))
        print(view, "two people:", summary([*_strangers(people, [view])]))
    one, other = SAME_PERSON
    print("cor and front, one person:", summary(cosines(people[one], people[other])))
    print("cor and front, two people:", summary([*_strangers_of_two_views(people)]))
    for view in VIEWS:
        _link_within(people, view)
    _link_across(people)


def _same(people: dict[Person, list[Mean]], view: str) -> Iterator[float]:
    for (of, _), seen in people.items():
        for a, b in combinations(seen, 2) if of == view else ():
            if b.first_s - a.last_s >= APART_S:
                yield float(a.vector @ b.vector)


def _strangers(people: dict[Person, list[Mean]], views: Sequence[str]) -> Iterator[float]:
    for a, b in combinations(people, 2):
        if a[0] == b[0] and a[0] in views:
            yield from cosines(people[a], people[b])


def _strangers_of_two_views(people: dict[Person, list[Mean]]) -> Iterator[float]:
    for a, b in product(people, people):
        if (a[0], b[0]) == ("cor", "front") and (a, b) != SAME_PERSON:
            yield from cosines(people[a], people[b])


def _link_within(people: dict[Person, list[Mean]], view: str) -> None:
    """Print the links of one view; everybody is known by their first mean."""
    scene = {"cor", "front"} if view in {"cor", "front"} else {view}
    strangers = [*_strangers(people, [other for other in VIEWS if other not in scene])]
    known = {person: seen[0] for person, seen in people.items() if person[0] == view and seen}
    counts: dict[str, int] = defaultdict(int)
    for person, first in known.items():
        for probe in people[person]:
            others = {p: float(probe.vector @ m.vector) for p, m in known.items() if p != person}
            if others:
                counts["unknown people"] += 1
                counts["false links"] += _linked(others, strangers) is not None
            if probe.first_s - first.last_s >= APART_S:
                own = {person: float(probe.vector @ first.vector)}
                linked = _linked({**others, **own}, strangers)
                counts["known people"] += 1
                counts["right links"] += linked == person
                counts["wrong links"] += linked not in {None, person}
    limit = threshold(strangers, max(len(known), 1))
    print(f"{view}: {len(known)} people, threshold {limit:.2f} from other scenes:", dict(counts))


def _link_across(people: dict[Person, list[Mean]]) -> None:
    """Print the links of the front view's person to the people of the corridor."""
    one, other = SAME_PERSON
    strangers = [*_strangers_of_two_views(people)]
    linked = []
    for probe in people[other]:
        others = [(p, seen) for p, seen in people.items() if p[0] == "cor" and seen]
        for own in people[one]:
            candidates = {p: float(probe.vector @ seen[0].vector) for p, seen in others}
            candidates[one] = float(probe.vector @ own.vector)
            linked.append(_linked(candidates, strangers))
    right = sum(who == one for who in linked)
    print(
        f"cor to front: {right} of {len(linked)} pairs right, "
        f"{sum(who not in {None, one} for who in linked)} wrong (threshold from the same views)"
    )


def _linked(candidates: dict[Person, float], strangers: Sequence[float]) -> Person | None:
    best, *rest = sorted(candidates, key=lambda person: -candidates[person])
    leads = not rest or candidates[best] - candidates[rest[0]] >= MARGIN
    enough = candidates[best] >= threshold(strangers, len(candidates))
    return best if leads and enough else None


def twin(seeds: Sequence[int], store: Store) -> None:
    """Print the scores of each seed without bodies, with bodies, and with links by bodies."""
    found: dict[str, list[dict[str, Any]]] = {}
    for variant in ("no bodies", "bodies", "links"):
        found[variant] = [measure_links(store, seed, variant) for seed in seeds]
        print(variant, json.dumps(found[variant]), flush=True)
    for variant, scores in found.items():
        for name in scores[0]:
            values = [score[name] for score in scores if score[name] is not None]
            print(variant, name, f"{fmean(values):.4f}" if values else "none")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["footage", "twin"])
    parser.add_argument("--dir", type=Path, default=Path("../shared/data/real"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shoppers", type=float, default=60.0)
    parser.add_argument("--hours", type=float, default=0.4)
    args = parser.parse_args()
    if args.what == "footage":
        footage(args.dir)
    else:
        twin(args.seeds, Store(args.shoppers, args.hours))


if __name__ == "__main__":
    main()
