"""Languages: a complete catalog, known sentences of other layers, and pages without English."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import httpx
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from tests.flows.api_shop import FRIDAY, NOON, RECEIPT, RECORDED, crossing, visit
from tests.web.browser import ROOT
from tests.web.live_shop import open_live_shop
from tests.web.people_shop import ANN, BOB, SCRIPT, open_people_shop, vehicle
from tests.web.security_shop import PASSWORD, open_web
from tests.web.setup_shop import made_shop
from tests.web.shop import open_shop
from tests.web.test_alerts_api import notice, raise_alerts
from tests.web.test_live_insights import served
from tests.web.test_live_pages import _fill as fill_live
from tests.web.test_people_pages import populate

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.alerts.rules.signal import Signal
from trinetra.alerts.wording import words_of
from trinetra.client.models import Audit, AuditedDirection
from trinetra.events.alerts import RULES
from trinetra.events.schema import CameraCoverage
from trinetra.explanation.render import told
from trinetra.insights.footfall.staff import _Presence, _reasons
from trinetra.insights.metrics.catalog import METRICS, ROLLUP_RULES
from trinetra.models.manifest import load_manifest
from trinetra.reports.periods import Period, PeriodKind, compared_with
from trinetra.site import load_site, site_from_text
from trinetra.web.access import Permission, Role
from trinetra.web.app import static_folder
from trinetra.web.locales import words
from trinetra.web.rendering import environment
from trinetra.web.sentences import ALERT_TITLES, EFFECTS
from trinetra.web.told import translated
from trinetra.wiring.audit_desk import LineAuditDesk
from trinetra.wiring.takeover import takeovers

UPDATE = ROOT / "scripts" / "update-catalog"
PO = ROOT / "src" / "trinetra" / "web" / "locale" / "hi" / "LC_MESSAGES" / "trinetra.po"
HINDI, ENGLISH = words("hi"), words("en")
SLOT = re.compile(r"%\(\w+\)s")
DEVANAGARI = re.compile("[\u0900-\u097f]")
DAY = f"{FRIDAY}"


@cache
def catalog() -> Catalog:
    return read_po(BytesIO(PO.read_bytes()), locale="hi")


def pairs() -> Iterator[tuple[str, str]]:
    """Yield messages and translations; of plurals each form with the English one beside it."""
    for one in catalog():
        if not one.id:
            continue
        if isinstance(one.id, tuple):
            yield from zip(one.id, one.string, strict=True)
        else:
            yield one.id, one.string


# The catalog


def test_every_message_has_a_translation() -> None:
    done = subprocess.run(
        [sys.executable, str(UPDATE), "--check"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_translation_a_wrong_slot_and_an_unused_message_are_found(tmp_path: Path) -> None:
    broken = read_po(BytesIO(PO.read_bytes()), locale="hi")
    broken["Alerts"].string = ""
    broken["%(minutes)s min"].string = "%(minute)s मिनट"
    broken.add("Nobody says this", string="यह कोई नहीं कहता")
    path = tmp_path / "locale" / "hi" / "LC_MESSAGES" / "trinetra.po"
    path.parent.mkdir(parents=True)
    out = BytesIO()
    write_po(out, broken)
    path.write_bytes(out.getvalue())
    script = runpy.run_path(str(UPDATE))
    faults = list(script["brought_up"](path, script["messages"](), is_check=True))
    assert len(faults) == 3
    for part in ("'Nobody says this' is used nowhere", "'Alerts' is not translated", "'minute'"):
        assert any(part in fault for fault in faults), faults


def test_each_translation_fills_the_slots_of_its_message() -> None:
    for english, hindi in pairs():
        assert sorted(SLOT.findall(english)) == sorted(SLOT.findall(hindi)), english


def test_translations_are_hindi() -> None:
    kept = {english for english, hindi in pairs() if not DEVANAGARI.search(hindi)}
    assert kept == {"CSV", "Excel", "JSON", "PDF", "Parquet", "VIP"}


def test_plural_forms_are_used() -> None:
    both = HINDI.translations.ngettext
    one, more = (both("%(num)s vehicle", "%(num)s vehicles", n) for n in (1, 3))
    assert (one, more) == ("%(num)s गाड़ी", "%(num)s गाड़ियाँ")


@pytest.mark.parametrize(
    ("written", "english", "hindi"),
    [
        (lambda w: w.number(123456.5, 1), "123,456.5", "1,23,456.5"),
        (lambda w: w.value(1234.5, "money", "INR"), "₹1,234.50", "₹1,234.50"),
        (lambda w: w.value(1234, "money", "JPY"), "¥1,234", "JP¥1,234"),
        (lambda w: w.value(1234.5, "money"), "1,234.50", "1,234.50"),
        (lambda w: w.percent(0.123, 1), "12.3%", "12.3%"),
        (lambda w: w.span(2.34), "2.3 s", "2.3 से॰"),
        (lambda w: w.meters(12), "12.0 m", "12.0 मी॰"),
        (lambda w: w.seconds(95), "1:35", "1:35"),
        (lambda w: w.span(None) + w.meters(None), "––", "––"),
        (lambda w: w.day(date(2026, 11, 27)), "Fri, Nov 27, 2026", "शुक्र, 27 नव॰ 2026"),
        (lambda w: w.short_day(date(2026, 11, 27)), "Fri, Nov 27", "शुक्र, 27 नव॰"),
        (lambda w: w.month(date(2026, 11, 27)), "November 2026", "नवंबर 2026"),
        (lambda w: w.time(NOON, "Asia/Kolkata"), "16:30", "16:30"),
    ],
)
def test_numbers_and_times_are_written_as_the_language_does(
    written: Any, english: str, hindi: str
) -> None:
    assert (written(ENGLISH), written(HINDI)) == (english, hindi)


# Sentences of other layers


def untranslated(text: str) -> str:
    """Return what of a text has no pattern."""
    left, before = translated(text, lambda message: f"<{message}>"), ""
    while left != before:  # phrases lie within sentences
        left, before = re.sub("<[^<>]*>", "", left), left
    return left.strip()


def alert_facts() -> Iterator[dict[str, float | str]]:
    numbers = {"limit": 4.0, "minutes": 3.0, "people": 7.0, "share": 0.25, "p99_s": 4.2}
    numbers |= {"distance_m": 40.0, "elapsed_s": 3.0}
    names = {"camera": "door", "from_camera": "gate", "queue": "q", "line": "l", "direction": "in"}
    yield numbers | names
    yield numbers | names | {"zone": "mat", "minutes": 1.0, "people": 1.0}
    for state in ("backoff", "stalled", "disabled", "connecting"):
        yield names | {"state": state}


@pytest.mark.parametrize("rule", RULES)
def test_every_alert_is_known(rule: Any) -> None:
    for facts in alert_facts():
        said = words_of(Signal(rule, "door", NOON, facts=facts))
        assert [untranslated(text) for text in said] == ["", "", ""], said
    assert ALERT_TITLES[rule] == said.title


def test_an_alert_tells_its_facts_in_hindi() -> None:
    facts = {"camera": "till", "zone": "line", "people": 7.0, "limit": 4.0}
    said = words_of(Signal("queue_length", "till/line", NOON, facts=facts))
    in_hindi = translated(said.message, HINDI.text)
    assert in_hindi == "कैमरा till के ज़ोन line में 7 लोग इंतज़ार में; सीमा 4 है।"
    stays = translated("A person has been in the shop for 5 minutes.", HINDI.text)
    assert stays == "एक व्यक्ति दुकान में 5 मिनट से है।"
    assert translated(said.title, HINDI.text) == "लंबी कतार"
    assert translated(said.message, ENGLISH.text) == said.message


def test_what_is_not_known_stays_as_it_is() -> None:
    assert translated("rtsp://cam: refused", HINDI.text) == "rtsp://cam: refused"
    assert translated("", HINDI.text) == ""
    assert translated("Staff. Something new.", HINDI.text) == "स्टाफ़। Something new."


def test_a_long_text_is_left_as_it_is() -> None:
    for text in ("Staff. " * 1000, "A VIP was seen at camera " + "x" * 2000 + "."):
        assert translated(text, HINDI.text) == text


def test_a_title_with_a_per_cent_sign_is_no_format() -> None:
    page = environment(HINDI).from_string("{{ title|told }} {{ refusal|told }}")
    refusal = "the name 5%d<b> is taken; choose another"
    shown = page.render(title="Queue wait (90 %)", refusal=refusal)
    assert shown == "कतार में इंतज़ार (90 %) 5%d&lt;b&gt; नाम पहले से है; दूसरा चुनें"


def test_a_name_that_is_a_word_of_the_catalog_stays_a_name() -> None:
    assert "Customers" in translated("A VIP was seen at camera Customers.", HINDI.text)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_known(metric: Any) -> None:
    for text in (metric.title, metric.counts, metric.leaves_out):
        assert untranslated(text) == "", text


def test_every_reminder_to_count_by_hand_is_known() -> None:
    desk = LineAuditDesk(None, None, SystemClock())  # type: ignore[arg-type]  asks neither
    way = {"by_platform": 9, "matched": 9, "factor": 1.0, "low": 0.9, "high": 1.1}
    of = {"id": "a", "camera": "c", "line": "l", "start": NOON, "by": "Asha", "made_at": NOON}

    def audit(count: int, changed: str | None = None) -> Audit:
        ways = (AuditedDirection(direction="in", by_hand=count, **way),)
        return Audit(
            **of,
            end=NOON - timedelta(days=400),
            tolerance_s=2.0,
            directions=ways,
            is_current=True,
            changed_since=changed,
        )

    changes = [audit(30, what) for what in ("a network", "the line", "the floor of the camera")]
    reasons = [desk._reason(last) for last in (None, *changes, audit(3), audit(30))]
    assert len(set(reasons)) == 6
    assert [untranslated(reason) for reason in reasons] == [""] * 6


CHANGES = (
    ("timezone: Europe/Berlin", "timezone: Asia/Kolkata"),
    ("till", "desk"),
    ("a: [0.1, 0.5]", "a: [0.2, 0.5]"),
    ("192.0.2.2", "192.0.2.3"),
    ("distance_m: 12", "distance_m: 14"),
    ("role: tracking", "role: tracking\n    position: {x_m: 1, y_m: 1}"),
)


def test_every_effect_of_a_change_of_the_setup_is_known() -> None:
    from tests.web.setup_shop import SITE  # noqa: PLC0415  a name that other shops use too

    effects = set()
    for before, after in CHANGES:
        old, new = site_from_text(SITE), site_from_text(SITE.replace(before, after))
        for missing in (None, "the detector wide that it needs is loaded at the start"):
            effects |= {each.effect for each in takeovers(old, new, lambda _, m=missing: m)}
    assert len(effects) >= 8
    assert {text: untranslated(text) for text in effects if untranslated(text)} == {}
    assert effects & set(EFFECTS)


def test_every_reason_for_staff_is_known() -> None:
    def reasons(**seconds: float) -> list[str]:
        known = _Presence()
        for name, value in seconds.items():
            for day in range(1, 9):
                getattr(known, name)[date(2026, 11, day)] = value
        return list(_reasons(known))

    found = reasons(closed_s=9e3, counter_s=9e3, present_s=3e4) + reasons(present_s=1.4e4)
    assert len(found) == 4
    assert [untranslated(text) for text in found] == [""] * 4


@pytest.mark.parametrize(
    "event",
    [
        crossing(5),
        crossing(5, customer_id="eve", direction="out"),
        visit("v1"),
        visit("v2", revision=1, withdrawn=True),
        RECEIPT,
        *(event for event in RECORDED if isinstance(event, CameraCoverage)),
        served("q", 3, 60.0),
        vehicle("car", 3, None),
    ],
    ids=lambda event: type(event).__name__,
)
def test_the_story_of_a_figure_is_known(event: Any) -> None:
    assert untranslated(told(event)) == "", told(event)


@pytest.mark.parametrize("kind", get_args(PeriodKind))
def test_every_title_of_a_comparison_is_known(kind: Any) -> None:
    for day in range(2, 9):
        first = date(2026, 11, day)
        period = Period(kind, first, first, ZoneInfo("Europe/Berlin"))
        for compared in compared_with(period):
            assert untranslated(compared.title) == ""


# Pages


class Visible(HTMLParser):
    """Collects what a page shows: texts, labels, and the words that scripts get."""

    HIDDEN = ("script", "style", "code", "textarea", "pre")
    SHOWN = ("alt", "aria-label", "title", "hx-confirm")

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.language = ""
        self._hidden = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "html":
            self.language = given["lang"] or ""
        self._hidden += tag in self.HIDDEN
        self.texts += [given[name] or "" for name in self.SHOWN if name in given]
        for name in ("data-words", "data-states", "data-effects"):
            if name in given:
                self.texts += json.loads(given[name] or "{}").values()
        if "data-chart" in given:
            chart = json.loads(given["data-chart"] or "{}")
            names = [series["name"] for series in chart["series"]]
            self.texts += [chart["title"], chart["of"], *chart["categories"], *names]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in self.HIDDEN

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.texts.append(" ".join(data.split()))


@cache
def english() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return every message whose translation differs, as a pattern of whole words."""
    found = []
    for message, hindi in pairs():
        if message != hindi:
            parts = [re.escape(part) for part in SLOT.split(message)]
            found.append((message, re.compile(rf"(?<!\w){'.+?'.join(parts)}(?!\w)")))
    return tuple(found)


def faults(page: str, names: frozenset[str]) -> list[str]:
    """Return what a page says in English; ``names`` are those of the shop."""
    seen = Visible()
    seen.feed(page)
    left = []
    for text in seen.texts:
        rest = text
        for name in sorted(names, key=len, reverse=True):
            rest = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "", rest)
        left += [f"{m!r} in {text!r}" for m, pattern in english() if pattern.search(rest)]
        left += [f"{word!r} in {text!r}" for word in re.findall("[A-Za-z]{2,}", rest)]
    return left


_KEPT = "TRINETRA API CSV JSON PDF Excel Parquet VIP ONVIF SHA-256 English Tab Enter Delete Shift"
KEPT = frozenset([*_KEPT.split(), "environment variable", "Asha"])
OF_SHOPS = "ann asha bob eve door main till log_in trk_0 trk_1 trk_2 trk_3 trk_4 trk_50"
"""Names that the shops of these tests gave to cameras, lines and people, and an id of the log."""
NETWORKS = {
    part
    for model in load_manifest().model
    for part in (model.name, f"{model.name}@{model.version}", model.license)
}
TODAY = ("/", f"/?day={DAY}", "/?day=2026-11-26", "/alerts", "/alerts?state=all")
LIVE_NAMES = ("parking", "mat", "shelf", "line", "desk", "t1", "TRINETRA_HEALTH_URLS")
LIVE_PAGES = ("/live", "/live/door", "/floor", "/floor?place=till", "/queues", "/journeys")
LIVE_PAGES += ("/journeys?last=2026-01-01&days=1", "/health")
WHY = "metric=traffic_in&start=2026-11-27T00:00:00Z&end=2026-11-28T00:00:00Z"
PEOPLE_PAGES = ("/customers", "/customers?text=nobody", f"/customers/{ANN}", f"/customers/{BOB}")
PEOPLE_PAGES += (f"/vehicles?day={DAY}", "/vehicles?day=2026-11-20", f"/reports?first={DAY}")
PEOPLE_PAGES += ("/reports?period=week&first=2026-11-27&metric=conversion", f"/reports/why?{WHY}")
PEOPLE_PAGES += ("/reports?period=month&first=2026-11-27&metric=queue_wait_p90",)
SETUP_PAGES = ("/setup", "/setup/cameras/door", "/audit", "/audit/door/main")
OWN_PAGES = ("/users", "/account", "/trail", "/nowhere", "/welcome?key=x")


async def refuse_english(client: httpx.AsyncClient, paths: tuple[str, ...], *names: str) -> None:
    """Fail if a page in Hindi is not in Hindi; names are those of the shop."""
    client.cookies.set("trinetra_language", "hi")
    found = {}
    for path in paths:
        reply = await client.get(path, headers={"Accept": "text/html"})
        seen = Visible()
        seen.feed(reply.text)
        assert seen.language == "hi", path
        found[path] = faults(reply.text, KEPT | frozenset([*OF_SHOPS.split(), *names]))
    assert {path: said for path, said in found.items() if said} == {}


async def test_today_and_alerts_are_in_hindi(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        facts = {"camera": "till", "people": 7.0, "limit": 4.0, "minutes": 5.0}
        facts |= {"line": "main", "queue": "till/queue", "direction": "in"}
        said = [words_of(Signal(rule, "till", NOON, facts=facts)) for rule in RULES]
        alerts = [
            notice(f"a{n}", rule=rule, camera_id="till", count=n + 1, **one._asdict())
            for n, (rule, one) in enumerate(zip(RULES, said, strict=True))
        ]
        await raise_alerts(shop, *alerts)
        mute = {"rule": "queue_length", "until": "2026-11-28T00:00:00Z", "subject": "till/queue"}
        await shop.client().post("/v1/alert-controls/mutes", json=mute)
        names = ("shop", "till/queue", "trinetra check --cameras", "Qdrant", "inference worker")
        names += ("trinetra models calibrate", "trinetra run")
        await refuse_english(shop.client(), TODAY, *names)


async def test_live_floor_queues_journeys_and_health_are_in_hindi(tmp_path: Path) -> None:
    async with open_live_shop(tmp_path) as shop:
        await fill_live(shop)
        await refuse_english(shop.client(), LIVE_PAGES, *NETWORKS, *LIVE_NAMES)


async def test_customers_vehicles_and_reports_are_in_hindi(tmp_path: Path) -> None:
    async with open_people_shop(tmp_path) as shop:
        await populate(shop)
        names = (f"Ann {SCRIPT}", f"B {SCRIPT}", '=HYPERLINK("x") \' onload=alert(1)', "a test")
        await refuse_english(shop.http(), PEOPLE_PAGES, *names)


async def test_setup_and_audit_are_in_hindi(tmp_path: Path) -> None:
    shop = made_shop(tmp_path)
    url = f"sqlite:///{tmp_path / 'insights.db'}"
    async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
        desk = LineAuditDesk(lambda: load_site(shop.path), store, SystemClock())
        state = shop.inner.state
        state.backend = replace(state.backend, audits=desk)
        await refuse_english(shop.client(), SETUP_PAGES, "rtsp")
        form = {"camera_id": "gate", "role": "entrance", "url": "rtsp://192.0.2.7/x"}
        client = shop.client()
        client.cookies.set("trinetra_language", "hi")
        review = await client.post("/setup/add", data=form)
        assert "cameras.gate: अगली बार चालू होने पर; यह प्रोसेस फ़ाइल में बदलाव" in review.text


async def test_users_account_log_and_errors_are_in_hindi(tmp_path: Path) -> None:
    async with open_web(tmp_path) as shop:
        browser = await shop.logged_in(Role.ADMIN, "Asha")
        names = [*map(str, Permission), "`trinetra audit verify`"]
        await refuse_english(browser.http, OWN_PAGES, *names)
        stranger = shop.browser().http
        stranger.cookies.set("trinetra_language", "hi")
        await refuse_english(stranger, ("/login", "/login/link?key=x"))
        form = {"name": "Asha", "password": f"{PASSWORD}!", "next": "/"}
        refused = await stranger.post("/login", data=form, headers={"Origin": "http://shop"})
        assert "नाम या पासवर्ड ग़लत है" in refused.text
        assert faults(refused.text, KEPT) == []


def test_english_on_a_page_is_noticed() -> None:
    page = '<html lang="hi"><p title="Log out">कैमरा <b>Nothing new</b></p></html>'
    found = " ".join(faults(page, KEPT))
    assert "'Log out' in" in found
    assert "'Nothing' in" in found


@pytest.mark.parametrize(
    "template",
    sorted((static_folder().parent / "templates").glob("*.html")),
    ids=lambda path: path.name,
)
def test_no_filter_of_a_template_gets_an_undefined_value(template: Path) -> None:
    """A choice without ``else`` is undefined, which is not None: a number of it cannot be shown."""
    text = template.read_text(encoding="utf-8")
    assert [c for c in re.findall(r"\(([^()]* if [^()]*)\)\|", text) if " else " not in c] == []
