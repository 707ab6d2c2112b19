"""Which changes of a site file take effect at once, and which wait for a restart."""

import pytest

from trinetra.site import Camera, Site, site_from_text
from trinetra.wiring.takeover import in_force, takeovers

TEXT = """\
site: shop
timezone: UTC
cameras:
  - id: door
    role: tracking
    source: {url: "rtsp://192.0.2.1/a"}
    lines: [{id: main, a: [0, 0.5], b: [1, 0.5]}]
  - id: till
    role: tracking
    source: {url: "rtsp://192.0.2.2/a"}
"""
OLD = site_from_text(TEXT)


def changed(before: str, after: str) -> Site:
    assert before in TEXT
    return site_from_text(TEXT.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "what", "how"),
    [
        ("a: [0, 0.5]", "a: [0, 0.6]", "cameras.door", "live"),
        ("192.0.2.2/a", "192.0.2.2/b", "cameras.till", "reconnect"),
        (
            "  - id: till\n    role: tracking",
            "  - id: till\n    role: tracking\n    fps: 3",
            "cameras.till",
            "reconnect",
        ),
        ("id: till", "id: desk", "cameras.desk", "live"),
        ("timezone: UTC", "timezone: Asia/Kolkata", "timezone", "restart"),
        ("timezone: UTC", "timezone: UTC\npolicies: {stays: {bridge_s: 4}}", "policies", "restart"),
        (
            "timezone: UTC",
            "timezone: UTC\ntopology: {edges: [{from: door, to: till, distance_m: 3}]}",
            "topology",
            "live",
        ),
        ('192.0.2.1/a"}', '192.0.2.1/a", timeout_s: 60}', "tracking", "restart"),
        (
            "timezone: UTC",
            "timezone: UTC\nalerts: {rules: {occupancy: {people: 9}}}",
            "alerts",
            "live",
        ),
    ],
)
def test_a_change_takes_effect_as_told(before: str, after: str, what: str, how: str) -> None:
    found = {each.what: each.how for each in takeovers(OLD, changed(before, after))}
    assert found[what] == how


def test_nothing_changed_is_nothing_to_take_over() -> None:
    assert takeovers(OLD, site_from_text(TEXT + "# a comment\n")) == []


def test_recipients_wait_for_the_channels_that_they_name() -> None:
    channel = "channels: [{id: hook, webhook: 'https://a.example'}]"
    alerts = f"timezone: UTC\nalerts: {{{channel}, recipients: [{{id: ann, channels: [hook]}}]}}"
    told = changed("timezone: UTC", alerts)
    assert {each.what: each.how for each in takeovers(OLD, told)} == {"alerts": "restart"}
    assert in_force(OLD, told, takeovers(OLD, told)).alerts == OLD.alerts
    another = changed("timezone: UTC", alerts.replace("id: ann", "id: bob"))
    assert {each.what: each.how for each in takeovers(told, another)} == {"alerts": "live"}
    assert in_force(told, another, takeovers(told, another)).alerts == another.alerts


def test_what_needs_a_restart_stays_as_it_was() -> None:
    new = site_from_text(TEXT.replace("a: [0, 0.5]", "a: [0, 0.6]").replace("UTC", "Asia/Kolkata"))
    now = in_force(OLD, new, takeovers(OLD, new))
    assert now.timezone == "UTC"
    assert now.cameras == new.cameras


def test_a_camera_without_its_network_holds_everything_back() -> None:
    def missing_for(camera: Camera) -> str | None:
        return "the detector is missing" if camera.id == "yard" else None

    yard = '  - id: yard\n    role: vehicle\n    source: {url: "rtsp://192.0.2.3/a"}\n'
    new = site_from_text(TEXT.replace("a: [0, 0.5]", "a: [0, 0.6]") + yard)
    found = takeovers(OLD, new, missing_for)
    assert {each.how for each in found} == {"restart"}
    assert {each.what: each.effect for each in found}["cameras.yard"] == "the detector is missing"
    assert in_force(OLD, new, found) == OLD
