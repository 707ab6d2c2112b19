"""Rules between entries of a site file: unique ids, edges between known cameras.

The rules read the plain document instead of the models, so that they can be reported together with
all other problems of an invalid file. Values of an unexpected shape are left to the models.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two contradictory entries, reported at the later one."""

    loc: Loc
    message: str
    hint: str


def find_conflicts(document: object) -> list[Conflict]:
    """Return all contradictions between entries of a site document."""
    cameras = list(_mappings(document, "cameras"))
    found = list(_repeated_ids(cameras, ("cameras",), "camera"))
    for index, camera in cameras:
        for kind, word in (("zones", "zone"), ("lines", "line")):
            found += _repeated_ids(_mappings(camera, kind), ("cameras", index, kind), word)
    found += _till_conflicts(cameras)
    doors = list(_mappings(document, "doors"))
    found += [*_repeated_ids(doors, ("doors",), "door"), *_door_conflicts(doors, cameras)]
    known = [name for _, camera in cameras if isinstance(name := camera.get("id"), str)]
    topology = document.get("topology") if isinstance(document, Mapping) else None
    return [*found, *_edge_conflicts(topology, known), *_overlap_conflicts(topology, known)]


def _items(parent: object, key: str) -> list[object]:
    value = parent.get(key) if isinstance(parent, Mapping) else None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def _mappings(parent: object, key: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for index, item in enumerate(_items(parent, key)):
        if isinstance(item, Mapping):
            yield index, item


def _repeated_ids(
    items: Iterable[tuple[int, Mapping[str, object]]],
    parent: Loc,
    word: str,
) -> Iterator[Conflict]:
    seen: set[str] = set()
    for index, item in items:
        if not isinstance(name := item.get("id"), str):
            continue
        if name in seen:
            yield Conflict((*parent, index, "id"), f"another {word} has this id", "ids are unique")
        seen.add(name)


def _till_conflicts(cameras: Sequence[tuple[int, Mapping[str, object]]]) -> Iterator[Conflict]:
    """Yield contradictions between the zones of tills: queues lead to them, people are served."""
    zones = [
        (("cameras", index, "zones", row), zone)
        for index, camera in cameras
        for row, zone in _mappings(camera, "zones")
    ]
    served: dict[str, Loc] = {}
    for loc, zone in zones:
        if zone.get("kind") == "till":
            yield from _place_of_service(zone, loc, served)
    for loc, zone in zones:
        if zone.get("kind") == "queue":
            yield from _queue_conflicts(zone, loc, served)
        elif zone.get("kind") != "till" and _items(zone, "tills"):
            yield Conflict(
                (*loc, "tills"),
                "only zones of kind queue and till have tills",
                "set kind: till where people are served, kind: queue where they wait",
            )


def _place_of_service(
    zone: Mapping[str, object], loc: Loc, served: dict[str, Loc]
) -> Iterator[Conflict]:
    tills = _items(zone, "tills")
    if len(tills) != 1:
        yield Conflict(
            (*loc, "tills") if "tills" in zone else loc,
            f"a zone of kind till is the place of service of one till, not of {len(tills)}",
            "name it, like tills: [till-1], and draw a zone for each till",
        )
    for till in tills:
        if till in served:
            yield Conflict(
                (*loc, "tills", 0),
                "another zone is the place of service of this till: services would count twice",
                "give each till an id of its own, or remove one of the zones",
            )
        elif isinstance(till, str):
            served[till] = loc


def _queue_conflicts(
    zone: Mapping[str, object], loc: Loc, served: Mapping[str, Loc]
) -> Iterator[Conflict]:
    seen: set[object] = set()
    for place, till in enumerate(_items(zone, "tills")):
        if not isinstance(till, str):
            continue
        at = (*loc, "tills", place)
        if till in seen:
            yield Conflict(at, "this queue names the till twice", "remove one of them")
        elif till not in served:
            close = get_close_matches(till, served, n=1)
            known = f"tills: {', '.join(served)}" if served else "draw a zone of kind till for it"
            hint = f"did you mean {close[0]}?" if close else known
            yield Conflict(at, "no zone of kind till serves a till of this id", hint)
        seen.add(till)


def _door_conflicts(
    doors: Iterable[tuple[int, Mapping[str, object]]],
    cameras: Iterable[tuple[int, Mapping[str, object]]],
) -> Iterator[Conflict]:
    """Yield lines of doors that do not exist, are part of two doors, or differ in kind."""
    kinds = {
        (str(camera.get("id")), str(line.get("id"))): str(line.get("kind", "entrance"))
        for _, camera in cameras
        for _, line in _mappings(camera, "lines")
    }
    taken: set[tuple[str, str]] = set()
    for index, door in doors:
        first: str | None = None
        for place, item in enumerate(_items(door, "lines")):
            loc: Loc = ("doors", index, "lines", place)
            ref = tuple(map(str, item)) if isinstance(item, list | tuple) else ()
            if len(ref) != 2:  # noqa: PLR2004 - a pair
                continue
            line = ref[0], ref[1]
            first = first or kinds.get(line)
            yield from _line_conflicts(line, kinds, taken, first, loc)
            taken.add(line)


def _line_conflicts(
    line: tuple[str, str],
    kinds: Mapping[tuple[str, str], str],
    taken: Collection[tuple[str, str]],
    first: str | None,
    loc: Loc,
) -> Iterator[Conflict]:
    if line not in kinds:
        names = ", ".join("/".join(each) for each in kinds) or "none"
        yield Conflict(loc, "no camera has this line", f"[camera id, line id]; lines: {names}")
    elif line in taken:
        yield Conflict(loc, "this line is part of a door already", "a line is part of one door")
    elif kinds[line] != first:
        yield Conflict(
            loc,
            f"this line is of kind {kinds[line]}, the door's first one of kind {first}",
            "all lines of a door are of one kind",
        )


def _edge_conflicts(topology: object, known: Sequence[str]) -> Iterator[Conflict]:
    seen: set[object] = set()
    for index, edge in _mappings(topology, "edges"):
        loc: Loc = ("topology", "edges", index)
        ends = [edge.get("from"), edge.get("to")]
        for key, end in zip(("from", "to"), ends, strict=True):
            yield from _unknown_camera(end, known, (*loc, key))
        one_way = edge.get("one_way") is True
        yield from _pair_conflicts(ends, seen, loc, "edge", ordered=one_way)


def _overlap_conflicts(topology: object, known: Sequence[str]) -> Iterator[Conflict]:
    seen: set[object] = set()
    for index, pair in enumerate(_items(topology, "overlaps")):
        loc: Loc = ("topology", "overlaps", index)
        ends = list(pair) if isinstance(pair, list | tuple) else []
        for place, end in enumerate(ends):
            yield from _unknown_camera(end, known, (*loc, place))
        yield from _pair_conflicts(ends, seen, loc, "overlap")


def _unknown_camera(name: object, known: Sequence[str], loc: Loc) -> Iterator[Conflict]:
    if isinstance(name, str) and name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"cameras: {', '.join(known) or 'none'}"
        yield Conflict(loc, "no camera has this id", hint)


def _pair_conflicts(
    ends: Sequence[object], seen: set[object], loc: Loc, word: str, *, ordered: bool = False
) -> Iterator[Conflict]:
    names = [end for end in ends if isinstance(end, str)]
    if len(names) != 2:  # noqa: PLR2004 - a pair
        return
    first, second = names
    pair: object = (first, second) if ordered else frozenset(names)
    if first == second:
        yield Conflict(loc, f"an {word} from a camera to itself", "name two different cameras")
    elif pair in seen:
        both = "an edge counts in both directions unless it is one_way"
        hint = both if word == "edge" else "remove one of them"
        yield Conflict(loc, f"these two cameras have an {word} already", hint)
    seen.add(pair)
