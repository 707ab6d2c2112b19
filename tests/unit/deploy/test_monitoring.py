"""What Prometheus scrapes, the alerts it raises and the dashboard that Grafana shows."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML
from tests.conftest import unavailable

from trinetra import telemetry

NAME = re.compile(r"\b(?:trinetra[a-z0-9_]*:?[a-z0-9_:]*|up|ALERTS)\b(?!\")")
SUFFIXES: dict[type[MetricWrapperBase], tuple[str, ...]] = {
    Counter: ("_total",),
    Gauge: ("",),
    Histogram: ("_bucket", "_sum", "_count"),
}
OF_PROMETHEUS = {"up", "ALERTS"}


def series() -> dict[str, set[str]]:
    """Return the name of every series of every service, and its labels."""
    metrics = [m for m in vars(telemetry).values() if isinstance(m, MetricWrapperBase)]
    return {
        metric._name + suffix: set(metric._labelnames) | ({"le"} if suffix == "_bucket" else set())
        for metric in metrics
        for suffix in SUFFIXES[type(metric)]
    }


@pytest.fixture(scope="session")
def rules(deploy: Path) -> list[dict[str, Any]]:
    document = YAML(typ="safe").load(deploy / "prometheus" / "rules" / "trinetra.yml")
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.fixture(scope="session")
def board(deploy: Path) -> dict[str, Any]:
    return json.loads((deploy / "grafana" / "dashboards" / "trinetra.json").read_text())


def queries_of(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def names_in(expression: str) -> set[str]:
    without_labels = re.sub(r"\{[^}]*\}", "", expression)
    without_groups = re.sub(r"\bby \([^)]*\)", "", without_labels)
    return set(NAME.findall(without_groups))


def test_prometheus_scrapes_every_replica_on_the_port_of_its_service(
    deploy: Path, compose: dict[str, Any]
) -> None:
    document = YAML(typ="safe").load(deploy / "prometheus" / "prometheus.yml")
    scraped = {
        job["job_name"]: (source["names"], source["type"], source["port"])
        for job in document["scrape_configs"]
        for source in job.get("dns_sd_configs", [])
    }
    services = compose["services"]
    assert scraped == {
        name: ([name], "A", int(services[name]["expose"][0]))
        for name in services
        if "expose" in services[name]
    }
    assert {port for _, _, port in scraped.values()} == {8001, 8002, 8003, 8004, 8005, 8006}


def test_prometheus_accepts_its_configuration_and_rules(promtool: str, deploy: Path) -> None:
    config = deploy / "prometheus" / "prometheus.yml"
    outcome = subprocess.run(
        [promtool, "check", "config", config], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_alerts_are_raised_by_what_they_are_about(promtool: str) -> None:
    files = sorted(Path(__file__).parent.glob("*.test.yml"))
    outcome = subprocess.run(
        [promtool, "test", "rules", *files], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_every_alert_has_a_test_and_says_what_to_do(rules: list[dict[str, Any]]) -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("*.test.yml"))
    for rule in rules:
        if name := rule.get("alert"):
            assert name in tests, f"{name} has no test"
            assert rule["labels"]["severity"] in {"warning", "critical"}, name
            assert rule["annotations"].keys() == {"summary", "runbook"}, name


def test_alertmanager_accepts_its_configuration(deploy: Path) -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        unavailable(
            "amtool is absent: apt-get install prometheus-alertmanager",
            "TRINETRA_TEST_REQUIRE_SERVERS",
        )
    outcome = subprocess.run(
        [amtool, "check-config", deploy / "alertmanager" / "alertmanager.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_rules_ask_only_for_what_services_tell(rules: list[dict[str, Any]]) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        assert names_in(rule["expr"]) - recorded <= series().keys() | OF_PROMETHEUS, rule


def test_the_dashboard_asks_only_for_what_services_tell(
    rules: list[dict[str, Any]], board: dict[str, Any]
) -> None:
    known = series().keys() | OF_PROMETHEUS | {r["record"] for r in rules if "record" in r}
    for query in queries_of(board):
        assert names_in(query)
        assert names_in(query) <= known, query


def test_queries_group_by_labels_that_their_series_have(
    rules: list[dict[str, Any]], board: dict[str, Any]
) -> None:
    of_target = {"instance", "job"}
    pattern = r"by \(([^)]*)\) \((?:rate\(|increase\()?(trinetra\w+)"
    found = 0
    for expression in (*queries_of(board), *(rule["expr"] for rule in rules)):
        for labels, name in re.findall(pattern, expression):
            found += 1
            assert {label.strip() for label in labels.split(",")} <= series()[name] | of_target
    assert found > 30


def test_every_metric_is_shown_on_the_dashboard_or_watched_by_an_alert(
    rules: list[dict[str, Any]], board: dict[str, Any]
) -> None:
    asked = set().union(*map(names_in, (*queries_of(board), *(rule["expr"] for rule in rules))))
    unseen = {name for name in series() if not any(a.startswith(_stem(name)) for a in asked)}
    assert not unseen


def _stem(name: str) -> str:
    return re.sub(r"_(total|bucket|sum|count)$", "", name)


def test_the_dashboard_is_the_one_that_its_script_builds(deploy: Path) -> None:
    script = [sys.executable, deploy / "grafana" / "dashboards.py"]
    built = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    written = (deploy / "grafana" / "dashboards" / "trinetra.json").read_text()
    assert written == built, "make docs writes it anew"


def test_every_panel_says_what_it_shows_and_asks_the_provisioned_source(
    deploy: Path, board: dict[str, Any]
) -> None:
    provisioned = YAML(typ="safe").load(
        deploy / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    )
    (source,) = provisioned["datasources"]
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["datasource"]["uid"] == source["uid"]
        assert panel["type"] != "timeseries" or panel["description"]


def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
