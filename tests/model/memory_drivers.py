# SPDX-License-Identifier: GPL-2.0-only
"""A stupid model of hmm, hmm_public and p2pdma: lists of ranges, dicts of counts.

Written from what the drivers promise: where private memory goes, what a page
counts, what the reference of a device counts, and who is told of an idle page.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SECTION = 1 << 27
PAGE = 1 << 12
TOP = 1 << 46


@dataclass
class ModelDevice:
    """A device: its kind, its ranges (start, size) while bound, and its users."""

    kind: str
    memory: list[tuple[int, int]]
    bound: bool = False
    users: dict[int, int] = field(default_factory=dict)
    pieces: list[tuple[int, int]] = field(default_factory=list)
    freed: int = 0
    faults: int = 0

    @property
    def pages(self) -> int:
        """Number of its pages."""
        return sum(size for _, size in self.memory) // PAGE

    @property
    def ref(self) -> int:
        """The logical count of its reference: the initial one, one a page, one a piece."""
        return 1 + self.pages + len(self.pieces)

    def count(self, pfn: int) -> int:
        """Count of a page: idle is 1."""
        return 1 + self.users.get(pfn, 0)


class Model:
    """All devices, and the ranges that anything takes up."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def free_range(self, size: int) -> int | None:
        """Highest free multiple of the size below the top, None if there is none."""
        size = -(-size // SECTION) * SECTION
        start = TOP - size
        while start > size:
            if not any(start < s + n and s < start + size for s, n in self.taken):
                return start
            start -= size
        return None

    def bind(self, device: ModelDevice, size: int = 0) -> None:
        """Takes the device's ranges; private memory finds one first."""
        if device.kind == "hmm":
            start = self.free_range(size)
            assert start is not None
            device.memory = [(start, -(-size // SECTION) * SECTION)]
            self.taken += device.memory
        device.bound = True
        device.freed = device.faults = 0

    def unbind(self, device: ModelDevice) -> None:
        """Gives private memory's range back; BARs stay where they are."""
        assert not device.users
        device.bound = False
        if device.kind == "hmm":
            self.taken.remove(device.memory[0])

    @staticmethod
    def get(device: ModelDevice, pfn: int) -> None:
        """One more user of a page."""
        device.users[pfn] = device.users.get(pfn, 0) + 1

    @staticmethod
    def put(device: ModelDevice, pfn: int) -> None:
        """One user less; the last one is told to drivers of HMM."""
        device.users[pfn] -= 1
        if not device.users[pfn]:
            del device.users[pfn]
            if device.kind != "p2pdma":
                device.freed += 1
