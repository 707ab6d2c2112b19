"""``trinetra customers forget``: erases a person and prints a signed receipt."""

import asyncio
from typing import Annotated

import msgspec
import typer

from trinetra.adapters.disk.receipts import Signed
from trinetra.commands.console import note, print_text
from trinetra.commands.customers import Json
from trinetra.events.erasure import ErasureStatus
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import CustomerId
from trinetra.wiring.forgetting import Eraser

_Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group of customers."""
    group.command("forget")(forget)


def forget(
    customer_id: _Id,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=0, help="Seconds to wait for running services to confirm."),
    ] = 60.0,
    destroyed: Annotated[
        list[str] | None,
        typer.Option(
            "--destroyed",
            metavar="NAME",
            help="The data of this process exists no more: do not wait for it; repeatable.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Erase a person for good, under all ids, and print a signed receipt."""
    configure_logging(as_json=False, level="ERROR")
    eraser, who = Eraser(load_settings(), tell=note), CustomerId(customer_id)
    if not yes:
        typer.confirm(f"Erase {customer_id} for good? This cannot be undone", abort=True, err=True)

    async def erase() -> tuple[ErasureStatus, Signed]:
        status = await eraser.forget(who, timeout_s, destroyed or ())
        return status, await eraser.receipt(status)

    status, signed = asyncio.run(erase())
    print_text(msgspec.json.format(msgspec.json.encode(signed), indent=2).decode() + "\n")
    if status.settled_at is None:
        waits = (
            ", ".join(status.awaited) or "a process that has the gallery open or reads the database"
        )
        note(
            f"the request stands; not yet confirmed by: {waits}. "
            "Run the command again for the final receipt"
        )
        raise typer.Exit(1)
    if not as_json:
        note("the person is erased; the receipt above holds no personal data: keep it")
