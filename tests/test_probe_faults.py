# SPDX-License-Identifier: GPL-2.0-only
"""Every fallible call of a probe fails in turn: what the driver gives back and what it does not."""

from __future__ import annotations

import errno
import re
from collections import Counter

import pytest

from memremap_emu import Kernel, KernelError

START, SIZE = 0x140000000, 0x40000000
MAP = "00000000-3fffffff : System RAM\n140000000-17fffffff : Persistent Memory (legacy)\n"

#: devm_memremap_pages() undoes neither the sections nor the direct map of a failed hotplug.
DIRECT_MAP = "pfn 0x140000 is still in the direct map"
SECTION = "section 40 (pfn 0x140000) is still there"
#: A disk thrown away before it was added drops a queue reference that it never took.
UNDERFLOW = "refcount_t: underflow; use-after-free."
#: pmem_attach_disk() forgets the disk when it cannot register its release.
DISK = "112 bytes allocated in __alloc_disk_node() were not freed"
#: alloc_dax_region() forgets the caller's reference when it cannot register its release.
REGION = "112 bytes allocated in alloc_dax_region() were not freed"

Sweep = tuple[int, Counter[str]]


def sweep(name: str, mode: str, altmap: bool, *, checked: bool) -> Sweep:
    """How many calls can fail, and what is found after each of them has, summed up."""
    found: Counter[str] = Counter()
    for n in range(1, 200):
        with Kernel(checked=checked, on_violation="record") as k:
            k.iomem.load(MAP)
            before = str(k.iomem)
            driver = k.driver(name, mode=mode, altmap=altmap)
            device = driver.device(START, SIZE)
            with k.fault_injection(nth=n) as fault:
                try:
                    driver.bind(device)
                except KernelError as error:
                    # The sysfs file says no more than that nothing was bound.
                    assert error.errno == errno.ENODEV
            if not fault.hits:
                assert device.bound
                return n - 1, found
            assert fault.hits == 1
            if device.bound:
                driver.unbind(device)
            assert str(k.iomem) == before
            assert k.get_dev_pagemap(START >> 12) is None
            for record in [*k.quiescence(), *k.violations]:
                found[re.sub(r" \(lib/.*| in an object.*", "", record.message)] += 1
    raise AssertionError("the calls of a probe have no end")


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
@pytest.mark.parametrize(
    ("name", "mode", "altmap", "leftovers"),
    [
        ("pmem", "fsdax", False, {DIRECT_MAP, SECTION, UNDERFLOW, DISK}),
        ("pmem", "fsdax", True, {DIRECT_MAP, SECTION, UNDERFLOW, DISK}),
        ("pmem", "memory", False, {DIRECT_MAP, SECTION, UNDERFLOW, DISK}),
        ("pmem", "raw", False, {UNDERFLOW, DISK}),
        ("dax_pmem", "fsdax", False, {DIRECT_MAP, SECTION, REGION}),
        ("dax_pmem", "fsdax", True, {DIRECT_MAP, SECTION, REGION}),
    ],
)
def test_failed_probe_leaves_nothing_but_what_the_kernel_leaves(
    name: str, mode: str, altmap: bool, leftovers: set[str], checked: bool
) -> None:
    calls, found = sweep(name, mode, altmap, checked=checked)
    assert calls >= 20
    assert set(found) == leftovers
    if REGION in leftovers:
        assert found[REGION] == 1
    else:
        assert found[DISK] == 1
        assert found[UNDERFLOW] == 2


def test_both_builds_have_the_same_fallible_calls() -> None:
    for name, mode in (("pmem", "fsdax"), ("pmem", "raw"), ("dax_pmem", "fsdax")):
        assert sweep(name, mode, False, checked=True) == sweep(name, mode, False, checked=False)
