"""Erases a person on request, and tells what was erased and what remains in a signed receipt.

The command line waits until all services have confirmed; the API returns at once, and its callers
ask again.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any

from msgspec.structs import replace

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.disk.receipts import Signed, sign, signing_key
from trinetra.adapters.disk.temp_copies import clear_temp_copies
from trinetra.adapters.kafka.topics import Layout, longest_stays_s
from trinetra.errors import CustomerConflict, ServerUnavailable
from trinetra.events.customers import erasure_digest
from trinetra.events.erasure import Acknowledgement, Erasure, ErasureStatus
from trinetra.models.manifest import FaceEmbedderModel, load_manifest
from trinetra.ports import ErasureStore
from trinetra.settings import Settings
from trinetra.values import CustomerId, Instant, after
from trinetra.wiring.assembly import owners_of
from trinetra.wiring.audit_trail import audit_log
from trinetra.wiring.customers import CustomerDesk, need_known
from trinetra.wiring.erasure import forget_here, galleries_of_unknown_models
from trinetra.wiring.places import kafka_connection
from trinetra.wiring.stores import open_erasure_store

_LOOK_S = 0.5
_GIVEN_ID = re.compile(r"cus_[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases people of one installation; ``by`` is the caller of the API, ``tell`` takes notes."""

    settings: Settings
    by: str | None = None
    tell: Callable[[str], None] = lambda _: None

    async def forget(
        self, who: CustomerId, timeout_s: float, destroyed: Sequence[str] = ()
    ) -> ErasureStatus:
        """Erase a person; wait up to ``timeout_s`` until all services have confirmed.

        Raises CustomerConflict for an unknown id, or a name in ``destroyed`` that is not awaited.
        """
        clock, log = SystemClock(), audit_log(self.settings)
        async with open_erasure_store(self.settings) as erasure_store:
            before = await erasure_store.find(who, clock.now())
            if before is not None and before.settled_at is not None:
                self._note_forgotten(log, who, before, clock.now())
                at = f"{before.settled_at:%Y-%m-%d %H:%M}"
                self.tell(f"this person was erased at {at} UTC already")
                # A copy of the gallery may have brought the face back, under this id at least.
                await self._here(replace(before.erasure, ids=(who,)), erasure_store, clock)
                return before
            try:
                ids = before.erasure.ids if before else await self._ids_of(who)
            except CustomerConflict:
                subject, why = erasure_digest(who), "forget: unknown customer id"
                log.append(clock.now(), "refused", subject, why, by=self.by)
                raise
            status = before
            if status is None:
                subject = erasure_digest(who)
                log.append(clock.now(), "forget", subject, f"{len(ids)} ids", by=self.by)
                owners = owners_of(self.settings)
                status = await erasure_store.request(ids, clock.now(), owners)
            await self._declare_destroyed(log, erasure_store, status, destroyed, clock.now())
            await self._here(status.erasure, erasure_store, clock)
            status = await self._settled(erasure_store, who, clock, timeout_s)
            if status.settled_at is not None:
                self._note_forgotten(log, who, status, clock.now())
            return status

    async def status(self, who: CustomerId) -> ErasureStatus | None:
        """Return the erasure of a person as it is now; None if none was requested."""
        clock, log = SystemClock(), audit_log(self.settings)
        async with open_erasure_store(self.settings) as erasure_store:
            status = await erasure_store.find(who, clock.now())
        if status is not None and status.settled_at is not None:
            self._note_forgotten(log, who, status, clock.now())
        return status

    async def receipt(self, status: ErasureStatus) -> Signed:
        """Return the signed receipt of an erasure, final or not."""
        stays_s = await self._stays_s()
        return await asyncio.to_thread(receipt_of, self.settings, status, stays_s)

    async def _declare_destroyed(
        self,
        log: AuditLog,
        erasure_store: ErasureStore,
        status: ErasureStatus,
        destroyed: Sequence[str],
        at: Instant,
    ) -> None:
        """Confirm on an operator's word, which the audit log and the receipt keep.

        Raises CustomerConflict for a name that the erasure does not wait for.
        """
        number, subject = status.erasure.number, status.erasure.digests[0]
        for name in destroyed:
            if name not in status.awaited:
                waits = ", ".join(status.awaited) or "nothing"
                raise CustomerConflict(f"--destroyed {name}: the erasure waits for {waits}")
            log.append(at, "declared_destroyed", subject, f"erasure {number}: {name}", by=self.by)
            share = Acknowledgement(member=name, at=at, removed={"declared_destroyed": 1})
            await erasure_store.acknowledge(number, share)

    def _note_forgotten(
        self, log: AuditLog, who: CustomerId, status: ErasureStatus, at: Instant
    ) -> None:
        """Record once that an erasure is complete, also if it completed after the command ended."""
        number, digests = f"erasure {status.erasure.number}", status.erasure.digests
        noted = (
            line for line in log.lines() if line.action == "forgotten" and line.detail == number
        )
        if not any(line.subject in digests for line in noted):
            log.append(at, "forgotten", erasure_digest(who), number, by=self.by)

    async def _ids_of(self, who: CustomerId) -> Sequence[CustomerId]:
        """Return every id of a person; raises CustomerConflict for an unknown id."""
        async with CustomerDesk.open(self.settings) as desk:
            people, visit = await desk.directory.people(), await desk.last_visit(who)
        try:
            need_known(people, who, visit)
        except CustomerConflict:
            if not _GIVEN_ID.fullmatch(who) or people.is_erased(who):
                raise
            self.tell(
                f"{who} is in no visit and not in the customer log: "
                "erasing what the gallery may have"
            )
        return sorted(people.members(who))

    async def _here(
        self, erasure: Erasure, erasure_store: ErasureStore, clock: SystemClock
    ) -> None:
        settings = self.settings
        clear_temp_copies(settings.data_dir)
        try:
            removed = await forget_here(settings, _models(settings), erasure, erasure_store, clock)
        except ServerUnavailable as cause:
            self.tell(f"{cause}; the request stands")
        else:
            deleted = [f"{number} {what}" for what, number in removed.items() if number]
            self.tell(f"deleted here: {', '.join(deleted) or 'nothing'}")

    async def _settled(
        self, erasure_store: ErasureStore, who: CustomerId, clock: SystemClock, timeout_s: float
    ) -> ErasureStatus:
        """Return the erasure once all services confirmed, or as it is when the time is over."""
        give_up_s, told = clock.monotonic() + timeout_s, ""
        while True:
            status = await erasure_store.find(who, clock.now())
            if status is None:
                raise CustomerConflict("the request for erasure is gone from the database")
            waits = ", ".join(status.awaited)
            if status.settled_at is not None or clock.monotonic() >= give_up_s:
                return status
            if waits != told:
                self.tell(f"waiting for {waits or 'the gallery or a reader of the database'}")
                told = waits
            await clock.sleep(_LOOK_S)

    async def _stays_s(self) -> Mapping[str, float]:
        """Return for how many seconds topics of Kafka hold a record; nothing if it is away."""
        if self.settings.event_log != "kafka":
            return {}
        layout = Layout(site_id="", namespace=self.settings.namespace)
        try:
            return await longest_stays_s(kafka_connection(self.settings), layout, SystemClock())
        except ServerUnavailable as cause:
            self.tell(f"{cause}; the receipt cannot tell how long its topics keep records")
            return {}


def _models(settings: Settings) -> list[FaceEmbedderModel]:
    """Return the models whose faces may be stored here."""
    manifest = load_manifest()
    # Opening a collection on a server creates it, so there only the model in use is opened.
    profiles = manifest.profiles if settings.gallery == "edge" else [settings.profile]
    models = {m.version: m for p in profiles if (m := manifest.profile(p).face_embedder)}
    return list(models.values())


def receipt_of(
    settings: Settings, status: ErasureStatus, stays_s: Mapping[str, float] | None = None
) -> Signed:
    """Return a signed receipt: what was erased, and what remains where until when.

    ``stays_s`` is for how long each topic of Kafka may hold a record.
    """
    erasure = status.erasure
    lines = audit_log(settings).lines()
    receipt: dict[str, Any] = {
        "erasure": erasure.number,
        "person": list(erasure.digests),
        "asked_at": erasure.asked_at.isoformat(),
        "done_at": status.settled_at.isoformat() if status.settled_at else None,
        "erased": status.removed(),
        "confirmed_by": [share.member for share in status.shares],
        "owners": list(status.owners),
        "awaited": list(status.awaited),
        "remains": remains_of(settings, status.settled_at or erasure.asked_at, stays_s or {}),
        "audit_log_hash": lines[-1].hash if lines else None,
    }
    return sign(receipt, signing_key(settings.data_dir / "keys"))


def remains_of(settings: Settings, since: Instant, stays_s: Mapping[str, float]) -> list[str]:
    """Return the places that still hold data of the person, and until when."""
    told = [
        "digests of the ids, so that they are not restored: for good",
        "copies that you or your backups made: until you delete them",
    ]
    told += [
        f"{folder}: faces by a network that this TRINETRA does not know; delete the folder"
        for folder in galleries_of_unknown_models(settings, _models(settings))
    ]
    if settings.event_log == "kafka":
        told += [f"{topic}: {_until(since, s)}" for topic, s in sorted(stays_s.items())]
        told += [
            *([] if stays_s else ["topics of Kafka: as long as they keep records"]),
            (
                "of these, trinetra.detections and trinetra.dead-letters have embeddings of faces "
                "not yet named and of bodies, the others ids that no longer lead to a person"
            ),
            "state topics: until compacted, 6 hours after the partition is next written to",
        ]
    if settings.gallery == "qdrant":
        told.append("files of the Qdrant server: until it rewrites or you recreate the collection")
    if settings.store_url is not None:
        told.append("the database server's own log, free pages and backups: see its vacuum")
    return told


def _until(since: Instant, stay_s: float) -> str:
    if isinf(stay_s):
        return "for good, because the topic keeps its records for good"
    return f"until {after(since, stay_s):%Y-%m-%d %H:%M} UTC at the latest"
