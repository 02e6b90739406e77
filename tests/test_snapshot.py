# SPDX-License-Identifier: GPL-2.0-only
"""Going back to a snapshot brings back every byte, whatever was written in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from memremap_emu import Blocked, Kernel, KernelError, TaskDied
from memremap_emu.kernel import Snapshot

BASE, SIZE = 1 << 45, 1 << 30
PFN = (BASE + SIZE // 2) >> 12


def first_difference(k: Kernel, snapshot: Snapshot) -> int:
    """Offset of the first byte of the arena that differs from the snapshot, -1 none."""
    native = k._native
    out = native.ffi.new("int64_t *")
    native.check(native.lib.emu_snapshot_differs(native.m, snapshot._number, out))
    return int(out[0])


@pytest.fixture(params=[False, True], ids=["plain", "checked"])
def k(request: pytest.FixtureRequest):
    with Kernel(checked=request.param, on_violation="record") as kernel:
        yield kernel


def unbind(k: Kernel) -> Callable[[], None]:
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, SIZE)
    pmem.bind(device)
    return lambda: pmem.unbind(device)


def bind_again(k: Kernel) -> Callable[[], None]:
    pmem = k.driver("pmem", mode="fsdax", altmap=True)
    device = pmem.device(BASE, SIZE)
    pmem.bind(device)

    def run() -> None:
        pmem.unbind(device)
        pmem.bind(device)

    return run


def failing_probes(k: Kernel) -> Callable[[], None]:
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, SIZE)

    def run() -> None:
        for nth in range(1, 40):
            with k.fault_injection(nth=nth):
                try:
                    pmem.bind(device)
                except KernelError:
                    continue
                pmem.unbind(device)

    return run


def pages(k: Kernel) -> Callable[[], None]:
    unbind(k)

    def run() -> None:
        for pfn in (PFN, PFN + 1, PFN + 512, PFN, PFN + 2):
            k.page(pfn).get()
        k.page(PFN).active = True
        k.page(PFN + 7).mapping = 123
        k.page(PFN + 512).put()

    return run


def references_and_callbacks(k: Kernel) -> Callable[[], None]:
    ref = k.percpu_ref()
    calls: list[int] = []

    def run() -> None:
        ref.get()
        ref.kill()
        ref.put()
        k.call_rcu(lambda: calls.append(1))
        k.rcu_barrier()
        k.printk("a line of the log")

    return run


def locks_and_waits(k: Kernel) -> Callable[[], None]:
    lock, done = k.mutex(), k.completion()

    def run() -> None:
        with k.task():
            lock.lock()
        with suppress(Blocked):
            lock.lock()
        with suppress(Blocked):
            done.wait()
        done.complete()

    return run


def warnings(k: Kernel) -> Callable[[], None]:
    ref = k.percpu_ref()

    def run() -> None:
        ref.kill()
        ref.kill()
        k.clear_warn_once()
        with suppress(TaskDied):  # there is no such page: VM_BUG_ON_PAGE()
            k.page(PFN).get()

    return run


def parked_unbind_goes_on(k: Kernel) -> Callable[[], None]:
    """Unbind waits in the snapshot, and gives the pages back after it."""
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, SIZE)
    pmem.bind(device)
    ref = k.page(PFN).pgmap.ref
    ref.get()
    with suppress(Blocked):
        pmem.unbind(device)
    assert any(task.waits_for for task in k.tasks)
    return ref.put


def contexts(k: Kernel) -> Callable[[], None]:
    """Tasks with sections open, before and after."""
    ref, reader = k.percpu_ref(), k.task(cpu=1)
    with reader:
        k.rcu_read_lock()

    def run() -> None:
        with reader:
            k.preempt_disable()
            ref.get()
            k.rcu_read_unlock()
            k.preempt_enable()
        with k.task(cpu=2):
            k.rcu_read_lock()
            ref.get()

    return run


def counters_of_nobody(k: Kernel) -> Callable[[], None]:
    """References on a count that is all zeros go to a sink."""
    zeroed = k._native.call("percpu_ref_alloc", 0)

    def run() -> None:
        k._native.call("percpu_ref_get", zeroed)

    return run


def page_in_hand(k: Kernel) -> Callable[[], None]:
    """The page that was touched last is not looked up again."""
    unbind(k)
    page = k.page(PFN)
    page.get()
    return page.get


def memory(k: Kernel) -> Callable[[], None]:
    allocated = k.kmalloc(200)

    def run() -> None:
        for offset in (0, 63, 64, 199):
            allocated.write(offset, 1)

    return run


PROGRAMS = [
    page_in_hand,
    memory,
    parked_unbind_goes_on,
    contexts,
    counters_of_nobody,
    unbind,
    bind_again,
    failing_probes,
    pages,
    references_and_callbacks,
    locks_and_waits,
    warnings,
]


@pytest.mark.parametrize("prepare", PROGRAMS, ids=lambda f: f.__name__)
def test_restore_brings_back_every_byte_of_arena_and_shadow(
    k: Kernel, prepare: Callable[[Kernel], Callable[[], None]]
) -> None:
    run = prepare(k)
    snapshot = k.snapshot()
    assert first_difference(k, snapshot) == -1
    for _ in range(3):
        run()
        assert first_difference(k, snapshot) >= 0
        snapshot.restore()
        assert first_difference(k, snapshot) == -1


def test_restore_goes_back_and_forth_between_snapshots(k: Kernel) -> None:
    run = pages(k)
    first = k.snapshot()
    run()
    second = k.snapshot()
    shutdown = k.snapshot()
    for snapshot in random.Random(1).choices([first, second, shutdown], k=40):
        snapshot.restore()
        assert first_difference(k, snapshot) == -1
        run()


def test_restore_is_complete_after_a_newer_snapshot_was_dropped(k: Kernel) -> None:
    run = pages(k)
    first = k.snapshot()
    run()
    second = k.snapshot()
    second.drop()
    run()
    third = k.snapshot()
    first.restore()
    assert first_difference(k, first) == -1
    third.restore()
    assert first_difference(k, third) == -1


def test_equal_programs_from_one_snapshot_reach_equal_states(k: Kernel) -> None:
    run = failing_probes(k)
    snapshot = k.snapshot()
    hashes = set()
    for _ in range(3):
        snapshot.restore()
        run()
        hashes.add(k.state_hash)
    assert len(hashes) == 1


def look(k: Kernel) -> None:
    assert k.stats.page_runs
    assert k.state_hash


def plan_a_failure(k: Kernel) -> None:
    k.fault_injection("kmalloc", nth=7).__enter__()


@pytest.mark.parametrize("between", [look, plan_a_failure])
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_restore_brings_back_what_changed_without_a_call(
    checked: bool, between: Callable[[Kernel], None]
) -> None:
    """Looking at a machine puts the page back that was touched last, a plan is a change too."""
    with Kernel(checked=checked) as k:
        k.iomem.add(0x100000000, 0x107FFFFFF, "Persistent Memory")
        driver = k.driver("dax_pmem")
        driver.bind(driver.device(0x100000000, 1 << 27))
        before = k.snapshot()
        k.page(0x104000).get()
        between(k)
        before.restore()
        assert first_difference(k, before) == -1


def test_a_state_has_one_hash_whatever_snapshot_its_objects_are_compared_with(k: Kernel) -> None:
    """Hashes of objects are kept with the snapshot, of those that nobody has written since."""
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, SIZE)

    def states() -> list[int]:
        found = [k.state_hash]
        for step in (pmem.bind, pmem.unbind, pmem.bind):
            step(device)
            found.append(k.state_hash)
            k.page(PFN).valid  # noqa: B018
        return found

    before = k.snapshot()
    expected = states()  # filled in while objects are being written
    before.restore()
    assert states() == expected
    before.restore()
    between = k.snapshot()
    pmem.bind(device)
    bound = k.snapshot()
    assert k.state_hash == expected[1]
    between.restore()
    assert states() == expected
    bound.restore()
    assert k.state_hash == expected[1]
    bound.drop()  # nothing to compare with
    assert k.state_hash == expected[1]
    before.restore()
    assert states() == expected
