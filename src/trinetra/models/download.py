"""Downloads over HTTP that resume where they were cut, and check what they got."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from trinetra.models.manifest import RemoteFile
from trinetra.models.progress import ProgressSink
from trinetra.models.storage import (
    SourceFailed,
    disk_errors,
    has_digest,
    publish,
    set_aside,
    sha256_of,
)

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_ATTEMPTS_WITHOUT_PROGRESS = 4
_FIRST_DELAY_S = 0.5
_TRANSIENT = {
    httpx.codes.REQUEST_TIMEOUT,
    httpx.codes.TOO_MANY_REQUESTS,
    httpx.codes.INTERNAL_SERVER_ERROR,
    httpx.codes.BAD_GATEWAY,
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.GATEWAY_TIMEOUT,
}
_CONTENT_RANGE_START = re.compile(r"bytes (\d+)-")


class _Interrupted(Exception):
    """The transfer broke off in a way that another attempt may survive."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One download: ``part`` collects the bytes, at most ``limit_bytes`` of them."""

    url: str
    part: Path
    limit_bytes: int
    label: str
    progress: ProgressSink
    expected_bytes: int | None = None

    @property
    def have_bytes(self) -> int:
        """How much of it is here already."""
        return self.part.stat().st_size if self.part.exists() else 0


class Downloader:
    """An HTTP client that remembers which hosts cannot be reached, to ask each only once."""

    def __init__(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client: httpx.Client | None = None
        self._sleep = sleep
        self._unreachable: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()

    def fetch(self, file: RemoteFile, target: Path, progress: ProgressSink) -> None:
        """Put a declared file at ``target``, which then has the declared digest.

        Bytes that an earlier run left in ``target.part`` are kept and the rest is asked for. Raises
        SourceFailed, StorageFull or CacheUnusable.
        """
        if has_digest(target, file.sha256):
            return
        part = part_of(target)
        transfer = Transfer(file.url, part, file.size_bytes, file.name, progress, file.size_bytes)
        resumed = part.exists()
        self.download(transfer)
        if resumed and not has_digest(part, file.sha256):
            progress.note(f"{file.name}: the resumed download does not fit together; once more")
            part.unlink()
            self.download(transfer)
        _accept(part, target, file)

    def download(self, transfer: Transfer) -> None:
        """Bring ``transfer.part`` to its full length, whatever it holds already.

        Raises SourceFailed when the server refuses, cannot be reached, keeps breaking off, or sends
        too much; StorageFull or CacheUnusable for the disk.
        """
        host = httpx.URL(transfer.url).host
        if host in self._unreachable:
            raise SourceFailed(f"{transfer.url}: {host} could not be reached before")
        transfer.progress.begin(transfer.label, transfer.expected_bytes)
        try:
            self._download(transfer)
        finally:
            transfer.progress.end(transfer.label)

    def _download(self, transfer: Transfer) -> None:
        """Ask again while that helps; only tries that brought nothing new count as failures."""
        failures = 0
        while True:
            before = transfer.have_bytes
            try:
                self._attempt(transfer)
            except _Interrupted as cause:
                failures = 1 if transfer.have_bytes > before else failures + 1
                if failures >= _ATTEMPTS_WITHOUT_PROGRESS:
                    raise SourceFailed(
                        f"{transfer.url}: {cause}; gave up after {failures} tries"
                    ) from cause
                self._sleep(_FIRST_DELAY_S * 2 ** (failures - 1))
            else:
                return

    def _attempt(self, transfer: Transfer) -> None:
        """Ask once for what is missing. Raises _Interrupted where it makes sense to ask again."""
        url = transfer.url
        try:
            self._ask(transfer)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as cause:
            host = httpx.URL(url).host
            self._unreachable.add(host)
            raise SourceFailed(f"{url}: {host} cannot be reached ({cause})") from cause
        except httpx.TransportError as cause:
            raise _Interrupted(str(cause) or type(cause).__name__) from cause
        except httpx.HTTPError as cause:
            raise SourceFailed(f"{url}: {cause}") from cause

    def _ask(self, transfer: Transfer) -> None:
        have = transfer.have_bytes
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self._open_client().stream("GET", transfer.url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                return  # nothing is missing; the digest will tell whether that is true
            if response.status_code in _TRANSIENT:
                raise _Interrupted(f"HTTP status {response.status_code}")
            if not response.is_success:
                raise SourceFailed(f"{transfer.url}: HTTP status {response.status_code}")
            _receive(response, transfer, have if _continues(response, have) else 0)

    def _open_client(self) -> httpx.Client:
        """Return the client, made on first use: a fetch from packages alone needs none."""
        if self._client is None:
            try:
                self._client = httpx.Client(timeout=_TIMEOUT, follow_redirects=True)
            except (ValueError, ImportError):  # their text may hold the proxy's password
                raise SourceFailed(
                    "downloads: the proxy settings in the environment cannot be used"
                ) from None
        return self._client


def part_of(target: Path) -> Path:
    """Return where the bytes of an unfinished download are kept."""
    return target.with_name(f"{target.name}.part")


def _continues(response: httpx.Response, have_bytes: int) -> bool:
    """Tell whether the server honoured the range; many send the whole file instead."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return False
    start = _CONTENT_RANGE_START.match(response.headers.get("Content-Range", ""))
    return start is not None and int(start[1]) == have_bytes


def _receive(response: httpx.Response, transfer: Transfer, done: int) -> None:
    part = transfer.part
    with disk_errors(part.parent), part.open("ab" if done else "wb") as file:
        for chunk in response.iter_raw():  # as it comes: a chunk size would lose the rest on a cut
            done += file.write(chunk)
            if done > transfer.limit_bytes:
                raise SourceFailed(f"{transfer.url}: longer than {transfer.limit_bytes} bytes")
            transfer.progress.advance(transfer.label, done)


def _accept(part: Path, target: Path, file: RemoteFile) -> None:
    """Give the finished download its name if it is the declared file, else set it aside."""
    found = sha256_of(part)
    if found != file.sha256:
        damaged = set_aside(part)
        raise SourceFailed(
            f"{file.url}: not the declared file (sha256 {found}, expected {file.sha256}); "
            f"kept as {damaged}"
        )
    publish(part, target)
