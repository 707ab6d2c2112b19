"""HTTP downloads that resume after an interruption and verify the result."""

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

_READ_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 10.0
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
    """The transfer was interrupted; another attempt may succeed."""


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
        """Number of bytes that are already on disk."""
        return self.part.stat().st_size if self.part.exists() else 0


class Downloader:
    """An HTTP client that remembers unreachable hosts, so that each is tried only once."""

    def __init__(
        self,
        *,
        connect_timeout_s: float = _CONNECT_TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client: httpx.Client | None = None
        self._timeout = httpx.Timeout(_READ_TIMEOUT_S, connect=connect_timeout_s)
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
        """Download a declared file to ``target``, which then has the declared digest.

        Bytes that an earlier run left in ``target.part`` are kept and only the rest is requested.
        Raises SourceFailed, StorageFull or CacheUnusable.
        """
        if has_digest(target, file.sha256):
            return
        part = part_of(target)
        transfer = Transfer(file.url, part, file.size_bytes, file.name, progress, file.size_bytes)
        resumed = part.exists()
        self.download(transfer)
        if resumed and not has_digest(part, file.sha256):
            progress.note(
                f"{file.name}: the resumed download has a wrong digest; downloading it again"
            )
            part.unlink()
            self.download(transfer)
        _accept(part, target, file)

    def download(self, transfer: Transfer) -> None:
        """Download the missing bytes of ``transfer.part``.

        Raises SourceFailed if the server refuses, cannot be reached, keeps interrupting, or sends
        too much; StorageFull or CacheUnusable for the disk.
        """
        host = httpx.URL(transfer.url).host
        if host in self._unreachable:
            raise SourceFailed(f"{transfer.url}: {host} could not be reached earlier in this run")
        transfer.progress.begin(transfer.label, transfer.expected_bytes)
        try:
            self._download(transfer)
        finally:
            transfer.progress.end(transfer.label)

    def _download(self, transfer: Transfer) -> None:
        """Retry until done; only attempts that brought no new bytes count as failures."""
        failures = 0
        while True:
            before = transfer.have_bytes
            try:
                self._attempt(transfer)
            except _Interrupted as cause:
                failures = 1 if transfer.have_bytes > before else failures + 1
                if failures >= _ATTEMPTS_WITHOUT_PROGRESS:
                    raise SourceFailed(
                        f"{transfer.url}: {cause}; gave up after {failures} attempts"
                    ) from cause
                self._sleep(_FIRST_DELAY_S * 2 ** (failures - 1))
            else:
                return

    def _attempt(self, transfer: Transfer) -> None:
        """Request the missing bytes once. Raises _Interrupted if another attempt may succeed."""
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
                return  # nothing is missing; the digest will confirm it
            if response.status_code in _TRANSIENT:
                raise _Interrupted(f"HTTP status {response.status_code}")
            if not response.is_success:
                raise SourceFailed(f"{transfer.url}: HTTP status {response.status_code}")
            _receive(response, transfer, have if _continues(response, have) else 0)

    def _open_client(self) -> httpx.Client:
        """Return the client, created on first use: a fetch from packages alone needs none."""
        if self._client is None:
            try:
                self._client = httpx.Client(timeout=self._timeout, follow_redirects=True)
            except (ValueError, ImportError):  # the message may contain the proxy's password
                raise SourceFailed(
                    "downloads: the proxy settings in the environment cannot be used"
                ) from None
        return self._client


def part_of(target: Path) -> Path:
    """Return the path that holds the bytes of an unfinished download."""
    return target.with_name(f"{target.name}.part")


def _continues(response: httpx.Response, have_bytes: int) -> bool:
    """Return whether the server honored the range; many send the whole file instead."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return False
    start = _CONTENT_RANGE_START.match(response.headers.get("Content-Range", ""))
    return start is not None and int(start[1]) == have_bytes


def _receive(response: httpx.Response, transfer: Transfer, done: int) -> None:
    part = transfer.part
    with disk_errors(part.parent), part.open("ab" if done else "wb") as file:
        for chunk in response.iter_raw():  # a chunk size would lose the rest on a cut
            done += file.write(chunk)
            if done > transfer.limit_bytes:
                raise SourceFailed(
                    f"{transfer.url}: longer than the allowed {transfer.limit_bytes} bytes"
                )
            transfer.progress.advance(transfer.label, done)


def _accept(part: Path, target: Path, file: RemoteFile) -> None:
    """Rename the finished download to its name if it is the declared file, else set it aside."""
    found = sha256_of(part)
    if found != file.sha256:
        damaged = set_aside(part)
        raise SourceFailed(
            f"{file.url}: not the declared file (sha256 {found}, expected {file.sha256}); "
            f"kept as {damaged}"
        )
    publish(part, target)
