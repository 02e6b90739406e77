# SPDX-License-Identifier: GPL-2.0-only
"""The recorded percpu_ref cases, re-enacted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from harness import Boot, case, check

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
    b.P("failslab init rc=0 left=1 (percpu alloc may not use slab)")


CASES = ["a_init"]


@pytest.mark.parametrize("name", CASES)
def test_checked_build_answers_as_the_real_kernel(name: str) -> None:
    check(name)


@pytest.mark.parametrize("name", CASES)
def test_plain_build_answers_as_the_real_kernel(name: str) -> None:
    check(name, checked=False)
