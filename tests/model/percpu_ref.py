# SPDX-License-Identifier: GPL-2.0-only
"""Reference model of percpu_ref, with the grace period as a step of its own.

The counters of all CPUs are one number here: only their sum means anything.
Operations that may sleep are generators that yield while they sleep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

BIAS = 1 << 63


def signed(value: int) -> int:
    """A machine word as a signed number."""
    value %= 1 << 64
    return value - (1 << 64) if value >> 63 else value


class ModelBug(Exception):
    """The kernel oopses here."""


class World:
    """What all refs of a kernel share: log, once-flags, sleepers, pending callbacks."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.events: list[str] = []
        self.once: set[str] = set()
        self.sleepers: list[Iterator[None]] = []
        self.callbacks: list[Callable[[], None]] = []
        self.died = 0

    def warn(self, location: str, text: str | None = None, *, once: bool = True) -> None:
        """WARN, WARN_ONCE, with or without a text."""
        if once and location in self.once:
            return
        self.once.add(location)
        if text:
            self.said.append(text)
        self.said.append(f"WARN {location}")

    def run(self, operation: Iterator[None]) -> bool:
        """A call: True if it came to its end, False if it sleeps."""
        try:
            next(operation)
        except StopIteration:
            return True
        self.sleepers.append(operation)
        return False

    def wake_all(self) -> None:
        """Everybody who sleeps looks again, who came last first; an oops keeps the lock."""
        sleepers, self.sleepers = self.sleepers, []
        for sleeper in reversed(sleepers):
            try:
                self.run(sleeper)
            except ModelBug:
                self.died += 1
                return

    def grace_period(self) -> None:
        """Ends grace periods: one callback after the other, after each whoever it woke."""
        while self.callbacks:
            self.callbacks.pop(0)()
            self.wake_all()


class RefModel:
    """One percpu_ref."""

    def __init__(self, world: World, name: str, flags: int = 0) -> None:
        self.world = world
        self.name = name
        self.releases = 0  # how often its count has become zero
        self.init(flags)

    def init(self, flags: int) -> None:
        """percpu_ref_init()."""
        self.counters: int | None = 0
        self.force_atomic = bool(flags & 1)
        self.atomic = flags != 0
        self.dead = bool(flags & 2)
        self.count = (0 if flags else BIAS) + (0 if self.dead else 1)
        self.confirm: Callable[[], None] | None = None
        self.switching = False

    # --- looking ---

    @property
    def percpu(self) -> bool:
        """Do gets and puts go to the per-CPU counters?"""
        return not self.atomic and not self.dead

    @property
    def is_zero(self) -> bool:
        """percpu_ref_is_zero()."""
        return not self.percpu and signed(self.count) == 0

    def state(self) -> dict[str, Any]:
        """Everything that can be seen."""
        return {
            "count": self.count % (1 << 64),
            "percpu_sum": signed(self.counters or 0),
            "atomic": self.atomic,
            "dead": self.dead,
            "has_counters": self.counters is not None,
            "switching": self.switching,
            "force_atomic": self.force_atomic,
            "is_dying": self.dead,
            "is_zero": self.is_zero,
        }

    # --- users ---

    def get(self, n: int = 1) -> None:
        """percpu_ref_get_many()."""
        if self.percpu:
            assert self.counters is not None
            self.counters += n
        else:
            self.count += n

    def put(self, n: int = 1) -> None:
        """percpu_ref_put_many()."""
        if self.percpu:
            assert self.counters is not None
            self.counters -= n
            return
        self.count -= n
        if signed(self.count) == 0:
            self.releases += 1
            self.world.events.append(f"release {self.name}")

    def put_one_by_one(self, n: int) -> None:
        """percpu_ref_put(), n times; all at once where zero is not met on the way."""
        if self.percpu or not 0 < signed(self.count) <= n:
            self.put(n)
            return
        for _ in range(n):
            self.put()

    def tryget(self) -> bool:
        """percpu_ref_tryget()."""
        if not self.percpu and signed(self.count) == 0:
            return False
        self.get()
        return True

    def tryget_live(self) -> bool:
        """percpu_ref_tryget_live()."""
        if self.dead:
            return False
        return self.tryget()

    # --- the owner ---

    def switch_mode(self, confirm: Callable[[], None] | None) -> Iterator[None]:
        """To where force_atomic and the DEAD flag point, after the switch before this one."""
        while self.switching:
            yield
        if not self.force_atomic and not self.dead:
            self.to_percpu()
        elif self.atomic:
            if confirm:
                confirm()
        else:
            self.atomic = True
            self.switching = True
            self.confirm = confirm
            self.get()
            self.world.callbacks.append(self.switched)

    def switched(self) -> None:
        """The grace period is over."""
        self.count += (self.counters or 0) - BIAS
        if signed(self.count) <= 0:
            self.world.warn(
                "lib/percpu-refcount.c:153",
                f"percpu ref ({self.name}) <= 0 ({signed(self.count)}) after switching to atomic",
            )
        if self.confirm:
            self.confirm()
        self.confirm = None
        self.switching = False
        self.put()

    def to_percpu(self) -> None:
        """Back to per-CPU counters."""
        if self.counters is None:
            raise ModelBug("lib/percpu-refcount.c:192")
        if not self.atomic:
            return
        self.count += BIAS
        self.counters = 0
        self.atomic = False

    def kill(self, confirm: Callable[[], None] | None = None) -> Iterator[None]:
        """percpu_ref_kill_and_confirm()."""
        if self.dead:
            self.world.warn(
                "lib/percpu-refcount.c:335",
                f"percpu_ref_kill_and_confirm called more than once on {self.name}!",
            )
        self.dead = True
        yield from self.switch_mode(confirm)
        self.put()

    def switch_to_atomic(self, confirm: Callable[[], None] | None = None) -> Iterator[None]:
        """percpu_ref_switch_to_atomic()."""
        self.force_atomic = True
        yield from self.switch_mode(confirm)

    def switch_to_atomic_sync(self) -> Iterator[None]:
        """percpu_ref_switch_to_atomic_sync()."""
        yield from self.switch_to_atomic()
        while self.switching:
            yield

    def switch_to_percpu(self) -> Iterator[None]:
        """percpu_ref_switch_to_percpu()."""
        self.force_atomic = False
        yield from self.switch_mode(None)

    def reinit(self) -> Iterator[None]:
        """percpu_ref_reinit()."""
        if not self.is_zero:
            self.world.warn("lib/percpu-refcount.c:363")
        self.dead = False
        self.get()
        yield from self.switch_mode(None)

    def exit(self) -> None:
        """percpu_ref_exit()."""
        if self.counters is None:
            return
        if self.switching:
            self.world.warn("lib/percpu-refcount.c:107")
        self.counters = None
        self.atomic = self.dead = True
