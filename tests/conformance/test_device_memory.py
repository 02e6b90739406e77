# SPDX-License-Identifier: GPL-2.0-only
"""Recorded cases of devm_memremap_pages(): what it maps, refuses, leaves behind and takes away.

When the switch of a killed ref to atomic mode ended was chance on the real
kernel.  Here grace periods end by hand, where the recorded releases stand:
each device is told the points at which pending ones end for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import pytest
from harness import ABASE, BASE, BOOTS, MB, SECTION, VERSIONS, Boot, Odev, case, check, effective

from memremap_emu import CacheMode, KernelError, MemoryType, Page, PageMap, PerCpuRef
from memremap_emu.faults import FaultInjection
from memremap_emu.objects import Completion, Device

RAM = 0x10000000
EBUSY = 16
VMEMMAP_START, STRUCT_PAGE_SIZE = 0xFFFFEA0000000000, 64

Steps = Generator[Callable[[], Any], Any, int]


class Settle(Enum):
    """A point at which pending grace periods end."""

    PROBE_STARTS = auto()
    PROBE_ENDS = auto()
    REGISTERED = auto()  # one release only
    BEFORE_KILL = auto()
    AFTER_KILL = auto()
    EXIT = auto()
    EXIT_WAITS = auto()
    UNBOUND = auto()  # one release only


@dataclass(eq=False)
class MemoryDevice(Odev):
    """A device whose driver maps one range: the recorder's ``d_probe()`` and its callbacks."""

    start: int = 0
    size: int = 0
    settle: tuple[Settle, ...] = ()
    request: bool = True
    exit_action: bool = True
    has_ref: bool = True
    has_kill: bool = True
    tolerant_kill: bool = False
    type: MemoryType = MemoryType.PLAIN
    altmap: tuple[int, int, int] | None = None
    fault: FaultInjection | None = None
    nfree: int = 0
    address: int = 0
    done: Completion | None = None
    ref: PerCpuRef | None = None
    pgmap: PageMap | None = None

    def __post_init__(self) -> None:
        self.probe = MemoryDevice.map_range

    # --- its driver ---

    def map_range(self, dev: Device) -> Steps:
        k = self.boot.k
        if self.request and not dev.request_mem_region(self.start, self.size, dev.name):
            self.note("request_mem_region failed")
            return -EBUSY
        self.done = k.completion()
        self.ref = k.percpu_ref(self.on_release, name="d_release")
        if self.exit_action:
            dev.add_action(self.on_exit)
        self.pgmap = k.pagemap(
            self.start,
            self.size,
            type=self.type,
            ref=self.ref if self.has_ref else None,
            kill=self.on_kill if self.has_kill and self.boot.series else None,
            page_free=self.on_free,
            name="oracle",
        )
        if self.altmap:
            self.pgmap.set_altmap(*self.altmap)
        self.note(f"before eff={self.eff}")
        yield from self.grace_period(Settle.PROBE_STARTS)
        error = 0
        try:
            with self.fault or nullcontext():
                self.address = yield lambda: dev.memremap_pages(self.pgmap)
        except KernelError as e:
            error = -(e.errno or 0)
        if error:
            what = f"err={error} nkill={self.nkill} dying={self.dying} eff={self.eff}"
        else:
            what = (
                f"ok eq_va={self.address == k.va(self.start):d} eff={self.eff} "
                f"delta={self.eff - 1} pages={self.size >> 12} nkill={self.nkill}"
            )
        self.note(f"memremap {what} pgmap_dev={self.pgmap.dev_set:d} {self.altmap_use}")
        if not error and self.has_kill and not self.boot.series:
            # Before the pagemap had a kill it was the driver's own action.
            yield lambda: dev.add_action_or_reset(self.on_kill, self.ref)
        yield from self.grace_period(Settle.PROBE_ENDS)
        return error

    def on_release(self, ref: PerCpuRef) -> None:
        self.nrel += 1
        irq = self.boot.k.context["in_softirq"]
        self.note(f"ev=ref_release n={self.nrel} irqctx={irq:d}")
        self.done.complete()

    def on_kill(self, ref: PerCpuRef) -> Steps:
        self.nkill += 1
        self.note(f"ev=kill n={self.nkill} eff={self.eff} dying={self.dying}")
        yield from self.grace_period(Settle.BEFORE_KILL)
        if not (self.tolerant_kill and self.dying):
            yield self.ref.kill
        yield from self.grace_period(Settle.AFTER_KILL)
        return 0

    def on_exit(self, data: None) -> Steps:
        yield from self.grace_period(Settle.EXIT)
        self.note(f"ev=exit_action_wait nrel={self.nrel} count={self.eff}")
        yield from self.grace_period(Settle.EXIT_WAITS)
        yield self.done.wait
        yield self.ref.exit
        self.note("ev=exit_action_done")
        return 0

    def on_free(self, page: Page) -> None:
        self.nfree += 1
        self.note(
            f"ev=page_free pfn={page.pfn:#x} count={page.count} mapping={page.mapping != 0:d}"
        )

    # --- what a case does with it ---

    def grace_period(self, point: Settle) -> list[Callable[[], None]]:
        """What a driver's callback yields at this point."""
        return [self.boot.k.rcu_barrier_sched] if point in self.settle else []

    def ended(self, what: str) -> None:
        point = Settle.REGISTERED if what == "reg" else Settle.UNBOUND
        if point not in self.settle:
            return
        lines = self.boot.P.lines
        start = len(lines)
        # Other callbacks, such as those that free nodes of the index, are due, too.
        while self.boot.k.stats.rcu_pending:
            self.boot.k.run_callbacks(1)
            if any("ev=ref_release" in line for line in lines[start:]):
                break

    def note(self, text: str) -> None:
        self.boot.P(f"dev={self.id} {text}")

    def register(self) -> None:
        assert not self.boot.reg(self), "the probe hangs"

    def unbind(self) -> None:
        assert not self.boot.unbind(self), "unbinding hangs"

    def delete(self) -> None:
        self.boot.delete(self)

    @property
    def eff(self) -> int:
        return effective(self.ref)

    @property
    def dying(self) -> int:
        return int(self.ref.is_dying)

    @property
    def altmap_use(self) -> str:
        return f"alloc={self.pgmap.altmap.alloc} align={self.pgmap.altmap.align}"


def new(
    boot: Boot,
    start: int,
    size: int,
    *settle: Settle,
    before: tuple[Settle, ...] | None = None,
    **fields: Any,
) -> MemoryDevice:
    """``d_new()``; ``before`` is what to settle before the series, if not the same."""
    if before is not None and not boot.series:
        settle = before
    o: MemoryDevice = boot.odev(kind=MemoryDevice, start=start, size=size, settle=settle, **fields)
    return o


def show_zone(boot: Boot, at: str) -> None:
    z = boot.k.zone()
    boot.P(
        f"at={at} zone_device start={z.start_pfn:#x} spanned={z.spanned:#x} "
        f"present={z.present:#x} managed={z.managed:#x} max_pfn={boot.k.max_pfn:#x}"
    )


def lru(pfn: int) -> int:
    """Address of the list head in a struct page, its second word."""
    return VMEMMAP_START + pfn * STRUCT_PAGE_SIZE + 8


def show_page(boot: Boot, at: str, pfn: int) -> None:
    page = boot.k.page(pfn)
    valid = page.valid
    pgmap = boot.k.get_dev_pagemap(pfn)
    gdp = f"gdp={pgmap is not None:d}"
    if not valid:
        facts = "pfn_valid=0"
    elif not page.initialised:
        facts = "pfn_valid=1 struct_page_uninitialised_poison_ff=1"
    else:
        # Both words of an unclaimed page hold the address of its own list head.
        hmm_data = 0x5E1F if page.hmm_data == lru(pfn) else page.hmm_data
        facts = (
            f"pfn_valid=1 online={page.online:d} zone={page.zone} count={page.count} "
            f"mapcount={page.mapcount} reserved={page.reserved:d} pgmap={page.pgmap_word} "
            f"hmm_data={hmm_data:x} mapping={page.mapping != 0:d}"
        )
    boot.P(f"at={at} pfn={pfn:#x} {facts} {gdp}")
    if pgmap:
        pgmap.put()


@case
def d_basic(boot: Boot) -> None:
    o = new(boot, BASE, SECTION, Settle.AFTER_KILL)
    k = boot.k
    p = BASE >> 12
    show_zone(boot, "start")
    with boot.P.tracing():
        o.register()
    show_zone(boot, "mapped")
    for at, pfn in (
        ("first", p),
        ("mid", p + 0x10),
        ("last", p + 0x7FFF),
        ("before", p - 1),
        ("after", p + 0x8000),
    ):
        show_page(boot, at, pfn)
    boot.P(f"pgmap_eq={k.page(p + 5).pgmap == o.pgmap:d}")
    m = k.get_dev_pagemap(p)
    boot.P(f"gdp ok={m == o.pgmap:d} eff={o.eff}")
    n = k.get_dev_pagemap(p + 7, m)
    boot.P(f"gdp cached same={n == m:d} eff={o.eff}")
    n = k.get_dev_pagemap(p + 0x8000, m)
    boot.P(f"gdp cached outside null={n is None:d} eff={o.eff}")
    page = k.page(p + 3)
    page.get()
    boot.P(f"get_page count={page.count} eff={o.eff}")
    page.put()
    boot.P(f"put_page count={page.count} eff={o.eff} nfree={o.nfree}")
    with boot.P.tracing():
        o.unbind()
    show_page(boot, "after_unbind", p)
    show_zone(boot, "unbound")
    in_use = int(k.iomem.region_intersects(BASE, SECTION))
    boot.P(f"nkill={o.nkill} nrel={o.nrel} nfree={o.nfree} res={in_use}")
    o.delete()


def managed(boot: Boot, memory_type: MemoryType, name: str) -> None:
    before = Settle.EXIT if memory_type is MemoryType.PLAIN else Settle.AFTER_KILL
    o = new(boot, BASE + 2 * SECTION, SECTION, Settle.EXIT, before=(before,))
    k = boot.k
    p = o.start >> 12
    boot.P(f"type={name}")
    o.type = memory_type
    o.register()
    page = k.page(p + 3)
    page.get()
    page.put()
    boot.P(f"ops_off nfree={o.nfree} key={k.devmap_managed_key:d}")
    k.dev_pagemap_get_ops()
    boot.P(f"key={k.devmap_managed_key:d}")
    page.mapping = 0x1000
    page.get()
    page.get()
    page.put()
    boot.P(f"3->2 nfree={o.nfree} count={page.count}")
    page.active = True
    page.waiters = True
    page.put()
    boot.P(
        f"2->1 nfree={o.nfree} count={page.count} eff={o.eff} "
        f"mapping_kept={page.mapping == 0x1000:d} active={page.active:d} "
        f"waiters={page.waiters:d}"
    )
    page.mapping = 0
    boot.P(
        f"is_private={page.is_device_private:d} is_public={page.is_device_public:d} "
        f"is_zone_device={page.is_zone_device:d}"
    )
    show_page(boot, "mid", p + 9)
    boot.P(
        f"addr_eq_va={o.address == k.va(o.start):d} "
        f"direct_map_present={k.linear_mapping_present(p):d}"
    )
    o.unbind()
    boot.P(f"after nfree={o.nfree} nrel={o.nrel} nkill={o.nkill}")
    k.dev_pagemap_put_ops()
    show_page(boot, "after_unbind", p)
    o.delete()


@case
def d_types(boot: Boot) -> None:
    managed(boot, MemoryType.FS_DAX, "FS_DAX")
    managed(boot, MemoryType.PUBLIC, "PUBLIC")
    managed(boot, MemoryType.PRIVATE, "PRIVATE")
    managed(boot, MemoryType.PLAIN, "0")


@case
def d_partial(boot: Boot) -> None:
    b = BASE >> 12

    def run(
        start: int,
        size: int,
        settle: Settle,
        pages: dict[str, int],
        *,
        text: str = "",
        zone: bool = False,
        gone: int | None = None,
    ) -> None:
        o = new(boot, start, size, settle, before=(Settle.EXIT,))
        if text:
            boot.P(text)
        o.register()
        for at, pfn in pages.items():
            show_page(boot, at, pfn)
        if zone:
            show_zone(boot, "mapped")
        o.unbind()
        if gone is not None:
            show_page(boot, "gone", gone)
        o.delete()

    run(
        BASE + 4 * MB,
        2 * MB,
        Settle.EXIT,
        {
            "padding_first": b,
            "padding_before": b + 0x3FF,
            "first": b + 0x400,
            "last": b + 0x5FF,
            "padding_after": b + 0x600,
            "padding_last": b + 0x7FFF,
        },
        zone=True,
        gone=b,
    )
    run(
        BASE + 0x7E00000,
        4 * MB,
        Settle.EXIT,
        {"sec0": b, "sec1last": b + 0xFFFF},
        text="crossing a section border",
        zone=True,
        gone=b + 0x8000,
    )
    run(BASE + 0x1000, 0x800, Settle.EXIT, {"p": b + 1}, text="sub-page size 0x800")
    two = {"p1": b + 1, "p2": b + 2}
    run(BASE + 0x1000, 0x1800, Settle.EXIT, two, text="size 0x1800 (1.5 pages)")
    run(BASE + 0x1800, 0x1000, Settle.EXIT_WAITS, two, text="start unaligned 0x800")


@case
def d_conflict(boot: Boot) -> None:
    a = new(boot, BASE, 16 * MB, Settle.AFTER_KILL)
    b = new(boot, BASE + 112 * MB, 16 * MB)
    c = new(boot, BASE + 32 * MB, 16 * MB)
    a.tolerant_kill = True
    a.register()
    b.exit_action = c.exit_action = False
    boot.P("B last 16M while A owns first 16M")
    b.register()
    boot.P(f"B nkill={b.nkill} eff={b.eff} A eff={a.eff}")
    boot.P("C middle")
    c.register()
    boot.P(f"C nkill={c.nkill}")
    e = new(boot, BASE + SECTION - 2 * MB, 4 * MB)
    e.exit_action = False
    boot.P("E crosses from A's section into next")
    e.register()
    boot.P(f"E nkill={e.nkill}")
    e = new(boot, BASE + 64 * MB, MB)
    e.exit_action = False
    e.has_ref = False
    boot.P("NULL ref + conflict")
    e.register()
    boot.P(f"nkill={e.nkill}")
    a.unbind()
    boot.P(f"A nrel={a.nrel}")
    a = new(boot, BASE + 112 * MB, 16 * MB, Settle.AFTER_KILL, before=(Settle.EXIT,))
    boot.P("A owns last 16M, B first")
    a.register()
    b = new(boot, BASE, 16 * MB)
    b.exit_action = False
    b.register()
    boot.P(f"B nkill={b.nkill}")
    a.unbind()


@case
def d_exist(boot: Boot) -> None:
    p = BASE >> 12
    a = new(boot, BASE + 16 * MB, 16 * MB, Settle.AFTER_KILL, before=(Settle.EXIT,))
    b = new(boot, BASE + 24 * MB, 16 * MB)
    b.request = b.exit_action = False
    a.register()
    boot.P("B overlaps A in the middle of one section, borders free")
    with boot.P.tracing():
        b.register()
    boot.P(f"B nkill={b.nkill} dying={b.dying} eff={b.eff}")
    for at, pfn in (("A", p + 0x1000), ("A_last", p + 0x1FFF), ("Bonly", p + 0x2000)):
        show_page(boot, at, pfn)
    a.unbind()
    boot.P(f"A nrel={a.nrel}")

    start = BASE + SECTION + 64 * MB
    a = new(boot, start, 64 * MB, Settle.AFTER_KILL)
    a.tolerant_kill = True
    a.register()
    a.ref.kill()
    boot.k.rcu_barrier_sched()
    boot.P(f"A killed early eff={a.eff}")
    show_page(boot, "A_killed", start >> 12)
    b = new(boot, BASE + SECTION + 2 * MB, 126 * MB)
    b.request = b.exit_action = False
    with boot.P.tracing():
        b.register()
    boot.P(f"T4 B nkill={b.nkill} dying={b.dying}")
    show_page(boot, "A_still", start >> 12)
    a.unbind()
    boot.P(f"A nrel={a.nrel} nkill={a.nkill}")


def unrequested(boot: Boot, start: int, size: int, *settle: Settle, **fields: Any) -> MemoryDevice:
    o = new(boot, start, size, *settle, **fields)
    o.request = o.exit_action = False
    return o


@case
def d_ram(boot: Boot) -> None:
    o = unrequested(boot, RAM, SECTION, Settle.UNBOUND, before=())
    boot.P("wholly RAM")
    o.register()
    boot.P(f"nkill={o.nkill} dying={o.dying}")
    o.unbind()
    o = unrequested(boot, RAM, SECTION)
    o.has_ref = False
    boot.P("wholly RAM, NULL ref")
    o.register()
    boot.P(f"nkill={o.nkill}")
    o.unbind()
    o = unrequested(boot, RAM, SECTION)
    o.has_kill = False
    boot.P("wholly RAM, NULL kill")
    if not boot.series:
        boot.k.rcu_barrier_sched()
    o.register()
    boot.P(f"nkill={o.nkill}")
    o.unbind()


@case
def d_mixed(boot: Boot) -> None:
    o = unrequested(boot, 16 * MB, 16 * MB)
    boot.P("mixed (first section: RAM + reserved + rom)")
    o.register()
    boot.P(f"nkill={o.nkill} dying={o.dying} pgmap_dev={o.pgmap.dev_set:d}")
    o = unrequested(boot, 16 * MB, 16 * MB, Settle.BEFORE_KILL)
    boot.P("mixed again (WARN_ONCE)")
    o.register()
    o = unrequested(boot, RAM, SECTION, Settle.REGISTERED)
    boot.P("wholly RAM after mixed (same WARN_ONCE site in v6)")
    o.register()


@case
def d_null(boot: Boot) -> None:
    # The release of the last device of d_mixed falls into the first probe.
    o = new(boot, BASE, SECTION, Settle.PROBE_ENDS)
    o.exit_action = False
    o.has_ref = False
    boot.P("NULL ref")
    o.register()
    boot.P(f"nkill={o.nkill}")
    o = new(boot, BASE, SECTION, before=(Settle.UNBOUND,))
    o.exit_action = o.has_kill = False
    boot.P("NULL kill")
    o.register()
    boot.P(f"nkill={o.nkill} eff={o.eff}")
    if not o.probe_rc:
        o.ref.kill()
        o.unbind()
    o = new(boot, BASE, SECTION)
    o.exit_action = o.has_kill = False
    o.has_ref = False
    boot.P("NULL ref+kill")
    o.register()


@case(first_id=32)
def d_live(boot: Boot) -> None:
    o = new(boot, BASE, SECTION)
    o.exit_action = o.has_kill = False
    o.register()
    if not o.probe_rc:
        boot.P("unbind without kill (before-series contract violation)")
        o.unbind()
        boot.P(f"after eff={o.eff} dying={o.dying} nrel={o.nrel}")
        show_page(boot, "after", BASE >> 12)
    o = new(boot, BASE + SECTION, SECTION)
    o.register()
    boot.P("driver kills itself before unbind (double kill)")
    o.ref.kill()
    boot.k.rcu_barrier_sched()
    boot.P(f"eff={o.eff} nrel={o.nrel}")
    o.unbind()
    boot.P(f"nrel={o.nrel} eff={o.eff}")


def with_altmap(
    boot: Boot,
    start: int,
    size: int,
    base_pfn: int,
    reserve: int,
    free: int,
    *settle: Settle,
    **fields: Any,
) -> MemoryDevice:
    o = new(boot, start, size, *settle, **fields)
    o.exit_action = False
    o.altmap = (base_pfn, reserve, free)
    boot.P(f"altmap start={start:x} size={size:x} base={base_pfn:#x} reserve={reserve} free={free}")
    return o


def show_sections(boot: Boot, start: int, n: int) -> None:
    for i in range(n):
        valid = boot.k.pfn_valid((start >> 12) + i * 0x8000)
        boot.P(f"section {i} pfn_valid={valid:d}")


@case
def d_altmap(boot: Boot) -> None:
    start = ABASE
    b = start >> 12

    o = with_altmap(boot, start, 8 * SECTION, b, 2, 4606, Settle.AFTER_KILL)
    o.register()
    boot.P(f"nkill={o.nkill}")
    for at, pfn in (
        ("reserve0", b),
        ("reserve1", b + 1),
        ("memmap", b + 2),
        ("memmap_0x200", b + 0x200),
        ("data_first-1", b + 4607),
        ("data_first", b + 4608),
        ("last", b + 0x3FFFF),
    ):
        show_page(boot, at, pfn)
    for i in range(8):
        pfn = boot.k.section_memmap_pfn((b >> 15) + i)
        # The memmap is mapped by pages of 2 MiB (level 2): its start is aligned to them.
        boot.P(
            f"section {i} memmap at pfn {pfn or 0:#x} level={2 if pfn and pfn % 512 == 0 else 1}"
        )
    with boot.P.tracing():
        o.unbind()
    altmap = o.pgmap.altmap
    boot.P(f"after alloc={altmap.alloc} align={altmap.align} nrel={o.nrel} eff={o.eff}")
    show_sections(boot, start, 8)

    boot.P("reuse same pgmap (align kept)")
    o = with_altmap(boot, start, SECTION, b, 2, 1022, Settle.AFTER_KILL, before=(Settle.UNBOUND,))
    o.register()
    show_page(boot, "data_first", b + 1024)
    o.unbind()
    boot.P(o.altmap_use)

    o = with_altmap(boot, start, SECTION, b, 2, 1021)
    o.register()
    boot.P(f"nkill={o.nkill}")
    show_sections(boot, start, 1)

    o = with_altmap(boot, start, SECTION, b, 2, 0x7FFF, Settle.PROBE_STARTS)
    o.register()
    boot.P(f"reserve+free>nr nkill={o.nkill}")

    o = with_altmap(boot, start, SECTION, b + 1, 2, 1022, Settle.PROBE_STARTS)
    o.register()
    boot.P(f"bad base nkill={o.nkill}")

    settle = (Settle.PROBE_STARTS, Settle.UNBOUND)
    o = with_altmap(boot, start, SECTION, b, 0, 512, *settle, before=(Settle.AFTER_KILL,))
    o.register()
    o.unbind()
    boot.P(o.altmap_use)

    o = with_altmap(boot, start + 2 * MB, SECTION - 2 * MB, b, 2 + 512, 1022, Settle.AFTER_KILL)
    boot.P("unaligned res.start, pad in reserve (double count?)")
    o.register()
    boot.P(f"eff={o.eff}")
    show_page(boot, "reserve_last", b + 513)
    show_page(boot, "data_first_by_alt", b + 2 + 512 + 1022)
    show_page(boot, "pfn_first_by_code", b + 512 + 2 + 512 + 1022)
    o.unbind()
    boot.P(f"eff={o.eff}")

    o = with_altmap(boot, start, SECTION, b, 2, 4606, Settle.UNBOUND)
    boot.P("PRIVATE with altmap")
    o.type = MemoryType.PRIVATE
    o.register()
    boot.P(f"eff={o.eff} alloc={o.pgmap.altmap.alloc}")
    show_page(boot, "p0", b)
    show_page(boot, "p2", b + 2)
    show_page(boot, "p4608", b + 4608)
    o.unbind()


@case
def d_pat(boot: Boot) -> None:
    k = boot.k

    def device(section: int, *settle: Settle) -> MemoryDevice:
        o = new(boot, BASE + section * SECTION, SECTION, *settle)
        o.exit_action = False
        return o

    def uncached(start: int) -> int:
        return k.ioremap(CacheMode.UC_MINUS, start, 0x1000)

    def write_combining(start: int) -> int:
        return k.ioremap(CacheMode.WC, start + 0x1000, 0x1000)

    io = uncached(BASE + 40 * SECTION)
    o = device(40, Settle.AFTER_KILL)
    boot.P(f"pat={k.config.pat:d} UC ioremap present={io != 0:d}")
    o.register()
    boot.P(f"nkill={o.nkill} dying={o.dying}")
    show_page(boot, "p", o.start >> 12)
    o.unbind()
    k.iounmap(io)

    o = device(41)
    io = uncached(o.start)
    io2 = write_combining(o.start)
    boot.P("UC- and WC ioremaps present")
    with boot.P.tracing():
        o.register()
    boot.P(f"nkill={o.nkill} dying={o.dying}")
    show_page(boot, "p", o.start >> 12)
    k.iounmap(io)
    k.iounmap(io2)

    o = device(42, Settle.PROBE_STARTS, Settle.UNBOUND)
    io2 = write_combining(o.start)
    boot.P("WC ioremap present")
    o.register()
    boot.P(f"nkill={o.nkill}")
    o.unbind()
    k.iounmap(io2)


#: What the n-th allocation of the recorded sweep was, and where its grace period ended.
SWEEP: tuple[tuple[str | None, tuple[Settle, ...]], ...] = (
    ("radix_tree_node_alloc", ()),
    ("reserve_memtype", (Settle.PROBE_STARTS,)),
    ("zero_pud_populate", (Settle.PROBE_STARTS, Settle.UNBOUND)),
    ("__kmalloc_section_usemap", ()),
    ("devm_add_action", (Settle.PROBE_STARTS, Settle.AFTER_KILL)),
    (None, (Settle.AFTER_KILL,)),
)


@case(first_id=21)
def d_sweep0(boot: Boot) -> None:
    k = boot.k
    for n, (site, settle) in enumerate(SWEEP, 1):
        o = new(boot, BASE + (8 + n) * SECTION, SECTION, *settle)
        o.request = o.exit_action = False
        o.fault = k.fault_injection(site) if site else k.fault_injection(nth=n, slab=True)
        o.register()
        p = o.start >> 12
        m = k.get_dev_pagemap(p)
        boot.P(
            f"sweep type=0 n={n} rc={o.probe_rc} left={o.fault.left} nkill={o.nkill} nrel={o.nrel} "
            f"dying={o.dying} gdp={m is not None:d} pfn_valid={k.pfn_valid(p):d} eff={o.eff}"
        )
        if m:
            m.put()
        if o.probe_rc:
            continue
        o.unbind()
        boot.P(f"sweep n={n} unbound nkill={o.nkill} nrel={o.nrel} pfn_valid={k.pfn_valid(p):d}")
        m = k.get_dev_pagemap(p)
        boot.P(f"sweep n={n} gdp_after={m is not None:d}")
        if m:
            m.put()


CASES = [n for n in [*BOOTS[2], *BOOTS[3]] if n.startswith("d_")]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_checked_build_maps_and_releases_as_the_real_kernel(name: str, version: str) -> None:
    check(name, version=version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_plain_build_maps_and_releases_as_the_real_kernel(name: str, version: str) -> None:
    check(name, checked=False, version=version)
