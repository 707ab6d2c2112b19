"""Context of a shop's figures that no camera sees: weather, staff hours, promotions, targets."""

from typing import Literal, get_args

import msgspec

from trinetra.values import Instant, SiteId, derive_id

ContextKind = Literal["weather", "staff_hours", "promotion", "note", "target"]
CONTEXT_KINDS: tuple[ContextKind, ...] = get_args(ContextKind)


class ContextEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact about a half-open span of time.

    ``name`` says what ``value`` is (temperature_c, transactions); of a promotion or note it is
    empty or a short name, and ``text`` tells the rest. An entry of the same site, kind, name and
    start replaces an earlier one.
    """

    site_id: SiteId
    kind: ContextKind
    name: str
    starts_at: Instant
    ends_at: Instant
    value: float | None = None
    text: str = ""

    @property
    def entry_id(self) -> str:
        """Id that follows from site, kind, name and start."""
        return derive_id("ctx", self.site_id, self.kind, self.name, self.starts_at)
