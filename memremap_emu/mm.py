# SPDX-License-Identifier: GPL-2.0-only
"""Calls of a kernel about memory as a whole."""

from __future__ import annotations

from typing import Literal

from memremap_emu._native import Native
from memremap_emu.handles import address
from memremap_emu.memory import CacheMode
from memremap_emu.stats import Zone


class MemoryCalls:
    """Zones, sections, the direct map, memory types."""

    _native: Native

    def dev_pagemap_get_ops(self) -> None:
        """dev_pagemap_get_ops()."""
        self._native.call("dev_pagemap_get_ops")

    def dev_pagemap_put_ops(self) -> None:
        """dev_pagemap_put_ops()."""
        self._native.call("dev_pagemap_put_ops")

    @property
    def devmap_managed_key(self) -> bool:
        """static_key_enabled(&devmap_managed_key)."""
        return bool(self._native.call("devmap_managed_key"))

    @property
    def max_pfn(self) -> int:
        """max_pfn."""
        return self._native.call("max_pfn")

    def zone(self, name: Literal["Device", "Normal"] = "Device", node: int = 0) -> Zone:
        """A zone of a node."""
        if name not in ("Device", "Normal"):
            raise ValueError(f"no zone {name!r}; known: Device, Normal")
        which = int(name == "Device")
        return Zone(*(self._native.call("zone_field", node, which, i) for i in range(4)))

    def pfn_valid(self, pfn: int) -> bool:
        """pfn_valid()."""
        return bool(self._native.call("page_field", address(pfn, "pfn"), 13))

    def section_memmap_pfn(self, section: int) -> int | None:
        """First page of the section's memmap in an altmap, None if it is in ordinary memory."""
        pfn = self._native.call("section_memmap_pfn", address(section, "section"))
        return None if pfn == -1 else pfn

    def linear_mapping_present(self, pfn: int) -> bool:
        """Is the page in the direct map?"""
        return bool(self._native.call("linear_mapping_present", address(pfn, "pfn")))

    def zero_shadow_present(self, pfn: int) -> bool:
        """Has the page kasan zero shadow?"""
        return bool(self._native.call("zero_shadow_present", address(pfn, "pfn")))

    def va(self, physical: int) -> int:
        """__va()."""
        return self._native.call("va", address(physical)) & ((1 << 64) - 1)

    def ioremap(self, mode: CacheMode, start: int, size: int) -> int:
        """ioremap_cache(), ioremap_wc(), ioremap_nocache() or ioremap_wt(): address or 0."""
        return self._native.call("ioremap", int(mode), address(start), address(size)) & (
            (1 << 64) - 1
        )

    def iounmap(self, mapped: int) -> None:
        """iounmap()."""
        self._native.call("iounmap", address(mapped))

    def constant(self, name: str) -> int:
        """A constant of the emulated kernel by its name in C; ValueError if it is not known.

        Among them are ``PAGES_PER_SECTION``, ``LIST_POISON1`` and
        ``sizeof(struct dev_pagemap)``.
        """
        return self._native.call("constant", self._native.intern(name)) & ((1 << 64) - 1)
