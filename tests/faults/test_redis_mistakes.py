"""What a person gets wrong about Redis is said at the start, clearly, and without the password."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.conftest import unavailable
from tests.faults.redis_shop import DOOR, buffer_of, frame, plain_client

from trinetra.devservers.network import free_port
from trinetra.devservers.process import ServerFailed
from trinetra.devservers.redis import RedisServer
from trinetra.errors import BufferUnavailable, ConfigurationError, TrinetraError

PROMISE = "TRINETRA_TEST_REQUIRE_SERVERS"
SECRET = "hunter2"


async def failure(url: str, expected: type[TrinetraError], **more: object) -> str:
    """Return what opening a buffer says, to a person and in a traceback's chain."""
    with pytest.raises(expected) as raised:
        async with buffer_of(url, **more):
            pass
    said = str(raised.value)
    assert SECRET not in said + repr(raised.value.__cause__)
    return said


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"http://ann:{SECRET}@127.0.0.1:6379/0", "does not begin with redis://"),
        (f"redis:ann:{SECRET}", "has no host"),
        (f"redis://ann:{SECRET}@/0", "has no host"),
        (f"redis://ann:{SECRET}#@127.0.0.1/0", "not encoded as %XX"),
        (f"redis://:{SECRET}@127.0.0.1:redis", "port is not a number"),
        (f"redis://:{SECRET}@127.0.0.1:70000", "port is not a number"),
        (f"redis://:{SECRET}@127.0.0.1/frames", "not a database number"),
        (f"redis://127.0.0.1/0?password={SECRET}", "not password"),
        ("redis://127.0.0.1/0?decode_responses=yes", "not decode_responses"),
        (f"redis://:{SECRET}@127.0.0.1/0?ssl_ca_certs=x", "ssl_"),
        (f"rediss://:{SECRET}@127.0.0.1/0?ssl_nonsense=x", "ssl_"),
        (f"rediss://:{SECRET}@127.0.0.1/0?ssl_cert_reqs=perhaps", "ssl_"),
        (f"rediss://:{SECRET}@127.0.0.1/0?ssl_ca_certs=/no/such/file.pem", "cannot be read"),
    ],
)
async def test_a_wrong_url_is_refused_without_being_repeated(url: str, problem: str) -> None:
    said = await failure(url, ConfigurationError)
    assert problem in said
    assert "TRINETRA_REDIS_URL" in said


async def test_where_nobody_listens_the_buffer_is_away_and_not_wrong() -> None:
    port = free_port()
    said = await failure(f"redis://ann:{SECRET}@127.0.0.1:{port}/0", BufferUnavailable)
    assert f"127.0.0.1:{port}" in said


@pytest.mark.redis
@pytest.mark.parametrize("login", ["", "ann:wrong@", f":{SECRET}x@"])
async def test_a_wrong_login_is_refused(redis_server: RedisServer, login: str) -> None:
    async with plain_client(redis_server.url) as redis:
        await redis.config_set("requirepass", SECRET)
        said = await failure(f"redis://{login}{redis_server.address}", ConfigurationError)
        assert "login" in said
        assert redis_server.address in said


@pytest.mark.redis
async def test_the_right_login_is_let_in(redis_server: RedisServer) -> None:
    async with plain_client(redis_server.url) as redis:
        await redis.config_set("requirepass", "p@ss/w:rd %?#")
    url = f"redis://:p%40ss%2Fw%3Ard%20%25%3F%23@{redis_server.address}/1"
    async with buffer_of(url) as buffer:
        assert await buffer.append(frame(1)) == 0


@pytest.mark.redis
async def test_a_user_with_the_rights_that_the_error_names_can_do_everything(
    redis_server: RedisServer,
) -> None:
    needs = "+@connection +@stream +@scripting +info +time +get +set ~*frames:* ~*trinetra:*"
    url = f"redis://shop:{SECRET}@{redis_server.address}"
    async with plain_client(redis_server.url) as redis:
        await redis.execute_command("ACL", "SETUSER", "shop", "on", f">{SECRET}", "+info")
        said = await failure(url, ConfigurationError)
        assert all(right.strip(":*") in said for right in needs.split())
        await redis.execute_command("ACL", "SETUSER", "shop", *needs.split())
    async with buffer_of(url) as buffer:
        await buffer.append(frame(1))
        await buffer.ack(await buffer.read(max_frames=1, wait_s=0))
        await buffer.append(frame(2))
        await buffer.read(max_frames=1, wait_s=0)
        await buffer.ack(await buffer.claim(idle_s=0, max_frames=1))
        assert await buffer.lag(DOOR) == 0


@pytest.mark.redis
async def test_a_database_that_is_not_there_is_refused(redis_url: str) -> None:
    address = redis_url.rpartition("/")[0]
    assert "no such database" in await failure(f"{address}/99", ConfigurationError)


@pytest.mark.redis
async def test_something_else_under_our_names_is_told(redis_server: RedisServer) -> None:
    async with plain_client(redis_server.url) as redis:
        await redis.set("frames:door", "a string")
        said = await failure(redis_server.url, ConfigurationError)
    assert "TRINETRA_NAMESPACE" in said


@pytest.mark.redis
async def test_two_sites_need_two_namespaces(redis_server: RedisServer) -> None:
    async with buffer_of(redis_server.url, site="north-street") as north:
        await north.append(frame(1))
        said = await failure(redis_server.url, ConfigurationError, site="south-street")
        for name in ("north-street", "south-street", "TRINETRA_NAMESPACE", "trinetra:site"):
            assert name in said
        south = buffer_of(redis_server.url, site="south-street", namespace="south")
        async with south as apart:
            assert await apart.read(max_frames=1, wait_s=0) == []
            await apart.append(frame(2))
            taken = await north.read(max_frames=9, wait_s=0)
            assert [b.frame.seq for b in taken] == [1]
    async with plain_client(redis_server.url) as redis:
        names = {key.decode() for key in await redis.keys("*")}
    plain = {"trinetra:site", "trinetra:latest:door", "frames:door", "frames:till"}
    assert names == plain | {f"south:{name}" for name in plain}


@asynccontextmanager
async def replying(greeting: bytes) -> AsyncIterator[str]:
    """A server that answers everything alike, for no Redis before 6.2 can be had."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while commands := await reader.read(4096):
            writer.write(greeting * commands.count(b"*"))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"redis://{host}:{port}"


async def test_an_old_server_is_refused_with_both_versions() -> None:
    info = b"redis_version:6.0.16\r\n"
    answer = b"$%d\r\n%s\r\n" % (len(info), info)
    async with replying(answer) as url:
        said = await failure(url, ConfigurationError)
    assert "6.0.16" in said
    assert "6.2" in said


async def test_what_is_no_redis_is_told() -> None:
    async with replying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert "is not Redis" in await failure(url, ConfigurationError)


@pytest.mark.redis
async def test_tls_with_a_server_that_has_none_is_told(redis_server: RedisServer) -> None:
    said = await failure(f"rediss://{redis_server.address}", BufferUnavailable, answer_s=0.2)
    assert "redis:// (without TLS)" in said


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a self-signed certificate for 127.0.0.1, its key beside it."""
    if not shutil.which("openssl"):
        unavailable("openssl is not installed here: nothing makes a certificate", PROMISE)
    path = tmp_path / "redis.crt"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=redis"]
    files = ["-keyout", path.with_suffix(".key"), "-out", path, "-days", "2"]
    subprocess.run(
        [*request, *files, "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    return path


class TlsRedis(RedisServer):
    """A Redis that also listens with TLS."""

    def __init__(self, folder: Path, binary: Path, certificate: Path) -> None:
        super().__init__(folder, binary=binary)
        self.tls_port = free_port()
        self._certificate = certificate

    def _command(self) -> Sequence[str]:
        listen = ["--tls-port", str(self.tls_port), "--tls-auth-clients", "no"]
        key = self._certificate.with_suffix(".key")
        files = {"cert": self._certificate, "key": key, "ca-cert": self._certificate}
        for kind, path in files.items():
            listen += [f"--tls-{kind}-file", str(path)]
        return [*super()._command(), *listen]


@pytest.fixture
def tls_address(redis_binary: Path, tmp_path: Path, certificate: Path) -> Iterator[str]:
    try:
        with TlsRedis(tmp_path / "tls", redis_binary, certificate) as server:
            yield f"127.0.0.1:{server.tls_port}"
    except ServerFailed:
        unavailable(f"{redis_binary} was built without TLS", PROMISE)


@pytest.mark.redis
async def test_a_server_with_tls_is_trusted_by_its_authority_alone(
    tls_address: str, certificate: Path
) -> None:
    said = await failure(f"rediss://{tls_address}", ConfigurationError)
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert "ssl_ca_certs" in said
    async with buffer_of(f"rediss://{tls_address}?ssl_ca_certs={certificate}") as buffer:
        await buffer.append(frame(1, size=300_000))
        (taken,) = await buffer.read(max_frames=1, wait_s=0)
        assert taken.frame == frame(1, size=300_000)


@pytest.mark.redis
async def test_no_tls_with_a_server_that_wants_it_is_told(tls_address: str) -> None:
    said = await failure(f"redis://{tls_address}", BufferUnavailable)
    assert "rediss:// (with TLS)" in said
