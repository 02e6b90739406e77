# SPDX-License-Identifier: GPL-2.0-only
"""dax_pmem: what a probe registers, in which order it goes, and what each failure answers."""

from __future__ import annotations

import re

import pytest

from memremap_emu import Blocked, Kernel, KernelError, MemoryType
from memremap_emu.drivers import BuiltinDriver
from memremap_emu.objects import Device

START, SIZE = 0x140000000, 0x40000000
FIRST, LAST = START >> 12, (START + SIZE >> 12) - 1

#: Release functions of what a probe registers, oldest first.
REGISTERED = [
    "devm_kzalloc_release", "devm_region_release", "dax_pmem_percpu_exit",
    "devm_memremap_pages_release", "dax_region_unregister", "unregister_dev_dax",
]  # fmt: skip


class Dax:
    """A namespace in devdax mode on a machine that has nothing else."""

    def __init__(self, k: Kernel, *, altmap: bool = False) -> None:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory (legacy)")
        self.k = k
        self.map = str(k.iomem)
        self.driver: BuiltinDriver = k.driver("dax_pmem", altmap=altmap)
        self.dev: Device = self.driver.device(START, SIZE)

    def bind(self) -> None:
        self.driver.bind(self.dev)

    def unbind(self) -> None:
        self.driver.unbind(self.dev)


@pytest.fixture
def d(k: Kernel) -> Dax:
    return Dax(k)


def test_release_is_the_reverse_of_registration(k: Kernel, d: Dax) -> None:
    d.bind()
    start = k.trace.position
    d.unbind()
    functions = k.trace.functions(start)
    seen = [f for f in functions[functions.index("devres_release_all") :] if f in REGISTERED]
    expected = list(reversed(REGISTERED))
    expected.remove("devm_kzalloc_release")
    assert [f for f in seen if f != "devm_kzalloc_release"] == expected


def test_probe_registers_as_many_entries_as_the_table_says(d: Dax) -> None:
    d.bind()
    assert d.dev.devres_release_all() == len(REGISTERED)


def test_kill_comes_first_in_the_release_of_the_mapping_and_the_wait_last(
    k: Kernel, d: Dax
) -> None:
    d.bind()
    start = k.trace.position
    d.unbind()
    steps = ("devm_memremap_pages_release", "dax_pmem_percpu_kill",
             "percpu_ref_kill_and_confirm", "put_device_pages", "arch_remove_memory",
             "pgmap_radix_release", "dax_pmem_percpu_exit", "dax_pmem_percpu_release",
             "percpu_ref_exit", "devm_region_release")  # fmt: skip
    assert [f for f in k.trace.functions(start) if f in steps] == [
        "devm_memremap_pages_release", "dax_pmem_percpu_kill", "percpu_ref_kill_and_confirm",
        "put_device_pages", "arch_remove_memory", "pgmap_radix_release",
        "dax_pmem_percpu_exit", "dax_pmem_percpu_release", "percpu_ref_exit",
        "devm_region_release",
    ]  # fmt: skip


@pytest.mark.parametrize("altmap", [False, True])
@pytest.mark.parametrize("checked", [True, False])
def test_bind_and_unbind_leave_nothing_behind_again_and_again(altmap: bool, checked: bool) -> None:
    with Kernel(checked=checked) as k:
        d = Dax(k, altmap=altmap)
        live = k.stats.live_objects
        for _ in range(3):
            d.bind()
            assert d.dev.bound and k.page(LAST).pgmap is not None
            d.unbind()
            assert str(k.iomem) == d.map
            assert k.stats.live_objects == live
            k.assert_quiescent()
        assert k.dmesg == []


def test_pages_are_unmanaged_and_the_key_stays_off(k: Kernel, d: Dax) -> None:
    d.bind()
    pm = k.page(LAST).pgmap
    assert pm is not None and pm.type is MemoryType.PLAIN
    assert not k.devmap_managed_key
    ref = pm.ref
    assert ref is not None and ref.logical == 1 + (LAST + 1 - FIRST)
    assert not ref.atomic


def test_altmap_keeps_the_struct_pages_on_the_device(k: Kernel) -> None:
    d = Dax(k, altmap=True)
    d.bind()
    assert k.section_memmap_pfn(START >> 27) is not None
    pm = k.page(LAST).pgmap
    assert pm is not None and pm.altmap.alloc == 512 * (SIZE >> 27)
    ref = pm.ref
    assert ref is not None
    assert ref.logical == 2 + LAST - FIRST - pm.altmap.reserve - pm.altmap.free


def test_unbind_waits_for_a_page_after_the_memory_is_gone(watched: Kernel) -> None:
    k = watched
    d = Dax(k)
    d.bind()
    page = k.page(LAST)
    page.get()
    with pytest.raises(Blocked) as blocked:
        d.unbind()
    assert blocked.value.waits_for.startswith("completion")
    assert not page.valid
    assert k.iomem.root.children[0].children, "the region is still claimed"
    page.put()
    assert blocked.value.task.done and str(k.iomem) == d.map
    k.assert_quiescent()


def test_page_held_and_put_before_unbind_does_not_matter(k: Kernel, d: Dax) -> None:
    d.bind()
    for pfn in (FIRST, FIRST + 0x4000, LAST):
        k.page(pfn).get()
        k.page(pfn).put()
    d.unbind()
    k.assert_quiescent()


def test_region_in_use_is_ebusy_and_the_squatter_keeps_it(k: Kernel, d: Dax) -> None:
    k.iomem.root.children[0].request_region(START, 0x1000, "squatter")
    before = str(k.iomem)
    with pytest.raises(KernelError) as error:
        d.bind()
    assert error.value.errno == 19
    assert f"dax_pmem: probe of {d.dev.name} failed with error -16" in k.dmesg
    assert any("could not reserve region" in line for line in k.dmesg)
    assert str(k.iomem) == before


def probe_error(k: Kernel) -> int:
    """What the probe answered, from the log, which is silent about ENXIO."""
    found = [re.search(r"failed with error -?(\d+)$", line) for line in k.dmesg]
    return next((int(m[1]) for m in found if m), 6)


def sites_of_a_probe() -> dict[str, int]:
    """Fallible calls of one probe: who asks, and how often."""
    with Kernel() as k:
        d = Dax(k)
        before = k.fault_sites
        d.bind()
        after = k.fault_sites
        return {s: n - before.get(s, 0) for s, n in after.items() if n > before.get(s, 0)}


BOUND, QUIRK = 0, -1  # bound all the same; not bound although the probe said 0
ENXIO, ENOMEM, EBUSY, EINVAL = 6, 12, 16, 22
SECTIONS = SIZE >> 27

#: What the n-th failure of each fallible call answers, and how often the ref is killed then:
#: never before the mapping is tried, once from there on.
ANSWERS = {
    "driver_sysfs_add": [(QUIRK, 0), (QUIRK, 0)],
    "devm_kmalloc": [(ENOMEM, 0), (ENOMEM, 0)],
    "__devm_request_region": [(EBUSY, 0), (EBUSY, 0)],
    "__request_region": [(EBUSY, 0), (EBUSY, 0)],
    "devm_memremap": [(ENOMEM, 0)],
    "get_vm_area": [(ENXIO, 0)],
    "percpu_ref_init": [(ENOMEM, 0)],
    "devm_add_action": [(ENOMEM, 0), (ENOMEM, 1), (ENOMEM, 1), (ENOMEM, 1)],
    "radix_tree_node_alloc": [(ENOMEM, 1)],
    "reserve_memtype": [(ENXIO, 0), (ENOMEM, 1)],
    "kasan_populate_zero_shadow": [(ENOMEM, 1)],
    "zero_pud_populate": [(BOUND, 0)],
    "sparse_index_init": [(ENOMEM, 1)],
    "vmemmap_populate": [(ENOMEM, 1)] * SECTIONS,
    "__kmalloc_section_usemap": [(ENOMEM, 1)] * SECTIONS,
    "alloc_dax_region": [(ENOMEM, 1)],
    "devm_create_dev_dax": [(ENOMEM, 1)],
    "alloc_dax": [(ENOMEM, 1)],
    "kobject_set_name_vargs": [(EINVAL, 1)],  # not looked at: a device without a name
    "device_private_init": [(ENOMEM, 1)],
}


def test_each_fallible_call_fails_the_probe_as_the_table_says() -> None:
    answers: dict[str, list[tuple[int, int]]] = {}
    for site, calls in sites_of_a_probe().items():
        for nth in range(1, calls + 1):
            with Kernel(trace=True, on_violation="record") as k:
                d = Dax(k)
                start = k.trace.position
                with k.fault_injection(site, nth=nth) as fault:
                    try:
                        d.bind()
                        code = BOUND
                    except KernelError:
                        code = probe_error(k) or QUIRK
                assert fault.hits == 1
                kills = k.trace.functions(start).count("percpu_ref_kill_and_confirm")
                answers.setdefault(site, []).append((code, kills))
                if d.dev.bound:
                    d.unbind()
                # The wait of the exit action ends, and the namespace is free again.
                assert k.stats.blocked_tasks == 0
                assert str(k.iomem) == d.map and k.get_dev_pagemap(FIRST) is None
    assert answers == ANSWERS


def test_exit_action_that_cannot_be_registered_is_exited_at_once(k: Kernel, d: Dax) -> None:
    """Plain devm_add_action(): the ref is alive, there is nothing to wait for."""
    start = k.trace.position
    with k.fault_injection("devm_add_action"), pytest.raises(KernelError):
        d.bind()
    functions = k.trace.functions(start)
    assert "dax_pmem_percpu_exit" not in functions
    assert "percpu_ref_exit" in functions and "dax_pmem_percpu_kill" not in functions
    k.assert_quiescent()


def test_two_namespaces_do_not_know_of_each_other(k: Kernel) -> None:
    k.iomem.add(START, START + 2 * SIZE - 1, "Persistent Memory (legacy)")
    driver = k.driver("dax_pmem")
    first, second = driver.device(START, SIZE), driver.device(START + SIZE, SIZE)
    driver.bind(first)
    driver.bind(second)
    driver.unbind(first)
    assert second.bound and k.page(LAST + 1 + 0x8000).pgmap is not None
    assert not k.pfn_valid(FIRST)
    driver.unbind(second)
    k.assert_quiescent()


@pytest.mark.parametrize("kind", ["dax_pmem", "hmm_public"])
def test_nodes_of_the_index_that_others_need_are_not_left_behind(k: Kernel, kind: str) -> None:
    """The first device brings nodes that the second one hangs below, and goes first."""
    if kind == "dax_pmem":
        k.iomem.add(START, START + 2 * SIZE - 1, "Persistent Memory (legacy)")
    driver = k.driver(kind)
    first, second = driver.device(START, SIZE), driver.device(START + SIZE, SIZE)
    driver.bind(first)
    driver.bind(second)
    driver.unbind(first)
    k.assert_quiescent()
    driver.unbind(second)
    k.assert_quiescent()


def test_nodes_of_the_index_that_nobody_needs_are_left_behind(k: Kernel) -> None:
    """A failed insert far away leaves a node beside those of a device that stays."""
    far = START + (1 << 44)
    for start in (START, far):
        k.iomem.add(start, start + SIZE - 1, "Persistent Memory (legacy)")
    driver = k.driver("dax_pmem")
    first, second = driver.device(START, SIZE), driver.device(far, SIZE)
    driver.bind(first)
    # The tree grows, and gets nodes on the way to the entry, which are left alone then.
    with k.fault_injection("radix_tree_node_alloc", nth=4) as fault, pytest.raises(KernelError):
        driver.bind(second)
    assert fault.hits
    left = [found.message for found in k.quiescence()]
    assert left == ["576 bytes allocated in radix_tree_node_alloc() were not freed"]
    driver.bind(second)
    k.assert_quiescent()


def test_devices_that_are_bound_have_left_nothing_behind_however_many_they_are(k: Kernel) -> None:
    start, section, count = 0x4000000000, 1 << 27, 600
    k.iomem.add(start, start + count * section - 1, "Persistent Memory (legacy)")
    driver = k.driver("dax_pmem")
    for number in range(count):
        driver.bind(driver.device(start + number * section, section))
    assert k.quiescence() == []
