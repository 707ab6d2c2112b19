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
        writer = NoticeWriter(ports.store, policy, ports.clock, self.dispatcher.wake)
        tasks: list[BackgroundTask] = [
            NoticeUpkeep(ports.store, ports.outbox, ports.clock, keep_s=keep_s)
        ]
        if ports.health is not None:
            tasks.append(HealthTask(policy.plan, ports.health, writer, ports.clock))
        self._runner = StreamRunner(
            NAME,
            ports.log,
            ports.clock,
            [
                ReportedProcessor(policy.plan, writer),
                InsightProcessor(policy.plan, writer, ports.clock),
            ],
            tasks=tasks,
            policy=running,
        )
        self._watches_health = ports.health is not None

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
            "watches_health": self._watches_health,
        }

    async def run(self, stopping: asyncio.Event) -> None:
        """Judge and send until told to stop; what is judged last is still sent, if it can be."""
        all_judged = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatcher.run(all_judged), name="dispatcher")
            await self._runner.run(stopping)
            all_judged.set()
