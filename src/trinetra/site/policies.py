"""Policies: the thresholds and limits of a shop's decisions."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from trinetra.plates.countries import FORMATS
from trinetra.site.fields import Count, Days, Flag, Gap, Model, Seconds, Unit

Country = Annotated[str, Field(pattern="^[A-Z]{2}(-[A-Z]{2})?$")]
PlatePattern = Annotated[
    str, Field(min_length=2, max_length=24, pattern=r"[A-Za-z0-9]", description="Plate or pattern.")
]


class Matching(Model):
    """Face matching thresholds; scores are on the scale (1 + cosine) / 2.

    ``similarity`` and ``margin`` are derived unless they are given. The defaults here are those
    for a network without impostor statistics.
    """

    false_positive_identification_rate: Annotated[
        float,
        Field(
            strict=True,
            gt=0,
            le=0.5,
            description="Share of visitors unknown to the gallery that may be taken for a person "
            "in it, at any number of people; similarity and margin are derived from it.",
        ),
    ] = 0.001
    similarity: Annotated[
        Unit,
        Field(
            description="Minimum similarity of a match: if given, it is fixed, and "
            "false_positive_identification_rate has no effect."
        ),
    ] = 0.72
    new_below: Annotated[
        Unit,
        Field(description="Below this it is a new person; from here to similarity it is in doubt."),
    ] = Field(default_factory=lambda data: min(0.66, data["similarity"]))
    margin: Annotated[
        Unit, Field(description="Minimum lead over the next best identity; fixed if given.")
    ] = 0.03
    min_quality: Annotated[Unit, Field(description="Minimum quality of a face to be compared.")] = (
        0.3
    )
    min_face_px: Annotated[
        int, Field(strict=True, ge=16, le=512, description="Minimum shorter side of a usable face.")
    ] = 32
    enrol_after_faces: Annotated[
        int, Field(strict=True, ge=1, le=50, description="Good faces needed for a new identity.")
    ] = 3
    enrol_in_doubt_after_faces: Annotated[
        int, Field(strict=True, ge=1, le=100, description="Good faces needed in doubt.")
    ] = 8
    top_k: Annotated[
        int, Field(strict=True, ge=2, le=50, description="Candidates to consider.")
    ] = 10


class Bodies(Model):
    """Which people's bodies are embedded, to tell people in different clothes apart.

    A person without a usable face is linked by the body to a customer who was identified by face in
    the same visit. People close to each other are embedded in every frame, others now and then. It
    applies where the network for it can be had; one body takes 3.5 ms of one core.
    """

    alone_every_frames: Annotated[
        int,
        Field(
            strict=True,
            ge=0,
            le=100,
            description="Every which frame embeds people who stand alone; 0: embed none at all.",
        ),
    ] = 5
    max_per_frame: Annotated[
        int, Field(strict=True, ge=1, le=100, description="Maximum bodies of a frame.")
    ] = 8
    min_height_px: Annotated[
        int, Field(strict=True, ge=16, le=1024, description="Minimum height of a body in pixels.")
    ] = 48
    false_link_rate: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=0.2,
            description="Largest share of people without a face to be linked to another customer "
            "of the same visit; 0: link none.",
        ),
    ] = 0.01


class Plates(Model):
    """How license plates of vehicles are read, kept and compared.

    They are read by cameras with reads_plates, where the networks for it can be had; one vehicle
    takes about 0.1 s of one core. Events and databases have a pseudonym of the plate unless
    keeps_text is set.
    """

    max_per_frame: Annotated[
        int,
        Field(strict=True, ge=1, le=20, description="Vehicles of a frame to read, largest first."),
    ] = 2
    min_vehicle_px: Annotated[
        int, Field(strict=True, ge=16, le=4096, description="Minimum width of a vehicle to read.")
    ] = 80
    min_confidence: Annotated[
        Unit, Field(description="Minimum mean probability of the characters of a reading.")
    ] = 0.7
    keeps_text: Annotated[
        Flag,
        Field(description="Store plates in plain text besides their pseudonym."),
    ] = False
    countries: Annotated[
        tuple[Country, ...],
        Field(
            max_length=50,
            description="Countries (ISO 3166; states of the USA as US-CA) whose formats correct "
            "similar characters, O and 0 for example; the first one counts where several fit.",
        ),
    ] = ()
    watchlist: Annotated[
        tuple[PlatePattern, ...],
        Field(
            max_length=1000,
            description="Plates, or patterns such as KA-01-*, that raise an alert; a plate that "
            "differs by one similar character matches too.",
        ),
    ] = ()

    @field_validator("countries")
    @classmethod
    def _known(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [country for country in countries if country not in FORMATS]:
            raise PydanticCustomError(
                "countries",
                "no format is known for {unknown}; there are {known}",
                {"unknown": ", ".join(unknown), "known": ", ".join(FORMATS)},
            )
        return countries


class Consolidation(Model):
    """Thresholds for merging two identities into one person; 1 or more disables the step."""

    merge_at: Annotated[
        float,
        Field(
            ge=0,
            le=1.01,
            description="Least similarity of two fused faces to merge them, raised as the gallery "
            "grows unless matching.similarity is fixed; undone by split.",
        ),
    ] = 0.84
    propose_at: Annotated[
        float,
        Field(ge=0, le=1.01, description="Least similarity to propose a merge to an operator."),
    ] = Field(default_factory=lambda data: min(0.78, data["merge_at"]))


class Registry(Model):
    """Limits on the time and number of identities in memory after they were last seen."""

    ttl_s: Annotated[Seconds, Field(gt=0)] = 1800.0
    max_identities: Count = 50_000


class Tracking(Model):
    """Parameters for building tracks from detections."""

    reorder_window_s: Annotated[
        float, Field(strict=True, ge=0, le=30, description="Seconds to wait for late frames.")
    ] = 1.0
    confirm_after_frames: Annotated[
        int, Field(strict=True, ge=1, le=50, description="Detections before a track counts.")
    ] = 2
    lost_after_s: Annotated[
        float,
        Field(
            strict=True,
            gt=0,
            le=60,
            description="A track not seen for longer, or for 2.5 frame intervals if frames are "
            "rarer, has ended; a person's track, which can be resumed by clothing, ends after at "
            "least 10 s.",
        ),
    ] = 2.0


class Stays(Model):
    """Parameters for deriving stays in zones, and visits to the site, from presence."""

    leave_after_s: Annotated[
        Gap, Field(description="Seconds outside a zone until a stay ends.")
    ] = 1.5
    bridge_s: Annotated[Gap, Field(description="Longest gap in a track within one stay.")] = 3.0
    visit_gap_s: Annotated[
        Seconds, Field(gt=0, description="Absence after which a new visit starts.")
    ] = 1800.0


class Retention(Model):
    """Days after the last sighting until data is deleted; null keeps it until it is erased."""

    anonymous_days: Days | None = 30
    enrolled_days: Days | None = None
    vip_days: Days | None = None
    staff_days: Days | None = None
    watchlist_days: Days | None = None
    opted_out_days: Days | None = None
    plates_days: Annotated[
        Days | None,
        Field(
            description="Days after which visits of one vehicle can no longer be connected: their "
            "plate's pseudonym is replaced by a random one, plain text is deleted."
        ),
    ] = 30
    insights_days: Days | None = 365
    detections_days: Annotated[
        Days,
        Field(description="Days the event log keeps detections, which contain embeddings."),
    ] = 1
    events_days: Annotated[Days, Field(description="Days the event log keeps derived events.")] = 7


class Transactions(Model):
    """What receipts are accepted, and the least confidence with which one is attributed."""

    currencies: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])], ...],
        Field(max_length=20, description="Currencies that the shop takes; if left out, all."),
    ] = ()
    most_ahead_s: Annotated[
        Seconds,
        Field(description="A receipt that is dated further in the future is refused."),
    ] = 7200.0
    most_offset_s: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=4000,
            description="Largest difference between the clocks of a till and of the cameras.",
        ),
    ] = 900.0
    least_confidence: Annotated[
        Unit, Field(description="Below this a receipt is attributed to no person.")
    ] = 0.7


class Privacy(Model):
    """Limits on how closely figures may describe few people."""

    least_people: Annotated[
        int,
        Field(
            strict=True,
            ge=1,
            le=1000,
            description="Paths, flows and exits of journeys that fewer people took are not shown.",
        ),
    ] = 5


class Alerts(Model):
    """Limits on the repetition of alerts."""

    cooldown_s: Annotated[
        Seconds,
        Field(
            gt=0,
            description="Minimum time between two alerts about the same VIP or watchlisted person.",
        ),
    ] = 300.0


class Policies(Model):
    """Thresholds and limits of decisions; every one has a default."""

    matching: Matching = Matching()
    bodies: Bodies = Bodies()
    plates: Plates = Plates()
    consolidation: Consolidation = Consolidation()
    registry: Registry = Registry()
    tracking: Tracking = Tracking()
    stays: Stays = Stays()
    retention: Retention = Retention()
    transactions: Transactions = Transactions()
    alerts: Alerts = Alerts()
    privacy: Privacy = Privacy()
