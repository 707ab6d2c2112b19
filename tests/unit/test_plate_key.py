"""The key for plates: from the settings, or made once for one process and kept private."""

import pickle

import pytest

from trinetra.errors import ConfigurationError
from trinetra.events.plates import PlateCharacters
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.wiring.plate_key import plate_key


def site(**camera) -> Site:
    fields = {"id": "gate", "role": "vehicle", "source": {"file": "x.mp4"}, **camera}
    return Site.model_validate({"site": "shop", "timezone": "UTC", "cameras": [fields]})


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.delenv("TRINETRA_PLATE_KEY", raising=False)
    return Settings(data_dir=tmp_path / "data")


def test_a_platform_in_one_process_makes_a_private_key_once(settings, tmp_path):
    first, second = plate_key(site(), settings), plate_key(site(), settings)
    assert first.pseudonym("KA01") == second.pseudonym("KA01")
    file = settings.data_dir / "plate.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.data_dir.iterdir()] == ["plate.key"]
    other = plate_key(site(), Settings(data_dir=tmp_path / "other"))
    assert other.pseudonym("KA01") != first.pseudonym("KA01")


def test_a_key_of_the_settings_is_the_same_everywhere(settings, tmp_path):
    given = {"plate_key": "0123456789abcdef" * 4}
    assert plate_key(site(), settings, makes=False) is None
    keys = [
        plate_key(site(), Settings(data_dir=tmp_path / name, event_log=log, **given))
        for name, log in (("a", "memory"), ("b", "kafka"))
    ]
    assert keys[0].pseudonym("KA01") == keys[1].pseudonym("KA01")
    assert not (tmp_path / "a").exists()


def test_services_on_kafka_without_a_key_read_no_plates(tmp_path):
    assert plate_key(site(), Settings(data_dir=tmp_path / "data", event_log="kafka")) is None
    assert not (tmp_path / "data").exists()


def test_a_site_that_reads_no_plates_has_no_key(settings):
    assert plate_key(site(reads_plates=False), settings) is None
    assert plate_key(site(role="entrance"), settings) is None
    assert plate_key(site(role="entrance", reads_plates=True), settings) is not None


def test_a_short_key_is_refused_and_not_shown(tmp_path):
    weak = Settings(data_dir=tmp_path, plate_key="hunter2")
    with pytest.raises(ConfigurationError, match="at least 16") as refused:
        plate_key(site(), weak)
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(weak)


def test_a_key_passes_to_another_process(settings):
    key = plate_key(site(), settings)
    sealed = key.seal(PlateCharacters.of("KA01", (0.5,) * 4))
    assert pickle.loads(pickle.dumps(key)).unseal(sealed).text == "KA01"  # noqa: S301
