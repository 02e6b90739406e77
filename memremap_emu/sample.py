# SPDX-License-Identifier: GPL-2.0-only
"""What a test asks after every step, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel


class Sample:
    """What `take` has found last.

    Attributes:
        bound: a bit for each device that was asked for, the lowest one for the first
        counts: page_count() of each page
        state_hash: as of `Kernel.state_hash`
        left_behind: `Kernel.quiescence` would find something; False if that was not asked
        calls: of the host until then; as long as ``native.calls`` points to that many, nothing can
            have changed.  No number of calls if it says nothing
    """

    __slots__ = (
        "_asked",
        "_native",
        "_out",
        "_room",
        "_sample",
        "bound",
        "calls",
        "counts",
        "left_behind",
        "state_hash",
    )

    def __init__(self, kernel: Kernel) -> None:
        self._native = native = kernel._native
        self._sample = native.lib.emu_sample
        self._asked: tuple[Any, ...] = 0, (), 0, (), False
        self._out: Any = native.ffi.new("struct emu_sample *")
        self._room: Any = native.ffi.new("int64_t[]", 16)
        self.calls = -1
        self.bound = 0
        self.counts: list[int] = []
        self.state_hash = 0
        self.left_behind = False

    @property
    def current(self) -> bool:
        """No call that can have changed anything was made since."""
        return bool(self._native.calls[0] == self.calls)

    def take(self, devices: Sequence[int], pfns: Sequence[int], *, quiescence: bool) -> None:
        """Asks, as one direct call.

        Args:
            devices: handles of the devices that may be bound, at most 64
            pfns: of the pages whose references are counted
            quiescence: shall it be looked for what was left behind?

        Raises:
            Violation, KernelPanic, ValueError: as of direct calls.
        """
        n = len(pfns)
        if n > len(self._room):
            self._room = self._native.ffi.new("int64_t[]", 2 * n)
        self._asked = len(devices), devices, n, pfns, quiescence
        self.again()

    def again(self) -> None:
        """Asks the same as the last time.

        Raises:
            Violation, KernelPanic, ValueError: as of direct calls.
        """
        native, out = self._native, self._out
        nr_devices, devices, n, pfns, quiescence = self._asked
        self.calls = -1
        status = self._sample(native.m, nr_devices, devices, n, pfns, quiescence, out, self._room)
        if status or native._exceptions:
            native.check(status)
        self.bound = out.bound
        self.counts = native.ffi.unpack(self._room, n) if n else []
        self.state_hash = out.state_hash
        self.left_behind = out.left_behind != 0
        # What a callback calls is part of the call that it was called from.
        if not native._depth:
            self.calls = out.calls
