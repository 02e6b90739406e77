# SPDX-License-Identifier: GPL-2.0-only
"""The recorded percpu_ref cases, re-enacted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from harness import VERSIONS, Boot, case, check, errno_of

from memremap_emu import PerCpuRef

ATOMIC, DEAD = 1, 2


@dataclass
class Ref:
    """A percpu_ref whose release and confirm callbacks report themselves."""

    boot: Boot
    flags: int = 0
    rel: int = 0
    conf: int = 0
    r: PerCpuRef = field(init=False)

    def __post_init__(self) -> None:
        self.r = self.boot.k.percpu_ref(self.release, self.flags, name="a_release")

    def context(self, event: str) -> None:
        c = self.boot.k.context
        self.boot.P(
            f"ev={event} in_softirq={c['in_softirq']:d} irqs_off={c['irqs_off']:d} "
            f"preempt_cnt={c['in_atomic']:d} sched_held={c['rcu_sched_held']:d} "
            f"atomic={c['in_atomic']:d}"
        )

    def release(self, r: PerCpuRef) -> None:
        self.rel += 1
        self.boot.P(f"ev=release n={self.rel} count={r.count}")
        self.context("release")

    def confirm(self, r: PerCpuRef) -> None:
        self.conf += 1
        self.boot.P(f"ev=confirm n={self.conf} count={r.count:#x} confirm_set={r.switching:d}")
        self.context("confirm")

    def show(self, at: str) -> None:
        r = self.r
        count = r.count
        shown = count & ~(1 << 63) if count >> 62 in (2, 3) else count
        self.boot.P(
            f"at={at} count={count:#x}({shown}) biased={count >> 63} pcsum={r.percpu_sum} "
            f"atomic={r.atomic:d} dead={r.dead:d} counters={r.has_counters:d} "
            f"confirm={r.switching:d} force_atomic={r.force_atomic:d} is_dying={r.is_dying:d} "
            f"is_zero={r.is_zero:d}"
        )

    def try_both(self) -> str:
        """The fact of both tries; the recorder's compiler evaluated the arguments backwards."""
        live = self.r.tryget_live()
        return f"tryget={self.r.tryget():d} tryget_live={live:d}"


@case
def a_init(b: Boot) -> None:
    for flags in range(4):
        ref = Ref(b, flags)
        ref.show(f"flags{flags}")
        b.P(f"flags={flags} tryget={ref.r.tryget():d}")
        ref.show("after_tryget")
        b.P(f"flags={flags} tryget_live={ref.r.tryget_live():d}")
        ref.show("after_tryget_live")
        b.P(f"flags={flags} released={ref.rel}")
    r = Ref(b).r
    r.exit()
    with b.fail_nth(1) as fault:
        rc = errno_of(r.init)
    b.P(f"failslab init rc={rc} left={fault.left} (percpu alloc may not use slab)")


@case
def a_basic(b: Boot) -> None:
    ref = Ref(b)
    r = ref.r
    ref.show("init")
    r.get()
    ref.show("get")
    r.get(5)
    ref.show("get_many5")
    r.put(5)
    ref.show("put_many5")
    b.P(ref.try_both())
    ref.show("tryget_both")
    r.kill()
    ref.show("just_after_kill")
    b.P(f"after_kill_inflight {ref.try_both()}")
    ref.show("after_try")
    b.barrier_sched()
    ref.show("after_barrier")
    b.P(f"settled {ref.try_both()}")
    for _ in range(4):
        r.put()
    ref.show("puts4")
    b.P(f"rel={ref.rel}")
    r.put()
    ref.show("put5")
    b.P(f"rel={ref.rel}")
    b.P(f"zero {ref.try_both()}")
    r.exit()
    ref.show("exit")
    r.exit()
    ref.show("exit2")
    b.P(f"exited {ref.try_both()}")


@case
def a_kill_nouser(b: Boot) -> None:
    ref = Ref(b)
    ref.r.kill_and_confirm(ref.confirm)
    ref.show("just_after_kill")
    b.P(f"rel={ref.rel} conf={ref.conf}")
    b.barrier_sched()
    ref.show("after_barrier")
    b.P(f"rel={ref.rel} conf={ref.conf}")
    ref.r.exit()
    ref = Ref(b)
    ref.r.kill()
    b.grace()  # chance: the callback ran before synchronize_sched() returned
    b.k.synchronize_sched()
    b.P(f"after_synchronize_sched rel={ref.rel} zero={ref.r.is_zero:d}")
    b.barrier_sched()
    b.P(f"after_barrier rel={ref.rel}")
    ref.r.exit()


@case
def a_kill_atomic(b: Boot) -> None:
    ref = Ref(b, ATOMIC)
    ref.r.kill_and_confirm(ref.confirm)
    ref.show("atomic_kill")
    b.P(f"rel={ref.rel} conf={ref.conf}")
    ref.r.exit()
    ref = Ref(b, ATOMIC)
    ref.r.get()
    ref.r.kill()
    ref.show("atomic_kill_1user")
    b.P(f"rel={ref.rel}")
    ref.r.put()
    b.P(f"rel={ref.rel}")
    ref.show("after_put")
    ref.r.exit()


@case
def a_double(b: Boot) -> None:
    ref = Ref(b)
    ref.r.kill()
    b.patiently(ref.r.kill)  # the second kill waits for the switch that the first began
    ref.show("kill_kill_nouser_inflight")
    b.barrier_sched()
    ref.show("settled")
    b.P(f"rel={ref.rel}")
    ref = Ref(b)
    ref.r.get()
    ref.r.kill()
    b.barrier_sched()
    ref.show("1user_killed")
    ref.r.kill()
    ref.show("1user_killed_twice")
    b.P(f"rel={ref.rel}")
    ref.r.put()
    ref.show("users_put")
    b.P(f"rel={ref.rel}")
    ref = Ref(b)
    ref.r.kill()
    b.barrier_sched()
    b.P(f"rel={ref.rel}")
    ref.r.kill()
    ref.show("zero_killed_again")
    b.P(f"rel={ref.rel}")


@case
def a_putunder(b: Boot) -> None:
    ref = Ref(b)
    ref.r.put()
    ref.show("extra_put_percpu")
    ref.r.kill()
    b.barrier_sched()
    ref.show("killed_settled")
    b.P(f"rel={ref.rel}")
    ref = Ref(b)
    ref.r.get()
    ref.r.put()
    ref.r.put()
    ref.r.kill()
    b.barrier_sched()
    ref.show("balanced_plus1_settled")
    b.P(f"rel={ref.rel}")


@case
def a_putunder1(b: Boot) -> None:
    ref = Ref(b)
    r = ref.r
    for step in (r.get, r.get, r.put, r.put, r.get, r.put, r.get, r.put):
        step()
    ref.show("one_user_one_stray")
    r.kill()
    b.barrier_sched()
    ref.show("settled")
    b.P(f"rel={ref.rel}")
    r.put()
    ref.show("real_users_put")
    b.P(f"rel={ref.rel}")


@case
def a_atomic_neg(b: Boot) -> None:
    ref = Ref(b, ATOMIC)
    ref.r.put()
    b.P(f"rel={ref.rel}")
    ref.show("put1")
    ref.r.put()
    ref.show("put2")
    b.P(f"rel={ref.rel}")
    b.P(f"tryget_neg={ref.r.tryget():d}")
    ref.show("tryget_on_neg")
    b.P(f"rel={ref.rel}")
    ref = Ref(b, ATOMIC)
    ref.r.kill()
    b.P(f"rel={ref.rel}")
    ref.r.get()
    ref.r.put()
    b.P(f"get_put_after_zero rel={ref.rel}")


@case
def a_exit(b: Boot) -> None:
    ref = Ref(b)
    ref.r.get()
    ref.r.exit()
    ref.show("exit_live_1user")
    b.P(f"rel={ref.rel}")
    ref.r.put()
    ref.show("put_after_exit")
    ref.r.get()
    ref.show("get_after_exit")
    b.P(f"rel={ref.rel}")
    b.P(ref.try_both())
    ref.r.kill()
    ref.show("kill_after_exit")
    b.P(f"rel={ref.rel}")


@case
def a_reinit(b: Boot) -> None:
    ref = Ref(b)
    ref.r.kill()
    b.barrier_sched()
    ref.show("zero")
    ref.r.reinit()
    ref.show("reinit_from_zero")
    b.P(f"rel={ref.rel}")
    ref.r.kill()
    b.barrier_sched()
    b.P(f"rel={ref.rel}")
    ref = Ref(b, ATOMIC)
    ref.r.kill()
    ref.r.reinit()
    ref.show("reinit_force_atomic")
    b.P(f"rel={ref.rel}")
    ref = Ref(b, DEAD)
    ref.r.reinit()
    ref.show("reinit_from_INIT_DEAD")
    ref = Ref(b, DEAD | ATOMIC)
    ref.r.reinit()
    ref.show("reinit_from_DEAD_ATOMIC")
    ref = Ref(b)
    ref.r.get()
    ref.r.kill()
    b.barrier_sched()
    ref.r.reinit()
    ref.show("reinit_not_zero_1user")
    b.P(f"rel={ref.rel}")
    ref = Ref(b)
    ref.r.reinit()
    ref.show("reinit_live_percpu")
    ref = Ref(b)
    ref.r.kill()
    b.patiently(ref.r.reinit)
    ref.show("reinit_right_after_kill")
    b.barrier_sched()
    ref.show("settled")
    b.P(f"rel={ref.rel}")


@case
def a_switch(b: Boot) -> None:
    ref = Ref(b)
    r = ref.r
    r.switch_to_atomic(ref.confirm)
    ref.show("switching")
    b.P(f"tryget_live_inflight={r.tryget_live():d}")
    b.barrier_sched()
    ref.show("atomic")
    r.put()
    r.switch_to_percpu()
    ref.show("back_percpu")
    b.patiently(r.switch_to_atomic_sync)
    ref.show("atomic_sync")
    r.switch_to_atomic(ref.confirm)
    b.P(f"confirm_sync conf={ref.conf}")
    r.kill()
    ref.show("kill_on_atomic")
    b.P(f"rel={ref.rel}")
    r.switch_to_percpu()
    ref.show("to_percpu_on_dead")
    r.reinit()
    ref.show("reinit")
    ref = Ref(b)
    ref.r.switch_to_atomic(None)
    b.patiently(ref.r.kill)
    ref.show("kill_while_switching")
    b.P(f"rel={ref.rel}")


@case
def a_flavour(b: Boot) -> None:
    k = b.k
    readers = (
        ("rcu_read_lock", k.rcu_read_lock, k.rcu_read_unlock),
        ("preempt_disable", k.preempt_disable, k.preempt_enable),
        ("rcu_read_lock_sched", k.rcu_read_lock_sched, k.rcu_read_unlock_sched),
    )
    for name, lock, unlock in readers:
        ref = Ref(b)
        holder = k.task(cpu=1, name="holder")
        with holder:
            lock()
        ref.r.kill_and_confirm(ref.confirm)
        b.grace()
        b.P(f"reader={name} confirm_while_reader={ref.conf} release_while_reader={ref.rel}")
        with holder:
            unlock()
        b.grace()
        b.barrier_sched()
        b.P(f"after reader end conf={ref.conf} rel={ref.rel}")
        holder.release()


CASES = [
    "a_init",
    "a_basic",
    "a_kill_nouser",
    "a_kill_atomic",
    "a_double",
    "a_putunder",
    "a_putunder1",
    "a_atomic_neg",
    "a_exit",
    "a_reinit",
    "a_switch",
    "a_flavour",
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_checked_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, version=version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_plain_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, checked=False, version=version)
