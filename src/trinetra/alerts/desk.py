"""The list of alerts for people: read, acknowledge, mute, arm. Used by commands and by the web."""

from collections.abc import Sequence

from trinetra.alerts.handling import acknowledged
from trinetra.events.alerts import (
    Arming,
    Board,
    BoardChange,
    BoardQuery,
    Mute,
    Notice,
    NoticeDelivery,
    NoticePage,
    NoticeState,
    RuleName,
)
from trinetra.ports import AlertStore, Clock
from trinetra.values import Instant


class AlertDesk:
    """What people do with alerts. Every method may raise StoreUnavailable."""

    def __init__(self, store: AlertStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list(
        self,
        state: NoticeState | None = None,
        since: Instant | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> NoticePage:
        """Return notices, newest first; ``cursor`` is that of the page before.

        Raises ValueError for a cursor that no page had.
        """
        return await self._store.notices(state, since, limit, cursor)

    async def acknowledge(self, alert_id: str, by: str) -> Notice | None:
        """Note who takes care of an alert, so that it does not escalate; None: no such alert.

        Idempotent: the first one who acknowledged it stays on record.
        """
        now = self._clock.now()
        query = BoardQuery(alert_ids=frozenset({alert_id}))
        found: list[Notice] = []

        def decide(board: Board) -> BoardChange:
            found[:] = [acknowledged(notice, by, now) for notice in board.selected]
            return BoardChange(notices=tuple(found))

        await self._store.change(query, decide)
        return found[0] if found else None

    async def mute(self, rule: RuleName, subject: str | None, until: Instant, by: str) -> Mute:
        """Send nothing about a rule, or one subject of it, until an instant; one in the past ends.

        What happens meanwhile is listed.
        """
        mute = Mute(rule=rule, subject=subject, until=until, by=by, at=self._clock.now())
        await self._store.control(mute)
        return mute

    async def mutes(self) -> tuple[Mute, ...]:
        """Return the mutes in force."""
        now, controls = self._clock.now(), await self._store.controls()
        return tuple(mute for mute in controls.mutes if now < mute.until)

    async def arm(self, armed: bool, by: str) -> Arming:  # noqa: FBT001 - it is the value
        """Send alerts about intruders from now on, or only list them."""
        arming = Arming(armed=armed, by=by, at=self._clock.now())
        await self._store.control(arming)
        return arming

    async def armed(self) -> bool:
        """Return whether alerts about intruders are sent."""
        return (await self._store.controls()).armed

    async def deliveries(self, alert_id: str) -> Sequence[NoticeDelivery] | None:
        """Return what was sent about an alert and what waits; None if there is no such alert."""
        return await self._store.deliveries(alert_id)
