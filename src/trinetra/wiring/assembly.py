"""Builds each service from its ports.

Every resolver and insight engine is built here, and nowhere else: those of one process, of a
cluster, of a replay and of a benchmark. They differ in the ports and in ``Member``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.journal_erasure import JournalErasureTarget
from trinetra.adapters.video.sources import SourceSpec, open_source
from trinetra.customers.customer_feed import StoreCustomerSync
from trinetra.customers.erasure_participant import ErasureParticipant
from trinetra.customers.retention import insight_retention, merge_retention, plate_retention
from trinetra.customers.spool_erasure import SpoolErasures, SpoolParticipant
from trinetra.detections.batching import BatchPolicy
from trinetra.detections.frame_analyzer import FrameAnalyzerConfig
from trinetra.detections.service import NAME as WORKER
from trinetra.detections.service import InferenceWorker, WorkerPolicy
from trinetra.detections.vision.quality import QualityPolicy
from trinetra.events.customers import CustomerDirectory
from trinetra.events.plates import PlateKey
from trinetra.frames.service import IngestPolicy, StreamIngestor
from trinetra.identities.context import ResolverContext
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.decision.drift import Quantity, Reference
from trinetra.identities.decision.duplicates import MergePolicy
from trinetra.identities.erasure_handler import ErasureHandler
from trinetra.identities.merge_job import MergeJob
from trinetra.identities.processor import NAME as RESOLVER
from trinetra.identities.processor import identity_resolver
from trinetra.identities.registry_replica import RegistryReplica
from trinetra.insights.derivation_task import DerivationTask
from trinetra.insights.processors import NAME as ENGINE
from trinetra.insights.processors import CustomerUpkeep, SiteInsights, insight_engine
from trinetra.insights.receipts import ReceiptIntake, ReceiptProcessor
from trinetra.models.calibration import calibrated, calibration_path, read_calibration
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import (
    Clock,
    CustomerLog,
    DerivingStore,
    ErasureStore,
    EventLog,
    ExpiringStore,
    FigureStore,
    FrameBuffer,
    FrameSource,
    PurgeableGallery,
    ReadableGallery,
)
from trinetra.settings import Settings
from trinetra.site import Camera, Site
from trinetra.streaming.background import BackgroundTask
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.values import CameraId, Instant
from trinetra.wiring import config as plans
from trinetra.wiring.networks import Networks
from trinetra.wiring.plate_key import plate_key
from trinetra.wiring.receiver import SiteReceiver
from trinetra.wiring.site_graph import site_graph

_SETTLE_S = 5.0
"""Time within which the sightings of one resolver reach the registries of the others."""

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Member:
    """The place of a service among the processes that run.

    ``instance`` is its name among the members of a service. ``ends_with_process``: the event log
    is in this process, so no other member can continue with the state after a stop.
    ``poll_customers_s`` is how often the customer log is read. ``has_peers``: other resolvers may
    run beside it, now or before a restart, so their sightings are read into the registry.
    ``owns_gallery``: no other process can reach its gallery.
    """

    instance: str
    ends_with_process: bool
    poll_customers_s: float = 1.0
    has_peers: bool = True
    owns_gallery: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Member":
        """Return the member that the settings describe."""
        return cls(
            settings.instance,
            ends_with_process=settings.event_log == "memory",
            owns_gallery=settings.gallery == "edge",
        )


@dataclass(frozen=True, slots=True)
class FaceModel:
    """The calibrated model that read the faces, and the reference statistics for drift."""

    model: FaceEmbedderModel
    references: Mapping[Quantity, Reference] = field(default_factory=dict)

    @classmethod
    def of(cls, model: FaceEmbedderModel, data_dir: Path) -> "FaceModel":
        """Return the model as calibrated on this machine, if it was."""
        calibration = read_calibration(calibration_path(data_dir, model), model)
        return cls(calibrated(model, data_dir), plans.drift_references(calibration))


@dataclass(frozen=True, slots=True)
class ResolverPorts:
    """The ports of an identity-resolver.

    Without an erasure store it takes no part in erasures. ``retired_galleries`` are those of
    networks that are no longer in use. Without ``plate_key`` license plates are ignored.
    """

    log: EventLog
    gallery: PurgeableGallery
    customer_log: CustomerLog
    clock: Clock
    erasure_store: ErasureStore | None = None
    retired_galleries: BackgroundTask | None = None
    plate_key: PlateKey | None = None


@dataclass(frozen=True, slots=True)
class EnginePorts:
    """The ports of an insight-engine.

    Without an erasure store it takes no part in erasures, without ``deriving`` (the same store as
    ``store``) it derives no insights of the whole site, without ``figures`` (again the same) it
    marks no change of the site file in the figures.
    """

    log: EventLog
    store: ExpiringStore
    customer_log: CustomerLog
    clock: Clock
    erasure_store: ErasureStore | None = None
    deriving: DerivingStore | None = None
    figures: FigureStore | None = None


@dataclass(frozen=True, slots=True)
class Playback:
    """How recordings are played: the capture time of the first frame, and the pace.

    ``in_step`` plays them as fast as the services can process them.
    """

    started_at: Mapping[CameraId, Instant]
    in_step: bool = False


class LiveIngestor:
    """Keeps an ingestor in step with the site file."""

    def __init__(
        self, ingestor: StreamIngestor, site: Site, clock: Clock, environ: Mapping[str, str]
    ) -> None:
        self._ingestor = ingestor
        self._site = site
        self._clock = clock
        self._environ = environ

    async def change(self, site: Site) -> None:
        """Read the cameras of a site from now on; those that are read as before are not touched.

        Raises ConfigurationError for credentials that are not set; then nothing changes.
        """
        now, before = self._clock.now(), {c.camera_id: c for c in self._site.cameras}
        specs = {c.camera_id: plans.source_spec(c, self._environ, now) for c in site.cameras}
        moved = {
            camera.camera_id
            for camera in site.cameras
            if camera.camera_id in before and before[camera.camera_id].source != camera.source
        }
        cameras = [plans.ingest_plan(camera, in_step=False) for camera in site.cameras]
        await self._ingestor.change(cameras, _source_opener(specs, self._clock), moved)
        self._site = site


def _source_opener(
    specs: Mapping[CameraId, SourceSpec], clock: Clock
) -> Callable[[CameraId], FrameSource]:
    return lambda camera_id: open_source(specs[camera_id], clock)


def ingestor(
    site: Site,
    buffer: FrameBuffer,
    clock: Clock,
    playback: Playback,
    environ: Mapping[str, str],
    policy: IngestPolicy | None = None,
) -> StreamIngestor:
    """Return the stream-ingestor of every camera of the site. Raises ConfigurationError."""
    specs = {
        camera.camera_id: plans.source_spec(camera, environ, playback.started_at[camera.camera_id])
        for camera in site.cameras
    }
    cameras = [plans.ingest_plan(camera, in_step=playback.in_step) for camera in site.cameras]
    return StreamIngestor(cameras, _source_opener(specs, clock), buffer, clock, policy)


def live_ingestor(
    ingestor: StreamIngestor, site: Site, clock: Clock, environ: Mapping[str, str]
) -> SiteReceiver:
    """Return what keeps an ingestor of a site's cameras in step with the site file."""
    return SiteReceiver(ingestor.name, LiveIngestor(ingestor, site, clock, environ).change)


def ingest_policy(settings: Settings) -> IngestPolicy:
    """Return the retries, timeouts and limits of the ingestor."""
    return IngestPolicy(ready_share=settings.ready_camera_share)


def worker(
    site: Site,
    settings: Settings,
    networks: Networks,
    buffer: FrameBuffer,
    log: EventLog,
    clock: Clock,
) -> InferenceWorker:
    """Return an inference-worker with the given networks."""
    policy = WorkerPolicy(
        batch=BatchPolicy(settings.batch_max_frames, settings.batch_window_ms / 1000),
        drains_at_stop=settings.frame_buffer == "memory",
        max_age_s=settings.frame_max_age_s,
    )
    config = analyzer_config(site, networks, plate_key(site, settings))
    return InferenceWorker(config, networks.lanes, buffer, log, clock, policy)


def live_worker(worker: InferenceWorker, networks: Networks) -> SiteReceiver:
    """Return what keeps a worker in step with the site file."""

    async def change(site: Site) -> None:
        worker.change(plans.detection_plans(site, networks.profile))

    return SiteReceiver(WORKER, change)


def missing_for(networks: Networks) -> Callable[[Camera], str | None]:
    """Return what tells which network a camera needs that these are not."""

    def missing(camera: Camera) -> str | None:
        detector = networks.profile.detector_for(camera.role, camera.labels).name
        if detector not in networks.detector_versions:
            return f"the detector {detector} that it needs is loaded at the start"
        if camera.reads_plates and all(lane.plates is None for lane in networks.lanes):
            return "the networks that read plates are loaded at the start"
        return None

    return missing


def analyzer_config(
    site: Site, networks: Networks, key: PlateKey | None = None
) -> FrameAnalyzerConfig:
    """Return how a worker analyzes the frames of a site; without a key it reads no plates."""
    return FrameAnalyzerConfig(
        site.site_id,
        plans.detection_plans(site, networks.profile),
        networks.versions,
        networks.detector_versions,
        QualityPolicy(min_total=site.policies.matching.min_quality),
        plate_key=key,
    )


def resolver_context(
    site: Site,
    face: FaceModel,
    gallery: ReadableGallery,
    clock: Clock,
    *,
    directory: CustomerDirectory | None = None,
    key: PlateKey | None = None,
) -> ResolverContext:
    """Return what the parts of a resolver share.

    ``directory`` are the customers who are known before the customer log is read.
    """
    return ResolverContext(
        site_id=site.site_id,
        gallery=gallery,
        registry=plans.registry(site),
        linked=plans.registry(site),
        graph=site_graph(site),
        clock=clock,
        model=face.model.version,
        dimension=face.model.dimension,
        policy=plans.recognition_policy(site, face.model.calibration),
        directory=directory or CustomerDirectory(),
        references=face.references,
        plates=plans.plate_book(site, key),
    )


def resolver(
    site: Site,
    face: FaceModel,
    ports: ResolverPorts,
    member: Member,
    *,
    directory: CustomerDirectory | None = None,
) -> StreamRunner:
    """Return an identity-resolver with all its background tasks; see ``resolver_context``."""
    return live_resolver(site, face, ports, member, directory=directory)[0]


def live_resolver(
    site: Site,
    face: FaceModel,
    ports: ResolverPorts,
    member: Member,
    *,
    directory: CustomerDirectory | None = None,
) -> tuple[StreamRunner, SiteReceiver]:
    """Return an identity-resolver, and what keeps it in step with the site file."""
    context = resolver_context(
        site, face, ports.gallery, ports.clock, directory=directory, key=ports.plate_key
    )

    async def change(site: Site) -> None:
        context.graph = site_graph(site)

    policy = replace(plans.resolver_policy(site), ends_tracks_at_stop=member.ends_with_process)
    merging = plans.consolidation_policy(site, face.model.calibration)
    tasks = tuple(_background_tasks(merging, context, ports, member))
    runner = identity_resolver(ports.log, context, policy, tasks)
    return runner, SiteReceiver(RESOLVER, change)


def _background_tasks(
    merging: MergePolicy, context: ResolverContext, ports: ResolverPorts, member: Member
) -> Iterator[BackgroundTask]:
    yield MergeJob(
        context,
        ports.customer_log,
        merging,
        settle_s=0.0 if member.ends_with_process else _SETTLE_S,
    )
    yield CustomerSync(context, ports.customer_log, ports.log, every_s=member.poll_customers_s)
    if member.has_peers:
        yield RegistryReplica(context, ports.log)
    if ports.retired_galleries:
        yield ports.retired_galleries
    if participant := _participant(RESOLVER, ports, member):
        journal = ports.log if isinstance(ports.log, JournalingEventLog) else None
        targets = [JournalErasureTarget(journal)] if journal else []
        yield ErasureHandler(context, ports.gallery, participant, targets)


def engine(site: Site, ports: EnginePorts, member: Member) -> StreamRunner:
    """Return an insight-engine."""
    return live_engine(site, ports, member)[0]


def live_engine(
    site: Site, ports: EnginePorts, member: Member
) -> tuple[StreamRunner, SiteReceiver]:
    """Return an insight-engine, and what keeps it in step with the site file."""
    derivation = _derivation_task(site, ports)
    upkeep = CustomerUpkeep(
        StoreCustomerSync(ports.customer_log, ports.store, ports.clock, service=ENGINE),
        _participant(ENGINE, ports, member),
        tuple(_upkeep_tasks(site, ports, member, derivation)),
    )
    policy = RunnerPolicy(
        max_records=500,
        # On Kafka a transaction for every frame would cost more than the frame.
        linger_s=0.0 if member.ends_with_process else 0.2,
        drains_at_stop=member.ends_with_process,
    )
    insights = SiteInsights(site.site_id, plans.insight_plans(site), plans.insight_policy(site))
    receipts = ReceiptProcessor(plans.receipt_rules(site), ports.store, ports.clock)

    async def change(site: Site) -> None:
        # Frames of a camera that was removed may still be on their way.
        insights.cameras = {**insights.cameras, **plans.insight_plans(site)}
        receipts.change(plans.receipt_rules(site))
        if derivation:
            derivation.change(plans.derivations(site))

    runner = insight_engine(
        ports.log, ports.store, ports.clock, insights, upkeep, policy, receipts=receipts
    )
    return runner, SiteReceiver(ENGINE, change)


def _derivation_task(site: Site, ports: EnginePorts) -> DerivationTask | None:
    if ports.deriving is None:
        return None
    return DerivationTask(plans.derivations(site), ports.deriving, ports.log, ports.clock)


def receipt_intake(site: Site, ports: EnginePorts) -> ReceiptIntake:
    """Return what takes the receipts of HTTP requests."""
    return ReceiptIntake(plans.receipt_rules(site), ports.store, ports.log, ports.clock)


def live_intake(intake: ReceiptIntake) -> SiteReceiver:
    """Return what keeps the intake of receipts in step with the site file."""

    async def change(site: Site) -> None:
        intake.change(plans.receipt_rules(site))

    return SiteReceiver("receipts", change)


def _upkeep_tasks(
    site: Site, ports: EnginePorts, member: Member, derivation: DerivationTask | None
) -> Iterator[BackgroundTask]:
    retention = site.policies.retention
    if days := retention.insights_days:
        yield insight_retention(ports.store, ports.clock, days * _DAY_S)
    if days := retention.plates_days:
        yield plate_retention(ports.store, ports.clock, days * _DAY_S)
    if days := retention.anonymous_days:
        yield merge_retention(ports.store, ports.clock, days * _DAY_S)
    if derivation is not None:
        yield derivation
    if ports.erasure_store is not None and not member.ends_with_process:
        yield SpoolErasures(ports.log, ports.erasure_store, ports.clock)


def spool_participant(log: EventLog, settings: Settings, clock: Clock) -> SpoolParticipant:
    """Return the part that the spool of this process takes in erasures."""
    return SpoolParticipant(log, clock, member=f"{WORKER}@{settings.instance}")


def _participant(
    service: str, ports: ResolverPorts | EnginePorts, member: Member
) -> ErasureParticipant | None:
    if ports.erasure_store is None:
        return None
    name = f"{service}@{member.instance}"
    owner = _owner(service, name, member)
    return ErasureParticipant(ports.erasure_store, ports.clock, member=name, owner=owner)


def _owner(service: str, name: str, member: Member) -> str | None:
    """Return the name under which data of a member outlives it; see ErasureParticipant."""
    if member.ends_with_process:  # its files are in the data folder, where a command erases them
        return None
    return name if member.owns_gallery and service == RESOLVER else service


def owners_of(settings: Settings) -> tuple[str, ...]:
    """Return the services that must acknowledge an erasure, whether or not they ever ran here.

    On Kafka the state of resolver and engine, and the spool of a worker, outlive their processes.
    """
    return (RESOLVER, ENGINE, WORKER) if settings.event_log == "kafka" else ()
