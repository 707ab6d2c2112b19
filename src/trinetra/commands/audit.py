"""``trinetra audit``: shows and verifies the audit log of operations on personal data."""

import asyncio

import msgspec
import typer

from trinetra.adapters.disk.receipts import known_key
from trinetra.commands.console import note, print_json, say
from trinetra.commands.customers import Json
from trinetra.customers.customer_feed import read_people
from trinetra.settings import Settings, load_settings
from trinetra.wiring.audit_trail import audit_log
from trinetra.wiring.stores import open_customer_log

audit = typer.Typer(no_args_is_help=True, help="Audit log of operations on personal data.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(audit, name="audit")


@audit.command("show")
def show(*, as_json: Json = False) -> None:
    """List the operations, the latest last."""
    log = audit_log(load_settings())
    lines = log.lines()
    if any(log.faults()):
        note("this log is damaged: see `trinetra audit verify`")
    if as_json:
        print_json(msgspec.to_builtins(lines))
        return
    for line in lines:
        told = f"{line.number} {line.at:%Y-%m-%d %H:%M:%S} {line.by} {line.action} {line.subject}"
        say(f"{told} {line.detail}".rstrip())


@audit.command("verify")
def verify() -> None:
    """Verify the hash chain of the audit log; exit code 1 if it was changed or removed."""
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


async def _known_deed(settings: Settings) -> str:
    """Return an operation that the audit log must contain; empty if none is known."""
    if known_key(settings.data_dir / "keys"):
        return "receipts were signed here"
    if settings.store_url is not None or not (settings.data_dir / "insights.db").exists():
        return ""  # a server's database also has changes made on other machines
    async with open_customer_log(settings) as customer_log:
        people = await read_people(customer_log)
    return f"{len(people.erased)} ids were erased here" if people.erased else ""
