# SPDX-License-Identifier: GPL-2.0-only
"""Failing examples that sessions share through Hypothesis' databases, a real Redis among them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_pytest_plugin import run

pytest_plugins = ["pytester"]

#: Each session says what it was given first: what another one has found, if it knows of that;
#: else the simplest schedule, which is let pass here.
TEST = """
from hypothesis import given, settings, HealthCheck
from memremap_emu.program import Program
from memremap_emu.strategies import schedules

race = (
    Program("memremap-v6")
    .memory(0x140000000, 0x147FFFFFF)
    .device("pmem0", "dax_pmem", 0x140000000, 1 << 27)
    .setup("bind pmem0", "get_page pmem0 0")
    .task("unbind", "unbind pmem0")
    .task("user", "put_page pmem0 0")
)
seen = []

@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedules())
def test_no_schedule_breaks_a_rule(schedule):
    found = race.explore(strategy="guided", schedule=schedule, max_executions=1)
    fails = found.violating and sum(schedule) > 3
    if not seen:
        seen.append(fails)
        print("first", int(fails))
    assert not fails
"""


@pytest.fixture
def redis_socket(tmp_path: Path) -> Iterator[Path]:
    """A Redis server of the distribution, started for this test."""
    missing = [tool for tool in ("redis-server",) if not shutil.which(tool)]
    try:
        import redis  # noqa: F401
    except ImportError:
        missing.append("redis for Python")
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have {missing}")
        pytest.skip(f"not installed: {missing}")
    socket = tmp_path / "redis.sock"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            if socket.exists() or server.poll() is not None:
                break
            time.sleep(0.05)
        assert socket.exists(), f"redis-server ended with {server.poll()}"
        yield socket
    finally:
        server.terminate()
        server.wait()


def two_sessions(pytester: pytest.Pytester, database: str) -> list[bool]:
    """Does the first example break a rule, in the first session and in a second one elsewhere?"""
    first = []
    for number in range(2):
        directory = pytester.mkdir(f"session{number}")
        (directory / "conftest.py").write_text(database)
        (directory / "test_it.py").write_text(TEST)
        result = run(pytester, "-s", str(directory))
        result.assert_outcomes(failed=1)
        line = next(line for line in result.outlines if "first " in line)
        first.append(line.split("first ")[1].startswith("1"))
    return first


def test_redis_shares_what_a_session_has_found(
    pytester: pytest.Pytester, redis_socket: Path
) -> None:
    database = f"""
import redis
from hypothesis import settings
from hypothesis.extra.redis import RedisExampleDatabase

shared = RedisExampleDatabase(redis.Redis(unix_socket_path={str(redis_socket)!r}))
settings.register_profile("shared", database=shared)
settings.load_profile("shared")
"""
    assert two_sessions(pytester, database) == [False, True]
