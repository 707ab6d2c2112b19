"""``trinetra transactions import``: mapping, broken lines, and a platform that takes receipts."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest
from tests.flows.test_receipts import ALWAYS, RULES, TOKEN, Noon
from typer.testing import CliRunner

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.insight_store import MemoryInsightStore
from trinetra.commands.application import app
from trinetra.events.schema import Receipt
from trinetra.hosting import TransactionDoor, health_app, serving
from trinetra.insights.receipts import ReceiptIntake

MAPPING = """
delimiter: ";"
encoding: cp1252
decimal: ","
thousands: "."
time_format: "%d.%m.%Y %H:%M:%S"
timezone: Europe/Berlin
negative: refund
columns:
  receipt_id: Bon-Nr
  till_id: Kasse
  issued_at: [Datum, Zeit]
  total: Betrag
  kind: Art
  item_count: Artikel
constants:
  currency: EUR
words:
  till_id: {1: till-1, 2: till-2, 9: till-9}
  kind: {V: sale, R: refund, S: void, T: training}
"""
HEADER = "Bon-Nr;Kasse;Datum;Zeit;Betrag;Art;Artikel;Notiz"


def line(number: int, **changes: str) -> str:
    fields = {
        "id": f"A-{number}",
        "till": "1",
        "day": "22.11.2026",
        "time": "12:00:00",
        "total": "12,50",
        "kind": "V",
        "items": "3",
        "note": "",
        **changes,
    }
    return ";".join(fields.values())


class Shop:
    """A platform that takes receipts on a free port, in a thread of its own."""

    def __init__(self) -> None:
        self.store = MemoryInsightStore()
        self.port = 0
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        intake = ReceiptIntake(RULES, self.store, MemoryEventLog(SystemClock()), Noon())
        door = TransactionDoor(lambda: intake, TOKEN)
        async with serving(health_app([], transactions=door), address="127.0.0.1", port=0) as port:
            self.port = port
            self._ready.set()
            await self._stop.wait()

    def receipts(self) -> list[Receipt]:
        found = asyncio.run(self.store.fetch("receipt", *ALWAYS))
        return sorted(found, key=lambda receipt: receipt.receipt_id)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        yield shop


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRINETRA_TRANSACTIONS_TOKEN", TOKEN)
    (tmp_path / "map.yaml").write_text(MAPPING)
    return tmp_path


def write(folder: Path, *lines: str, name: str = "bons.csv") -> Path:
    path = folder / name
    path.write_bytes("\n".join([HEADER, *lines, ""]).encode("cp1252"))
    return path


def imported(path: Path, *options: str) -> tuple[int, str]:
    arguments = ["transactions", "import", str(path), "--mapping", str(path.parent / "map.yaml")]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_receipts_of_a_table_are_read_by_the_mapping(folder: Path, shop: Shop) -> None:
    path = write(folder, line(1, total="1.012,50", note="grün"), line(2, total="-5,00", till="2"))
    code, told = imported(path, "--url", f"http://127.0.0.1:{shop.port}")
    assert (code, "2 accepted, 0 rejected" in told) == (0, True)
    sale, refund = shop.receipts()
    assert (sale.receipt_id, sale.till_id, sale.total_minor, sale.kind) == (
        "A-1",
        "till-1",
        101_250,
        "sale",
    )
    assert sale.issued_at == datetime(2026, 11, 22, 11, tzinfo=UTC)
    assert (refund.kind, refund.total_minor) == ("refund", 500)


def test_broken_lines_are_reported_by_number_and_the_rest_is_imported(
    folder: Path, shop: Shop
) -> None:
    path = write(
        folder,
        line(1),
        line(2, total="12.50"),
        line(3, till="7"),
        "A-4;1;22.11.2026",
        line(5, note='"never closed'),
        line(6, note='"two\nlines"'),
        line(7, day="29.03.2026", time="02:30:00"),
        line(8, time="25:00:00"),
        line(9, day="22.11.2027"),
        line(10, till="9"),
        line(11, total=""),
        line(12, note="4111 1111 1111 1111", id="4111-1111-1111-1111"),
    )
    path.write_bytes(path.read_bytes() + b"A-13;1;22.11.2026;12:00:00;\x81;V;3;\n")

    code, told = imported(path, "--url", f"http://127.0.0.1:{shop.port}")

    assert code == 1
    assert [r.receipt_id for r in shop.receipts()] == ["A-1", "A-6"]
    for number in (3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15):
        assert f"bons.csv:{number}: " in told
    assert "2 accepted, 11 rejected" in told


def test_rejected_lines_can_be_mended_and_imported_again(folder: Path, shop: Shop) -> None:
    path = write(folder, line(1), line(2, total="12.50", note="grün"), line(3, till="9"))
    url = f"http://127.0.0.1:{shop.port}"
    assert imported(path, "--url", url)[0] == 1
    rejected = folder / "bons.csv.rejected"
    text = rejected.read_bytes().decode("cp1252")
    assert text.splitlines()[0] == HEADER
    assert text.splitlines()[1].startswith("# line 3: total: '12.50'")
    assert rejected.stat().st_mode & 0o077 == 0

    mended = text.replace("12.50;", "12,50;").replace("A-3;9;", "A-3;2;")
    rejected.write_bytes(mended.encode("cp1252"))
    code, told = imported(rejected, "--url", url)

    assert (code, "2 accepted, 0 rejected" in told) == (0, True)
    assert len(shop.receipts()) == 3
    assert sorted(p.name for p in folder.iterdir()) == ["bons.csv", "bons.csv.rejected", "map.yaml"]


def test_a_file_of_rejected_lines_is_never_overwritten(folder: Path) -> None:
    path = write(folder, line(1, total="x"))
    for _ in range(2):
        assert imported(path, "--dry-run")[0] == 1
    names = sorted(p.name for p in folder.glob("bons.csv.*"))
    assert names == ["bons.csv.rejected", "bons.csv.rejected-2"]


def test_importing_twice_counts_once_and_other_content_is_rejected(
    folder: Path, shop: Shop
) -> None:
    url = f"http://127.0.0.1:{shop.port}"
    path = write(folder, *(line(number) for number in range(1, 1200)))
    assert "1199 accepted, 0 rejected" in imported(path, "--url", url)[1]
    assert "1199 duplicate, 0 rejected" in imported(path, "--url", url)[1]
    other = write(folder, line(1, total="1,00"), line(2))
    code, told = imported(other, "--url", url)
    assert (code, "1 duplicate, 1 rejected" in told) == (1, True)
    assert "higher revision" in told


def test_a_dry_run_sends_nothing_and_needs_no_platform(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRINETRA_TRANSACTIONS_TOKEN")
    code, told = imported(write(folder, line(1), line(2)), "--dry-run")
    assert (code, "2 valid, 0 rejected" in told) == (0, True)


def test_json_lines_are_read_as_well(folder: Path, shop: Shop) -> None:
    (folder / "map.yaml").write_text(
        "format: jsonl\ncolumns: {receipt_id: id, till_id: till, issued_at: at, total: sum, "
        "currency: cur}\n"
    )
    path = folder / "bons.jsonl"
    good = '{"id": "B-1", "till": "till-1", "at": "2026-11-22T11:00:00Z", "sum": 9.9, "cur": "EUR"}'
    path.write_text(f"{good}\n{{\n[1]\n{good.replace('9.9', '9.999').replace('B-1', 'B-2')}\n")
    code, told = imported(path, "--url", f"http://127.0.0.1:{shop.port}")
    assert code == 1
    assert [r.total_minor for r in shop.receipts()] == [990]
    assert all(f"bons.jsonl:{number}: " in told for number in (2, 3, 4))
    assert (folder / "bons.jsonl.rejected").read_text().splitlines()[1] == "{"


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ("columns: {receipt: Bon-Nr}", "no field receipt"),
        ("columns: {receipt_id: Nr}", "no column 'Nr'"),
        ("columns: {receipt_id: Bon-Nr}\ndelimiter: ','", "is the delimiter ','"),
        ("columns: {receipt_id: Bon-Nr}\nencoding: utf-17", "encoding"),
        ("columns: {receipt_id: Bon-Nr}\nencoding: utf-16", "encoding"),
        ("columns: {receipt_id: Bon-Nr}\ntimezone: Mars/Base", "IANA"),
        ("columns: {receipt_id: Bon-Nr}\ncolour: red", "colour"),
        ("columns: {receipt_id: [}", "map.yaml:1"),
        ("", "map.yaml:1"),
    ],
)
def test_a_mapping_that_does_not_fit_is_explained(folder: Path, mapping: str, reason: str) -> None:
    (folder / "map.yaml").write_text(mapping)
    path = write(folder, line(1))
    arguments = ["transactions", "import", str(path), "--mapping", str(folder / "map.yaml")]
    result = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert reason in str(result.exception)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a;a\n1;2\n"])
def test_a_file_without_a_usable_header_is_explained(folder: Path, content: bytes) -> None:
    path = folder / "bons.csv"
    path.write_bytes(content)
    arguments = ["transactions", "import", str(path), "--mapping", str(folder / "map.yaml")]
    result = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert "bons.csv:1: " in str(result.exception)


def test_without_a_token_or_with_a_wrong_one_it_says_which_variable(
    folder: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, line(1))
    arguments = ["transactions", "import", str(path), "--mapping", str(folder / "map.yaml")]
    url = ["--url", f"http://127.0.0.1:{shop.port}"]
    monkeypatch.setenv("TRINETRA_TRANSACTIONS_TOKEN", "wrong")
    assert "401" in str(CliRunner().invoke(app, [*arguments, *url]).exception)
    monkeypatch.delenv("TRINETRA_TRANSACTIONS_TOKEN")
    told = str(CliRunner().invoke(app, [*arguments, *url]).exception)
    assert "TRINETRA_TRANSACTIONS_TOKEN" in told


def test_without_a_platform_it_says_what_to_start(folder: Path) -> None:
    path = write(folder, line(1))
    arguments = ["transactions", "import", str(path), "--mapping", str(folder / "map.yaml")]
    result = CliRunner().invoke(app, [*arguments, "--url", "http://127.0.0.1:9"])
    assert "trinetra run" in str(result.exception)
