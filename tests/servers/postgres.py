"""PostgreSQL server for a test run on loopback: a new cluster with a password and no fsync."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trinetra.devservers.network import free_port
from trinetra.devservers.process import ServerMissing

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "trinetra"


def find_postgres() -> Path:
    """Return the folder of the newest PostgreSQL's programs. Raises ServerMissing."""
    versions = [folder for folder in _DEBIAN.glob("*/bin") if (folder / "initdb").exists()]
    if versions:
        return max(versions, key=lambda folder: int(folder.parent.name))
    if program := shutil.which("initdb"):
        return Path(program).resolve().parent
    raise ServerMissing("no PostgreSQL is installed: apt-get install postgresql")


@contextmanager
def running_postgres(programs: Path) -> Iterator[str]:
    """Start a server and yield its URL; remove all its files at the end."""
    # Not under pytest's folder: if root runs the tests, only root may enter it.
    folder = Path(tempfile.mkdtemp(prefix="trinetra-postgres-"))
    port, password = free_port(), secrets.token_hex(8)
    data, secret = folder / "data", folder / "password"
    secret.write_text(password)
    as_owner = _as_owner(folder)
    control = [*as_owner, str(programs / "pg_ctl"), "-w", "-D", str(data)]
    try:
        _run(
            *(*as_owner, str(programs / "initdb"), "-D", str(data), "-U", _USER, "--no-sync"),
            *("--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"),
        )
        # Unix sockets would need a folder that exists on every system. Without fsync a crash may
        # lose the data, which is irrelevant here.
        options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
        _run(*control, "-l", str(folder / "log"), "-o", options + "-c fsync=off", "start")
        try:
            yield f"postgresql://{_USER}:{password}@127.0.0.1:{port}/postgres"
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _as_owner(folder: Path) -> list[str]:
    """Return a command prefix that changes the user, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwnam("postgres")
    for path in (folder, *folder.iterdir()):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, cwd="/"
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[-1]).name} failed: {done.stderr}")
