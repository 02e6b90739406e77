# SPDX-License-Identifier: GPL-2.0-only
"""Completions, mutexes, spinlocks, wait queues."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memremap_emu import Blocked, Kernel, Violation
from memremap_emu.explore import Program
from memremap_emu.objects import Task
from memremap_emu.trace import EventType

UINT_MAX = (1 << 32) - 1


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


def blocked(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
    """The task of a call that must block."""
    with pytest.raises(Blocked) as info:
        call(*args, **kwargs)
    return info.value.task


# --- completions ---


def test_complete_is_remembered_and_satisfies_one_wait(k: Kernel) -> None:
    x = k.completion()
    x.complete()
    assert x.done == 1 and x.is_done
    x.wait()
    assert x.done == 0 and not x.is_done


def test_second_wait_after_one_complete_waits_for_ever(k: Kernel) -> None:
    x = k.completion("the ref is gone")
    x.complete()
    x.wait()
    task = blocked(x.wait)
    assert task.waits_for == "completion the ref is gone"
    k.run_callbacks()
    assert task.state == "blocked"
    assert [v.kind for v in k.quiescence()] == ["hang"]


def test_complete_wakes_one_waiter_first_come_first_served(k: Kernel) -> None:
    x = k.completion()
    tasks = [blocked(x.wait) for _ in range(3)]
    for n in (1, 2, 3):
        x.complete()
        assert [t.done for t in tasks] == [True] * n + [False] * (3 - n)
    assert x.done == 0


def test_a_waiter_whose_completion_is_taken_from_it_is_still_the_first() -> None:
    with Kernel(on_violation="record") as k:
        x, pause = k.completion(), k.completion()
        program = Program(k)
        program.task("first").call("wait_for_completion", x)
        program.task("second").call("wait_for_completion", x)
        thief = program.task("thief").call("complete", x).call("try_wait_for_completion", x)
        thief.call("wait_for_completion", pause).call("complete", x)
        program.task("last").call("complete", pause)
        # One after the other, as far as each of them gets.
        found = program.explore(strategy="dfs", max_executions=1, stop_at_violation=False)
        (hang,) = (v.record for v in found.found)
        assert hang.message.startswith("second/") and hang.kind == "hang"


def test_complete_wakes_nobody_else(k: Kernel) -> None:
    k.trace.enable()
    x = k.completion()
    for _ in range(3):
        blocked(x.wait)
    start = k.trace.position
    x.complete()
    assert [e.type for e in k.trace.events(start)].count(EventType.WAKE) == 1


def test_complete_all_is_sticky_until_reinit(k: Kernel) -> None:
    x = k.completion()
    tasks = [blocked(x.wait) for _ in range(3)]
    x.complete_all()
    assert all(t.done for t in tasks)
    assert x.done == UINT_MAX
    x.wait()
    x.complete()
    assert x.done == UINT_MAX, "neither waits nor completes count any more"
    x.reinit()
    assert x.done == 0
    blocked(x.wait)


def test_reinit_keeps_the_sleepers(k: Kernel) -> None:
    x = k.completion()
    task = blocked(x.wait)
    x.reinit()
    x.complete()
    assert task.done


def test_init_loses_the_sleepers(k: Kernel) -> None:
    x = k.completion()
    task = blocked(x.wait)
    x.init()
    x.complete()
    assert task.state == "blocked" and x.done == 1


def test_try_wait_takes_one_or_says_no(k: Kernel) -> None:
    x = k.completion()
    assert not x.try_wait()
    x.complete()
    assert x.try_wait() and x.done == 0
    assert not x.try_wait()


def test_wait_timeout_is_zero_when_nobody_completes(k: Kernel) -> None:
    x = k.completion()
    before = k.stats.clock
    assert x.wait_timeout(100) == 0
    assert k.stats.clock - before == 100, "time passes when nobody can run"


def test_wait_timeout_gives_back_what_is_left_and_at_least_one(k: Kernel) -> None:
    x = k.completion()
    x.complete()
    assert x.wait_timeout(100) == 100
    x.complete()
    assert x.wait_timeout(0) == 1
    assert x.wait_timeout(0) == 0


def test_waiter_may_free_the_completion_as_soon_as_wait_returns() -> None:
    with Kernel() as k:
        x = k.completion()
        device = k.device("a.0")

        def wait_and_free(data: object) -> Iterator[Any]:
            yield x.wait
            yield x.free

        device.add_action(wait_and_free)
        task = blocked(device.devres_release_all)
        x.complete()
        assert task.done and not k.violations


def test_complete_of_a_freed_completion_is_a_use_after_free() -> None:
    with Kernel() as k:
        x = k.completion()
        x.free()
        with pytest.raises(Violation) as error:
            x.complete()
        assert error.value.kind == "use-after-free" and error.value.records[0].func == "complete"


# --- mutexes ---


def test_mutex_has_one_owner_and_trylock_says_so(k: Kernel) -> None:
    lock = k.mutex()
    owner, other = k.task(cpu=0), k.task(cpu=1)
    with owner:
        lock.lock()
    with other:
        assert not lock.trylock()
    assert lock.is_locked
    with owner:
        lock.unlock()
    with other:
        assert lock.trylock()
        lock.unlock()
    assert not lock.is_locked


def test_mutex_locked_twice_by_its_owner_blocks_naming_the_lock(k: Kernel) -> None:
    lock = k.mutex("pgmap_lock")
    with k.task() as owner:
        lock.lock()
        with pytest.raises(Blocked) as info:
            lock.lock()
    assert info.value.waits_for == "mutex pgmap_lock"
    assert owner.state == "blocked"


def test_spinlock_locked_twice_by_its_owner_blocks_instead_of_spinning(k: Kernel) -> None:
    lock = k.spinlock("resize_lock")
    with k.task():
        lock.lock()
        with pytest.raises(Blocked) as info:
            lock.lock()
    assert info.value.waits_for == "spinlock resize_lock"


def test_waiter_for_a_mutex_gets_it_when_the_owner_lets_go(k: Kernel) -> None:
    lock = k.mutex()
    owner, other = k.task(), k.task(cpu=1)
    with owner:
        lock.lock()
    with other:
        blocked(lock.lock)
    with owner:
        lock.unlock()
    assert other.state == "idle" and lock.is_locked
    with other:
        lock.unlock()
    assert not lock.is_locked


def test_mutex_unlocked_by_another_is_a_violation(k: Kernel) -> None:
    lock = k.mutex("m")
    with k.task():
        lock.lock()
    with k.task(cpu=1), pytest.raises(Violation) as error:
        lock.unlock()
    assert error.value.kind == "lock-order"


@pytest.mark.parametrize("guard", ["spinlock", "preempt", "rcu"])
def test_mutex_lock_in_atomic_context_is_told(k: Kernel, guard: str) -> None:
    lock = k.mutex()
    spin = k.spinlock()
    with k.task():
        {"spinlock": spin.lock, "preempt": k.preempt_disable, "rcu": k.rcu_read_lock}[guard]()
        with pytest.raises(Violation) as error:
            lock.lock()
    assert error.value.kind == "atomic-sleep"


def test_mutex_as_context_manager(k: Kernel) -> None:
    lock = k.mutex()
    with k.task(), lock:
        assert lock.is_locked
    assert not lock.is_locked


# --- spinlocks and rwlocks ---


def test_spin_lock_irq_turns_interrupts_off_and_pre_emption_too(k: Kernel) -> None:
    lock = k.spinlock()
    with k.task() as task:
        lock.lock_irq()
        assert k.context["irqs_off"] and k.context["in_atomic"]
        assert task.preempt_count == 1
        lock.unlock_irq()
        assert not k.context["irqs_off"] and task.preempt_count == 0


def test_rwlock_lets_readers_in_together_and_writers_alone(k: Kernel) -> None:
    lock = k.rwlock("resource_lock")
    first, second, writer = k.task(), k.task(cpu=1), k.task(cpu=2)
    with first:
        lock.read_lock()
    with second:
        lock.read_lock()
    with writer:
        assert blocked(lock.write_lock).waits_for == "rwlock resource_lock"
    with first:
        lock.read_unlock()
    assert writer.state == "blocked"
    with second:
        lock.read_unlock()
    assert writer.state == "idle"
    with first:
        blocked(lock.read_lock)
    with writer:
        lock.write_unlock()
    assert first.state == "idle"


@pytest.mark.parametrize("lock", ["spin_unlock", "read_unlock", "write_unlock", "irq"])
def test_unlock_of_what_the_task_does_not_hold_is_refused(k: Kernel, lock: str) -> None:
    spin, rw = k.spinlock(), k.rwlock()
    unlock = {
        "spin_unlock": spin.unlock,
        "irq": spin.unlock_irq,
        "read_unlock": rw.read_unlock,
        "write_unlock": rw.write_unlock,
    }[lock]
    with k.task(), pytest.raises(ValueError, match="does not hold"):
        unlock()


# --- wait queues ---


def test_wake_up_wakes_all_non_exclusive_sleepers_and_one_exclusive(k: Kernel) -> None:
    wq = k.wait_queue()
    shared = [blocked(wq.sleep) for _ in range(2)]
    exclusive = [blocked(wq.sleep, exclusive=True) for _ in range(2)]
    wq.wake_up()
    assert all(t.done for t in shared)
    assert [t.done for t in exclusive] == [True, False], "the first to come"
    wq.wake_up()
    assert exclusive[1].done


def test_wake_up_all_wakes_everyone(k: Kernel) -> None:
    wq = k.wait_queue()
    tasks = [blocked(wq.sleep, exclusive=bool(i % 2)) for i in range(5)]
    wq.wake_up_all()
    assert all(t.done for t in tasks)


def test_wake_up_of_an_empty_queue_is_not_remembered(k: Kernel) -> None:
    wq = k.wait_queue()
    wq.wake_up()
    blocked(wq.sleep)


def test_blocked_names_what_the_sleeper_waits_for(k: Kernel) -> None:
    wq = k.wait_queue()
    assert blocked(wq.sleep, "the last page").waits_for == "wait queue the last page"


def test_blocked_call_goes_on_in_the_background_and_keeps_its_result(k: Kernel) -> None:
    wq = k.wait_queue()
    task = blocked(wq.sleep)
    assert k.stats.blocked_tasks == 1
    wq.wake_up()
    assert k.stats.blocked_tasks == 0
    assert task.done and task.result == 0
    task.release()
    assert task.state == "gone"


def test_running_task_cannot_be_released(k: Kernel) -> None:
    task = blocked(k.wait_queue().sleep)
    with pytest.raises(RuntimeError):
        task.release()


# --- who waits for whom ---


def lock_kinds(k: Kernel) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Kinds of locks: to have one alone, and to wait for it."""
    mutex, spinlock, rwlock = k.mutex("m"), k.spinlock("s"), k.rwlock("r")
    return [
        ("mutex m", mutex.lock, mutex.lock),
        ("spinlock s", spinlock.lock, spinlock.lock),
        ("rwlock r", rwlock.write_lock, rwlock.write_lock),
        ("rwlock r", rwlock.write_lock, rwlock.read_lock),
    ]


@pytest.mark.parametrize("number", range(4))
def test_hang_at_a_lock_names_who_has_it(k: Kernel, number: int) -> None:
    what, have, want = lock_kinds(k)[number]
    with k.task(name="holder"):
        have()
    with k.task(name="waiter", cpu=1), pytest.raises(Blocked, match=what):
        want()
    (hang,) = k.quiescence()
    assert re.sub(r"/\d+", "", hang.message) == f"waiter waits for {what}, held by holder"


def test_hang_at_a_lock_that_readers_have_names_nobody(k: Kernel) -> None:
    lock = k.rwlock("r")
    with k.task(name="holder"):
        lock.read_lock()
    with k.task(name="waiter", cpu=1), pytest.raises(Blocked):
        lock.write_lock()
    (hang,) = k.quiescence()
    assert re.sub(r"/\d+", "", hang.message) == "waiter waits for rwlock r"
