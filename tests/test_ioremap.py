# SPDX-License-Identifier: GPL-2.0-only
"""ioremap and the memory types of physical ranges."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from memremap_emu import CacheMode, Config, Kernel

BAR = 0x80000000


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param, on_violation="record") as kernel:
        kernel.iomem.load("00000000-3fffffff : System RAM\n80000000-80ffffff : PCI Bus\n")
        yield kernel


@pytest.mark.parametrize("mode", list(CacheMode))
def test_mapping_keeps_the_offset_in_the_page_and_comes_back(k: Kernel, mode: CacheMode) -> None:
    mapped = k.ioremap(mode, BAR + 0x10, 0x20)
    assert mapped & 0xFFF == 0x10
    k.iounmap(mapped)
    k.assert_quiescent()
    assert k.dmesg == []


def test_mappings_do_not_overlap_and_a_gap_is_used_again(k: Kernel) -> None:
    first = k.ioremap(CacheMode.WB, BAR, 0x1000)
    second = k.ioremap(CacheMode.WB, BAR + 0x10000, 0x3000)
    assert second >= first + 0x2000  # a guard page lies between
    k.iounmap(first)
    assert k.ioremap(CacheMode.WB, BAR, 0x1000) == first
    assert k.ioremap(CacheMode.WB, BAR, 0x4000) > second


def test_mapping_larger_than_the_address_space_is_none(k: Kernel) -> None:
    with Kernel(config=Config(max_physmem_bits=46, physical_bits=46)) as other:
        assert other.ioremap(CacheMode.WB, 0, 1 << 46) == 0
        other.assert_quiescent()


@pytest.mark.parametrize(
    ("have", "want", "granted"),
    [
        (CacheMode.WB, CacheMode.WB, True),
        (CacheMode.WC, CacheMode.WB, True),
        (CacheMode.UC_MINUS, CacheMode.WB, True),
        (CacheMode.WT, CacheMode.WB, True),
        (CacheMode.WB, CacheMode.WC, False),
        (CacheMode.WT, CacheMode.WC, False),
        (CacheMode.UC_MINUS, CacheMode.WC, True),
        (CacheMode.WB, CacheMode.UC_MINUS, False),
        (CacheMode.WC, CacheMode.UC_MINUS, True),
        (CacheMode.WT, CacheMode.UC_MINUS, False),
        (CacheMode.WB, CacheMode.WT, False),
        (CacheMode.WC, CacheMode.WT, False),
        (CacheMode.UC_MINUS, CacheMode.WT, True),
    ],
)
def test_second_mapping_takes_the_type_of_the_first_unless_that_caches_more(
    k: Kernel, have: CacheMode, want: CacheMode, granted: bool
) -> None:
    first = k.ioremap(have, BAR, 0x2000)
    second = k.ioremap(want, BAR + 0x1000, 0x2000)
    assert bool(second) == granted
    if granted:
        assert k.dmesg == []
        k.iounmap(second)
    else:
        assert k.dmesg == [
            "ioremap error for 0x80001000-0x80003000, "
            f"requested 0x{int(want):x}, got 0x{int(have):x}"
        ]
    k.iounmap(first)
    k.assert_quiescent()


def test_range_of_two_types_is_refused(k: Kernel) -> None:
    k.ioremap(CacheMode.WC, BAR, 0x1000)
    k.ioremap(CacheMode.WB, BAR + 0x1000, 0x1000)
    assert k.ioremap(CacheMode.WB, BAR, 0x2000) == 0
    assert k.dmesg[0].endswith(
        "conflicting memory types 80000000-80002000 write-combining<->write-back"
    )
    assert k.dmesg[1] == (
        "x86/PAT: reserve_memtype failed [mem 0x80000000-0x80001fff], "
        "track write-back, req write-back"
    )
    assert k.dmesg[2] == f"ioremap reserve_memtype failed {-errno.EBUSY}"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (CacheMode.UC_MINUS, CacheMode.WT, "uncached-minus<->write-through"),
        (CacheMode.WT, CacheMode.WC, "write-through<->write-combining"),
    ],
)
def test_conflict_names_the_types(
    k: Kernel, first: CacheMode, second: CacheMode, words: str
) -> None:
    k.ioremap(first, BAR, 0x1000)
    k.ioremap(second, BAR + 0x1000, 0x1000)
    assert k.ioremap(CacheMode.WB, BAR, 0x2000) == 0
    assert k.dmesg[0].endswith(words)


def test_ram_is_not_mapped(k: Kernel) -> None:
    assert k.ioremap(CacheMode.WB, 0x100000, 0x1000) == 0
    assert any("ioremap on RAM at 0x0000000000100000" in line for line in k.dmesg)
    assert [v.kind for v in k.violations] == ["warn"]


def test_address_that_the_cpu_does_not_have_is_not_mapped(k: Kernel) -> None:
    assert k.ioremap(CacheMode.WB, 1 << 52, 0x1000) == 0
    assert k.dmesg[0] == "ioremap: invalid physical address 10000000000000"


@pytest.mark.parametrize("site", ["get_vm_area", "reserve_memtype"])
def test_mapping_without_memory_leaves_nothing(k: Kernel, site: str) -> None:
    with k.fault_injection(site) as fault:
        assert k.ioremap(CacheMode.WB, BAR, 0x1000) == 0
    assert fault.hits == 1
    k.assert_quiescent()


def test_iounmap_of_what_is_not_mapped_says_so(k: Kernel) -> None:
    mapped = k.ioremap(CacheMode.WB, BAR, 0x1000)
    k.iounmap(mapped)
    k.iounmap(mapped)
    assert k.dmesg == [f"iounmap: bad address {mapped:016x}"]


def test_iounmap_of_the_direct_map_is_nothing(k: Kernel) -> None:
    k.iounmap(k.va(0x100000))
    assert k.dmesg == []


def test_without_pat_every_type_is_granted(k: Kernel) -> None:
    with Kernel(config=Config(pat=False)) as other:
        other.iomem.load("80000000-80ffffff : PCI Bus\n")
        first = other.ioremap(CacheMode.WB, BAR, 0x1000)
        second = other.ioremap(CacheMode.WC, BAR, 0x1000)
        assert first
        assert second
        other.iounmap(first)
        other.iounmap(second)
        other.assert_quiescent()


def test_pagemap_takes_the_type_of_a_range_that_is_mapped_uncached(k: Kernel) -> None:
    start, size = 0x140000000, 0x8000000
    k.iomem.add(start, start + size - 1, "Persistent Memory")
    mapped = k.ioremap(CacheMode.UC_MINUS, start, 0x1000)
    device = k.device("foo.0")
    device.memremap_pages(k.pagemap(start, size, ref=k.percpu_ref()))
    # Uncached it is now as a whole: nobody gets it with write combining off.
    assert k.ioremap(CacheMode.WC, start + size // 2, 0x1000)
    assert k.dmesg == []
    k.iounmap(mapped)
