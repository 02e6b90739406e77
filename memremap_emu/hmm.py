# SPDX-License-Identifier: GPL-2.0-only
"""HMM: memory of devices that processes can use."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import TYPE_CHECKING, overload

from memremap_emu._native import MASK64
from memremap_emu.handles import Object
from memremap_emu.memory import Page, PageMap
from memremap_emu.percpu_ref import PerCpuRef
from memremap_emu.resource import Resource

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel


class VmFault(IntFlag):
    """Results of a page fault; 0: the page is there now."""

    OOM = 0x1
    SIGBUS = 0x2
    MAJOR = 0x4
    RETRY = 0x400


class Pages(Sequence[Page]):
    """The struct pages [first, last) of a device, made when they are asked for."""

    def __init__(self, kernel: Kernel, first: int, last: int) -> None:
        self._kernel = kernel
        self._pfns = range(first, last)

    def __len__(self) -> int:
        return len(self._pfns)

    @overload
    def __getitem__(self, index: int) -> Page: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Page]: ...
    def __getitem__(self, index: int | slice) -> Page | Sequence[Page]:
        if isinstance(index, int):
            return Page(self._kernel, self._pfns[index])
        if index.step not in (None, 1):
            return [Page(self._kernel, pfn) for pfn in self._pfns[index]]
        part = self._pfns[index]
        return Pages(self._kernel, part.start, part.stop)

    def __repr__(self) -> str:
        return f"<pages {self._pfns.start:#x}-{self._pfns.stop - 1:#x}>"


class HmmDevMem(Object):
    """``struct hmm_devmem`` (include/linux/hmm.h)."""

    __slots__ = ()
    _letter = "G"

    def _field(self, index: int) -> int:
        return self._call("hmm_devmem_field", index)

    @property
    def pfn_first(self) -> int:
        """First page."""
        return self._field(0) & MASK64

    @property
    def pfn_last(self) -> int:
        """First page behind it."""
        return self._field(1) & MASK64

    @property
    def pages(self) -> Pages:
        """Its pages."""
        return Pages(self.kernel, self.pfn_first, self.pfn_last)

    @property
    def resource(self) -> Resource:
        """The range."""
        return Resource(self.kernel, self._field(2))

    @property
    def ref(self) -> PerCpuRef:
        """Held once by each page."""
        return PerCpuRef(self.kernel, self._field(3))

    @property
    def pagemap(self) -> PageMap:
        """Its mapping."""
        return PageMap(self.kernel, self._field(4))

    def remove(self) -> None:
        """hmm_devmem_remove(), which a driver has to call before the patch ``hmm-devm``.

        Raises:
            ValueError: a kernel with that patch does not have it.
        """
        self._call("hmm_devmem_remove")

    def __repr__(self) -> str:
        return f"<hmm_devmem {self.pfn_first:#x}-{self.pfn_last - 1:#x}>"


class HmmDevice(Object):
    """``struct hmm_device``: a device that is on no bus and never added."""

    __slots__ = ()
    _letter = "Y"

    def _field(self, index: int) -> int:
        return self._call("hmm_device_field", index)

    @property
    def minor(self) -> int:
        """Its number, 0 to 255."""
        return self._field(0)

    @property
    def major(self) -> int:
        """Major number of all of them."""
        return self._field(1) >> 20

    @property
    def name(self) -> str:
        """dev_name()."""
        return self._native.format(4, self._field(2))

    @property
    def drvdata(self) -> int:
        """What hmm_device_new() was given."""
        return self._field(3) & MASK64

    def put(self) -> None:
        """hmm_device_put(): the last reference makes the minor free again."""
        self._call("hmm_device_put")
