# SPDX-License-Identifier: GPL-2.0-only
"""Memory maps: ``/proc/iomem`` text in and out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memremap_emu.handles import address, optional_handle
from memremap_emu.resource import IoResource, Region, Resource

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel

LINE = re.compile(r"^( *)([0-9a-f]+)-([0-9a-f]+) : (.*)$")
#: Two lines or more, all addresses zero.
HIDDEN = re.compile(r"(?: *0+-0+ : .*(?:\n|\Z)){2,}")
MAX_LEVEL = 5
#: Bytes of the longest string that a machine takes.
MAX_NAME = 4095
#: Deeper nesting than any machine has.
MAX_DEPTH = 64
PMEM_NAMES = ("Persistent Memory", "Persistent Memory (legacy)")
#: What the running kernel or its drivers have claimed inside persistent memory.
CLAIM = re.compile(r"^(namespace|dax|pfn|btt)\d+\.\d+$")


class IomemError(ValueError):
    """A memory map that cannot be read.

    Attributes:
        source: where it came from
        line: line number, from 1
        reason: what is wrong with it
    """

    def __init__(self, source: str, line: int, reason: str) -> None:
        self.source = source
        self.line = line
        self.reason = reason
        super().__init__(f"{source}:{line}: {reason}")


class HiddenAddressesError(IomemError):
    """A memory map from a reader who was not allowed to see the addresses."""


@dataclass
class Range:
    """One line of a memory map: addresses (end inclusive), name, what lies inside."""

    start: int
    end: int
    name: str
    line: int = 0
    children: list[Range] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start + 1

    def walk(self) -> Iterator[Range]:
        """This range and everything inside, in pre-order."""
        yield self
        for child in self.children:
            yield from child.walk()


def parse(text: str, source: str = "<string>") -> list[Range]:
    """Reads ``/proc/iomem`` text into a forest.

    Raises:
        HiddenAddressesError: all addresses are zero, as an unprivileged reader sees them.
        IomemError: with line number and reason, on anything that is not a memory map.
    """
    if HIDDEN.fullmatch(text):
        raise HiddenAddressesError(source, 1, "the addresses are hidden: read it as root")
    roots: list[Range] = []
    stack: list[Range] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = LINE.match(line)
        if match is None:
            raise IomemError(source, number, f"not a line of a memory map: {line.strip()[:60]!r}")
        indent, first, last, name = match.groups()
        if len(indent) % 2:
            raise IomemError(source, number, "indented by an odd number of blanks")
        depth = len(indent) // 2
        if len(first) > 16 or len(last) > 16:
            raise IomemError(source, number, "an address of more than 64 bits")
        new = Range(int(first, 16), int(last, 16), name, number)
        if new.end < new.start:
            raise IomemError(source, number, "ends before it starts")
        if not name.isprintable():
            raise IomemError(source, number, "a name with characters that cannot be printed")
        if len(name.encode()) > MAX_NAME:
            raise IomemError(source, number, f"a name of more than {MAX_NAME} bytes")
        if len(stack) > MAX_DEPTH:
            raise IomemError(source, number, "nested too deeply")
        if depth > len(stack):
            raise IomemError(source, number, "indented deeper than the line above allows")
        # Nesting deeper than the file shows is drawn at its deepest level.
        while depth < len(stack) and not (
            depth == MAX_LEVEL
            and len(stack) > MAX_LEVEL
            and stack[-1].start <= new.start
            and new.end <= stack[-1].end
        ):
            stack.pop()
        siblings = stack[-1].children if stack else roots
        if stack and not (stack[-1].start <= new.start and new.end <= stack[-1].end):
            raise IomemError(source, number, f"sticks out of {stack[-1].name!r}")
        if siblings and new.start <= siblings[-1].end:
            before = siblings[-1]
            how = "overlaps" if before.start <= new.end else "lies below"
            raise IomemError(source, number, f"{how} {before.name!r} of line {before.line}")
        siblings.append(new)
        stack.append(new)
    return roots


def embedded(name: str = "xeon-hpsa-memmap-4g.txt") -> str:
    """Text of a real memory map that comes with the package."""
    from importlib import resources

    return (resources.files("memremap_emu") / "maps" / name).read_text()


def read_source(source: str | os.PathLike[str]) -> tuple[str, str]:
    """Text and name of a map given as a path or as the text itself."""
    if isinstance(source, str) and ("\n" in source or " : " in source):
        return source, "<string>"
    if not isinstance(source, str | os.PathLike):
        # A number would be a file descriptor, and closed.
        raise TypeError(f"a memory map is a path or a text, not {type(source).__name__}")
    # What is no text is no line of a memory map either, and is refused as such.
    with open(source, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(), os.fspath(source)


class IoMem:
    """The tree of ``iomem_resource``: ``str()`` is what ``/proc/iomem`` shows."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._native = kernel._native

    @property
    def root(self) -> Resource:
        """``iomem_resource``."""
        return Resource(self._kernel, self._native.call("resource_root", 0))

    @property
    def ports(self) -> Resource:
        """``ioport_resource``."""
        return Resource(self._kernel, self._native.call("resource_root", 1))

    def load(self, source: str | os.PathLike[str], *, keep_claims: bool = True) -> None:
        """Fills the tree from a path or from text.

        Names decide what a range is, as they do where boot code makes them: System RAM gets
        its memmap, persistent memory can be driven.  ``keep_claims=False`` drops what the
        kernel that wrote the map had claimed inside persistent memory.

        Raises:
            IomemError: with source, line number and reason; nothing has been loaded then.
            OSError: the file cannot be read.
            KernelError: ENOMEM, with `Kernel.fault_injection`; some of it has been loaded then.
        """
        text, name = read_source(source)
        ranges = parse(text, name)
        root = self.root
        limit = root.end
        there = [(child.start, child.end) for child in root.children]
        for top in ranges:
            if top.end > limit:
                raise IomemError(
                    name, top.line, f"beyond the physical address space, which ends at {limit:#x}"
                )
            if any(start <= top.end and top.start <= end for start, end in there):
                raise IomemError(name, top.line, "overlaps what is there already")
        for top in ranges:
            self._insert(root, top, keep_claims)

    def _insert(self, parent: Resource, new: Range, keep_claims: bool) -> None:
        resource = self.add(new.start, new.end, new.name, parent=parent)
        for child in new.children:
            if new.name in PMEM_NAMES and not keep_claims and CLAIM.match(child.name):
                continue
            self._insert(resource, child, keep_claims)

    def add(
        self, start: int, end: int, name: str, *, flags: int = 0, parent: Resource | None = None
    ) -> Resource:
        """Adds one range as boot code would; ``flags`` 0: as the name says."""
        result = self._native.call(
            "boot_resource",
            optional_handle(parent, Resource, "parent", self._native) or self.root._handle,
            address(start, "start"),
            address(end, "end"),
            self._native.intern(name),
            address(flags, "flags"),
        )
        if result < 0:
            from memremap_emu.errors import KernelError

            raise KernelError(-result, "request_resource", self._native.call_log())
        return Resource(self._kernel, result)

    def resource(
        self, start: int, end: int, name: str | None = None, *, flags: int = 0x200, desc: int = 0
    ) -> Resource:
        """A resource that is not in any tree yet."""
        return self._kernel.resource(start, end, name, flags=flags, desc=desc)

    def find(self, name: str) -> Resource | None:
        """The first resource of this name, in pre-order."""
        for _, resource in self.root.walk():
            if resource.name == name:
                return resource
        return None

    def region_intersects(self, start: int, size: int, flags: int = 0, desc: int = 0) -> Region:
        """region_intersects(): only direct children of the root count."""
        return Region(
            self._native.call(
                "region_intersects", address(start), address(size), address(flags), address(desc)
            )
        )

    def request_region(
        self, start: int, n: int, name: str | None, flags: int = 0
    ) -> Resource | None:
        """request_mem_region(): None if busy or out of memory."""
        return self.root.request_region(start, n, name, flags)

    def release_region(self, start: int, n: int) -> None:
        """release_mem_region()."""
        self.root.release_region(start, n)

    def page_is_ram(self, pfn: int) -> bool:
        """page_is_ram()."""
        return bool(self._native.call("page_is_ram", address(pfn, "pfn")))

    def map_sanity_check(self, start: int, size: int) -> int:
        """iomem_map_sanity_check(): 0, or -1 with a warning."""
        return self._native.call("iomem_map_sanity_check", address(start), address(size))

    def walk(
        self,
        visit: object,
        start: int = 0,
        end: int = (1 << 64) - 1,
        *,
        desc: int = 0,
        flags: int = int(IoResource.SYSTEM_RAM | IoResource.BUSY),
    ) -> int:
        """walk_iomem_res_desc(): ``visit(start, end, flags, desc)`` returns 0 to go on.

        Returns:
            What the walk returned, which is the first non-zero, the last value, or -1 for no match.
        """
        return self._walk("walk_iomem_res_desc", visit, desc, flags, start, end)

    def walk_system_ram(self, visit: object, start: int = 0, end: int = (1 << 64) - 1) -> int:
        """walk_system_ram_res()."""
        return self._walk("walk_system_ram_res", visit, start, end)

    def walk_mem(self, visit: object, start: int = 0, end: int = (1 << 64) - 1) -> int:
        """walk_mem_res()."""
        return self._walk("walk_mem_res", visit, start, end)

    def _walk(self, op: str, visit: object, *args: int) -> int:
        if not callable(visit):
            raise TypeError("visit must be callable")
        native = self._native

        def call(a: int, b: int) -> int:
            flags = native.call("walk_flags") & ((1 << 64) - 1)
            desc = native.call("walk_desc")
            return int(visit(a & ((1 << 64) - 1), b & ((1 << 64) - 1), flags, desc) or 0)

        result = native.call(op, *args, native.callback((op, visit), call))
        return (result & 0xFFFFFFFF) - (1 << 32 if result & 0x80000000 else 0)

    def walk_system_ram_range(self, visit: object, pfn: int, n: int) -> int:
        """walk_system_ram_range(): ``visit(pfn, n)``."""
        if not callable(visit):
            raise TypeError("visit must be callable")
        number = self._native.callback(("range", visit), lambda a, b: int(visit(a, b) or 0))
        result = self._native.call("walk_system_ram_range", address(pfn), address(n), number)
        return (result & 0xFFFFFFFF) - (1 << 32 if result & 0x80000000 else 0)

    def unprivileged(self) -> str:
        """What a reader without CAP_SYS_ADMIN sees."""
        return self._native.format(0, 1)

    def __str__(self) -> str:
        return self._native.format(0, 0)

    def __iter__(self) -> Iterator[tuple[int, Resource]]:
        return self.root.walk()
