# SPDX-License-Identifier: GPL-2.0-only
"""HMM device memory: where it goes, who is told what, and what a failed call leaves."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memremap_emu import (
    Blocked,
    Config,
    HmmDevMem,
    Kernel,
    KernelError,
    MemoryType,
    Page,
    Region,
    TaskDied,
    VmFault,
)
from memremap_emu.objects import Device

SECTION = 1 << 27
TOP = 1 << 46
COHERENT = 0x400000000
DEVICE_PRIVATE_MEMORY, DEVICE_PUBLIC_MEMORY = 6, 7
ENOMEM, EINVAL, ENXIO, ERANGE = (-errno.ENOMEM, -errno.EINVAL, -errno.ENXIO, -errno.ERANGE)
HELD = "devmap_managed_key: HMM has enabled it {} times and never disables it"


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


def private(k: Kernel, size: int = SECTION) -> tuple[Any, Device, HmmDevMem]:
    driver = k.driver("hmm")
    device = driver.device(size=size)
    driver.bind(device)
    return driver, device, driver.devmem(device)


class Driven:
    """A device of a driver whose probe adds memory, and what that call answered."""

    def __init__(self, k: Kernel, add: Callable[[Device], HmmDevMem]) -> None:
        self.error = 0
        self.devmem: HmmDevMem | None = None

        def probe(device: Device) -> int:
            try:
                self.devmem = add(device)
            except KernelError as e:
                self.error = -(e.errno or 0)
            return self.error

        driver = k.driver("gpu", probe=probe)
        self.device = k.device("gpu.0", add=False)
        self.device.add()
        self.driver = driver


# --- the range ---


def test_private_memory_takes_the_highest_free_range_named_after_its_device(k: Kernel) -> None:
    _, device, devmem = private(k, 1)
    r = devmem.resource
    assert (r.start, r.end, r.name, r.desc) == (
        TOP - SECTION,
        TOP - 1,
        device.name,
        DEVICE_PRIVATE_MEMORY,
    )
    assert (devmem.pfn_first, devmem.pfn_last) == ((TOP - SECTION) >> 12, TOP >> 12)


def test_the_search_starts_where_iomem_ends() -> None:
    with Kernel(config=Config(physical_bits=39)) as k:
        _, _, devmem = private(k)
        assert devmem.resource.start == 0x7FF8000000


def test_candidates_are_multiples_of_the_size_below_the_top(k: Kernel) -> None:
    _, _, first = private(k)
    _, _, second = private(k, 3 * SECTION)
    assert first.resource.start == TOP - SECTION
    # The topmost three sections are taken in part, so all three are left out.
    assert second.resource.start == TOP - 6 * SECTION


@pytest.mark.parametrize("name", ["Reserved", "PCI Bus 0000:00", "Persistent Memory"])
def test_any_resource_rejects_a_candidate_that_it_touches(k: Kernel, name: str) -> None:
    k.iomem.add(TOP - 0x1000, TOP - 1, name)
    _, _, devmem = private(k)
    assert devmem.resource.start == TOP - 2 * SECTION


@pytest.mark.parametrize(
    ("size", "answer"),
    [
        (0, ENOMEM),
        ((1 << 64) - 1, ENOMEM),
        (1 << 45, ERANGE),
        ((1 << 45) + SECTION, ERANGE),
        (1 << 46, ERANGE),
        (1 << 47, ENOMEM),
    ],
)
def test_sizes_that_find_no_range_or_one_that_cannot_be_requested(
    k: Kernel, size: int, answer: int
) -> None:
    tried: list[int] = []

    def probe(device: Device) -> Any:
        try:
            k.hmm_devmem(device, size)
        except KernelError as e:
            tried.append(-(e.errno or 0))
        return 0

    k.driver("gpu", probe=probe)
    k.device("gpu.0")
    assert tried == [answer]


def test_a_search_that_never_moves_on_is_a_soft_lockup() -> None:
    with Kernel(on_violation="record", checked=False, config=Config(physical_bits=48)) as k:
        # Size 0 has its only candidate right behind the last address that has a section.
        k.iomem.add(TOP - 0x1000, TOP + 0xFFF, "Reserved")
        device = k.device("gpu.0")
        with pytest.raises(TaskDied):
            k.hmm_devmem(device, 0)
        assert [v.kind for v in k.violations] == ["soft-lockup"]


def test_a_request_that_fails_is_not_followed_by_another_lower_down(k: Kernel) -> None:
    driver = k.driver("hmm")
    device = driver.device(size=SECTION)
    with k.fault_injection("__request_region") as f, pytest.raises(Blocked):
        driver.bind(device)
    assert f.hits == 1
    assert k.fault_sites["__request_region"] == 1
    assert k.iomem.region_intersects(TOP - (1 << 40), 1 << 40) is Region.DISJOINT


# --- the pages ---


def test_private_pages_are_private_idle_and_not_in_the_direct_map(k: Kernel) -> None:
    _, _, devmem = private(k)
    assert len(devmem.pages) == 32768
    assert devmem.pagemap.type is MemoryType.PRIVATE
    for page in (devmem.pages[0], devmem.pages[-1]):
        assert (page.count, page.zone, page.is_device_private) == (1, "Device", True)
        assert page.pgmap == devmem.pagemap
        assert not k.linear_mapping_present(page.pfn)
        assert not k.zero_shadow_present(page.pfn)


def test_each_page_holds_the_ref_once_and_users_of_a_page_do_not(k: Kernel) -> None:
    _, _, devmem = private(k)
    assert devmem.ref.logical == 1 + 32768
    devmem.pages[7].get()
    assert devmem.ref.logical == 1 + 32768
    devmem.pages[7].put()


def test_public_pages_are_in_the_direct_map_of_the_callers_own_region(k: Kernel) -> None:
    driver = k.driver("hmm_public")
    device = driver.device(COHERENT, SECTION)
    driver.bind(device)
    devmem = driver.devmem(device)
    page = devmem.pages[0]
    assert page.is_device_public
    assert devmem.resource.desc == DEVICE_PUBLIC_MEMORY
    assert k.linear_mapping_present(page.pfn)
    page.touch()
    driver.unbind(device)
    k.assert_quiescent()


@pytest.mark.parametrize("write", [False, True])
def test_touching_private_memory_through_the_direct_map_is_reported(write: bool) -> None:
    with Kernel(on_violation="record") as k:
        _, _, devmem = private(k)
        with pytest.raises(TaskDied):
            devmem.pages[3].touch(write=write)
        assert [v.kind for v in k.violations] == ["linear-map"]
        assert f"{devmem.pfn_first + 3:#x}" in k.violations[0].message


def test_touching_an_address_that_nothing_maps_is_another_report() -> None:
    with Kernel(on_violation="record") as k:
        with pytest.raises(TaskDied):
            k.page(0x12345).touch()
        assert [v.kind for v in k.violations] == ["bug"]


def test_driver_data_of_a_page_survives_its_users(k: Kernel) -> None:
    _, _, devmem = private(k)
    page = devmem.pages[9]
    page.drvdata = 0xDEADBEEF
    page.get()
    page.put()
    assert page.drvdata == 0xDEADBEEF == page.hmm_data
    assert devmem.pages[10].drvdata != 0xDEADBEEF


def test_a_slice_of_pages_is_a_sequence_of_pages(k: Kernel) -> None:
    _, _, devmem = private(k)
    assert [p.pfn - devmem.pfn_first for p in devmem.pages[2:5]] == [2, 3, 4]
    assert [p.pfn - devmem.pfn_first for p in devmem.pages[0:9:4]] == [0, 4, 8]
    with pytest.raises(IndexError):
        devmem.pages[32768]


# --- the callbacks ---


def with_callbacks(k: Kernel, **callbacks: Any) -> Driven:
    driven = Driven(k, lambda device: k.hmm_devmem(device, SECTION, **callbacks))
    assert driven.devmem is not None
    return driven


def test_free_is_called_once_when_the_last_user_is_gone_with_the_mapping_cleared(
    k: Kernel,
) -> None:
    seen: list[tuple[int, int, int]] = []
    driven = with_callbacks(k, free=lambda p: seen.append((p.pfn, p.count, p.mapping)))
    page = driven.devmem.pages[4]
    page.get()
    page.get()
    page.mapping = 0x1000
    page.put()
    assert not seen
    page.put()
    assert seen == [(page.pfn, 1, 0)]
    driven.device.release_driver()
    assert len(seen) == 1
    k.assert_quiescent()


def test_a_fault_asks_the_driver_for_the_page_and_address_and_gives_its_answer(k: Kernel) -> None:
    asked: list[tuple[int, int]] = []

    def fault(page: Page, at: int) -> VmFault:
        asked.append((page.pfn, at))
        return VmFault.MAJOR

    driven = with_callbacks(k, fault=fault)
    page = driven.devmem.pages[12]
    assert k.device_private_fault(page, 0x7F0000001000, write=True) == VmFault.MAJOR
    assert asked == [(page.pfn, 0x7F0000001000)]


def test_without_device_private_every_such_fault_is_a_sigbus() -> None:
    with Kernel(config=Config(device_private=False)) as k:
        assert k.device_private_fault(k.page(0x400000)) == VmFault.SIGBUS


def test_a_fault_callback_that_raises_is_a_sigbus_and_the_exception_arrives(k: Kernel) -> None:
    def fault(page: Page, at: int) -> int:
        raise ZeroDivisionError("in the driver")

    driven = with_callbacks(k, fault=fault)
    with pytest.raises(ZeroDivisionError):
        k.device_private_fault(driven.devmem.pages[0])
    driven.device.release_driver()
    k.assert_quiescent()


def test_a_fault_callback_that_raises_a_kernel_error_is_a_sigbus(k: Kernel) -> None:
    def fault(page: Page, at: int) -> int:
        raise KernelError(errno.ENOMEM)

    driven = with_callbacks(k, fault=fault)
    assert k.device_private_fault(driven.devmem.pages[0]) == VmFault.SIGBUS


def test_a_free_callback_that_raises_leaves_the_page_idle(k: Kernel) -> None:
    def free(page: Page) -> None:
        raise ZeroDivisionError("in the driver")

    driven = with_callbacks(k, free=free)
    page = driven.devmem.pages[0]
    page.get()
    with pytest.raises(ZeroDivisionError):
        page.put()
    assert page.count == 1


def test_a_fault_callback_may_wait_and_the_fault_ends_when_it_is_woken(k: Kernel) -> None:
    ready = k.completion("migration")

    def fault(page: Page, at: int) -> Any:
        yield ready.wait
        return 0

    driven = with_callbacks(k, fault=fault)
    with pytest.raises(Blocked, match="migration") as blocked:
        k.device_private_fault(driven.devmem.pages[0])
    ready.complete()
    assert blocked.value.task.done
    assert blocked.value.task.result == 0


def test_a_fault_callback_migrates_and_so_frees_the_page_from_within(k: Kernel) -> None:
    events: list[str] = []

    def fault(page: Page, at: int) -> Any:
        new = k.hmm_alloc_locked_page(at)
        assert new is not None and new.locked
        new.locked = False
        page.put()
        events.append("migrated")
        return 0

    k.iomem.add(0x100000, 0x7FFFFFF, "System RAM")
    driven = with_callbacks(k, free=lambda p: events.append("free"), fault=fault)
    page = driven.devmem.pages[5]
    page.get()
    assert k.device_private_fault(page) == VmFault(0)
    assert events == ["free", "migrated"]
    assert page.count == 1


def test_a_fault_inside_a_fault_is_answered_by_the_same_driver(k: Kernel) -> None:
    depth: list[int] = []

    def fault(page: Page, at: int) -> int:
        depth.append(at)
        return int(k.device_private_fault(page, at - 1)) if at else int(VmFault.SIGBUS)

    driven = with_callbacks(k, fault=fault)
    assert k.device_private_fault(driven.devmem.pages[0], 3) == VmFault.SIGBUS
    assert depth == [3, 2, 1, 0]


def test_a_free_callback_may_use_and_free_another_page(k: Kernel) -> None:
    freed: list[int] = []

    def free(page: Page) -> None:
        freed.append(page.pfn)
        if len(freed) < 4:
            following = k.page(page.pfn + 1)
            following.get()
            following.put()

    driven = with_callbacks(k, free=free)
    first = driven.devmem.pages[0]
    first.get()
    first.put()
    assert freed == [first.pfn + i for i in range(4)]


# --- registration and release ---

PRIVATE_ORDER = (
    "devm_kmalloc_release",
    "devm_kmalloc_release",
    "hmm_devmem_ref_exit",
    "devm_region_release",
    "devm_memremap_pages_release",
)


@pytest.mark.parametrize("version", ["memremap-v6", "v5.0"])
def test_managed_resources_of_private_memory_in_order(version: str) -> None:
    with Kernel(version) as k:
        _, device, _ = private(k)
        # The first entry is the driver's own memory.
        assert device.devres == PRIVATE_ORDER


def test_since_the_final_put_fix_the_mapping_waits_and_no_exit_is_registered() -> None:
    with Kernel("v5.2") as k:
        driver, device, devmem = private(k)
        assert device.devres == tuple(r for r in PRIVATE_ORDER if r != "hmm_devmem_ref_exit")
        page = devmem.pages[0]
        page.get()
        with pytest.raises(Blocked):
            driver.unbind(device)
        # The memory is still there: that is what waits.
        assert page.valid
        page.put()
        assert not device.bound
        k.assert_quiescent()


def test_managed_resources_of_a_callers_resource_in_order() -> None:
    with Kernel() as k:
        driver = k.driver("hmm_public")
        device = driver.device(COHERENT, SECTION)
        driver.bind(device)
        assert device.devres == (
            "devm_kmalloc_release",
            "devm_region_release",
            "devm_kmalloc_release",
            "hmm_devmem_ref_exit",
            "devm_memremap_pages_release",
        )


#: Functions of the add of one byte and of its end, in order, as far as they are named here.
ADD = """\
dev_pagemap_get_ops
percpu_ref_init
region_intersects
__request_region
devm_memremap_pages
region_intersects
track_pfn_remap
mem_hotplug_begin
add_pages
__add_pages
move_pfn_range_to_zone
mem_hotplug_done"""
REMOVE = """\
devm_memremap_pages_release
hmm_devmem_ref_kill
percpu_ref_kill_and_confirm
mem_hotplug_begin
__remove_pages
mem_hotplug_done
untrack_pfn
pgmap_radix_release
__release_region
hmm_devmem_ref_exit
percpu_ref_exit"""
NEVER = {"arch_add_memory", "kasan_add_zero_shadow", "arch_remove_memory"}


def steps(k: Kernel, start: int, names: str) -> str:
    wanted = set(names.split()) | NEVER
    return "\n".join(f for f in k.trace.functions(start) if f in wanted)


def test_adding_one_byte_and_removing_it_enters_these_functions_in_this_order() -> None:
    with Kernel(trace=True) as k:
        driver = k.driver("hmm")
        device = driver.device(size=1)
        start = k.trace.position
        driver.bind(device)
        assert steps(k, start, ADD) == ADD
        devmem = driver.devmem(device)
        assert devmem.pfn_last - devmem.pfn_first == 32768
        assert devmem.ref.logical == 1 + 32768
        start = k.trace.position
        driver.unbind(device)
        assert steps(k, start, REMOVE) == REMOVE
        k.assert_quiescent()


def test_unbinding_waits_for_whoever_holds_a_page_after_its_memory_is_gone() -> None:
    with Kernel(on_violation="record") as k:
        driver, device, devmem = private(k)
        page = devmem.pages[16]
        page.get()
        with pytest.raises(Blocked, match="completion"):
            driver.unbind(device)
        assert not page.valid
        assert k.iomem.region_intersects(TOP - SECTION, SECTION) is Region.DISJOINT
        page.put()
        assert not device.bound
        # What the late put is: a use of a struct page that is gone.
        assert {v.kind for v in k.violations} == {"memmap-removed"}


def test_two_devices_share_no_section_and_one_goes_without_the_other(k: Kernel) -> None:
    driver, first, a = private(k)
    _, second, b = private(k)
    assert a.pfn_first == b.pfn_last
    kept = b.pages[0]
    kept.get()
    driver.unbind(first)
    assert not k.pfn_valid((TOP >> 12) - 1)
    assert kept.count == 2
    kept.put()
    driver.unbind(second)
    k.assert_quiescent()


# --- what fails, and what it leaves ---

#: Fallible step of hmm_devmem_add: errno, kills of the ref, whether the bind ends, what is left.
#: An errno that is None: the call does not return, it waits for a ref that nobody kills.
PRIVATE_FAILURES: dict[tuple[str, int], tuple[int | None, int, bool, set[str]]] = {
    ("devm_kmalloc", 2): (ENOMEM, 0, True, set()),
    ("percpu_ref_init", 1): (ENOMEM, 0, True, set()),
    ("devm_add_action", 1): (None, 0, False, set()),
    ("__devm_request_region", 1): (ENOMEM, 0, False, set()),
    ("__request_region", 1): (ENOMEM, 0, False, set()),
    ("radix_tree_node_alloc", 1): (ENOMEM, 1, True, set()),
    ("reserve_memtype", 1): (ENOMEM, 1, True, set()),
    ("sparse_index_init", 1): (ENOMEM, 1, True, set()),
    ("vmemmap_populate", 1): (ENOMEM, 1, True, set()),
    ("__kmalloc_section_usemap", 1): (ENOMEM, 1, True, set()),
    ("devm_add_action", 2): (ENOMEM, 1, True, set()),
}
LINEAR = {"pfn 0x400000 is still in the direct map"}
#: The same of hmm_devmem_add_resource; the direct map is what arch_add_memory() leaves.
PUBLIC_FAILURES: dict[tuple[str, int], tuple[int | None, int, bool, set[str]]] = {
    ("devm_kmalloc", 2): (ENOMEM, 0, True, set()),
    ("percpu_ref_init", 1): (ENOMEM, 0, True, set()),
    ("devm_add_action", 1): (None, 0, False, set()),
    ("radix_tree_node_alloc", 1): (ENOMEM, 1, True, set()),
    ("reserve_memtype", 1): (ENOMEM, 1, True, set()),
    ("kasan_populate_zero_shadow", 1): (ENOMEM, 1, True, set()),
    ("zero_pud_populate", 1): (0, 0, True, set()),
    ("sparse_index_init", 1): (ENOMEM, 1, True, LINEAR),
    ("vmemmap_populate", 1): (ENOMEM, 1, True, LINEAR),
    ("__kmalloc_section_usemap", 1): (ENOMEM, 1, True, LINEAR),
    ("devm_add_action", 2): (ENOMEM, 1, True, set()),
}


def check_failure(name: str, arguments: dict[str, int], site: str, nth: int, expected: Any) -> None:
    error, kills, ends, left = expected
    with Kernel(on_violation="record", trace=True) as k:
        driver = k.driver(name)
        device = driver.device(**arguments)
        ended = True
        start = k.trace.position
        with k.fault_injection(site, nth=nth) as f:
            try:
                driver.bind(device)
            except Blocked:
                ended = False
            except KernelError:
                pass
        assert f.hits == 1
        functions = k.trace.functions(start)
        assert functions.count("hmm_devmem_ref_kill") == kills
        assert ended is ends
        assert any(f"failed with error {error}" in line for line in k.dmesg) is (
            ended and bool(error)
        )
        # A probe whose call came back is being unwound when it waits, any other is still in it.
        assert ended or ("devres_release_all" in functions) is (error is not None)
        if error == 0:
            driver.unbind(device)
        findings = [v for v in k.quiescence() if v.kind != "hang"]
        assert {v.message for v in findings} == left
        assert not k.violations
        assert k.permanent == [HELD.format(1)]
        assert k.devmap_managed_key


@pytest.mark.parametrize(("step", "expected"), PRIVATE_FAILURES.items(), ids=str)
def test_a_failing_step_of_hmm_devmem_add(step: tuple[str, int], expected: Any) -> None:
    check_failure("hmm", {"size": SECTION}, *step, expected)


@pytest.mark.parametrize(("step", "expected"), PUBLIC_FAILURES.items(), ids=str)
def test_a_failing_step_of_hmm_devmem_add_resource(step: tuple[str, int], expected: Any) -> None:
    check_failure("hmm_public", {"start": COHERENT, "size": SECTION}, *step, expected)


@pytest.mark.parametrize(
    ("name", "arguments", "table", "skipped"),
    [
        ("hmm", {"size": SECTION}, PRIVATE_FAILURES, {"driver_sysfs_add"}),
        (
            "hmm_public",
            {"start": COHERENT, "size": SECTION},
            PUBLIC_FAILURES,
            {"driver_sysfs_add", "__devm_request_region", "__request_region"},
        ),
    ],
    ids=["hmm", "hmm_public"],
)
def test_the_tables_have_every_fallible_step(
    name: str, arguments: dict[str, int], table: Any, skipped: set[str]
) -> None:
    with Kernel() as k:
        driver = k.driver(name)
        device = driver.device(**arguments)
        before = k.fault_sites
        driver.bind(device)
        met = {site for site, calls in k.fault_sites.items() if calls > before.get(site, 0)}
    assert met - skipped == {site for site, _ in table}


def test_a_resource_of_another_kind_is_refused_before_anything_is_held(k: Kernel) -> None:
    res = k.resource(COHERENT, COHERENT + SECTION - 1, "memory", desc=DEVICE_PRIVATE_MEMORY)
    refused = Driven(k, lambda d: k.hmm_devmem(d, resource=res))
    assert refused.error == EINVAL
    assert not k.devmap_managed_key
    assert not k.permanent
    k.assert_quiescent()


def test_ram_is_refused_and_the_ref_is_killed(k: Kernel) -> None:
    k.iomem.add(COHERENT, COHERENT + SECTION - 1, "System RAM")
    res = k.resource(COHERENT, COHERENT + SECTION - 1, "memory", desc=DEVICE_PUBLIC_MEMORY)
    refused = Driven(k, lambda d: k.hmm_devmem(d, resource=res))
    assert refused.error == ENXIO
    assert any("devm_memremap_pages attempted on ram region" in line for line in k.dmesg)
    assert not refused.device.bound
    k.assert_quiescent()


def test_memory_beside_a_live_device_in_its_section_is_a_conflict_that_kills_nothing() -> None:
    with Kernel(on_violation="record") as k:
        driver = k.driver("hmm_public")
        live = driver.device(COHERENT, SECTION // 2)
        driver.bind(live)
        beside = driver.device(COHERENT + SECTION // 2, SECTION // 2)
        # The ref was not killed: unwinding the probe waits for it for ever.
        with pytest.raises(Blocked):
            driver.bind(beside)
        assert any("Conflicting mapping in same section" in line for line in k.dmesg)
        page = driver.devmem(live).pages[0]
        page.get()
        page.put()
        assert page.count == 1
        driver.unbind(live)


def test_each_attempt_holds_the_managed_key_for_good(k: Kernel) -> None:
    for n in range(1, 4):
        driver, device, _ = private(k)
        driver.unbind(device)
        assert k.permanent == [HELD.format(n)]
        assert k.devmap_managed_key
        k.assert_quiescent()


# --- pages to migrate to ---


def test_a_locked_page_is_system_memory_and_each_call_gives_another(k: Kernel) -> None:
    k.iomem.add(0x100000, 0x7FFFFFF, "System RAM")
    a, b = k.hmm_alloc_locked_page(), k.hmm_alloc_locked_page()
    assert a is not None and b is not None and a != b
    assert a.locked and a.count == 1 and a.zone == "Normal"


def test_no_page_without_memory_or_when_the_allocation_fails(k: Kernel) -> None:
    assert k.hmm_alloc_locked_page() is None
    k.iomem.add(0x100000, 0x7FFFFFF, "System RAM")
    with k.fault_injection("alloc_page_vma"):
        assert k.hmm_alloc_locked_page() is None
    assert k.hmm_alloc_locked_page() is not None


# --- hmm devices ---


def test_hmm_devices_take_the_lowest_free_of_256_minors(k: Kernel) -> None:
    devices = [k.hmm_device(drvdata=n) for n in range(256)]
    assert [d.minor for d in devices] == list(range(256))
    assert devices[77].name == "hmm_device77" and devices[77].drvdata == 77
    with pytest.raises(KernelError) as full:
        k.hmm_device()
    assert full.value.errno == errno.EBUSY
    for n in (200, 3):
        devices[n].put()
    assert [k.hmm_device().minor, k.hmm_device().minor] == [3, 200]


def test_an_hmm_device_that_finds_no_memory_takes_no_minor(k: Kernel) -> None:
    with k.fault_injection("hmm_device_new"), pytest.raises(KernelError) as e:
        k.hmm_device()
    assert e.value.errno == errno.ENOMEM
    assert k.hmm_device().minor == 0


# --- configuration ---


def test_hmm_needs_one_of_the_two_kinds_of_memory_in_the_configuration() -> None:
    with Kernel(config=Config(device_private=False, device_public=False)) as k:
        with pytest.raises(ValueError, match="CONFIG_DEVICE_PRIVATE"):
            k.hmm_devmem(k.device("gpu.0"), SECTION)
        with pytest.raises(ValueError, match="CONFIG_DEVICE_PRIVATE"):
            k.hmm_device()


def test_size_and_resource_exclude_each_other(k: Kernel) -> None:
    device = k.device("gpu.0")
    with pytest.raises(TypeError):
        k.hmm_devmem(device)
    with pytest.raises(TypeError):
        k.hmm_devmem(device, 1, resource=k.resource(0, 1))
