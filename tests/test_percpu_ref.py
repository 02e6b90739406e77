# SPDX-License-Identifier: GPL-2.0-only
"""percpu_ref as v4.19 has it: states, transitions, who calls release and where.

Grace periods are manual: they end where ``rcu_barrier_sched()`` stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from memremap_emu import Blocked, Kernel, KernelError
from memremap_emu.objects import (
    BIAS,
    PERCPU_REF_INIT_ATOMIC,
    PERCPU_REF_INIT_DEAD,
    PerCpuRef,
)

ATOMIC, DEAD = PERCPU_REF_INIT_ATOMIC, PERCPU_REF_INIT_DEAD


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(rcu="manual", cpus=4, checked=request.param) as kernel:
        yield kernel


def state(ref: PerCpuRef) -> tuple[bool, bool, bool, int]:
    """atomic, dead, switching, count."""
    return ref.atomic, ref.dead, ref.switching, ref.count


@pytest.mark.parametrize(
    ("flags", "expected", "sticky"),
    [
        (0, (False, False, False, BIAS + 1), False),
        (ATOMIC, (True, False, False, 1), True),
        (DEAD, (True, True, False, 0), False),
        (ATOMIC | DEAD, (True, True, False, 0), True),
    ],
)
def test_init_flags_decide_mode_count_and_stickiness(
    k: Kernel, flags: int, expected: tuple[bool, bool, bool, int], sticky: bool
) -> None:
    released: list[PerCpuRef] = []
    ref = k.percpu_ref(released.append, flags)
    assert state(ref) == expected
    assert ref.force_atomic is sticky
    assert ref.is_dying is bool(flags & DEAD)
    assert ref.is_zero is bool(flags & DEAD)
    assert released == [], "init dead does not call release"


def test_init_without_memory_is_enomem_and_touches_only_the_word(k: Kernel) -> None:
    with k.fault_injection("percpu_ref_init") as fault, pytest.raises(KernelError) as error:
        k.percpu_ref(None)
    assert fault.hits == 1
    assert error.value.errno == 12
    k.assert_quiescent()


def test_percpu_get_and_put_touch_the_counter_of_their_cpu_only(k: Kernel) -> None:
    ref = k.percpu_ref(None)
    with k.task(cpu=0):
        ref.get(3)
    with k.task(cpu=3):
        ref.put(2)
    assert ref.count == BIAS + 1
    assert ref.percpu_sum == 1
    assert ref.logical == 2


def test_percpu_put_never_releases(k: Kernel) -> None:
    released: list[PerCpuRef] = []
    ref = k.percpu_ref(released.append)
    ref.get()
    ref.put()
    assert released == [] and not ref.is_zero


def test_atomic_put_to_zero_releases_in_the_callers_stack_inside_a_read_section(
    k: Kernel,
) -> None:
    seen: list[dict[str, Any]] = []
    ref = k.percpu_ref(lambda ref: seen.append(k.context), ATOMIC)
    ref.put()
    assert len(seen) == 1
    assert seen[0]["rcu_sched_held"] and not seen[0]["in_softirq"] and not seen[0]["irqs_off"]
    assert ref.is_zero and not ref.dead


def test_tryget_works_on_a_dying_ref_until_it_is_zero_and_tryget_live_does_not(
    k: Kernel,
) -> None:
    ref = k.percpu_ref(None, ATOMIC)
    ref.get()
    ref.kill()
    assert ref.tryget() and ref.count == 2
    assert not ref.tryget_live() and ref.count == 2
    ref.put(2)
    assert not ref.tryget() and ref.count == 0


def test_tryget_succeeds_during_a_switch_even_without_users(k: Kernel) -> None:
    ref = k.percpu_ref(None)
    ref.kill()
    assert ref.tryget() and not ref.tryget_live()
    ref.put()


def test_kill_of_a_percpu_ref_goes_through_biased_counts(k: Kernel) -> None:
    released: list[PerCpuRef] = []
    ref = k.percpu_ref(released.append)
    ref.get(2)
    ref.kill()
    assert state(ref) == (True, True, True, BIAS + 1)
    assert not ref.is_zero
    k.rcu_barrier_sched()
    assert state(ref) == (True, True, False, 2)
    ref.put()
    assert released == []
    ref.put()
    assert released == [ref] and state(ref) == (True, True, False, 0)


def test_kill_without_users_is_not_zero_before_the_grace_period_ends(k: Kernel) -> None:
    released: list[PerCpuRef] = []
    ref = k.percpu_ref(released.append)
    ref.kill()
    assert not ref.is_zero and released == []
    k.rcu_barrier()
    assert not ref.is_zero, "rcu_barrier() does not wait for RCU-sched callbacks"
    k.rcu_barrier_sched()
    assert ref.is_zero and released == [ref]


def test_confirm_runs_before_the_release_of_the_same_switch_with_one_reference_left(
    k: Kernel,
) -> None:
    events: list[tuple[str, int, bool]] = []
    ref = k.percpu_ref(lambda r: events.append(("release", r.count, r.switching)))
    ref.kill_and_confirm(lambda r: events.append(("confirm", r.count, r.switching)))
    assert events == []
    k.rcu_barrier_sched()
    assert events == [("confirm", 1, True), ("release", 0, False)]


def test_confirm_and_release_of_a_switch_run_in_softirq_and_may_not_sleep(k: Kernel) -> None:
    seen: list[dict[str, Any]] = []
    ref = k.percpu_ref(lambda r: seen.append(k.context))
    ref.kill_and_confirm(lambda r: seen.append(k.context))
    k.rcu_barrier_sched()
    assert len(seen) == 2
    assert all(c["in_softirq"] and c["in_atomic"] and not c["irqs_off"] for c in seen)


def test_confirm_of_an_atomic_ref_runs_at_once_with_interrupts_off(k: Kernel) -> None:
    seen: list[tuple[str, Any]] = []
    ref = k.percpu_ref(lambda r: seen.append(("release", k.context["irqs_off"])), ATOMIC)
    ref.kill_and_confirm(lambda r: seen.append(("confirm", k.context["irqs_off"])))
    assert seen == [("confirm", True), ("release", True)]


def test_kill_of_an_atomic_ref_with_users_is_dying_until_the_last_put(k: Kernel) -> None:
    released: list[PerCpuRef] = []
    ref = k.percpu_ref(released.append, ATOMIC)
    ref.get()
    ref.kill()
    assert state(ref) == (True, True, False, 1) and released == []
    ref.put()
    assert released == [ref]


def test_switch_to_atomic_holds_two_until_the_grace_period_ends(k: Kernel) -> None:
    ref = k.percpu_ref(None)
    ref.get(4)
    ref.switch_to_atomic()
    assert state(ref) == (True, False, True, BIAS + 2)
    ref.get()
    assert ref.count == BIAS + 3, "atomic at once, on top of the bias"
    k.rcu_barrier_sched()
    assert state(ref) == (True, False, False, 6)
    assert ref.force_atomic


def test_switch_to_percpu_comes_back_with_what_was_counted(k: Kernel) -> None:
    ref = k.percpu_ref(None)
    ref.switch_to_atomic()
    k.rcu_barrier_sched()
    ref.get(2)
    ref.switch_to_percpu()
    assert state(ref) == (False, False, False, BIAS + 3)
    assert ref.percpu_sum == 0 and not ref.force_atomic


def test_switch_to_percpu_of_a_dead_ref_only_changes_the_sticky_bit(k: Kernel) -> None:
    ref = k.percpu_ref(None, ATOMIC)
    ref.kill()
    ref.switch_to_percpu()
    assert state(ref) == (True, True, False, 0) and not ref.force_atomic
    ref.reinit()
    assert state(ref) == (False, False, False, BIAS + 1), "the move happens at reinit"


def test_switch_to_atomic_sync_sleeps_until_the_switch_is_confirmed(k: Kernel) -> None:
    ref = k.percpu_ref(None)
    with pytest.raises(Blocked) as blocked:
        ref.switch_to_atomic_sync()
    task = blocked.value.task
    assert task.state == "blocked" and ref.switching
    k.run_callbacks()
    assert task.done and not ref.switching


def test_all_refs_wait_on_one_queue_and_all_sleepers_wake(k: Kernel) -> None:
    refs = [k.percpu_ref(None) for _ in range(3)]
    tasks = []
    for ref in refs:
        with pytest.raises(Blocked) as blocked:
            ref.switch_to_atomic_sync()
        tasks.append(blocked.value.task)
    k.run_callbacks(1)
    assert [t.done for t in tasks] == [True, False, False], "woken, the others sleep again"
    k.run_callbacks()
    assert all(t.done for t in tasks)


def test_reinit_brings_a_released_ref_back_to_percpu_mode(k: Kernel) -> None:
    released: list[PerCpuRef] = []
    ref = k.percpu_ref(released.append)
    for n in (1, 2, 3):
        ref.kill()
        k.rcu_barrier_sched()
        assert len(released) == n
        ref.reinit()
        assert state(ref) == (False, False, False, BIAS + 1)


def test_reinit_of_a_sticky_atomic_ref_stays_atomic(k: Kernel) -> None:
    ref = k.percpu_ref(None, ATOMIC)
    ref.kill()
    ref.reinit()
    assert state(ref) == (True, False, False, 1)


def test_exit_frees_the_counters_and_reads_as_dead_and_atomic(k: Kernel) -> None:
    before = k.stats.live_objects
    ref = k.percpu_ref(None)
    ref.kill()
    k.rcu_barrier_sched()
    ref.exit()
    assert k.stats.live_objects == before + 1, "the structure itself is the owner's"
    assert not ref.has_counters and ref.atomic and ref.is_dying
    ref.exit()
    assert not k.dmesg


@pytest.mark.parametrize("flavour", ["rcu", "sched"])
def test_only_an_rcu_sched_reader_delays_the_switch(k: Kernel, flavour: str) -> None:
    released: list[PerCpuRef] = []
    ref = k.percpu_ref(released.append)
    reader = k.task(cpu=1)
    with reader:
        k.rcu_read_lock() if flavour == "rcu" else k.rcu_read_lock_sched()
    ref.kill()
    k.run_callbacks()
    assert bool(released) is (flavour == "rcu")
    with reader:
        k.rcu_read_unlock() if flavour == "rcu" else k.rcu_read_unlock_sched()
    k.run_callbacks()
    assert released


def test_release_may_free_the_ref(k: Kernel) -> None:
    def release(ref: PerCpuRef) -> None:
        ref.exit()
        ref.free()

    before = k.stats.live_objects
    ref = k.percpu_ref(release)
    ref.kill()
    k.rcu_barrier_sched()
    assert k.stats.live_objects == before
    assert not k.violations


def test_message_names_each_ref_by_its_own_release_function() -> None:
    def first_release(ref: PerCpuRef) -> None: ...

    def second_release(ref: PerCpuRef) -> None: ...

    with Kernel(on_violation="record") as k:
        for release in (first_release, second_release):
            ref = k.percpu_ref(release, ATOMIC)
            ref.get(3)
            ref.kill()
            k.clear_warn_once()
            ref.kill()
        text = "percpu_ref_kill_and_confirm called more than once on {}!"
        assert text.format("first_release") in k.dmesg
        assert text.format("second_release") in k.dmesg
