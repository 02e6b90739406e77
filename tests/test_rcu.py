# SPDX-License-Identifier: GPL-2.0-only
"""RCU as v4.19 has it: two flavours, real grace periods, callbacks that run later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memremap_emu import Blocked, Config, Kernel, Violation


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def checked(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def manual(checked: bool) -> Iterator[Kernel]:
    with Kernel(rcu="manual", checked=checked) as kernel:
        yield kernel


class Log(list[str]):
    """Callbacks that write down their name."""

    def __call__(self, name: str) -> object:
        return lambda: self.append(name)


def test_callback_runs_once_and_never_in_the_callers_stack(manual: Kernel) -> None:
    ran: list[bool] = []
    manual.call_rcu(lambda: ran.append(bool(manual.context["in_softirq"])))
    assert ran == []
    assert manual.stats.rcu_pending == 1
    manual.rcu_barrier()
    assert ran == [True]
    manual.rcu_barrier()
    assert ran == [True] and manual.stats.rcu_pending == 0


def test_eager_callback_runs_when_the_call_returns() -> None:
    with Kernel(rcu="eager") as k:
        ran: list[int] = []
        k.call_rcu(lambda: ran.append(1))
        assert ran == [1]


def test_eager_callback_waits_for_the_readers_that_are_there(checked: bool) -> None:
    with Kernel(rcu="eager", checked=checked) as k:
        ran: list[int] = []
        reader = k.task(cpu=1)
        with reader:
            k.rcu_read_lock()
        k.call_rcu(lambda: ran.append(1))
        assert ran == []
        with reader:
            k.rcu_read_unlock()
        assert ran == [1]


def test_grace_period_waits_for_earlier_readers_and_not_for_later_ones(manual: Kernel) -> None:
    k = manual
    ran: list[int] = []
    early, late = k.task(cpu=1), k.task(cpu=2)
    with early:
        k.rcu_read_lock()
    k.call_rcu(lambda: ran.append(1))
    with late:
        k.rcu_read_lock()
    k.run_callbacks()
    assert ran == []
    with early:
        k.rcu_read_unlock()
    k.run_callbacks()
    assert ran == [1], "the later reader is still inside"
    with late:
        k.rcu_read_unlock()


def test_nested_readers_end_with_the_outermost_unlock(manual: Kernel) -> None:
    k = manual
    ran: list[int] = []
    reader = k.task(cpu=1)
    with reader:
        k.rcu_read_lock()
        k.rcu_read_lock()
    k.call_rcu(lambda: ran.append(1))
    with reader:
        k.rcu_read_unlock()
        assert reader.rcu_nesting == 1
    k.run_callbacks()
    assert ran == []
    with reader:
        k.rcu_read_unlock()
    k.run_callbacks()
    assert ran == [1]


READERS = {
    "rcu": ("rcu_read_lock", "rcu_read_unlock"),
    "sched": ("rcu_read_lock_sched", "rcu_read_unlock_sched"),
    "preempt": ("preempt_disable", "preempt_enable"),
}


@pytest.mark.parametrize("preempt_rcu", [True, False])
@pytest.mark.parametrize("queue", ["call_rcu", "call_rcu_sched"])
@pytest.mark.parametrize("reader", READERS)
def test_reader_delays_callbacks_of_its_own_flavour_only(
    reader: str, queue: str, preempt_rcu: bool, checked: bool
) -> None:
    with Kernel(rcu="manual", checked=checked, config=Config(preempt_rcu=preempt_rcu)) as k:
        ran: list[int] = []
        lock, unlock = READERS[reader]
        inside = k.task(cpu=1)
        with inside:
            getattr(k, lock)()
        getattr(k, queue)(lambda: ran.append(1))
        k.run_callbacks()
        same = (reader == "rcu") == (queue == "call_rcu")
        delayed = same or not preempt_rcu
        assert bool(ran) is not delayed
        with inside:
            getattr(k, unlock)()
        k.run_callbacks()
        assert ran == [1]


def test_spinlock_is_an_rcu_sched_reader(manual: Kernel) -> None:
    k = manual
    ran: list[int] = []
    lock = k.spinlock()
    holder = k.task(cpu=1)
    with holder:
        lock.lock()
    k.call_rcu_sched(lambda: ran.append(1))
    k.run_callbacks()
    assert ran == []
    with holder:
        lock.unlock()
    k.run_callbacks()
    assert ran == [1]


def test_callbacks_of_one_flavour_run_in_the_order_of_queuing(manual: Kernel) -> None:
    k = manual
    log: list[int] = []
    for i in range(10):
        k.call_rcu(lambda i=i: log.append(i))  # type: ignore[misc]
    k.run_callbacks(4)
    assert log == [0, 1, 2, 3]
    k.rcu_barrier()
    assert log == list(range(10))


def test_run_callbacks_runs_as_many_as_it_is_told(manual: Kernel) -> None:
    k = manual
    log: list[int] = []
    for i in range(3):
        k.call_rcu_sched(lambda i=i: log.append(i))  # type: ignore[misc]
    k.run_callbacks(0)
    assert log == []
    k.run_callbacks(1)
    assert log == [0]
    k.run_callbacks()
    assert log == [0, 1, 2]


def test_callback_queued_by_a_callback_needs_a_grace_period_of_its_own(manual: Kernel) -> None:
    k = manual
    log: list[str] = []
    reader = k.task(cpu=1)

    def first() -> None:
        with reader:
            pass
        log.append("first")
        k.call_rcu(lambda: log.append("second"))

    k.call_rcu(first)
    with reader:
        k.rcu_read_lock()
    k.run_callbacks()
    assert log == ["first"], "the reader began before the second was queued"
    with reader:
        k.rcu_read_unlock()
    k.rcu_barrier()
    assert log == ["first", "second"]


def test_barrier_of_one_flavour_leaves_the_other_pending() -> None:
    with Kernel(rcu="manual") as k:
        log: list[str] = []
        k.call_rcu_sched(lambda: log.append("sched"))
        k.call_rcu(lambda: log.append("rcu"))
        k.rcu_barrier()
        assert "rcu" in log
        k.rcu_barrier_sched()
        assert sorted(log) == ["rcu", "sched"]


def test_barrier_waits_for_the_readers_of_what_is_queued(manual: Kernel) -> None:
    k = manual
    log: list[int] = []
    reader = k.task(cpu=1)
    with reader:
        k.rcu_read_lock()
    k.call_rcu(lambda: log.append(1))
    with pytest.raises(Blocked) as blocked:
        k.rcu_barrier()
    assert "rcu_barrier()" in blocked.value.waits_for
    with reader:
        k.rcu_read_unlock()
    assert log == [1] and blocked.value.task.done


@pytest.mark.parametrize("flavour", ["rcu", "sched"])
def test_synchronize_waits_for_earlier_readers_of_its_flavour(manual: Kernel, flavour: str) -> None:
    k = manual
    lock, unlock = READERS[flavour]
    other = k.synchronize_sched if flavour == "rcu" else k.synchronize_rcu
    wait = k.synchronize_rcu if flavour == "rcu" else k.synchronize_sched
    reader = k.task(cpu=1)
    with reader:
        getattr(k, lock)()
    other()
    with pytest.raises(Blocked) as blocked:
        wait()
    assert wait.__name__ in blocked.value.waits_for
    with reader:
        getattr(k, unlock)()
    assert blocked.value.task.done


def test_synchronize_does_not_promise_that_callbacks_have_run(manual: Kernel) -> None:
    k = manual
    log: list[int] = []
    k.call_rcu(lambda: log.append(1))
    k.synchronize_rcu()
    assert log == []


def test_synchronize_sched_on_one_cpu_returns_at_once_with_callbacks_pending(
    checked: bool,
) -> None:
    with Kernel(rcu="manual", cpus=1, checked=checked) as k:
        log: list[int] = []
        k.call_rcu_sched(lambda: log.append(1))
        k.synchronize_sched()
        assert log == [] and k.stats.rcu_pending == 1


@pytest.mark.parametrize(
    ("lock", "wait", "text"),
    [
        (
            "rcu_read_lock",
            "synchronize_rcu",
            "Illegal synchronize_rcu() in RCU read-side critical section",
        ),
        (
            "rcu_read_lock_sched",
            "synchronize_sched",
            "Illegal synchronize_sched() in RCU-sched read-side critical section",
        ),
        (
            "rcu_read_lock",
            "synchronize_sched",
            "Illegal synchronize_sched() in RCU-sched read-side critical section",
        ),
        (
            "rcu_read_lock_sched",
            "synchronize_rcu",
            "Illegal synchronize_rcu() in RCU read-side critical section",
        ),
    ],
)
def test_synchronize_inside_a_reader_of_any_flavour_is_told(
    manual: Kernel, lock: str, wait: str, text: str
) -> None:
    k = manual
    with k.task(cpu=1):
        getattr(k, lock)()
        with pytest.raises((Violation, Blocked)):
            getattr(k, wait)()
    assert text in k.dmesg
    assert "atomic-sleep" in [v.kind for v in k.violations]


@pytest.mark.parametrize("flavour", ["rcu", "sched"])
def test_synchronize_inside_its_own_reader_never_returns(flavour: str) -> None:
    with Kernel(rcu="manual", on_violation="record") as k:
        task = k.task(cpu=1)
        with task:
            getattr(k, READERS[flavour][0])()
            with pytest.raises(Blocked):
                k.synchronize_rcu() if flavour == "rcu" else k.synchronize_sched()
        k.run_callbacks()
        assert task.state == "blocked"


def test_head_queued_twice_is_warned_of_and_the_second_is_leaked() -> None:
    with Kernel(rcu="manual", on_violation="record") as k:
        released: list[object] = []
        ref = k.percpu_ref(released.append, name="release")
        ref.switch_to_atomic()
        # Its rcu_head is queued; a new life of the same structure queues it again.
        ref.init(name="release")
        ref.kill()
        assert any(
            line.startswith("__call_rcu(): Double-freed CB ")
            and line.endswith("->percpu_ref_switch_to_atomic_rcu()!!!")
            for line in k.dmesg
        )
        assert k.stats.rcu_pending == 1


def test_callback_may_not_sleep() -> None:
    with Kernel(rcu="manual", on_violation="record") as k:
        k.call_rcu(k.might_sleep)
        k.rcu_barrier()
        assert [v.kind for v in k.violations] == ["atomic-sleep"]
        assert any(
            line.startswith("BUG: sleeping function called from invalid context at ")
            for line in k.dmesg
        )
        assert any(line.startswith("in_atomic(): 1, irqs_disabled(): 0, pid: ") for line in k.dmesg)


def test_read_section_that_nothing_could_close_is_refused(manual: Kernel) -> None:
    with pytest.raises(ValueError, match="task context"):
        manual.rcu_read_lock()
    manual.synchronize_rcu()


@pytest.mark.parametrize("unlock", [u for _, u in READERS.values()])
def test_unlock_without_lock_is_refused(manual: Kernel, unlock: str) -> None:
    with pytest.raises(ValueError):
        getattr(manual, unlock)()


def test_callback_runs_on_the_cpu_that_queued_it(manual: Kernel) -> None:
    k = manual
    seen: list[int] = []
    for cpu in (2, 0, 3):
        with k.task(cpu=cpu):
            k.call_rcu(lambda: seen.append(int(k.context["cpu"])))
    k.rcu_barrier()
    assert seen == [2, 0, 3]
