"""Customer changes: the sequence that the customer log stores, and the state it folds into.

Every service folds the sequence for itself, so all services agree on identities as soon as they
have read the same changes. Only information beyond the events of the log belongs here: an anonymous
identity that was never merged has no change at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import msgspec

from trinetra.errors import CustomerConflict, MalformedState
from trinetra.events.schema import LifecycleEvent
from trinetra.values import CustomerId, IdentityKind, Instant, derive_id

ChangeKind = Literal[
    "enrolled",
    "renamed",
    "merge_proposed",
    "merge_dismissed",
    "merged",
    "split",
    "erased",
    "unknown",
]
_UNKNOWN: ChangeKind = "unknown"
"""Read in place of a change that a later version wrote: it has no effect and is never written."""


class CustomerChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change; ``change_id`` is derived from its content, so that writing it is idempotent.

    ``merged``: ``customer_id`` becomes an alias of ``other``; ``split`` reverses that. ``enrolled``
    and ``renamed`` carry kind, name, consent and purpose. ``erased`` identifies its person by
    digest. ``name`` is personal data: it never leaves the customer log.
    """

    change_id: str
    change: ChangeKind
    customer_id: CustomerId
    at: Instant
    by: Literal["resolver", "operator"] = "operator"
    kind: IdentityKind | None = None
    name: str | None = None
    consent: bool = False
    purpose: str | None = None
    other: CustomerId | None = None
    score: float | None = None
    reason: str = ""


class NumberedChange(NamedTuple):
    """A change and its number in the customer log; numbers increase and may have gaps."""

    number: int
    change: CustomerChange


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CustomerChange)


class _Outline(msgspec.Struct, frozen=True):
    """The fields of a change that every version has."""

    change_id: str
    change: str
    customer_id: CustomerId
    at: Instant
    kind: str | None = None

    @property
    def is_of_later_version(self) -> bool:
        kinds = {None, *(kind.value for kind in IdentityKind)}
        return self.change not in get_args(ChangeKind) or self.kind not in kinds


_outline_decoder = msgspec.json.Decoder(_Outline)


def encode_change(change: CustomerChange) -> bytes:
    """Return the change as one JSON object."""
    return _encoder.encode(change)


def decode_change(payload: bytes) -> CustomerChange:
    """Return the change in ``payload``. Raises MalformedState with the reason.

    A change of a kind that only a later version knows is read as ``unknown``, so that both versions
    can run at once.
    """
    try:
        change = _decoded(payload)
    except (msgspec.MsgspecError, RecursionError, ValueError) as cause:
        raise MalformedState(f"not a valid customer change: {cause}") from cause
    if change.at.tzinfo is None:
        raise MalformedState(f"change {change.change_id}: its instant has no UTC offset")
    return change


def _decoded(payload: bytes) -> CustomerChange:
    try:
        return _decoder.decode(payload)
    except msgspec.ValidationError:
        outline = _outline_decoder.decode(payload)
        if not outline.is_of_later_version:
            raise
        return CustomerChange(
            change_id=outline.change_id,
            change=_UNKNOWN,
            customer_id=outline.customer_id,
            at=outline.at,
        )


def erasure_digest(customer_id: CustomerId) -> CustomerId:
    """Return the digest that replaces the id of an erased person."""
    return CustomerId(derive_id("erased", customer_id))


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer log's state of one customer."""

    customer_id: CustomerId
    kind: IdentityKind
    name: str | None
    consent: bool
    purpose: str | None
    enrolled_at: Instant


def described(who: CustomerId, change: CustomerChange, before: Customer | None) -> Customer:
    """Return a customer after an ``enrolled`` or ``renamed`` change.

    Consent to one kind is not consent to another, and a purpose applies only to its kind: if the
    kind changes, consent and purpose are not carried over.
    """
    if before is None:
        kind = change.kind or IdentityKind.ENROLLED
        return Customer(who, kind, change.name, change.consent, change.purpose, change.at)
    kind = change.kind or before.kind
    is_same = kind is before.kind
    return Customer(
        customer_id=who,
        kind=kind,
        name=before.name if change.name is None else change.name,
        consent=change.consent or (is_same and before.consent),
        purpose=change.purpose or (before.purpose if is_same else None),
        enrolled_at=before.enrolled_at,
    )


@dataclass(slots=True)
class CustomerDirectory:
    """State after all changes so far; ``number`` is that of the last change."""

    number: int = 0
    customers: dict[CustomerId, Customer] = field(default_factory=dict)
    merged: dict[CustomerId, CustomerId] = field(default_factory=dict)
    proposed: dict[tuple[CustomerId, CustomerId], CustomerChange] = field(default_factory=dict)
    dismissed: set[tuple[CustomerId, CustomerId]] = field(default_factory=set)
    erased: set[CustomerId] = field(default_factory=set)

    def canonical(self, customer_id: CustomerId) -> CustomerId:
        """Return the canonical id of a customer after all merges."""
        # Terminates: check() refuses a merge that would close a cycle.
        while (other := self.merged.get(customer_id)) is not None:
            customer_id = other
        return customer_id

    def kind_of(self, customer_id: CustomerId) -> IdentityKind | None:
        """Return a customer's kind, or None if the customer log has no entry for it."""
        known = self.customers.get(self.canonical(customer_id))
        return known.kind if known else None

    def as_known(
        self, customer_id: CustomerId, kind: IdentityKind
    ) -> tuple[CustomerId, IdentityKind]:
        """Return the current id and kind; ``kind`` is the default if the log has no entry."""
        return self.canonical(customer_id), self.kind_of(customer_id) or kind

    def is_proposed(self, one: CustomerId, two: CustomerId) -> bool:
        """Return whether an operator is to say if these two are one person."""
        return _pair(one, two) in self.proposed

    def is_erased(self, customer_id: CustomerId) -> bool:
        """Return whether a customer was erased."""
        return bool(self.erased) and erasure_digest(customer_id) in self.erased

    def members(self, customer_id: CustomerId) -> set[CustomerId]:
        """Return all ids of this person."""
        head = self.canonical(customer_id)
        return {head, *(c for c in self.merged if self.canonical(c) == head)}

    def check(self, change: CustomerChange) -> None:
        """Raise CustomerConflict if a change contradicts earlier ones."""
        if fault := self._fault(change):
            raise CustomerConflict(fault)

    def apply(self, changes: Iterable[NumberedChange]) -> None:
        """Apply changes that follow the ones so far."""
        erased = len(self.erased)
        for number, change in changes:
            self._apply(change)
            self.number = number
        if len(self.erased) > erased:  # once for all erasures, because it scans every customer
            self._forget_erased()

    def copy(self) -> "CustomerDirectory":
        """Return an independent copy, to try changes on."""
        return CustomerDirectory(
            self.number,
            dict(self.customers),
            dict(self.merged),
            dict(self.proposed),
            set(self.dismissed),
            set(self.erased),
        )

    def follow(self, event: LifecycleEvent) -> None:
        """Apply a merge or its reversal, for event readers without the customer log."""
        if event.change == "merged" and event.other is not None:
            self.merged[event.customer_id] = event.other
        elif event.change == "split":
            self.merged.pop(event.customer_id, None)

    def _fault(self, change: CustomerChange) -> str | None:
        who, other = change.customer_id, change.other
        if change.change == _UNKNOWN:
            return (
                f"change {change.change_id} of {who} has a kind that this version does not know: "
                "upgrade"
            )
        if change.change != "erased" and (self.is_erased(who) or (other and self.is_erased(other))):
            return f"{who} was erased: that identity can no longer be changed"
        if change.change in {"merged", "merge_proposed", "merge_dismissed", "split"} and not other:
            return f"a {change.change} change of {who} needs a second identity"
        if change.change == "merged":
            return self._fault_of_merge(who, other) or self._fault_of_merger(change)
        if change.change == "split" and self.merged.get(who) != other:
            return f"{who} is not merged into {other}: there is nothing to undo"
        return None

    def _fault_of_merge(self, who: CustomerId, other: CustomerId | None) -> str | None:
        if other is None or who == other:
            return f"{who} cannot be merged with itself"
        if who in self.merged:
            return f"{who} is already merged into {self.merged[who]}"
        if self.canonical(other) == who:
            return f"{other} is already merged into {who}"
        return None

    def _fault_of_merger(self, change: CustomerChange) -> str | None:
        """Return why a resolver may not make this merge: it may be older than an enrollment."""
        if change.by != "resolver":
            return None
        for party in (change.customer_id, change.other):
            if party and self.kind_of(party) not in {None, IdentityKind.ANONYMOUS}:
                return f"{party} is enrolled: only a person can merge it with another identity"
        return None

    def _apply(self, change: CustomerChange) -> None:
        who, other = change.customer_id, change.other
        match change.change:
            case "enrolled" | "renamed":
                self._describe(change)
            case "erased":
                self.erased.add(who)
            case _ if other is None:
                return
            case "merge_proposed" if _pair(who, other) not in self.dismissed:
                self.proposed[_pair(who, other)] = change
            case "merge_dismissed":
                self._separate(who, other)
            case "merged":
                self.merged[who] = other
                self.proposed.pop(_pair(who, other), None)
                self.dismissed.discard(_pair(who, other))
            case "split":
                self.merged.pop(who, None)
                self._separate(who, other)

    def _describe(self, change: CustomerChange) -> None:
        who = change.customer_id
        self.customers[who] = described(who, change, self.customers.get(who))

    def _separate(self, who: CustomerId, other: CustomerId) -> None:
        """Record that an operator declared these two identities to be different people."""
        self.proposed.pop(_pair(who, other), None)
        self.dismissed.add(_pair(who, other))

    def _forget_erased(self) -> None:
        # Erasures are known only by digest, so every remaining id has to be hashed and compared.
        self.customers = {c: v for c, v in self.customers.items() if not self.is_erased(c)}
        self.merged = {
            c: o for c, o in self.merged.items() if not (self.is_erased(c) or self.is_erased(o))
        }
        self.proposed = {
            pair: v for pair, v in self.proposed.items() if not any(map(self.is_erased, pair))
        }
        self.dismissed = {p for p in self.dismissed if not any(map(self.is_erased, p))}


def _pair(one: CustomerId, two: CustomerId) -> tuple[CustomerId, CustomerId]:
    return (one, two) if one < two else (two, one)
