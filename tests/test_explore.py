# SPDX-License-Identifier: GPL-2.0-only
"""Exploration of schedules."""

from __future__ import annotations

import _thread
import json
import math
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from memremap_emu import Config, Kernel
from memremap_emu.errors import MachineClosed
from memremap_emu.exploration import Bound, Event, Exploration, Interrupted, Outcome, ScheduleError
from memremap_emu.explore import Program
from memremap_emu.search import Search
from tests.sanitizers import counts_equal_states

PMEM = 0x140000000
SIZE = 1 << 27


def teardown_against_a_held_page(k: Kernel, driver: str) -> Program:
    """Unbind on one CPU, the last put of a page on another."""
    k.iomem.add(PMEM, PMEM + SIZE - 1, "Persistent Memory")
    drv = k.driver(driver) if driver == "dax_pmem" else k.driver(driver, mode="memory")
    dev = drv.device(PMEM, SIZE)
    drv.bind(dev)
    page = k.page((PMEM >> 12) + 0x1000)
    page.get()
    program = Program(k)
    program.task("unbind").unbind(drv, dev)
    program.task("user").put_page(page)
    return program


@pytest.mark.parametrize("driver", ["pmem", "dax_pmem"])
@pytest.mark.parametrize("version", ["v4.19", "memremap-v6", "v5.0"])
def test_final_page_put_race_is_found_before_its_fix(version: str, driver: str) -> None:
    with Kernel(version, cpus=2, on_violation="record") as k:
        found = teardown_against_a_held_page(k, driver).explore()
    assert found.outcome is Outcome.VIOLATION
    assert [v.kind for v in found.violations] == ["memmap-removed"]


@pytest.mark.parametrize("version", ["memremap-v6", "v5.2"])
def test_a_page_is_got_before_its_memory_goes_in_between_and_after(version: str) -> None:
    """That sections go is seen by whoever has to do with one of their pages."""
    with Kernel(version, cpus=2, on_violation="record") as k:
        driver = k.driver("hmm")
        device = driver.device(size=SIZE)
        driver.bind(device)
        page = k.page(driver.devmem(device).pfn_first)
        program = Program(k)
        program.task("owner").call("device_release_driver", device)
        program.task("user").call("get_page", page.pfn)
        found = {
            strategy: program.explore(strategy=strategy, stop_at_violation=False)
            for strategy in ("dpor", "sleep")
        }
    assert all(f.exhaustive for f in found.values())
    kinds = {s: {v.record.kind for v in f.found} for s, f in found.items()}
    assert kinds["dpor"] == kinds["sleep"] >= {"refcount", "memmap-removed"}
    assert found["dpor"].final_hash == found["sleep"].final_hash


@pytest.mark.parametrize("version", ["memremap-v6", "v5.2"])
def test_a_page_that_is_got_while_idle_ones_are_put_is_seen(version: str) -> None:
    """Between the look at which pages are idle and their put, and before and after."""
    with Kernel(version, cpus=2, on_violation="record") as k:
        k.iomem.add(PMEM, PMEM + SIZE - 1, "Persistent Memory")
        driver = k.driver("dax_pmem")
        device = driver.device(PMEM, SIZE)
        driver.bind(device)
        page = k.page((PMEM >> 12) + 0x1800)
        program = Program(k)
        program.task("unbind").unbind(driver, device)
        program.task("user").call("get_page", page.pfn).call("put_page", page.pfn)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    messages = {v.record.message for v in found.found}
    assert f"reference taken on pfn {page.pfn:#x}, whose count is 0" in messages
    assert f"struct page of pfn {page.pfn:#x} is gone with its section" in messages
    assert not any(m.startswith("reference dropped on pfn") for m in messages)
    # The page's put is one of its pagemap's, too, and that may be gone by then.
    assert "reference dropped on a percpu_ref that was exited" in messages


@pytest.mark.parametrize("driver", ["pmem", "dax_pmem"])
def test_final_page_put_race_is_absent_after_its_fix_in_every_schedule(driver: str) -> None:
    config = Config(preempt_rcu=False)
    with Kernel("v5.2", cpus=2, config=config, on_violation="record") as k:
        program = teardown_against_a_held_page(k, driver)
        found = program.explore(check_quiescence=True, stop_at_violation=False)
    assert found.exhaustive
    assert found.executions > 1
    # The put that leaves one reference calls page_free() with no hold on the pagemap.
    assert [f.record.kind for f in found.found] == ["data-race"] * (driver == "pmem")
    for one in found.found:
        assert "free of 8 bytes" in one.record.message
        assert "[unbind] and read in __put_devmap_managed_page() [user]" in one.record.message


def test_a_queue_is_freed_under_the_release_of_its_counter_when_rcu_flavours_differ() -> None:
    """The counter's release runs in an RCU-sched section, the queue is freed after RCU's.

    Whoever waits for the counter may see it zero before the release has woken anybody, and
    with PREEMPT_RCU the grace period that frees the queue does not wait for the release.
    """
    with Kernel("v5.2", cpus=2, on_violation="record") as k:
        found = teardown_against_a_held_page(k, "pmem").explore(stop_at_violation=False)
    used = {
        f.record.func: f.record.message for f in found.found if f.record.kind == "use-after-free"
    }
    # The free comes before the release takes the lock, or while it has it.
    assert set(used) == {"wake_up_all", "spin_unlock"}
    for message in used.values():
        assert "blk_alloc_queue_node() and freed in blk_free_queue_rcu()" in message


def test_a_schedule_is_replayed() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = teardown_against_a_held_page(k, "pmem")
        start = k.snapshot()
        found = program.explore()
        start.restore()
        again = program.explore(schedule=found.schedule)
    assert again.schedule == found.schedule
    assert [str(v) for v in again.violations] == [str(v) for v in found.violations]


def test_locks_in_two_orders_hang_in_some_schedule() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        a, b = k.mutex("a"), k.mutex("b")
        program = Program(k)
        program.task("ab").lock(a).lock(b).unlock(b).unlock(a)
        program.task("ba").lock(b).lock(a).unlock(a).unlock(b)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    hangs = [f for f in found.found if f.record.kind == "hang"]
    assert [re.sub(r"/\d+", "", f.record.message) for f in hangs] == [
        "ab waits for mutex b, held by ba",
        "ba waits for mutex a, held by ab",
    ]
    assert all(0 < f.executions < found.executions for f in hangs)


def test_a_grace_period_waits_for_the_readers_that_began_before_it() -> None:
    """Whichever way they interleave, and in some schedules the reader comes too late."""
    with Kernel(cpus=2, on_violation="record") as k:
        ref = k.percpu_ref()
        program = Program(k)
        reader = program.task("reader")
        reader.call("preempt_disable").call("percpu_ref_tryget_live", ref).call("preempt_enable")
        program.task("killer").kill(ref).call("synchronize_sched")
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    assert found.violating == 0
    assert found.final_states == 2


def test_what_calls_back_into_python_is_refused() -> None:
    with Kernel(cpus=2) as k:
        ref = k.percpu_ref(lambda ref: None, 1)
        program = Program(k)
        program.task("put").put(ref)
        with pytest.raises(ValueError, match="cannot be explored"):
            program.explore()
        assert ref.logical == 1


def test_the_plain_build_is_refused() -> None:
    with Kernel(checked=False) as k:
        program = Program(k)
        program.task("nothing").call("might_sleep")
        with pytest.raises(ValueError, match="checked build"):
            program.explore()


def test_the_kernel_is_left_as_it_was() -> None:
    with Kernel("v5.2", cpus=2, config=Config(preempt_rcu=False)) as k:
        program = teardown_against_a_held_page(k, "dax_pmem")
        before = k.state_hash, str(k.iomem), k.dmesg
        program.explore()
        assert (k.state_hash, str(k.iomem), k.dmesg) == before


def generated_program(seed: int) -> tuple[Kernel, Program]:
    """Two or three tasks that meet on a ref, a completion and three locks."""
    draw = random.Random(seed)
    k = Kernel(cpus=3, on_violation="record")
    ref = k.percpu_ref(flags=draw.choice([0, 1]))
    done, a, b, spin = k.completion(), k.mutex("a"), k.mutex("b"), k.spinlock()
    for _ in range(draw.randint(0, 2)):
        ref.get()
    program = Program(k)
    for number in range(draw.randint(2, 3)):
        task = program.task(f"t{number}")
        for _ in range(draw.randint(1, 2)):
            match draw.randint(0, 9):
                case 0:
                    task.get(ref)
                case 1:
                    task.put(ref)
                case 2:
                    task.kill(ref)
                case 3:
                    task.call("percpu_ref_tryget_live", ref)
                case 4:
                    task.complete(done)
                case 5:
                    task.wait(done)
                case 6:
                    task.lock(a).lock(b).unlock(b).unlock(a)
                case 7:
                    task.lock(b).lock(a).unlock(a).unlock(b)
                case 8:
                    task.lock(spin).unlock(spin)
                case _:
                    task.call("preempt_disable").call("percpu_ref_tryget", ref)
                    task.call("preempt_enable")
    return k, program


def searched(
    program: Program, strategy: str, max_executions: int = 0
) -> tuple[Exploration, frozenset[tuple[Event, Event]]]:
    """What a search finds, and in which orders it saw dependent steps."""
    with program.search(
        stop_at_violation=False, strategy=strategy, max_executions=max_executions, orders=True
    ) as search:
        search.run()
        return search.result, search.orders()


@pytest.mark.parametrize("part", range(4))
def test_reduced_search_finds_what_full_search_finds(part: int) -> None:
    """The same final states, violations and orders of dependent steps, in 2,095 programs."""
    compared = reversible = 0
    for seed in range(part * 650, part * 650 + 650):
        k, program = generated_program(seed)
        with k:
            full, orders = searched(program, "dfs", max_executions=3000)
            if not full.exhaustive:
                continue
            for strategy in ("dpor", "sleep", "cache", "phases"):
                reduced, seen = searched(program, strategy)
                assert reduced.exhaustive
                assert reduced.executions <= full.executions
                assert (reduced.final_states, reduced.final_hash) == (
                    full.final_states,
                    full.final_hash,
                ), f"generated_program({seed}), {strategy}"
                # Races and orders, of locks too, are no matter of the state alone.
                if strategy == "cache":
                    continue
                assert {f.record.cause for f in reduced.found} == {
                    f.record.cause for f in full.found
                }, f"generated_program({seed}), {strategy}"
                # Behind a state that has been searched nobody looks again.
                if strategy != "phases":
                    assert seen == orders, f"generated_program({seed}), {strategy}"
        compared += 1
        reversible += sum((second, first) in orders for first, second in orders)
    assert compared >= 500
    assert reversible >= 1000


def program_that_frees(seed: int) -> tuple[Kernel, Program]:
    """Tasks that wait in every way, read and write under a rwlock, and free what others use."""
    draw = random.Random(seed)
    k = Kernel(cpus=2, on_violation="record")
    ref, done, mutex = k.percpu_ref(flags=draw.choice([0, 1])), k.completion(), k.mutex()
    one, two, queue = k.rwlock("one"), k.rwlock("two"), k.wait_queue()
    blocks: list[list[tuple[str, Any]]] = [
        [(name, ref)]
        for name in ("percpu_ref_put", "percpu_ref_use", "percpu_ref_exit", "percpu_ref_free")
    ]
    blocks += [
        [(name, done)]
        for name in (
            *("complete", "complete_all", "reinit_completion"),
            *("wait_for_completion", "try_wait_for_completion"),
        )
    ]
    blocks += [
        [("mutex_trylock", mutex)],
        [("mutex_lock", mutex), ("mutex_unlock", mutex)],
        [("wake_up", queue)],
        [("read_lock", one), ("write_lock", two), ("write_unlock", two), ("read_unlock", one)],
        [("write_lock", one), ("write_unlock", one)],
        [("read_lock", two), ("complete", done), ("read_unlock", two)],
    ]
    some = draw.sample(blocks, 3)
    program = Program(k)
    for number in range(draw.randint(2, 3)):
        task = program.task(f"t{number}")
        for _ in range(draw.randint(1, 2)):
            for name, of in draw.choice(some):
                task.call(name, of)
    return k, program


def test_reduced_search_finds_what_is_used_after_it_was_freed() -> None:
    """Which of the uses is told of depends on the order of plain accesses."""
    compared, kinds_seen = 0, set()
    for seed in range(600):
        k, program = program_that_frees(seed)
        with k:
            full = program.explore(strategy="dfs", stop_at_violation=False, max_executions=1000)
            if not full.exhaustive:
                continue
            kinds = {f.record.kind for f in full.found}
            for strategy in ("dpor", "sleep", "cache", "phases"):
                reduced = program.explore(strategy=strategy, stop_at_violation=False)
                where = f"program_that_frees({seed}), {strategy}"
                assert reduced.exhaustive
                found = {f.record.kind for f in reduced.found}
                # A plain access that races with the free is seen before or behind it.
                races = {"data-race", "use-after-free"}
                assert found - races == kinds - races, where
                if strategy != "cache":
                    assert bool(found & races) == bool(kinds & races), where
                if not kinds & races:
                    assert reduced.final_hash == full.final_hash, where
        compared += 1
        kinds_seen |= kinds
    assert compared >= 500
    assert kinds_seen >= {"data-race", "use-after-free", "double-free", "hang"}


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "sleep", "cache", "phases", "preemptions"])
def test_time_passes_when_nobody_can_go_on(strategy: str) -> None:
    """Whoever completes comes in time, or waits for a lock of who waits for him, for so long."""
    with Kernel(cpus=2, on_violation="record") as k:
        done, lock = k.completion(), k.mutex("m")
        program = Program(k)
        waits = program.task("waits").lock(lock)
        waits.call("wait_for_completion_timeout", done, 10).unlock(lock)
        program.task("completes").lock(lock).complete(done).unlock(lock)
        found, again = (
            program.explore(strategy=strategy, stop_at_violation=False, reexecute=reexecute)
            for reexecute in (False, True)
        )
    assert found.exhaustive
    assert not found.violating
    assert found.final_states == 2
    assert found == again


@pytest.mark.parametrize(
    "tasks",
    [
        (["unlock a", "lock a"], ["lock a", "wait c"], ["lock a", "wait c"]),
        (
            ["wait d"],
            ["lock b", "try c", "lock a", "unlock a", "unlock b"],
            ["complete c", "lock a", "lock b", "wait d"],
        ),
        (
            ["wait c"],
            ["complete d", "lock a", "lock b", "unlock b", "unlock a"],
            ["lock b", "lock a", "unlock a", "wait c"],
        ),
    ],
)
def test_who_hangs_at_a_lock_where_others_are_asleep_might_have_had_it(
    tasks: tuple[list[str], ...],
) -> None:
    """The execution is given up there, and nobody comes to that lock in it any more."""
    names = {"try": "try_wait_for_completion", "wait": "wait_for_completion"}
    names |= {"lock": "mutex_lock", "unlock": "mutex_unlock", "complete": "complete"}
    found = {}
    for strategy in ("dfs", "dpor", "sleep", "phases"):
        with Kernel(cpus=3, on_violation="record") as k:
            of = {"a": k.mutex("a"), "b": k.mutex("b")}
            of |= {"c": k.completion("c"), "d": k.completion("d")}
            program = Program(k)
            for number, calls in enumerate(tasks):
                task = program.task(f"t{number}")
                for call in calls:
                    operation, name = call.split()
                    task.call(names[operation], of[name])
            one = program.explore(strategy=strategy, stop_at_violation=False)
            assert one.exhaustive
            found[strategy] = one.final_states, one.final_hash
    assert len(set(found.values())) == 1, found


def program_with_phases(seed: int) -> tuple[Kernel, Program]:
    """A task that does much, and one or two that are soon over."""
    draw = random.Random(seed)
    k = Kernel(cpus=3, on_violation="record")
    ref, other = (k.percpu_ref(flags=draw.choice([0, 1])) for _ in range(2))
    done, a, b, spin, rw = k.completion(), k.mutex("a"), k.mutex("b"), k.spinlock(), k.rwlock("rw")
    blocks: list[list[tuple[Any, ...]]] = [
        [("percpu_ref_get", ref)],
        [("percpu_ref_put", ref)],
        [("percpu_ref_kill_and_confirm", ref, 0)],
        [("percpu_ref_tryget_live", ref)],
        [("preempt_disable",), ("percpu_ref_tryget", ref), ("preempt_enable",)],
        [("percpu_ref_use", ref)],
        [("percpu_ref_use", other)],
        [("percpu_ref_put", other)],
        [("percpu_ref_kill_and_confirm", other, 0)],
        [("percpu_ref_exit", other)],
        [("percpu_ref_free", other)],
        [("rcu_read_lock",), ("percpu_ref_tryget_live", other), ("rcu_read_unlock",)],
        [("synchronize_rcu",)],
        [("complete", done)],
        [("wait_for_completion", done)],
        [("try_wait_for_completion", done)],
        [("reinit_completion", done)],
        [("mutex_lock", a), ("mutex_lock", b), ("mutex_unlock", b), ("mutex_unlock", a)],
        [("mutex_lock", b), ("mutex_lock", a), ("mutex_unlock", a), ("mutex_unlock", b)],
        [("spin_lock", spin), ("spin_unlock", spin)],
        [("read_lock", rw), ("read_unlock", rw)],
        [("write_lock", rw), ("write_unlock", rw)],
    ]
    some = draw.sample(blocks, 5)
    program = Program(k)
    for number in range(draw.randint(2, 3)):
        task = program.task(f"t{number}")
        for _ in range(draw.randint(1, 2) if number else draw.randint(3, 6)):
            for name, *of in draw.choice(some):
                task.call(name, *of)
    return k, program


@counts_equal_states
@pytest.mark.parametrize("part", range(2))
def test_what_follows_a_phase_is_like_what_followed_it_before(part: int) -> None:
    """The same final states and violations, in 1,433 programs."""
    compared = given_up = 0
    for seed in range(part * 750, part * 750 + 750):
        k, program = program_with_phases(seed)
        with k:
            full = program.explore(strategy="dpor", stop_at_violation=False, max_executions=3000)
            if not full.exhaustive:
                continue
            reduced = program.explore(strategy="phases", stop_at_violation=False)
        where = f"program_with_phases({seed})"
        assert reduced.exhaustive, where
        kinds, found = ({f.record.kind for f in e.found} for e in (full, reduced))
        races = {"data-race", "use-after-free"}
        assert bool(found & races) == bool(kinds & races), where
        # No more than these are kept.
        if full.complete and reduced.complete:
            assert found - races == kinds - races, where
        if not kinds & races:
            causes = ({f.record.cause for f in e.found} for e in (full, reduced))
            assert len(set(map(frozenset, causes))) == 1, where
            assert (reduced.final_states, reduced.final_hash) == (
                full.final_states,
                full.final_hash,
            ), where
        compared += 1
        given_up += reduced.cached > 0
    assert compared >= 700
    assert given_up >= 250


@counts_equal_states
def test_a_state_is_one_whether_a_completion_had_been_met_before_or_not() -> None:
    """What lock orders leave on the stack, before the first step of an operation."""
    with Kernel(cpus=2, on_violation="record") as k:
        one, other, lock = k.completion("c1"), k.completion("c2"), k.mutex("a")
        program = Program(k)
        owner = program.task("owner").lock(lock).unlock(lock).call("reinit_completion", one)
        owner.lock(lock).unlock(lock).call("complete_all", other)
        program.task("other").lock(lock).unlock(lock)
        found = [
            program.explore(strategy="phases", stop_at_violation=False, reexecute=reexecute)
            for reexecute in (False, True)
        ]
    assert found[0] == found[1]
    assert found[0].cached == 1


@counts_equal_states
@pytest.mark.parametrize("owner_first", [False, True])
def test_races_with_what_came_before_a_phase_are_reversed_wherever_it_begins(
    owner_first: bool,
) -> None:
    """Whether the owner found the completion done decides, until it is made new: how that was
    leaves no trace in the state.  So nobody would wait in time if it were tried once only."""
    found = {}
    for strategy in ("dfs", "dpor", "phases"):
        with Kernel(cpus=2, on_violation="record") as k:
            done, handed_over = k.completion(), k.completion()
            program = Program(k)
            for name in ("owner", "other") if owner_first else ("other", "owner"):
                task = program.task(name)
                if name == "owner":
                    task.call("try_wait_for_completion", done).wait(handed_over).wait(done)
                else:
                    task.complete(done).complete(handed_over).call("reinit_completion", done)
            found[strategy] = program.explore(strategy=strategy, stop_at_violation=False)
            with program.search(strategy=strategy, stop_at_violation=False) as search:
                while search.running:
                    search.run(1e-9)
                assert same(search.result, found[strategy])
    assert found["phases"].cached and found["phases"].exhaustive
    assert found["phases"].executions < found["dpor"].executions < found["dfs"].executions
    assert len({(e.final_states, e.final_hash) for e in found.values()}) == 1
    assert found["dfs"].final_states == 2


@counts_equal_states
def test_races_of_what_was_given_up_count_for_the_phases_around_it() -> None:
    """One of the nine executions comes from a race that another search of the inner phase found."""
    with Kernel(cpus=2, on_violation="record") as k:
        a, b, c = k.completion(), k.completion(), k.completion()
        program = Program(k)
        task = program.task("one").call("reinit_completion", b).complete(a)
        task.call("try_wait_for_completion", a).call("reinit_completion", b)
        task.call("complete_all", c)
        task = program.task("other").complete(c).call("complete_all", a).complete(b)
        task.call("try_wait_for_completion", c)
        found = program.explore(strategy="phases", stop_at_violation=False)
    assert (found.executions, found.cached) == (9, 6)


def stuck_reader(k: Kernel, program: Program) -> None:
    program.task("owner").call("synchronize_rcu")
    program.task("reader").call("rcu_read_lock")


def reader_that_asks(k: Kernel, program: Program) -> None:
    done = k.completion()
    inside = ("rcu_read_lock", "try_wait_for_completion", "rcu_read_unlock")
    for number in range(2):
        task = program.task(f"reader{number}")
        for name in inside:
            task.call(name, *[done] * name.startswith("try"))
    task.call("synchronize_rcu").complete(done)
    program.task("other").complete(done)


def barrier_in_a_section(k: Kernel, program: Program) -> None:
    ref, done = k.percpu_ref(), k.completion()
    program.task("owner").kill(ref).complete(done)
    task = program.task("other").call("preempt_disable").call("rcu_barrier_sched")
    task.call("preempt_enable").wait(done).call("percpu_ref_free", ref)


@pytest.mark.parametrize("build", [stuck_reader, reader_that_asks, barrier_in_a_section])
def test_a_grace_period_and_a_section_are_seen_in_both_orders(
    build: Callable[[Kernel, Program], None],
) -> None:
    """Neither stands for the other: who waits, and what comes before what, is not the same."""
    found = []
    for strategy in ("sleep", "dpor", "phases"):
        with Kernel(cpus=2, on_violation="record") as k:
            program = Program(k)
            build(k, program)
            found.append(program.explore(strategy=strategy, stop_at_violation=False))
    assert len({(e.final_states, e.final_hash) for e in found}) == 1
    assert len({frozenset(f.record.kind for f in e.found) for e in found}) == 1


@pytest.mark.parametrize("sections", [1, 40])
def test_a_grace_period_is_no_order_for_sections_that_it_did_not_wait_for(sections: int) -> None:
    """However many there were before: the callback may come before what a later reader does."""
    with Kernel(cpus=2, on_violation="record") as k:
        ref, other = k.percpu_ref(), k.percpu_ref(flags=1)
        program = Program(k)
        reader = program.task("reader")
        for _ in range(sections):
            reader.call("preempt_disable").call("percpu_ref_get", other).call("preempt_enable")
        reader.put(ref)
        program.task("owner").kill(ref)
        full, orders = searched(program, "sleep")
        reduced, seen = searched(program, "dpor")
    assert full.exhaustive and reduced.exhaustive
    assert seen == orders
    assert reduced.bounds is Bound.NONE


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("strategy", ["dpor", "phases"])
def test_callbacks_are_queued_in_every_order(strategy: str, waits: bool) -> None:
    """By two tasks, and by one before and behind the rcu_barrier() of the other."""
    with Kernel(cpus=2, on_violation="record") as k:
        program = Program(k)
        for number in range(2):
            tree = k.radix_tree()
            tree.insert(70, 0x1000)
            task = program.task(f"t{number}")
            if waits and number:
                task.call("rcu_barrier")
            else:
                task.call("radix_tree_delete", tree, 70)
        found, orders = searched(program, strategy)
    assert found.exhaustive
    # To queue one is to write its head; the trees have nothing to do with each other.
    kinds = {"none", "write"}
    between = {(a.process, b.process) for a, b in orders if {a.access, b.access} <= kinds}
    assert {(0, 1), (1, 0)} <= between


def test_more_grace_periods_than_can_be_told_apart_are_a_bound() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = Program(k)
        task = program.task("one")
        for _ in range(100):
            task.call("rcu_read_lock_sched").call("percpu_ref_get", k.percpu_ref(flags=1))
            task.call("rcu_read_unlock_sched").call("synchronize_sched")
        found = program.explore()
    assert not found.exhaustive
    assert found.bounds == Bound.LOCKS


@pytest.mark.parametrize("strategy", ["dpor", "sleep", "dfs"])
@pytest.mark.parametrize("free_first", [True, False])
@pytest.mark.parametrize("behind_a_lock", [True, False])
def test_a_free_and_a_use_are_seen_in_both_orders(
    strategy: str, free_first: bool, behind_a_lock: bool
) -> None:
    """Whoever goes first by itself, and whether the free begins a step or is in one."""
    with Kernel(cpus=2, on_violation="record") as k:
        ref, lock = k.percpu_ref(), k.spinlock()
        program = Program(k)
        for frees in (free_first, not free_first):
            task = program.task("owner" if frees else "user")
            if behind_a_lock and frees:
                task.lock(lock).unlock(lock)
            task.call("percpu_ref_free" if frees else "percpu_ref_tryget_live", ref)
        found = program.explore(strategy=strategy, stop_at_violation=False)
    assert found.exhaustive
    (used,) = (f for f in found.found if f.record.kind == "use-after-free")
    assert 0 < used.executions < found.executions


@pytest.mark.parametrize("strategy", ["dpor", "sleep", "dfs"])
def test_a_violation_that_an_execution_shows_twice_is_counted_once(strategy: str) -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        ref = k.percpu_ref()
        program = Program(k)
        program.task("one").call("percpu_ref_free", ref)
        program.task("two").call("percpu_ref_put", ref).call("percpu_ref_put", ref)
        found = program.explore(strategy=strategy, stop_at_violation=False)
    assert found.found
    assert all(f.executions <= found.violating for f in found.found)


def test_whoever_waits_for_a_switch_is_woken_after_it_is_over_in_every_schedule() -> None:
    """Woken before confirm_switch is cleared, one that looks at once would sleep for ever."""
    with Kernel(cpus=2, on_violation="record") as k:
        ref = k.percpu_ref(None)
        program = Program(k)
        program.task("one").call("percpu_ref_switch_to_atomic_sync", ref)
        program.task("two").call("percpu_ref_switch_to_atomic_sync", ref)
        found = program.explore()
    assert found.exhaustive
    assert found.violating == 0
    assert found.executions > 1


def locks_in_two_orders(k: Kernel) -> Program:
    a, b = k.mutex("a"), k.mutex("b")
    program = Program(k)
    program.task("ab").lock(a).lock(b).unlock(b).unlock(a)
    program.task("ba").lock(b).lock(a).unlock(a).unlock(b)
    return program


def test_what_a_search_has_left_behind_is_nothing_to_the_next() -> None:
    """Its memory is used again: deep steps, final states, a violation, races on another machine."""

    def small() -> Exploration:
        with Kernel(cpus=2, on_violation="record") as k:
            return locks_in_two_orders(k).explore(stop_at_violation=False)

    def in_a_new_thread() -> Exploration:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(small).result()

    with Kernel(cpus=3, on_violation="record") as k:
        lock, ref = k.spinlock(), k.ref_test()
        deep = Program(k)
        task = deep.task("many")
        for _ in range(400):
            task.lock(lock).unlock(lock)
        deep.task("owner").call("ref_test_kill", ref)
        deep.task("user").lock(lock).unlock(lock).call("ref_test_use", ref)
        found = deep.explore(max_executions=300, stop_at_violation=False)
    assert found.max_depth > 400 and found.executions == 300
    assert small() == in_a_new_thread()


def test_a_search_tells_what_it_has_broken_whatever_another_has_left_behind() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = locks_in_two_orders(k)
        with program.search() as one, program.search() as other:
            one.run()
            other.run()
            assert one.result.violations
            assert [v.cause for v in other.result.violations] == [
                v.cause for v in one.result.violations
            ]


@pytest.mark.parametrize(("bound", "kinds"), [(0, set()), (1, {"hang"}), (2, {"hang"})])
def test_bounded_search_finds_what_takes_so_many_preemptions(bound: int, kinds: set[str]) -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        found = locks_in_two_orders(k).explore(
            strategy="preemptions", max_preemptions=bound, stop_at_violation=False
        )
    # The order of the locks is wrong in executions that end, too.
    assert {f.record.kind for f in found.found} == kinds | {"lock-order"}
    # One pre-emption is all that this program has to offer.
    assert found.exhaustive == (bound > 0)


def test_a_bound_that_cuts_nothing_off_is_exhaustive() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = locks_in_two_orders(k)
        full = program.explore(strategy="dfs", stop_at_violation=False)
        bounded = program.explore(
            strategy="preemptions", max_preemptions=20, stop_at_violation=False
        )
    assert bounded.exhaustive
    assert (bounded.executions, bounded.final_hash) == (full.executions, full.final_hash)


@pytest.mark.parametrize("strategy", ["pct", "random"])
def test_sampling_finds_the_deadlock_and_is_never_exhaustive(strategy: str) -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = locks_in_two_orders(k)
        found = [
            program.explore(
                strategy=strategy, max_executions=50, seed=seed, stop_at_violation=False
            )
            for seed in (1, 1, 2)
        ]
    assert all(f.executions == 50 and not f.exhaustive and f.violating for f in found)
    assert found[0] == found[1]
    assert found[0].violating != found[2].violating or found[0].schedule != found[2].schedule


def test_sampling_without_a_bound_and_unknown_strategies_are_refused() -> None:
    with Kernel(cpus=2) as k:
        program = locks_in_two_orders(k)
        with pytest.raises(ValueError, match="needs a bound"):
            program.explore(strategy="random")
        with pytest.raises(
            ValueError, match="known: dpor, dfs, preemptions, pct, random, cache, sleep, guided"
        ):
            program.explore(strategy="best")
        with pytest.raises(ValueError, match="known: hang"):
            program.explore(stop_at_success="bad luck")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_executions": -1}, "max_executions is -1: must be 0 to 18446744073709551615"),
        ({"worthwhile": 1 << 64}, "worthwhile is 18446744073709551616: must be"),
        ({"seed": -1}, "seed is -1: must be"),
        ({"max_preemptions": -1}, "max_preemptions is -1: must be 0 to 2147483647"),
        ({"max_preemptions": 1 << 31}, "max_preemptions is 2147483648: must be"),
        ({"max_faults": 5}, "max_faults is 5: must be 0 to 4"),
        ({"max_seconds": -1.0}, "max_seconds is -1.0: must be a number from 0 on"),
        ({"max_seconds": math.nan}, "max_seconds is nan"),
        ({"max_seconds": math.inf}, "max_seconds is inf"),
        ({"strategy": 3}, "unknown strategy 3; known: dpor"),
    ],
)
def test_options_out_of_their_range_are_refused(options: Any, reason: str) -> None:
    with Kernel(cpus=2) as k, pytest.raises(ValueError, match=reason):
        locks_in_two_orders(k).explore(**options)
    with Kernel(cpus=2) as k, pytest.raises(TypeError, match="max_executions must be an int"):
        locks_in_two_orders(k).explore(max_executions="7")  # type: ignore[arg-type]


def test_plain_accesses_of_per_cpu_data_and_under_locks_are_no_races() -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        ref, lock = k.percpu_ref(), k.mutex("lock")
        ref.get()  # nobody may get what nobody holds
        program = Program(k)
        program.task("a", cpu=0).get(ref).put(ref).lock(lock).unlock(lock)
        program.task("b", cpu=0).get(ref).put(ref).lock(lock).unlock(lock)
        program.task("c", cpu=1).kill(ref)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive and not found.found


@pytest.mark.parametrize("cpus", [1, 2])
def test_per_cpu_counts_of_one_cpu_do_not_race_and_of_two_are_apart(cpus: int) -> None:
    with Kernel(cpus=cpus, on_violation="record") as k:
        ref = k.percpu_ref()
        program = Program(k)
        for number in range(2):
            program.task(f"t{number}", cpu=number % cpus).get(ref).put(ref)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive and not found.found


@pytest.mark.parametrize(
    "schedule",
    [
        bytes([7]) * 3,
        bytes([9]),
        bytes([15]),
        b"\0\xff",
        b"\0\x80",
        b"\x81",
        bytes(8),
        b"\0\0\0\0\0\1",
        bytes(9999),
    ],
)
def test_a_schedule_of_another_program_is_refused_with_the_step(schedule: bytes) -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = locks_in_two_orders(k)
        before = k.state_hash
        with pytest.raises(ScheduleError, match=r"does not fit the program: at step \d+ of"):
            program.explore(schedule=schedule)
        assert not k.violations and k.state_hash == before
        assert program.explore(stop_at_violation=False).exhaustive


@pytest.mark.parametrize("strategy", ["random", "dfs"])
def test_executions_that_are_too_long_count_towards_the_bound(strategy: str) -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        lock = k.spinlock()
        program = Program(k)
        task = program.task("long")
        for _ in range(4200):
            task.lock(lock).unlock(lock)
        program.task("other").lock(lock).unlock(lock)
        found = program.explore(strategy=strategy, max_executions=2, stop_at_violation=False)
    assert found.executions == 0 and found.outcome is Outcome.BOUND


def ref_test(k: Kernel, users: int) -> Program:
    """An owner kills a count while users come and go; see csrc/drivers/test/ref.c."""
    ref = k.ref_test()
    program = Program(k)
    program.task("owner").call("ref_test_kill", ref)
    for number in range(users):
        program.task(f"user{number}").call("ref_test_use", ref)
    return program


@pytest.mark.parametrize(("users", "executions"), [(2, 65), (3, 2565)])
def test_executions_of_the_smallest_protocol_are_as_many_as_traces(
    users: int, executions: int
) -> None:
    """Counts of a checker with optimal reduction; nobody is asleep at the end of one."""
    with Kernel(cpus=4, on_violation="record") as k:
        found = ref_test(k, users).explore(stop_at_violation=False)
    assert found.exhaustive and not found.found
    assert (found.executions, found.asleep) == (executions, 0)


def test_every_search_of_the_smallest_protocol_sees_the_same_final_states() -> None:
    with Kernel(cpus=4, on_violation="record") as k:
        program = ref_test(k, 2)
        found = {
            name: program.explore(strategy=name, stop_at_violation=False)
            for name in ("dpor", "dfs", "sleep", "cache")
        }
    assert {f.final_hash for f in found.values()} == {found["dpor"].final_hash}
    assert all(f.exhaustive for f in found.values())
    assert found["dpor"].executions <= found["sleep"].executions < found["dfs"].executions
    assert found["cache"].steps < found["sleep"].steps < found["dfs"].steps


def test_what_breaks_a_rule_on_the_way_to_a_known_state_is_kept() -> None:
    """Two orders of a race leave the same behind, and one is met where the other has been."""
    found = {}
    for strategy in ("dpor", "cache"):
        with Kernel("v4.19", cpus=2, on_violation="record") as k:
            tree, lock = k.radix_tree(), k.mutex()
            tree.insert(5, 0x1000)
            program = Program(k)
            for name in ("a", "b"):
                program.task(name).call("radix_tree_delete", tree, 5).lock(lock).unlock(lock)
            explored = program.explore(strategy=strategy, stop_at_violation=False)
            found[strategy] = {f.record.message for f in explored.found}
    assert found["cache"] == found["dpor"]


@counts_equal_states
def test_equal_states_look_equal_to_the_cache() -> None:
    """Whatever calls of the machine have left on the stacks; every schedule has 90 executions."""
    with Kernel(cpus=3, on_violation="record") as k:
        lock = k.spinlock()
        program = Program(k)
        for number in range(3):
            program.task(f"t{number}").lock(lock).unlock(lock).lock(lock).unlock(lock)
        found = program.explore(strategy="cache", stop_at_violation=False)
    assert found.exhaustive and found.final_states == 1
    # Each task has taken the lock 0, 1 or 2 times, and nobody has looked at the end.
    assert (found.executions, found.states) == (3, 3**3 - 1)


def same(a: Exploration, b: Exploration) -> bool:
    return replace(a, estimate=None) == replace(b, estimate=None)


def test_taking_steps_back_is_the_same_as_starting_anew() -> None:
    for seed in range(60):
        k, program = generated_program(seed)
        with k:
            back = program.explore(stop_at_violation=False, max_executions=400)
            anew = program.explore(stop_at_violation=False, max_executions=400, reexecute=True)
            assert same(back, anew), f"generated_program({seed})"


@pytest.mark.parametrize("version", ["memremap-v6", "v5.2"])
@pytest.mark.parametrize("driver", ["pmem", "dax_pmem"])
def test_taking_back_the_steps_of_an_unbind_is_the_same_as_starting_anew(
    version: str, driver: str
) -> None:
    with Kernel(version, cpus=2, on_violation="record") as k:
        program = teardown_against_a_held_page(k, driver)
        back, anew = (
            program.explore(
                stop_at_violation=False,
                check_quiescence=True,
                max_executions=150,
                reexecute=reexecute,
                max_faults=1,
            )
            for reexecute in (False, True)
        )
    assert same(back, anew)


def test_a_search_that_is_cut_into_pieces_finds_the_same() -> None:
    with Kernel("v5.2", cpus=2, on_violation="record") as k:
        program = teardown_against_a_held_page(k, "dax_pmem")
        whole = program.explore(stop_at_violation=False)
        before = k.state_hash
        search = program.search(stop_at_violation=False)
        pieces = 0
        while search.running:
            search.run(1e-9)
            assert k.state_hash == before
            pieces += 1
        assert pieces > 5
        assert same(search.result, whole)


@pytest.mark.parametrize("strategy", ["dpor", "phases", "preemptions", "dfs"])
def test_a_search_that_came_to_a_bound_goes_on_up_to_another_one(strategy: str) -> None:
    found = []
    for bounds in ([10, 25, 150], [150]):
        with Kernel("v5.2", cpus=2, on_violation="record") as k:
            program = teardown_against_a_held_page(k, "dax_pmem")
            search = program.search(
                strategy=strategy,
                stop_at_violation=False,
                max_faults=1,
                max_executions=bounds.pop(0),
            )
            with pytest.raises(ValueError, match="not come to a bound"):
                search.extend(0)
            search.run()
            for bound in bounds:
                with pytest.raises(ValueError, match="max_executions"):
                    search.extend(-1)
                search.extend(bound)
                search.run()
            found.append(search.result)
            assert search.result.executions == 150
    assert same(*found)
    with Kernel(cpus=3, on_violation="record") as k:
        search = locks_in_two_orders(k).search(strategy=strategy, stop_at_violation=False)
        search.run()
        assert search.result.exhaustive
        with pytest.raises(ValueError, match="not come to a bound"):
            search.extend(0)


def test_a_search_is_saved_and_goes_on_in_another_kernel() -> None:
    with Kernel("v5.2", cpus=2, on_violation="record") as k:
        program = teardown_against_a_held_page(k, "dax_pmem")
        whole = program.explore(stop_at_violation=False, max_faults=1)
        search = program.search(stop_at_violation=False, max_faults=1)
        for _ in range(3):
            search.run(1e-9)
        saved = json.loads(json.dumps(search.save()))
        assert 0 < search.result.executions < whole.executions
    with Kernel("v5.2", cpus=2, on_violation="record") as k:
        program = teardown_against_a_held_page(k, "dax_pmem")
        search = program.search(stop_at_violation=False, max_faults=1)
        search.load(saved)
        search.run()
        assert same(search.result, whole)
        with pytest.raises(ValueError, match="another max_faults"):
            program.search(stop_at_violation=False).load(saved)
        for damage in ({"steps": [[1]]}, {"final": None}, {"found": [{}]}, {"bound": -1}):
            with pytest.raises(ValueError, match="damaged"):
                program.search(stop_at_violation=False, max_faults=1).load(saved | damage)
        for wrong in ({"schema": 1}, [], None):
            with pytest.raises(ValueError, match="not a saved search"):
                program.search().load(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="another program"):
            locks_in_two_orders(k).search(stop_at_violation=False, max_faults=1).load(saved)


def damage(draw: random.Random, value: Any) -> Any:
    """The same document with one of its values replaced, or gone."""
    if isinstance(value, dict) and value and draw.random() < 0.95:
        key = draw.choice(list(value))
        changed = dict(value)
        if draw.random() < 0.05:
            del changed[key]
        else:
            changed[key] = damage(draw, value[key])
        return changed
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        inserted = [] if draw.random() < 0.1 else [damage(draw, value[at])]
        return [*value[:at], *inserted, *value[at + 1 :]]
    return draw.choice(
        [
            None,
            True,
            -1,
            0,
            1,
            255,
            1 << 31,
            1 << 40,
            1 << 70,
            0.5,
            "",
            "x" * 64,
            [],
            [0] * 4097,
            {},
        ]
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_checkpoint_goes_on_or_is_refused(seed: int) -> None:
    """What it says may be wrong then; nothing else is."""
    draw = random.Random(seed)
    options: Any = {"stop_at_violation": False, "max_faults": 1}
    refused = 0
    with Kernel(cpus=3, on_violation="record") as k:
        program = locks_in_two_orders(k)
        with program.search(**options) as search:
            while search.result.executions < 2:
                search.run(1e-9)
            saved = search.save()
        assert saved["found"] and saved["lock_orders"] and saved["steps"]
        for _ in range(300):
            broken = json.loads(json.dumps(damage(draw, saved)))
            with program.search(max_executions=20, **options) as search:
                try:
                    search.load(broken)
                    search.run()
                    search.result  # noqa: B018
                    search.lock_orders()
                    search.save()
                except ValueError:
                    refused += 1
    assert 30 < refused < 300


def test_a_search_outlives_its_kernel_and_says_so() -> None:
    k = Kernel(cpus=2, on_violation="record")
    search = locks_in_two_orders(k).search()
    k.close()
    with pytest.raises(MachineClosed):
        search.run()
    search.close()
    with pytest.raises(ValueError, match="has been closed"):
        search.running  # noqa: B018


def test_ctrl_c_ends_a_search_with_what_it_knows() -> None:
    with Kernel(cpus=5, on_violation="record") as k:
        program = ref_test(k, 4)
        before = k.state_hash
        timer = threading.Timer(0.25, _thread.interrupt_main)
        timer.start()
        with pytest.raises(Interrupted) as caught:
            program.explore(stop_at_violation=False, strategy="dfs")
        timer.cancel()
        assert caught.value.exploration.executions > 0
        assert caught.value.exploration.outcome is Outcome.RUNNING
        assert k.state_hash == before


def test_failing_calls_are_searched_like_schedules() -> None:
    """One call after the other, as with a plan for each of them."""
    with Kernel("memremap-v6", cpus=2, on_violation="record") as k:
        k.iomem.add(PMEM, PMEM + SIZE - 1, "Persistent Memory")
        driver = k.driver("dax_pmem")
        device = driver.device(PMEM, SIZE)
        program = Program(k)
        program.task("probe").bind(driver, device)
        none = program.explore(stop_at_violation=False, check_quiescence=True)
        one = program.explore(stop_at_violation=False, check_quiescence=True, max_faults=1)
        two = program.explore(stop_at_violation=False, check_quiescence=True, max_faults=2)
        planned: set[str] = set()
        start = k.snapshot()
        for nth in range(1, none.fallible_calls + 1):
            with k.fault_injection(nth=nth):
                f = program.explore(stop_at_violation=False, check_quiescence=True)
            start.restore()
            planned |= {v.record.message for v in f.found}
        # Each of them is the same again, by its schedule alone.
        for f in one.found:
            again = program.explore(schedule=f.schedule, check_quiescence=True)
            start.restore()
            assert f.record.message in {v.message for v in again.violations}
    assert none.executions == 1
    # At least: callbacks of RCU may come earlier or later after some of them.
    assert one.executions >= 1 + none.fallible_calls
    assert two.executions > one.executions
    assert one.exhaustive and two.exhaustive
    assert {f.record.message for f in one.found} == planned


def test_what_stopped_a_search_and_how_much_is_left() -> None:
    with Kernel(cpus=5, on_violation="record") as k:
        program = ref_test(k, 3)
        cut = program.explore(stop_at_violation=False, max_executions=700)
        assert (cut.outcome, cut.bounds) == (Outcome.BOUND, Bound.EXECUTIONS)
        assert cut.estimate and 700 < cut.estimate < 25650
        timed = program.explore(stop_at_violation=False, strategy="dfs", max_seconds=0.05)
        assert timed.bounds is Bound.SECONDS
        over = program.explore(stop_at_violation=False)
        assert over.bounds is Bound.NONE and over.estimate is None
        many = Program(k)
        for task in (many.task("a"), many.task("b")):
            for number in range(300):
                task.lock(lock := k.mutex(f"m{number}")).unlock(lock)
        lost = many.explore(stop_at_violation=False, max_executions=2)
        assert Bound.LOCKS in lost.bounds


def test_a_search_that_runs_in_another_thread_is_not_taken_away() -> None:
    """Closing it meanwhile would give back memory that C still uses."""
    with Kernel(cpus=4) as k:
        program = ref_test(k, 4)
        with program.search(max_executions=200_000, stop_at_violation=False) as search:
            thread = threading.Thread(target=search.run)
            thread.start()
            while search.result.executions == 0:
                time.sleep(0)
            for use in (search.close, search.run, search.save, search.path, search.lock_orders):
                with pytest.raises(RuntimeError, match="another thread"):
                    use()
            thread.join()
            assert search.result.executions == 200_000
        search.close()
        with pytest.raises(ValueError, match="closed"):
            search.run()


def test_a_search_that_another_thread_looks_at_is_not_taken_away() -> None:
    """Whoever is inside a property when it is closed still reads what C has."""
    with Kernel(cpus=4) as k:
        search = ref_test(k, 3).search(max_executions=10)
        search.run()
        before = search.result

        def close(frame: FrameType, event: str, arg: Any) -> None:
            if frame.f_code is Search._exploration.__code__:
                thread = threading.Thread(target=search.close)
                thread.start()
                thread.join()

        tracer = sys.gettrace()
        sys.settrace(close)
        try:
            assert search.result == before
        finally:
            sys.settrace(tracer)
        with pytest.raises(ValueError, match="has been closed"):
            _ = search.result


def test_a_search_that_is_not_worthwhile_is_given_up_early() -> None:
    """By its estimate: one that would end with fewer executions goes on to its end."""
    with Kernel(cpus=5) as k:
        program = ref_test(k, 4)
        given_up = program.explore(stop_at_violation=False, worthwhile=20_000)
        assert given_up.outcome is Outcome.BOUND and given_up.bounds is Bound.EXECUTIONS
        assert given_up.executions & (given_up.executions - 1) == 0
        assert 1024 <= given_up.executions < 20_000 < (given_up.estimate or 0)
    with Kernel(cpus=5) as k:
        program = ref_test(k, 3)
        assert program.explore(stop_at_violation=False, worthwhile=20_000).executions == 2565
