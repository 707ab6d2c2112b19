"""Translates the site file into the policies and plans of each stage."""

from collections.abc import Iterator, Mapping
from math import ceil
from zoneinfo import ZoneInfo

from trinetra.adapters.video.sources import SourceKind, SourceSpec, infer_kind
from trinetra.detections.body_crops import BodyPolicy
from trinetra.detections.event_builder import CameraPlan as DetectionPlan
from trinetra.detections.plate_crops import PlatePolicy
from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Derivation
from trinetra.events.plates import PlateKey
from trinetra.events.receipts import ReceiptRules
from trinetra.events.schema import DoorKind
from trinetra.frames.camera import CameraPlan as IngestPlan
from trinetra.frames.encode import EncodingConfig
from trinetra.frames.sampling.pacing import Pacing
from trinetra.frames.sampling.sampler import IdleConfig, SamplingConfig
from trinetra.geometry import fit
from trinetra.identities.context import IdentificationPolicy
from trinetra.identities.decision.body_link import LinkPolicy
from trinetra.identities.decision.drift import Quantity, Reference
from trinetra.identities.decision.duplicates import MergePolicy
from trinetra.identities.decision.lifecycle import RetentionPolicy
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.decision.plates import PlateBook
from trinetra.identities.decision.plates import PlatePolicy as PlatePublication
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.insights.config import CameraInsights, InsightPolicy, Line, StayLimit, Zone
from trinetra.insights.footfall.doors import Door, FloorLine, LineRef, doors_of, floor_line
from trinetra.insights.footfall.groups import Groups
from trinetra.insights.footfall.occupancy import SiteOccupancies
from trinetra.insights.footfall.passages import Passages
from trinetra.insights.journeys.journeys import Journeys
from trinetra.insights.purchases.derivation import Purchases
from trinetra.insights.purchases.policy import PurchasePolicy
from trinetra.insights.queues.plan import QueuePlan, TillZone, ZonePlace
from trinetra.insights.queues.visits import QueueVisits
from trinetra.insights.vehicles.links import VehicleLinks
from trinetra.insights.vehicles.visits import VehiclePolicy, VehicleVisits
from trinetra.models.calibration import CalibrationFile
from trinetra.models.manifest import Calibration, Profile
from trinetra.site.alerts import Rules
from trinetra.site.cameras import Camera
from trinetra.site.policies import Bodies, Plates
from trinetra.site.schema import Door as SiteDoor
from trinetra.site.schema import Site
from trinetra.site.sources import FileSource, FolderSource, StreamSource
from trinetra.values import CameraId, IdentityKind, Instant, Role
from trinetra.wiring.site_graph import opening_hours
from trinetra.wiring.thresholds import (
    effective_similarity,
    merge_conflict,
    open_set_target,
)

_SAME_WALK_S = 1.5
"""Largest time between two crossings of one walk through a doorway, by one clock: at 1 m/s that is
1.5 m between two lines."""
_NEVER = 1.01
"""A limit that no score reaches."""
_SILENT_TIMEOUTS = 3
"""Connecting anew takes up to one timeout, after another in which the camera stalled."""


def ingest_plan(camera: Camera, *, in_step: bool) -> IngestPlan:
    """Return how a camera is read; ``in_step`` plays recordings as fast as they are processed."""
    recorded = not camera.source.is_live
    playback = Pacing.LOCKSTEP if in_step else Pacing.REALTIME
    return IngestPlan(
        camera_id=camera.camera_id,
        pacing=playback if recorded else Pacing.LIVE,
        retries=not recorded,
        sampling=SamplingConfig(camera.fps, camera.fps_floor, camera.fps_ceiling),
        idle=IdleConfig(enabled=camera.key_frames_while_idle),
        encoding=EncodingConfig(
            side=camera.frame_side,
            keeps_native=camera.reads_faces or camera.reads_plates,
            native_max_side=camera.native_max_side,
        ),
    )


def source_spec(camera: Camera, environ: Mapping[str, str], started_at: Instant) -> SourceSpec:
    """Return where a camera's frames come from, with its credentials from the environment.

    ``started_at`` is when the first frame of a recording counts as captured. Raises
    ConfigurationError naming environment variables that are not set.
    """
    match camera.source:
        case FileSource(file=path, loop=loop):
            return SourceSpec(SourceKind.FILE, str(path), loop=loop, started_at=started_at)
        case FolderSource(images=path, fps=fps, loop=loop):
            return SourceSpec(
                SourceKind.IMAGES, str(path), loop=loop, fps=fps, started_at=started_at
            )
        case StreamSource() as stream:
            secret = stream.credentials(environ)
            return SourceSpec(
                infer_kind(stream.url),
                stream.url,
                username=secret.username if secret else None,
                password=secret.password.get_secret_value() if secret else None,
                timeout_s=stream.timeout_s,
                transport=stream.transport,
            )


def detection_plans(site: Site, profile: Profile) -> dict[CameraId, DetectionPlan]:
    """Return what to detect in each camera's frames, and by which network."""
    bodies, plates = _body_policy(site.policies.bodies), _plate_policy(site.policies.plates)
    return {
        camera.camera_id: DetectionPlan(
            camera_id=camera.camera_id,
            labels=frozenset(camera.labels),
            reads_faces=camera.reads_faces,
            min_face_px=site.policies.matching.min_face_px,
            is_live=camera.source.is_live,
            detector=profile.detector_for(camera.role, camera.labels).name,
            tiles=camera.tiles,
            bodies=bodies,
            plates=plates if camera.reads_plates else None,
        )
        for camera in site.cameras
    }


def _body_policy(bodies: Bodies) -> BodyPolicy | None:
    if not bodies.alone_every_frames:
        return None
    return BodyPolicy(
        alone_every_frames=bodies.alone_every_frames,
        max_per_frame=bodies.max_per_frame,
        min_height_px=bodies.min_height_px,
    )


def _plate_policy(plates: Plates) -> PlatePolicy:
    return PlatePolicy(
        max_per_frame=plates.max_per_frame,
        min_width_px=plates.min_vehicle_px,
        min_confidence=plates.min_confidence,
    )


def plate_book(site: Site, key: PlateKey | None) -> PlateBook | None:
    """Return how the resolver reads and publishes plates; None without a key."""
    if key is None:
        return None
    plates = site.policies.plates
    return PlateBook(key, PlatePublication(plates.countries, plates.keeps_text, plates.watchlist))


def insight_plans(site: Site) -> dict[CameraId, CameraInsights]:
    """Return each camera's zones and lines."""
    return {
        camera.camera_id: CameraInsights(
            zones=tuple(Zone(z.id, z.polygon, z.min_dwell_s) for z in camera.zones),
            lines=tuple(Line(line.id, line.a, line.b) for line in camera.lines),
            stay_limits=tuple(_stay_limits(camera, site.alerts.rules)),
            floor=fit(camera.floor) if camera.floor else None,
        )
        for camera in site.cameras
    }


def _stay_limits(camera: Camera, rules: Rules) -> Iterator[StayLimit]:
    """Yield from how long on stays in the zones of a camera raise an alert."""
    wait, stay = rules.queue_wait, rules.loitering
    for zone in camera.zones:
        if wait.enabled and zone.kind == "queue":
            yield StayLimit(zone.id, "long_wait", wait.minutes * 60)
        if stay.enabled and (camera.id, zone.id) in stay.zones:
            yield StayLimit(zone.id, "long_stay", stay.minutes * 60)


def queue_plan(site: Site) -> QueuePlan:
    """Return the zones in which people wait for tills, and are served at them."""
    return QueuePlan(
        {
            ZonePlace(camera.camera_id, zone.id): TillZone(
                zone.kind, frozenset(zone.tills), zone.engaged_after_s
            )
            for camera in site.cameras
            for zone in camera.zones
            if zone.tills and zone.kind in {"queue", "till"}
        }
    )


def insight_policy(site: Site) -> InsightPolicy:
    """Return the rules for stays and visits."""
    stays = site.policies.stays
    return InsightPolicy(
        leave_after_s=stays.leave_after_s,
        bridge_s=stays.bridge_s,
        visit_gap_s=stays.visit_gap_s,
        forget_after_s=max(60.0, stays.leave_after_s, stays.bridge_s),
    )


def receipt_rules(site: Site) -> ReceiptRules:
    """Return which receipts the shop accepts."""
    transactions = site.policies.transactions
    return ReceiptRules(
        site.site_id,
        tills=frozenset(zones_of_till(site)),
        currencies=frozenset(transactions.currencies),
        most_ahead_s=transactions.most_ahead_s,
    )


def zones_of_till(site: Site) -> dict[str, frozenset[tuple[CameraId, str]]]:
    """Return the zones of each till in which people pay, not those in which they queue."""
    found: dict[str, set[tuple[CameraId, str]]] = {}
    for camera in site.cameras:
        for zone in camera.zones:
            for till in zone.tills:
                own = found.setdefault(till, set())
                own |= {(camera.camera_id, zone.id)} if zone.kind == "till" else set()
    return {till: frozenset(zones) for till, zones in found.items()}


def purchases(site: Site) -> Purchases:
    """Return the derivation of purchases at the tills of the site."""
    transactions = site.policies.transactions
    policy = PurchasePolicy(
        most_offset_s=transactions.most_offset_s,
        least_confidence=transactions.least_confidence,
    )
    return Purchases(zones_of_till(site), policy)


def derivations(site: Site) -> tuple[Derivation, ...]:
    """Return what is derived from the insights of the whole site, inputs before outputs."""
    passages = Passages(doors(site), within_s=_SAME_WALK_S + site.topology.clock_skew_s)
    queues = QueueVisits(queue_plan(site))
    inside = SiteOccupancies(ZoneInfo(site.timezone), opening_hours(site))
    people = (passages, Groups(), inside, queues, purchases(site), Journeys())
    if not any(camera.role is Role.VEHICLE for camera in site.cameras):
        return people
    visits = VehicleVisits(VehiclePolicy(gap_s=site.policies.stays.visit_gap_s))
    return (*people, visits, VehicleLinks())


def doors(site: Site) -> tuple[Door, ...]:
    """Return the doors of a site, as declared and as the calibrated cameras see them."""
    kinds = {
        LineRef(camera.camera_id, line.id): line.kind
        for camera in site.cameras
        for line in camera.lines
    }
    declared = [_door(door, kinds) for door in site.doors]
    return doors_of(declared, kinds, lines_on_floor(site))


def _door(door: SiteDoor, kinds: Mapping[LineRef, DoorKind]) -> Door:
    lines = [LineRef(CameraId(camera), line) for camera, line in door.lines]
    return Door(door.id, kinds[lines[0]], frozenset(lines))


def lines_on_floor(site: Site) -> dict[LineRef, FloorLine]:
    """Return where the lines of calibrated cameras lie on the floor plan."""
    found = {}
    for camera in site.cameras:
        floor = fit(camera.floor) if camera.floor else None
        for line in camera.lines if floor else ():
            if floor and (on_floor := floor_line(floor, line.a, line.b)):
                found[LineRef(camera.camera_id, line.id)] = on_floor
    return found


def drift_references(calibration: CalibrationFile | None) -> dict[Quantity, Reference]:
    """Return the statistics that drift is measured against; none without pictures of this shop."""
    if calibration is None or not calibration.own_cameras:
        return {}
    told = calibration.reference
    return {
        "score": Reference.between(told.score),
        "quality": Reference.between(told.quality),
        "norm": Reference.between(told.norm),
    }


def recognition_policy(site: Site, calibration: Calibration) -> IdentificationPolicy:
    """Return the limits of a match, on the scale of the model in use.

    Limits that the site file does not set follow from the model's calibration.
    """
    matching, retention = site.policies.matching, site.policies.retention
    given = matching.model_fields_set
    similarity = effective_similarity(site, calibration)
    gap = matching.similarity - matching.new_below
    return IdentificationPolicy(
        matching=MatchingPolicy(
            similarity=similarity,
            new_below=matching.new_below if "new_below" in given else similarity - gap,
            margin=matching.margin,
            min_quality=matching.min_quality,
            min_face_px=float(matching.min_face_px),
            enrol_after_faces=matching.enrol_after_faces,
            enrol_in_doubt_after_faces=matching.enrol_in_doubt_after_faces,
            scale_offset=calibration.offset,
            scale_gain=calibration.gain,
        ),
        retention=RetentionPolicy(
            {
                IdentityKind.ANONYMOUS: retention.anonymous_days,
                IdentityKind.ENROLLED: retention.enrolled_days,
                IdentityKind.STAFF: retention.staff_days,
                IdentityKind.WATCHLIST: retention.watchlist_days,
                IdentityKind.VIP: retention.vip_days,
                IdentityKind.OPTED_OUT: retention.opted_out_days,
            }
        ),
        open_set=open_set_target(site, calibration),
        links=LinkPolicy(
            false_link_rate=site.policies.bodies.false_link_rate,
            max_absence_s=site.policies.stays.visit_gap_s,
        ),
        top_k=matching.top_k,
        alert_cooldown_s=site.policies.alerts.cooldown_s,
    )


def consolidation_policy(site: Site, calibration: Calibration) -> MergePolicy:
    """Return the limits for merging two identities, and for proposing it.

    Limits that the site file does not set keep their distance to a match when the calibration
    raises it. Raises ConfigurationError if a limit that it sets lies below a match.
    """
    if found := merge_conflict(site, calibration):
        raise ConfigurationError(f"{'.'.join(map(str, found.loc))}: {found.message} ({found.hint})")
    limits, given = site.policies.consolidation, site.policies.consolidation.model_fields_set
    raised = effective_similarity(site, calibration) - type(site.policies.matching)().similarity
    merge_at, propose_at = (
        limit if name in given else max(limit, min(limit + raised, _NEVER))
        for name, limit in (("merge_at", limits.merge_at), ("propose_at", limits.propose_at))
    )
    return MergePolicy(merge_at, propose_at)


def resolver_policy(site: Site) -> ResolverPolicy:
    """Return how detections become tracks.

    A camera counts as silent after the time in which it is usually connected anew, which is longer
    than several of the longest intervals between frames that a site file may ask for.
    """
    tracking = site.policies.tracking
    frames = tracking.reorder_window_s * max(camera.fps_ceiling for camera in site.cameras)
    timeouts_s = [c.source.timeout_s for c in site.cameras if isinstance(c.source, StreamSource)]
    reconnects_s = (_SILENT_TIMEOUTS * timeout_s for timeout_s in timeouts_s)
    unseen_after_s = max([ResolverPolicy().unseen_after_s, *reconnects_s])
    return ResolverPolicy(
        tracker=TrackerPolicy(
            confirm_hits=tracking.confirm_after_frames, max_gap_s=tracking.lost_after_s
        ),
        reorder_span_s=tracking.reorder_window_s,
        reorder_pending=max(ResolverPolicy().reorder_pending, ceil(frames) + 1),
        unseen_after_s=unseen_after_s,
    )


def registry(site: Site) -> ActiveRegistry:
    """Return an empty registry of active identities."""
    policy = site.policies.registry
    return ActiveRegistry(ttl_s=policy.ttl_s, max_identities=policy.max_identities)
