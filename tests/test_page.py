# SPDX-License-Identifier: GPL-2.0-only
"""The life of one struct page of a device: its count, its pagemap, its predicates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from memremap_emu import Config, Kernel, MemoryType, Page, PageMap, TaskDied
from memremap_emu.objects import Device, PerCpuRef

BASE = 0x100000000
PFN = BASE >> 12
SECTION = 128 << 20
PAGES = SECTION >> 12
LIST_POISON2 = 0xDEAD000000000200
MANAGED = (MemoryType.PRIVATE, MemoryType.PUBLIC, MemoryType.FS_DAX)
UNMANAGED = (MemoryType.PLAIN, MemoryType.PCI_P2PDMA)


class Mapped:
    """A section of device memory of one type, mapped, and the pages told to be idle."""

    def __init__(self, k: Kernel, type: MemoryType, *, key: bool = True) -> None:
        if key:
            k.dev_pagemap_get_ops()
        self.k = k
        self.idle: list[Page] = []
        self.released = 0
        self.ref: PerCpuRef = k.percpu_ref(self.release)
        self.dev: Device = k.device("x.0")
        self.pm: PageMap = k.pagemap(
            BASE, SECTION, type=type, ref=self.ref, page_free=self.idle.append
        )
        self.dev.memremap_pages(self.pm)
        self.page: Page = k.page(PFN + 0x10)

    def release(self, ref: PerCpuRef) -> None:
        self.released += 1

    def unmap(self) -> None:
        self.dev.devres_release_all()


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param, on_violation="record") as kernel:
        yield kernel


# --- what a page begins as ---


@pytest.mark.parametrize("type", MemoryType)
def test_page_begins_idle_reserved_and_claimed(k: Kernel, type: MemoryType) -> None:
    m = Mapped(k, type)
    p = m.page
    assert (p.count, p.mapcount, p.reserved, p.zone, p.nid) == (1, 0, True, "Device", 0)
    assert p.pgmap == m.pm and p.hmm_data == LIST_POISON2 and p.mapping == 0
    assert p.valid and not p.online and p.is_zone_device and p.initialised
    assert p.is_device_private is (type is MemoryType.PRIVATE)
    assert p.is_device_public is (type is MemoryType.PUBLIC)


def test_page_of_a_fresh_section_is_nobodys(k: Kernel) -> None:
    ref = k.percpu_ref()
    k.device("x.0").memremap_pages(k.pagemap(BASE, 4096, ref=ref))
    p = k.page(PFN + 1)
    assert p.valid and p.pgmap is None and p.pgmap_word == "selflru"
    assert p.hmm_data not in (0, LIST_POISON2), "the address of its own list"


def test_page_without_a_section_is_not_valid(k: Kernel) -> None:
    assert not k.page(PFN).valid
    assert not k.page(PFN).online


def test_page_of_ram_is_online_and_no_device_page(k: Kernel) -> None:
    k.iomem.add(BASE, BASE + SECTION - 1, "System RAM")
    p = k.page(PFN)
    assert p.valid and p.online and p.zone == "Normal"
    assert not p.is_zone_device and not p.is_device_private and not p.is_device_public


# --- counts ---


@pytest.mark.parametrize("type", MANAGED)
def test_managed_page_tells_its_driver_whenever_it_becomes_idle(
    k: Kernel, type: MemoryType
) -> None:
    m = Mapped(k, type)
    m.page.get()
    m.page.get()
    m.page.put()
    assert m.idle == [] and m.page.count == 2
    m.page.put()
    assert m.idle == [m.page] and m.page.count == 1
    m.page.get()
    m.page.put()
    assert m.idle == [m.page, m.page]
    assert m.ref.logical == 1 + PAGES


@pytest.mark.parametrize("type", UNMANAGED)
def test_unmanaged_page_is_silently_idle(k: Kernel, type: MemoryType) -> None:
    m = Mapped(k, type)
    m.page.get()
    m.page.put()
    assert m.idle == [] and m.page.count == 1


@pytest.mark.parametrize("type", MANAGED)
def test_managed_page_is_plain_while_nobody_has_the_key(k: Kernel, type: MemoryType) -> None:
    m = Mapped(k, type, key=False)
    assert not k.devmap_managed_key
    m.page.get()
    m.page.put()
    assert m.idle == []


def test_key_is_counted(k: Kernel) -> None:
    k.dev_pagemap_get_ops()
    k.dev_pagemap_get_ops()
    k.dev_pagemap_put_ops()
    assert k.devmap_managed_key
    k.dev_pagemap_put_ops()
    assert not k.devmap_managed_key


def test_idle_page_loses_active_and_waiters_and_keeps_its_mapping(k: Kernel) -> None:
    m = Mapped(k, MemoryType.FS_DAX)
    p = m.page
    p.active = p.waiters = True
    p.mapping = 0x1234
    p.get()
    assert p.active and p.waiters
    p.put()
    assert not p.active and not p.waiters
    assert p.mapping == 0x1234


@pytest.mark.parametrize("type", MemoryType)
def test_release_takes_the_last_reference_of_every_idle_page(k: Kernel, type: MemoryType) -> None:
    m = Mapped(k, type)
    m.unmap()
    assert m.released == 1 and m.idle == []
    assert not m.page.valid


@pytest.mark.parametrize("type", [MemoryType.PLAIN, MemoryType.FS_DAX])
@pytest.mark.parametrize("users", [1, 3])
def test_page_in_use_at_teardown_holds_the_pagemap_until_its_last_user_puts_it(
    k: Kernel, type: MemoryType, users: int
) -> None:
    m = Mapped(k, type)
    for _ in range(users):
        m.page.get()
    m.unmap()
    assert m.released == 0 and m.ref.count == 1, "one for the page, whatever its count"
    # A managed page that drops to 1 on the way tells its driver, as ever.
    told = 1 if type is MemoryType.FS_DAX and users == 1 else 0
    assert len(m.idle) == told
    for _ in range(users):
        assert m.released == 0
        m.page.put()
    assert m.released == 1


def test_pages_put_by_release_count_one_reference_each(k: Kernel) -> None:
    m = Mapped(k, MemoryType.PLAIN)
    held = [k.page(PFN + i) for i in range(0, 50, 10)]
    for p in held:
        p.get()
    m.unmap()
    for left, p in zip(range(len(held), 0, -1), held, strict=True):
        assert m.ref.count == left
        p.put()
    assert m.released == 1


def test_surplus_put_takes_the_mappings_own_reference(k: Kernel) -> None:
    m = Mapped(k, MemoryType.PLAIN)
    m.page.put()
    assert m.page.count == 0 and m.ref.logical == PAGES


def test_release_after_a_surplus_put_is_a_bug_with_debug_vm(k: Kernel) -> None:
    m = Mapped(k, MemoryType.PLAIN)
    m.page.put()
    with pytest.raises(TaskDied, match=r"VM_BUG_ON_PAGE\(page_ref_count\(page\) == 0\)"):
        m.unmap()


def test_release_after_a_surplus_put_goes_below_zero_without_debug_vm() -> None:
    with Kernel(config=Config(debug_vm=False), on_violation="record") as k:
        m = Mapped(k, MemoryType.PLAIN)
        m.page.put()
        m.unmap()
        assert m.released == 1 and m.ref.count == 0, "the page's reference was dropped before"


@pytest.mark.parametrize("debug_vm", [True, False])
def test_get_of_a_page_that_nobody_holds_is_a_bug_with_debug_vm_only(debug_vm: bool) -> None:
    with Kernel(config=Config(debug_vm=debug_vm), on_violation="record") as k:
        m = Mapped(k, MemoryType.PLAIN)
        m.page.put()
        if debug_vm:
            with pytest.raises(TaskDied, match=r"VM_BUG_ON_PAGE\(page_ref_count\(page\) <= 0\)"):
                m.page.get()
            assert m.page.count == 0
        else:
            m.page.get()
            assert m.page.count == 1


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("debug_vm", [True, False])
def test_use_of_a_page_whose_memmap_is_gone_is_told(checked: bool, debug_vm: bool) -> None:
    config = Config(debug_vm=debug_vm)
    with Kernel(checked=checked, config=config, on_violation="record") as k:
        m = Mapped(k, MemoryType.PLAIN)
        m.unmap()
        assert not k.violations
        with suppress(TaskDied):
            m.page.get()
        assert k.violations[0].kind == "memmap-removed"


def test_mapping_again_begins_afresh(k: Kernel) -> None:
    m = Mapped(k, MemoryType.PLAIN)
    m.page.hmm_data = 7
    m.page.get()
    m.page.put()
    m.unmap()
    ref = k.percpu_ref()
    pm = k.pagemap(BASE, SECTION, type=MemoryType.PUBLIC, ref=ref)
    k.device("y.0").memremap_pages(pm)
    p = m.page
    assert (p.count, p.pgmap, p.hmm_data) == (1, pm, LIST_POISON2)
    assert p.is_device_public
