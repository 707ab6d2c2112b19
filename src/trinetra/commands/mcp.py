"""``trinetra mcp``: an MCP server by which language models read the shop."""

import asyncio
from typing import Annotated

import typer

from trinetra.client import AsyncClient
from trinetra.errors import ConfigurationError

_Url = Annotated[
    str, typer.Option("--url", help="Address of TRINETRA, like http://localhost:8080.")
]
_Token = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="TRINETRA_API_TOKEN",
        show_default=False,
        help="API token; the variable keeps it out of the list of processes.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command("mcp")(mcp)


def mcp(*, url: _Url, token: _Token) -> None:
    """Serve figures of a shop to language models (MCP), over standard input and output."""
    asyncio.run(_serve(url, token))


async def _serve(url: str, token: str) -> None:
    try:
        from trinetra.client.assistant import assistant  # noqa: PLC0415
    except ModuleNotFoundError as cause:
        raise ConfigurationError(
            f"the package {cause.name} is missing: pip install 'trinetra[mcp]'"
        ) from cause
    async with AsyncClient(url, token) as client:
        session = await client.session()
        await assistant(client, frozenset(session.permissions)).run_stdio_async()
