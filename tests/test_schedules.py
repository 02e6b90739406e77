# SPDX-License-Identifier: GPL-2.0-only
"""One schedule is one execution: no state depends on anything else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

import pytest

from memremap_emu import Kernel
from memremap_emu.exploration import Event
from memremap_emu.explore import Program
from tests.test_explore import generated_program, searched, teardown_against_a_held_page


def every_schedule(k: Kernel, program: Program) -> Iterator[tuple[bytes, int]]:
    """Each schedule, and the hash of the state that it ends in when it is run once.

    Those that differ from the first one early come early.
    """
    start = k.snapshot()
    todo = deque([b""])
    while todo:
        beginning = todo.popleft()
        once = program.explore(
            schedule=beginning, under=bool(beginning), strategy="dfs", stop_at_success=True
        )
        assert once.executions == 1
        start.restore()
        with program.search(schedule=once.schedule) as search:
            search.run()
            path = search.path()
        start.restore()
        for depth in range(len(beginning), len(path)):
            step = path[depth]
            todo += [
                once.schedule[:depth] + bytes([other])
                for other in range(step.enabled.bit_length())
                if step.enabled >> other & 1 and other != step.process
            ]
        yield once.schedule, once.final_hash
    start.drop()


def run_again(k: Kernel, program: Program, schedule: bytes) -> tuple[int, tuple[str, ...]]:
    """Hash of the state that a schedule ends in, and what it breaks."""
    start = k.snapshot()
    found = program.explore(schedule=schedule)
    start.restore()
    start.drop()
    assert found.final_states == 1
    return found.final_hash, tuple(str(v) for v in found.violations)


def test_each_schedule_run_twice_gives_the_same_state() -> None:
    """Every schedule of small programs; the states are those that full search counts."""
    schedules = states = 0
    for seed in range(200):
        k, program = generated_program(seed)
        with k:
            full = program.explore(strategy="dfs", stop_at_violation=False, max_executions=150)
            if not full.exhaustive:
                continue
            ends: dict[bytes, int] = {}
            for schedule, end in every_schedule(k, program):
                assert schedule not in ends
                ends[schedule] = end
                first, second = (run_again(k, program, schedule) for _ in range(2))
                assert first == second
                assert first[0] == end
            assert len(ends) == full.executions
            assert len(set(ends.values())) == full.final_states
            # The hash of a set is the sum of those of its members.
            assert sum(set(ends.values())) % 2**64 == full.final_hash
        schedules += len(ends)
        states += full.final_states
    assert schedules > 2000 and states > 100


@pytest.mark.parametrize("driver", ["pmem", "dax_pmem"])
def test_each_schedule_of_an_unbind_run_twice_gives_the_same_state(driver: str) -> None:
    """As many as there is time for, in two kernels."""
    ends = []
    for _ in range(2):
        with Kernel("memremap-v6", cpus=2, on_violation="record") as k:
            program = teardown_against_a_held_page(k, driver)
            some = islice(every_schedule(k, program), 40)
            ends.append([(s, end, run_again(k, program, s)) for s, end in some])
    assert ends[0] == ends[1]
    assert len(ends[0]) == 40
    assert all(end == again for _, end, (again, _) in ends[0])
    assert len({end for _, end, _ in ends[0]}) > 1


def test_orders_of_dependent_steps() -> None:
    """Two tasks that take a lock: either takes it first; giving it back is no visible step."""
    with Kernel(cpus=2) as k:
        lock = k.spinlock()
        program = Program(k)
        program.task("a").lock(lock).unlock(lock)
        program.task("b").lock(lock).unlock(lock)
        found, orders = searched(program, "dpor")
        assert found.executions == 2
        a, b = Event(0, 1, "acquire"), Event(1, 1, "acquire")
        assert orders == {(a, b), (b, a)}
        with program.search() as search, pytest.raises(ValueError, match="option orders"):
            search.orders()
