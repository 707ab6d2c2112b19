"""``trinetra alerts``: list, acknowledge, mute, arm, channels and dead letters."""

import asyncio
from pathlib import Path

import pytest
from tests.contracts.test_alert_store import delivery, notice, put
from tests.flows.alerting import SITE

from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.commands import alerts
from trinetra.errors import ConfigurationError

HOOK = "alerts:\n  channels: [{{id: hook, webhook: '{url}'{more}}}]\n"
ANN = "  recipients: [{id: ann, channels: [hook]}]\n"


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


def fill(folder: Path) -> None:
    async def write() -> None:
        async with SqlAlertStore.open(f"sqlite:///{folder}/insights.db") as store:
            dead = delivery(1, notice(1), state="dead", problem="http://x answered HTTP 500")
            await put(store, [notice(1), notice(2, 1, state="closed")], [dead])

    asyncio.run(write())


def site(folder: Path, url: str, more: str = "") -> Path:
    path = folder / "site.yaml"
    path.write_text(SITE + HOOK.format(url=url, more=more) + ANN)
    return path


def test_open_alerts_are_listed_with_what_to_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path)
    alerts.list_alerts()
    told = capfd.readouterr().out
    assert "7 people wait" in told
    assert "What to do: open a till" in told
    assert "a2" not in told
    alerts.list_alerts(state="all")
    assert "a2" in capfd.readouterr().out


def test_without_alerts_that_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    alerts.list_alerts()
    assert capfd.readouterr().out == "no such alerts\n"


def test_an_alert_is_acknowledged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    alerts.ack("a1")
    assert "a1: acknowledged by" in capfd.readouterr().out
    with pytest.raises(ConfigurationError, match="no alert a9: `trinetra alerts list` shows"):
        alerts.ack("a9")


def test_mutes_and_arming_are_shown_with_the_list(capfd: pytest.CaptureFixture[str]) -> None:
    alerts.disarm()
    alerts.mute("vip", "ann", minutes=5)
    capfd.readouterr()
    alerts.list_alerts()
    told = capfd.readouterr().err
    assert "disarmed" in told
    assert "muted until" in told
    alerts.arm()
    alerts.mute("vip", "ann", minutes=0)
    capfd.readouterr()
    alerts.list_alerts()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("wrong", ["alarm", "VIP", ""])
def test_a_rule_that_there_is_not_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no rule .*there are watchlist, vip"):
        alerts.mute(wrong)


def test_a_state_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="choose open, acknowledged, closed or all"):
        alerts.list_alerts(state="new")


def test_messages_that_were_given_up_are_listed_and_tried_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path)
    alerts.dead_letters()
    assert "http://x answered HTTP 500" in capfd.readouterr().out
    alerts.retry(["d1", "d7"])
    told = capfd.readouterr()
    assert told.out.startswith("1 messages wait again")
    assert "the other ids are not" in told.err
    alerts.dead_letters()
    assert capfd.readouterr().out == "no message was given up\n"


def test_a_channel_is_tried_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"hook: http://127.0.0.1:9 cannot be reached"):
        alerts.test("hook", site=site(tmp_path, "http://127.0.0.1:9/x", ", allow_private: true"))
    with pytest.raises(ConfigurationError, match="allow_private: true on the channel"):
        alerts.test("hook", site=site(tmp_path, "http://127.0.0.1:9/x"))
    with pytest.raises(ConfigurationError, match=r"no channel mail in .*; it has hook"):
        alerts.test("mail", site=site(tmp_path, "http://127.0.0.1:9/x"))
    with pytest.raises(ConfigurationError, match="channel hook needs HOOK_SECRET in the env"):
        alerts.test("hook", site=site(tmp_path, "http://x.com", ", secret_env: HOOK_SECRET"))
