# SPDX-License-Identifier: GPL-2.0-only
"""Reference model of device memory: dense arrays of pages, one column for each thing to see.

Sections are 128 MiB, pages 4 KiB, a section's struct pages fill 512 pages:
x86-64 as configured by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, ENOMEM, ENXIO

from tests.model.percpu_ref import RefModel, World

PAGES = 0x8000  # in a section
SECTION = 27
PAGE = 12
MEMMAP_PAGES = 512  # that a section's struct pages fill
LIST_POISON2 = 0xDEAD000000000200
PLAIN, PRIVATE, PUBLIC, FS_DAX, P2PDMA = range(5)
MANAGED = (PRIVATE, PUBLIC, FS_DAX)


class Pages:
    """The struct pages of a section."""

    def __init__(self) -> None:
        self.initialised = [False] * PAGES
        self.count = [0] * PAGES
        self.owner: list[PageMapModel | None] = [None] * PAGES
        self.hmm_data: list[int | None] = [None] * PAGES  # None: the page's own list head
        self.mapping = [0] * PAGES
        self.active = [False] * PAGES
        self.waiters = [False] * PAGES

    def initialise(self, first: int) -> None:
        """memmap_init_zone() of all from ``first`` on."""
        n = PAGES - first
        self.initialised[first:] = [True] * n
        self.count[first:] = [1] * n
        self.owner[first:] = [None] * n
        self.hmm_data[first:] = [None] * n
        self.mapping[first:] = [0] * n
        self.active[first:] = [False] * n
        self.waiters[first:] = [False] * n


@dataclass
class AltmapModel:
    """struct vmem_altmap."""

    base_pfn: int
    reserve: int
    free: int
    align: int = 0
    alloc: int = 0

    def allocate(self, n: int) -> int | None:
        """The pfn of n pages, naturally aligned; None if they do not fit."""
        following = self.base_pfn + self.reserve + self.alloc + self.align
        natural = n & -n
        pad = -following % natural
        if n + pad > max(self.free - (self.alloc + self.align), 0):
            return None
        self.alloc += n
        self.align += pad
        return following + pad


@dataclass(eq=False, repr=False)
class PageMapModel:
    """struct dev_pagemap, end inclusive."""

    name: str
    start: int
    end: int
    type: int
    ref: RefModel | None
    has_kill: bool = True
    gentle: bool = True
    altmap: AltmapModel | None = None
    device: str = ""
    kills: int = 0

    def __repr__(self) -> str:
        return f"<pagemap {self.start:#x}-{self.end:#x} type {self.type} {self.name}>"

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start + 1

    @property
    def sections(self) -> range:
        """Sections that it takes, whole ones."""
        return range(self.start >> SECTION, ((self.start + self.size - 1) >> SECTION) + 1)

    @property
    def indexed(self) -> range:
        """pfns under which get_dev_pagemap() finds it."""
        first = self.start >> PAGE
        return range(first, first + (self.size >> PAGE))

    @property
    def device_pfns(self) -> range:
        """pfns of the pages that hold a reference."""
        first = self.start >> PAGE
        if self.altmap:
            first += self.altmap.reserve + self.altmap.free
        return range(first, max(first, (self.start + self.size) >> PAGE))


@dataclass(eq=False)
class SectionModel:
    """A section that has struct pages."""

    pages: Pages
    memmap_pfn: int | None


@dataclass(eq=False)
class DeviceMemoryModel:
    """All device memory of a kernel."""

    world: World
    ram: list[tuple[int, int]]  # System RAM, end inclusive
    other: list[tuple[int, int]]  # what else lies at the top of the resource tree
    max_pfn: int
    sections: dict[int, SectionModel] = field(default_factory=dict)
    in_zone: set[int] = field(default_factory=set)
    linear: set[int] = field(default_factory=set)  # sections
    shadow: set[int] = field(default_factory=set)
    mapped: list[PageMapModel] = field(default_factory=list)
    managed: dict[str, list[PageMapModel]] = field(default_factory=dict)
    ghosts: dict[int, tuple[SectionModel, int]] = field(default_factory=dict)
    ops: int = 0
    freed: list[int] = field(default_factory=list)

    # --- mapping ---

    def kill(self, pgmap: PageMapModel) -> None:
        """What the pagemap's kill callback does."""
        pgmap.kills += 1
        assert pgmap.ref
        if not (pgmap.gentle and pgmap.ref.dead):
            self.world.run(pgmap.ref.kill())

    def map(self, device: str, pgmap: PageMapModel, *, action_fails: bool = False) -> int:
        """devm_memremap_pages(): 0 or an error number."""
        if not pgmap.ref or not pgmap.has_kill:
            return EINVAL
        sections = pgmap.sections
        edges = sections[0] * PAGES, (sections[-1] + 1) * PAGES - 1
        for pfn, line in zip(edges, (195, 202), strict=True):
            if self.find_live(pfn):
                text = f"drv {device}: Conflicting mapping in same section"
                self.world.warn(f"kernel/memremap.c:{line}", text, once=False)
                return ENOMEM
        error = self.map_checked(device, pgmap)
        if error:
            self.kill(pgmap)
            return error
        self.managed.setdefault(device, []).append(pgmap)
        if action_fails:
            self.unmap(self.managed[device].pop())
            return ENOMEM
        return 0

    def map_checked(self, device: str, pgmap: PageMapModel) -> int:
        """What may fail once the conflict checks have passed."""
        assert pgmap.ref
        sections = pgmap.sections
        first, last = sections[0] << SECTION, ((sections[-1] + 1) << SECTION) - 1
        ram, other = (
            any(start <= last and first <= end for start, end in ranges)
            for ranges in (self.ram, self.other)
        )
        if ram:
            what = "mixed" if other else "ram"
            self.world.warn(
                "kernel/memremap.c:211",
                f"devm_memremap_pages attempted on {what} region "
                f"[mem {pgmap.start:#010x}-{pgmap.end:#010x} flags 0x200]",
            )
            return ENXIO
        pgmap.device = device
        if any(overlap(pgmap.indexed, m.indexed) for m in self.mapped):
            self.world.said.append(f"drv {device}: devm_memremap_pages: failed: -{EEXIST}")
            return EEXIST
        error = self.add_memory(pgmap)
        if error:
            return error
        self.mapped.append(pgmap)
        for section in sections:
            self.in_zone.add(section)
            skip = pgmap.altmap.reserve if pgmap.altmap and section == sections[0] else 0
            self.sections[section].pages.initialise(skip)
        for section, part in by_section(pgmap.device_pfns):
            pages = self.sections[section].pages
            pages.owner[part] = [pgmap] * (part.stop - part.start)
            pages.hmm_data[part] = [LIST_POISON2] * (part.stop - part.start)
        pgmap.ref.get(len(pgmap.device_pfns))
        return 0

    def add_memory(self, pgmap: PageMapModel) -> int:
        """arch_add_memory(), or add_pages() for private memory."""
        altmap = pgmap.altmap if pgmap.type != PRIVATE else None
        error = 0
        if pgmap.type != PRIVATE:
            self.linear |= set(pgmap.sections)
        if altmap and (
            altmap.base_pfn != pgmap.sections[0] * PAGES
            or altmap.reserve + altmap.free > len(pgmap.sections) * PAGES
        ):
            if "altmap" not in self.world.once:
                self.world.once.add("altmap")
                self.world.said.append("memory add fail, invalid altmap")
            error = EINVAL
        else:
            if altmap:
                altmap.alloc = 0
            for section in pgmap.sections:
                pfn = altmap.allocate(MEMMAP_PAGES) if altmap else None
                if altmap and pfn is None:
                    error = ENOMEM
                    break
                assert section not in self.sections
                self.sections[section] = SectionModel(Pages(), pfn)
        if error:
            self.world.warn("arch/x86/mm/init_64.c:805")
        elif pgmap.type != PRIVATE:
            self.shadow |= set(pgmap.sections)
        self.max_pfn = max(self.max_pfn, (pgmap.sections[-1] + 1) * PAGES)
        return error

    def unbind(self, device: str) -> None:
        """devres_release_all(): the newest mapping goes first."""
        for pgmap in reversed(self.managed.pop(device, [])):
            self.unmap(pgmap)

    def unmap(self, pgmap: PageMapModel) -> None:
        """devm_memremap_pages_release()."""
        self.kill(pgmap)
        for section, part in by_section(pgmap.device_pfns):
            counts = self.sections[section].pages.count
            n = part.stop - part.start
            if counts[part].count(1) == n:  # only a short cut
                counts[part] = [0] * n
                assert pgmap.ref
                pgmap.ref.put_one_by_one(n)
                continue
            for i in range(part.start, part.stop):
                self.put_page(section * PAGES + i)
        for section in pgmap.sections:
            gone = self.sections.pop(section)
            self.in_zone.discard(section)
            self.linear -= {section} if pgmap.type != PRIVATE else set()
            self.shadow -= {section} if pgmap.type != PRIVATE else set()
            if pgmap.altmap:
                pgmap.altmap.alloc -= MEMMAP_PAGES
            for i, count in enumerate(gone.pages.count):
                if count > 0 and gone.pages.owner[i] is not None:
                    self.ghosts[section * PAGES + i] = gone, i
        self.mapped.remove(pgmap)

    # --- looking up ---

    def find(self, pfn: int) -> PageMapModel | None:
        """The pagemap in the index."""
        return next((m for m in self.mapped if pfn in m.indexed), None)

    def find_live(self, pfn: int) -> PageMapModel | None:
        """get_dev_pagemap() followed by put_dev_pagemap()."""
        found = self.find(pfn)
        return found if found and found.ref and not found.ref.dead else None

    def get_dev_pagemap(self, pfn: int, held: PageMapModel | None) -> PageMapModel | None:
        """get_dev_pagemap()."""
        if held:
            if held.start <= pfn << PAGE <= held.end:
                return held
            assert held.ref
            held.ref.put()
        found = self.find(pfn)
        if found is None or found.ref is None or not found.ref.tryget_live():
            return None
        return found

    # --- pages ---

    def where(self, pfn: int) -> tuple[Pages, int]:
        """The columns and the place in them, of a page whose section may be gone."""
        section, i = divmod(pfn, PAGES)
        if section in self.sections:
            return self.sections[section].pages, i
        gone, i = self.ghosts[pfn]
        return gone.pages, i

    def owner(self, pfn: int) -> PageMapModel | None:
        """page->pgmap of a page that is there."""
        section, i = divmod(pfn, PAGES)
        if section not in self.sections:
            return None
        return self.sections[section].pages.owner[i]

    def get_page(self, pfn: int) -> None:
        """get_page()."""
        pages, i = self.where(pfn)
        pages.count[i] += 1

    def put_page(self, pfn: int) -> None:
        """put_page()."""
        pages, i = self.where(pfn)
        owner = pages.owner[i]
        assert owner and owner.ref
        pages.count[i] -= 1
        if pages.count[i] == 0:
            owner.ref.put()
        elif pages.count[i] == 1 and self.ops > 0 and owner.type in MANAGED:
            pages.active[i] = pages.waiters[i] = False
            self.freed.append(pfn)

    # --- zone ---

    @property
    def zone(self) -> tuple[int, int]:
        """First pfn and pages spanned of ZONE_DEVICE."""
        if not self.in_zone:
            return 0, 0
        first, last = min(self.in_zone), max(self.in_zone)
        return first * PAGES, (last - first + 1) * PAGES


def overlap(one: range, other: range) -> bool:
    """Have they a number in common?"""
    return max(one.start, other.start) < min(one.stop, other.stop)


def by_section(pfns: range) -> list[tuple[int, slice]]:
    """A range of pfns cut at the section boundaries."""
    found = []
    pfn = pfns.start
    while pfn < pfns.stop:
        section, i = divmod(pfn, PAGES)
        end = min(PAGES, i + pfns.stop - pfn)
        found.append((section, slice(i, end)))
        pfn += end - i
    return found
