"""Customers, faces that resemble a photo, and erasures."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from trinetra.client.models.base import Resource
from trinetra.client.models.insights import Insight

CustomerKind = Literal["enrolled", "vip", "staff", "watchlist", "opted_out"]


class Customer(Resource):
    """An enrolled person; ``photos`` is how many photos the network in use has read."""

    customer_id: str
    name: str | None
    kind: str
    consent: bool
    purpose: str | None
    enrolled_at: datetime
    photos: int


class CustomerDetails(Resource):
    """A person: ``customer`` if enrolled, other ids, and the latest that is on record.

    ``may_be`` are ids that may be the same person. ``recorded`` counts all insights on record, of
    which ``timeline`` has the latest, newest first.
    """

    customer_id: str
    customer: Customer | None
    also_known_as: tuple[str, ...] = ()
    may_be: tuple[str, ...] = ()
    last_seen: datetime | None = None
    visits: int = 0
    recorded: int = 0
    timeline: tuple[Insight, ...] = ()


class CustomerUpdate(Resource):
    """What to change of a customer; what is left out stays as it is."""

    name: str | None = Field(default=None, max_length=100)
    kind: CustomerKind | None = None
    consent: bool = Field(default=False, description="The person has agreed to this kind.")
    purpose: str | None = Field(default=None, max_length=500, description="Why the face is kept.")


class CustomerOther(Resource):
    """The other one of two identities."""

    customer_id: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")


class FaceMatch(Resource):
    """A person with a similar face; ``is_match`` tells whether the platform would recognize it."""

    customer_id: str
    kind: str
    score: float
    is_match: bool
    name: str | None = None


class FaceMatches(Resource):
    """What a search by photo found, most similar first; ``quality`` is that of the face."""

    items: tuple[FaceMatch, ...]
    quality: float
    size_px: float


class MergeCandidate(Resource):
    """Two identities that may be one person."""

    customer_id: str
    other: str
    score: float | None
    proposed_at: datetime
    name: str | None = None
    other_name: str | None = None


class StaffCandidate(Resource):
    """A customer who behaves like staff, with the reasons; nothing was changed."""

    customer_id: str
    reasons: tuple[str, ...]
    days: int
    visits: int
    present_s: float


class SignedReceipt(Resource):
    """A receipt of an erasure with its signature; `trinetra customers verify-receipt` checks it."""

    receipt: dict[str, Any]
    public_key: str
    signature: str


class ErasureProgress(Resource):
    """How far the erasure of a person is; its receipt is final once ``is_done``."""

    customer_id: str
    is_done: bool
    asked_at: datetime
    done_at: datetime | None
    awaited: tuple[str, ...]
    receipt: SignedReceipt
