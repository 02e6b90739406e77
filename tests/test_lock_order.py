# SPDX-License-Identifier: GPL-2.0-only
"""Orders of locks and completions: cycles, also in executions that do not deadlock."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from memremap_emu import Kernel, program
from memremap_emu.cli import main
from memremap_emu.counterexample import as_text, minimise
from memremap_emu.exploration import Exploration
from memremap_emu.explore import Program
from memremap_emu.lock_orders import NEXT_EXECUTION, executions_of
from memremap_emu.tokens import encode_program


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


def test_edges_of_a_cycle_are_of_different_tasks() -> None:
    """Between its two locks the first task holds nothing that the second one waits for."""
    with Kernel(cpus=2, on_violation="record") as k:
        a, b, c = k.mutex("a"), k.mutex("b"), k.mutex("c")
        program = Program(k)
        task = program.task("abc").lock(a).lock(b).unlock(a).lock(c).unlock(c)
        task.unlock(b)
        program.task("ca").lock(c).lock(a).unlock(a).unlock(c)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    assert not found.violating


# --- over executions that exclude each other ---

MESSAGE = "cycle of locks in several executions: a -> b [ab], b -> a [ba]"


def either_of_two() -> program.Program:
    """A completion lets one of two tasks go on, so no execution has both."""
    made = program.Program("memremap-v6").object("a", "mutex").object("b", "mutex")
    made = made.object("go", "completion").setup("complete go")
    for first, second in ("ab", "ba"):
        order = [f"mutex_lock {first}", f"mutex_lock {second}"]
        undo = [f"mutex_unlock {second}", f"mutex_unlock {first}"]
        made = made.task(first + second, "wait_for_completion go", *order, *undo)
    return made


@pytest.mark.parametrize("strategy", ["dpor", "dfs", "sleep", "preemptions"])
def test_a_cycle_whose_halves_exclude_each_other_is_reported_once(strategy: str) -> None:
    with either_of_two().boot() as booted:
        found = booted.tasks().explore(strategy=strategy, stop_at_violation=False)
        (together,) = [f for f in found.found if f.record.kind == "lock-order"]
        assert together.record.message == MESSAGE
        assert together.executions == 0
        assert together.schedule.count(NEXT_EXECUTION) == 1
        start = booted.kernel.snapshot()
        again = booted.tasks().explore(schedule=together.schedule)
        assert lock_orders(again) == [MESSAGE]
        assert (again.executions, again.schedule) == (2, together.schedule)
        shown = []
        for half in executions_of(together.schedule):
            start.restore()
            with booted.search(schedule=half) as search:
                search.run()
                assert not lock_orders(search.result)
                shown.append([str(order) for order in search.lock_orders()])
    assert sorted(shown) == [["a -> b [ab]"], ["b -> a [ba]"]]


def test_what_was_seen_before_a_search_was_saved_counts() -> None:
    whole = either_of_two().explore(stop_at_violation=False)
    saved = []
    with either_of_two().boot() as booted:
        search = booted.search(stop_at_violation=False)
        while search.running:
            search.run(1e-9)
            if search.running:
                saved.append(json.loads(json.dumps(search.save())))
    assert any(document["lock_orders"] for document in saved)
    for document in saved:
        with either_of_two().boot() as booted:
            search = booted.search(stop_at_violation=False)
            search.load(document)
            search.run()
            assert search.result.found == whole.found
    with either_of_two().boot() as booted:
        search = booted.search(stop_at_violation=False)
        with pytest.raises(ValueError, match="damaged"):
            search.load(saved[0] | {"lock_orders": [["a"]]})


def test_parts_of_a_search_tell_each_other() -> None:
    """Each has seen one half."""
    with either_of_two().boot() as booted:
        start = booted.kernel.snapshot()
        halves = []
        for first in (b"\0\0", b"\1\1"):
            with booted.search(schedule=first, under=True, stop_at_violation=False) as search:
                search.run()
                assert not lock_orders(search.result)
                halves += search.lock_orders()
            start.restore()
        with booted.search(schedule=b"\0\0", under=True, stop_at_violation=False) as search:
            search.learn(halves)
            search.run()
            assert lock_orders(search.result) == [MESSAGE]
            with pytest.raises(ValueError, match="cannot be learnt"):
                search.learn([replace(halves[0], process=99)])


def test_replay_shows_each_execution_and_what_it_contributes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = either_of_two()
    (together,) = [
        f for f in made.explore(stop_at_violation=False).found if f.record.kind == "lock-order"
    ]
    least = minimise(made, together.record, schedule=together.schedule)
    assert least.turning is None
    assert "none of these executions shows it alone" in as_text(least)
    assert main(["replay", encode_program(made, together.record, together.schedule)]) == 1
    out = capsys.readouterr().out
    assert "Execution 1 of 2, which shows a -> b [ab]:" in out
    assert "Execution 2 of 2, which shows b -> a [ba]:" in out
    assert f"Together:\n=> lock-order: {MESSAGE}\n" in out
    assert out.endswith("reproduced\n")


def test_whoever_waits_and_whoever_completes_are_of_one_execution() -> None:
    """Each of two tasks completes what it waits for itself, if it is the one that goes on."""
    with Kernel(cpus=2, on_violation="record") as k:
        go, lock, done = k.completion("go"), k.mutex("lock"), k.completion("done")
        go.complete()
        tasks = Program(k)
        for name in ("one", "two"):
            tasks.task(name).wait(go).lock(lock).complete(done).wait(done).unlock(lock)
        found = tasks.explore(stop_at_violation=False)
    assert found.exhaustive and found.violating
    assert not lock_orders(found)


def test_what_one_task_does_another_does_in_its_place() -> None:
    """Both orders of two locks, one after the other, in a task or in the other one."""
    with Kernel(cpus=2, on_violation="record") as k:
        go, a, b = k.completion("go"), k.mutex("a"), k.mutex("b")
        go.complete()
        tasks = Program(k)
        for name in ("one", "two"):
            task = tasks.task(name).wait(go).lock(a).lock(b).unlock(b).unlock(a)
            task.lock(b).lock(a).unlock(a).unlock(b)
        found = tasks.explore(stop_at_violation=False)
    assert found.exhaustive and found.violating
    assert not lock_orders(found)


def test_a_cycle_with_a_completion_whose_last_lock_is_taken_elsewhere() -> None:
    """Who waits under a lock, who completes under another, and a third that has no room then."""
    made = program.Program("memremap-v6", cpus=3).object("a", "mutex").object("b", "mutex")
    made = made.object("go", "completion").object("done", "completion").setup("complete go")
    made = made.task(
        "waiter",
        "wait_for_completion go",
        "mutex_lock a",
        "wait_for_completion done",
        "mutex_unlock a",
    )
    made = made.task("completer", "mutex_lock b", "mutex_unlock b", "complete done")
    order = ("mutex_lock b", "mutex_lock a", "mutex_unlock a", "mutex_unlock b")
    made = made.task("other", "wait_for_completion go", *order)
    found = made.explore(stop_at_violation=False)
    assert found.exhaustive
    message = (
        "cycle of locks in several executions: a -> completion done [waiter], "
        "completion done -> b [completer], b -> a [other]"
    )
    assert lock_orders(found) == [message]
    (together,) = [f for f in found.found if f.record.kind == "lock-order"]
    columns = made.replay(together.schedule).columns
    assert "a -> completion done [waiter], completion done -> b [completer]:\n" in columns
    assert "which shows b -> a [other]:\n" in columns
