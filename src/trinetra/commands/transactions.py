"""``trinetra transactions import``: sends the receipts in a file to a running platform."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note, say
from trinetra.commands.imports import Source, opened
from trinetra.errors import ConfigurationError, EventLogUnavailable
from trinetra.events.receipts import ReceiptRejected, ReceiptRules, read_receipt
from trinetra.imports.fields import FieldFault
from trinetra.imports.receipts import RECEIPT_FIELDS, receipt_document
from trinetra.imports.tables import Row
from trinetra.settings import Settings, load_settings
from trinetra.site import load_site
from trinetra.telemetry import configure_logging
from trinetra.values import SiteId
from trinetra.wiring.config import receipt_rules

_AT_ONCE = 500
_TRIES = 6
_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0
_TIMEOUT_S = 30.0
Read = tuple[Row, dict[str, Any]]

transactions = typer.Typer(no_args_is_help=True, help="Receipts of tills: import them.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(transactions, name="transactions")


@transactions.callback()
def _group() -> None:
    """Keep the group a group, although it has a single command."""


@transactions.command("import")
def import_receipts(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table: CSV or JSON lines.")],
    *,
    mapping: Annotated[
        Path, typer.Option("--mapping", metavar="MAP", help="Which column has which field.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file and send nothing.")
    ] = False,
    site: Annotated[
        Path | None, typer.Option("--site", metavar="SITE", help="Check tills and currencies, too.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="URL of a platform; default: on this machine.")
    ] = None,
) -> None:
    """Import receipts into a running platform; lines that are rejected go to FILE.rejected."""
    configure_logging(as_json=False, level="ERROR")
    settings = load_settings()
    rules = receipt_rules(load_site(site)) if site else ReceiptRules(SiteId(""))
    with opened(file, mapping, RECEIPT_FIELDS) as source:
        receipts = _read(source, rules)
        if dry_run:
            told = Counter({"valid": sum(1 for _ in receipts)})
        else:
            told = _send_all(source, receipts, url or _own_url(settings), settings)
        _report(source, told)


def _read(source: Source, rules: ReceiptRules) -> Iterator[Read]:
    """Yield the rows that are receipts, with the documents to send, and reject the others."""
    now = SystemClock().now()
    refunds = source.mapping.negative == "refund"
    for row in source.table.rows():
        if row.fault is not None:
            source.reject(row, row.fault)
            continue
        try:
            document = receipt_document(row.values, source.fields, negative_is_refund=refunds)
            read_receipt(document, rules, now)
        except (FieldFault, ReceiptRejected) as fault:
            source.reject(row, str(fault))
        else:
            yield row, document


def _send_all(
    source: Source, receipts: Iterator[Read], url: str, settings: Settings
) -> Counter[str]:
    """Send all receipts in batches; return how many of each status the platform told."""
    if settings.transactions_token is None:
        raise ConfigurationError(
            "set TRINETRA_TRANSACTIONS_TOKEN to the token that the platform was started with"
        )
    headers = {"Authorization": f"Bearer {settings.transactions_token.get_secret_value()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S) as client:
        door = _Door(client, url)
        while batch := list(islice(receipts, _AT_ONCE)):
            for row, reason in door.send(batch):
                source.reject(row, reason)
    return door.told


@dataclass(slots=True)
class _Door:
    """``POST /v1/transactions`` of a platform, and what it answered so far."""

    client: httpx.Client
    url: str
    told: Counter[str] = field(default_factory=Counter)

    def send(self, batch: Sequence[Read]) -> list[tuple[Row, str]]:
        """Send receipts; return those that the platform refused, with its reasons."""
        refused: list[tuple[Row, str]] = []
        while batch:
            answer = self._post([document for _, document in batch])
            if answer.status_code == httpx.codes.OK:
                self.told.update(each["status"] for each in answer.json()["receipts"])
                break
            faults = {e["index"]: str(e["detail"]) for e in answer.json().get("errors", ())}
            if not faults:
                raise ConfigurationError(f"{self.url} refused the receipts: {_detail(answer)}")
            refused += [(batch[index][0], reason) for index, reason in faults.items()]
            # A request is all or nothing: the rest is sent again without those.
            batch = [each for index, each in enumerate(batch) if index not in faults]
        return refused

    def _post(self, documents: Sequence[dict[str, Any]]) -> httpx.Response:
        for _ in range(_TRIES):
            try:
                answer = self.client.post("/v1/transactions", json=documents)
            except (httpx.HTTPError, httpx.InvalidURL) as cause:
                raise self._unavailable(str(cause)) from cause
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            note(f"{self.url} cannot store receipts now; trying again")
            # The platform says when to ask again; nothing else goes on in this command.
            time.sleep(_pause_s(answer))
        raise self._unavailable(_detail(answer))

    def _unavailable(self, cause: str) -> EventLogUnavailable:
        sent = sum(self.told.values())
        return EventLogUnavailable(
            f"{self.url} does not take receipts ({cause}); {sent} were sent. Start `trinetra run "
            "SITE` or name another platform with --url, and import the whole file again: what was "
            "sent counts once"
        )


def _pause_s(answer: httpx.Response) -> float:
    """Return how long to wait before the next try; Retry-After may also be a date (RFC 9110)."""
    told = answer.headers.get("Retry-After", "")
    return min(float(told), _LONGEST_PAUSE_S) if told.isdecimal() else _PAUSE_S


def _detail(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"


def _report(source: Source, told: Counter[str]) -> None:
    """Tell what was done. Exits with code 1 if lines were rejected."""
    kinds = [f"{number} {status}" for status, number in sorted(told.items())]
    say(f"{source.path}: {', '.join([*kinds, f'{len(source.rejected)} rejected'])}")
    if path := source.write_rejected():
        note(f"mend the lines in {path} and import that file with the same mapping")
        raise typer.Exit(1)


def _own_url(settings: Settings) -> str:
    """Return the address of the process on this machine that takes receipts."""
    port = settings.embedded_port if settings.event_log == "memory" else settings.insight_port
    return f"http://{settings.host}:{port}"
