"""Keeps running services in step with the site file, however it was changed.

The file is looked at every second, and read when its time, size or place on the disk have changed:
after a save by hand, by another process, or from the page Setup, which also has it read at once. A
file that is invalid or cannot be read stops nothing: the services go on as they are, and the
problems are logged and shown.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from trinetra.adapters.disk.edited_file import EditedFile, FileState
from trinetra.errors import ConfigurationError, FileRefused, TrinetraError
from trinetra.hosting import Service
from trinetra.ports import Clock
from trinetra.site import Problem, Site, SiteInvalid, site_from_text
from trinetra.site.document import MAX_BYTES, Unreadable, decode_text
from trinetra.streaming.concurrency import run_until
from trinetra.telemetry import get_logger
from trinetra.wiring.receiver import SiteReceiver
from trinetra.wiring.takeover import MissingFor, Takeover, in_force, takeovers

SITE_FILE = "site_file"
"""Where the status of a watched service tells of the site file."""
_EVERY_S = 1.0
_log = get_logger("site-watcher")


class SiteWatcher:
    """A service that takes the site file over into its receivers whenever it changes.

    ``site`` is what the services go by now, ``waiting`` the changes that wait for a restart,
    ``problems`` what is wrong with a file that was not taken over.
    """

    name = "site-watcher"

    def __init__(
        self,
        path: Path,
        site: Site,
        clock: Clock,
        environ: Mapping[str, str] | None,
        *,
        select: Callable[[Site], Site] = lambda site: site,
        missing_for: MissingFor = lambda _: None,
        every_s: float = _EVERY_S,
    ) -> None:
        """Watch a file; ``select`` returns the part of a site that this process is about.

        With ``environ``, the variables of the cameras' credentials must be set for a takeover.
        """
        self.file = EditedFile(path, clock, max_bytes=MAX_BYTES)
        self.site = site
        self.waiting: Sequence[Takeover] = ()
        self.problems: Sequence[Problem] = ()
        self.missing_for = missing_for
        self.digest: str | None = None
        self._clock = clock
        self._environ = environ
        self._select = select
        self._every_s = every_s
        self._receivers: list[SiteReceiver] = []
        self._stamp: tuple[int, int, int] | None = None
        self._awake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._takeovers = 0

    def add(self, receiver: SiteReceiver) -> None:
        """Let a part of the services take over what changes from now on."""
        self._receivers.append(receiver)

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch the file until ``stopping`` is set; SIGHUP has it read at once."""
        with self._on_hangup():
            while not stopping.is_set():
                await self.look()
                await run_until(stopping, self._next_look())

    def ready(self) -> bool:
        """Return True: an invalid file stops no service."""
        return True

    def status(self) -> dict[str, object]:
        """Return what the health page shows."""
        return {
            "file": str(self.file.path),
            "digest": self.digest,
            "taken_over": self._takeovers,
            "waits_for_restart": [each.what for each in self.waiting],
            "problems": [str(problem) for problem in self.problems],
        }

    def wake(self) -> None:
        """Have the file read now."""
        self._stamp = None
        self._awake.set()

    async def look(self) -> None:
        """Take the file over if it has changed since the last look."""
        async with self._one_at_a_time:
            stamp = self.file.stamp()
            if stamp is not None and stamp == self._stamp:
                return
            self._stamp = stamp
            state = self._read_quietly()
            if state is not None and state.digest != self.digest:
                self.digest = state.digest
                await self._take(state)

    async def _next_look(self) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(self._every_s))
        waking = asyncio.ensure_future(self._awake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()
            self._awake.clear()

    def _read_quietly(self) -> FileState | None:
        """Return the file, None if it cannot be read now: an editor may be replacing it."""
        try:
            return self.file.read()
        except FileRefused as cause:
            self._report([Problem(str(self.file.path), 1, 1, "", str(cause), "see the message")])
            self._stamp = self.digest = None
            return None

    async def _take(self, state: FileState) -> None:
        try:
            text = decode_text(state.content)
            new = self._select(site_from_text(text, path=self.file.path, environ=self._environ))
        except Unreadable as cause:
            place, fault = cause.fault.place, cause.fault
            problem = Problem(
                str(self.file.path), place.line, place.column, "", fault.message, fault.hint
            )
            self._report([problem])
        except SiteInvalid as cause:
            self._report(cause.problems)
        except ConfigurationError as cause:
            self._report([Problem(str(self.file.path), 1, 1, "", str(cause), "see the message")])
        else:
            await self._change(new)

    async def _change(self, new: Site) -> None:
        changes = takeovers(self.site, new, self.missing_for)
        site = in_force(self.site, new, changes)
        try:
            for receiver in self._receivers if site != self.site else ():
                await receiver.change(site)
        except TrinetraError as cause:
            self._stamp = self.digest = None  # it is tried again at the next look
            self._report([Problem(str(self.file.path), 1, 1, "", str(cause), "it is tried again")])
            return
        self.site, self.problems = site, ()
        self.waiting = [e for e in takeovers(site, new, self.missing_for) if e.how == "restart"]
        if changes:
            self._takeovers += 1
            _log.info(
                "site file taken over",
                changed=[each.what for each in changes if each.how != "restart"],
                waits_for_restart=[each.what for each in self.waiting],
            )

    def _report(self, problems: Sequence[Problem]) -> None:
        """Keep what is wrong with the file, and log it once."""
        if [str(p) for p in problems] != [str(p) for p in self.problems]:
            _log.error(
                "site file not taken over: the services go on as they are",
                problems=[str(problem) for problem in problems],
            )
        self.problems = tuple(problems)

    @contextlib.contextmanager
    def _on_hangup(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGHUP, self.wake)
        except (RuntimeError, ValueError):  # not in the main thread, as in some tests
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)


class WatchedService:
    """A service together with the watcher of its site file."""

    def __init__(self, service: Service, watcher: SiteWatcher) -> None:
        self._service = service
        self._watcher = watcher

    @property
    def name(self) -> str:
        """Name of the service."""
        return self._service.name

    def ready(self) -> bool:
        """Return whether the service is ready."""
        return self._service.ready()

    def status(self) -> object:
        """Return the status of the service, with that of the site file."""
        own = self._service.status()
        return {**own, SITE_FILE: self._watcher.status()} if isinstance(own, dict) else own

    async def run(self, stopping: asyncio.Event) -> None:
        """Run both until the service ends."""
        over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watcher.run(over))
                await self._service.run(stopping)
                over.set()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
