# SPDX-License-Identifier: GPL-2.0-only
"""What v4.19's percpu_ref does with misuse: one test for each row, quirks included.

Grace periods are manual: they end where ``rcu_barrier_sched()`` stands.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memremap_emu import Blocked, Kernel, KernelError, TaskDied, explore, program
from memremap_emu.objects import BIAS, PERCPU_REF_INIT_ATOMIC, PerCpuRef

MASK = (1 << 64) - 1
TWICE = "percpu_ref_kill_and_confirm called more than once on my_release!"
BELOW = "percpu ref (my_release) <= 0 ({}) after switching to atomic"


@pytest.fixture
def k() -> Iterator[Kernel]:
    with Kernel(rcu="manual", on_violation="record", cpus=2) as kernel:
        yield kernel


class Counted:
    """A ref and how often it has been released."""

    def __init__(self, k: Kernel, flags: int = 0) -> None:
        self.k = k
        self.releases = 0
        self.ref: PerCpuRef = k.percpu_ref(self.release, flags, name="my_release")

    def release(self, ref: PerCpuRef) -> None:
        self.releases += 1

    def grace_period(self) -> None:
        self.k.rcu_barrier_sched()


@pytest.fixture
def c(k: Kernel) -> Counted:
    return Counted(k)


@pytest.fixture
def atomic(k: Kernel) -> Counted:
    return Counted(k, PERCPU_REF_INIT_ATOMIC)


def warns(k: Kernel, text: str | None = None) -> list[str]:
    """WARN lines of the log, or those with this text."""
    if text is None:
        return [line for line in k.dmesg if line.startswith("WARNING:")]
    return [line for line in k.dmesg if line == text]


def test_kill_during_a_live_switch_sleeps_and_then_kills_at_once(k: Kernel, c: Counted) -> None:
    c.ref.switch_to_atomic()
    with pytest.raises(Blocked):
        c.ref.kill()
    assert c.ref.switching and c.ref.dead, "DEAD is set before it sleeps"
    assert c.releases == 0
    k.run_callbacks()
    assert c.releases == 1 and c.ref.count == 0
    assert not warns(k) and not k.violations


def test_second_kill_warns_and_releases_early_under_a_user(k: Kernel, c: Counted) -> None:
    c.ref.get()
    c.ref.kill()
    c.grace_period()
    assert c.ref.count == 1 and c.releases == 0
    c.ref.kill()
    assert warns(k, TWICE) == [TWICE]
    assert c.releases == 1, "the user's reference has been stolen"


def test_second_kill_without_users_makes_the_count_negative(k: Kernel, c: Counted) -> None:
    c.ref.kill()
    c.grace_period()
    assert c.releases == 1
    c.ref.kill()
    assert warns(k, TWICE)
    assert c.ref.count == MASK and c.releases == 1 and not c.ref.is_zero


def test_second_kill_during_the_first_switch_sleeps_until_it_is_over(k: Kernel, c: Counted) -> None:
    c.ref.get()
    c.ref.kill()
    with pytest.raises(Blocked):
        c.ref.kill()
    assert warns(k, TWICE), "it warns before it sleeps"
    assert c.releases == 0
    k.run_callbacks()
    assert c.releases == 1 and c.ref.count == 0


def test_second_kill_is_warned_of_once_in_the_life_of_the_kernel(
    k: Kernel, c: Counted, atomic: Counted
) -> None:
    for counted in (c, atomic):
        counted.ref.get(5)
        counted.ref.kill()
        counted.grace_period()
        counted.ref.kill()
    assert len(warns(k, TWICE)) == 1
    k.clear_warn_once()
    atomic.ref.kill()
    assert len(warns(k, TWICE)) == 2


def test_surplus_put_in_percpu_mode_is_found_at_the_kill_and_never_releases(
    k: Kernel, c: Counted
) -> None:
    c.ref.put()
    assert not warns(k)
    c.ref.kill()
    assert not warns(k)
    c.grace_period()
    assert warns(k, BELOW.format(0)), k.dmesg
    assert c.ref.count == MASK and c.releases == 0


def test_surplus_put_in_percpu_mode_under_a_user_releases_early_without_a_warning(
    k: Kernel, c: Counted
) -> None:
    c.ref.get()  # the real user's
    c.ref.put()  # the surplus one
    c.ref.kill()
    c.grace_period()
    assert not warns(k)
    assert c.releases == 1, "the user still holds its reference"
    c.ref.put()
    assert c.ref.count == MASK and c.releases == 1


def test_put_below_zero_in_atomic_mode_is_silent(k: Kernel, atomic: Counted) -> None:
    atomic.ref.kill()
    assert atomic.releases == 1
    atomic.ref.put()
    assert atomic.ref.count == MASK
    assert not atomic.ref.is_zero
    assert not warns(k) and atomic.releases == 1


def test_get_after_zero_resurrects_and_the_put_releases_again(k: Kernel, atomic: Counted) -> None:
    atomic.ref.kill()
    atomic.ref.get()
    assert atomic.ref.count == 1 and not warns(k)
    atomic.ref.put()
    assert atomic.releases == 2


def test_initial_reference_dropped_by_put_leaves_the_kill_one_short(k: Kernel, c: Counted) -> None:
    c.ref.put()
    assert c.ref.percpu_sum == -1 and c.releases == 0 and not warns(k)
    c.ref.kill()
    c.grace_period()
    assert warns(k, BELOW.format(0))


def test_exit_of_a_live_ref_is_silent_and_leaves_an_atomic_count(
    k: Kernel, atomic: Counted
) -> None:
    atomic.ref.get()
    atomic.ref.exit()
    assert not warns(k) and atomic.releases == 0
    assert not atomic.ref.has_counters and atomic.ref.atomic and atomic.ref.dead
    atomic.ref.put()
    atomic.ref.put()
    assert atomic.releases == 1, "it is still released when the count reaches 0"


def test_exit_during_a_switch_warns_and_loses_the_percpu_references(k: Kernel, c: Counted) -> None:
    with k.task(cpu=1):
        c.ref.get(3)
    c.ref.kill()
    c.ref.exit()
    assert len(warns(k)) == 1 and "percpu-refcount.c:107 percpu_ref_exit" in warns(k)[0]
    assert any(v.kind == "refcount" for v in k.violations)
    c.grace_period()
    assert not warns(k, BELOW.format(0)) and len(warns(k)) == 1
    assert c.ref.count == 0 and c.releases == 1, "three users, and released all the same"


def test_exit_from_confirm_warns_because_the_switch_is_not_over(k: Kernel, c: Counted) -> None:
    c.ref.kill_and_confirm(lambda ref: ref.exit())
    c.grace_period()
    assert len(warns(k)) == 1 and "percpu_ref_exit" in warns(k)[0]


def test_freeing_the_ref_from_confirm_is_a_use_after_free(k: Kernel, c: Counted) -> None:
    c.ref.kill_and_confirm(lambda ref: ref.free())
    c.grace_period()
    assert any(v.kind == "use-after-free" and v.func.startswith("percpu_ref") for v in k.violations)


def test_get_and_put_after_exit_work_on_the_count(k: Kernel, c: Counted) -> None:
    c.ref.kill()
    c.grace_period()
    c.ref.exit()
    c.ref.get()
    assert c.ref.count == 1
    c.ref.put()
    assert c.releases == 2 and not warns(k)


def test_get_after_free_is_a_use_after_free(k: Kernel, c: Counted) -> None:
    c.ref.kill()
    c.grace_period()
    c.ref.exit()
    c.ref.free()
    assert not k.violations
    c.ref.get()
    assert "use-after-free" in [v.kind for v in k.violations]


def test_tryget_live_after_exit_fails_and_tryget_looks_at_the_count(
    k: Kernel, atomic: Counted
) -> None:
    atomic.ref.exit()
    assert not atomic.ref.tryget_live()
    assert atomic.ref.count == 1
    assert atomic.ref.tryget() and atomic.ref.count == 2
    atomic.ref.put(2)
    assert not atomic.ref.tryget()


def test_kill_after_exit_warns_and_drops_one_without_a_switch(k: Kernel, c: Counted) -> None:
    c.ref.exit()
    assert c.ref.count == BIAS + 1
    c.ref.kill()
    assert warns(k, TWICE) and not c.ref.switching
    assert c.ref.count == BIAS


def test_reinit_of_a_ref_that_is_not_zero_warns_and_goes_on(k: Kernel, c: Counted) -> None:
    c.ref.get()
    c.ref.kill()
    c.grace_period()
    c.ref.reinit()
    assert len(warns(k)) == 1 and "percpu-refcount.c:363 percpu_ref_reinit" in warns(k)[0]
    assert not c.ref.dead and not c.ref.atomic
    assert c.ref.logical == 2


def test_reinit_of_a_live_ref_warns_and_leaks_a_reference(k: Kernel, c: Counted) -> None:
    c.ref.reinit()
    assert len(warns(k)) == 1
    assert not c.ref.atomic and c.ref.logical == 2


def test_reinit_after_exit_is_a_bug_that_kills_the_task_with_the_lock_held(
    k: Kernel, c: Counted, atomic: Counted
) -> None:
    c.ref.kill()
    c.grace_period()
    c.ref.exit()
    with pytest.raises(TaskDied):
        c.ref.reinit()
    assert "kernel BUG at lib/percpu-refcount.c:192!" in k.dmesg
    assert c.ref.count == 1 and not c.ref.dead
    with pytest.raises(Blocked) as blocked:
        atomic.ref.kill()
    assert "percpu_ref_switch_lock" in blocked.value.waits_for


def test_reinit_after_exit_of_a_sticky_atomic_ref_survives(k: Kernel, atomic: Counted) -> None:
    atomic.ref.kill()
    atomic.ref.exit()
    atomic.ref.reinit()
    assert atomic.ref.count == 1 and not atomic.ref.dead
    assert not warns(k)


def test_ref_that_is_never_exited_leaks_only_its_counters(k: Kernel) -> None:
    before = k.stats.live_bytes
    c = Counted(k)
    size = k.stats.live_bytes - before
    c.ref.kill()
    c.grace_period()
    c.ref.free()
    assert k.stats.live_bytes - before == 8 * k.cpus
    assert size > 8 * k.cpus


def test_failed_init_leaves_a_null_word_through_which_gets_are_harmless(k: Kernel) -> None:
    c = Counted(k)
    c.ref.kill()
    c.grace_period()
    c.ref.exit()
    with k.fault_injection("percpu_ref_init") as fault, pytest.raises(KernelError) as error:
        c.ref.init(name="my_release")
    assert fault.hits == 1 and error.value.errno == 12
    assert not c.ref.atomic and not c.ref.dead and not c.ref.has_counters
    c.ref.get()
    c.ref.put(7)
    assert c.ref.tryget_live() and c.ref.tryget()
    assert c.ref.percpu_sum == 0, "reads through a NULL base give 0"
    assert [v.message for v in k.violations] == [
        "reference taken on a percpu_ref whose init failed",
        "reference dropped on a percpu_ref whose init failed",
    ]
    c.ref.exit()
    assert not c.ref.has_counters and not warns(k), "exit after a failed init does nothing"


def test_release_that_kills_a_ref_deadlocks_on_the_common_lock(k: Kernel, c: Counted) -> None:
    def release(ref: PerCpuRef) -> Iterator[object]:
        yield lambda: c.ref.kill()

    ref = k.percpu_ref(release, PERCPU_REF_INIT_ATOMIC, name="kills_another")
    with pytest.raises(Blocked) as blocked:
        ref.kill()
    assert "percpu_ref_switch_lock" in blocked.value.waits_for


def test_a_second_release_is_noticed_and_one_after_reinit_is_none() -> None:
    with Kernel(on_violation="record") as k:
        ref, released = k.percpu_ref(), k.completion()
        ref.complete_on_release(released)
        for _ in range(2):
            ref.kill()
            released.wait()
            ref.reinit()
        assert not k.violations
        ref.kill()
        ref.get()
        ref.put()
        assert released.done == 2
        assert [v.message for v in k.violations][-1] == "percpu_ref released twice"


# --- what is told of gets and puts, whoever does them ---

TAKEN_EXITED = "reference taken on a percpu_ref that was exited"
TAKEN_FREE = "reference taken on a percpu_ref that nobody holds"
DROPPED_EXITED = "reference dropped on a percpu_ref that was exited"
SURPLUS = "more references dropped than were taken"

#: What a ref is taken through, each kill with its grace period, and what is told of it.
TOLD: dict[str, list[str]] = {
    "kill exit get": [TAKEN_EXITED],
    "kill exit put": [DROPPED_EXITED],
    "get kill exit tryget": [TAKEN_EXITED],
    "kill exit tryget": [],
    "get kill exit tryget_live": [],
    "kill put": [SURPLUS],
    "kill get put": [TAKEN_FREE],
    "get get kill put get put put": [],
    "kill reinit get put kill exit": [],
    "kill exit exit": [],
}


@pytest.mark.parametrize("flags", [0, PERCPU_REF_INIT_ATOMIC], ids=["percpu", "atomic"])
@pytest.mark.parametrize("steps", TOLD)
def test_what_is_told_of_a_ref_is_the_same_in_calls_and_in_programs(steps: str, flags: int) -> None:
    with Kernel(on_violation="record") as k:
        ref = k.percpu_ref(flags=flags)
        for step in steps.split():
            getattr(ref, step)()
            k.rcu_barrier_sched()
        # An exit looks at the counters of all CPUs, and only where no order is asked for.
        held = "percpu_ref exited while references are held"
        assert (held in [v.message for v in k.violations]) == steps.startswith("get kill exit")
        called = [v.message for v in k.violations if v.kind == "refcount" and v.message != held]
    with Kernel(on_violation="record") as k:
        ref, searched = k.percpu_ref(flags=flags), explore.Program(k)
        task = searched.task("all")
        for step in steps.split():
            if step == "kill":
                task.kill(ref).call("rcu_barrier_sched")
            else:
                task.call(f"percpu_ref_{step}", ref)
        found = searched.explore(stop_at_violation=False)
    assert found.exhaustive
    explored = [v.record.message for v in found.found if v.record.kind == "refcount"]
    assert (called, explored) == (TOLD[steps], TOLD[steps])


def test_a_switch_under_way_is_no_misuse(k: Kernel) -> None:
    """The bias makes counts look negative; in no order is any get or put taken for a surplus."""
    ref, searched = k.percpu_ref(), explore.Program(k)
    ref.get()
    searched.task("user").get(ref).put(ref).put(ref)
    searched.task("owner").kill(ref)
    searched.task("other").call("percpu_ref_tryget_live", ref)
    found = searched.explore(stop_at_violation=False)
    assert found.exhaustive and not found.found


@pytest.mark.parametrize("strategy", ["dpor", "dfs", "cache", "sleep"])
def test_a_put_that_may_come_after_the_exit_is_found(k: Kernel, strategy: str) -> None:
    ref, searched = k.percpu_ref(), explore.Program(k)
    ref.get()
    searched.task("owner").kill(ref).call("rcu_barrier_sched").call("percpu_ref_exit", ref)
    searched.task("user").put(ref)
    found = searched.explore(strategy=strategy, stop_at_violation=False)
    assert found.exhaustive
    assert {v.record.message for v in found.found} == {DROPPED_EXITED}


@pytest.mark.parametrize("version", ["v4.19", "memremap-v6", "v5.2"])
def test_exit_before_the_mapping_is_released(version: str) -> None:
    """The order that device-dax had before v4.9: the release drops the references of the pages on
    a ref that was exited."""
    start, size = 0x140000000, 1 << 27
    own = (
        program.Program(version)
        .memory(start, start + size - 1)
        .driver(
            "dax",
            start,
            size,
            probe=["request_region", "alloc", "init_ref", "memremap_pages", "add_action exit"],
            kill=["nothing"],
            cleanup=["nothing"],
            actions={"exit": ["kill", "synchronize_rcu", "exit"]},
        )
        .setup("bind dax")
        .task("unbind", "unbind dax")
    )
    found = own.explore(stop_at_violation=False)
    assert found.exhaustive
    assert DROPPED_EXITED in {v.record.message for v in found.found}
