"""``trinetra audit`` and ``trinetra customers verify-receipt``: can the records be trusted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from trinetra.adapters.disk.receipts import Signed, check, known_key
from trinetra.commands.audit_trail import audit_log
from trinetra.commands.console import note, print_json, say
from trinetra.commands.customers import Json, customers
from trinetra.customers.customer_feed import read_people
from trinetra.settings import Settings, load_settings
from trinetra.wiring.connections import open_customer_log

_File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
_Key = Annotated[
    str | None,
    typer.Option("--key", metavar="HEX", help="The public key of the installation that signed."),
]

audit = typer.Typer(no_args_is_help=True, help="Who did what to people's data.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(audit, name="audit")


@customers.command("verify-receipt")
def verify_receipt(file: _File, *, key: _Key = None) -> None:
    """Tell whether a receipt is final and as it was signed here; exit code 1 if not."""
    signed, settings = check(file), load_settings()
    faults = list(_doubts(signed, settings, key))
    for fault in faults:
        say(f"{file}: {fault}")
    if faults:
        raise typer.Exit(1)
    say(f"{file} is as it was signed by the key {signed.public_key}, and final")


@audit.command("show")
def show(*, as_json: Json = False) -> None:
    """List what was done, the latest last."""
    log = audit_log(load_settings())
    lines = log.lines()
    if any(log.faults()):
        note("something is wrong with this log: see `trinetra audit verify`")
    if as_json:
        print_json(msgspec.to_builtins(lines))
        return
    for line in lines:
        told = f"{line.number} {line.at:%Y-%m-%d %H:%M:%S} {line.by} {line.action} {line.subject}"
        say(f"{told} {line.detail}".rstrip())


@audit.command("verify")
def verify() -> None:
    """Tell whether anybody changed the audit log or took it away; exit code 1 if so."""
    settings = load_settings()
    log = audit_log(settings)
    lines, faults = log.lines(), list(log.faults())
    if not lines and (deed := asyncio.run(_known_deed(settings))):
        faults.append(f"the log is gone: {deed}")
    for fault in faults:
        say(f"{log.path}: {fault}")
    if faults:
        raise typer.Exit(1)
    say(f"{len(lines)} lines, unbroken; the last hash is {lines[-1].hash if lines else 'none'}")


def _doubts(signed: Signed, settings: Settings, key: str | None) -> Iterator[str]:
    """Yield why a receipt whose signature holds is not the last word on an erasure."""
    own = known_key(settings.data_dir / "keys")
    if signed.public_key != (key.lower() if key else own):
        yield f"signed by another installation, with the key {signed.public_key}"
    seen = signed.receipt.get("audit_log_hash")
    if signed.public_key == own and all(line.hash != seen for line in audit_log(settings).lines()):
        yield f"the line of the audit log with the hash {seen} is gone: the log was changed"
    if not signed.receipt.get("done_at"):
        yield "not final: the erasure was not confirmed by everybody then; ask `forget` again"


async def _known_deed(settings: Settings) -> str:
    """Return what was done here that an audit log would tell of, if anything is known."""
    if known_key(settings.data_dir / "keys"):
        return "receipts were signed here"
    if settings.store_url is not None or not (settings.data_dir / "insights.db").exists():
        return ""  # a server's database tells of orders that were given on other machines, too
    async with open_customer_log(settings) as customer_log:
        people = await read_people(customer_log)
    return f"{len(people.erased)} ids were erased here" if people.erased else ""
