# SPDX-License-Identifier: GPL-2.0-only
"""HMM device memory before the patch that hands it over to devm_memremap_pages()."""

from __future__ import annotations

import pytest

from memremap_emu import Export, Kernel, KernelError, TaskDied
from memremap_emu.device import Device
from memremap_emu.drivers import PciDriver

RAM = "00100000-0fffffff : System RAM\n"
SECTION = 128 << 20
#: Before "use devm semantics", with it, and the driver's own memory in front.
BEFORE = ("v4.19", "memremap-v6 4/7")
DEVM = "memremap-v6 5/7"
OWN = "devm_kmalloc_release"


def kernel(version: str) -> Kernel:
    k = Kernel.select(version, on_violation="record", trace=True)
    k.iomem.load(RAM)
    return k


def bound(k: Kernel, name: str, start: int = 0x100000000) -> tuple[PciDriver, Device]:
    driver = k.driver(name)
    size = 2 * SECTION
    device = driver.device(size=size) if name == "hmm" else driver.device(start, size)
    driver.bind(device)
    return driver, device


ORDERS = {
    ("v4.19", "hmm"): (
        OWN,
        "hmm_devmem_ref_exit",
        "devm_region_release",
        "hmm_devmem_release",
        "hmm_devmem_ref_kill",
    ),
    ("v4.19", "hmm_public"): (
        OWN,
        "devm_region_release",
        "hmm_devmem_ref_exit",
        "hmm_devmem_release",
        "hmm_devmem_ref_kill",
    ),
    (DEVM, "hmm"): (
        OWN,
        OWN,
        "hmm_devmem_ref_exit",
        "devm_region_release",
        "hmm_devmem_release_action",
    ),
    (DEVM, "hmm_public"): (
        OWN,
        "devm_region_release",
        OWN,
        "hmm_devmem_ref_exit",
        "hmm_devmem_release_action",
        "hmm_devmem_ref_kill",
    ),
}


@pytest.mark.parametrize(("version", "name"), ORDERS)
def test_managed_resources_in_order(version: str, name: str) -> None:
    with kernel(version) as k:
        _, device = bound(k, name)
        assert device.devres == ORDERS[version, name]


@pytest.mark.parametrize("version", [*BEFORE, DEVM])
@pytest.mark.parametrize("name", ["hmm", "hmm_public"])
def test_pages_know_their_pagemap_and_hold_nothing(version: str, name: str) -> None:
    with kernel(version) as k:
        driver, device = bound(k, name)
        devmem = driver.devmem(device)
        page = devmem.pages[0]
        assert (page.count, page.pgmap) == (1, devmem.pagemap)
        assert devmem.ref.logical == 1
        assert k.get_dev_pagemap(page.pfn) is None
        assert k.linear_mapping_present(page.pfn) == (name == "hmm_public")


@pytest.mark.parametrize("patches", ["hmm-memremap", "hmm-devm,hmm-memremap"])
@pytest.mark.parametrize("name", ["hmm", "hmm_public"])
def test_pages_that_wait_for_their_pagemap_are_initialised_with_it(patches: str, name: str) -> None:
    with kernel(f"v5.0 without {patches}") as k:
        driver, device = bound(k, name)
        devmem = driver.devmem(device)
        page = devmem.pages[0]
        assert page.initialised and (page.count, page.pgmap, page.hmm_data) == (
            1,
            devmem.pagemap,
            0,
        )
        assert devmem.ref.logical == 1
        if "hmm-devm" in patches:
            devmem.remove()
        driver.unbind(device)
        assert not k.violations and not k.quiescence()


@pytest.mark.parametrize("version", BEFORE)
def test_plain_unbind_looks_for_actions_that_are_gone_and_for_a_freed_ref(version: str) -> None:
    with kernel(version) as k:
        driver, device = bound(k, "hmm")
        driver.unbind(device)
        kinds = [v.kind for v in k.violations]
        assert (kinds[0], kinds[-1]) == ("warn", "warn")
        assert set(kinds[1:-1]) == {"use-after-free"}
        assert not k.quiescence()


@pytest.mark.parametrize("version", BEFORE)
@pytest.mark.parametrize("name", ["hmm", "hmm_public"])
def test_removal_by_the_driver_is_clean_and_leaves_nothing_of_it(version: str, name: str) -> None:
    with kernel(version) as k:
        driver, device = bound(k, name)
        devmem = driver.devmem(device)
        pfn = devmem.pfn_first
        devmem.remove()
        # What is left is the driver's own.
        assert device.devres == (OWN,) if name == "hmm" else (OWN, "devm_region_release")
        assert not k.pfn_valid(pfn) and not k.violations
        driver.unbind(device)
        assert not k.violations and not k.quiescence()


def test_with_devm_semantics_there_is_no_removal_by_the_driver() -> None:
    with kernel(DEVM) as k:
        driver, device = bound(k, "hmm")
        with pytest.raises(ValueError, match=r"no hmm_devmem_remove\(\)"):
            driver.devmem(device).remove()
        assert "hmm_devmem_remove" not in k.exports
    with kernel("memremap-v6 4/7") as k:
        assert k.exports["hmm_devmem_remove"] is Export.EXPORT_SYMBOL


@pytest.mark.parametrize("name", ["hmm", "hmm_public"])
def test_unbind_with_devm_semantics_is_clean(name: str) -> None:
    with kernel(DEVM) as k:
        driver, device = bound(k, name)
        start = k.trace.position
        driver.unbind(device)
        killed = "percpu_ref_kill_and_confirm" in k.trace.functions(start)
        # Private memory is forgotten.
        assert killed == (name == "hmm_public")
        assert not k.violations and not k.quiescence()
        driver.bind(device)


@pytest.mark.parametrize("version", [*BEFORE, DEVM])
def test_unbind_does_not_wait_for_a_page_in_use(version: str) -> None:
    with kernel(version) as k:
        driver, device = bound(k, "hmm")
        page = driver.devmem(device).pages[3]
        page.get()
        driver.unbind(device)
        assert not device.bound
        with pytest.raises(TaskDied):
            page.put()
        assert "memmap-removed" in {v.kind for v in k.violations}


@pytest.mark.parametrize("version", [*BEFORE, DEVM])
def test_a_section_that_is_taken_is_busy(version: str) -> None:
    with kernel(version) as k:
        bound(k, "hmm_public")
        driver = k.driver("hmm_public")
        other = driver.device(0x100000000 + 2 * SECTION - (64 << 20), SECTION)
        with pytest.raises(KernelError):
            driver.bind(other)
        # The region is refused first: the ranges overlap.
        assert any("failed with error -16" in line for line in k.dmesg)
        beside = driver.device(0x100000000 + 4 * SECTION, 64 << 20)
        driver.bind(beside)
        same = driver.device(0x100000000 + 4 * SECTION + (64 << 20), 64 << 20)
        with pytest.raises(KernelError) as caught:
            driver.bind(same)
        assert any(
            "hmm_devmem_pages_create: collides with mapping for" in line
            for line in caught.value.log
        )
        assert any("failed with error -16" in line for line in caught.value.log)


@pytest.mark.parametrize("version", [*BEFORE, DEVM])
def test_mixed_memory_is_refused_with_a_warning(version: str) -> None:
    with kernel(version) as k:
        k.iomem.add(0x200000000, 0x203FFFFFF, "System RAM")
        driver = k.driver("hmm_public")
        with pytest.raises(KernelError) as caught:
            driver.bind(driver.device(0x204000000, 64 << 20))
        text, place = (
            next(line for line in caught.value.log if what in line)
            for what in ("hmm_devmem_pages_create attempted on mixed region", "WARNING: CPU")
        )
        assert caught.value.log.index(place) == caught.value.log.index(text) + 1
        assert "at mm/hmm.c:1038 hmm_devmem_pages_create" in place
        # It is the answer to that call, as devm_memremap_pages()'s own is.
        assert not [v for v in k.violations if v.func == "hmm_devmem_pages_create"]


def test_failing_pages_run_the_whole_removal_and_miss_the_unregistered_kill() -> None:
    with kernel("v4.19") as k:
        driver = k.driver("hmm")
        device = driver.device(size=SECTION)
        with k.fault_injection("radix_tree_node_alloc"), pytest.raises(KernelError) as caught:
            driver.bind(device)
        assert any("hmm_devmem_pages_create: failed: -12" in line for line in caught.value.log)
        assert [v.kind for v in k.violations] == ["warn"]
        assert not k.quiescence()


def test_failing_add_memory_gives_back_a_memory_type_that_was_never_taken() -> None:
    with kernel("v4.19") as k:
        driver = k.driver("hmm")
        with k.fault_injection("vmemmap_populate"), pytest.raises(KernelError) as caught:
            driver.bind(driver.device(size=SECTION))
        assert any("failed with error -12" in line for line in caught.value.log)


def test_a_last_action_that_cannot_be_registered_ends_in_the_explicit_removal() -> None:
    with kernel("v4.19") as k:
        driver = k.driver("hmm")
        device = driver.device(size=SECTION)
        # The first is ref_exit, the second ref_kill.
        with k.fault_injection("devm_add_action", nth=2), pytest.raises(KernelError):
            driver.bind(device)
        assert "warn" in [v.kind for v in k.violations]
        assert not k.quiescence()
