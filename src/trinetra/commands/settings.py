"""``trinetra settings``: lists the ``TRINETRA_*`` variables with default and purpose."""

from collections.abc import Iterator
from typing import Literal, get_args, get_origin

import typer

from trinetra.commands.console import print_text
from trinetra.settings import PREFIX, Settings

_HEADING = """\
# Settings

How and where TRINETRA runs, as environment variables. An empty variable counts as not set, an
unknown one is refused. Written by `make docs`; `trinetra settings` prints the same.

| variable | default | what it is for |
|---|---|---|
"""

# Defaults that depend on the machine.
_TOLD = {
    "data_dir": "`~/.local/share/trinetra`",
    "cache_dir": "`~/.cache/trinetra`",
    "instance": "the host's name and the service's port",
}


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command("settings")(settings)


def settings() -> None:
    """Print every setting with its default and purpose, as Markdown."""
    print_text(settings_page())


def settings_page() -> str:
    """Return the text of ``docs/settings.md``, which is the same on every machine."""
    return _HEADING + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[tuple[str, str, str]]:
    for name, field in Settings.model_fields.items():
        default = _told(field.default) if field.default_factory is None else _TOLD[name]
        purpose = " ".join(filter(None, (field.description, _choices(field.annotation))))
        yield f"`{PREFIX}{name.upper()}`", default, purpose


def _told(default: object) -> str:
    if hasattr(default, "get_secret_value"):  # a default value is not a secret
        default = default.get_secret_value()
    if isinstance(default, bool):
        default = str(default).lower()
    if isinstance(default, float):
        default = f"{default:g}"
    return "none" if default in {None, ""} else f"`{default}`"


def _choices(annotation: object) -> str:
    if get_origin(annotation) is not Literal:
        return ""
    return f"One of {', '.join(f'`{choice}`' for choice in get_args(annotation))}."
