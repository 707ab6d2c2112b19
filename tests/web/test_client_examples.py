"""The examples of docs/client.md run as they are printed, against a real server."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from threading import Event, Thread

import pytest
from tests.web.people_shop import ANN, BOB, open_people_shop

from trinetra.hosting import serving

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    stop, started, at = asyncio.Event(), Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with open_people_shop(tmp_path) as shop:
            await shop.know(ANN, "Ann Lee")
            await shop.propose(ANN, BOB)
            async with serving(shop.app, address="127.0.0.1", port=0) as port:
                at.append(f"http://127.0.0.1:{port}")
                started.set()
                await stop.wait()

    thread = Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait()
    try:
        yield at[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def blocks(kind: str, address: str) -> list[str]:
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [block.replace("http://localhost:8080", address) for block in found]


def test_the_examples_run(address: str) -> None:
    names: dict = {}
    for block in blocks("python", address):
        exec(block, names)  # noqa: S102 -- our own page
    assert names["figure"].value == 5.0
    assert len(names["crossings"]) == 7
    assert names["lines"]["traffic_in"].figure.value == 5.0
    assert names["content"].startswith(b"site,metric")
    assert names["merged"].also_known_as
    assert names["erasure"].is_done
    names["client"].close()


def test_the_asynchronous_example_runs(address: str) -> None:
    [block] = blocks("python async", address)
    names: dict = {}
    exec(f"async def run():\n{indent(block, '    ')}\n    return metrics", names)  # noqa: S102
    assert asyncio.run(names["run"]()).items
