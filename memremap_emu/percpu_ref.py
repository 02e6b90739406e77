# SPDX-License-Identifier: GPL-2.0-only
"""percpu_refs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memremap_emu._native import MASK64
from memremap_emu.handles import Object, address, check_callable, handle_of
from memremap_emu.sync import Completion

#: Added to the count while it is kept per CPU.
BIAS = 1 << 63
PERCPU_REF_INIT_ATOMIC = 1
PERCPU_REF_INIT_DEAD = 2


class PerCpuRef(Object):
    """``struct percpu_ref`` (lib/percpu-refcount.c)."""

    __slots__ = ()
    _letter = "R"

    def init(self, flags: int = 0, *, name: str = "release") -> None:
        """percpu_ref_init(); ``name`` is the symbol of the release function in messages."""
        self._call("percpu_ref_init", address(flags, "flags"), self._native.intern(name))

    def complete_on_release(self, completion: Completion) -> None:
        """The release completes this, as those of drivers do; programs can be explored so."""
        handle = handle_of(completion, Completion, "completion", self._native)
        self._call("percpu_ref_complete_on_release", handle)

    def get(self, n: int = 1) -> None:
        """percpu_ref_get(), percpu_ref_get_many()."""
        self._call("percpu_ref_get_many", address(n, "n"))

    def put(self, n: int = 1) -> None:
        """percpu_ref_put(), percpu_ref_put_many()."""
        self._call("percpu_ref_put_many", address(n, "n"))

    def tryget(self) -> bool:
        """percpu_ref_tryget()."""
        return bool(self._call("percpu_ref_tryget"))

    def tryget_live(self) -> bool:
        """percpu_ref_tryget_live()."""
        return bool(self._call("percpu_ref_tryget_live"))

    def kill(self) -> None:
        """percpu_ref_kill()."""
        self._call("percpu_ref_kill_and_confirm", 0)

    def _confirm(self, confirm: Callable[[PerCpuRef], Any] | None) -> int:
        if confirm is None:
            return 0
        check_callable(confirm, "confirm")
        return self._native.callback((confirm, self), lambda a, b: confirm(self))

    def kill_and_confirm(self, confirm: Callable[[PerCpuRef], Any] | None) -> None:
        """percpu_ref_kill_and_confirm()."""
        self._call("percpu_ref_kill_and_confirm", self._confirm(confirm))

    def switch_to_atomic(self, confirm: Callable[[PerCpuRef], Any] | None = None) -> None:
        """percpu_ref_switch_to_atomic()."""
        self._call("percpu_ref_switch_to_atomic", self._confirm(confirm))

    def switch_to_atomic_sync(self) -> None:
        """percpu_ref_switch_to_atomic_sync()."""
        self._call("percpu_ref_switch_to_atomic_sync")

    def switch_to_percpu(self) -> None:
        """percpu_ref_switch_to_percpu()."""
        self._call("percpu_ref_switch_to_percpu")

    def reinit(self) -> None:
        """percpu_ref_reinit()."""
        self._call("percpu_ref_reinit")

    def exit(self) -> None:
        """percpu_ref_exit()."""
        self._call("percpu_ref_exit")

    def free(self) -> None:
        """kfree() of the structure: whoever uses it afterwards uses freed memory."""
        self._call("percpu_ref_free")

    @property
    def count(self) -> int:
        """The atomic word, unsigned: biased by 2**63 while in per-CPU mode."""
        return self._call("percpu_ref_count") & MASK64

    @property
    def percpu_sum(self) -> int:
        """Signed sum of the per-CPU counters."""
        return self._call("percpu_ref_percpu_sum")

    @property
    def logical(self) -> int:
        """References held: count, minus bias plus per-CPU sum while in per-CPU mode."""
        count = self.count
        if not self.atomic and self.has_counters:
            count += self.percpu_sum - BIAS
        return count - (1 << 64) if count >> 63 else count

    @property
    def _state(self) -> int:
        return self._call("percpu_ref_state")

    @property
    def atomic(self) -> bool:
        """The ATOMIC flag."""
        return bool(self._state & 1)

    @property
    def dead(self) -> bool:
        """The DEAD flag."""
        return bool(self._state & 2)

    @property
    def has_counters(self) -> bool:
        """The per-CPU counters have not been freed."""
        return bool(self._state & 4)

    @property
    def switching(self) -> bool:
        """A switch to atomic mode is in flight (confirm_switch is set)."""
        return bool(self._state & 8)

    @property
    def force_atomic(self) -> bool:
        """It stays atomic."""
        return bool(self._state & 16)

    @property
    def is_dying(self) -> bool:
        """percpu_ref_is_dying()."""
        return bool(self._call("percpu_ref_is_dying"))

    @property
    def is_zero(self) -> bool:
        """percpu_ref_is_zero()."""
        return bool(self._call("percpu_ref_is_zero"))

    def __repr__(self) -> str:
        mode = "atomic" if self.atomic else "percpu"
        dead = " dead" if self.dead else ""
        return f"<percpu_ref {mode}{dead} {self.logical}>"
