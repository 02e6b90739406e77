# SPDX-License-Identifier: GPL-2.0-only
"""Calls of a kernel about RCU and the running task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memremap_emu._native import Native
from memremap_emu.handles import check_callable


class RcuCalls:
    """Grace periods, read sections, and what the running task may do."""

    _native: Native

    def rcu_read_lock(self) -> None:
        """rcu_read_lock(), inside a task context."""
        self._native.call("rcu_read_lock")

    def rcu_read_unlock(self) -> None:
        """rcu_read_unlock()."""
        self._native.call("rcu_read_unlock")

    def rcu_read_lock_sched(self) -> None:
        """rcu_read_lock_sched(), inside a task context."""
        self._native.call("rcu_read_lock_sched")

    def rcu_read_unlock_sched(self) -> None:
        """rcu_read_unlock_sched()."""
        self._native.call("rcu_read_unlock_sched")

    def preempt_disable(self) -> None:
        """preempt_disable(), inside a task context."""
        self._native.call("preempt_disable")

    def preempt_enable(self) -> None:
        """preempt_enable()."""
        self._native.call("preempt_enable")

    def call_rcu(self, callback: Callable[[], Any]) -> None:
        """call_rcu(): the callback runs after a grace period."""
        self._call_rcu("call_rcu", callback)

    def call_rcu_sched(self, callback: Callable[[], Any]) -> None:
        """call_rcu_sched()."""
        self._call_rcu("call_rcu_sched", callback)

    def _call_rcu(self, op: str, callback: Callable[[], Any]) -> None:
        check_callable(callback, "callback")
        number = self._native.callback(("rcu", callback), lambda a, b: callback())
        self._native.call(op, number)

    def synchronize_rcu(self) -> None:
        """synchronize_rcu()."""
        self._native.call("synchronize_rcu")

    def synchronize_sched(self) -> None:
        """synchronize_sched()."""
        self._native.call("synchronize_sched")

    def rcu_barrier(self) -> None:
        """rcu_barrier(): the RCU callbacks queued so far have run."""
        self._native.call("rcu_barrier")

    def rcu_barrier_sched(self) -> None:
        """rcu_barrier_sched(): the RCU-sched callbacks queued so far have run."""
        self._native.call("rcu_barrier_sched")

    def run_callbacks(self, n: int = -1) -> None:
        """Ends grace periods: runs up to ``n`` due callbacks (-1 all) and who they wake."""
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n must be an int, not {type(n).__name__}")
        self._native.check(self._native.lib.emu_run(self._native.m, max(-1, min(n, 1 << 30))))

    @property
    def context(self) -> dict[str, bool | int]:
        """What the running task may do: in_softirq, irqs_off, in_atomic, rcu_sched_held, ..."""
        bits = self._native.call("context")
        names = ("in_softirq", "irqs_off", "in_atomic", "rcu_sched_held", "rcu_held")
        found: dict[str, bool | int] = {n: bool(bits >> i & 1) for i, n in enumerate(names)}
        found["cpu"] = bits >> 8
        return found

    def might_sleep(self) -> None:
        """might_sleep()."""
        self._native.call("might_sleep")

    def cond_resched(self) -> None:
        """cond_resched()."""
        self._native.call("cond_resched")
