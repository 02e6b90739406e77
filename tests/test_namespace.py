# SPDX-License-Identifier: GPL-2.0-only
"""Namespaces: their names, their disks, and what alignment takes from them."""

from __future__ import annotations

import errno

import pytest

from memremap_emu import Kernel, KernelError

START, SIZE = 0x140000000, 0x40000000
MAP = "00000000-3fffffff : System RAM\n140000000-17fffffff : Persistent Memory (legacy)\n"


@pytest.mark.parametrize(
    ("name", "disk"),
    [
        ("namespace0.0", "pmem0"),
        ("namespace3.0", "pmem3"),
        ("namespace3.12", "pmem3.12"),
        ("namespace7", "pmem7"),
        ("namespace", "pmem0"),
        ("other", "pmem0"),
    ],
)
def test_disk_is_named_after_region_and_number(name: str, disk: str) -> None:
    with Kernel() as k:
        k.iomem.load(MAP)
        pmem = k.driver("pmem", mode="raw")
        pmem.bind(pmem.device(START, SIZE, name))
        assert k.dax_pfn(disk, 0) == START >> 12


@pytest.mark.parametrize("name", ["other", "namespace7", "namespacex.1"])
def test_device_dax_needs_region_and_number_in_the_name(name: str) -> None:
    with Kernel() as k:
        k.iomem.load(MAP)
        dax = k.driver("dax_pmem")
        device = dax.device(START, SIZE, name)
        with pytest.raises(KernelError) as error:
            dax.bind(device)
        assert error.value.errno == errno.ENODEV
        assert any("failed with error -22" in line for line in k.dmesg)
        k.assert_quiescent()


def test_name_without_memory_for_it_makes_no_namespace() -> None:
    with Kernel() as k:
        k.iomem.load(MAP)
        pmem = k.driver("pmem", mode="raw")
        for nth in (1, 2, 3):
            with k.fault_injection(nth=nth) as fault, pytest.raises(KernelError) as error:
                pmem.device(START, SIZE)
            assert fault.hits == 1
            assert error.value.errno == errno.ENOMEM
            k.assert_quiescent()


def test_fsdax_keeps_away_from_ram_in_its_first_and_last_section() -> None:
    mib = 1 << 20
    with Kernel() as k:
        k.iomem.load(
            "00000000-13fffffff : System RAM\n"
            "140000000-143ffffff : System RAM\n"
            "144000000-17bffffff : Persistent Memory (legacy)\n"
            "17c000000-17fffffff : System RAM\n"
        )
        pmem = k.driver("pmem", mode="fsdax")
        device = pmem.device(0x144000000, 0x38000000)
        pmem.bind(device)
        assert any("alignment collision, truncate" in line for line in k.dmesg)
        assert device.pagemap is not None
        assert device.pagemap.start == 0x148000000
        assert device.pagemap.end == 0x178000000 - 1
        assert k.dax_direct_access("pmem0", 0, 1 << 20) < (0x38000000 - 128 * mib) >> 12
        pmem.unbind(device)
        k.assert_quiescent()


@pytest.mark.parametrize(
    ("size", "altmap"), [(0x2000, False), (0x1000, False), (0x200000, True), (0x200000, False)]
)
def test_fsdax_without_room_for_data_is_not_bound(size: int, altmap: bool) -> None:
    with Kernel() as k:
        k.iomem.load(MAP)
        pmem = k.driver("pmem", mode="fsdax", altmap=altmap)
        device = pmem.device(START, size)
        with pytest.raises(KernelError) as error:
            pmem.bind(device)
        assert error.value.errno == errno.ENODEV
        assert any("unable to satisfy requested alignment" in line for line in k.dmesg)
        k.assert_quiescent()
