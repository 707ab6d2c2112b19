"""The servers of the local stack: started, killed, restarted, stopped, and never left behind."""

from pathlib import Path

import pytest
from redis import Redis

from trinetra.localstack.redis import RedisServer


def client(server: RedisServer) -> Redis:
    return Redis(port=server.port)


@pytest.mark.redis
def test_a_redis_answers_when_its_start_returns_and_is_gone_after_its_stop(
    redis_binary: Path, tmp_path: Path
) -> None:
    with RedisServer(tmp_path, binary=redis_binary) as server:
        pid = server.pid
        with client(server) as redis:
            assert redis.ping()
    assert pid and not Path(f"/proc/{pid}").exists()
    assert not server.answers()
