# SPDX-License-Identifier: GPL-2.0-only
"""The configuration of a machine: its ``.config``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Config:
    """Configuration of an emulated kernel.

    Attributes:
        page_shift: log2 of the page size: 12 (4 KiB), 14 or 16
        section_size_bits: log2 of the bytes of a memory section, 27 (128 MiB) on x86-64
        max_physmem_bits: bits of physical address that sections cover
        physical_bits: bits of physical address of the CPU; iomem ends there
        numa_nodes: number of nodes, 1..4
        zone_device: CONFIG_ZONE_DEVICE
        device_private: CONFIG_DEVICE_PRIVATE
        device_public: CONFIG_DEVICE_PUBLIC
        dev_pagemap_ops: CONFIG_DEV_PAGEMAP_OPS
        kasan: CONFIG_KASAN: shadow is added and removed with device memory
        pat: memory types are tracked (x86 PAT)
        preempt_rcu: CONFIG_PREEMPT_RCU: RCU and RCU-sched are two flavours
        debug_vm: CONFIG_DEBUG_VM: page count checks, poisoned memmap
        debug_devres: devres.log=1
        panic_on_warn: a WARN panics
        arena_size: bytes of address space for the machine's memory

    Raises:
        ValueError: a combination that no kernel can be built with, with the reason.
    """

    page_shift: int = 12
    section_size_bits: int = 27
    max_physmem_bits: int = 46
    physical_bits: int = 46
    numa_nodes: int = 1
    zone_device: bool = True
    device_private: bool = True
    device_public: bool = True
    dev_pagemap_ops: bool = True
    kasan: bool = True
    pat: bool = True
    preempt_rcu: bool = True
    debug_vm: bool = True
    debug_devres: bool = False
    panic_on_warn: bool = False
    arena_size: int = 64 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "bool" and not isinstance(value, bool):
                raise TypeError(f"Config.{field.name} must be a bool, not {value!r}")
            if field.type == "int" and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"Config.{field.name} must be an int, not {value!r}")
        self._require(self.page_shift in (12, 14, 16), "page_shift must be 12, 14 or 16")
        self._require(
            self.page_shift + 9 <= self.section_size_bits <= 30,
            "section_size_bits must be from page_shift + 9 (a pageblock) to 30",
        )
        self._require(
            self.section_size_bits < self.max_physmem_bits <= 52,
            "max_physmem_bits must be above section_size_bits and at most 52",
        )
        self._require(
            self.section_size_bits < self.physical_bits <= 52,
            "physical_bits must be above section_size_bits and at most 52",
        )
        self._require(1 <= self.numa_nodes <= 4, "numa_nodes must be 1 to 4")
        self._require(
            256 << 10 <= self.arena_size <= 1 << 36, "arena_size must be 256 KiB to 64 GiB"
        )
        for name in ("device_private", "device_public"):
            if getattr(self, name):
                self._require(self.zone_device, f"{name} needs zone_device")
                self._require(self.dev_pagemap_ops, f"{name} selects dev_pagemap_ops")
        if self.dev_pagemap_ops:
            self._require(self.zone_device, "dev_pagemap_ops needs zone_device")

    @staticmethod
    def _require(condition: bool, reason: str) -> None:
        if not condition:
            raise ValueError(f"Config: {reason}")

    def native(self) -> dict[str, Any]:
        """The fields of ``struct emu_config`` that are the configuration's."""
        return {f.name: int(getattr(self, f.name)) for f in fields(self)}
