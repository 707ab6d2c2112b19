"""Channels of alerts: addresses that webhooks may reach, signatures, and Apprise's answers."""

import ipaddress

import pytest
from tests.unit.alerts.test_alert_policy import message

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.notify.addresses import is_public, resolve
from trinetra.adapters.notify.apprise import AppriseChannel
from trinetra.adapters.notify.people import Naming
from trinetra.adapters.notify.webhook import (
    WebhookChannel,
    WebhookConfig,
    signature,
    signing_key,
)
from trinetra.errors import ConfigurationError, DeliveryFailed

# One of Apprise's plugins reads pictures by it, where it is still there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.20",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "::ffff:192.168.1.20",
    "64:ff9b::c0a8:114",
    "2002:c0a8:114::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_of_private_networks_are_known(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_known(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[::1]:9/", "http://2130706433/"])
async def test_a_webhook_into_this_network_is_refused(url: str) -> None:
    channel = WebhookChannel(WebhookConfig(url), SystemClock(), Naming())
    with pytest.raises(DeliveryFailed, match=r"private network|cannot be resolved"):
        await channel.send(message())
    await channel.close()


async def test_the_address_that_was_checked_is_the_one_that_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that answers public first and private afterwards is resolved once."""
    asked: list[str] = []

    async def rebinding(host: str, port: int, *, allow_private: bool) -> object:
        del port, allow_private
        asked.append(host)
        return ipaddress.ip_address("127.0.0.1")

    monkeypatch.setattr("trinetra.adapters.notify.webhook.resolve", rebinding)
    channel = WebhookChannel(WebhookConfig("http://a.example:9/"), SystemClock(), Naming())
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        await channel.send(message())  # it tried 127.0.0.1, and never the name
    await channel.close()
    assert asked == ["a.example"]


async def test_a_name_without_an_address_is_told() -> None:
    with pytest.raises(DeliveryFailed, match="cannot be resolved"):
        await resolve("no-such-host.invalid", 443, allow_private=False)
    with pytest.raises(DeliveryFailed, match="not a valid host name"):
        await resolve("a" * 64 + ".example", 443, allow_private=False)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's reference libraries."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_secret_that_is_no_base64_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as failure:
        signing_key("whsec_hunter2!")
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize("url", ["", "nonsense", "json://a json://b", "http//x"])
def test_what_is_not_one_apprise_url_is_told_without_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MAIL_URL is not one Apprise URL") as failure:
        AppriseChannel(url, "MAIL_URL", Naming())
    assert not url or url not in str(failure.value)


async def test_a_service_that_apprise_cannot_reach_is_told_without_its_secrets() -> None:
    channel = AppriseChannel("json://ann:hunter2@127.0.0.1:9/", "MAIL_URL", Naming())
    with pytest.raises(DeliveryFailed, match="MAIL_URL did not take the message") as failure:
        await channel.send(message())
    assert "hunter2" not in str(failure.value)
