# SPDX-License-Identifier: GPL-2.0-only
"""Reference model of the resource tree: nodes with a list of children."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from errno import EINVAL

BUSY = 0x80000000
MEM = 0x200
TYPE_BITS = 0x1F00
EXT_TYPE_BITS = 0x1000000
SYSTEM_RAM = 0x1000200
INTERSECTS, DISJOINT, MIXED = range(3)
PAGE = 4096


@dataclass(eq=False)
class Res:
    """A resource, end inclusive."""

    start: int
    end: int
    name: str
    flags: int = MEM
    desc: int = 0
    parent: Res | None = None
    children: list[Res] = field(default_factory=list)

    def contains(self, other: Res) -> bool:
        """Does it cover all of the other?"""
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, start: int, end: int) -> bool:
        """Does it have an address in common with [start, end]?"""
        return self.start <= end and start <= self.end

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Res]]:
        """Everything below, in pre-order."""
        for child in self.children:
            yield depth, child
            yield from child.walk(depth + 1)

    def show(self) -> str:
        """What /proc/iomem shows of it."""
        return "".join(
            f"{'  ' * min(depth, 5)}{res.start:08x}-{res.end:08x} : {res.name}\n"
            for depth, res in self.walk()
        )

    # --- one level ---

    def link(self, new: Res) -> None:
        """Makes it a child; there must be room."""
        new.parent = self
        self.children.append(new)
        self.children.sort(key=lambda child: child.start)

    def unlink(self) -> None:
        """Takes it out, with what is below."""
        assert self.parent is not None
        self.parent.children.remove(self)
        self.parent = None

    def request(self, new: Res) -> Res | None:
        """request_resource_conflict(): None, or who is in the way."""
        if new.end < new.start or new.start < self.start or new.end > self.end:
            return self
        for child in self.children:
            if child.overlaps(new.start, new.end):
                return child
        self.link(new)
        return None

    # --- insertion ---

    def insert(self, new: Res) -> Res | None:
        """insert_resource_conflict()."""
        parent = self
        while True:
            conflict = parent.request(new)
            if conflict is None:
                return None
            if conflict is parent:
                return conflict
            if conflict.contains(new) and not new.contains(conflict):
                parent = conflict
                continue
            break
        swallowed = [c for c in parent.children if c.overlaps(new.start, new.end)]
        for child in swallowed:
            if not new.contains(child):
                return child
        for child in swallowed:
            child.unlink()
            new.link(child)
        parent.link(new)
        return None

    def insert_expand_to_fit(self, new: Res) -> list[str]:
        """insert_resource_expand_to_fit(): what it says."""
        said = []
        while True:
            conflict = self.insert(new)
            if conflict is None or conflict is self:
                return said
            new.start = min(new.start, conflict.start)
            new.end = max(new.end, conflict.end)
            said.append(f"Expanded resource {new.name} due to conflict with {conflict.name}")

    # --- removal ---

    def ancestors(self) -> list[Res]:
        """Itself and what it lies in, up to the root."""
        return [self, *(self.parent.ancestors() if self.parent else [])]

    def remove(self) -> None:
        """remove_resource(): the children stay."""
        parent = self.parent
        assert parent is not None
        self.unlink()
        for child in list(self.children):
            child.unlink()
            parent.link(child)

    def adjust(self, start: int, size: int) -> bool:
        """adjust_resource(): False if refused; it cannot pass a neighbour either."""
        end = start + size - 1
        parent = self.parent
        assert parent is not None
        if start < parent.start or end > parent.end:
            return False
        place = parent.children.index(self)
        if any(before.end >= start for before in parent.children[:place]):
            return False
        if any(after.start <= end for after in parent.children[place + 1 :]):
            return False
        if any(child.start < start or child.end > end for child in self.children):
            return False
        self.start, self.end = start, end
        return True

    def lookup(self, start: int) -> Res | None:
        """lookup_resource()."""
        for child in self.children:
            if child.start == start:
                return child
        return None

    def allocate(self, new: Res, size: int, minimum: int, maximum: int, align: int) -> bool:
        """allocate_resource(): the lowest place that fits."""
        edges = [self.start] + [child.end + 1 for child in self.children]
        ends = [child.start - 1 for child in self.children] + [self.end]
        for first, last in zip(edges, ends, strict=True):
            first, last = max(first, minimum), min(last, maximum)
            first = -(-first // align) * align
            if first + size - 1 <= last:
                new.start, new.end = first, first + size - 1
                self.link(new)
                return True
        return False

    # --- regions ---

    def request_region(self, start: int, n: int, name: str, flags: int = 0) -> Res | None:
        """__request_region()."""
        parent = self
        while True:
            new = Res(
                start,
                start + n - 1,
                name,
                parent.flags & (TYPE_BITS | EXT_TYPE_BITS) | BUSY | flags,
                parent.desc,
            )
            conflict = parent.request(new)
            if conflict is None:
                return new
            if conflict is parent or conflict.flags & BUSY:
                return None
            parent = conflict

    def find_region(self, start: int, end: int) -> Res | None:
        """The busy region at the bottom that covers [start, end]."""
        for child in self.children:
            if child.start <= start and end <= child.end:
                return child if child.flags & BUSY else child.find_region(start, end)
        return None

    def release_region(self, start: int, n: int) -> tuple[Res | None, list[str]]:
        """__release_region(): what has been freed, what has been said."""
        end = start + n - 1
        found = self.find_region(start, end)
        if found and (found.start, found.end) == (start, end):
            found.unlink()
            return found, []
        return None, [f"Trying to free nonexistent resource <{start:016x}-{end:016x}>"]

    def release_adjustable(self, start: int, size: int) -> tuple[int, Res | None, Res | None]:
        """release_mem_region_adjustable(): error, what has been freed, what is new."""
        end = start + size - 1
        found = self.find_region(start, end)
        if found is None or found.flags & MEM != MEM:
            return EINVAL, None, None
        if (found.start, found.end) == (start, end):
            found.unlink()
            return 0, found, None
        if found.start == start:
            found.start = end + 1
        elif found.end == end:
            found.end = start - 1
        else:
            rest = Res(end + 1, found.end, found.name, found.flags, found.desc)
            found.end = start - 1
            parent = found.parent
            assert parent is not None
            parent.link(rest)
            return 0, None, rest
        return 0, None, None

    # --- queries ---

    def intersects(self, start: int, size: int, flags: int, desc: int) -> int:
        """region_intersects()."""
        typed = other = 0
        for child in self.children:
            if child.overlaps(start, start + size - 1):
                if child.flags & flags == flags and desc in (0, child.desc):
                    typed += 1
                else:
                    other += 1
        if not typed:
            return DISJOINT
        return MIXED if other else INTERSECTS

    def hits(
        self, start: int, end: int, flags: int, desc: int, *, top_only: bool
    ) -> Iterator[tuple[int, int, int, int]]:
        """What the walkers report: (start, end, flags, desc) clipped to what was asked for.

        The quirks are v4.19's: a region that starts exactly at ``end`` is missed, and after
        the first hit its flags are the filter.
        """
        while start < end:
            candidates = [(0, c) for c in self.children] if top_only else list(self.walk())
            for _, res in candidates:
                if (
                    res.flags & flags == flags
                    and desc in (0, res.desc)
                    and res.end >= start
                    and res.start < end
                ):
                    break
            else:
                return
            clipped = max(start, res.start), min(end, res.end)
            flags = res.flags
            yield *clipped, res.flags, res.desc
            start = clipped[1] + 1

    def walk_hits(
        self,
        visit: Callable[..., int],
        start: int,
        end: int,
        flags: int,
        desc: int = 0,
        *,
        top_only: bool = False,
    ) -> int:
        """walk_iomem_res_desc() and the others: what they return."""
        result = -1
        for hit in self.hits(start, end, flags, desc, top_only=top_only):
            result = visit(*hit)
            if result:
                break
        return result

    def walk_system_ram_range(self, visit: Callable[[int, int], int], pfn: int, n: int) -> int:
        """walk_system_ram_range()."""
        result = -1
        for start, end, _, _ in self.hits(
            pfn * PAGE, (pfn + n) * PAGE - 1, SYSTEM_RAM | BUSY, 0, top_only=True
        ):
            first, last = -(-start // PAGE), (end + 1) // PAGE
            if last > first:
                result = visit(first, last - first)
                if result:
                    break
        return result
