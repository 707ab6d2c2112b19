"""Provides the key that keeps license plates secret: from the settings, or made here."""

from trinetra.adapters.disk.private_folder import explained, own_secret
from trinetra.events.plates import PlateKey
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.telemetry import get_logger

_log = get_logger("plates")
_FILE = "plate.key"


def plate_key(site: Site, settings: Settings, *, makes: bool = True) -> PlateKey | None:
    """Return the key for the plates of a site, or None if plates cannot be read.

    That is so if no camera reads them, or if several processes need the same key and the settings
    have none. A platform in one process makes a random key in its data folder at the first start:
    pseudonyms of other installations differ from those of this one; if not ``makes``, only a key
    that is there is used. Raises ConfigurationError or StorageFull.
    """
    if not any(camera.reads_plates for camera in site.cameras):
        return None
    if settings.plate_key is not None:
        return PlateKey(settings.plate_key.get_secret_value().encode())
    if settings.event_log != "memory":
        _log.warning(
            "license plates are not read, because the services share no key for them: set "
            "TRINETRA_PLATE_KEY of every worker and resolver to the output of "
            "'openssl rand -hex 32'"
        )
        return None
    if not makes and not (settings.data_dir / _FILE).exists():
        return None
    with explained("plate key", settings.data_dir):
        return PlateKey(own_secret(settings.data_dir, _FILE))
