"""``trinetra mcp`` as a language model uses it: a real process, by the client of the MCP SDK."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.web.people_shop import ANN, PeopleShop, open_people_shop

from trinetra.hosting import serving
from trinetra.web.access import Role

DAYS = {"first_day": "2026-11-27", "last_day": "2026-11-27"}


@asynccontextmanager
async def asking(shop: PeopleShop, role: Role) -> AsyncIterator[Client]:
    """Connect to `trinetra mcp`, whose token has a role."""
    shop.signed_in.role = role
    async with serving(shop.app, address="127.0.0.1", port=0) as port:
        program = StdioServerParameters(
            command=sys.executable,
            args=["-m", "trinetra.cli", "mcp", "--url", f"http://127.0.0.1:{port}"],
            env={**os.environ, "TRINETRA_API_TOKEN": "any"},
        )
        async with Client(stdio_client(program)) as client:
            yield client


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[PeopleShop]:
    async with open_people_shop(tmp_path) as opened:
        await opened.know(ANN, "Ann Lee")
        yield opened


async def test_a_model_finds_out_what_it_can_ask_and_asks(shop: PeopleShop) -> None:
    async with asking(shop, Role.VIEWER) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {
            *("shop", "cameras", "list_metrics", "figures", "compare", "why"),
            *("journeys", "vehicles", "alerts"),
        }
        assert all(tool.description for tool in tools.values())
        schema = tools["figures"].input_schema["properties"]
        assert "shop's clock" in schema["first_day"]["description"]

        shown = await answer(client, "shop")
        assert (shown["timezone"], "cameras" in shown) == ("Europe/Berlin", False)
        places = await answer(client, "cameras")
        assert places["cameras"][0]["lines"] == ["door/main"]
        metrics = await answer(client, "list_metrics")
        assert "traffic_in" in {metric["name"] for metric in metrics["metrics"]}

        told = await answer(client, "figures", metrics=["traffic_in"], **DAYS)
        [figure] = told["figures"]
        assert (figure["value"], figure["completeness"]) == (5.0, 0.25)
        why = await answer(client, "why", metric="traffic_in", **DAYS)
        assert (why["counted"], why["adds_up"]) == (5, True)
        assert why["left_out_because"]["staff"] == 1
        compared = await answer(
            client, "compare", metrics=["traffic_in"], period="day", first_day="2026-11-27"
        )
        assert compared["lines"][0]["now"]["value"] == 5.0
        assert (await answer(client, "vehicles", **DAYS))["by_type"] == {"car": 3}
        assert (await answer(client, "journeys", **DAYS))["journeys"] == 0


async def test_a_wrong_question_is_answered_by_what_to_do(shop: PeopleShop) -> None:
    async with asking(shop, Role.VIEWER) as client:
        wrong = await client.call_tool("figures", {"metrics": ["luck"], **DAYS})
        assert wrong.is_error
        assert "no metric is called 'luck'" in wrong.content[0].text  # type: ignore[union-attr]
        without = await client.call_tool("alerts", {})
        assert "not available here" in without.content[0].text  # type: ignore[union-attr]
        garbage = await client.call_tool("figures", {"metrics": "x", "first_day": "soon"})
        assert garbage.is_error


async def test_people_are_named_only_to_a_token_that_may_know_them(shop: PeopleShop) -> None:
    async with asking(shop, Role.OPERATOR) as client:
        found = await answer(client, "find_customers", text="ann")
        assert found["customers"][0]["customer"]["name"] == "Ann Lee"


async def test_a_server_that_does_not_answer_is_told_on_the_terminal() -> None:
    arguments = ["-m", "trinetra.cli", "mcp", "--url", "http://127.0.0.1:9", "--token", "secret-1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 1
    assert b"does not answer" in err
    assert (out, b"secret-1" in err) == (b"", False)
