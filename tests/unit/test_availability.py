"""Gauges of servers claim only what was tried and is recent."""

import math
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from trinetra.telemetry import KNOWN_FOR_S, Availability


class Monotonic:
    """A clock that the test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_server_that_was_never_asked_is_neither_up_nor_down(registry: CollectorRegistry) -> None:
    Availability(Gauge("server_up", "", registry=registry))
    Availability(Gauge("other_up", "", ["service"], registry=registry))
    assert math.isnan(registry.get_sample_value("server_up") or 0.0)
    assert registry.get_sample_value("other_up", {"service": "engine"}) is None


def test_a_server_is_up_only_while_something_asks_it(registry: CollectorRegistry) -> None:
    clock = Monotonic()
    server = Availability(Gauge("server_up", "", ["service"], registry=registry), clock)

    def told() -> float | None:
        return registry.get_sample_value("server_up", {"service": "engine"})

    server.note(True, "engine")
    assert told() == 1.0
    clock.now_s += KNOWN_FOR_S + 1
    assert math.isnan(told() or 0.0)
    server.note(True, "engine")
    assert told() == 1.0
    server.forget("engine")
    assert math.isnan(told() or 0.0)


def test_a_failure_stands_until_the_server_answers(registry: CollectorRegistry) -> None:
    clock = Monotonic()
    server = Availability(Gauge("server_up", "", registry=registry), clock)
    server.note(False)
    clock.now_s += 10 * KNOWN_FOR_S
    assert registry.get_sample_value("server_up") == 0.0
    server.note(True)
    assert registry.get_sample_value("server_up") == 1.0


def test_a_process_that_asked_nothing_claims_nothing_of_servers() -> None:
    program = "from trinetra.telemetry import exposition; print(exposition().decode())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
        if sample.name.endswith(("_up", "_lag", "_ready"))
    }
    assert values.keys() == {"trinetra_gallery_up", "trinetra_registry_replica_lag"}
    assert all(map(math.isnan, values.values()))
