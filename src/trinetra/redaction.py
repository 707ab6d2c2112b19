"""Decides what of an address is logged and shown: never a credential, wherever it stands.

Cameras take passwords not only before the host but in the path (``/user=admin_password=...``) and
in the query (``?usr=admin&pwd=...``), under names of their own. So of a camera's address only the
scheme, host and port are shown, and of any other address neither login nor query.
"""

import re

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>[^\s\"'<>]+)", re.IGNORECASE)
_HOST = re.compile(r"[^@:\[\]]+(:\d*)?|\[[0-9a-f:.%]+\](:\d*)?", re.IGNORECASE)
_CAMERA_SCHEMES = frozenset({"rtsp", "rtsps"})
_HIDDEN = "…"
_PUNCTUATION = ".,:;)]"


def shown_address(url: str) -> str:
    """Return scheme, host and port of a camera's address; ``/…`` stands for anything behind them.

    What cannot be told from a credential is shown as ``…``.
    """
    scheme, mark, rest = url.partition("://")
    return f"{scheme}://{_host_only(rest)}" if mark else _HIDDEN


def mask_urls(text: str) -> str:
    """Return the text without the credentials that its URLs may contain.

    User and password become ``***``, a query ``?…``, and the path of an RTSP address ``/…``.
    """
    return _URL.sub(_masked, text)


def _host_only(rest: str) -> str:
    authority, behind = _split_before("/?#", rest)
    host = authority.rpartition("@")[2]
    if not _HOST.fullmatch(host):
        return _HIDDEN  # as in user:pass/word@host, whose slash should have been encoded
    return host + (f"/{_HIDDEN}" if behind.strip("/") else "")


def _masked(url: re.Match[str]) -> str:
    scheme, bare = url["scheme"], url["rest"].rstrip(_PUNCTUATION)
    if scheme.lower() in _CAMERA_SCHEMES:
        login = "***@" if "@" in _split_before("/?#", bare)[0] else ""
        shown = login + _host_only(bare)
    else:
        userinfo, _, rest = bare.rpartition("@")
        address, query = _split_before("?#", rest)
        shown = ("***@" if userinfo else "") + address + (f"{query[0]}{_HIDDEN}" if query else "")
    return f"{scheme}://{shown}{url['rest'][len(bare) :]}"


def _split_before(signs: str, text: str) -> tuple[str, str]:
    end = next((at for at, sign in enumerate(text) if sign in signs), len(text))
    return text[:end], text[end:]
