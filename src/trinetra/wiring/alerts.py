"""Builds the alert service: rules and recipients of the site file, channels, health of services."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.health.metrics import OwnMetrics, ScrapedMetrics
from trinetra.adapters.notify.mqtt import MqttChannel as MqttAdapter
from trinetra.adapters.notify.mqtt import MqttConfig
from trinetra.adapters.notify.people import CustomerLogNames, Naming
from trinetra.adapters.notify.webhook import WebhookChannel as WebhookAdapter
from trinetra.adapters.notify.webhook import WebhookConfig
from trinetra.alerts.desk import AlertDesk
from trinetra.alerts.notices import standing
from trinetra.alerts.policy import AlertPolicy, Recipient, default_severities
from trinetra.alerts.rules.health import NAMES
from trinetra.alerts.rules.plan import AlertPlan, RulePlan
from trinetra.alerts.schedule import Schedule
from trinetra.alerts.service import AlertPorts, AlertService
from trinetra.errors import ConfigurationError
from trinetra.events.alerts import RULES, RuleName, Severity
from trinetra.ports import AlertChannel, AlertStore, Clock, CustomerLog, EventLog, HealthFacts
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.site.alerts import (
    AppriseChannel,
    Channel,
    LastingRule,
    MqttChannel,
    Rule,
    WebhookChannel,
)
from trinetra.site.alerts import Recipient as SiteRecipient
from trinetra.site.sources import StreamSource
from trinetra.streaming.runner import RunnerPolicy
from trinetra.values import CameraId
from trinetra.wiring.assembly import Member
from trinetra.wiring.receiver import SiteReceiver
from trinetra.wiring.site_graph import opening_hours, weekly
from trinetra.wiring.stores import open_alert_store, open_customer_log

_DAY_S = 86_400.0
_COOLDOWN_S = 300.0
_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FROM_PERSON: frozenset[RuleName] = frozenset({"watchlist", "vip"})


@asynccontextmanager
async def open_alert_service(
    log: EventLog,
    site: Site,
    settings: Settings,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    member: Member,
) -> AsyncIterator[tuple[AlertService, AlertStore]]:
    """Open the alert service on a log, with its store and channels.

    Raises ConfigurationError for a channel whose secrets are not set, StorageFull or
    StoreUnavailable.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_alert_store(settings))
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        channels = open_channels(site, environ, store, customer_log, clock)
        health: HealthFacts = (
            OwnMetrics(NAMES)
            if member.ends_with_process
            else ScrapedMetrics(settings.metrics_urls, NAMES)
        )
        ports = AlertPorts(log, store, store, channels, clock, health)
        yield alert_service(site, ports, member), store


def alert_service(site: Site, ports: AlertPorts, member: Member) -> AlertService:
    """Return the alert service of a site on these ports."""
    days = site.policies.retention.insights_days
    return AlertService(
        ports,
        alert_policy(site),
        member=member.instance,
        keep_s=days * _DAY_S if days else None,
        running=RunnerPolicy(
            max_records=500,
            poll_wait_s=0.5,
            linger_s=0.0 if member.ends_with_process else 0.05,
            drains_at_stop=member.ends_with_process,
        ),
    )


def live_alerts(service: AlertService) -> SiteReceiver:
    """Return what lets an alert service take over the rules and recipients of a changed site."""

    async def change(site: Site) -> None:
        service.change(alert_policy(site))

    return SiteReceiver("alerts", change)


@asynccontextmanager
async def open_alert_desk(settings: Settings) -> AsyncIterator[AlertDesk]:
    """Open the list of alerts, as commands and web pages use it; raises as ``open_store`` does."""
    async with open_alert_store(settings) as store:
        yield AlertDesk(store, SystemClock())


# --- channels ---------------------------------------------------------------------------------


def open_channels(
    site: Site,
    environ: Mapping[str, str],
    store: AlertStore,
    customer_log: CustomerLog,
    clock: Clock,
) -> dict[str, AlertChannel]:
    """Return the channels of a site by id. Raises ConfigurationError for unset variables."""
    names = CustomerLogNames(customer_log)

    opened: dict[str, AlertChannel] = {}
    for channel in site.alerts.channels:
        if unset := channel.unset_variables(environ):
            raise ConfigurationError(
                f"alerts: channel {channel.id} needs {' and '.join(unset)} in the environment: set "
                "it before you start, or remove the channel"
            )
        naming = Naming(names if channel.names else None)
        match channel:
            case WebhookChannel():
                opened[channel.id] = WebhookAdapter(webhook_config(channel, environ), clock, naming)
            case MqttChannel():
                config = mqtt_config(channel, environ)
                opened[channel.id] = MqttAdapter(
                    config, site.site_id, partial(standing, store), clock, naming
                )
            case AppriseChannel():
                opened[channel.id] = _apprise(channel, environ, naming)
    return opened


def webhook_config(channel: WebhookChannel, environ: Mapping[str, str]) -> WebhookConfig:
    """Return where a webhook sends, with its secret."""
    secret = environ[channel.secret_env] if channel.secret_env else None
    return WebhookConfig(channel.webhook, secret, channel.allow_private, channel.timeout_s)


def mqtt_config(channel: MqttChannel, environ: Mapping[str, str]) -> MqttConfig:
    """Return the broker of a channel, with its credentials."""
    parts = urlsplit(channel.mqtt)
    return MqttConfig(
        host=parts.hostname or "",
        port=parts.port or _MQTT_PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        username=environ[channel.username_env] if channel.username_env else None,
        password=environ[channel.password_env] if channel.password_env else None,
        prefix=channel.topic,
        discovery=channel.discovery,
    )


def _apprise(channel: AppriseChannel, environ: Mapping[str, str], naming: Naming) -> AlertChannel:
    # It takes 0.6 s to import, and most shops have no such channel.
    from trinetra.adapters.notify.apprise import AppriseChannel as AppriseAdapter  # noqa: PLC0415

    return AppriseAdapter(environ[channel.apprise_env], channel.apprise_env, naming)


# --- rules and recipients ---------------------------------------------------------------------


def alert_policy(site: Site) -> AlertPolicy:
    """Return what becomes of findings at a site."""
    return AlertPolicy(
        site_id=site.site_id,
        timezone=site.timezone,
        plan=alert_plan(site),
        recipients=tuple(_recipient(each, site.timezone) for each in site.alerts.recipients),
        tells_closings=frozenset(c.id for c in site.alerts.channels if _tells_closings(c)),
    )


def _tells_closings(channel: Channel) -> bool:
    if isinstance(channel, WebhookChannel):
        return channel.closings
    return isinstance(channel, MqttChannel)


def _recipient(recipient: SiteRecipient, timezone: str) -> Recipient:
    return Recipient(
        recipient_id=recipient.id,
        channels=recipient.channels,
        rules=frozenset(recipient.rules),
        min_severity=recipient.min_severity,
        schedule=Schedule(weekly(recipient.hours, timezone), weekly(recipient.quiet, timezone)),
        critical_any_time=recipient.critical_any_time,
        max_per_day=recipient.max_per_day,
        after_s=recipient.after_minutes * 60,
    )


def alert_plan(site: Site) -> AlertPlan:
    """Return the rules in force at a site."""
    rules = site.alerts.rules
    return AlertPlan(
        rules=dict(_rule_plans(site)),
        queues=frozenset(
            (camera.camera_id, zone.id)
            for camera in site.cameras
            for zone in camera.zones
            if zone.kind == "queue"
        ),
        crowded={
            (CameraId(limit.zone[0]), limit.zone[1]): limit.people
            for limit in rules.occupancy.zones
        },
        tailgating=frozenset((CameraId(camera), line) for camera, line in rules.tailgating.lines),
        one_way={
            (CameraId(each.line[0]), each.line[1]): each.direction
            for each in rules.wrong_direction.lines
        },
        cameras=frozenset(camera.camera_id for camera in site.cameras),
        live=frozenset(c.camera_id for c in site.cameras if isinstance(c.source, StreamSource)),
        hours=opening_hours(site),
        grace_s=rules.after_hours.grace_minutes * 60,
    )


def _rule_plans(site: Site) -> Iterator[tuple[RuleName, RulePlan]]:
    severities, limits = default_severities(), _limits(site)
    for name in RULES:
        rule: Rule = getattr(site.alerts.rules, name)
        if rule.enabled:
            limit, for_s = limits.get(name, (0.0, 0.0))
            yield name, _rule_plan(site, name, rule, severities[name], limit, for_s)


def _rule_plan(
    site: Site, name: RuleName, rule: Rule, severity: Severity, limit: float, for_s: float
) -> RulePlan:
    usual_s = site.policies.alerts.cooldown_s if name in _FROM_PERSON else _COOLDOWN_S
    return RulePlan(
        severity=rule.severity or severity,
        cooldown_s=usual_s if rule.cooldown_s is None else rule.cooldown_s,
        limit=limit,
        for_s=rule.for_s if isinstance(rule, LastingRule) else for_s,
    )


def _limits(site: Site) -> dict[RuleName, tuple[float, float]]:
    """Return limit and window of the rules that have one, in people, seconds, or as a share."""
    rules = site.alerts.rules
    return {
        "queue_length": (rules.queue_length.people, 0.0),
        "occupancy": (rules.occupancy.people or 0.0, 0.0),
        "tailgating": (rules.tailgating.within_s, 0.0),
        "frames_dropped": (rules.frames_dropped.share, rules.frames_dropped.over_s),
        "latency": (rules.latency.p99_s, rules.latency.over_s),
        "figure_incomplete": (rules.figure_incomplete.minutes * 60, 0.0),
    }
