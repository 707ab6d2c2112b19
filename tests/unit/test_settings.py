"""Settings: valid environment variables, and messages about mistakes."""

import os
import platform
from pathlib import Path

import pytest
from pydantic import ValidationError

from trinetra.commands.settings import settings_page
from trinetra.errors import ConfigurationError
from trinetra.settings import Settings, load_settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("TRINETRA_", "XDG_")):
            monkeypatch.delenv(name)


def test_everything_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings()
    assert settings.data_dir == tmp_path / ".local" / "share" / "trinetra"
    assert settings.cache_dir == tmp_path / ".cache" / "trinetra"
    assert (settings.batch_max_frames, settings.batch_window_ms) == (4, 20.0)
    assert (settings.ingest_port, settings.infer_port, settings.resolve_port) == (8001, 8002, 8003)


def test_user_folders_follow_the_xdg_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    settings = load_settings()
    assert settings.data_dir == tmp_path / "d" / "trinetra"
    assert settings.cache_dir == tmp_path / "c" / "trinetra"


def test_a_relative_xdg_variable_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "somewhere")
    assert load_settings().data_dir == tmp_path / ".local" / "share" / "trinetra"


def test_a_folder_given_by_the_user_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("TRINETRA_MODELS_DIR", "~/weights")
    settings = load_settings()
    assert settings.data_dir == tmp_path
    assert settings.models_dir == Path("/home/somebody/weights")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().threads = 3


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRINETRA_TREADS", "2")
    with pytest.raises(ConfigurationError, match=r"TRINETRA_TREADS.*did you mean TRINETRA_THREADS"):
        load_settings()


def test_variables_of_the_tests_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_TEST_REQUIRE_SAMPLES", "1")
    assert load_settings().profile == "default"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_MODELS_DIR", "")
    monkeypatch.setenv("TRINETRA_THREADS", "")
    settings = load_settings()
    assert (settings.models_dir, settings.threads) == (None, 0)


def test_every_mistake_is_told_at_once_and_no_value_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRINETRA_THREADS", "hunter2")
    monkeypatch.setenv("TRINETRA_PROFILE", "hunter2")
    monkeypatch.setenv("TRINETRA_PASWORD", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    told = str(caught.value)
    assert [name in told for name in ("_THREADS", "_PROFILE", "_PASWORD")] == [True] * 3
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATCH_MAX_FRAMES", "0"),
        ("BATCH_WINDOW_MS", "nan"),
        ("INGEST_PORT", "65536"),
        ("INGEST_PORT", "8002"),
        ("DRAIN_DEADLINE_S", "-1"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_JSON", "perhaps"),
        ("EVENT_LOG", "rabbit"),
        ("NAMESPACE", "North Shop"),
        ("INSTANCE", "a b"),
        ("SPOOL_MAX_MB", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"TRINETRA_{name}", value)
    with pytest.raises(ConfigurationError, match="invalid settings"):
        load_settings()


def test_a_user_of_kafka_needs_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_KAFKA_SECURITY", "sasl_ssl")
    monkeypatch.setenv("TRINETRA_KAFKA_USER", "shop")
    with pytest.raises(ConfigurationError, match="TRINETRA_KAFKA_PASSWORD"):
        load_settings()
    monkeypatch.setenv("TRINETRA_KAFKA_PASSWORD", "hunter2")
    assert load_settings().kafka_user == "shop"


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_REDIS_URL", "redis://:hunter2@127.0.0.1:6379/0")
    monkeypatch.setenv("TRINETRA_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("TRINETRA_QDRANT_API_KEY", "hunter2")
    monkeypatch.setenv("TRINETRA_STORE_URL", "postgresql://shop:hunter2@127.0.0.1/shop")
    settings = load_settings()
    assert "hunter2" not in repr(settings)
    assert settings.redis_url.get_secret_value().startswith("redis://:hunter2@")


def test_an_instance_is_named_after_its_host_unless_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().instance == platform.node()
    monkeypatch.setenv("TRINETRA_INSTANCE", "till-2")
    assert load_settings().instance == "till-2"


def test_any_free_port_may_be_asked_for_more_than_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_INGEST_PORT", "0")
    monkeypatch.setenv("TRINETRA_INFER_PORT", "0")
    assert load_settings().ingest_port == 0


def test_log_levels_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_LOG_LEVEL", "debug")
    assert load_settings().log_level == "DEBUG"


def test_the_published_page_of_the_settings_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == settings_page(), "run `make docs`"


def test_the_page_of_the_settings_is_the_same_on_every_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = settings_page()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    monkeypatch.setenv("TRINETRA_KAFKA_PASSWORD", "hunter2")
    assert settings_page() == before


def test_every_setting_says_what_it_is_for() -> None:
    assert [n for n, field in Settings.model_fields.items() if not field.description] == []
