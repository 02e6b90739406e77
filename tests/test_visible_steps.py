# SPDX-License-Identifier: GPL-2.0-only
"""What the machine's services read and write is seen by a search that reduces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from memremap_emu import Config, Kernel
from memremap_emu.device import Driver
from memremap_emu.errors import KernelError
from memremap_emu.exploration import Exploration
from memremap_emu.explore import Program
from memremap_emu.program import Program as ProgramData

START, SIZE = 0x148000000, 0x8000000


def causes(found: Exploration) -> set[tuple[str, str, str]]:
    return {(f.record.kind, f.record.func, str(f.record.cause)) for f in found.found}


def explored(program: Program, strategy: str) -> Exploration:
    found = program.explore(strategy=strategy, stop_at_violation=False)
    assert found.exhaustive
    return found


def agree(build: Callable[[Kernel], Program], *, states: bool = True) -> set[tuple[str, str, str]]:
    """Searches that reduce find what all schedules show; that."""
    found = {}
    for strategy in ("dfs", "dpor", "sleep", "phases"):
        with Kernel("v5.2", cpus=2, on_violation="record") as k:
            found[strategy] = explored(build(k), strategy)
    full = found["dfs"]
    for strategy, one in found.items():
        assert causes(one) == causes(full), strategy
        if states:
            assert one.final_hash == full.final_hash, strategy
    return causes(full)


def test_a_lock_is_tried_while_it_is_held_and_behind_its_release() -> None:
    """Whoever finds it taken and releases it all the same takes it away from its owner."""

    def build(k: Kernel) -> Program:
        lock, ref = k.mutex("m"), k.percpu_ref(flags=1)
        program = Program(k)
        program.task("tries").call("mutex_trylock", lock).unlock(lock)
        program.task("has it").lock(lock).get(ref).unlock(lock).get(ref)
        return program

    assert {kind for kind, _, _ in agree(build)} == {"lock-order"}


@pytest.mark.parametrize("tried", [True, False])
def test_a_lock_is_released_by_who_does_not_have_it(tried: bool) -> None:
    """Before the next one has it or after that: the lock is taken or free in the end."""

    def build(k: Kernel) -> Program:
        lock, other = k.mutex("m"), k.mutex("n")
        program = Program(k)
        program.task("wrong").unlock(lock)
        program.task("owner").lock(lock).get(k.percpu_ref(flags=1)).unlock(lock).lock(lock)
        if tried:
            program.task("tries").call("mutex_is_locked", other)
        states.add(explored(program, "dfs").final_states)
        return program

    states: set[int] = set()
    assert {kind for kind, _, _ in agree(build)} == {"lock-order"}
    assert states == {2}


def test_a_lock_is_taken_away_from_who_is_about_to_release_it() -> None:
    """Who is about to release it no longer has it then, and takes it away from the next one."""

    def build(k: Kernel) -> Program:
        a, b = k.mutex("a"), k.mutex("b")
        program = Program(k)
        program.task("has it").lock(b).unlock(b)
        program.task("takes it away").unlock(b).unlock(a)
        program.task("next").call("mutex_trylock", a).lock(b)
        return program

    assert {kind for kind, _, _ in agree(build)} == {"hang", "lock-order"}


def test_a_reader_lock_is_released_by_who_does_not_have_it() -> None:
    """Another reader need not have come after that: it could have had the lock before."""

    def build(k: Kernel) -> Program:
        lock, done = k.rwlock("rw"), k.completion("c")
        with k.task():
            lock.read_lock()
            lock.read_lock()
        program = Program(k)
        stray = program.task("does not have it").call("try_wait_for_completion", done)
        stray.call("preempt_disable").call("read_unlock", lock)
        reader = program.task("reader").call("read_lock", lock).call("read_unlock", lock)
        reader.complete(done)
        return program

    assert not agree(build)


def test_that_a_lock_is_tried_in_vain_shows_in_the_final_state() -> None:
    def build(k: Kernel) -> Program:
        lock, ref = k.mutex("m"), k.percpu_ref(flags=1)
        program = Program(k)
        program.task("has it").lock(lock).get(ref).unlock(lock).get(ref)
        program.task("tries").call("mutex_trylock", lock)
        return program

    agree(build)


@pytest.mark.parametrize(
    ("use", "free", "function"),
    [
        ("mutex_trylock", "mutex_free", "mutex_trylock"),
        ("mutex_lock", "mutex_free", "mutex_lock"),
        ("complete", "completion_free", "complete"),
        ("wait_for_completion", "completion_free", "wait_for_completion"),
    ],
)
def test_what_is_freed_before_it_is_used_is_seen_there(use: str, free: str, function: str) -> None:
    """Behind the step in which others may free it, not before."""

    def build(k: Kernel) -> Program:
        of = k.mutex("m") if "mutex" in use else k.completion()
        if "wait" in use:
            of.complete()  # type: ignore[union-attr]
        ref = k.percpu_ref(flags=1)
        program = Program(k)
        program.task("user").get(ref).call(use, of)
        program.task("owner").call(free, of)
        return program

    found = agree(build, states=False)
    assert ("use-after-free", function) in {(kind, func) for kind, func, _ in found}


@pytest.mark.parametrize("strategy", ["dpor", "phases"])
@pytest.mark.parametrize("use", ["mutex_trylock", "mutex_is_locked"])
def test_what_has_been_freed_is_used_before_that_too(use: str, strategy: str) -> None:
    """Also where nobody but the user has ever come near that word."""
    with Kernel(cpus=2, on_violation="record") as k:
        lock, ref = k.mutex("m"), k.percpu_ref(flags=1)
        program = Program(k)
        program.task("owner").get(ref).call("mutex_free", lock)
        program.task("user").get(ref).call(use, lock)
        found = program.explore(strategy=strategy, stop_at_violation=False)
        # Two orders of the gets, and two of these.
        assert (found.executions, found.violating) == (4, 2)


def listed(version: str, **more: object) -> ProgramData:
    lists = {"probe": ["request_region", "alloc", "init_ref", "memremap_pages"], **more}
    return ProgramData(version, cpus=2).driver("mine", START, SIZE, **lists)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["dpor", "phases"])
@pytest.mark.parametrize("key_first", [False, True])
def test_a_page_is_put_before_and_after_its_driver_can_be_told(
    strategy: str, key_first: bool
) -> None:
    """The key says whether idle pages are announced; that it changes is a step."""
    data = (
        listed(
            "v5.2",
            remove=["wait"],
            kill=["kill"],
            cleanup=["exit"],
            page_free=["complete"],
            type="fs_dax",
        )
        .memory(0x140000000, 0x14FFFFFFF)
        .device("pmem0", "pmem", 0x140000000, SIZE, mode="fsdax")
        .setup("bind pmem0", "bind mine", "get_page mine 0")
        .task("user", "put_page mine 0", "unbind mine")
    )
    with data.boot() as booted:
        program = booted.tasks()
        key = program.task("key").call("dev_pagemap_put_ops")
        if key_first:
            program.tasks = [key, *(t for t in program.tasks if t is not key)]
        found = explored(program, strategy)
    kinds = {f.record.kind for f in found.found}
    # Who is told ends, and what it ends is used by those that are late; who is not waits for ever.
    assert kinds >= {"hang", "warn", "use-after-free"}


@pytest.mark.parametrize("strategy", ["dpor", "phases"])
def test_a_page_that_was_given_up_is_looked_at_before_it_goes(strategy: str) -> None:
    data = (
        listed("v4.19", release=["complete"], actions={"exit": ["wait", "exit"]})
        .memory(0x140000000, 0x157FFFFFF)
        .configured(preempt_rcu=False)
        .setup("bind mine")
        .task("user", "get_dev_pagemap mine 0")
        .task("owner", "unbind mine")
    )
    found = data.explore(strategy=strategy, stop_at_violation=False)
    assert found.exhaustive
    assert "a pagemap that is alive has given up pfn" in " ".join(
        f.record.message for f in found.found
    )


def public_memory(version: str) -> ProgramData:
    device = ProgramData(version, cpus=2).device("d", "hmm_public", 0x380000000000, SIZE)
    return device.setup("bind d")


@pytest.mark.parametrize("looks_first", [False, True])
@pytest.mark.parametrize("strategy", ["dfs", "dpor", "sleep", "cache", "phases"])
def test_a_page_that_was_given_up_is_looked_at_before_it_is_put_once_more(
    strategy: str, looks_first: bool
) -> None:
    """With the put too many its count is not zero any more, and nothing is to be seen."""
    looks, puts = ("looks", "get_dev_pagemap d 0"), ("puts", "put_page d 0", "put_page d 0")
    data = public_memory("v5.0")
    for task in (looks, puts) if looks_first else (puts, looks):
        data = data.task(*task)
    found = data.explore(strategy=strategy, stop_at_violation=False)
    assert found.exhaustive
    assert {f.record.kind for f in found.found} == {"contract", "refcount"}


@pytest.mark.parametrize("version", ["memremap-v6", "v5.0"])
def test_nobody_is_let_in_between_the_last_put_of_a_page_and_a_look_at_whose_it_is(
    version: str,
) -> None:
    """No search that reduces could know that it matters who comes there."""
    data = public_memory(version).task("owner", "unbind d").task("user", "put_page d 0")
    reduced = data.explore(strategy="dpor", stop_at_violation=False)
    assert reduced.exhaustive
    sampled = data.explore(strategy="pct", max_executions=3000, stop_at_violation=False)
    assert sampled.final_states == reduced.final_states
    assert {f.record.kind for f in sampled.found} == {f.record.kind for f in reduced.found}


@pytest.mark.parametrize("strategy", ["dpor", "phases"])
def test_a_callback_is_queued_again_before_and_after_it_was_taken(strategy: str) -> None:
    config = Config(preempt_rcu=False)
    with Kernel("v5.2", cpus=2, config=config, on_violation="record") as k:
        ref, other = k.percpu_ref(), k.percpu_ref(flags=1)
        program = Program(k)
        program.task("other").get(other)
        program.task("owner").kill(ref).call("percpu_ref_init", ref, 0, 0).kill(ref)
        found = explored(program, strategy)
    assert "Double-freed CB" in " ".join(f.record.message for f in found.found)


@pytest.mark.parametrize("order", list(permutations(["owner", "user"])))
@pytest.mark.parametrize("strategy", ["dpor", "phases"])
def test_a_page_is_touched_before_and_after_its_memory_goes(
    strategy: str, order: tuple[str, ...]
) -> None:
    """Nothing that a fault does before is a step: whoever unbinds may come in between."""
    tasks = {"owner": ("unbind mem",), "user": ("percpu_ref_get r", "fault mem 0")}
    data = (
        ProgramData("memremap-v6 5/7", cpus=2)
        .device("mem", "hmm", 0, SIZE)
        .object("r", "percpu_ref")
        .setup("bind mem")
    )
    for name in order:
        data = data.task(name, *tasks[name])
    found = data.explore(strategy=strategy, stop_at_violation=False)
    assert found.exhaustive
    used = {f.record.func for f in found.found if f.record.kind == "use-after-free"}
    assert "hmm_test_fault" in used


def test_work_is_done_by_the_worker_or_by_whoever_waits_for_it() -> None:
    """Who does it first leaves the other nothing to begin with: no race tells of that."""
    data = (
        ProgramData("v5.2", cpus=2)
        .driver("deferred", 0x140000000, SIZE, probe=["fail 517"])
        .driver("mine", START, SIZE, probe=["alloc"])
        .task("owner", "bind mine")
    )
    seen = {}
    with data.boot() as booted:
        k = booted.kernel
        driver, device = booted._bound["deferred"]
        with pytest.raises(KernelError):
            driver.bind(device)
        assert not k.violations
        program = booted.tasks()
        program.tasks[0].call("device_block_probing", 1)
        for strategy in ("dpor", "phases"):
            search = program.search(strategy=strategy, stop_at_violation=False, orders=True)
            with search:
                search.run()
                assert search.result.exhaustive
                seen[strategy] = search.orders()
    # The last process is the worker's.
    for orders in seen.values():
        assert any(event.process == 10 for pair in orders for event in pair)


def test_whose_call_is_the_one_that_fails_depends_on_who_comes_first() -> None:
    """A plan counts the calls of all tasks."""
    ends = {}
    for strategy in ("dfs", "dpor", "sleep", "phases"):
        with Kernel("v5.2", cpus=2, on_violation="record") as k:
            program = Program(k)
            for name in ("one", "other"):
                program.task(name).call("radix_tree_insert", k.radix_tree(), 70, 0, 0x2000)
            with k.fault_injection(nth=1):
                ends[strategy] = explored(program, strategy).final_states
    assert ends == {"dfs": 2, "dpor": 2, "sleep": 2, "phases": 2}


def test_a_completion_is_made_anew_before_and_after_it_is_completed() -> None:
    """Not under its lock: that too is a step."""

    def build(k: Kernel) -> Program:
        done, lock = k.completion("c"), k.mutex("m")
        program = Program(k)
        program.task("completes").complete(done)
        program.task("makes anew").lock(lock).call("init_completion", done).unlock(lock)
        program.task("waits").wait(done)
        return program

    assert {kind for kind, _, _ in agree(build)} == {"hang"}


def races(cpus: int, reader: list[str], writer: list[str]) -> dict[str, bool]:
    """By strategy: is the object that both use freed while the reader may be at it?"""
    found = {}
    for strategy in ("dfs", "dpor", "sleep", "phases"):
        with Kernel(cpus=cpus, on_violation="record") as k:
            of = {"object": k.kmalloc(16), "lock": k.mutex("m"), "done": k.completion("c")}
            program = Program(k)
            for name, calls in (("reader", reader), ("writer", writer)):
                task = program.task(name)
                for call in calls:
                    operation, *words = call.split()
                    task.call(operation, *[of[w] if w in of else int(w) for w in words])
            kinds = {kind for kind, _, _ in causes(explored(program, strategy))}
        assert kinds <= {"data-race", "use-after-free"}
        found[strategy] = bool(kinds)
    return found


READS = "memory_access object 0 0 0"
LOCKS = ["mutex_lock lock", "mutex_unlock lock"]


@pytest.mark.parametrize("before", [[], ["complete done"]])
def test_a_section_in_which_nothing_visible_is_done_comes_before_nothing(before: list[str]) -> None:
    """It may begin behind the grace period as well, and no step tells the two apart."""
    reader = [*LOCKS, "preempt_disable", READS, "preempt_enable"]
    found = races(2, reader, [*before, "synchronize_sched", "kfree object"])
    assert found == dict.fromkeys(found, True)


def test_a_grace_period_on_one_cpu_waits_for_who_was_left_in_a_section() -> None:
    """As if the processor were not taken from it there; one that begins later is not waited for."""
    section = ["preempt_disable", "complete done", "complete done", READS, "preempt_enable"]
    frees = ["synchronize_sched", "kfree object"]
    found = races(1, section, ["wait_for_completion done", *frees])
    assert found == dict.fromkeys(found, False)
    found = races(1, section, [*LOCKS, *frees])
    assert found == dict.fromkeys(found, True)


def driver_without_callbacks(k: Kernel) -> Driver:
    """One of the platform bus that has nothing to do: what is explored calls no Python."""
    driver = Driver(k, k._native.call("driver_new", k._native.intern("d"), 0, 0))
    driver.register()
    return driver


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "sleep", "phases"])
def test_a_driver_is_set_without_a_probe_before_and_after_somebody_asks_for_it(
    strategy: str,
) -> None:
    """A write to the bind file asks without the lock of the device: it may bind it once more."""
    with Kernel(cpus=2, on_violation="record") as k:
        driver = driver_without_callbacks(k)
        k.autoprobe(False)
        device = k.device("d.0")
        program = Program(k)
        program.task("binds").bind(driver, device)
        by_hand = program.task("by hand").call("synchronize_rcu")
        by_hand.call("device_bind_driver", device, driver)
        assert explored(program, strategy).final_states == 2


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "sleep", "phases"])
def test_the_data_of_a_device_are_set_while_its_driver_goes(strategy: str) -> None:
    """They are a plain pointer, and nothing orders the two."""
    with Kernel(cpus=2, on_violation="record") as k:
        driver, lock = driver_without_callbacks(k), k.mutex("m")
        device = k.device("d.0")
        program = Program(k)
        program.task("unbinds").unbind(driver, device)
        program.task("sets").lock(lock).call("dev_set_drvdata", device, 5).unlock(lock)
        found = causes(explored(program, strategy))
    assert {kind for kind, _, _ in found} == {"data-race"}


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "sleep", "phases"])
def test_a_module_is_loaded_while_another_task_is_about_to(strategy: str) -> None:
    """It cannot be loaded twice: under some schedules the program makes no sense, which is told."""
    with Kernel(cpus=2) as k:
        module, lock = k.module("m"), k.mutex("m")
        program = Program(k)
        program.task("second").lock(lock).call("load_module", module, 0).unlock(lock)
        program.task("first").call("load_module", module, 0)
        with pytest.raises(ValueError, match="cannot be explored"):
            program.explore(strategy=strategy)
