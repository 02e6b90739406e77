# SPDX-License-Identifier: GPL-2.0-only
"""A laboratory for the lifetime of Linux device memory.

from memremap_emu import Kernel

with Kernel() as k:
    k.iomem.load("/proc/iomem")
    pmem = k.driver("pmem", mode="fsdax")
    dev = pmem.device(0x140000000, 1 << 30)
    pmem.bind(dev)
    pmem.unbind(dev)
    k.assert_quiescent()
"""

from memremap_emu.batch import Batch
from memremap_emu.config import Config
from memremap_emu.drivers import NamespaceMode
from memremap_emu.errors import (
    ArenaFull,
    Blocked,
    KernelError,
    KernelPanic,
    MachineClosed,
    TaskDied,
    Violation,
    ViolationRecord,
)
from memremap_emu.kernel import Kernel, Snapshot
from memremap_emu.objects import (
    BusEvent,
    CacheMode,
    Export,
    HmmDevMem,
    IoResource,
    MemoryType,
    Page,
    PageMap,
    PciDevice,
    PerCpuRef,
    Region,
    Resource,
    Taint,
    VmFault,
)

__all__ = [
    "ArenaFull",
    "Batch",
    "Blocked",
    "BusEvent",
    "CacheMode",
    "Config",
    "Export",
    "HmmDevMem",
    "IoResource",
    "Kernel",
    "KernelError",
    "KernelPanic",
    "MachineClosed",
    "MemoryType",
    "NamespaceMode",
    "Page",
    "PageMap",
    "PciDevice",
    "PerCpuRef",
    "Region",
    "Resource",
    "Snapshot",
    "Taint",
    "TaskDied",
    "Violation",
    "ViolationRecord",
    "VmFault",
]
