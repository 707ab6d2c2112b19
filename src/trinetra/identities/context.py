"""What the parts of one resolver share: its gallery, registry, customer directory and partitions.

Each part changes only what is its own; what one part has to tell another goes through a queue here.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from trinetra.events.customers import CustomerDirectory
from trinetra.identities.decision.body_link import LinkPolicy
from trinetra.identities.decision.drift import Quantity, Reference
from trinetra.identities.decision.duplicates import AmbiguousFace
from trinetra.identities.decision.lifecycle import RetentionPolicy, is_summary, least_entries
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.decision.open_set import (
    MatchingRules,
    OpenSetTarget,
    ThresholdTable,
)
from trinetra.identities.decision.plates import PlateBook
from trinetra.identities.gallery_client import GalleryClient
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.state.partition import PartitionState
from trinetra.ports import Clock, ReadableGallery, TopicPartition
from trinetra.values import CustomerId, GalleryEntry, SiteId

_MOST_QUEUED = 10_000


@dataclass(frozen=True, slots=True)
class IdentificationPolicy:
    """How the gallery is searched, and how long it is left alone after it failed.

    With ``open_set`` the thresholds follow from that target and the number of people; those of
    ``matching`` are then their lower limits.

    A VIP or watchlist customer is announced again only after ``alert_cooldown_s``. While
    ``most_waiting`` entries of a partition wait for the gallery, no new identity is made there: a
    gallery that accepts nothing for days must not fill memory and the log.
    """

    matching: MatchingPolicy = field(default_factory=MatchingPolicy)
    open_set: OpenSetTarget | None = None
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    links: LinkPolicy = field(default_factory=LinkPolicy)
    top_k: int = 10
    gallery_retry_s: float = 2.0
    most_waiting: int = 10_000
    alert_cooldown_s: float = 300.0


class MergeQueue:
    """Faces that may show two identities to be one person, for the merge job to look up.

    They are fused faces that the gallery has accepted, and faces of tracks that resembled two
    identities. Bounded: the oldest are dropped.
    """

    def __init__(self) -> None:
        self._stored: deque[GalleryEntry] = deque(maxlen=_MOST_QUEUED)
        self._ambiguous: deque[AmbiguousFace] = deque(maxlen=_MOST_QUEUED)

    def offer_stored(self, entries: Iterable[GalleryEntry]) -> None:
        """Queue the fused faces among entries that are in the gallery now."""
        self._stored.extend(entry for entry in entries if is_summary(entry))

    def offer_ambiguous(self, face: AmbiguousFace) -> None:
        """Queue a face that resembled two identities, neither clearly more."""
        self._ambiguous.append(face)

    def drain(self) -> list[GalleryEntry | AmbiguousFace]:
        """Return the queued faces and empty the queue."""
        faces: list[GalleryEntry | AmbiguousFace] = [*self._stored, *self._ambiguous]
        self._stored.clear()
        self._ambiguous.clear()
        return faces

    def discard(self, is_erased: Callable[[CustomerId], bool]) -> None:
        """Remove faces that are stored under erased identities."""
        kept = [entry for entry in self._stored if not is_erased(entry.customer_id)]
        self._stored.clear()
        self._stored.extend(kept)


@dataclass(slots=True)
class ResolverContext:
    """The shared parts of one resolver.

    ``references`` are the face statistics of the calibration, by quantity. ``withdrawn`` are
    identities whose faces must leave the gallery: they were stored before it was known here that
    their person had opted out or was erased. ``linked`` has the sightings that follow from bodies:
    they are less certain, so the gate judges no face by them. ``partitions`` are those owned by
    this resolver. Without ``plates`` license plates are ignored.
    """

    site_id: SiteId
    gallery: ReadableGallery
    registry: ActiveRegistry
    graph: SiteGraph
    clock: Clock
    model: str
    dimension: int
    policy: IdentificationPolicy = field(default_factory=IdentificationPolicy)
    directory: CustomerDirectory = field(default_factory=CustomerDirectory)
    references: Mapping[Quantity, Reference] = field(default_factory=dict)
    merge_queue: MergeQueue = field(default_factory=MergeQueue)
    withdrawn: set[CustomerId] = field(default_factory=set)
    linked: ActiveRegistry = field(default_factory=ActiveRegistry)
    partitions: dict[TopicPartition, PartitionState] = field(default_factory=dict)
    plates: PlateBook | None = None
    gallery_client: GalleryClient = field(init=False)
    rules: MatchingRules = field(init=False)

    def __post_init__(self) -> None:
        matching, target = self.policy.matching, self.policy.open_set
        table = ThresholdTable(matching, target) if target else None
        self.rules = MatchingRules(matching, table)
        self.gallery_client = GalleryClient(
            self.gallery,
            self.clock,
            self.directory,
            top_k=self.policy.top_k,
            retry_s=self.policy.gallery_retry_s,
            most_waiting=self.policy.most_waiting,
            least_entries=least_entries(self.policy.matching.enrol_after_faces),
        )

    def count_rivals(self) -> None:
        """Let the thresholds follow the number of people in the gallery and on site."""
        known, on_site = self.gallery_client.people, len(self.registry)
        rivals = self.rules.rivals.updated(max(known, on_site), on_site)
        if rivals != self.rules.rivals:
            self.rules = replace(self.rules, rivals=rivals)

    def forget(self, customer_id: CustomerId) -> None:
        """Forget where a customer was seen, and what the customer looks like."""
        self.registry.forget(customer_id)
        self.linked.forget(customer_id)
        for state in self.partitions.values():
            state.bodies.forget(customer_id.__eq__)

    def numbers(self) -> dict[TopicPartition, int]:
        """Return the number of the assignment of each owned partition."""
        return {where: state.number for where, state in self.partitions.items()}
