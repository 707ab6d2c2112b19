"""``trinetra customers verify-receipt``: verifies the receipt of an erasure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from trinetra.adapters.disk.receipts import Signed, check, known_key
from trinetra.commands.console import say
from trinetra.settings import Settings, load_settings
from trinetra.wiring.audit_trail import audit_log

_File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
_Key = Annotated[
    str | None,
    typer.Option("--key", metavar="HEX", help="The public key of the installation that signed."),
]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group of customers."""
    group.command("verify-receipt")(verify_receipt)


def verify_receipt(file: _File, *, key: _Key = None) -> None:
    """Verify the signature of a receipt, and that it is final; exit code 1 if not."""
    signed, settings = check(file), load_settings()
    faults = list(_doubts(signed, settings, key))
    for fault in faults:
        say(f"{file}: {fault}")
    if faults:
        raise typer.Exit(1)
    say(f"{file} is final, with a valid signature by the key {signed.public_key}")


def _doubts(signed: Signed, settings: Settings, key: str | None) -> Iterator[str]:
    """Yield why a receipt with a valid signature is not the final one."""
    own = known_key(settings.data_dir / "keys")
    if signed.public_key != (key.lower() if key else own):
        yield f"signed by another installation, with the key {signed.public_key}"
    seen = signed.receipt.get("audit_log_hash")
    if signed.public_key == own and all(line.hash != seen for line in audit_log(settings).lines()):
        yield f"the line of the audit log with the hash {seen} is gone: the log was changed"
    if not signed.receipt.get("done_at"):
        silent = ", ".join(signed.receipt.get("awaited", ())) or "the owner of the gallery"
        yield f"not final: never confirmed by {silent}; run `forget` again"
