"""How commands authenticate at a running TRINETRA: by an API token, or by the data folder."""

import ipaddress
import ssl
from urllib.parse import urlsplit

from trinetra.settings import Settings
from trinetra.values import Instant
from trinetra.web.security.local_secret import local_token
from trinetra.wiring.local_secret import find_local_secret

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where all interfaces are, one is asked


def own_address(settings: Settings) -> str:
    """Return the address of `trinetra run` on this machine."""
    host = _ANY.get(settings.host, settings.host)
    scheme = "https" if settings.tls_cert_file else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.embedded_port}"


def bearer_for(url: str, settings: Settings, now: Instant) -> dict[str, str]:
    """Return the headers that authenticate at an address.

    Only a server on this machine is shown proof of the data folder, and never its secret.
    """
    if settings.api_token:
        return {"Authorization": f"Bearer {settings.api_token.get_secret_value()}"}
    secret = find_local_secret(settings.data_dir) if _is_here(url, settings) else None
    return {"Authorization": f"Bearer {local_token(secret, now)}"} if secret else {}


def verification(url: str, settings: Settings) -> ssl.SSLContext | bool:
    """Return how to verify the server: its own certificate is trusted on this machine."""
    context = ssl.create_default_context()
    if settings.tls_cert_file is None or not _is_here(url, settings):
        return context
    context.load_verify_locations(settings.tls_cert_file)
    context.check_hostname = False  # it names the shop's address, not that of this machine
    return context


def refused(url: str) -> str:
    """Return the message for an answer of 401 or 403."""
    return (
        f"{url} does not let this command read events; run it as the user who runs TRINETRA, "
        "with the same TRINETRA_DATA_DIR, or set TRINETRA_API_TOKEN to a token with the scope "
        "events:read"
    )


def _is_here(url: str, settings: Settings) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback or host == settings.host
    except ValueError:
        return host in {"localhost", settings.host}
