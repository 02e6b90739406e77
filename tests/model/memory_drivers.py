# SPDX-License-Identifier: GPL-2.0-only
"""A stupid model of hmm, hmm_public and p2pdma: lists of ranges, dicts of counts.

Written from what the drivers promise: where private memory goes, what a page
counts, what the reference of a device counts, and who is told of an idle page.

The model is told which patches are on, by name, and knows what these change:

``hmm-devm``             HMM's memory goes with its device; before, the driver has to remove it
``hmm-memremap``         pages of HMM hold the reference and are found in the index; before,
                         neither
``p2pdma-resource-ref``  each BAR has a reference of its own, the function has none
``final-put``            an unbind waits for whoever holds a page; before, it takes it away
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
    patches: frozenset[str]
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
    def pages_hold(self) -> bool:
        """Does each page hold the reference, and is it found in the index?"""
        return self.kind == "p2pdma" or "hmm-memremap" in self.patches

    @property
    def refs(self) -> list[int]:
        """Logical counts: the initial one, one a page, one a piece; of each reference."""
        parts = [self.memory]
        if self.kind == "p2pdma" and "p2pdma-resource-ref" in self.patches:
            parts = [[part] for part in self.memory]
        return [
            1 + self.pages_hold * sum(size // PAGE for _, size in part) + self.pieces_in(part)
            for part in parts
        ]

    def pieces_in(self, part: list[tuple[int, int]]) -> int:
        """How many of the pieces that have been handed out lie in these ranges?"""
        return sum(start <= at < start + size for at, _ in self.pieces for start, size in part)

    @property
    def must_be_removed(self) -> bool:
        """Has the driver to remove the memory before it goes?"""
        return self.kind != "p2pdma" and "hmm-devm" not in self.patches

    @property
    def waits_for(self) -> bool:
        """Is there somebody whom an unbind waits for?"""
        return bool(self.pieces or ("final-put" in self.patches and self.users))

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
        assert not device.users and not device.pieces
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
