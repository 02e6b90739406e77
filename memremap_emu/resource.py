# SPDX-License-Identifier: GPL-2.0-only
"""Resources."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, IntFlag

from memremap_emu._native import MASK64
from memremap_emu.handles import Object, address, handle_of


class Region(IntEnum):
    """Results of ``region_intersects()``."""

    INTERSECTS = 0
    DISJOINT = 1
    MIXED = 2


class IoResource(IntFlag):
    """``IORESOURCE_*`` flags."""

    IO = 0x100
    MEM = 0x200
    REG = 0x300
    IRQ = 0x400
    DMA = 0x800
    BUS = 0x1000
    PREFETCH = 0x2000
    MEM_64 = 0x100000
    WINDOW = 0x200000
    MUXED = 0x400000
    SYSRAM = 0x1000000
    SYSTEM_RAM = 0x1000200
    EXCLUSIVE = 0x8000000
    DISABLED = 0x10000000
    UNSET = 0x20000000
    BUSY = 0x80000000


class Resource(Object):
    """``struct resource`` (kernel/resource.c)."""

    __slots__ = ()
    _letter = "E"

    @property
    def start(self) -> int:
        """First address."""
        return self._call("resource_start") & MASK64

    @property
    def end(self) -> int:
        """Last address, inclusive."""
        return self._call("resource_end") & MASK64

    @property
    def size(self) -> int:
        """resource_size(), bytes."""
        return (self.end - self.start + 1) & MASK64

    @property
    def flags(self) -> int:
        """``IORESOURCE_*``."""
        return self._call("resource_flags") & MASK64

    @property
    def desc(self) -> int:
        """``IORES_DESC_*``."""
        return self._call("resource_desc") & MASK64

    @desc.setter
    def desc(self, value: int) -> None:
        self._call("resource_set_desc", address(value, "desc"))

    @property
    def name(self) -> str:
        """Who holds it."""
        return self._native.format(3, self._handle)

    def _link(self, op: str) -> Resource | None:
        handle = self._call(op)
        return Resource(self.kernel, handle) if handle else None

    @property
    def parent(self) -> Resource | None:
        """Resource that contains it, None for a root or an unlinked one."""
        return self._link("resource_parent")

    @property
    def children(self) -> list[Resource]:
        """Direct children in ascending order."""
        found = []
        child = self._link("resource_child")
        while child is not None:
            found.append(child)
            child = child._link("resource_sibling")
        return found

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Resource]]:
        """Everything below in pre-order: (depth, resource)."""
        for child in self.children:
            yield depth, child
            yield from child.walk(depth + 1)

    def request(self, new: Resource) -> None:
        """request_resource(self, new)."""
        self._call("request_resource", handle_of(new, Resource, "new", self._native))

    def request_conflict(self, new: Resource) -> Resource | None:
        """request_resource_conflict(): the resource in the way, or None."""
        handle = self._call(
            "request_resource_conflict", handle_of(new, Resource, "new", self._native)
        )
        return Resource(self.kernel, handle) if handle else None

    def insert(self, new: Resource) -> None:
        """insert_resource(self, new)."""
        self._call("insert_resource", handle_of(new, Resource, "new", self._native))

    def insert_expand_to_fit(self, new: Resource) -> None:
        """insert_resource_expand_to_fit(self, new)."""
        self._call("insert_resource_expand_to_fit", handle_of(new, Resource, "new", self._native))

    def release(self) -> None:
        """release_resource(self): with its subtree."""
        self._call("release_resource")

    def remove(self) -> None:
        """remove_resource(self): its children take its place."""
        self._call("remove_resource")

    def adjust(self, start: int, size: int) -> None:
        """adjust_resource(self, start, size)."""
        self._call("adjust_resource", address(start, "start"), address(size, "size"))

    def lookup(self, start: int) -> Resource | None:
        """lookup_resource(self, start)."""
        handle = self._call("lookup_resource", address(start, "start"))
        return Resource(self.kernel, handle) if handle else None

    def allocate(
        self, new: Resource, size: int, minimum: int, maximum: int, align: int = 1
    ) -> None:
        """allocate_resource(self, new, size, min, max, align)."""
        self._call(
            "allocate_resource",
            handle_of(new, Resource, "new", self._native),
            address(size, "size"),
            address(minimum, "minimum"),
            address(maximum, "maximum"),
            address(align, "align"),
        )

    def request_region(
        self, start: int, n: int, name: str | None, flags: int = 0
    ) -> Resource | None:
        """__request_region(self, start, n, name, flags): None if busy or out of memory."""
        handle = self._call(
            "request_region",
            address(start, "start"),
            address(n, "n"),
            self._native.intern(name),
            address(flags, "flags"),
        )
        return Resource(self.kernel, handle) if handle else None

    def release_region(self, start: int, n: int) -> None:
        """__release_region(self, start, n)."""
        self._call("release_region", address(start, "start"), address(n, "n"))

    def release_region_adjustable(self, start: int, size: int) -> None:
        """release_mem_region_adjustable(self, start, size)."""
        self._call("release_mem_region_adjustable", address(start, "start"), address(size, "size"))

    def free(self) -> None:
        """kfree() of the structure."""
        self._call("resource_free")

    @property
    def pR(self) -> str:
        """``%pR``: decoded flags."""
        return self._native.format(1, self._handle)

    @property
    def pr(self) -> str:
        """``%pr``: raw flags."""
        return self._native.format(2, self._handle)

    def tree(self) -> str:
        """What lies below, in the format of /proc/iomem."""
        return self._native.format(6, self._handle)

    def __repr__(self) -> str:
        return f"<resource {self.name!r} {self.pr}>"
