# SPDX-License-Identifier: GPL-2.0-only
"""Reference model of device memory: dense arrays of pages, one column for each thing to see.

Sections are 128 MiB, pages 4 KiB, a section's struct pages fill 512 pages:
x86-64 as configured by default.

The model is told which patches are on, by name, and knows what each of these changes:

``system-ram``      a range of RAM is refused, not answered with its address
``shutdown``        the mapping kills the ref, at its release and when it fails; before, whoever
                    forgot to is told of it; an action that cannot be registered is noticed
``device-private``  private memory has neither linear map nor shadow, nor memmap on itself
``deferred-init``   pages become pages after the hotplug lock, padding included, all owned
``final-put``       the release waits, between the puts and the end of the memory; a conflict
                    ends the ref, too
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

    def initialise(self, part: slice) -> None:
        """They become pages of ZONE_DEVICE that nobody owns."""
        n = part.stop - part.start
        self.initialised[part] = [True] * n
        self.count[part] = [1] * n
        self.owner[part] = [None] * n
        self.hmm_data[part] = [None] * n
        self.mapping[part] = [0] * n
        self.active[part] = [False] * n
        self.waiters[part] = [False] * n


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
    has_cleanup: bool = True
    gentle: bool = True
    altmap: AltmapModel | None = None
    device: str = ""
    kills: int = 0
    waited: int = 0  # releases of the ref that a cleanup has waited for
    killer: bool = False  # the driver has an action that kills the ref before the release

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
        first = self.first_device_pfn
        return range(first, max(first, (self.start + self.size) >> PAGE))

    @property
    def first_device_pfn(self) -> int:
        """The page behind the altmap, which is counted from the range, not from its section."""
        skip = self.altmap.reserve + self.altmap.free if self.altmap else 0
        return (self.start >> PAGE) + skip


@dataclass(eq=False)
class SectionModel:
    """A section that has struct pages."""

    pages: Pages
    memmap_pfn: int | None


@dataclass(eq=False)
class DeviceMemoryModel:
    """All device memory of a kernel."""

    world: World
    patches: frozenset[str]
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
    #: Devices whose unbind waits, and what it has still to release, the first one half done.
    waiting: dict[str, list[PageMapModel]] = field(default_factory=dict)

    # --- the end of a ref ---

    def kill(self, pgmap: PageMapModel) -> None:
        """What the pagemap's kill callback does."""
        pgmap.kills += 1
        assert pgmap.ref
        if not (pgmap.gentle and pgmap.ref.dead):
            self.world.run(pgmap.ref.kill())

    def is_idle(self, pgmap: PageMapModel) -> bool:
        """Would the pagemap's cleanup callback return, grace periods being what they are?"""
        self.world.grace_period()
        assert pgmap.ref
        return pgmap.ref.releases > pgmap.waited

    def cleanup(self, pgmap: PageMapModel) -> None:
        """What the pagemap's cleanup callback does once it may: the ref ends."""
        assert self.is_idle(pgmap) and pgmap.ref
        pgmap.waited += 1
        pgmap.ref.exit()

    def fail(self, pgmap: PageMapModel) -> None:
        """What a failing devm_memremap_pages() does to the ref."""
        if "shutdown" in self.patches:
            self.kill(pgmap)
        if "final-put" in self.patches:
            self.cleanup(pgmap)

    # --- mapping ---

    def unaddressable(self, pgmap: PageMapModel) -> bool:
        """Is the memory described, but not mapped?"""
        return "device-private" in self.patches and pgmap.type == PRIVATE

    def lacks(self, pgmap: PageMapModel) -> bool:
        """Is something missing that ends the ref?"""
        if "final-put" in self.patches:
            lacks = not (pgmap.ref and pgmap.has_kill and pgmap.has_cleanup)
            if lacks:
                text = "Missing reference count teardown definition"
                self.world.warn("kernel/memremap.c", text, once=False)
            return lacks
        if "shutdown" in self.patches:
            return not (pgmap.ref and pgmap.has_kill)
        return not pgmap.ref

    def map(self, device: str, pgmap: PageMapModel, *, action_fails: bool = False) -> int:
        """devm_memremap_pages(): 0 or an error number."""
        if "shutdown" in self.patches and self.lacks(pgmap):
            return EINVAL
        sections = pgmap.sections
        edges = sections[0] * PAGES, (sections[-1] + 1) * PAGES - 1
        lines = (195, 202) if "shutdown" in self.patches else (190, 197)
        for pfn, line in zip(edges, lines, strict=True):
            if self.find_live(pfn):
                text = f"drv {device}: Conflicting mapping in same section"
                self.world.warn(f"kernel/memremap.c:{line}", text, once=False)
                if "final-put" in self.patches:
                    self.fail(pgmap)
                return ENOMEM
        error = self.is_ram(pgmap)
        if error is None:
            return 0
        if not error and "shutdown" not in self.patches and self.lacks(pgmap):
            return EINVAL
        error = error or self.map_checked(device, pgmap)
        if error:
            self.fail(pgmap)
            return error
        if action_fails and "shutdown" not in self.patches:
            return 0  # and mapped for ever
        if action_fails:
            self.release(pgmap)
            self.finish(pgmap)
            return ENOMEM
        self.managed.setdefault(device, []).append(pgmap)
        return 0

    def is_ram(self, pgmap: PageMapModel) -> int | None:
        """The check for System RAM: an error number, None if RAM is answered with its address."""
        sections = pgmap.sections
        first, last = sections[0] << SECTION, ((sections[-1] + 1) << SECTION) - 1
        ram, other = (
            any(start <= last and first <= end for start, end in ranges)
            for ranges in (self.ram, self.other)
        )
        if not ram:
            return 0
        if not other and "system-ram" not in self.patches:
            return None
        what = "mixed" if other else "ram"
        self.world.warn(
            f"kernel/memremap.c:{211 if 'shutdown' in self.patches else 206}",
            f"devm_memremap_pages attempted on {what} region "
            f"[mem {pgmap.start:#010x}-{pgmap.end:#010x} flags 0x200]",
        )
        return ENXIO

    def map_checked(self, device: str, pgmap: PageMapModel) -> int:
        """What may fail once the checks have passed."""
        assert pgmap.ref
        pgmap.device = device
        if any(overlap(pgmap.indexed, m.indexed) for m in self.mapped):
            self.world.said.append(f"drv {device}: devm_memremap_pages: failed: -{EEXIST}")
            return EEXIST
        error = self.add_memory(pgmap)
        if error:
            return error
        self.mapped.append(pgmap)
        self.in_zone |= set(pgmap.sections)
        self.initialise_pages(pgmap)
        if "deferred-init" not in self.patches:
            pgmap.ref.get(len(pgmap.device_pfns))
            return 0
        altmap = pgmap.altmap
        n = len(pgmap.sections) * PAGES - (altmap.reserve + altmap.free if altmap else 0)
        self.world.said.append(f"{device} initialised, {n} pages in 0ms")
        # In one go, and nobody looks whether the altmap leaves anything: it may be negative.
        pgmap.ref.get(((pgmap.start + pgmap.size) >> PAGE) - pgmap.first_device_pfn)
        return 0

    def initialise_pages(self, pgmap: PageMapModel) -> None:
        """All but the driver's own pages become pages; which of them are the pagemap's?"""
        altmap = pgmap.altmap
        everything = range(pgmap.sections[0] * PAGES, (pgmap.sections[-1] + 1) * PAGES)
        self.initialise(
            range(everything.start + (altmap.reserve if altmap else 0), everything.stop)
        )
        if "deferred-init" not in self.patches:
            self.own(pgmap, pgmap.device_pfns, LIST_POISON2)
        else:
            skip = altmap.reserve + altmap.free if altmap else 0
            self.own(pgmap, range(everything.start + skip, everything.stop), 0)

    def initialise(self, pfns: range) -> None:
        """memmap_init_zone()."""
        for section, part in by_section(pfns):
            self.sections[section].pages.initialise(part)

    def own(self, pgmap: PageMapModel, pfns: range, hmm_data: int) -> None:
        """page->pgmap and page->hmm_data of many pages."""
        for section, part in by_section(pfns):
            pages = self.sections[section].pages
            pages.owner[part] = [pgmap] * (part.stop - part.start)
            pages.hmm_data[part] = [hmm_data] * (part.stop - part.start)

    def add_memory(self, pgmap: PageMapModel) -> int:
        """arch_add_memory(), or add_pages() for private memory."""
        mapped = not self.unaddressable(pgmap)
        altmap = pgmap.altmap if mapped else None
        error = 0
        if mapped:
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
        elif mapped:
            self.shadow |= set(pgmap.sections)
        self.max_pfn = max(self.max_pfn, (pgmap.sections[-1] + 1) * PAGES)
        return error

    def unbind(self, device: str) -> None:
        """devres_release_all(): the newest mapping goes first, and may wait."""
        self.waiting[device] = list(reversed(self.managed.pop(device, [])))
        self.release_next(device)

    def release_next(self, device: str) -> None:
        """The newest that is left begins to go; the next one when it has gone."""
        left = self.waiting[device]
        if not left:
            del self.waiting[device]
            return
        ref = left[0].ref
        if left[0].killer and ref and not ref.dead:
            self.world.run(ref.kill())
        self.release(left[0])
        self.proceed(device)

    def proceed(self, device: str) -> None:
        """Whoever waits goes on if there is nothing left to wait for."""
        first = self.waiting[device][0]
        if "final-put" in self.patches and not self.is_idle(first):
            return
        self.finish(first)
        del self.waiting[device][0]
        self.release_next(device)

    def settle(self) -> list[str]:
        """Grace periods end, and unbinds that waited for that: the devices that are free now."""
        before = list(self.waiting)
        self.world.grace_period()
        for device in before:
            self.proceed(device)
        return [device for device in before if device not in self.waiting]

    def release(self, pgmap: PageMapModel) -> None:
        """devm_memremap_pages_release(), up to where it may wait."""
        if "shutdown" in self.patches:
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

    def finish(self, pgmap: PageMapModel) -> None:
        """The rest of it."""
        if "final-put" in self.patches:
            self.cleanup(pgmap)
        assert pgmap.ref
        if "shutdown" not in self.patches and pgmap.ref.tryget_live():
            text = f"drv {pgmap.device}: devm_memremap_pages_release: page mapping is still live!"
            self.world.warn("kernel/memremap.c:129", text, once=False)
            pgmap.ref.put()
        mapped = not self.unaddressable(pgmap)
        for section in pgmap.sections:
            gone = self.sections.pop(section)
            self.in_zone.discard(section)
            self.linear -= {section} if mapped else set()
            self.shadow -= {section} if mapped else set()
            if pgmap.altmap:
                pgmap.altmap.alloc -= MEMMAP_PAGES
            self.keep_ghosts(section, gone, pgmap)
        self.mapped.remove(pgmap)

    def keep_ghosts(self, section: int, gone: SectionModel, pgmap: PageMapModel) -> None:
        """Pages that somebody holds; padding, which the mapping does not put, has one more."""
        first = pgmap.device_pfns.start - section * PAGES
        last = pgmap.device_pfns.stop - section * PAGES
        for i, count in enumerate(gone.pages.count):
            if (count > 1 or (count == 1 and first <= i < last)) and gone.pages.owner[i]:
                self.ghosts[section * PAGES + i] = gone, i

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
