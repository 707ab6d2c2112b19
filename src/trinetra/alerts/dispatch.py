"""Sends the deliveries of the outbox, on every channel in order, through outages of receivers.

Each channel has a lane of its own, so that one that is down holds up no other. A delivery is
settled after its channel took it: after a crash in between it is sent again, under the same id.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from trinetra.alerts.policy import reason_to_skip
from trinetra.errors import DeliveryFailed, DeliveryRefused, StoreUnavailable
from trinetra.events.alerts import DeliveryState, NoticeDelivery, Outgoing
from trinetra.ports import AlertChannel, AlertOutbox, AlertStore, Clock
from trinetra.redaction import mask_urls
from trinetra.streaming.concurrency import run_until
from trinetra.streaming.retry import Backoff, OutageTracker
from trinetra.telemetry import (
    ALERT_CHANNEL_UP,
    ALERT_DELIVERIES,
    ALERT_DELIVERY_S,
    get_logger,
)
from trinetra.values import seconds_between

_log = get_logger("alert-service")
_MOST = 10
_LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """How messages are sent.

    ``look_every_s``: how often the outbox is looked at without being woken. A message that no
    attempt could deliver is given up after ``give_up_s``.
    """

    look_every_s: float = 2.0
    give_up_s: float = 86_400.0
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 30.0))


class Lane:
    """Sends what waits for one channel."""

    def __init__(
        self,
        name: str,
        channel: AlertChannel,
        store: AlertStore,
        outbox: AlertOutbox,
        clock: Clock,
        *,
        member: str,
        policy: DispatchPolicy,
    ) -> None:
        self.name = name
        self._channel = channel
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._member = member
        self._policy = policy
        self._work = asyncio.Event()
        self._outage = OutageTracker(clock, _log, f"channel {name}")
        self._pause_s = policy.backoff.first_s
        self.sent = 0

    @property
    def problem(self) -> str | None:
        """Why nothing can be sent now."""
        return self._outage.cause

    def wake(self) -> None:
        """Look at the outbox now; during an outage it waits for the next attempt."""
        self._work.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until told to stop, then once more what waits."""
        try:
            while not stopping.is_set():
                self._work.clear()
                if await self.send_due():
                    waiting = self._wait_for_work()
                else:
                    waiting = self._clock.sleep(self._pause_s)
                    self._pause_s = min(2 * self._pause_s, self._policy.backoff.longest_s)
                await run_until(stopping, waiting)
            if self.problem is None:
                await self.send_due()
        finally:
            await self._channel.close()

    async def send_due(self) -> bool:
        """Send all that is due; return False if channel or store did not take something."""
        try:
            await self._channel.tend()
            while taken := await self._take():
                await self._send_all(taken)
        except (DeliveryFailed, StoreUnavailable) as cause:
            self._outage.note(cause)
            return False
        self._outage.end()
        self._pause_s = self._policy.backoff.first_s
        return True

    async def _wait_for_work(self) -> None:
        work = asyncio.ensure_future(self._work.wait())
        sleep = asyncio.ensure_future(self._clock.sleep(self._policy.look_every_s))
        try:
            await asyncio.wait({work, sleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (work, sleep):
                each.cancel()
            await asyncio.gather(work, sleep, return_exceptions=True)

    async def _take(self) -> list[Outgoing]:
        now = self._clock.now()
        return await self._outbox.take(self.name, self._member, now, _LEASE_S, _MOST)

    async def _send_all(self, taken: Sequence[Outgoing]) -> None:
        """Send in order until the lease is half over; raise what the channel did not take."""
        taken_s = self._clock.monotonic()
        for outgoing in taken:
            if self._clock.monotonic() - taken_s > _LEASE_S / 2:
                return
            await self._send(outgoing)

    async def _send(self, outgoing: Outgoing) -> None:
        delivery = outgoing.delivery
        if delivery.held:
            controls = await self._store.controls()
            if reason := reason_to_skip(outgoing, controls, self._clock.now()):
                await self._settle(delivery, "skipped", reason)
                return
        try:
            await self._channel.send(outgoing)
        except DeliveryRefused as refusal:
            await self._settle(delivery, "dead", str(refusal))
        except DeliveryFailed as failure:
            await self._failed(delivery, failure)
        else:
            await self._settle(delivery, "sent", "")

    async def _failed(self, delivery: NoticeDelivery, failure: DeliveryFailed) -> None:
        """Keep a message for the next attempt, or give it up; either way the lane pauses."""
        ALERT_CHANNEL_UP.labels(self.name).set(0)
        age_s = seconds_between(delivery.created_at, self._clock.now())
        if age_s > self._policy.give_up_s:
            await self._settle(delivery, "dead", str(failure))
        else:
            ALERT_DELIVERIES.labels(self.name, "failed").inc()
            problem = mask_urls(str(failure))
            again = replace(delivery, attempts=delivery.attempts + 1, problem=problem)
            await self._outbox.settle([again])
        raise failure

    async def _settle(self, delivery: NoticeDelivery, state: DeliveryState, problem: str) -> None:
        now = self._clock.now()
        attempts = delivery.attempts + (state != "skipped")
        settled = replace(
            delivery, state=state, attempts=attempts, problem=mask_urls(problem), settled_at=now
        )
        await self._outbox.settle([settled])
        ALERT_DELIVERIES.labels(self.name, state).inc()
        if state == "sent":
            self.sent += 1
            ALERT_CHANNEL_UP.labels(self.name).set(1)
            if not delivery.held:
                age_s = seconds_between(delivery.created_at, now)
                ALERT_DELIVERY_S.labels(self.name).observe(age_s)
        elif state == "dead":
            _log.error(
                "message about an alert given up",
                channel=self.name,
                id=delivery.delivery_id,
                problem=settled.problem,
            )


class Dispatcher:
    """The lanes of all channels."""

    def __init__(
        self,
        channels: Mapping[str, AlertChannel],
        store: AlertStore,
        outbox: AlertOutbox,
        clock: Clock,
        *,
        member: str,
        policy: DispatchPolicy | None = None,
    ) -> None:
        self.lanes = [
            Lane(
                name,
                channel,
                store,
                outbox,
                clock,
                member=member,
                policy=policy or DispatchPolicy(),
            )
            for name, channel in channels.items()
        ]

    def wake(self) -> None:
        """Look at the outbox now."""
        for lane in self.lanes:
            lane.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send on all channels until told to stop."""
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(lane.run(stopping), name=f"channel {lane.name}")

    def status(self) -> dict[str, object]:
        """Return what was sent, and what each channel is waiting for."""
        return {
            lane.name: {"sent": lane.sent} | ({"waiting": lane.problem} if lane.problem else {})
            for lane in self.lanes
        }
