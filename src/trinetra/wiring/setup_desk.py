"""The site file for API and dashboard: read, checked with evidence, compared and changed."""

import asyncio
import difflib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from trinetra.adapters.disk.edited_file import EditedFile, FileChanged, FileState
from trinetra.client.models import (
    DistanceEstimate,
    FloorFit,
    FloorPoints,
    LineEvidence,
    SetupCamera,
    SetupEdge,
    SetupFile,
    SetupFinding,
    SetupLine,
    SetupProposal,
    SetupReview,
    SetupRunning,
    SetupTakeover,
    SetupZone,
)
from trinetra.errors import ConfigurationError
from trinetra.events.codec import decode
from trinetra.events.schema import AnyEvent, IdentityEvent, TracksEvent
from trinetra.events.topics import IDENTITIES
from trinetra.geometry import Homography, fit
from trinetra.identities.gate.topology_estimation import (
    TopologyEstimate,
    TransitionCollector,
    suggest,
)
from trinetra.insights.footfall.line_audit import LineAudit
from trinetra.ports import Clock
from trinetra.replay.event_history import EventHistory
from trinetra.site import Camera, Problem, Site, SiteInvalid, StreamSource, site_from_text
from trinetra.site.document import MAX_BYTES, Unreadable, decode_text
from trinetra.site.edits import Edit, apply_edits
from trinetra.site.line_checks import way_in
from trinetra.values import Instant
from trinetra.web.problems import Faulty, Outdated
from trinetra.wiring.config import insight_plans
from trinetra.wiring.site_graph import site_graph, topology_warnings
from trinetra.wiring.site_watch import SiteWatcher
from trinetra.wiring.takeover import MissingFor, Takeover, takeovers

_REMEMBERED = 16
"""States of the file that were told, so that a conflict can be shown as a difference."""
_CONTEXT_LINES = 2
_LEAST_WALKS = 5
_GRID_LINES, _GRID_POINTS = 12, 24
_GRID_STEPS_M = (0.5, 1.0, 2.0, 5.0, 10.0)


class SiteFileDesk:
    """The site file of this process; ``watcher`` takes it over into the running services."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        history: Callable[[], EventHistory],
        watcher: SiteWatcher | None = None,
    ) -> None:
        self._file = EditedFile(path, clock, max_bytes=MAX_BYTES)
        self._path = path
        self._clock = clock
        self._history = history
        self._watcher = watcher
        self._told: OrderedDict[str, str] = OrderedDict()
        self._reading_history = asyncio.Lock()
        self._one_at_a_time = asyncio.Lock()

    async def read(self) -> SetupFile:
        """Return the file. Raises FileRefused."""
        return self._shown(await asyncio.to_thread(self._file.read))

    async def check(self, proposal: SetupProposal) -> SetupReview:
        """Return what a proposal would do. Raises FileRefused or ConfigurationError."""
        async with self._one_at_a_time:  # a large file takes seconds, and every core is needed
            return await asyncio.to_thread(self._review, proposal)

    async def write(self, proposal: SetupProposal, etag: str) -> SetupFile:
        """Change the file, and let the running services take it over."""
        async with self._one_at_a_time:
            state = await asyncio.to_thread(self._write, proposal, etag)
        if self._watcher:
            self._watcher.wake()
        return self._shown(state)

    async def evidence(self, proposal: SetupProposal, hours: float) -> Sequence[LineEvidence]:
        """Return what recorded tracks tell about the lines of a proposal."""
        site, problems = _parsed(self._text_of(proposal, self._file.read()), self._path)
        if site is None:
            raise _faulty(problems)
        audits = {
            camera_id: LineAudit(camera_id, plan.lines)
            for camera_id, plan in insight_plans(site).items()
            if plan.lines
        }

        def take(event: AnyEvent) -> None:
            if isinstance(event, TracksEvent) and (audit := audits.get(event.camera_id)):
                audit.add(event)

        await self._each_event(hours, (b'"tracks"',), take)
        return [
            LineEvidence(
                camera=report.ref.camera_id,
                line=report.ref.line_id,
                near=report.near,
                through=report.through,
                beside=report.beside,
                born=report.born,
                lost=report.lost,
                findings=tuple(report.findings()),
            )
            for audit in audits.values()
            for report in audit.reports()
        ]

    async def distances(self, hours: float) -> Sequence[DistanceEstimate]:
        """Return distances between cameras as recorded walks suggest them."""
        collected = TransitionCollector()

        def take(event: AnyEvent) -> None:
            if isinstance(event, IdentityEvent | TracksEvent):
                collected.add(event)

        await self._each_event(hours, (b'"identity"', b'"tracks"'), take)
        site, _ = _parsed(_text(self._file.read()), self._path)
        found = suggest(collected.people(), least=_LEAST_WALKS)
        return [_estimate(each, site) for each in found]

    def floor(self, points: FloorPoints) -> FloorFit:
        """Return how well floor points agree. Raises ConfigurationError if they fit nothing."""
        return floor_fit(points)

    # --- the file -----------------------------------------------------------------------------

    def _shown(self, state: FileState) -> SetupFile:
        text, findings, site = self._read_state(state)
        return SetupFile(
            etag=state.digest,
            text=text,
            is_valid=site is not None,
            cannot_write=self._file.obstacle(),
            findings=tuple(findings),
            cameras=tuple(map(_camera, site.cameras)) if site else (),
            edges=tuple(_edges(site)) if site else (),
            running=self._running(),
        )

    def _read_state(self, state: FileState) -> tuple[str, list[SetupFinding], Site | None]:
        try:
            text = decode_text(state.content)
        except Unreadable as cause:
            place, fault = cause.fault.place, cause.fault
            return "", [_error(place.line, place.column, fault.message, fault.hint)], None
        self._remember(state.digest, text)
        site, problems = _parsed(text, self._path)
        return text, [*map(_finding, problems), *_warnings(site)], site

    def _review(self, proposal: SetupProposal) -> SetupReview:
        state = self._file.read()
        before = _text(state)
        self._remember(state.digest, before)
        after = self._text_of(proposal, state)
        site, problems = _parsed(after, self._path)
        return SetupReview(
            etag=state.digest,
            text=after,
            diff=diff_of(before, after, self._path.name),
            is_valid=site is not None,
            findings=(*map(_finding, problems), *_warnings(site)),
            takeovers=tuple(map(_takeover, self._takeovers(before, site))),
        )

    def _write(self, proposal: SetupProposal, etag: str) -> FileState:
        state = self._file.read()
        if state.digest != etag:
            raise self._outdated(etag, state)
        text = self._text_of(proposal, state)
        site, problems = _parsed(text, self._path)
        if site is None:
            raise _faulty(problems)
        try:
            return self._file.replace(text, etag)
        except FileChanged as changed:
            raise self._outdated(etag, changed.state) from changed

    def _text_of(self, proposal: SetupProposal, state: FileState) -> str:
        text = _text(state) if proposal.text is None else proposal.text
        _check_size(text)
        edits = [Edit(each.op, each.path, _plain(each.value)) for each in proposal.edits]
        edited = apply_edits(text, edits)
        _check_size(edited)
        return edited

    def _takeovers(self, before: str, new: Site | None) -> Sequence[Takeover]:
        old = self._watcher.site if self._watcher else _parsed(before, self._path)[0]
        if new is None or old is None:
            return ()
        needs: MissingFor = self._watcher.missing_for if self._watcher else lambda _: None
        found = takeovers(old, new, needs)
        if self._watcher:
            return found
        return [Takeover(e.what, "restart", "this process does not watch the file") for e in found]

    def _outdated(self, etag: str, now: FileState) -> Outdated:
        """Return the failure that shows what was changed since the caller read the file."""
        earlier = self._told.get(etag)
        if earlier is None and (kept := self._file.earlier(etag)):
            earlier = _text(kept)
        text = _text(now)
        self._remember(now.digest, text)
        diff = None if earlier is None else diff_of(earlier, text, self._path.name)
        return Outdated(
            "the site file was changed meanwhile, by another person or an editor; nothing was "
            "written. Look at the difference, and make your change again",
            {"etag": now.digest, "diff": diff},
        )

    def _running(self) -> SetupRunning:
        if self._watcher is None:
            return SetupRunning(is_watching=False)
        return SetupRunning(
            is_watching=True,
            waiting=tuple(map(_takeover, self._watcher.waiting)),
            problems=tuple(map(_finding, self._watcher.problems)),
        )

    def _remember(self, digest: str, text: str) -> None:
        self._told[digest] = text
        self._told.move_to_end(digest)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    # --- evidence -----------------------------------------------------------------------------

    async def _each_event(
        self, hours: float, marks: Sequence[bytes], take: Callable[[AnyEvent], None]
    ) -> None:
        """Pass on the events of identities since some hours ago, one reader at a time.

        In a thread with a loop of its own: decoding a day would hold up every other request.
        """
        history, since = self._history(), self._clock.now() - timedelta(hours=hours)
        async with self._reading_history:
            await asyncio.to_thread(asyncio.run, _read(history, since, marks, take))


async def _read(
    history: EventHistory, since: Instant, marks: Sequence[bytes], take: Callable[[AnyEvent], None]
) -> None:
    async for batch in _batches(history, since):
        for payload in batch:
            if any(mark in payload for mark in marks):
                event = decode(payload)
                if event.captured_at >= since:
                    take(event)


def _batches(history: EventHistory, since: Instant) -> AsyncIterator[list[bytes]]:
    return history.read([IDENTITIES], since=since)


def diff_of(before: str, after: str, name: str) -> str:
    """Return the difference of two texts in the unified format; "" if there is none."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, name, n=_CONTEXT_LINES, lineterm=""
    )
    return "\n".join(lines)


def floor_fit(points: FloorPoints) -> FloorFit:
    """Return how well floor points agree, and the floor's grid as it lies in the picture."""
    floor = fit(points.pairs)
    xs, ys = zip(*(place for _, place in points.pairs), strict=True)
    span_m = max(max(xs) - min(xs), max(ys) - min(ys))
    step_m = next((s for s in _GRID_STEPS_M if span_m / s <= _GRID_LINES), span_m / _GRID_LINES)
    return FloorFit(
        rms_m=floor.rms_m,
        worst=floor.worst,
        worst_m=floor.worst_m,
        step_m=step_m,
        grid=tuple(_grid(floor, (min(xs), max(xs)), (min(ys), max(ys)), step_m)),
    )


def _grid(
    floor: Homography, xs: tuple[float, float], ys: tuple[float, float], step_m: float
) -> Iterator[tuple[tuple[float, float], ...]]:
    """Yield the lines of a grid over the floor points, one step beyond them on each side."""
    to_picture = np.linalg.inv(np.array(floor.rows))
    west, east = (_steps(xs, step_m)[edge] for edge in (0, -1))
    south, north = (_steps(ys, step_m)[edge] for edge in (0, -1))
    for x in _steps(xs, step_m):
        yield from _drawn(to_picture, [(x, y) for y in np.linspace(south, north, _GRID_POINTS)])
    for y in _steps(ys, step_m):
        yield from _drawn(to_picture, [(x, y) for x in np.linspace(west, east, _GRID_POINTS)])


def _steps(span: tuple[float, float], step_m: float) -> list[float]:
    first, last = np.floor(span[0] / step_m) - 1, np.ceil(span[1] / step_m) + 1
    return [float(number * step_m) for number in np.arange(first, last + 1)]


def _drawn(
    to_picture: Any, line: Sequence[tuple[float, float]]
) -> Iterator[tuple[tuple[float, float], ...]]:
    """Yield the part of a line on the floor that lies in the picture or near it."""
    rows = np.column_stack([np.array(line), np.ones(len(line))]) @ to_picture.T
    shown = [
        (round(float(x / w), 4), round(float(y / w), 4))
        for x, y, w in rows
        if w * rows[len(rows) // 2][2] > 0 and max(abs(x / w), abs(y / w)) <= 2  # noqa: PLR2004
    ]
    if len(shown) > 1:
        yield tuple(shown)


# --- translations -------------------------------------------------------------------------------


def _parsed(text: str, path: Path) -> tuple[Site | None, Sequence[Problem]]:
    try:
        return site_from_text(text, path=path), ()
    except SiteInvalid as invalid:
        return None, invalid.problems


def _text(state: FileState) -> str:
    try:
        return decode_text(state.content)
    except Unreadable as cause:
        raise ConfigurationError(
            f"the site file cannot be read: {cause.fault.message} ({cause.fault.hint})"
        ) from cause


def _check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as cause:
        raise ConfigurationError("the text has half a character (a lone surrogate)") from cause
    if size > MAX_BYTES:
        raise ConfigurationError(f"a site file has at most {MAX_BYTES:,} bytes")


def _plain(value: Any) -> Any:
    """Return a value with lists for tuples, as YAML has them."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _faulty(problems: Sequence[Problem]) -> Faulty:
    findings = [_finding(problem).model_dump(mode="json") for problem in problems]
    first = problems[0]
    return Faulty(
        f"the changed site file would be invalid; nothing was written. Line {first.line}: "
        f"{first.message} ({first.hint})",
        {"findings": findings},
    )


def _finding(problem: Problem) -> SetupFinding:
    return _error(problem.line, problem.column, problem.message, problem.hint, problem.path)


def _error(line: int, column: int, message: str, hint: str, path: str = "") -> SetupFinding:
    return SetupFinding(
        kind="error", message=message, hint=hint, line=line, column=column, path=path
    )


def _warnings(site: Site | None) -> Iterator[SetupFinding]:
    for text in topology_warnings(site) if site else ():
        yield SetupFinding(kind="warning", message=text)


def _takeover(each: Takeover) -> SetupTakeover:
    return SetupTakeover(what=each.what, how=each.how, effect=each.effect)


def _camera(camera: Camera) -> SetupCamera:
    stream = camera.source if isinstance(camera.source, StreamSource) else None
    return SetupCamera(
        id=camera.id,
        role=camera.role.value,
        source=camera.source.shown,
        username_env=stream.username_env if stream else None,
        password_env=stream.password_env if stream else None,
        lines=tuple(_lines(camera)),
        zones=tuple(
            SetupZone(
                id=zone.id,
                kind=zone.kind,
                polygon=zone.polygon,
                tills=zone.tills,
                min_dwell_s=zone.min_dwell_s,
            )
            for zone in camera.zones
        ),
        floor=camera.floor,
        position_m=(camera.position.x_m, camera.position.y_m) if camera.position else None,
    )


def _lines(camera: Camera) -> Iterator[SetupLine]:
    for line in camera.lines:
        arrow, words = way_in(line)
        yield SetupLine(id=line.id, a=line.a, b=line.b, kind=line.kind, arrow=arrow, way_in=words)


def _edges(site: Site) -> Iterator[SetupEdge]:
    for edge in site.topology.edges:
        yield SetupEdge(
            a=edge.from_camera, b=edge.to_camera, distance_m=edge.distance_m, one_way=edge.one_way
        )


def _estimate(each: TopologyEstimate, site: Site | None) -> DistanceEstimate:
    in_file = site_graph(site).distance(each.a, each.b) if site else None
    return DistanceEstimate(
        a=each.a,
        b=each.b,
        distance_m=each.distance_m,
        is_overlap=each.overlap,
        is_sure=each.sure,
        walks=each.there + each.back,
        median_s=each.median_s,
        distance_in_file_m=in_file,
    )
