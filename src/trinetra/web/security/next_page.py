"""Where to go after a login: pages of this server alone, so that no link leads elsewhere."""

from urllib.parse import quote, urlsplit

_LONGEST = 2000
_AWAY = ("/login", "/logout", "/welcome", "/v1/")


def safe_next(given: str | None) -> str:
    r"""Return a path of this server; ``/`` for anything else.

    Browsers read a backslash as a slash, so that ``/\evil.example`` is another host for them, and
    drop tabs and newlines.
    """
    if not given or len(given) > _LONGEST or not given.startswith("/") or "\\" in given:
        return "/"
    if not given.isprintable() or given.startswith("//"):
        return "/"
    parts = urlsplit(given)
    if parts.scheme or parts.netloc or parts.path.startswith(_AWAY):
        return "/"
    return given


def login_address(path: str) -> str:
    """Return the address of the login page that leads back to a page."""
    target = safe_next(path)
    return "/login" if target == "/" else f"/login?next={quote(target, safe='')}"
