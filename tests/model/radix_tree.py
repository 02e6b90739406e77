# SPDX-License-Identifier: GPL-2.0-only
"""Reference model of the radix tree: a list of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EEXIST

LAST_INDEX = (1 << 64) - 1


@dataclass(frozen=True)
class Block:
    """2**order indices from ``first`` on, a multiple of that, that share an item."""

    first: int
    order: int
    item: int

    @property
    def last(self) -> int:
        """Last index that it covers."""
        return self.first + (1 << self.order) - 1

    def covers(self, index: int) -> bool:
        """Is the index in the block?"""
        return self.first <= index <= self.last


class RadixTreeModel:
    """What is in a radix tree."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []

    def insert(self, index: int, item: int, order: int) -> int:
        """__radix_tree_insert(): 0 or EEXIST."""
        new = Block(index - index % (1 << order), order, item)
        for block in self.blocks:
            if block.first <= new.last and new.first <= block.last:
                return EEXIST
        self.blocks.append(new)
        return 0

    def lookup(self, index: int) -> int | None:
        """radix_tree_lookup()."""
        for block in self.blocks:
            if block.covers(index):
                return block.item
        return None

    def delete(self, index: int, item: int | None = None) -> int | None:
        """radix_tree_delete(), and radix_tree_delete_item() with an item."""
        for block in self.blocks:
            if block.covers(index):
                if item is not None and item != block.item:
                    return None
                self.blocks.remove(block)
                return block.item
        return None

    def edges(self) -> list[int]:
        """Indices at and around the ends of all blocks."""
        found = {0, LAST_INDEX}
        for block in self.blocks:
            found |= {block.first - 1, block.first, block.last, block.last + 1}
            found |= {block.first + (1 << block.order) // 2}
        return sorted(index for index in found if 0 <= index <= LAST_INDEX)
