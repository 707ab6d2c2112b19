"""Finds labeled and counted recordings in a folder; docs/evaluation.md describes the convention."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from trinetra.errors import ConfigurationError
from trinetra.evaluation.footage import CountedLine, CountedZone, HandCounts, LabeledView, Rect
from trinetra.evaluation.reading.lines import unreadable
from trinetra.evaluation.reading.motchallenge import sequence_info

VIDEOS = frozenset({".mp4", ".avi", ".mpg", ".mpeg", ".mov", ".mkv", ".m4v", ".webm"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
NOTES_FILE = "footage.toml"
_PICTURES = "img1"
_MANUAL = "counts_manual.json"
_MAX_DEPTH = 4
_HEAD_BYTES = 4096
_DATASET_NAME = re.compile(rb"<dataset[^>]*\bname\s*=\s*[\"']([^\"']*)[\"']")
_FALLBACK_FPS = 25.0
_Kind = TypeVar("_Kind")


class _Crossing(msgspec.Struct, frozen=True):
    """A counted crossing: at ``t`` seconds, or in ``frame``, counted from 0 at the file's rate.

    ``pos`` is to the right of the line from ``a`` to ``b``, ``neg`` to the left.
    """

    dir: Literal["pos", "neg"]
    t: float | None = None
    frame: int = 0


class _Line(msgspec.Struct, frozen=True):
    id: str
    a: tuple[float, float]
    b: tuple[float, float]
    events: tuple[_Crossing, ...] | None = None


class _Stay(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """A counted stay: its first and last frame, counted from 1."""

    first: int
    last: int


class _Zone(msgspec.Struct, frozen=True):
    id: str
    poly: tuple[tuple[float, float], ...]
    list: tuple[_Stay, ...] | None = None


class _Counts(msgspec.Struct, frozen=True):
    """Lines and zones of one view: a specification, or what was counted at them."""

    lines: tuple[_Line, ...] = ()
    zones: tuple[_Zone, ...] = ()
    fps: float | None = None
    file: str | None = None
    ignore: tuple[Rect, ...] = ()


class Notes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a view beside its labels; ``people`` is a number, or least and most.

    ``empty_s`` are spans without a person, in seconds from the start; see also ``LabeledView``.
    """

    scene: str | None = None
    fps: float | None = None
    ignore: tuple[Rect, ...] = ()
    ignores_cut_off: bool = False
    people: int | tuple[int, int] | None = None
    identifiable: int | None = None
    empty_s: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class FoundFootage:
    """The views of a folder, and a message for everything that could not be used."""

    views: tuple[LabeledView, ...]
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Folder:
    """One folder with recordings, and the label and count files beside them."""

    path: Path
    name: str
    sources: list[Path]

    def views(self) -> Iterator[LabeledView]:
        """Yield a view for each recording."""
        for source in self.sources:
            key = self._key(source)
            yield LabeledView(
                name=f"{self.name}/{key}" if key else self.name,
                scene=self.name,
                source=source,
                labels=self._labels(source),
                fps=sequence_info(self.path / "gt.txt")[0],
                counts=self._counts(source),
            )

    def _key(self, source: Path) -> str:
        """Return the name of a view within its folder; empty for the only one."""
        if len(self.sources) == 1:
            return ""
        keys = [key for key in self._keys() if _belongs(key, source)]
        return max(keys, key=len, default=source.stem.lower())

    def _keys(self) -> set[str]:
        """Return the view names that the files of the folder mention."""
        named = {p.name.removesuffix("_gt.txt") for p in self.path.glob("*_gt.txt")}
        for kind in ("counts", "spec"):
            for path in self.path.glob(f"{kind}_*.json"):
                named.add(path.stem.removeprefix(f"{kind}_"))
        return (named - {"manual"}) | set(self._manual())

    def _file(self, source: Path, names: tuple[str, str]) -> Path | None:
        """Return the file of a view: with its name, else the plain one if it is the only view."""
        plain, of_view = names
        if (key := self._key(source)) and (path := self.path / of_view.format(key)).is_file():
            return path
        if len(self.sources) > 1:
            return None
        if (path := self.path / plain).is_file():
            return path
        alone = sorted(self.path.glob(of_view.format("*")))
        alone = [p for p in alone if p.name != _MANUAL]
        return alone[0] if len(alone) == 1 else None

    def _labels(self, source: Path) -> Path | None:
        plain = self._file(source, ("gt.txt", "{}_gt.txt"))
        if plain is None and (path := self.path / "gt" / "gt.txt").is_file():
            plain = path if len(self.sources) == 1 else None
        return plain or self._cvml(source)

    def _cvml(self, source: Path) -> Path | None:
        files = {path: _dataset_name(path) for path in sorted(self.path.glob("*.xml"))}
        stem = source.stem.lower()
        named = [p for p, name in files.items() if name is not None and name.lower() == stem]
        named = named or [
            p for p, name in files.items() if name is not None and p.stem == source.stem
        ]
        if not named and len(self.sources) == 1:
            named = [path for path, name in files.items() if name is not None]
        return named[0] if len(named) == 1 else None

    def _counts(self, source: Path) -> HandCounts | None:
        parts = [
            _read_json(path, _Counts)
            for names in (("spec.json", "spec_{}.json"), ("counts.json", "counts_{}.json"))
            if (path := self._file(source, names))
        ]
        parts += [c for key, c in self._manual().items() if self._is_about(key, c, source)]
        if not parts:
            return None
        fps = sequence_info(self.path / "gt.txt")[0] or _FALLBACK_FPS
        return _merged(parts, fps)

    def _is_about(self, key: str, counted: _Counts, source: Path) -> bool:
        """Return whether hand counts are those of a recording, by file, by view, or as the only."""
        if counted.file is not None:
            return counted.file == source.name
        return _belongs(key, source) if key else len(self.sources) == 1

    def _manual(self) -> dict[str, _Counts]:
        """Return the counts of ``counts_manual.json`` by the name of the view."""
        path = self.path / _MANUAL
        if not path.is_file():
            return {}
        document = _read_json(path, dict[str, Any])
        common = {key: document[key] for key in ("fps",) if key in document}
        views = {k: v for k, v in document.items() if isinstance(v, dict) and "lines" in v}
        found = views or {"": document}
        return {key: _converted(path, common | counted, _Counts) for key, counted in found.items()}


def find_footage(folder: Path, notes: Path | None = None) -> FoundFootage:
    """Return every labeled or counted view in a folder and its subfolders.

    ``notes`` is a TOML file about the views; by default ``footage.toml`` in the folder. Raises
    ConfigurationError if the folder cannot be read, or for a malformed file.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder of labeled recordings")
    about = _read_notes(notes or folder / NOTES_FILE, required=notes is not None)
    every = [
        _with_notes(view, about.get(view.name, Notes()))
        for found in _folders(folder)
        for view in found.views()
    ]
    views = (_with_rate(view) for view in every if view.can_be_scored)
    return FoundFootage(tuple(views), tuple(_problems(folder, every, about.keys())))


def _problems(folder: Path, views: Sequence[LabeledView], noted: Collection[str]) -> Iterator[str]:
    for view in views:
        if not view.can_be_scored:
            yield f"{view.source}: neither labels nor counts beside it; left out"
        elif _lacks_rate(view):
            yield (
                f"{view.source}: its frame rate is unknown and taken as {_FALLBACK_FPS:g}; give it "
                f"as fps in {NOTES_FILE}, or in seqinfo.ini"
            )
    for name in sorted(set(noted) - {view.name for view in views}):
        if (folder / name.split("/")[0]).is_dir():
            yield f"the notes are about {name}, which is not in {folder}"


def _lacks_rate(view: LabeledView) -> bool:
    """Return whether the frame rate is unknown; a video has its own."""
    return view.fps is None and view.source.is_dir()


def _with_rate(view: LabeledView) -> LabeledView:
    return replace(view, fps=_FALLBACK_FPS) if _lacks_rate(view) else view


def _folders(root: Path) -> Iterator[_Folder]:
    for path in (root, *sorted(p for p in root.rglob("*") if p.is_dir())):
        relative = path.relative_to(root)
        if path.name == _PICTURES or len(relative.parts) > _MAX_DEPTH:
            continue
        sources = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEOS)
        if (pictures := path / _PICTURES).is_dir():
            sources.append(pictures)
        if not sources and _holds_labeled_pictures(path):
            sources = [path]
        if sources:
            yield _Folder(path, relative.as_posix() if relative.parts else root.name, sources)


def _holds_labeled_pictures(path: Path) -> bool:
    """Return whether pictures lie in the same folder as their labels."""
    if not any((path / name).is_file() for name in ("gt.txt", "gt/gt.txt")):
        return False
    return any(p.suffix.lower() in PICTURES for p in path.iterdir())


def _with_notes(view: LabeledView, notes: Notes) -> LabeledView:
    counts = view.counts
    if notes.people is not None:
        people = notes.people if isinstance(notes.people, tuple) else (notes.people, notes.people)
        counts = replace(counts or HandCounts(), people=people)
    return replace(
        view,
        scene=notes.scene or view.scene,
        fps=notes.fps or view.fps,
        counts=counts,
        ignored=view.ignored + notes.ignore,
        ignores_cut_off=notes.ignores_cut_off,
        empty_us=tuple((_micros(begin), _micros(end)) for begin, end in notes.empty_s),
        identifiable=notes.identifiable,
    )


def _belongs(key: str, source: Path) -> bool:
    return source.stem.lower().endswith(key.lower())


def _dataset_name(path: Path) -> str | None:
    """Return the name of the recording in a CVML file; None if it is another XML file."""
    with path.open("rb") as file:
        name = _DATASET_NAME.search(file.read(_HEAD_BYTES))
    return name[1].decode("utf-8", "replace") if name else None


def _merged(parts: list[_Counts], fps: float) -> HandCounts:
    lines: dict[str, CountedLine] = {}
    zones: dict[str, CountedZone] = {}
    for part in parts:
        rate = part.fps or fps
        lines |= {line.id: _line(line, rate) for line in part.lines}
        zones |= {zone.id: _zone(zone, rate) for zone in part.zones}
    return HandCounts(tuple(lines.values()), tuple(zones.values()))


def _line(line: _Line, fps: float) -> CountedLine:
    if line.events is None:
        return CountedLine(line.id, line.a, line.b)
    into, out = (
        tuple(_crossed_us(event, fps) for event in line.events if event.dir == direction)
        for direction in ("pos", "neg")
    )
    return CountedLine(line.id, line.a, line.b, into, out)


def _crossed_us(event: _Crossing, fps: float) -> int:
    return _micros(event.frame / fps if event.t is None else event.t)


def _zone(zone: _Zone, fps: float) -> CountedZone:
    if zone.list is None:
        return CountedZone(zone.id, zone.poly)
    spans = ((_micros((stay.first - 1) / fps), _micros(stay.last / fps)) for stay in zone.list)
    return CountedZone(zone.id, zone.poly, tuple(spans))


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)


def _read_notes(path: Path, *, required: bool) -> dict[str, Notes]:
    if not path.is_file() and not required:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise unreadable(path, cause) from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ConfigurationError(f"{path}: {cause}") from cause
    return _converted(path, document, dict[str, Notes])


def _read_json(path: Path, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as cause:
        raise unreadable(path, cause) from cause
    except msgspec.MsgspecError as cause:
        raise ConfigurationError(f"{path}: {cause}") from cause


def _converted(path: Path, document: Mapping[str, Any], kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as cause:
        raise ConfigurationError(f"{path}: {cause}") from cause
