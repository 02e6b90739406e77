# SPDX-License-Identifier: GPL-2.0-only
"""Radix trees."""

from __future__ import annotations

from memremap_emu.handles import Object, address


class RadixTree(Object):
    """A radix tree of one's own (lib/radix-tree.c); items are numbers from 1 to 2**60 - 1."""

    __slots__ = ()
    _letter = "T"

    def insert(self, index: int, item: int, order: int = 0) -> None:
        """__radix_tree_insert(): KernelError EEXIST or ENOMEM."""
        self._call("radix_tree_insert", address(index, "index"), order, address(item, "item"))

    def lookup(self, index: int) -> int | None:
        """radix_tree_lookup()."""
        return self._call("radix_tree_lookup", address(index, "index")) or None

    def delete(self, index: int) -> int | None:
        """radix_tree_delete()."""
        return self._call("radix_tree_delete", address(index, "index")) or None

    def delete_item(self, index: int, item: int) -> int | None:
        """radix_tree_delete_item()."""
        return self._call("radix_tree_delete_item", address(index), address(item)) or None

    @property
    def empty(self) -> bool:
        """radix_tree_empty()."""
        return bool(self._call("radix_tree_empty"))
