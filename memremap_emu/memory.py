# SPDX-License-Identifier: GPL-2.0-only
"""Device memory: pagemaps, pages; and allocations."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from memremap_emu._native import MASK64, Native
from memremap_emu.handles import Object, address, optional_handle
from memremap_emu.percpu_ref import PerCpuRef

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel


class MemoryType(IntEnum):
    """``enum memory_type``; PLAIN is what device-dax leaves it at."""

    PLAIN = 0
    PRIVATE = 1
    PUBLIC = 2
    FS_DAX = 3
    PCI_P2PDMA = 4


class CacheMode(IntEnum):
    """Memory types of an ioremap."""

    WB = 0
    WC = 1
    UC_MINUS = 2
    WT = 4


class Memory(Object):
    """An allocation of the kernel's heap."""

    __slots__ = ()
    _letter = "A"

    def read(self, offset: int = 0) -> int:
        """One byte; a redzone can be read, which is out of bounds."""
        return self._call("memory_access", offset, 0, 0)

    def write(self, offset: int, value: int) -> None:
        """One byte."""
        self._call("memory_access", offset, 1, value)

    def free(self) -> None:
        """kfree()."""
        self._call("kfree")


class VmemAltmap:
    """``struct vmem_altmap`` of a pagemap; all counts in pages."""

    def __init__(self, pagemap: PageMap) -> None:
        self._pagemap = pagemap

    def _field(self, index: int) -> int:
        return self._pagemap._call("pagemap_field", index)

    @property
    def base_pfn(self) -> int:
        """First page of the mapping."""
        return self._field(5)

    @property
    def reserve(self) -> int:
        """Pages of the driver at the base."""
        return self._field(6)

    @property
    def free(self) -> int:
        """Pages that may hold struct pages."""
        return self._field(7)

    @property
    def align(self) -> int:
        """Pages lost to alignment."""
        return self._field(8)

    @property
    def alloc(self) -> int:
        """Pages handed out."""
        return self._field(9)


class PageMap(Object):
    """``struct dev_pagemap`` (include/linux/memremap.h)."""

    __slots__ = ()
    _letter = "P"

    def _field(self, index: int) -> int:
        return self._call("pagemap_field", index)

    @property
    def start(self) -> int:
        """res.start."""
        return self._field(0) & MASK64

    @property
    def end(self) -> int:
        """res.end, inclusive."""
        return self._field(1) & MASK64

    @property
    def type(self) -> MemoryType:
        """type."""
        return MemoryType(self._field(2))

    @property
    def dev_set(self) -> bool:
        """devm_memremap_pages() has set dev."""
        return bool(self._field(3))

    @property
    def altmap(self) -> VmemAltmap:
        """altmap."""
        return VmemAltmap(self)

    @property
    def altmap_valid(self) -> bool:
        """altmap_valid."""
        return bool(self._field(4))

    @property
    def ref(self) -> PerCpuRef | None:
        """ref."""
        handle = self._field(10)
        return PerCpuRef(self.kernel, handle) if handle else None

    def set_ref(
        self,
        ref: PerCpuRef | None,
        kill: Callable[[PerCpuRef], Any] | bool | None = True,
        cleanup: Callable[[PerCpuRef], Any] | None = None,
    ) -> None:
        """Sets ref, kill and cleanup.

        ``kill``: True for percpu_ref_kill() itself, None or False for none, or a callable.
        ``cleanup`` waits for the ref to be idle and exits it.  A kernel has the callbacks from
        the patches ``shutdown`` and ``final-put`` on; before, they are never called.
        """
        if callable(kill):
            function = kill
            ref_object = ref

            def call_kill(a: int, b: int) -> Any:
                return function(ref_object if ref_object else PerCpuRef(self.kernel, a))

            number = self._native.callback((kill, self, ref), call_kill)
        else:
            number = -1 if kill else 0
        self._call("pagemap_set_ref", optional_handle(ref, PerCpuRef, "ref", self._native), number)
        number = 0
        if cleanup is not None:
            clean = cleanup
            owner = ref
            number = self._native.callback(
                (cleanup, self, ref),
                lambda a, b: clean(owner if owner else PerCpuRef(self.kernel, a)),
            )
        self._call("pagemap_set_cleanup", number)

    def set_altmap(self, base_pfn: int, reserve: int, free: int) -> None:
        """Fills the altmap and sets altmap_valid; counts in pages."""
        self._call("pagemap_set_altmap", address(base_pfn), address(reserve), address(free))

    def put(self) -> None:
        """put_dev_pagemap()."""
        self._call("put_dev_pagemap")

    def free(self) -> None:
        """kfree() of the structure."""
        self._call("pagemap_free")

    def __repr__(self) -> str:
        return f"<dev_pagemap {self.start:#x}-{self.end:#x} {self.type.name}>"


class Page:
    """A struct page, by its pfn; nothing is looked at before it is asked for."""

    __slots__ = ("_get", "_native", "_put", "kernel", "pfn")

    def __init__(self, kernel: Kernel, pfn: int) -> None:
        self.kernel = kernel
        self.pfn = address(pfn, "pfn")
        self._native = kernel._native
        # Looked up once: these two are what loops of tests and benchmarks call.
        self._get = self._native.lib.emu_page_get
        self._put = self._native.lib.emu_page_put

    def get(self) -> None:
        """get_page()."""
        status = self._get(self._native.m, self.pfn)
        if status:
            self._native.check(status)

    def put(self) -> None:
        """put_page(): the last reference goes back to the pagemap."""
        status = self._put(self._native.m, self.pfn)
        # A callback that raised is no status.
        if status or self._native._exceptions:
            self._native.check(status)

    @staticmethod
    def _pfn_for(page: object, native: Native) -> int:
        """The pfn of an argument for ``native``.

        Raises:
            TypeError: no page.
            ValueError: of another kernel.
        """
        if not isinstance(page, Page):
            raise TypeError(f"page must be a Page, not {type(page).__name__}")
        if page._native is not native:
            raise ValueError("page belongs to another kernel")
        return page.pfn

    def _field(self, index: int) -> int:
        return self._native.call("page_field", self.pfn, index)

    @property
    def count(self) -> int:
        """page_count()."""
        return self._field(0)

    @property
    def mapcount(self) -> int:
        """page_mapcount()."""
        return self._field(1)

    @property
    def reserved(self) -> bool:
        """PageReserved()."""
        return bool(self._field(2) & 8)

    @property
    def active(self) -> bool:
        """PageActive()."""
        return bool(self._field(2) & 2)

    @active.setter
    def active(self, on: bool) -> None:
        self._native.call("page_set", self.pfn, 1, int(on))

    @property
    def waiters(self) -> bool:
        """PageWaiters()."""
        return bool(self._field(2) & 4)

    @waiters.setter
    def waiters(self, on: bool) -> None:
        self._native.call("page_set", self.pfn, 2, int(on))

    @property
    def zone(self) -> str:
        """Name of its zone: ``Device``, ``Normal``, ..."""
        return ("DMA", "DMA32", "Normal", "Movable", "Device")[self._field(3)]

    @property
    def nid(self) -> int:
        """page_to_nid()."""
        return self._field(4)

    @property
    def pgmap(self) -> PageMap | None:
        """page->pgmap, None if nobody has claimed the page."""
        handle = self._field(8)
        return PageMap(self.kernel, handle) if handle else None

    @property
    def pgmap_word(self) -> str:
        """What the word of pgmap holds: ``NULL``, ``set``, ``selflru``, ``poison``, ``ffff``."""
        return ("NULL", "set", "selflru", "poison", "ffff")[self._field(5)]

    @property
    def hmm_data(self) -> int:
        """page->hmm_data, unsigned."""
        return self._field(6) & MASK64

    @hmm_data.setter
    def hmm_data(self, value: int) -> None:
        self._native.call("page_set", self.pfn, 5, address(value, "hmm_data"))

    @property
    def drvdata(self) -> int:
        """hmm_devmem_page_get_drvdata(), unsigned."""
        return self.hmm_data

    @drvdata.setter
    def drvdata(self, value: int) -> None:
        self._native.call("page_set", self.pfn, 5, address(value, "drvdata"))

    def touch(self, *, write: bool = False) -> None:
        """A load or store through the direct map; a page that is not in it faults.

        Raises:
            Violation: ``linear-map`` for a device-private page.
        """
        self._native.call("linear_access", self.pfn, int(write))

    @property
    def locked(self) -> bool:
        """PageLocked()."""
        return bool(self._field(2) & 1)

    @locked.setter
    def locked(self, on: bool) -> None:
        self._native.call("page_set", self.pfn, 0, int(on))

    @property
    def mapping(self) -> int:
        """page->mapping, 0 if none."""
        return self._field(7) & MASK64

    @mapping.setter
    def mapping(self, value: int) -> None:
        self._native.call("page_set", self.pfn, 4, address(value, "mapping"))

    @property
    def is_device_private(self) -> bool:
        """is_device_private_page()."""
        return bool(self._field(9))

    @property
    def is_device_public(self) -> bool:
        """is_device_public_page()."""
        return bool(self._field(10))

    @property
    def is_zone_device(self) -> bool:
        """is_zone_device_page()."""
        return bool(self._field(11))

    @property
    def initialised(self) -> bool:
        """False while the struct page holds the poison of a fresh memmap."""
        return not self._field(12)

    @property
    def valid(self) -> bool:
        """pfn_valid()."""
        return bool(self._field(13))

    @property
    def of_device(self) -> bool:
        """Valid, initialised, and claimed by a pagemap."""
        return bool(self._field(15))

    @property
    def online(self) -> bool:
        """pfn_to_online_page() finds it."""
        return bool(self._field(14))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and other.pfn == self.pfn and other.kernel is self.kernel

    def __hash__(self) -> int:
        return hash((id(self.kernel), self.pfn))

    def __repr__(self) -> str:
        return f"<page {self.pfn:#x}>"
