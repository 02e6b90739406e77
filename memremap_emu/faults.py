# SPDX-License-Identifier: GPL-2.0-only
"""Fault injection."""

from __future__ import annotations

from memremap_emu._native import Native

#: Plans of a machine at a time.
MAX_PLANS = 8


class FaultInjection:
    """A fallible call that will fail: a context manager, see `Kernel.fault_injection`."""

    def __init__(
        self, native: Native, site: str | None, nth: int, sticky: bool, slab: bool = False
    ) -> None:
        if site is not None and not isinstance(site, str):
            raise TypeError("site must be a str")
        if site is not None and "\0" in site:
            raise ValueError("a name cannot contain a NUL byte")
        if isinstance(nth, bool) or not isinstance(nth, int):
            raise TypeError("nth must be an int")
        if not 1 <= nth < 1 << 63:
            raise ValueError(f"nth is {nth:#x}: calls are counted from 1, in 63 bits")
        self._native = native
        self.site = site
        self.nth = nth
        self.sticky = sticky
        self._plan = -1
        self.slab = slab
        self._counts = (0, 0)

    def __enter__(self) -> FaultInjection:
        if self._plan >= 0:
            raise RuntimeError("this call is going to fail already")
        native = self._native
        out = native.ffi.new("int *")
        site = native.ffi.NULL if self.site is None else self.site.encode()
        native.check(
            native.lib.emu_fault_plan(
                native.machine, site, self.nth, int(self.sticky) | int(self.slab) << 1, out
            )
        )
        self._plan = int(out[0])
        return self

    def __exit__(self, *_: object) -> None:
        self._counts = self._count()
        native, plan = self._native, self._plan
        self._plan = -1
        native.check(native.lib.emu_fault_clear(native.machine, plan))

    def _count(self) -> tuple[int, int]:
        if self._plan < 0:
            return self._counts
        hits, seen = self._native.ffi.new("uint64_t *"), self._native.ffi.new("uint64_t *")
        self._native.lib.emu_fault_hits(self._native.machine, self._plan, hits, seen)
        return int(hits[0]), int(seen[0])

    @property
    def hits(self) -> int:
        """How many calls it has failed."""
        return self._count()[0]

    @property
    def left(self) -> int:
        """How many calls until it fails, that one included; 0 from then on, as ``fail_nth``."""
        return max(self.nth - self._count()[1], 0)
