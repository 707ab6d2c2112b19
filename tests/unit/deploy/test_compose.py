"""The compose file: valid, started in order, shut in, and in step with the product."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from trinetra import __version__
from trinetra.commands.application import app
from trinetra.settings import PREFIX, Settings

Services = dict[str, dict[str, Any]]
PORTS = {
    "stream-ingestor": 8001,
    "inference-worker": 8002,
    "identity-resolver": 8003,
    "insight-engine": 8004,
    "web": 8006,
    "alert-service": 8005,
}
JOBS = {"topics", "models"}
SECRETS = ("REDIS", "KAFKA", "POSTGRES", "GRAFANA")
ENVIRONMENT = dict.fromkeys([*(f"{name}_PASSWORD" for name in SECRETS), "QDRANT_API_KEY"], "x" * 8)


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> Services:
    return compose["services"]


def waits_for(service: dict[str, Any]) -> dict[str, str]:
    return {name: how["condition"] for name, how in service.get("depends_on", {}).items()}


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_the_file_follows_the_compose_specification(deploy: Path, name: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    outcome = subprocess.run([*check, deploy / name], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]])
def test_docker_itself_reads_it_and_finds_every_reference(deploy: Path, files: list[str]) -> None:
    docker = shutil.which("docker")
    version = [docker or "", "compose", "version"]
    if not docker or subprocess.run(version, capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    chosen = [argument for file in files for argument in ("--file", str(deploy / file))]
    outcome = subprocess.run(
        [docker, "compose", "--env-file", os.devnull, *chosen, "config", "--quiet"],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "is not set" not in outcome.stderr


@pytest.mark.parametrize("missing", ENVIRONMENT)
def test_nothing_starts_without_its_secrets(deploy: Path, missing: str) -> None:
    text = (deploy / "compose.yaml").read_text()
    uses = re.findall(rf"\${{{missing}[^}}]*}}", text)
    assert uses
    assert all(":?" in use for use in uses), "a secret must not have a default"


def test_the_dependencies_are_those_of_the_specification(services: Services) -> None:
    between = {
        name: {needed for needed in waits_for(service) if needed not in JOBS}
        for name, service in services.items()
        if name not in JOBS and service.get("depends_on")
    }
    assert between == {
        "stream-ingestor": {"redis"},
        "inference-worker": {"redis", "kafka"},
        "identity-resolver": {"kafka", "qdrant", "postgres"},
        "insight-engine": {"kafka", "postgres"},
        "web": {"redis", "kafka", "postgres"},
        "alert-service": {"kafka", "postgres"},
        "prometheus": set(PORTS),
        "grafana": {"prometheus"},
    }


def test_whatever_reads_or_writes_topics_waits_until_they_are_made(services: Services) -> None:
    users = {
        name
        for name, service in services.items()
        if "TRINETRA_KAFKA_SERVERS" in service.get("environment", {}) and name not in JOBS
    }
    assert users == {
        "inference-worker",
        "identity-resolver",
        "insight-engine",
        "alert-service",
        "web",
    }
    for user in users:
        assert waits_for(services[user])["topics"] == "service_completed_successfully"
    assert waits_for(services["topics"]) == {"kafka": "service_healthy"}


def test_who_is_waited_for_can_become_what_is_waited_for(services: Services) -> None:
    for service in services.values():
        for needed, condition in waits_for(service).items():
            health = services[needed].get("healthcheck", {})
            if condition == "service_healthy":
                assert health.get("test"), needed
            else:
                assert condition == "service_completed_successfully"
                assert services[needed]["restart"].startswith("on-failure"), needed


def test_everything_that_lasts_tells_its_health(services: Services) -> None:
    silent = {name for name, service in services.items() if not service["healthcheck"].get("test")}
    assert silent == JOBS


def test_images_are_of_one_version_and_ours_of_this_one(services: Services) -> None:
    for name, service in services.items():
        image, _, tag = service["image"].rpartition(":")
        assert image, f"{name} has no tag"
        assert re.match(r"v?\d+\.\d+", tag), f"{name}: {tag} moves"
        if "build" in service:
            assert tag == f"{__version__}-cpu"


def test_no_container_may_do_more_than_it_needs(services: Services) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert int(service["user"].partition(":")[0]) > 0, name
        assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid"}, name
        assert "docker.sock" not in str(service.get("volumes", "")), name


def test_no_container_may_take_the_whole_machine(services: Services) -> None:
    for name, service in services.items():
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_only_dashboards_are_published_and_on_this_machine_alone(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published.keys() == {"prometheus", "grafana", "alertmanager", "web"}
    for name, ports in published.items():
        assert all(port.startswith("127.0.0.1:") for port in ports), name


def test_servers_have_no_way_out(compose: dict[str, Any], services: Services) -> None:
    assert compose["networks"]["backbone"]["internal"] is True
    out = {name for name, service in services.items() if "outside" in service["networks"]}
    dashboards = {"prometheus", "grafana", "alertmanager", "web"}
    assert out == {"stream-ingestor", "alert-service", "models"} | dashboards


def test_a_service_knows_the_passwords_of_its_own_servers_alone(services: Services) -> None:
    of_server = {
        "redis": "TRINETRA_REDIS_URL",
        "kafka": "TRINETRA_KAFKA_PASSWORD",
        "qdrant": "TRINETRA_QDRANT_API_KEY",
        "postgres": "TRINETRA_STORE_URL",
    }
    for name in (*PORTS, *JOBS):
        environment = services[name]["environment"]
        known = {server for server, variable in of_server.items() if variable in environment}
        assert known == waits_for(services[name]).keys() & of_server.keys(), name


def test_the_secrets_of_cameras_and_channels_reach_one_service_each(services: Services) -> None:
    files = {
        name: [file["path"] for file in service["env_file"]]
        for name, service in services.items()
        if "env_file" in service
    }
    assert files == {"stream-ingestor": ["cameras.env"], "alert-service": ["alerts.env"]}


def test_a_service_is_asked_for_its_health_where_it_serves_it(services: Services) -> None:
    fields = {
        "stream-ingestor": "ingest_port",
        "inference-worker": "infer_port",
        "identity-resolver": "resolve_port",
        "insight-engine": "insight_port",
        "web": "web_port",
        "alert-service": "alert_port",
    }
    for name, port in PORTS.items():
        assert Settings.model_fields[fields[name]].default == port
        assert services[name]["environment"]["HEALTH_PORT"] == str(port)
        assert services[name]["expose"] == [str(port)]


def test_the_dashboard_asks_every_service_for_its_health(services: Services) -> None:
    asked = services["web"]["environment"]["TRINETRA_HEALTH_URLS"].strip().split(",")
    assert asked == [f"http://{name}:{port}" for name, port in PORTS.items() if name != "web"]
    allowed = services["web"]["environment"]["TRINETRA_ALLOWED_HOSTS"].split(",")
    assert set(allowed) >= PORTS.keys()


def test_docker_waits_longer_than_a_service_drains(services: Services) -> None:
    for name in PORTS:
        drain_s = seconds(services[name]["environment"]["TRINETRA_DRAIN_DEADLINE_S"])
        assert seconds(services[name]["stop_grace_period"]) > drain_s + 5, name


def test_services_that_know_customers_share_one_database(services: Services) -> None:
    stores = {
        name: services[name]["environment"].get("TRINETRA_STORE_URL")
        for name in ("identity-resolver", "insight-engine", "web")
    }
    assert len(set(stores.values())) == 1
    assert None not in stores.values()


def test_replicas_share_no_data_folder(services: Services) -> None:
    for name in PORTS:
        own = [v for v in services[name]["volumes"] if v["target"] == "/var/lib/trinetra"]
        assert [(v["type"], v.get("source")) for v in own] == [("volume", None)], name


def test_what_is_mounted_is_there(
    compose: dict[str, Any], services: Services, deploy: Path
) -> None:
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.get("source", "")
            if volume["type"] == "bind" and not source.startswith("${SITE_FILE"):
                assert (deploy / source).exists(), f"{name}: {source}"
                assert volume["read_only"] is True, f"{name}: {source}"
            elif volume["type"] == "volume" and source:
                assert source in compose["volumes"], f"{name}: {source}"


def test_every_variable_of_ours_is_a_setting(root: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    deploy = root / "deploy"
    files = [path for path in deploy.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in (*files, root / "docs" / "deployment.md"):
        named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+\b", path.read_text()))
        assert named <= known, path


@pytest.mark.parametrize("name", sorted({*PORTS, *JOBS}))
def test_every_command_is_one_of_the_command_line(services: Services, name: str) -> None:
    command: Any = typer.main.get_command(app)
    *words, site = services[name]["command"] if name != "models" else ["models", "fetch", None]
    for word in words:
        if word.startswith("--"):
            assert word in {option for parameter in command.params for option in parameter.opts}
        else:
            _, command, _ = command.resolve_command(command.make_context(word, [word]), [word])
    assert site in {None, "/etc/trinetra/site.yaml"}


def test_the_driver_of_the_store_is_installed_in_the_image(services: Services, root: Path) -> None:
    url = services["insight-engine"]["environment"]["TRINETRA_STORE_URL"]
    driver = url.partition("://")[0].partition("+")[2]
    lock = root / "deploy" / "requirements-postgres.lock"
    assert re.search(rf"^{driver}==", lock.read_text(), re.MULTILINE)
    assert lock.name in (root / "deploy" / "Dockerfile").read_text()


def test_third_party_servers_report_nothing(services: Services) -> None:
    """The switches are those of Grafana's and Qdrant's documentation; the others have none."""
    assert services["qdrant"]["environment"]["QDRANT__TELEMETRY_DISABLED"] == "true"
    off = {
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
    }
    assert off.items() <= services["grafana"]["environment"].items()
