"""The section ``alerts`` of the site file: what it accepts, and what it says of mistakes."""

import pytest
from tests.flows.alerting import site_of

from trinetra.insights.config import StayLimit
from trinetra.site import Site
from trinetra.site.load import SiteInvalid
from trinetra.values import CameraId
from trinetra.wiring.alerts import alert_plan, alert_policy
from trinetra.wiring.config import insight_plans

FULL = """
alerts:
  rules:
    queue_length: {people: 4, for_s: 30.0, severity: critical}
    vip: {enabled: false}
    loitering: {zones: [[till, queue]], minutes: 5.0}
  channels:
    - {id: hook, webhook: "https://hooks.shop.com/x", secret_env: HOOK_SECRET, closings: true}
    - {id: mail, apprise_env: MAIL_URL}
    - {id: home, mqtt: "mqtts://broker.shop.com", username_env: MQTT_USER}
  recipients:
    - id: ann
      channels: [hook, mail, home]
      min_severity: warning
      quiet: [{days: [mon, sun], opens: "22:00", closes: "07:00"}]
      after_minutes: 5.0
"""


def test_everything_works_without_being_configured() -> None:
    policy = alert_policy(site_of(""))
    assert policy.recipients == ()
    assert len(policy.plan.rules) == 20


def test_what_is_written_is_in_force() -> None:
    site = site_of(FULL)
    policy, plan = alert_policy(site), alert_plan(site)
    queue = plan.rules["queue_length"]
    assert (queue.limit, queue.for_s, queue.severity) == (4, 30.0, "critical")
    assert "vip" not in plan.rules
    assert {(limit.rule, limit.zone_id, limit.after_s) for limit in _limits(site)} == {
        ("long_stay", "queue", 300.0),
        ("long_wait", "queue", 600.0),
    }
    assert policy.tells_closings == {"hook", "home"}
    assert policy.recipients[0].after_s == 300.0
    assert policy.recipients[0].schedule.quiet is not None


def _limits(site: Site) -> tuple[StayLimit, ...]:
    return insight_plans(site)[CameraId("till")].stay_limits


@pytest.mark.parametrize(
    ("alerts", "told"),
    [
        ("channels: [{id: a, webhook: 'https://x.com/'}]", "no recipient uses this channel"),
        ("channels: [{id: a}]", "a channel needs one of the keys webhook, apprise_env, mqtt"),
        ("channels: [{id: a, webhook: 'ftp://x.com'}]", "must start with https:// or http://"),
        ("channels: [{id: a, webhook: 'https://u:hunter2@x.com'}]", "must not contain credentials"),
        ("channels: [{id: a, mqtt: 'http://x.com'}]", "must start with mqtt:// or mqtts://"),
        ("channels: [{id: a, mqtt: 'mqtt://x.com', password_env: P}]", "needs username_env too"),
        ("channels: [{id: a, apprise_env: 'mailto://hunter2'}]", "apprise_env"),
        ("recipients: [{id: ann, channels: [mial]}]", "no channel has this id"),
        ("rules: {loitering: {zones: [[till, qeue]]}}", "did you mean till/queue?"),
        ("rules: {tailgating: {lines: [[till, gate]]}}", "there is no line yet"),
        ("rules: {after_hours: {for_s: 5.0}}", "without opening_hours"),
        ("rules: {queue_lenght: {people: 3}}", "did you mean"),
        ("rules: {queue_length: {people: 0}}", "people"),
        ("rules: {latency: {p99_s: -1.0}}", "p99_s"),
    ],
)
def test_mistakes_are_found_and_no_secret_is_repeated(alerts: str, told: str) -> None:
    with pytest.raises(SiteInvalid) as failure:
        site_of(f"alerts:\n  {alerts}\n")
    assert told in str(failure.value)
    assert "hunter2" not in str(failure.value)


def test_two_channels_of_one_name_are_a_mistake() -> None:
    channel = "{id: a, webhook: 'https://x.com/'}"
    with pytest.raises(SiteInvalid, match="another channel has this id"):
        site_of(
            f"alerts:\n  channels: [{channel}, {channel}]\n"
            "  recipients: [{id: ann, channels: [a]}]\n"
        )
