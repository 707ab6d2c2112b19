"""Reads the health of cameras and services now and then, and judges it (BackgroundTask)."""

from trinetra.alerts.notices import NoticeWriter
from trinetra.alerts.rules.health import HealthRules
from trinetra.alerts.rules.plan import AlertPlan
from trinetra.alerts.rules.signal import Signal
from trinetra.errors import ServerUnavailable
from trinetra.ports import Clock, HealthFacts, Sample
from trinetra.streaming.background import Poller
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import get_logger

EVERY_S = 5.0


class HealthTask:
    """Judges each reading of the metrics; what it finds waits while the store is unavailable."""

    def __init__(
        self,
        plan: AlertPlan,
        facts: HealthFacts,
        writer: NoticeWriter,
        clock: Clock,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._rules = HealthRules(plan)
        self._writer = writer
        self._clock = clock
        self._poller: Poller[list[Sample]] = Poller(facts.read, clock, every_s=every_s)
        self._outage = OutageTracker(clock, get_logger("alert-service"), "metrics of a service")
        self._pending: list[Signal] = []

    def change(self, plan: AlertPlan) -> None:
        """Apply other rules from the next reading on."""
        self._rules.change(plan)

    async def tend(self) -> None:
        """Read and judge if it is due. Raises StorageFull or StoreUnavailable."""
        if (samples := await self._answer()) is not None:
            self._pending += self._rules.read(self._clock.now(), samples)
        if self._pending:
            await self._writer.record(self._pending)
            self._pending = []

    async def close(self) -> None:
        """Stop reading; may be called more than once."""
        await self._poller.close()

    async def _answer(self) -> list[Sample] | None:
        try:
            samples = await self._poller.answer()
        except ServerUnavailable as cause:
            self._outage.note(cause)
            return None
        if samples is not None:
            self._outage.end()
        return samples
