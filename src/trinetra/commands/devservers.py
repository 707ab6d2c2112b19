"""``trinetra devservers up|status|down``: Redis and Kafka on loopback, in the background."""

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from trinetra.commands.console import note, print_json, print_text
from trinetra.devservers.kafka import KafkaBroker
from trinetra.devservers.network import HOST
from trinetra.devservers.redis import RedisServer
from trinetra.devservers.servers import DevServers, Remembered
from trinetra.settings import load_settings

_Port = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65_535,
        help="Port on 127.0.0.1.",
        show_default="the one used last, else the standard port",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_Erase = Annotated[bool, typer.Option("--erase", help="Delete what the servers wrote.")]

devservers = typer.Typer(
    no_args_is_help=True, help="Redis and Kafka on this machine, for trials and tests."
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(devservers, name="devservers")


@devservers.command()
def up(*, redis_port: _Port = None, kafka_port: _Port = None) -> None:
    """Start the servers that are not running, and print the settings for using them.

    Standard output is for a shell: eval "$(trinetra devservers up)".
    """
    settings = load_settings()
    local = _dev_servers()
    servers = local.up(redis_port=redis_port, kafka_port=kafka_port, cache_dir=settings.cache_dir)
    for server in servers:
        note(f"{_described(server)}, logs to {server.log}")
    note("next: `trinetra topics create --site SITE`; at the end: `trinetra devservers down`")
    store = settings.data_dir / "insights.db"
    print_text(settings_lines(servers, f"sqlite:///{store}"))


@devservers.command()
def status(*, as_json: _Json = False) -> None:
    """Show the state of the servers; exit code 1 if one is not running."""
    servers = _dev_servers().remembered()
    if as_json:
        print_json([_row(server) for server in servers])
    elif not servers:
        print_text("nothing was started: run `trinetra devservers up`\n")
    else:
        print_text("".join(f"{_described(server)}\n" for server in servers))
    if not servers or not all(server.runs for server in servers):
        sys.exit(1)


@devservers.command()
def down(*, erase: _Erase = False) -> None:
    """Stop the servers; Kafka's topics are kept unless --erase is given."""
    stopped = _dev_servers().down(erase=erase)
    for server in stopped:
        note(f"{server.name} has stopped")
    if not stopped:
        note("nothing was running")


def settings_lines(servers: Sequence[Remembered], store_url: str) -> str:
    """Return the shell commands that make services use these servers, and one database."""
    port = {server.name: server.port for server in servers}
    values = {
        "TRINETRA_FRAME_BUFFER": "redis",
        "TRINETRA_REDIS_URL": f"redis://{HOST}:{port[RedisServer.name]}/0",
        "TRINETRA_EVENT_LOG": "kafka",
        "TRINETRA_KAFKA_SERVERS": f"{HOST}:{port[KafkaBroker.name]}",
        "TRINETRA_STORE_URL": store_url,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _dev_servers() -> DevServers:
    return DevServers(load_settings().data_dir / "devservers")


def _described(server: Remembered) -> str:
    if not server.runs:
        return f"{server.name} is no longer running (it was process {server.pid}); see {server.log}"
    return f"{server.name} listens on {HOST}:{server.port} (process {server.pid})"


def _row(server: Remembered) -> dict[str, object]:
    return {
        "name": server.name,
        "runs": server.runs,
        "host": HOST,
        "port": server.port,
        "pid": server.pid,
        "log": server.log,
    }
