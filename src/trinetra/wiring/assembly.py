"""Services from ports: the same for one process and for many."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.journal_erasure import JournalErasureTarget
from trinetra.adapters.video.sources import open_source
from trinetra.customers.customer_feed import StoreCustomerSync, StoreRetention
from trinetra.customers.erasure_participant import ErasureParticipant
from trinetra.detections.batching import BatchPolicy
from trinetra.detections.service import InferenceWorker, WorkerPolicy
from trinetra.detections.vision.quality import QualityPolicy
from trinetra.frames.service import StreamIngestor
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.erasure_handler import ErasureHandler
from trinetra.identities.face_identifier import FaceIdentifier
from trinetra.identities.merge_job import MergeJob
from trinetra.identities.registry_replica import RegistryReplica
from trinetra.identities.service import BackgroundTask, IdentityResolver
from trinetra.insights.service import InsightEngine
from trinetra.models.calibration import calibrated, calibration_path, read_calibration
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import (
    Clock,
    CustomerLog,
    ErasureStore,
    EventLog,
    ExpiringStore,
    FrameBuffer,
    FrameSource,
    PurgeableGallery,
)
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import CameraId, Instant
from trinetra.wiring import config as plans
from trinetra.wiring.networks import Networks
from trinetra.wiring.site_graph import site_graph

_SETTLE_S = 5.0
"""By then what one resolver has seen is in the registries of the others."""

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Playback:
    """How recordings are played: when they count as begun, and whether as fast as possible."""

    started_at: Mapping[CameraId, Instant]
    in_step: bool = False


def ingestor(
    site: Site,
    buffer: FrameBuffer,
    clock: Clock,
    playback: Playback,
    environ: Mapping[str, str],
) -> StreamIngestor:
    """Return the stream-ingestor of every camera of the site. Raises ConfigurationError."""
    specs = {
        camera.camera_id: plans.source_spec(camera, environ, playback.started_at[camera.camera_id])
        for camera in site.cameras
    }

    def source_of(camera_id: CameraId) -> FrameSource:
        return open_source(specs[camera_id], clock)

    cameras = [plans.ingest_plan(camera, in_step=playback.in_step) for camera in site.cameras]
    return StreamIngestor(cameras, source_of, buffer, clock)


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
    return InferenceWorker(
        site.site_id,
        buffer,
        log,
        networks.lanes,
        plans.detection_plans(site),
        clock,
        policy,
        models=networks.versions,
        quality=QualityPolicy(min_total=site.policies.matching.min_quality),
    )


def resolver(
    site: Site,
    settings: Settings,
    model: FaceEmbedderModel,
    gallery: PurgeableGallery,
    log: EventLog,
    customer_log: CustomerLog,
    clock: Clock,
    erasure_store: ErasureStore | None = None,
) -> IdentityResolver:
    """Return an identity-resolver for faces of the given model."""
    face_identifier = FaceIdentifier(
        site_id=site.site_id,
        gallery=gallery,
        registry=plans.registry(site),
        graph=site_graph(site),
        clock=clock,
        model=model.version,
        dimension=model.dimension,
        policy=plans.recognition_policy(site, calibrated(model, settings.data_dir).calibration),
        references=plans.drift_references(
            read_calibration(calibration_path(settings.data_dir, model), model)
        ),
    )
    policy = replace(plans.resolver_policy(site), ends_tracks_at_stop=ends_with_process(settings))
    background_tasks: list[BackgroundTask] = [
        MergeJob(
            face_identifier,
            customer_log,
            plans.consolidation_policy(site),
            settle_s=0.0 if ends_with_process(settings) else _SETTLE_S,
        ),
        CustomerSync(face_identifier, customer_log, log),
        RegistryReplica(face_identifier, log),
    ]
    if erasure_store is not None:
        participant = ErasureParticipant(
            erasure_store, clock, member=f"{IdentityResolver.name}@{settings.instance}"
        )
        erasure_targets = [JournalErasureTarget(log)] if isinstance(log, JournalingEventLog) else []
        background_tasks.append(
            ErasureHandler(face_identifier, gallery, participant, erasure_targets)
        )
    return IdentityResolver(log, face_identifier, policy, background_tasks)


def engine(
    site: Site,
    settings: Settings,
    log: EventLog,
    store: ExpiringStore,
    customer_log: CustomerLog,
    clock: Clock,
    erasure_store: ErasureStore | None = None,
) -> InsightEngine:
    """Return an insight-engine."""
    member = f"{InsightEngine.name}@{settings.instance}"
    days = site.policies.retention.insights_days
    return InsightEngine(
        site.site_id,
        log,
        store,
        plans.insight_plans(site),
        plans.insight_policy(site),
        customer_sync=StoreCustomerSync(customer_log, store, clock, service=InsightEngine.name),
        erasures=ErasureParticipant(erasure_store, clock, member=member) if erasure_store else None,
        retention=StoreRetention(store, clock, days * _DAY_S) if days else None,
        clock=clock,
        concludes_at_stop=ends_with_process(settings),
        # A transaction for every frame would cost more than the frame.
        linger_s=0.0 if settings.event_log == "memory" else 0.2,
    )


def ends_with_process(settings: Settings) -> bool:
    """Return whether nobody can go on with the state of this process when it stops."""
    return settings.event_log == "memory"
