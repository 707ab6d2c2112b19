"""alert-service: judges events and health, and sends what follows from them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from trinetra.alerts.dispatch import Dispatcher, DispatchPolicy
from trinetra.alerts.health_task import HealthTask
from trinetra.alerts.notices import NoticeUpkeep, NoticeWriter
from trinetra.alerts.policy import AlertPolicy
from trinetra.alerts.processors import NAME, InsightProcessor, ReportedProcessor
from trinetra.ports import AlertChannel, AlertOutbox, AlertStore, Clock, EventLog, HealthFacts
from trinetra.streaming.background import BackgroundTask
from trinetra.streaming.runner import RunnerPolicy, StreamRunner


@dataclass(frozen=True, slots=True)
class AlertPorts:
    """The ports of an alert service; ``store`` and ``outbox`` are in one database.

    Without ``health`` the rules about cameras and services find nothing.
    """

    log: EventLog
    store: AlertStore
    outbox: AlertOutbox
    channels: Mapping[str, AlertChannel]
    clock: Clock
    health: HealthFacts | None = None


class AlertService:
    """Consumes alert events and insights, and sends notices beside that."""

    def __init__(
        self,
        ports: AlertPorts,
        policy: AlertPolicy,
        *,
        member: str,
        keep_s: float | None,
        running: RunnerPolicy,
        dispatching: DispatchPolicy | None = None,
    ) -> None:
        """``member`` is the name of this process among the alert services."""
        self.dispatcher = Dispatcher(
            ports.channels,
            ports.store,
            ports.outbox,
            ports.clock,
            member=member,
            policy=dispatching,
        )
        self._writer = NoticeWriter(ports.store, policy, ports.clock, self.dispatcher.wake)
        self._upkeep = NoticeUpkeep(
            ports.store, ports.outbox, self._writer, ports.clock, keep_s=keep_s
        )
        self._health = (
            HealthTask(policy.plan, ports.health, self._writer, ports.clock)
            if ports.health is not None
            else None
        )
        self._reported = ReportedProcessor(policy.plan, self._writer)
        self._insights = InsightProcessor(policy.plan, self._writer, ports.clock)
        tasks: list[BackgroundTask] = [self._upkeep]
        self._runner = StreamRunner(
            NAME,
            ports.log,
            ports.clock,
            [self._reported, self._insights],
            tasks=[*tasks, self._health] if self._health else tasks,
            policy=running,
        )

    def change(self, policy: AlertPolicy) -> None:
        """Go by other rules and recipients from the next events on; channels stay as they are."""
        self._writer.change(policy)
        self._reported.change(policy.plan)
        self._insights.change(policy.plan)
        if self._health:
            self._health.change(policy.plan)
        self._upkeep.hasten()

    @property
    def name(self) -> str:
        """The service's name in logs, metrics and on the health page."""
        return NAME

    def ready(self) -> bool:
        """Return whether events are read; a channel that is down is only shown."""
        return self._runner.ready()

    def status(self) -> object:
        """Return what the health page shows."""
        return {
            **self._runner.status(),
            "channels": self.dispatcher.status(),
            "watches_health": self._health is not None,
        }

    async def run(self, stopping: asyncio.Event) -> None:
        """Judge and send until told to stop; what is judged last is still sent, if it can be."""
        all_judged = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatcher.run(all_judged), name="dispatcher")
            await self._runner.run(stopping)
            all_judged.set()
