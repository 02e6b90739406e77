# SPDX-License-Identifier: GPL-2.0-only
"""Processes and Dask clusters that share the work of explore and check."""

from __future__ import annotations

import _thread
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memremap_emu import interrupts, parallel, workers
from memremap_emu.cli import main
from memremap_emu.exploration import Bound, Interrupted, Outcome
from memremap_emu.operations import ProgramError
from memremap_emu.parallel import SharedSearch
from memremap_emu.program import Program
from memremap_emu.workers import WorkerError, processes
from tests.test_parallel import race, smallest_protocol

CHECK = ["check", "--memmap", "1G!4G", "--driver", "dax_pmem", "--max-executions", "60"]


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of 2,565 executions takes many."""
    monkeypatch.setattr(parallel, "SLICE", 1e-4)
    monkeypatch.setattr(parallel, "LONG_SLICE", 1e-4)
    monkeypatch.setattr(parallel, "GRAIN", 1e-4)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A program whose search takes some slices."""
    path = tmp_path / "program.json"
    path.write_text(smallest_protocol(3).to_json())
    return str(path)


def without_times(text: str) -> str:
    return re.sub(r"\([0-9.]+ s\)", "", text)


@pytest.mark.parametrize("jobs", [2, 3])
def test_processes_find_what_one_finds(jobs: int) -> None:
    program = smallest_protocol(3)
    options: Any = {"stop_at_violation": False}
    alone = program.explore(**options)
    with processes(jobs) as them:
        search = SharedSearch(program, them, **options)
        search.run()
    assert search.result == alone
    assert search.statistics.used
    assert 0 <= search.statistics.wasted < search.statistics.seconds


def test_who_is_at_work_comes_back_when_somebody_has_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the first slice would be the whole search."""
    monkeypatch.setattr(parallel, "LONG_SLICE", 3600.0)
    program = smallest_protocol(4)
    with processes(2) as them:
        assert them.hurries
        search = SharedSearch(program, them, stop_at_violation=False)
        search.run()
    assert search.result == program.explore(stop_at_violation=False)
    assert search.statistics.items > 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_executions": 1000, "max_faults": 1, "stop_at_violation": False},
        {"strategy": "preemptions", "max_preemptions": 1, "stop_at_violation": False},
    ],
)
def test_jobs_do_not_change_what_explore_gives(options: dict[str, Any]) -> None:
    program = race("memremap-v6")
    given: Any = {"check_quiescence": True, **options}
    assert program.explore(jobs=2, **given) == program.explore(**given)


def test_explore_j_prints_what_it_prints_without(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", file]) == 0
    alone = capsys.readouterr().out
    assert main(["explore", file, "-j", "2"]) == 0
    assert capsys.readouterr().out == alone
    # Stopped by one process and gone on with by two, and the other way round.
    checkpoint = str(tmp_path / "checkpoint")
    for first, then in ("12", "21"):
        command = ["explore", file, "--checkpoint", checkpoint]
        assert main([*command, "--max-executions", "1000", "-j", first]) == 0
        assert "not exhaustive (executions)" in capsys.readouterr().out
        assert main([*command, "-j", then]) == 0
        assert capsys.readouterr().out == alone
        assert not Path(checkpoint).exists()


def test_a_checkpoint_is_of_any_process(file: str, tmp_path: Path) -> None:
    """Addresses differ from process to process, states do not."""
    checkpoint = str(tmp_path / "checkpoint")
    command = [sys.executable, "-m", "memremap_emu", "explore", file, "--checkpoint", checkpoint]
    for bound in ("1000", "2000"):
        done = subprocess.run(
            [*command, "--max-executions", bound], capture_output=True, text=True, check=False
        )
        assert f"{bound} executions" in done.stdout, done.stderr


def test_max_seconds_ends_a_shared_search() -> None:
    options: Any = {"strategy": "dfs", "max_seconds": 0.3, "stop_at_violation": False}
    started = time.monotonic()
    found = smallest_protocol(4).explore(jobs=2, **options)
    assert (found.outcome, found.bounds) == (Outcome.BOUND, Bound.SECONDS)
    assert found.executions and time.monotonic() - started < 10


def test_what_cannot_be_shared_is_refused(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", file, "-j", "2", "--strategy", "cache"]) == 2
    assert "a search with cache has no position" in capsys.readouterr().err
    with pytest.raises(ProgramError, match="setup"):
        smallest_protocol(1).setup("percpu_ref_put nobody").explore(jobs=2)
    with pytest.raises(ProgramError, match=r"memory\[1\]"):
        Program().memory(0, 4095).memory(0, 8191).task("t", "synchronize_rcu").explore(jobs=2)
    with pytest.raises(ValueError, match="jobs is 0: must be 1 or more"):
        smallest_protocol(1).explore(jobs=0)


def test_ctrl_c_ends_a_shared_search_with_what_it_knows() -> None:
    timer = threading.Timer(4, _thread.interrupt_main)
    timer.start()
    with pytest.raises(Interrupted) as caught:
        smallest_protocol(4).explore(jobs=2, strategy="dfs", stop_at_violation=False)
    timer.cancel()
    assert caught.value.exploration.executions > 0
    assert caught.value.exploration.outcome is Outcome.RUNNING


def wait_to_be_given_up(seconds: float) -> None:
    """A piece of work that lasts."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        interrupts.check()
        time.sleep(0.01)


def test_nobody_waits_for_what_is_no_longer_wanted() -> None:
    started = time.monotonic()
    with pytest.raises(LookupError), processes(2) as them:
        for _ in range(5):
            them.submit(wait_to_be_given_up, 100)
        time.sleep(0.5)
        raise LookupError
    assert time.monotonic() - started < 50


def children_of(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for thread in threads for word in (thread / "children").read_text().split()]


def test_a_worker_that_is_killed_is_an_error() -> None:
    with processes(2) as them:
        search = SharedSearch(smallest_protocol(4), them, strategy="dfs", stop_at_violation=False)
        search.run(0.3)
        os.kill(them.result(them.submit(os.getpid)), signal.SIGKILL)
        with pytest.raises(WorkerError, match="has ended in the middle"):
            search.run()


@pytest.mark.parametrize("command", ["explore", "fuzz"])
def test_no_process_stays_behind_when_the_first_is_killed(
    command: str, file: str, tmp_path: Path
) -> None:
    words = {
        "explore": ["explore", file, "--strategy", "dfs"],
        "fuzz": ["fuzz", "--corpus", str(tmp_path / "corpus")],
    }
    argv = [sys.executable, "-m", "memremap_emu", *words[command], "-j", "2"]
    first = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while len(others := children_of(first.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        first.kill()
        first.wait()
    while any(Path(f"/proc/{pid}/exe").exists() for pid in others):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- a cluster ---


@dataclass
class Cluster:
    """A scheduler and its workers, as a user starts them: processes of this machine."""

    address: str
    workers: list[subprocess.Popen[bytes]]


def dask(module: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """One of its commands; it runs what is being tested, whatever is installed."""
    package = str(Path(workers.__file__).parents[1])
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=log.parent,
            env=os.environ | {"PYTHONPATH": package},
            stdout=output,
            stderr=output,
        )


def address_in(file: Path) -> str:
    """Of a scheduler, "" as long as it has not written it all."""
    with suppress(FileNotFoundError, json.JSONDecodeError):
        return str(json.loads(file.read_text())["address"])
    return ""


#: Ends well when there are two workers; a process of its own, with nothing left over from others.
TWO_WORKERS = """
import sys
from distributed import Client
Client(sys.argv[1], timeout=30).wait_for_workers(2, timeout=60)
"""


def are_two_there(address: str) -> bool:
    """Workers of the scheduler at this address; "": there is no scheduler."""
    if not address:
        return False
    with suppress(subprocess.TimeoutExpired):
        asked = [sys.executable, "-c", TWO_WORKERS, address]
        return subprocess.run(asked, timeout=90, check=False).returncode == 0
    return False


@contextmanager
def two_workers(where: Path) -> Iterator[Cluster | None]:
    """None: they did not come up; what they and the scheduler say lies in that directory."""
    where.mkdir()
    file = where / "scheduler.json"
    to_file = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--port", "0"]
    started = [
        dask("distributed.cli.dask_scheduler", "--no-dashboard", *to_file, log=where / "scheduler")
    ]
    try:
        deadline = time.monotonic() + 60
        while not (address := address_in(file)) and started[0].poll() is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        one = ["--no-dashboard", "--nworkers", "1", "--nthreads", "1", "--no-nanny"]
        for name in ("first", "second") if address else ():
            started.append(dask("distributed.cli.dask_worker", address, *one, log=where / name))
        yield Cluster(address, started[1:]) if are_two_there(address) else None
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two workers; Dask, which is not what is tested, may need a second attempt."""
    if importlib.util.find_spec("distributed") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have distributed")
        pytest.skip("not installed: distributed")
    for attempt in range(2):
        where = tmp_path / f"cluster{attempt}"
        with two_workers(where) as made:
            if made is not None:
                yield made
                return
        for log in sorted(where.iterdir()):
            print(f"{log}:\n{log.read_text()}")
    pytest.fail("no cluster came up")


def test_a_cluster_finds_what_one_process_finds(cluster: Cluster) -> None:
    program = smallest_protocol(3)
    options: Any = {"stop_at_violation": False}
    with program.shared(1, cluster.address, **options) as search:
        search.run()
        assert search.result == program.explore(**options)
        assert search.statistics.used
    given: Any = {"check_quiescence": True, "max_faults": 1, "max_executions": 500}
    found = race("memremap-v6").explore(scheduler=cluster.address, **given)
    assert found == race("memremap-v6").explore(**given)


def test_a_cluster_checks_what_one_process_checks(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*CHECK, "-j", "1"])
    alone = capsys.readouterr().out
    assert main([*CHECK, "--scheduler", cluster.address]) == status
    assert without_times(capsys.readouterr().out) == without_times(alone)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "bad://x"])
def test_a_scheduler_that_is_not_there(
    address: str,
    file: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "CONNECT", 0.5)
    for command in (["explore", file], CHECK):
        assert main([*command, "--scheduler", address]) == 2
        assert f"no Dask scheduler at {address}" in capsys.readouterr().err


def test_what_is_no_address_is_told_in_one_line(file: str) -> None:
    for address in ("nonsense", "bad://x", "inproc://", ""):
        done = subprocess.run(
            [sys.executable, "-m", "memremap_emu", "explore", file, "--scheduler", address],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        last = done.stderr.splitlines()[-1]
        if address:
            assert last == done.stderr.rstrip("\n")
            assert last.startswith(f"memremap-emu: no Dask scheduler at {address}: ")
        else:
            assert last.endswith("argument --scheduler: must be an address")


def test_a_scheduler_that_says_nothing(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections, as one that is stopped does."""
    monkeypatch.setattr(workers, "CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "tcp://127.0.0.1:{1}".format(*silent.getsockname())
        assert main(["explore", file, "--scheduler", address]) == 2
        assert f"no Dask scheduler at {address}" in capsys.readouterr().err


def test_without_dask_a_scheduler_is_an_error(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["explore", file, "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "pip install 'memremap-emu[cluster]'" in capsys.readouterr().err


def test_a_cluster_whose_workers_are_gone_is_an_error(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ABSENCE", 1.0)
    options: Any = {"strategy": "dfs", "stop_at_violation": False}
    with smallest_protocol(4).shared(1, cluster.address, **options) as search:
        search.run(0.3)
        for worker in cluster.workers:
            worker.kill()
        with pytest.raises(WorkerError):
            search.run()
