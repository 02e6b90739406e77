# SPDX-License-Identifier: GPL-2.0-only
"""Data races: accesses that no lock, memory order or grace period orders."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memremap_emu import Config, Kernel
from memremap_emu.exploration import Bound, Exploration
from memremap_emu.explore import Program, ProgramTask
from memremap_emu.program import Program as ProgramData
from memremap_emu.radix_tree import RadixTree
from memremap_emu.sync import Mutex

PMEM = 0x140000000
SIZE = 1 << 27

Body = Callable[[ProgramTask, RadixTree, Mutex], object]


def insert(index: int) -> Body:
    return lambda task, tree, lock: task.call("radix_tree_insert", tree, 0, index, 0x2000)


def insert_locked(index: int) -> Body:
    def body(task: ProgramTask, tree: RadixTree, lock: Mutex) -> None:
        task.lock(lock).call("radix_tree_insert", tree, 0, index, 0x2000).unlock(lock)

    return body


def lookup(index: int) -> Body:
    return lambda task, tree, lock: task.call("radix_tree_lookup", tree, index)


def explore_tree(one: Body, two: Body) -> Exploration:
    """Two tasks on a tree of two entries, with a lock that they may take."""
    with Kernel("v4.19", cpus=2, on_violation="record") as k:
        tree, lock = k.radix_tree(), k.mutex("tree")
        tree.insert(5, 0x1000)
        tree.insert(9, 0x1000)
        program = Program(k)
        one(program.task("one"), tree, lock)
        two(program.task("two"), tree, lock)
        return program.explore(stop_at_violation=False)


def test_two_writers_without_a_lock_race() -> None:
    found = explore_tree(insert(1), insert(2))
    assert found.exhaustive
    assert found.violating
    assert {f.record.kind for f in found.found} == {"data-race"}


def test_a_race_names_both_accesses_tasks_and_the_object() -> None:
    messages = [f.record.message for f in explore_tree(insert(1), insert(2)).found]
    assert (
        "write of 1 bytes at +0x2 of an object allocated in radix_tree_node_alloc() "
        "in __radix_tree_insert() [two] and write in __radix_tree_insert() [one]"
    ) in messages


def test_a_lock_orders_if_both_take_it() -> None:
    both = explore_tree(insert_locked(1), insert_locked(2))
    assert both.exhaustive
    assert not both.violating
    assert explore_tree(insert_locked(1), insert(2)).violating


@pytest.mark.parametrize("index", [1, 5])
def test_a_lookup_depends_on_the_pointer_that_an_insertion_publishes(index: int) -> None:
    found = explore_tree(insert(1), lookup(index))
    assert found.exhaustive
    assert not found.violating


@pytest.mark.parametrize("driver", ["pmem", "dax_pmem"])
@pytest.mark.parametrize("version", ["v4.19", "memremap-v6", "v5.2"])
def test_teardown_against_a_held_page_races_with_page_free_alone(version: str, driver: str) -> None:
    config = Config(preempt_rcu=False)
    with Kernel(version, cpus=2, config=config, on_violation="record") as k:
        k.iomem.add(PMEM, PMEM + SIZE - 1, "Persistent Memory")
        drv = k.driver(driver) if driver == "dax_pmem" else k.driver(driver, mode="memory")
        dev = drv.device(PMEM, SIZE)
        drv.bind(dev)
        page = k.page((PMEM >> 12) + 0x1000)
        page.get()
        program = Program(k)
        program.task("unbind").unbind(drv, dev)
        program.task("user").put_page(page)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    races = [f.record.message for f in found.found if f.record.kind == "data-race"]
    # The put that leaves one reference calls page_free() with no hold on the pagemap.
    assert len(races) == (driver == "pmem")
    assert all("and read in __put_devmap_managed_page() [user]" in race for race in races)


def test_each_schedule_run_twice_gives_the_same_state_and_the_same_races() -> None:
    with Kernel("v4.19", cpus=2, on_violation="record") as k:
        tree = k.radix_tree()
        tree.insert(5, 0x1000)
        program = Program(k)
        program.task("one").call("radix_tree_insert", tree, 0, 1, 0x2000)
        program.task("two").call("radix_tree_insert", tree, 0, 2, 0x2000)
        start = k.snapshot()
        schedules = [f.schedule for f in program.explore(stop_at_violation=False).found]
        assert len(set(schedules)) > 1
        for schedule in schedules:
            runs = []
            for _ in range(2):
                start.restore()
                found = program.explore(schedule=schedule)
                runs.append((k.state_hash, found.schedule, [str(v) for v in found.violations]))
            assert runs[0] == runs[1]
            assert runs[0][2]


def freed_behind_a_completion(program: ProgramData, before: list[str], number: int) -> ProgramData:
    """A ref is freed when its release, a callback, has said so; much comes before that."""
    program = program.object("done", "completion").object("ref", "percpu_ref")
    program = program.setup("percpu_ref_complete_on_release ref done")
    program = program.task("kills", *before * number, "percpu_ref_kill ref")
    return program.task("frees", "wait_for_completion done", "percpu_ref_free ref")


def test_what_a_callback_orders_is_no_race_however_many_ran_before() -> None:
    program = ProgramData(cpus=2)
    kills = []
    for number in range(40):
        program = program.object(f"other{number}", "percpu_ref")
        kills += [f"percpu_ref_kill other{number}", "rcu_barrier"]
    program = freed_behind_a_completion(program, kills, 1)
    found = program.explore(stop_at_violation=False, max_executions=50)
    assert found.executions == 50 and not found.found
    assert found.bounds is Bound.EXECUTIONS


def test_what_a_callback_orders_is_no_race_however_many_lives_a_device_had() -> None:
    program = ProgramData("v5.2", cpus=2).memory(PMEM, PMEM + SIZE - 1)
    program = program.device("d", "dax_pmem", PMEM, SIZE)
    program = freed_behind_a_completion(program, ["bind d", "unbind d"], 9)
    found = program.explore(stop_at_violation=False, max_executions=50)
    assert found.executions == 50 and not found.found
    assert found.bounds is Bound.EXECUTIONS


def test_a_section_that_a_grace_period_did_not_wait_for_races_with_what_comes_behind_it() -> None:
    """Also where it is over by the end of the grace period, which another section has put off."""
    with Kernel(cpus=3, on_violation="record") as k:
        memory, ref = k.kmalloc(8), k.percpu_ref(flags=1)
        program = Program(k)
        program.task("owner").call("synchronize_rcu").call("kfree", memory)
        early = program.task("early").call("rcu_read_lock").call("percpu_ref_get", ref)
        early.call("rcu_read_unlock")
        late = program.task("late").call("rcu_read_lock").call("memory_access", memory, 0, 8, 0)
        late.call("rcu_read_unlock")
        found = program.explore(strategy="dfs", stop_at_violation=False)
    # In the other thirteen it begins before anybody asks for a grace period.
    assert (found.executions, found.violating) == (44, 31)


@pytest.mark.parametrize("strategy", ["dpor", "sleep", "phases"])
def test_equivalent_schedules_have_the_same_races(strategy: str) -> None:
    """Wherever a callback runs among steps that have nothing to do with it."""
    with Kernel("v5.2", cpus=2, on_violation="record") as k:
        k.iomem.add(0x380000000000, 0x380000000000 + SIZE - 1, "0000:80:00.0")
        p2pdma = k.driver("p2pdma")
        device = p2pdma.device(0x380000000000, SIZE)
        p2pdma.bind(device)
        program = Program(k)
        program.task("unbinds").unbind(p2pdma.driver, device)
        program.task("asks").call("dev_get_drvdata", device).unbind(p2pdma.driver, device)
        found = program.explore(strategy=strategy, stop_at_violation=False)
    assert found.exhaustive
    assert {f.record.kind: f.executions for f in found.found} == {"data-race": 196}
