"""``trinetra alerts``: the list of alerts, what silences them, and what could not be sent."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from trinetra.adapters.clock import SystemClock
from trinetra.alerts.desk import AlertDesk
from trinetra.commands.console import note, output, print_text
from trinetra.errors import ConfigurationError, DeliveryFailed, DeliveryRefused
from trinetra.events.alerts import (
    RULES,
    Notice,
    NoticeDelivery,
    NoticeState,
    Outgoing,
    RuleName,
)
from trinetra.ports import AlertChannel, AlertOutbox
from trinetra.redaction import mask_urls
from trinetra.settings import load_settings
from trinetra.site import load_site
from trinetra.values import SiteId, derive_id
from trinetra.wiring.alerts import open_channels
from trinetra.wiring.stores import open_alert_store, open_customer_log

T = TypeVar("T")
_LIMIT = 50
_STATES: tuple[NoticeState, ...] = ("open", "acknowledged", "closed")
_State = Annotated[
    str, typer.Option("--state", help="open, acknowledged, closed or all; what to list.")
]
_SiteFile = Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    group = typer.Typer(no_args_is_help=True)
    for command in (ack, mute, arm, disarm, test, retry):
        group.command(command.__name__)(command)
    group.command("list")(list_alerts)
    group.command("dead-letters")(dead_letters)
    app.add_typer(group, name="alerts", help="Alerts: list, acknowledge, mute, try channels.")


def list_alerts(*, state: _State = "open", last: int = _LIMIT) -> None:
    """List alerts, the newest first, and what to do about each."""
    if state not in {*_STATES, "all"}:
        raise ConfigurationError(f"--state {state}: choose open, acknowledged, closed or all")
    wanted = next((each for each in _STATES if each == state), None)

    async def work(desk: AlertDesk, _: AlertOutbox) -> None:
        page = await desk.list(wanted, limit=last)
        armed, mutes = await desk.armed(), await desk.mutes()
        _show(page.notices)
        if not armed:
            note("disarmed: alerts about intruders are listed but not sent (trinetra alerts arm)")
        for each in mutes:
            about = f"{each.rule} {each.subject or ''}".strip()
            note(f"muted until {each.until:%Y-%m-%d %H:%M} UTC: {about} (by {each.by})")

    _run(work)


def ack(alert_id: Annotated[str, typer.Argument(metavar="ALERT")]) -> None:
    """Note that you take care of an alert, so that it does not escalate."""

    async def work(desk: AlertDesk, _: AlertOutbox) -> None:
        notice = await desk.acknowledge(alert_id, _user())
        if notice is None:
            raise ConfigurationError(f"no alert {alert_id}: `trinetra alerts list` shows their ids")
        by = f" by {notice.by}" if notice.by else ""
        print_text(f"{notice.alert_id}: {notice.state}{by}\nWhat to do: {notice.advice}\n")

    _run(work)


def mute(
    rule: Annotated[str, typer.Argument(help="Name of the rule, such as queue_length.")],
    subject: Annotated[
        str | None, typer.Argument(help="Only this subject, as the list shows it.")
    ] = None,
    *,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, max=43_200, help="For how long; 0 ends a mute.")
    ] = 60.0,
) -> None:
    """Send nothing about a rule for a while; what happens is listed all the same."""
    name = _rule(rule)
    until = datetime.now(UTC) + timedelta(minutes=minutes)

    async def work(desk: AlertDesk, _: AlertOutbox) -> None:
        await desk.mute(name, subject, until, _user())
        what = f"{name} {subject or ''}".strip()
        told = f"muted until {until:%Y-%m-%d %H:%M} UTC" if minutes else "not muted any more"
        print_text(f"{what}: {told}\n")

    _run(work)


def arm() -> None:
    """Send alerts about intruders again."""
    _set_armed(armed=True)


def disarm() -> None:
    """Only list alerts about intruders, for example during work after hours."""
    _set_armed(armed=False)


def test(
    channel: Annotated[str, typer.Argument(help="Id of the channel in the site file.")],
    *,
    site: _SiteFile,
) -> None:
    """Send a test message on a channel now, and tell exactly what came of it."""
    loaded = load_site(site)
    known = [each.id for each in loaded.alerts.channels]
    if channel not in known:
        listed = f"it has {', '.join(known)}" if known else "it has none: see docs/alerts.md"
        raise ConfigurationError(f"no channel {channel} in {site}; {listed}")
    alone = [each for each in loaded.alerts.channels if each.id == channel]
    alerts = loaded.alerts.model_copy(update={"channels": tuple(alone)})
    only = loaded.model_copy(update={"alerts": alerts})

    async def work() -> str:
        settings, clock = load_settings(), SystemClock()
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_alert_store(settings))
            customer_log = await stack.enter_async_context(open_customer_log(settings))
            opened = open_channels(only, os.environ, store, customer_log, clock)[channel]
            stack.push_async_callback(opened.close)
            return await _tried(opened, channel, _test_message(only.site_id, channel))

    print_text(asyncio.run(work()))


def dead_letters(*, last: int = _LIMIT) -> None:
    """List messages that could not be delivered, and why."""

    async def work(_: AlertDesk, outbox: AlertOutbox) -> None:
        found = await outbox.dead_letters(last)
        table = Table("message", "channel", "created", "attempts", "problem", box=None)
        for delivery, _notice in found:
            created = f"{delivery.created_at:%Y-%m-%d %H:%M:%S}"
            attempts = str(delivery.attempts)
            row = (delivery.delivery_id, delivery.channel, created, attempts, delivery.problem)
            table.add_row(*row)
        if found:
            output().print(table)
            note("try them again with `trinetra alerts retry`, once the cause is gone")
        else:
            print_text("no message was given up\n")

    _run(work)


def retry(
    messages: Annotated[
        list[str] | None, typer.Argument(help="Ids of messages; all if left out.")
    ] = None,
) -> None:
    """Send messages again that could not be delivered."""

    async def work(_: AlertDesk, outbox: AlertOutbox) -> None:
        count = await outbox.retry(messages or None, datetime.now(UTC))
        if messages and count < len(set(messages)):
            note("the other ids are not in `trinetra alerts dead-letters`")
        print_text(f"{count} messages wait again; the alert service sends them\n")

    _run(work)


def _set_armed(*, armed: bool) -> None:
    async def work(desk: AlertDesk, _: AlertOutbox) -> None:
        await desk.arm(armed, _user())
        done = "armed: alerts about intruders are sent"
        print_text((done if armed else "disarmed: alerts about intruders are only listed") + "\n")

    _run(work)


def _run(work: Callable[[AlertDesk, AlertOutbox], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with open_alert_store(load_settings()) as store:
            return await work(AlertDesk(store, SystemClock()), store)

    return asyncio.run(opened())


def _show(notices: tuple[Notice, ...]) -> None:
    if not notices:
        print_text("no such alerts\n")
        return
    table = Table("alert", "time (UTC)", "severity", "state", "what", box=None)
    for each in notices:
        times = f" ({each.count} times)" if each.count > 1 else ""
        about = f"{each.rule} {each.subject}"
        what = f"{each.title}: {each.message}{times}\n{about}\nWhat to do: {each.advice}"
        when = f"{each.raised_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(each.alert_id, when, each.severity, each.state, what)
    output().print(table)


async def _tried(channel: AlertChannel, name: str, message: Outgoing) -> str:
    """Return what a channel made of a message. Raises ConfigurationError with its problem."""
    begun = SystemClock().monotonic()
    try:
        await channel.tend()
        await channel.send(message)
    except (DeliveryFailed, DeliveryRefused) as cause:
        raise ConfigurationError(f"channel {name}: {mask_urls(str(cause))}") from cause
    took_ms = (SystemClock().monotonic() - begun) * 1000
    return (
        f"channel {name}: delivered in {took_ms:.0f} ms as {message.delivery.delivery_id}; look "
        "whether it is there\n"
    )


def _test_message(site_id: str, channel: str) -> Outgoing:
    now = datetime.now(UTC)
    alert_id = derive_id("alert", "test", site_id, channel, now)
    notice = Notice(
        alert_id=alert_id,
        site_id=SiteId(site_id),
        rule="latency",
        subject="test",
        severity="info",
        title="Test",
        message=f"This is a test of channel {channel}. Nothing happened in the shop.",
        advice="Nothing: the channel works.",
        raised_at=now,
        last_at=now,
        changed_at=now,
    )
    delivery = NoticeDelivery(
        delivery_id=derive_id("msg", alert_id),
        alert_id=alert_id,
        channel=channel,
        recipient="test",
        step="raised",
        created_at=now,
        due_at=now,
    )
    return Outgoing(delivery, notice)


def _rule(name: str) -> RuleName:
    for rule in RULES:
        if rule == name:
            return rule
    raise ConfigurationError(f"no rule {name}; there are {', '.join(RULES)}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without an entry, as in a container
        return f"user {os.getuid()}"
