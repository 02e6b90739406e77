# SPDX-License-Identifier: GPL-2.0-only
"""Memory types of the physical ranges under a pagemap (x86 PAT)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memremap_emu import CacheMode, Config, Kernel, KernelError, PageMap
from memremap_emu.objects import Device, PerCpuRef

BASE = 0x548000000
SECTION = 128 << 20
UC, WC, WB = CacheMode.UC_MINUS, CacheMode.WC, CacheMode.WB


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


@pytest.fixture
def dev(k: Kernel) -> Device:
    return k.device("x.0")


def mapping(k: Kernel, start: int = BASE, size: int = SECTION) -> tuple[PageMap, PerCpuRef]:
    ref = k.percpu_ref()
    return k.pagemap(start, size, ref=ref), ref


def fails(dev: Device, pm: PageMap) -> int | None:
    with pytest.raises(KernelError) as error:
        dev.memremap_pages(pm)
    return error.value.errno


@pytest.mark.parametrize("mode", [UC, WC, WB])
def test_one_mapping_of_another_type_does_not_disturb(
    k: Kernel, dev: Device, mode: CacheMode
) -> None:
    assert k.ioremap(mode, BASE + 0x1000, 0x1000)
    pm, ref = mapping(k)
    dev.memremap_pages(pm)
    assert ref.logical == 1 + (SECTION >> 12)
    dev.devres_release_all()
    assert k.dmesg == []


def test_two_mappings_of_different_types_are_ebusy_with_both_lines(k: Kernel, dev: Device) -> None:
    k.ioremap(UC, BASE, 0x1000)
    k.ioremap(WC, BASE + 0x2000, 0x1000)
    pm, ref = mapping(k)
    assert fails(dev, pm) == 16
    first, second = (line for line in k.dmesg if line.startswith("x86/PAT: "))
    assert first.endswith(" conflicting memory types 548000000-550000000 "
                          "uncached-minus<->write-combining")  # fmt: skip
    assert second == (
        "x86/PAT: reserve_memtype failed [mem 0x548000000-0x54fffffff], track write-back, "
        "req write-back"
    )
    assert ref.dead, "the ref has been killed"
    assert not k.pfn_valid(BASE >> 12) and k.get_dev_pagemap(BASE >> 12) is None


def test_two_mappings_of_one_type_are_no_conflict(k: Kernel, dev: Device) -> None:
    k.ioremap(UC, BASE, 0x1000)
    k.ioremap(UC, BASE + 0x2000, 0x1000)
    dev.memremap_pages(mapping(k)[0])


def test_conflict_in_the_padding_of_the_section_counts(k: Kernel, dev: Device) -> None:
    k.ioremap(UC, BASE, 0x1000)
    k.ioremap(WC, BASE + 0x2000, 0x1000)
    assert fails(dev, mapping(k, BASE + (64 << 20), 2 << 20)[0]) == 16


def test_conflict_beside_the_section_does_not(k: Kernel, dev: Device) -> None:
    k.ioremap(UC, BASE - 0x1000, 0x1000)
    k.ioremap(WC, BASE + SECTION, 0x1000)
    dev.memremap_pages(mapping(k)[0])


def test_range_is_given_back_at_release_and_can_be_mapped_otherwise(k: Kernel, dev: Device) -> None:
    pm, _ = mapping(k)
    dev.memremap_pages(pm)
    dev.devres_release_all()
    for mode in (UC, WC):
        mapped = k.ioremap(mode, BASE, SECTION)
        assert mapped
        k.iounmap(mapped)
    assert k.dmesg == []


@pytest.mark.parametrize(
    "site", ["__kmalloc_section_usemap", "devm_add_action", "vmemmap_populate"]
)
def test_range_is_given_back_when_a_later_step_fails(site: str) -> None:
    with Kernel(on_violation="record") as k:
        dev = k.device("x.0")
        with k.fault_injection(site) as fault:
            assert fails(dev, mapping(k)[0]) == 12
        assert fault.hits == 1
        assert not [line for line in k.dmesg if "freeing invalid memtype" in line]
        k.ioremap(UC, BASE, 0x1000)
        mapped = k.ioremap(WC, BASE + 0x1000, 0x1000)
        assert mapped, "nothing of the failed mapping is in the way"


def test_reservation_without_memory_is_enomem(k: Kernel, dev: Device) -> None:
    pm, ref = mapping(k)
    with k.fault_injection("reserve_memtype") as fault:
        assert fails(dev, pm) == 12
    assert fault.hits == 1 and ref.dead


def test_without_pat_nothing_conflicts() -> None:
    with Kernel(config=Config(pat=False)) as k:
        k.ioremap(UC, BASE, 0x1000)
        k.ioremap(WC, BASE + 0x2000, 0x1000)
        dev = k.device("x.0")
        dev.memremap_pages(mapping(k)[0])
        dev.devres_release_all()
        assert k.dmesg == []
