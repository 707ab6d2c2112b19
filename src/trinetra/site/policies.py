"""The limits by which decisions are made in a shop."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from trinetra.site.fields import Count, Days, Gap, Model, Seconds, Unit


class Matching(Model):
    """When a face counts as that of a known customer; scores are on the scale (1 + cosine) / 2."""

    similarity: Annotated[Unit, Field(description="Least similarity of a match.")] = 0.72
    new_below: Annotated[
        Unit,
        Field(description="Below this it is a stranger; between this and similarity lies doubt."),
    ] = Field(default_factory=lambda data: min(0.66, data["similarity"]))
    margin: Annotated[Unit, Field(description="Least lead over the next best identity.")] = 0.03
    min_quality: Annotated[Unit, Field(description="Least quality of a face to be compared.")] = 0.3
    min_face_px: Annotated[
        int, Field(strict=True, ge=16, le=512, description="Shorter side of a usable face.")
    ] = 32
    enrol_after_faces: Annotated[
        int, Field(strict=True, ge=1, le=50, description="Good faces before a new identity.")
    ] = 3
    enrol_in_doubt_after_faces: Annotated[
        int, Field(strict=True, ge=1, le=100, description="The same where there is doubt.")
    ] = 8
    top_k: Annotated[int, Field(strict=True, ge=2, le=50, description="Candidates looked at.")] = 10

    @model_validator(mode="after")
    def _doubt_below_match(self) -> Self:
        if self.new_below > self.similarity:
            raise PydanticCustomError("doubt", "new_below lies above similarity")
        return self


class Consolidation(Model):
    """When two identities are found to be one person; 1 and more never happens by itself."""

    merge_at: Annotated[
        float,
        Field(ge=0, le=1.01, description="Two fused faces this alike are merged; undone by split."),
    ] = 0.84
    propose_at: Annotated[
        float,
        Field(ge=0, le=1.01, description="This alike, a person is asked to say."),
    ] = 0.78


class Registry(Model):
    """How long and how many identities stay in memory after they were last seen."""

    ttl_s: Annotated[Seconds, Field(gt=0)] = 1800.0
    max_identities: Count = 50_000


class Tracking(Model):
    """How detections become tracks."""

    reorder_window_s: Annotated[
        float, Field(strict=True, ge=0, le=30, description="Wait for frames that come late.")
    ] = 1.0
    confirm_after_frames: Annotated[
        int, Field(strict=True, ge=1, le=50, description="Sightings before a track counts.")
    ] = 2
    lost_after_s: Annotated[
        float,
        Field(
            strict=True,
            gt=0,
            le=60,
            description="A track unseen for longer has ended; a person's, whose clothes tell who "
            "comes back, waits for 10 s if that is longer.",
        ),
    ] = 2.0


class Stays(Model):
    """How presence in zones becomes stays and presence at the site becomes visits."""

    leave_after_s: Annotated[Gap, Field(description="Out of a zone for this long: left.")] = 1.5
    bridge_s: Annotated[Gap, Field(description="Gap in a track that one stay survives.")] = 3.0
    visit_gap_s: Annotated[Seconds, Field(gt=0, description="Away for longer: a new visit.")] = (
        1800.0
    )


class Retention(Model):
    """After how many days unseen what is known is deleted; null keeps it until it is erased."""

    anonymous_days: Days | None = 30
    enrolled_days: Days | None = None
    vip_days: Days | None = None
    staff_days: Days | None = None
    watchlist_days: Days | None = None
    opted_out_days: Days | None = None
    insights_days: Days | None = 365
    detections_days: Annotated[
        Days,
        Field(description="How long the event log keeps detections, which carry embeddings."),
    ] = 1
    events_days: Annotated[
        Days, Field(description="How long the event log keeps what was derived from them.")
    ] = 7


class Alerts(Model):
    """How often somebody is told."""

    cooldown_s: Annotated[
        Seconds, Field(gt=0, description="Before the same VIP or watched person is told of again.")
    ] = 300.0


class Policies(Model):
    """The limits by which decisions are made; every one has a default."""

    matching: Matching = Matching()
    consolidation: Consolidation = Consolidation()
    registry: Registry = Registry()
    tracking: Tracking = Tracking()
    stays: Stays = Stays()
    retention: Retention = Retention()
    alerts: Alerts = Alerts()
