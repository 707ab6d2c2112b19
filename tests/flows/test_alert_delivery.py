"""Alerts from the event log to a real receiver: once each, in order, through its outages."""

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.flows.alerting import alerting, passing, seen, waiting, webhook_site
from tests.servers.webhook_receiver import WebhookReceiver

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import EventLogUnavailable
from trinetra.events.alerts import NoticeState
from trinetra.events.codec import encode
from trinetra.events.topics import ALERTS
from trinetra.ports import Record
from trinetra.wiring.alerts import live_alerts


async def test_an_alert_arrives_signed_and_names_nobody(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        site = webhook_site(receiver.url, ", secret_env: HOOK_SECRET")
        environ = {"HOOK_SECRET": "whsec_" + base64.b64encode(b"open sesame").decode()}
        async with alerting(site, tmp_path, SystemClock(), environ=environ) as shop:
            await shop.tell(seen(7))
            await receiver.wait_for(1)

    posted = receiver.posted[0]
    signed = f"{posted.message_id}.{posted.headers['webhook-timestamp']}.".encode() + posted.body
    digest = hmac.new(b"open sesame", signed, hashlib.sha256).digest()
    assert posted.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert posted.document["type"] == "alert.raised"
    assert posted.document["data"]["rule"] == "watchlist"
    assert posted.document["data"]["advice"]
    assert b"guest-7" not in posted.body


async def test_a_channel_that_may_name_people_does(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        site = webhook_site(receiver.url, ", names: true")
        async with alerting(site, tmp_path, SystemClock()) as shop:
            await shop.tell(seen(7))
            await receiver.wait_for(1)

    assert receiver.posted[0].document["data"]["customer_id"] == "guest-7"


async def test_a_receiver_that_was_down_gets_everything_once_and_in_order(tmp_path: Path) -> None:
    receiver = WebhookReceiver()
    await receiver.start()
    await receiver.stop()  # its port is known, and nothing listens there
    log = MemoryEventLog(SystemClock())
    async with alerting(webhook_site(receiver.url), tmp_path, SystemClock(), log=log) as shop:
        for number in range(30):
            await shop.tell(seen(number))
        while not shop.service.dispatcher.lanes[0].problem:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        await receiver.start()
        await receiver.wait_for(30)

    listed = [p.document["data"]["raised_at"] for p in receiver.posted]
    assert listed == sorted(listed)
    assert len(set(receiver.ids)) == len(receiver.ids) == 30
    await receiver.stop()


async def test_a_changed_site_is_in_force_from_the_next_event_on(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        old = webhook_site(receiver.url, ", closings: true")
        three = old.alerts.rules.queue_length.model_copy(update={"people": 3, "for_s": 0.0})
        rules = old.alerts.rules.model_copy(update={"queue_length": three})
        new = old.model_copy(update={"alerts": old.alerts.model_copy(update={"rules": rules})})
        without = webhook_site(receiver.url, ", closings: true")
        bare = tuple(camera.model_copy(update={"zones": ()}) for camera in without.cameras)
        async with alerting(old, tmp_path, SystemClock()) as shop:
            taking = live_alerts(shop.service)
            await taking.change(new)
            await shop.tell(waiting(3, datetime.now(UTC)))
            await receiver.wait_for(1)
            # Without its zone nothing would ever tell that the queue is over.
            await taking.change(without.model_copy(update={"cameras": bare}))
            await receiver.wait_for(2)
            [notice] = (await shop.store.notices("closed", None, 10, None)).notices

    assert [p.document["type"] for p in receiver.posted] == ["alert.raised", "alert.closed"]
    assert (notice.rule, notice.subject) == ("queue_length", "till/queue")


async def test_ten_minutes_without_a_receiver_lose_and_double_nothing(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    async with WebhookReceiver(status=503) as receiver:
        async with alerting(webhook_site(receiver.url), tmp_path, clock) as shop:
            for number in range(600):  # a second each
                if number % 20 == 0:
                    await shop.tell(seen(number, at=clock.now()))
                await passing(clock, 1.0)
            refused = len(receiver.posted)
            receiver.status = 204
            while len(set(receiver.ids[refused:])) < 30:
                await passing(clock, 1.0)
        taken = receiver.posted[refused:]

    times = [posted.document["data"]["raised_at"] for posted in taken]
    assert len({posted.message_id for posted in taken}) == len(taken) == 30
    assert times == sorted(times)
    assert set(receiver.ids[:refused]) <= {posted.message_id for posted in taken}
    assert refused < 60  # it is asked less and less often, but never given up


async def test_a_crash_between_delivery_and_note_repeats_the_same_id(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        receiver.before_answer = asyncio.Event()
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            async with asyncio.TaskGroup() as group:
                group.create_task(_crash_when_posted(receiver, tmp_path))
        receiver.before_answer.set()
        async with alerting(webhook_site(receiver.url), tmp_path, SystemClock()):
            await receiver.wait_for(2)

    assert receiver.ids[0] == receiver.ids[1]


class _Crash(Exception):
    pass


async def _crash_when_posted(receiver: WebhookReceiver, folder: Path) -> None:
    async with alerting(webhook_site(receiver.url), folder, SystemClock()) as shop:
        await shop.tell(seen(1))
        await receiver.wait_for(1)
        raise _Crash


async def test_events_that_are_read_again_after_a_crash_are_told_once(tmp_path: Path) -> None:
    log = MemoryEventLog(SystemClock())
    event = seen(1)
    async with WebhookReceiver() as receiver:
        for _ in range(2):  # the second one as after a crash before the commit
            async with alerting(webhook_site(receiver.url), tmp_path, SystemClock(), log=log):
                await log.append([Record(ALERTS, "till", encode(event))])
        page_count = len(receiver.posted)

    assert page_count == 1


async def test_a_message_that_is_refused_for_good_holds_up_no_other(tmp_path: Path) -> None:
    async with WebhookReceiver(status=422) as receiver:
        async with alerting(webhook_site(receiver.url), tmp_path, SystemClock()) as shop:
            await shop.tell(seen(1))
            await receiver.wait_for(1)
            receiver.status = 204
            await shop.tell(seen(2))
            await receiver.wait_for(2)
        async with alerting(webhook_site(receiver.url), tmp_path, SystemClock()) as shop:
            dead = await shop.store.dead_letters(9)
            assert await shop.store.retry(None, datetime.now(UTC)) == 1
            await receiver.wait_for(3)

    assert [each.delivery.problem for each in dead] == [
        f"http://127.0.0.1:{receiver.port} refused the message with HTTP 422"
    ]
    assert receiver.ids[2] == receiver.ids[0]


async def test_what_nobody_could_deliver_for_a_day_is_listed_as_dead(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    async with (
        WebhookReceiver(status=500) as receiver,
        alerting(webhook_site(receiver.url), tmp_path, clock) as shop,
    ):
        await shop.tell(seen(1, at=clock.now()))
        while not (dead := await shop.store.dead_letters(9)):
            await passing(clock, 600.0)

    assert dead[0].delivery.attempts == len(receiver.posted) > 10
    assert "answered HTTP 500" in dead[0].delivery.problem


@pytest.mark.parametrize(
    ("status", "told"),
    [(301, "redirects elsewhere"), (404, "check the address"), (401, "check the secret")],
)
async def test_the_reason_for_waiting_is_on_the_health_page(
    tmp_path: Path, status: int, told: str
) -> None:
    async with (
        WebhookReceiver(status=status, location="http://127.0.0.1:1/") as receiver,
        alerting(webhook_site(receiver.url), tmp_path, SystemClock()) as shop,
    ):
        await shop.tell(seen(1))
        lane = shop.service.dispatcher.lanes[0]
        while lane.problem is None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        assert told in str(shop.service.status())
        assert shop.service.ready()
        receiver.status = 204
        await receiver.wait_for(2)


async def test_a_private_receiver_is_refused_unless_the_channel_allows_it(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        site = webhook_site(receiver.url)
        hook = site.alerts.channels[0].model_copy(update={"allow_private": False})
        alerts = site.alerts.model_copy(update={"channels": (hook,)})
        refusing = site.model_copy(update={"alerts": alerts})
        async with alerting(refusing, tmp_path, SystemClock()) as shop:
            await shop.tell(seen(1))
            lane = shop.service.dispatcher.lanes[0]
            while lane.problem is None:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            problem = lane.problem
        assert receiver.posted == []

    assert "is in a private network (127.0.0.1): set allow_private: true" in problem


async def test_a_long_queue_is_told_when_it_lasts_and_when_it_is_over(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    async with WebhookReceiver() as receiver:
        site = webhook_site(receiver.url, ", closings: true")
        async with alerting(site, tmp_path, clock) as shop:
            await shop.tell(waiting(7, clock.now()))
            for _ in range(130):  # the camera says nothing more: the clock goes on
                await passing(clock, 0.5)
            await receiver.wait_for(1)
            assert await _states(shop) == ["open"]
            await shop.tell(waiting(2, clock.now()))
            await receiver.wait_for(2)
            assert await _states(shop) == ["closed"]

    raised, over = (posted.document for posted in receiver.posted)
    assert (raised["type"], over["type"]) == ("alert.raised", "alert.closed")
    assert raised["data"]["alert_id"] == over["data"]["alert_id"]
    assert "7 people wait in zone queue of camera till" in raised["data"]["message"]


async def _states(shop: object) -> list[NoticeState]:
    page = await shop.desk.list()  # type: ignore[attr-defined]
    return [notice.state for notice in page.notices]


async def test_a_condition_outlasts_a_restart_of_the_service(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    log = MemoryEventLog(clock)
    async with WebhookReceiver() as receiver:
        site = webhook_site(receiver.url)
        async with alerting(site, tmp_path, clock, log=log) as shop:
            await shop.tell(waiting(7, clock.now()))
        clock.advance(61.0)
        async with alerting(site, tmp_path, clock, log=log):
            while not receiver.posted:
                await passing(clock, 0.5)

    assert receiver.posted[0].document["data"]["rule"] == "queue_length"


async def test_an_unread_record_becomes_a_dead_letter(tmp_path: Path) -> None:
    clock = SystemClock()
    log = MemoryEventLog(clock)
    async with (
        WebhookReceiver() as receiver,
        alerting(webhook_site(receiver.url), tmp_path, clock, log=log) as shop,
    ):
        await log.append([Record(ALERTS, "till", b"{"), Record(ALERTS, "till", b"\xff")])
        await shop.tell(seen(1))
        await receiver.wait_for(1)
        assert "'trinetra.alerts.rejected': 2" in str(shop.service.status())


async def test_nothing_is_lost_while_the_log_is_away(tmp_path: Path) -> None:
    clock = SystemClock()

    class Away(MemoryEventLog):
        missing = 3

        async def subscribe(self, topics: object, group: str) -> object:  # type: ignore[override]
            if self.missing:
                self.missing -= 1
                raise EventLogUnavailable("the broker does not answer")
            return await super().subscribe(topics, group)  # type: ignore[arg-type]

    log = Away(clock)
    async with (
        WebhookReceiver() as receiver,
        alerting(webhook_site(receiver.url), tmp_path, clock, log=log) as shop,
    ):
        await shop.tell(seen(1))
        await receiver.wait_for(1)
    assert log.missing == 0
