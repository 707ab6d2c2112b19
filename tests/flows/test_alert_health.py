"""Health of services as the alert service reads it: in this process, and from others by HTTP."""

from pathlib import Path

import pytest
from tests.flows.alerting import alerting, webhook_site
from tests.servers.webhook_receiver import WebhookReceiver

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.health.metrics import OwnMetrics, ScrapedMetrics
from trinetra.alerts.rules.health import NAMES
from trinetra.errors import ServerUnavailable
from trinetra.hosting import health_app, serving
from trinetra.telemetry import CAMERA_STATE, FRAMES_DROPPED, IDENTITY_AGE_S


@pytest.fixture(autouse=True)
def _metrics() -> None:
    for state in ("streaming", "backoff"):
        CAMERA_STATE.labels("alert-cam", state).set(state == "backoff")
    FRAMES_DROPPED.labels("alert-cam", "late").inc(0)
    IDENTITY_AGE_S.labels("alert-cam").observe(0.1)


def of_camera(samples: list) -> set:
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for sample in samples
        if sample.labels.get("camera") == "alert-cam"
    }


async def test_other_processes_tell_what_this_one_would() -> None:
    app = health_app([])
    async with serving(app, address="127.0.0.1", port=0) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        scraped = await ScrapedMetrics([url, "http://127.0.0.1:9/metrics"], NAMES).read()
    own = await OwnMetrics(NAMES).read()
    assert of_camera(own) == of_camera(scraped)
    assert {name for name, _ in of_camera(own)} >= {
        "trinetra_camera_state",
        "trinetra_frames_dropped_total",
        "trinetra_identity_age_seconds_bucket",
    }


@pytest.mark.parametrize("path", ["", "/health/live", "/nothing"])
async def test_what_is_no_page_of_metrics_tells_nothing(path: str) -> None:
    async with serving(health_app([]), address="127.0.0.1", port=0) as port:
        urls = [f"http://127.0.0.1:{port}{path}", "http://127.0.0.1:9/metrics"]
        if path == "/health/live":
            assert await ScrapedMetrics(urls, NAMES).read() == []
        else:
            with pytest.raises(ServerUnavailable, match="TRINETRA_ALERT_METRICS_URLS"):
                await ScrapedMetrics(urls, NAMES).read()


async def test_a_camera_that_is_offline_is_told(tmp_path: Path) -> None:
    async with WebhookReceiver() as receiver:
        site = webhook_site(receiver.url)
        rules = site.alerts.rules.model_copy(
            update={
                "camera_offline": site.alerts.rules.camera_offline.model_copy(update={"for_s": 0.0})
            }
        )
        site = site.model_copy(update={"alerts": site.alerts.model_copy(update={"rules": rules})})
        health = OwnMetrics(NAMES)
        async with alerting(site, tmp_path, SystemClock(), health=health):
            await receiver.wait_for(1)

    told = [posted.document["data"] for posted in receiver.posted]
    assert ("camera_offline", "alert-cam") in {(data["rule"], data["camera_id"]) for data in told}
