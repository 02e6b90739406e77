# SPDX-License-Identifier: GPL-2.0-only
"""Searches shared by several processes: the result is that of one process."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from memremap_emu import parallel
from memremap_emu.booted import Booted
from memremap_emu.errors import KernelError
from memremap_emu.exploration import Exploration
from memremap_emu.parallel import SharedSearch
from memremap_emu.program import Program
from memremap_emu.workers import Workers

START, SIZE = 0x140000000, 1 << 27

OPERATIONS = (
    "percpu_ref_get ref",
    "percpu_ref_put ref",
    "percpu_ref_kill ref",
    "percpu_ref_tryget_live ref",
    "complete done",
    "wait_for_completion done",
    "mutex_lock a, mutex_lock b, mutex_unlock b, mutex_unlock a",
    "mutex_lock b, mutex_lock a, mutex_unlock a, mutex_unlock b",
    "wait_for_completion go, mutex_lock a, mutex_lock b, mutex_unlock b, mutex_unlock a",
    "wait_for_completion go, mutex_lock b, mutex_lock a, mutex_unlock a, mutex_unlock b",
    "spin_lock spin, spin_unlock spin",
    "ref_test_use test",
    "ref_test_kill test",
)


def generated_program(seed: int) -> tuple[Program, dict[str, Any]]:
    """Two or three tasks that meet on refs, a completion and locks; and how to search them."""
    draw = random.Random(seed)
    program = (
        Program("memremap-v6", cpus=3)
        .object("ref", "percpu_ref")
        .object("test", "ref_test")
        .object("done", "completion")
        .object("go", "completion")
        .setup("complete go")
        .object("a", "mutex")
        .object("b", "mutex")
        .object("spin", "spinlock")
    )
    for number in range(draw.randint(2, 3)):
        words = ", ".join(draw.choice(OPERATIONS) for _ in range(draw.randint(1, 2)))
        program = program.task(f"t{number}", *words.split(", "))
    return program, {
        "stop_at_violation": draw.random() < 0.2,
        "check_quiescence": draw.random() < 0.5,
        "strategy": draw.choice(["dpor", "dpor", "sleep", "dfs", "preemptions"]),
        "max_executions": draw.choice([7, 40, 150, 400, 600]),
    }


def race(version: str) -> Program:
    """The final put of a page against unbind."""
    return (
        Program(version)
        .memory(START, START + SIZE - 1)
        .device("pmem0", "dax_pmem", START, SIZE)
        .setup("bind pmem0", "get_page pmem0 0")
        .task("unbind", "unbind pmem0")
        .task("user", "put_page pmem0 0")
    )


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Three, that come back after each execution: as many items as there can be."""
    monkeypatch.setattr(parallel, "SLICE", 1e-9)
    monkeypatch.setattr(parallel, "LONG_SLICE", 1e-9)
    monkeypatch.setattr(parallel, "GRAIN", 1e-9)
    with ThreadPoolExecutor(3) as executor:
        yield Workers(executor, 3)


def test_orders_of_locks_are_put_together_from_all_items(threads: Workers) -> None:
    """A completion lets one of two tasks go on, and each has one half of the cycle."""
    program = generated_program(0)[0]
    program = replace(program, tasks=())
    for number, operations in enumerate(OPERATIONS[8:10]):
        program = program.task(f"t{number}", *operations.split(", "))
    options: Any = {"stop_at_violation": False, "strategy": "dfs"}
    search = SharedSearch(program, threads, **options)
    search.run()
    assert search.result == program.explore(**options)
    assert any("in several executions" in f.record.message for f in search.result.found)
    assert search.statistics.used


@pytest.mark.parametrize("part", range(4))
def test_a_shared_search_finds_what_one_process_finds(threads: Workers, part: int) -> None:
    """Counts, violations with their schedules, final states, bounds, the estimate: all of it."""
    used = 0
    for seed in range(part * 75, part * 75 + 75):
        program, options = generated_program(seed)
        search = SharedSearch(program, threads, **options)
        search.run()
        assert search.result == program.explore(**options), f"generated_program({seed})"
        used += search.statistics.used
    assert used > 500


@pytest.mark.parametrize(
    "options",
    [
        {"max_executions": 400},
        {"max_executions": 500, "max_faults": 1},
        {"max_executions": 300, "max_faults": 2, "strategy": "preemptions"},
        {"max_executions": 300, "strategy": "dfs"},
        {"stop_at_success": True},
        {"stop_at_violation": True},
    ],
)
@pytest.mark.parametrize("version", ["memremap-v6", "v5.2"])
def test_an_unbind_against_a_user_is_shared(
    threads: Workers, version: str, options: dict[str, Any]
) -> None:
    program = race(version)
    given: Any = {"stop_at_violation": False, "check_quiescence": True, **options}
    search = SharedSearch(program, threads, **given)
    search.run()
    assert search.result == program.explore(**given)


def smallest_protocol(users: int) -> Program:
    """An owner kills a count while users come and go; see csrc/drivers/test/ref.c."""
    program = Program("v5.2", cpus=users + 1).object("ref", "ref_test")
    program = program.task("owner", "ref_test_kill ref")
    for number in range(users):
        program = program.task(f"user{number}", "ref_test_use ref")
    return program


def test_a_search_that_is_awaited_comes_back() -> None:
    """The byte is read after each execution; how long the least is, is asked of the clock."""
    options: Any = {"stop_at_violation": False}
    hurry = bytearray(1)
    with smallest_protocol(3).boot() as booted, booted.search(**options) as search:
        hurry[0] = 1
        search.run(hurry=hurry)
        assert search.running and search.result.executions == 1
        search.run(hurry=hurry, least=3600.0)
        assert search.result == smallest_protocol(3).explore(**options)
    hurry[0] = 0
    with smallest_protocol(3).boot() as booted, booted.search(**options) as search:
        search.run(hurry=hurry)
        assert not search.running


@pytest.mark.parametrize("worthwhile", [1500, 2500, 10_000])
def test_whether_it_is_worthwhile_is_asked_at_the_same_executions(
    threads: Workers, worthwhile: int
) -> None:
    options: Any = {"stop_at_violation": False, "worthwhile": worthwhile}
    search = SharedSearch(smallest_protocol(3), threads, **options)
    search.run()
    assert search.result == smallest_protocol(3).explore(**options)
    assert search.statistics.used > 100


def two_binds() -> Program:
    """With 640 executions, 2,080 with one failing call and 3,880 with two."""
    return (
        Program("memremap-v6")
        .memory(START, START + SIZE - 1)
        .driver("mine", START, SIZE, probe=["request_region", "kzalloc 64"])
        .driver("other", START + SIZE, SIZE, probe=["kzalloc 64"])
        .task("one", "bind mine")
        .task("two", "bind other")
    )


def test_failing_calls_are_searched_to_the_end(threads: Workers) -> None:
    options: Any = {"stop_at_violation": False, "check_quiescence": True, "max_faults": 1}
    search = SharedSearch(two_binds(), threads, **options)
    search.run()
    assert search.result.exhaustive
    assert search.result == two_binds().explore(**options)
    assert search.statistics.used > 100


def run_with_items(booted: Booted, options: Any, draw: random.Random) -> tuple[Exploration, int]:
    """A search that takes over items which have run for any time; how many there were."""
    items: dict[parallel.Key, parallel.Position] = {}
    used = 0
    search = booted.search(**options)
    while search.running:
        search.run(1e-9, pause=draw.choice([10, 4096]))
        if not search.running:
            break
        here = search.save()
        for choice in parallel.choices(here):
            if choice.key not in items and draw.random() < 0.4:
                items[choice.key] = parallel.make_item(here, choice)
        for key, item in items.items():
            if item["steps"] and draw.random() < 0.4:
                with booted.search(**options) as other:
                    other.load(item)
                    for _ in range(draw.choice([1, 3, 30])):
                        other.run(1e-9)
                    items[key] = other.save()
        # What follows is the same where it has not run before.
        if draw.random() < 0.5:
            search.close()
            search = booted.search(**options)
            search.load(here)
        while parallel.stands_at(here) and (key := parallel.choices(here)[0].key) in items:
            item = items.pop(key)
            search.take_over(item)
            used += 1
            if not item["steps"]:
                search.run(1e-9, pause=4096)
            here = search.save()
    with search:
        return search.result, used


@pytest.mark.parametrize("faults", [0, 1, 2])
@pytest.mark.parametrize("program", [two_binds(), race("memremap-v6")])
def test_items_are_taken_over_at_any_time(program: Program, faults: int) -> None:
    options: Any = {"stop_at_violation": False, "check_quiescence": True, "max_faults": faults}
    with program.boot() as booted:
        if program == race("memremap-v6"):
            options["max_executions"] = 10_000
        found, used = run_with_items(booted, options, random.Random(faults))
    assert found == program.explore(**options)
    assert used > 20


def test_an_item_tells_that_the_worker_is_to_be_tried_before_it() -> None:
    """Whoever does what the worker is about to take leaves it nothing to race with."""
    data = Program("v5.2", cpus=3).driver("deferred", START, SIZE, probe=["fail 517"])
    for name in ("unblocks", "locks", "blocks"):
        data = data.task(name)
    with data.boot() as booted:
        k = booted.kernel
        driver, device = booted._bound["deferred"]
        with pytest.raises(KernelError):
            driver.bind(device)
        lock, done = k.mutex("m"), k.completion("c")
        program = booted.tasks()
        unblocks, locks, blocks = program.tasks
        unblocks.call("device_block_probing", 0).call("complete", done)
        locks.lock(lock).unlock(lock)
        blocks.call("device_block_probing", 1).call("complete", done)
        with program.search(stop_at_violation=False) as whole:
            whole.run()
            found = whole.result
        for seed in range(40):
            draw = random.Random(seed)
            with program.search(stop_at_violation=False) as search:
                while search.running:
                    search.run(1e-9, pause=4096)
                    while search.running and parallel.stands_at(here := search.save()):
                        if draw.random() < 0.5:
                            break
                        with program.search(stop_at_violation=False) as other:
                            other.load(parallel.make_item(here, parallel.choices(here)[0]))
                            other.run()
                            search.take_over(other.save())
                        search.run(1e-9, pause=4096)
                assert search.result == found, seed


def test_what_is_saved_goes_on_in_one_process_and_the_other_way_round(threads: Workers) -> None:
    program = race("v5.2")
    options: Any = {"stop_at_violation": False}
    whole = program.explore(**options)
    shared = SharedSearch(program, threads, **options)
    with pytest.raises(ValueError, match="not come anywhere"):
        shared.save()
    while shared.statistics.slices < 100:
        shared.run(1e-9)
    assert 0 < shared.result.executions < whole.executions
    with program.boot() as booted, booted.search(**options) as search:
        search.load(json.loads(json.dumps(shared.save())))
        search.run(1e-9)
        saved = search.save()
        search.run()
        assert replace(search.result, estimate=None) == whole
    again = SharedSearch(program, threads, **options)
    again.load(saved)
    again.run()
    assert replace(again.result, estimate=None) == whole
    with pytest.raises(ValueError, match="another program"):
        other = SharedSearch(race("memremap-v6"), threads, **options)
        other.load(saved)
        other.run()


def test_an_item_is_taken_over_where_it_belongs_only() -> None:
    program = race("v5.2")
    options: Any = {"stop_at_violation": False}
    with program.boot() as booted, booted.search(**options) as search:
        search.run(1e-9)
        while not parallel.choices(search.save()):
            search.run(1e-9)
        here = search.save()
        later = parallel.choices(here)[-1]
        item = parallel.make_item(here, later)
        with booted.search(**options) as other:
            other.load(item)
            other.run()
            found = other.save()
        assert not found["steps"] and found["counts"]["executions"]
        # It is not what the search does next, ...
        with pytest.raises(ValueError, match="does not fit"):
            search.take_over(found)
        search.run(pause=later.step + 1)
        while search.running and parallel.choices(search.save())[0].key != later.key:
            search.run(pause=later.step + 1)
        before = search.result
        # ... and now it is, but that is no item; and this one goes up to a bound, or beyond it.
        with pytest.raises(ValueError, match="does not fit"):
            search.take_over(here)
        most = before.executions + found["counts"]["executions"]
        for bound in (most - 1, most):
            with booted.search(**options, max_executions=bound) as bounded:
                bounded.load(search.save())
                with pytest.raises(ValueError, match="does not fit"):
                    bounded.take_over(found)
        search.take_over(found)
        search.run(1e-9)
        assert search.result.executions >= before.executions + found["counts"]["executions"]
        search.run()
        assert replace(search.result, estimate=None) == program.explore(**options)
        for damage in ({"given": 9999}, {"races": [[9999, 0, 0]]}, {"races": [[1]]}, {"steps": []}):
            with booted.search(**options) as fresh, pytest.raises(ValueError, match="damaged"):
                fresh.load(item | damage)


@pytest.mark.parametrize("strategy", ["cache", "pct", "random", "guided"])
def test_what_has_no_position_is_not_shared(threads: Workers, strategy: str) -> None:
    with pytest.raises(ValueError, match=f"a search with {strategy} has no position"):
        SharedSearch(race("v5.2"), threads, strategy=strategy, max_executions=10)
