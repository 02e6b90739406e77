# SPDX-License-Identifier: GPL-2.0-only
"""Thin handles on the objects of an emulated kernel.

Methods act, properties read the state in C.  Names are the kernel's, without
the prefix that the object already gives.  Unless said otherwise a method may
raise `Blocked`, `Violation`, `KernelError` and the errors of a machine that is
closed, full or dead (`memremap_emu.errors`).
"""

from __future__ import annotations

from memremap_emu.device import Bio, BusEvent, Device, Driver, Notifier
from memremap_emu.handles import Object
from memremap_emu.hmm import HmmDevice, HmmDevMem, Pages, VmFault
from memremap_emu.memory import CacheMode, Memory, MemoryType, Page, PageMap, VmemAltmap
from memremap_emu.module import Build, Export, Module, Taint
from memremap_emu.p2pdma import PciDevice
from memremap_emu.percpu_ref import BIAS, PERCPU_REF_INIT_ATOMIC, PERCPU_REF_INIT_DEAD, PerCpuRef
from memremap_emu.radix_tree import RadixTree
from memremap_emu.resource import IoResource, Region, Resource
from memremap_emu.sync import Completion, Mutex, RwLock, SpinLock, WaitQueue
from memremap_emu.tasks import Task

__all__ = [
    "BIAS",
    "PERCPU_REF_INIT_ATOMIC",
    "PERCPU_REF_INIT_DEAD",
    "Bio",
    "Build",
    "BusEvent",
    "CacheMode",
    "Completion",
    "Device",
    "Driver",
    "Export",
    "HmmDevMem",
    "HmmDevice",
    "IoResource",
    "Memory",
    "MemoryType",
    "Module",
    "Mutex",
    "Notifier",
    "Object",
    "Page",
    "PageMap",
    "Pages",
    "PciDevice",
    "PerCpuRef",
    "RadixTree",
    "Region",
    "Resource",
    "RwLock",
    "SpinLock",
    "Taint",
    "Task",
    "VmFault",
    "VmemAltmap",
    "WaitQueue",
]
