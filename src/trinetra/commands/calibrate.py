"""``trinetra models calibrate``: measures a face embedder's error rates on labeled pictures."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from trinetra.commands.calibration_tables import show_calibration, show_held_out
from trinetra.commands.console import note, print_json
from trinetra.commands.options import grouped_options
from trinetra.commands.progress import FetchProgress
from trinetra.detections.calibration_sample import CalibrationSample, read_calibration_sample
from trinetra.detections.photo_face import decode_photo
from trinetra.errors import ConfigurationError
from trinetra.evaluation.verification import Rate, Trial
from trinetra.models.calibration import (
    CalibrationFile,
    MeasuredRate,
    ReferenceStatistics,
    SizeRow,
    Threshold,
    calibration_path,
    write_calibration,
)
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.wiring.identification_trial import (
    TAIL_SIZES_PX,
    LabeledFace,
    check_held_out,
    measure_identification,
)
from trinetra.wiring.networks import load_face_reader
from trinetra.wiring.profiles import choose_profile, ensure_models

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".pgm"})
_MOST_PICTURES = 8000
_TARGETS = (1e-2, 1e-3, 1e-4)
_LEAST_PEOPLE = 2
_SHARES = 10
_RULE_OF_THREE = 3


@dataclass(slots=True)
class _Album:
    """The faces of folders of people, picture by picture; ``source`` is the folder of each."""

    people: int
    person: list[int] = field(default_factory=list)
    source: list[Path] = field(default_factory=list)
    faces: list[CalibrationSample] = field(default_factory=list)
    without_face: list[Path] = field(default_factory=list)

    def vectors(self, size: int = 0) -> NDArray[np.float32]:
        """Return the embeddings of the pictures as they are, or of one of their sizes."""
        return np.stack([face.vectors.unit[size] for face in self.faces])

    def sources(self) -> list[list[list[LabeledFace]]]:
        """Return the faces by folder and person, at the sizes for which a tail is measured."""
        found: dict[Path, dict[int, list[LabeledFace]]] = {}
        for source, person, face in zip(self.source, self.person, self.faces, strict=True):
            shown = LabeledFace(face.vectors.unit[-len(TAIL_SIZES_PX) :], face.quality)
            found.setdefault(source, {}).setdefault(person, []).append(shown)
        return [list(people.values()) for people in found.values()]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group of models."""
    group.command("calibrate")(calibrate)


@dataclass(frozen=True, slots=True)
class MeasurementOptions:
    """The rates to aim at, and further face sizes to measure."""

    target: Annotated[
        float, typer.Option("--fmr", min=1e-8, max=0.5, help="False match rate to aim at.")
    ] = 1e-4
    sizes: Annotated[
        str, typer.Option("--sizes", help="Face sizes to try as well, such as 24,32,48.")
    ] = ""
    fpir: Annotated[
        float,
        typer.Option(
            "--fpir", min=1e-6, max=0.5, help="False positive identification rate to aim at."
        ),
    ] = 1e-3


@grouped_options
def calibrate(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Folders with one folder of pictures per person."),
    ],
    measurement: MeasurementOptions,
    *,
    profile: Annotated[str | None, typer.Option("--profile", help="Set of networks.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure only; resolvers keep their threshold.")
    ] = False,
    own_cameras: Annotated[
        bool,
        typer.Option(
            "--own-cameras",
            help="They are from this shop's cameras: drift is measured against them.",
        ),
    ] = False,
    held_out: Annotated[
        bool,
        typer.Option(
            "--hold-out",
            help="Show how targets hold for half of the people, with what the other half shows.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure error rates on labeled pictures, and set the match threshold."""
    configure_logging(as_json=False, level="ERROR")
    sizes_px = _sizes(measurement.sizes)
    pictures = {folder: _pictures(folder) for folder in folders}
    settings = load_settings()
    if profile is not None:
        settings = settings.model_copy(update={"profile": profile})
    model = choose_profile(settings).face_embedder
    album, digest = _read(pictures, sizes_px, settings)
    measured = _measured(album, model, digest, measurement.target, sizes_px)
    trial = measure_identification(
        album.sources(),
        model.calibration,
        measurement.fpir,
        f"{album.people} people in {', '.join(folder.name for folder in folders)}",
    )
    found = msgspec.structs.replace(
        measured,
        own_cameras=own_cameras,
        impostors=trial.impostors if trial else None,
        identification=trial.rows if trial else (),
    )
    path = None if dry_run else calibration_path(settings.data_dir, model)
    if path:
        write_calibration(path, found)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    _show(found, album, measurement.target, path)
    if held_out and found.impostors:
        show_held_out(check_held_out(album.sources(), model.calibration), folders)


def _show(found: CalibrationFile, album: _Album, target: float, path: Path | None) -> None:
    """Print a calibration and what it lacks, and the file that it was written to."""
    show_calibration(found)
    _note_shortcomings(found, album, target)
    if path:
        note(f"written to {path}; resolvers read it when they start")


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",") if part.strip()]
    except ValueError as cause:
        raise ConfigurationError(f"--sizes {text}: give whole pixels, such as 24,32,48") from cause
    if any(size < 8 or size > 512 for size in sizes):  # noqa: PLR2004  what a face can have
        raise ConfigurationError(f"--sizes {text}: a face has between 8 and 512 pixels")
    return sizes


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures of every person; raises ConfigurationError for too few people."""
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is not a folder; give one with a folder for each person"
        )
    people = {
        person.name: sorted(p for p in person.iterdir() if p.suffix.lower() in _PICTURES)
        for person in sorted(folder.iterdir())
        if person.is_dir()
    }
    empty = [name for name, pictures in people.items() if not pictures]
    if empty:
        raise ConfigurationError(f"{folder / empty[0]} has no pictures; remove it or add some")
    if len(people) < _LEAST_PEOPLE:
        raise ConfigurationError(
            f"{folder} has pictures of {len(people)} people; calibration takes at "
            "least two, each in a folder of their own, and better a hundred"
        )
    if not any(len(pictures) > 1 for pictures in people.values()):
        raise ConfigurationError(
            f"{folder} has only one picture of each person; add a second of some"
        )
    if (count := sum(map(len, people.values()))) > _MOST_PICTURES:
        raise ConfigurationError(f"{folder} has {count} pictures; the maximum is {_MOST_PICTURES}")
    return people


def _read(
    folders: Mapping[Path, Mapping[str, list[Path]]], sizes_px: Sequence[int], settings: Settings
) -> tuple[_Album, str]:
    """Return the faces in the pictures, and the digest of the network that read them.

    Each has the sizes that were asked for, and then those for which a tail is measured.
    """
    people = [(folder, paths) for folder, found in folders.items() for paths in found.values()]
    sizes_px = [*sizes_px, *TAIL_SIZES_PX]
    profile = choose_profile(settings)
    with FetchProgress() as progress:
        files = ensure_models(profile.having(()), settings, progress)
    reader, album = load_face_reader(profile, files, settings), _Album(len(people))
    every = [(number, path) for number, (_, paths) in enumerate(people) for path in paths]
    for number, path in track(every, "reading faces", console=Console(stderr=True)):
        face = read_calibration_sample(decode_photo(str(path), _content(path)), reader, sizes_px)
        if face is None:
            album.without_face.append(path)
        else:
            album.faces.append(face)
            album.person.append(number)
            album.source.append(people[number][0])
    faceless = set(range(len(people))) - set(album.person)
    if faceless:
        raise ConfigurationError(
            f"{people[min(faceless)][1][0].parent}: no face was found in any of its pictures; "
            "remove it, or add pictures that show one"
        )
    network = files[profile.face_embedder.name]
    return album, hashlib.sha256(network.read_bytes()).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        reason = (cause.strerror or "unreadable").lower()
        raise ConfigurationError(f"{path} cannot be read: {reason}") from cause


def _measured(
    album: _Album, model: FaceEmbedderModel, digest: str, target: float, sizes_px: Sequence[int]
) -> CalibrationFile:
    random = np.random.default_rng(0)
    whole = album.vectors()
    trial = Trial.of(whole, whole, album.person)
    if not trial.genuine.any():
        raise ConfigurationError("no person has two pictures with a face; add more pictures")
    scale = model.calibration
    chosen = trial.threshold_at(target)
    wanted = [(t, trial.threshold_at(t)) for t in sorted({*_TARGETS, target}, reverse=True)]
    rows = [*wanted, (None, scale.to_cosine(scale.min_similarity))]
    similarity = scale.to_similarity(chosen)
    if not _shows(target, int(trial.impostor.sum()) // 2):
        similarity = max(similarity, scale.min_similarity)
    return CalibrationFile(
        model=model.version,
        sha256=digest,
        declared=model.sha256,
        measured_at=datetime.now(UTC),
        people=album.people,
        pictures=len(album.faces),
        similarity=round(similarity, 4),
        thresholds=tuple(
            Threshold(
                round(scale.to_similarity(cosine), 4),
                aim,
                _told(trial.false_matches(cosine, random)),
                _told(trial.false_non_matches(cosine, random)),
            )
            for aim, cosine in rows
        ),
        curve=tuple(
            (round(scale.to_similarity(cosine), 4), round(fmr, 8), round(fnmr, 8))
            for cosine, fmr, fnmr in trial.curve()
        ),
        sizes=tuple(_by_size(album, sizes_px, scale.to_cosine(similarity), random)),
        reference=_reference(album, trial, model),
    )


def _shows(target: float, impostor_pairs: int) -> bool:
    """Return whether so many pairs can show a rate as low as the target, if none is an error.

    E. Jovanovic and P. Levy, A look at the rule of three, The American Statistician 51, 1997.
    """
    return impostor_pairs * target >= _RULE_OF_THREE


def _by_size(
    album: _Album, sizes_px: Sequence[int], cosine: float, random: np.random.Generator
) -> Iterator[SizeRow]:
    """Yield the errors at a threshold when shrunk faces are compared to the pictures as they are.

    A picture whose face is smaller than a size already stays as it is.
    """
    whole = album.vectors()
    for row, size_px in enumerate(sizes_px, start=1):
        trial = Trial.of(album.vectors(row), whole, album.person)
        matches, misses = (
            _told(rate(cosine, random)) for rate in (trial.false_matches, trial.false_non_matches)
        )
        yield SizeRow(size_px, matches, misses)


def _told(rate: Rate) -> MeasuredRate:
    low, high = rate.interval
    return MeasuredRate(round(rate.value, 8), round(low, 8), round(high, 8), rate.pairs)


def _reference(album: _Album, trial: Trial, model: FaceEmbedderModel) -> ReferenceStatistics:
    scores = [model.calibration.to_similarity(c) for c in trial.similarity[trial.genuine].tolist()]
    norms = [float(face.vectors.norm[0]) for face in album.faces]
    return ReferenceStatistics(
        *(_borders(sample) for sample in (scores, [f.quality for f in album.faces], norms))
    )


def _borders(sample: Sequence[float]) -> tuple[float, ...]:
    """Return the inner quantiles that divide a sample into equal shares."""
    cuts = np.quantile(np.asarray(sample), np.arange(1, _SHARES) / _SHARES)
    return tuple(round(float(cut), 5) for cut in cuts)


def _note_shortcomings(found: CalibrationFile, album: _Album, target: float) -> None:
    """Say which pictures showed nothing, and whether there are enough pairs for the target."""
    if album.without_face:
        note(f"{len(album.without_face)} pictures without a face were left out")
    if not _shows(target, found.thresholds[0].false_matches.pairs):
        note(
            f"a rate of {target:g} takes {_RULE_OF_THREE / target:,.0f} impostor pairs to show: "
            "with fewer, the threshold is not set below the manifest's"
        )
