# SPDX-License-Identifier: GPL-2.0-only
"""struct pages stored on the device itself: the worked examples of the altmap allocator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memremap_emu import Kernel, KernelError, MemoryType, PageMap
from memremap_emu.objects import Device, PerCpuRef

BASE = 0x100000000
BASE_PFN = BASE >> 12
SECTION = 128 << 20
SECTION_PAGES = SECTION >> 12
MEMMAP_PAGES = 512  # of one section


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param, on_violation="record") as kernel:
        yield kernel


@pytest.fixture
def dev(k: Kernel) -> Device:
    return k.device("x.0")


def mapping(
    k: Kernel, sections: int, reserve: int, free: int, base_pfn: int = BASE_PFN
) -> tuple[PageMap, PerCpuRef]:
    ref = k.percpu_ref()
    pm = k.pagemap(BASE, sections * SECTION, type=MemoryType.FS_DAX, ref=ref)
    pm.set_altmap(base_pfn, reserve, free)
    return pm, ref


def failing(dev: Device, pm: PageMap) -> int | None:
    with pytest.raises(KernelError) as error:
        dev.memremap_pages(pm)
    return error.value.errno


def test_eight_sections_exhaust_4606_pages_exactly(k: Kernel, dev: Device) -> None:
    pm, _ = mapping(k, 8, reserve=2, free=4606)
    dev.memremap_pages(pm)
    first = BASE_PFN // SECTION_PAGES
    stored = [k.section_memmap_pfn(first + i) for i in range(8)]
    assert stored == [0x100200 + i * MEMMAP_PAGES for i in range(8)]
    assert (pm.altmap.alloc, pm.altmap.align) == (8 * 512, 510)
    assert pm.altmap.alloc + pm.altmap.align == pm.altmap.free


def test_one_page_less_fails_at_the_eighth_and_leaves_seven(k: Kernel, dev: Device) -> None:
    pm, ref = mapping(k, 8, reserve=2, free=4605)
    assert failing(dev, pm) == 12
    assert (pm.altmap.alloc, pm.altmap.align) == (7 * 512, 510)
    valid = [k.pfn_valid(BASE_PFN + i * SECTION_PAGES) for i in range(8)]
    assert valid == [True] * 7 + [False]
    assert ref.dead
    assert any(v.kind == "leak" for v in k.quiescence())


@pytest.mark.parametrize(("free", "fits"), [(1022, True), (1021, False)])
def test_one_section_needs_1022_pages_behind_a_reserve_of_two(
    k: Kernel, dev: Device, free: int, fits: bool
) -> None:
    pm, _ = mapping(k, 1, reserve=2, free=free)
    if fits:
        dev.memremap_pages(pm)
        assert (pm.altmap.alloc, pm.altmap.align) == (512, 510)
    else:
        assert failing(dev, pm) == 12
        assert (pm.altmap.alloc, pm.altmap.align) == (0, 0), "a failure changes nothing"
        assert not k.pfn_valid(BASE_PFN)


def test_aligned_reserve_needs_no_padding(k: Kernel, dev: Device) -> None:
    pm, _ = mapping(k, 1, reserve=512, free=512)
    dev.memremap_pages(pm)
    assert (pm.altmap.alloc, pm.altmap.align) == (512, 0)
    assert k.section_memmap_pfn(BASE_PFN // SECTION_PAGES) == BASE_PFN + 512


def test_device_pages_begin_behind_reserve_and_free(k: Kernel, dev: Device) -> None:
    pm, ref = mapping(k, 1, reserve=2, free=1022)
    dev.memremap_pages(pm)
    assert ref.logical == 1 + SECTION_PAGES - 1024
    assert k.page(BASE_PFN + 1024).pgmap == pm
    assert k.page(BASE_PFN + 1023).pgmap is None
    assert k.page(BASE_PFN + 1023).initialised
    assert not k.page(BASE_PFN + 1).initialised, "the driver's own pages are left alone"


def test_release_gives_back_what_was_handed_out_and_keeps_the_alignment(
    k: Kernel, dev: Device
) -> None:
    pm, _ = mapping(k, 2, reserve=2, free=2000)
    dev.memremap_pages(pm)
    dev.devres_release_all()
    assert (pm.altmap.alloc, pm.altmap.align) == (0, 510)
    assert not k.violations and not k.pfn_valid(BASE_PFN)


def test_alignment_of_an_earlier_life_is_not_lost_twice(k: Kernel, dev: Device) -> None:
    pm, _ = mapping(k, 1, reserve=2, free=1022)
    dev.memremap_pages(pm)
    dev.devres_release_all()
    pm.set_ref(k.percpu_ref())
    dev.memremap_pages(pm)
    assert (pm.altmap.alloc, pm.altmap.align) == (512, 510), "what follows it is aligned"


@pytest.mark.parametrize(
    ("base_pfn", "reserve", "free"),
    [(BASE_PFN + 1, 2, 1022), (BASE_PFN, 2, SECTION_PAGES), (BASE_PFN - 1, 0, 1024)],
)
def test_altmap_that_does_not_fit_the_range_is_einval(
    k: Kernel, dev: Device, base_pfn: int, reserve: int, free: int
) -> None:
    pm, ref = mapping(k, 1, reserve, free, base_pfn)
    assert failing(dev, pm) == 22
    assert "memory add fail, invalid altmap" in k.dmesg
    assert ref.dead and not k.pfn_valid(BASE_PFN)


def test_private_memory_ignores_the_altmap_when_it_adds_sections(k: Kernel, dev: Device) -> None:
    ref = k.percpu_ref()
    pm = k.pagemap(BASE, SECTION, type=MemoryType.PRIVATE, ref=ref)
    pm.set_altmap(BASE_PFN, 2, 1022)
    dev.memremap_pages(pm)
    assert pm.altmap.alloc == 0
    assert k.section_memmap_pfn(BASE_PFN // SECTION_PAGES) is None
    assert ref.logical == 1 + SECTION_PAGES - 1024, "but not when it counts pages"


@pytest.mark.parametrize("usemap", [1, 2])
def test_section_without_usemap_gives_its_memmap_back(k: Kernel, dev: Device, usemap: int) -> None:
    pm, _ = mapping(k, 2, reserve=2, free=2000)
    with k.fault_injection("__kmalloc_section_usemap", nth=usemap) as fault:
        assert failing(dev, pm) == 12
    assert fault.hits == 1
    assert pm.altmap.alloc == (usemap - 1) * 512
