# SPDX-License-Identifier: GPL-2.0-only
"""Orders of locks and completions: cycles, also in executions that do not deadlock."""

from __future__ import annotations

from memremap_emu import Kernel
from memremap_emu.explore import Program
from memremap_emu.search import Exploration


def lock_orders(found: Exploration) -> list[str]:
    return [f.record.message for f in found.found if f.record.kind == "lock-order"]


def one_after_the_other(program: Program) -> Exploration:
    """The schedule without a pre-emption."""
    return program.explore(strategy="preemptions", max_preemptions=0, stop_at_violation=False)


def test_two_orders_of_two_locks_are_a_cycle_though_nobody_deadlocks() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        a, b = k.mutex("a"), k.mutex("b")
        program = Program(k)
        program.task("ab").lock(a).lock(b).unlock(b).unlock(a)
        program.task("ba").lock(b).lock(a).unlock(a).unlock(b)
        found = one_after_the_other(program)
    assert "hang" not in {f.record.kind for f in found.found}
    assert lock_orders(found) == ["cycle of locks: a -> b [ab], b -> a [ba]"]


def test_three_tasks_close_a_cycle_of_three() -> None:
    with Kernel(cpus=3, on_violation="record") as k:
        a, b, c = k.mutex("a"), k.mutex("b"), k.mutex("c")
        program = Program(k)
        for name, first, second in (("ab", a, b), ("bc", b, c), ("ca", c, a)):
            program.task(name).lock(first).lock(second).unlock(second).unlock(first)
        found = one_after_the_other(program)
    assert lock_orders(found) == ["cycle of locks: a -> b [ab], b -> c [bc], c -> a [ca]"]


def test_one_order_is_no_cycle() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        a, b = k.mutex("a"), k.mutex("b")
        program = Program(k)
        for name in ("one", "two"):
            program.task(name).lock(a).lock(b).unlock(b).unlock(a)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    assert not found.violating


def test_one_task_alone_makes_no_cycle() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        a, b = k.mutex("a"), k.mutex("b")
        program = Program(k)
        task = program.task("both")
        task.lock(a).lock(b).unlock(b).unlock(a).lock(b).lock(a).unlock(a).unlock(b)
        found = program.explore(stop_at_violation=False)
    assert not found.violating


def test_waiting_under_a_lock_that_the_completer_has_needed_is_a_cycle() -> None:
    """It shows where the completer comes first, so that nobody waits in vain."""
    with Kernel(cpus=2, on_violation="record") as k:
        lock, done = k.mutex("lock"), k.completion()
        program = Program(k)
        program.task("completer").lock(lock).unlock(lock).call("complete", done)
        program.task("waiter").lock(lock).call("wait_for_completion", done).unlock(lock)
        found = one_after_the_other(program)
    hangs = [f for f in found.found if f.record.kind == "hang"]
    assert all(f.executions < found.executions for f in hangs)
    (message,) = lock_orders(found)
    assert "-> lock [completer]" in message
    assert "lock -> completion" in message


def test_waiting_under_a_lock_that_the_completer_does_not_need_is_none() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        lock, other, done = k.mutex("lock"), k.mutex("other"), k.completion()
        program = Program(k)
        program.task("completer").lock(other).call("complete", done).unlock(other)
        program.task("waiter").lock(lock).call("wait_for_completion", done).unlock(lock)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    assert not found.violating


def test_whoever_hangs_at_a_lock_might_have_had_it_first() -> None:
    """Reduced search sees the schedules in which the hanging task takes the lock before."""
    with Kernel(cpus=2, on_violation="record") as k:
        lock, done = k.mutex("lock"), k.completion()
        program = Program(k)
        program.task("waiter").lock(lock).call("wait_for_completion", done).unlock(lock)
        program.task("completer").lock(lock).unlock(lock).call("complete", done)
        found = program.explore(stop_at_violation=False)
        full = program.explore(strategy="dfs", stop_at_violation=False)
    assert {f.record.kind for f in found.found} == {f.record.kind for f in full.found}
    assert found.final_states == full.final_states > 1
