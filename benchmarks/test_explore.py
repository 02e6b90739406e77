# SPDX-License-Identifier: GPL-2.0-only
"""Exploration: how fast, and how much partial-order reduction saves.

All of it is of the checked build, which alone tells of every access.
"""

from __future__ import annotations

import functools
import math
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import figure as figure_of
from conftest import table

from memremap_emu import Kernel
from memremap_emu import program as data
from memremap_emu.exploration import Exploration
from memremap_emu.explore import Program

figure = functools.partial(figure_of, build="checked")

START, SIZE = 0x140000000, 1 << 27
PFN = (START >> 12) + 0x1000


def unbind_against(k: Kernel, what: str) -> Program:
    """Unbind of a dax_pmem device against a put or a lookup of one of its pages."""
    k.iomem.load(f"{START:x}-{START + SIZE - 1:x} : Persistent Memory")
    driver = k.driver("dax_pmem")
    device = driver.device(START, SIZE)
    driver.bind(device)
    program = Program(k)
    program.task("unbind").unbind(driver, device)
    if what == "put_page":
        k.page(PFN).get()
        program.task("user").put_page(k.page(PFN))
    else:
        program.task("lookup").lookup(PFN)
    return program


def locks(k: Kernel) -> Program:
    """Three tasks that take a spinlock twice: 12 visible operations."""
    lock = k.spinlock()
    program = Program(k)
    for number in range(3):
        task = program.task(f"t{number}")
        for _ in range(2):
            task.lock(lock).unlock(lock)
    return program


@pytest.mark.parametrize("what", ["put_page", "lookup"])
def test_unbind_against_a_user(what: str) -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = unbind_against(k, what)
        program.explore(max_executions=10, stop_at_violation=False)
        start = time.perf_counter()
        found = program.explore(stop_at_violation=False)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        full = program.explore(strategy="dfs", max_executions=20_000, stop_at_violation=False)
        full_seconds = time.perf_counter() - start
        # Last, for it leaves the kernel in the state of the violation.
        start = time.perf_counter()
        first = program.explore()
        first_seconds = time.perf_counter() - start
    assert found.exhaustive and full.executions == 20_000
    # It is the put whose bug this version has.
    assert [v.kind for v in first.violations] == (["memmap-removed"] if what == "put_page" else [])
    name = f"unbind against {what}"
    figure(f"{name}: executions, all there are", found.executions, "")
    figure(f"{name}: executions a second", found.executions / seconds, "1/s", goal=None)
    if first.violating:
        # 150,000 a second.
        figure(f"{name}: one execution", seconds / found.executions * 1e6, "us", goal=1 / 0.15)
    rate = full.executions / full_seconds
    figure(f"{name}: the same, every schedule, the first 20,000", rate, "1/s", goal=None)
    figure(f"{name}: one visible operation", seconds / found.steps * 1e9, "ns")
    if first.violating:
        figure(f"{name}: first counterexample", first_seconds * 1e3, "ms", goal=5.0)


def ref_test(k: Kernel, users: int) -> Program:
    """The smallest protocol of kill, get and put."""
    ref = k.ref_test()
    program = Program(k)
    program.task("owner").call("ref_test_kill", ref)
    for number in range(users):
        program.task(f"user{number}").call("ref_test_use", ref)
    return program


def timed(program: Program, **options: Any) -> tuple[Exploration, float]:
    """Least time of three searches."""
    least = math.inf
    for _ in range(3):
        start = time.perf_counter()
        found = program.explore(stop_at_violation=False, **options)
        least = min(least, time.perf_counter() - start)
    return found, least


#: Complete executions that a checker with optimal reduction needs.
OPTIMAL = {2: 65, 3: 2565, 4: 219569}
GOALS = {3: 5.0, 4: 400.0}


@pytest.mark.parametrize("users", [2, 3, 4])
def test_the_smallest_protocol(users: int) -> None:
    with Kernel(cpus=users + 1, on_violation="record") as k:
        program = ref_test(k, users)
        found, seconds = timed(program)
        cached, cached_seconds = timed(program, strategy="cache")
    assert found.exhaustive and cached.exhaustive
    name = f"REF, {users} users"
    ratio = found.executions / OPTIMAL[users]
    figure(f"{name}: executions, to those of optimal reduction", ratio, "", goal=1.15)
    asleep = found.asleep / found.executions
    figure(f"{name}: executions that end blocked", asleep, "", goal=0.1)
    figure(f"{name}: exhausted in", seconds * 1e3, "ms", goal=GOALS.get(users))
    cached_goal = 100.0 if users == 4 else None
    figure(f"{name}: with the cache", cached_seconds * 1e3, "ms", goal=cached_goal)
    figure(f"{name}: executions a second", found.executions / seconds, "1/s")
    if users == 4:
        # A million a second.
        figure(f"{name}: one execution", seconds / found.executions * 1e6, "us", goal=1.0)
    spin = verifier_seconds(users)
    if spin is not None:
        best = min(seconds, cached_seconds)
        figure(f"{name}: time, to that of SPIN's verifier", best / spin, "", goal=1.0)


def verifier_seconds(users: int) -> float | None:
    """Least time of SPIN's compiled verifier on the same protocol, None without SPIN."""
    if not shutil.which("spin") or not shutil.which("gcc"):
        return None
    model = Path(__file__).parents[1] / "tests" / "models" / "ref.pml"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["spin", f"-DUSERS={users}", "-a", str(model)], cwd=folder, check=True)
        build = ["gcc", "-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c"]
        subprocess.run(build, cwd=folder, check=True)
        least = math.inf
        for _ in range(5):
            start = time.perf_counter()
            done = subprocess.run(["./pan"], cwd=folder, check=True, capture_output=True)
            least = min(least, time.perf_counter() - start)
        assert b"errors: 0" in done.stdout
    return least


def test_what_each_search_takes() -> None:
    """Five programs: executions of each strategy, in one table."""
    head = ("program", "dfs", "sleep", "dpor", "phases", "cache")
    rows = [head]
    for name, make in FIVE.items():
        row = [name]
        for strategy in head[1:]:
            with Kernel(cpus=4, on_violation="record") as k:
                found = make(k).explore(
                    strategy=strategy, stop_at_violation=False, max_executions=20000
                )
            given_up = found.asleep + found.cached
            row.append(f"{found.executions}+{given_up}{'' if found.exhaustive else ' bounded'}")
        rows.append(tuple(row))
    table("executions of each search, and those given up (+)", rows)


FIVE = {
    "REF, 2 users": lambda k: ref_test(k, 2),
    "three tasks, a lock twice": lambda k: locks(k),
    "unbind against put_page": lambda k: unbind_against(k, "put_page"),
    "unbind against a lookup": lambda k: unbind_against(k, "lookup"),
    "kill against two users": lambda k: kill_against_users(k),
}


def kill_against_users(k: Kernel) -> Program:
    """percpu_ref_kill() against two tasks that get and put."""
    ref = k.percpu_ref()
    program = Program(k)
    program.task("kill").kill(ref)
    for number in range(2):
        program.task(f"user{number}").call("percpu_ref_tryget_live", ref)
    return program


def test_reduction() -> None:
    with Kernel(cpus=3, on_violation="record") as k:
        program = locks(k)
        start = time.perf_counter()
        reduced = program.explore(stop_at_violation=False)
        seconds = time.perf_counter() - start
        full = program.explore(stop_at_violation=False, strategy="dfs", max_executions=200000)
    figure("three tasks, a lock twice: executions, reduced", reduced.executions, "")
    figure("the same, every schedule", full.executions, "")
    figure("the same, executions a second", reduced.executions / seconds, "1/s")


def test_shared_by_two_processes() -> None:
    """A search of some seconds, 5,269,656 executions, by one process and by two."""
    program = data.Program("v5.2", cpus=5).object("ref", "ref_test").object("lock", "spinlock")
    program = program.task("owner", "ref_test_kill ref")
    for number in range(4):
        operations = ("ref_test_use ref", "spin_lock lock", "spin_unlock lock")
        program = program.task(f"user{number}", *operations)
    start, before = time.perf_counter(), time.process_time()
    alone = program.explore(stop_at_violation=False)
    seconds, taken = time.perf_counter() - start, time.process_time() - before
    start = time.perf_counter()
    with program.shared(2, stop_at_violation=False) as search:
        search.run()
        shared_seconds = time.perf_counter() - start
    assert search.result == alone
    statistics = search.statistics
    name = "REF, 4 users and a lock"
    figure(f"{name}: one process", seconds, "s", goal=None)
    figure(f"{name}: the same, processor time", taken, "s", goal=None)
    figure(f"{name}: -j 2, time to that of one process", shared_seconds / seconds, "", goal=1 / 1.8)
    figure(f"{name}: -j 2, processor time of the slices", statistics.seconds, "s", goal=None)
    figure(f"{name}: -j 2, of that for what was thrown away", statistics.wasted, "s", goal=None)
