"""Time from an alert event in the log to its webhook: ``run(events, per_s)``.

The alert service runs as in production, on the log that the settings name, with a database file of
its own and a receiver in a thread of this process.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from trinetra.adapters.clock import SystemClock
from trinetra.events.codec import encode
from trinetra.events.schema import AlertEvent
from trinetra.events.topics import ALERTS
from trinetra.ports import EventLog, Record
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.site.load import site_from_text
from trinetra.values import CameraId, CustomerId, EventId, SiteId
from trinetra.wiring.alerts import open_alert_service
from trinetra.wiring.assembly import Member
from trinetra.wiring.connections import open_log

_LONGEST_S = 120.0
_SITE = """
site: bench
timezone: Europe/Berlin
cameras:
  - {{id: door, role: entrance, source: {{url: "rtsp://192.0.2.1/one"}}}}
alerts:
  channels: [{{id: hook, webhook: "http://127.0.0.1:{port}/", allow_private: true}}]
  recipients: [{{id: all, channels: [hook], max_per_day: 1000000}}]
"""


class _Receiver:
    """Notes when each message arrives; they come in the order of their events."""

    def __init__(self, expected: int) -> None:
        self.at_s: list[float] = []
        self.repeated = 0
        self.all_there = threading.Event()
        seen: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                now_s = time.perf_counter()
                self.rfile.read(int(self.headers["content-length"]))
                message_id = str(self.headers["webhook-id"])
                outer.repeated += message_id in seen
                seen.add(message_id)
                outer.at_s.append(now_s)
                self.send_response(204)
                self.end_headers()
                if len(outer.at_s) >= expected:
                    outer.all_there.set()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server.server_address[1])


def run(events: int, per_s: float, settings: Settings) -> dict[str, Any]:
    """Return percentiles of the time from the append of an event to the arrival of its webhook.

    Events are a fixed time apart and arrive in their order. Raises TimeoutError if a message does
    not arrive.
    """
    receiver = _Receiver(events + 1)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'insights.db'}"
        site = site_from_text(_SITE.format(port=receiver.port))
        told_s = asyncio.run(_tell(site, settings.with_store(url), receiver, events, per_s))
    receiver.server.shutdown()
    receiver.server.server_close()
    took_ms = 1e3 * (np.array(receiver.at_s[1:]) - np.array(told_s))
    return {
        "log": settings.event_log,
        "events": events,
        "per_s": per_s,
        "repeated": receiver.repeated,
        **{f"p{q}_ms": round(float(np.percentile(took_ms, q)), 1) for q in (50, 95, 99)},
        "max_ms": round(float(took_ms.max()), 1),
    }


async def _tell(
    site: Site, settings: Settings, receiver: _Receiver, events: int, per_s: float
) -> list[float]:
    clock, member = SystemClock(), Member.of(settings)
    async with open_log(site, settings, clock) as log:
        opening = open_alert_service(log, site, settings, {}, clock, member=member)
        async with opening as (service, _):
            stopping = asyncio.Event()
            running = asyncio.create_task(service.run(stopping))
            while not service.ready():  # noqa: ASYNC110 - no service tells
                await asyncio.sleep(0.05)
            await _append_all(log, [-1], per_s)  # once it arrives, the group is balanced
            while not receiver.at_s:  # noqa: ASYNC110 - another thread tells
                await asyncio.sleep(0.05)
            told_s = await _append_all(log, range(events), per_s)
            async with asyncio.timeout(_LONGEST_S):
                await asyncio.to_thread(receiver.all_there.wait, _LONGEST_S)
            stopping.set()
            await running
    if (missing := events + 1 - len(receiver.at_s)) > 0:
        raise TimeoutError(f"{missing} messages did not arrive")
    return told_s


async def _append_all(log: EventLog, numbers: Sequence[int], per_s: float) -> list[float]:
    """Append events a fixed time apart; return when each append began."""
    told_s: list[float] = []
    begun_s = time.perf_counter()
    for place, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, begun_s + place / per_s - time.perf_counter()))
        event = _event(number)
        told_s.append(time.perf_counter())
        await log.append([Record(ALERTS, event.camera_id, encode(event))])
    return told_s


def _event(number: int) -> AlertEvent:
    now = datetime.now(UTC)
    return AlertEvent(
        event_id=EventId(f"alr_{now.timestamp():.6f}_{number}"),
        site_id=SiteId("bench"),
        camera_id=CameraId("door"),
        captured_at=now,
        rule="watchlist",
        severity="critical",
        message="a person on the watchlist is here",
        customer_id=CustomerId(f"c{now.timestamp():.0f}_{number}"),
    )
