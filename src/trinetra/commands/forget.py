"""``trinetra customers forget``: erases a person and prints a signed receipt."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from math import isinf
from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import replace

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.disk.receipts import Signed, sign, signing_key
from trinetra.adapters.disk.temp_copies import clear_temp_copies
from trinetra.adapters.kafka.topics import Layout, longest_stays_s
from trinetra.commands.audit_trail import audit_log
from trinetra.commands.console import note, print_text
from trinetra.commands.customers import Json, last_visit, need_known
from trinetra.customers.customer_feed import read_people
from trinetra.errors import CustomerConflict, ServerUnavailable
from trinetra.events.customers import erasure_digest
from trinetra.events.erasure import Acknowledgement, Erasure, ErasureStatus
from trinetra.models.manifest import FaceEmbedderModel, load_manifest
from trinetra.ports import ErasureStore
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import CustomerId, Instant, after
from trinetra.wiring.assembly import owners_of
from trinetra.wiring.erasure import forget_here, galleries_of_unknown_models
from trinetra.wiring.places import kafka_connection
from trinetra.wiring.stores import open_customer_log, open_erasure_store

_LOOK_S = 0.5
_GIVEN_ID = re.compile(r"cus_[0-9a-f]{24}")
_Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group of customers."""
    group.command("forget")(forget)


def forget(
    customer_id: _Id,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=0, help="Seconds to wait for running services to confirm."),
    ] = 60.0,
    destroyed: Annotated[
        list[str] | None,
        typer.Option(
            "--destroyed",
            metavar="NAME",
            help="The data of this process exists no more: do not wait for it; repeatable.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Erase a person for good, under all ids, and print a signed receipt."""
    configure_logging(as_json=False, level="ERROR")
    settings, who = load_settings(), CustomerId(customer_id)
    if not yes:
        typer.confirm(f"Erase {customer_id} for good? This cannot be undone", abort=True, err=True)
    status = asyncio.run(_forget(settings, who, timeout_s, destroyed or ()))
    signed = _receipt(settings, status, asyncio.run(_stays_s(settings)))
    print_text(msgspec.json.format(msgspec.json.encode(signed), indent=2).decode() + "\n")
    if status.settled_at is None:
        waits = (
            ", ".join(status.awaited) or "a process that has the gallery open or reads the database"
        )
        note(
            f"the request stands; not yet confirmed by: {waits}. "
            "Run the command again for the final receipt"
        )
        raise typer.Exit(1)
    if not as_json:
        note("the person is erased; the receipt above holds no personal data: keep it")


async def _forget(
    settings: Settings, who: CustomerId, timeout_s: float, destroyed: Sequence[str] = ()
) -> ErasureStatus:
    clock, log = SystemClock(), audit_log(settings)
    async with open_erasure_store(settings) as erasure_store:
        before = await erasure_store.find(who, clock.now())
        if before is not None and before.settled_at is not None:
            _note_forgotten(log, who, before, clock.now())
            note(f"this person was erased at {before.settled_at:%Y-%m-%d %H:%M} UTC already")
            # A copy of the gallery may have brought the face back, under this id at least.
            await _here(settings, replace(before.erasure, ids=(who,)), erasure_store, clock)
            return before
        try:
            ids = before.erasure.ids if before else await _ids_of(settings, who)
        except CustomerConflict:
            log.append(clock.now(), "refused", erasure_digest(who), "forget: unknown customer id")
            raise
        status = before
        if status is None:
            log.append(clock.now(), "forget", erasure_digest(who), f"{len(ids)} ids")
            status = await erasure_store.request(ids, clock.now(), owners_of(settings))
        await _declare_destroyed(log, erasure_store, status, destroyed, clock.now())
        await _here(settings, status.erasure, erasure_store, clock)
        status = await _settled(erasure_store, who, clock, timeout_s)
        if status.settled_at is not None:
            _note_forgotten(log, who, status, clock.now())
        return status


async def _declare_destroyed(
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
        log.append(at, "declared_destroyed", subject, f"erasure {number}: {name}")
        share = Acknowledgement(member=name, at=at, removed={"declared_destroyed": 1})
        await erasure_store.acknowledge(number, share)


def _note_forgotten(log: AuditLog, who: CustomerId, status: ErasureStatus, at: Instant) -> None:
    """Record once that an erasure is complete, also if it completed after the command ended."""
    number, digests = f"erasure {status.erasure.number}", status.erasure.digests
    noted = (line for line in log.lines() if line.action == "forgotten" and line.detail == number)
    if not any(line.subject in digests for line in noted):
        log.append(at, "forgotten", erasure_digest(who), number)


async def _ids_of(settings: Settings, who: CustomerId) -> Sequence[CustomerId]:
    """Return every id of a person; raises CustomerConflict for an unknown id."""
    async with open_customer_log(settings) as customer_log:
        people = await read_people(customer_log)
    try:
        need_known(people, who, await last_visit(settings, people, who))
    except CustomerConflict:
        if not _GIVEN_ID.fullmatch(who) or people.is_erased(who):
            raise
        note(f"{who} is in no visit and not in the customer log: erasing what the gallery may have")
    return sorted(people.members(who))


async def _here(
    settings: Settings, erasure: Erasure, erasure_store: ErasureStore, clock: SystemClock
) -> None:
    clear_temp_copies(settings.data_dir)
    try:
        removed = await forget_here(settings, _models(settings), erasure, erasure_store, clock)
    except ServerUnavailable as cause:
        note(f"{cause}; the request stands")
    else:
        deleted = [f"{number} {what}" for what, number in removed.items() if number]
        note(f"deleted here: {', '.join(deleted) or 'nothing'}")


def _models(settings: Settings) -> list[FaceEmbedderModel]:
    """Return the models whose faces may be stored here."""
    manifest = load_manifest()
    # Opening a collection on a server creates it, so there only the model in use is opened.
    profiles = manifest.profiles if settings.gallery == "edge" else [settings.profile]
    models = {m.version: m for p in profiles if (m := manifest.profile(p).face_embedder)}
    return list(models.values())


async def _settled(
    erasure_store: ErasureStore, who: CustomerId, clock: SystemClock, timeout_s: float
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
            note(f"waiting for {waits or 'the gallery or a reader of the database'}")
            told = waits
        await clock.sleep(_LOOK_S)


async def _stays_s(settings: Settings) -> Mapping[str, float]:
    """Return how long each topic of Kafka may hold a record, in seconds; nothing if it is away."""
    if settings.event_log != "kafka":
        return {}
    layout = Layout(site_id="", namespace=settings.namespace)
    try:
        return await longest_stays_s(kafka_connection(settings), layout, SystemClock())
    except ServerUnavailable as cause:
        note(f"{cause}; the receipt cannot tell how long its topics keep records")
        return {}


def _receipt(
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
        "remains": _remains(settings, status.settled_at or erasure.asked_at, stays_s or {}),
        "audit_log_hash": lines[-1].hash if lines else None,
    }
    return sign(receipt, signing_key(settings.data_dir / "keys"))


def _remains(settings: Settings, since: Instant, stays_s: Mapping[str, float]) -> list[str]:
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
