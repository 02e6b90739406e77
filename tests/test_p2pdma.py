# SPDX-License-Identifier: GPL-2.0-only
"""p2pdma: memory in PCI BARs, several resources under one reference, and the nfit_test wrap."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

from memremap_emu import (
    Blocked,
    Kernel,
    KernelError,
    MemoryType,
    PciDevice,
    PerCpuRef,
    TaskDied,
)
from memremap_emu.iomem import embedded

SECTION = 1 << 27
BAR0, BAR2 = 0x380000000000, 0x390000000000
ENOMEM = -errno.ENOMEM


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


def bound(k: Kernel, bars: dict[int, tuple[int, int]] | None = None) -> tuple[Any, PciDevice]:
    driver = k.driver("p2pdma")
    device = driver.device(bars=bars or {0: (BAR0, SECTION), 2: (BAR2, SECTION)})
    driver.bind(device)
    return driver, device


def unbound(k: Kernel, **bars: tuple[int, int]) -> PciDevice:
    return PciDevice.create(k, "0000:01:00.0", "none", bars=dict(enumerate(bars.values())))


def refusal(device: PciDevice, *args: int) -> int:
    try:
        device.add_p2pdma_resource(*args)
    except KernelError as e:
        return -(e.errno or 0)
    return 0


# --- resources ---


def test_each_bar_is_mapped_and_announced_and_the_pool_has_them_all(k: Kernel) -> None:
    _, device = bound(k)
    assert device.p2pmem == {"size": 2 * SECTION, "available": 2 * SECTION, "published": 1}
    for start in (BAR0, BAR2):
        page = k.page(start >> 12)
        assert page.pgmap is not None and page.pgmap.type is MemoryType.PCI_P2PDMA
        assert k.linear_mapping_present(page.pfn)
    lines = [line for line in k.dmesg if "added peer-to-peer DMA memory" in line]
    assert lines == [
        f"p2pmem_pci {device.name}: added peer-to-peer DMA memory "
        f"[mem {start:#x}-{start + SECTION - 1:#x} 64bit pref]"
        for start in (BAR0, BAR2)
    ]


def test_all_resources_share_one_reference(k: Kernel) -> None:
    _, device = bound(k)
    assert device.p2pdma_ref is not None
    assert device.p2pdma_ref.logical == 1 + 2 * 32768
    assert k.page(BAR0 >> 12).pgmap.ref == k.page(BAR2 >> 12).pgmap.ref == device.p2pdma_ref


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((1, 0, 0), -errno.EINVAL),  # no such BAR
        ((0, 0, SECTION), -errno.EINVAL),  # behind its end
        ((0, SECTION, 4096), -errno.EINVAL),  # beyond its end
        ((0, 4096, SECTION - 4096), 0),
        ((0, 0, SECTION // 2), 0),
    ],
)
def test_size_and_offset_must_lie_inside_the_bar(
    k: Kernel, args: tuple[int, int, int], error: int
) -> None:
    device = unbound(k, a=(BAR0, SECTION))
    assert refusal(device, *args) == error
    assert (device.p2pmem is None) is bool(error)
    if not error:
        size = args[1] or SECTION - args[2]
        assert device.p2pmem["size"] == size


def test_bars_of_a_function_come_from_the_memory_map() -> None:
    with Kernel(on_violation="record") as k:
        k.iomem.load(embedded())
        driver = k.driver("p2pdma")
        device = driver.device(name="0000:01:00.1")
        shown = [(r.start, r.end) for _, r in k.iomem if r.name == device.name]
        assert shown == [
            (0x91000000, 0x91FFFFFF),
            (0x92000000, 0x927FFFFF),
            (0x92A88000, 0x92A8BFFF),
        ]
        driver.bind(device)
        assert device.p2pmem["size"] == sum(end - start + 1 for start, end in shown)


def test_bars_in_one_section_take_each_others_pages_away_unnoticed() -> None:
    with Kernel(on_violation="record") as k:
        # Neither begins or ends where the section does, which is where a conflict is looked for.
        driver = k.driver("p2pdma")
        device = driver.device(
            bars={0: (BAR0 + (16 << 20), 16 << 20), 2: (BAR0 + (64 << 20), 4096)}
        )
        driver.bind(device)
        assert not k.violations
        assert k.page((BAR0 + (16 << 20)) >> 12).pgmap is None
        with pytest.raises(TaskDied):
            driver.unbind(device)
        assert k.violations[0].kind == "memmap-removed"


def test_a_function_without_bars_in_the_map_is_refused() -> None:
    with Kernel(checked=False) as k:
        k.iomem.load(embedded())
        with pytest.raises(ValueError, match="needs memory in a BAR"):
            k.driver("p2pdma").device(name="0000:ff:1f.7")


# --- memory of the pool ---


def test_pieces_are_first_fit_in_pages_and_hold_the_reference(k: Kernel) -> None:
    _, device = bound(k, {0: (BAR0, SECTION)})
    ref = device.p2pdma_ref
    a, b = device.alloc_p2pmem(1), device.alloc_p2pmem(4097)
    assert (a, b) == (k.va(BAR0), k.va(BAR0) + 4096)
    assert device.p2pmem_virt_to_bus(b) == BAR0 + 4096
    assert device.p2pmem["available"] == SECTION - 3 * 4096
    assert ref.logical == 1 + 32768 + 2
    device.free_p2pmem(a, 1)
    assert device.alloc_p2pmem(4096) == a
    device.free_p2pmem(a, 4096)
    device.free_p2pmem(b, 4097)
    assert ref.logical == 1 + 32768
    assert device.p2pmem["available"] == SECTION


def test_a_piece_that_does_not_fit_holds_nothing(k: Kernel) -> None:
    _, device = bound(k, {0: (BAR0, SECTION)})
    assert device.alloc_p2pmem(SECTION + 1) == 0
    whole = device.alloc_p2pmem(SECTION)
    assert whole == k.va(BAR0)
    assert device.alloc_p2pmem(1) == 0
    assert device.p2pdma_ref.logical == 1 + 32768 + 1
    device.free_p2pmem(whole, SECTION)


def test_publishing_is_a_switch_and_needs_memory(k: Kernel) -> None:
    _, device = bound(k)
    assert device.has_p2pmem
    device.publish_p2pmem(False)
    assert not device.has_p2pmem
    bare = unbound(k, a=(BAR0 + (1 << 40), SECTION))
    bare.publish_p2pmem()
    assert not bare.has_p2pmem and bare.alloc_p2pmem(1) == 0


def test_freeing_what_was_not_handed_out_is_a_bug() -> None:
    with Kernel(on_violation="record") as k:
        _, device = bound(k)
        with pytest.raises(TaskDied):
            device.free_p2pmem(k.va(BAR0), 4096)
        assert [v.kind for v in k.violations] == ["bug"]


def test_detach_waits_for_memory_that_is_handed_out(k: Kernel) -> None:
    driver, device = bound(k)
    piece = device.alloc_p2pmem(4096)
    with pytest.raises(Blocked, match="devmap_ref_done"):
        driver.unbind(device)
    assert device.alloc_p2pmem(4096) == 0
    device.free_p2pmem(piece, 4096)
    assert not device.bound and device.p2pmem is None
    k.assert_quiescent()


# --- registration and release ---

#: Per resource; the pagemap's memory comes before the mapping that uses it.
RESOURCE = ("devm_kmalloc_release", "devm_memremap_pages_release")
ORDERS = {
    "memremap-v6": ("devm_kmalloc_release", "pci_p2pdma_release", *RESOURCE, *RESOURCE),
    "v5.0": ("devm_kmalloc_release", "pci_p2pdma_release", *RESOURCE, *RESOURCE),
    "v4.19": (
        "devm_kmalloc_release",
        "pci_p2pdma_release",
        *(*RESOURCE, "pci_p2pdma_percpu_kill_action"),
        *(*RESOURCE, "pci_p2pdma_percpu_kill_action"),
    ),
}


@pytest.mark.parametrize("version", ORDERS)
def test_managed_resources_of_two_bars_in_order(version: str) -> None:
    with Kernel(version) as k:
        driver, device = bound(k)
        assert device.devres == ORDERS[version]
        driver.unbind(device)
        k.assert_quiescent()


@pytest.mark.parametrize("version", ["memremap-v6", "v4.19"])
def test_the_mapping_added_last_kills_and_the_other_finds_it_dying(version: str) -> None:
    with Kernel(version, trace=True) as k:
        driver, device = bound(k)
        start = k.trace.position
        driver.unbind(device)
        names = {
            "devm_memremap_pages_release",
            "pci_p2pdma_percpu_kill",
            "percpu_ref_kill_and_confirm",
            "pci_p2pdma_release",
            "percpu_ref_exit",
            "gen_pool_destroy",
        }
        got = [f for f in k.trace.functions(start) if f in names]
    first = ["pci_p2pdma_percpu_kill", "percpu_ref_kill_and_confirm"]
    second = ["pci_p2pdma_percpu_kill"]
    release = ["devm_memremap_pages_release"]
    if version == "v4.19":
        mappings = [*first, *release, *second, *release]
    else:
        mappings = [*release, *first, *release, *second]
    assert got == [*mappings, "pci_p2pdma_release", "percpu_ref_exit", "gen_pool_destroy"]


def test_the_unconverted_driver_is_refused_by_the_series_and_then_waits_for_ever() -> None:
    with Kernel(modes=["p2pdma-unconverted"]) as k:
        driver = k.driver("p2pdma")
        device = driver.device(BAR0, SECTION)
        with pytest.raises(Blocked, match="devmap_ref_done"):
            driver.bind(device)
        # EINVAL: the pagemap has no kill.
        assert not k.pfn_valid(BAR0 >> 12)
        assert [v.kind for v in k.quiescence()] == ["hang"]
    with Kernel(modes=["p2pdma-unconverted"]) as k:
        assert refusal(unbound(k, a=(BAR0, SECTION)), 0) == -errno.EINVAL


def test_the_unconverted_driver_is_what_it_was_written_for_before_the_series() -> None:
    with Kernel("v4.19", modes=["p2pdma-unconverted"]) as k:
        driver, device = bound(k)
        driver.unbind(device)
        k.assert_quiescent()


# --- since each resource has a reference of its own ---

OWN_ORDERS = {
    "v5.2": ("devm_kmalloc_release", "pci_p2pdma_release", *RESOURCE, *RESOURCE),
    "v5.2 without final-put": (
        "devm_kmalloc_release",
        "pci_p2pdma_release",
        *(RESOURCE[0], "p2pdma_pagemap_cleanup_action", RESOURCE[1]),
        *(RESOURCE[0], "p2pdma_pagemap_cleanup_action", RESOURCE[1]),
    ),
}


@pytest.mark.parametrize("version", OWN_ORDERS)
def test_each_resource_ends_by_itself(version: str) -> None:
    with Kernel.select(version, trace=True) as k:
        driver, device = bound(k)
        assert device.devres == OWN_ORDERS[version]
        assert device.p2pdma_ref is None
        start = k.trace.position
        driver.unbind(device)
        names = {"p2pdma_pagemap_kill", "percpu_ref_exit", "gen_pool_destroy"}
        got = [f for f in k.trace.functions(start) if f in names]
        k.assert_quiescent()
        driver.bind(device)
        driver.unbind(device)
    assert got == ["p2pdma_pagemap_kill", "percpu_ref_exit"] * 2 + ["gen_pool_destroy"]


def test_memory_holds_the_resource_that_it_lies_in_and_no_other() -> None:
    with Kernel("v5.2") as k:
        driver, device = bound(k)
        piece = device.alloc_p2pmem(4096)
        with pytest.raises(Blocked, match="p2p_pgmap->ref_done"):
            driver.unbind(device)
        device.free_p2pmem(piece, 4096)
        assert not device.bound and device.p2pmem is None
        k.assert_quiescent()


def test_a_shared_reference_under_a_core_that_waits_never_becomes_idle() -> None:
    with Kernel("v5.2", modes=["a11-shared-ref"]) as k:
        driver, device = bound(k)
        with pytest.raises(Blocked, match="devmap_ref_done"):
            driver.unbind(device)
        assert [v.kind for v in k.quiescence()] == ["hang"]


def test_a_pool_that_cannot_take_the_range_ends_the_mapping_since_its_fix() -> None:
    with Kernel("v5.2") as k:
        driver = k.driver("p2pdma")
        device = driver.device(BAR0, SECTION)
        with k.fault_injection("gen_pool_add_owner"), pytest.raises(KernelError):
            driver.bind(device)
        k.assert_quiescent()
        driver.bind(device)


# --- what fails, and what it leaves ---

#: Fallible step: errno, kills of the ref, whether the bind ends, what is left behind.
REF = "32 bytes allocated in percpu_ref_init() were not freed"
LINEAR = f"pfn {BAR0 >> 12:#x} is still in the direct map"
FAILURES: dict[tuple[str, int], tuple[int, int, bool, set[str]]] = {
    ("devm_kmalloc", 1): (ENOMEM, 0, True, set()),
    ("gen_pool_create", 1): (ENOMEM, 0, True, set()),
    ("percpu_ref_init", 1): (ENOMEM, 0, True, set()),
    ("devm_add_action", 1): (ENOMEM, 0, True, {REF}),
    ("devm_kmalloc", 2): (ENOMEM, 0, False, set()),
    ("radix_tree_node_alloc", 1): (ENOMEM, 1, True, set()),
    ("reserve_memtype", 1): (ENOMEM, 1, True, set()),
    ("kasan_populate_zero_shadow", 1): (ENOMEM, 1, True, set()),
    ("zero_pud_populate", 1): (0, 0, True, set()),
    ("sparse_index_init", 1): (ENOMEM, 1, True, {LINEAR}),
    ("vmemmap_populate", 1): (ENOMEM, 1, True, {LINEAR}),
    ("__kmalloc_section_usemap", 1): (ENOMEM, 1, True, {LINEAR}),
    ("devm_add_action", 2): (ENOMEM, 1, True, set()),
}


@pytest.mark.parametrize(("step", "expected"), FAILURES.items(), ids=str)
def test_a_failing_step_of_pci_p2pdma_add_resource(
    step: tuple[str, int], expected: tuple[int, int, bool, set[str]]
) -> None:
    error, kills, ends, left = expected
    with Kernel(on_violation="record", trace=True) as k:
        driver = k.driver("p2pdma")
        device = driver.device(BAR0, SECTION)
        start = k.trace.position
        ended = True
        with k.fault_injection(step[0], nth=step[1]) as f:
            try:
                driver.bind(device)
            except Blocked:
                ended = False
            except KernelError:
                pass
        assert f.hits == 1 and ended is ends
        functions = k.trace.functions(start)
        assert functions.count("percpu_ref_kill_and_confirm") == kills
        assert any(f"failed with error {error}" in line for line in k.dmesg) is (
            ended and bool(error)
        )
        if not error:
            driver.unbind(device)
        assert {v.message for v in k.quiescence() if v.kind != "hang"} == left
        assert not k.violations


def test_a_pool_that_cannot_take_the_range_frees_the_pagemap_under_its_mapping() -> None:
    with Kernel(on_violation="record") as k:
        driver = k.driver("p2pdma")
        device = driver.device(BAR0, SECTION)
        with k.fault_injection("gen_pool_add_owner"), pytest.raises((KernelError, TaskDied)):
            driver.bind(device)
        first = k.violations[0]
        assert (first.kind, first.func) == ("use-after-free", "devm_memremap_pages_release")


def test_the_failure_table_has_every_fallible_step() -> None:
    with Kernel() as k:
        driver = k.driver("p2pdma")
        device = driver.device(BAR0, SECTION)
        before = k.fault_sites
        driver.bind(device)
        met = {site for site, calls in k.fault_sites.items() if calls > before.get(site, 0)}
    assert met - {"driver_sysfs_add", "gen_pool_add_owner"} == {site for site, _ in FAILURES}


def test_a_second_resource_that_fails_leaves_the_first_to_be_released() -> None:
    with Kernel(on_violation="record") as k:
        driver = k.driver("p2pdma")
        device = driver.device(bars={0: (BAR0, SECTION), 2: (BAR2, SECTION)})
        with (
            k.fault_injection("reserve_memtype", nth=2),
            pytest.raises(KernelError),
        ):
            driver.bind(device)
        assert not k.violations
        k.assert_quiescent()


# --- the range of a test ---


def nfit_range(k: Kernel, start: int, size: int) -> int:
    handle = k._native.call("nfit_test_resource_add", start, size)
    assert handle
    return handle


def test_the_wrap_gives_the_buffer_and_registers_only_a_kill(k: Kernel) -> None:
    nfit = nfit_range(k, BAR0, 1 << 16)
    buffer = k._native.call("nfit_test_buffer", nfit)
    killed: list[int] = []
    ref = k.percpu_ref(lambda r: None)
    pgmap = k.pagemap(BAR0 + 0x1000, 0x1000, ref=ref, kill=lambda r: killed.append(1))
    device = k.device("nfit.0", bus=False)
    assert device.wrap_memremap_pages(pgmap) == (buffer + 0x1000) & ((1 << 64) - 1)
    assert device.devres == ("nfit_test_kill",)
    assert not k.pfn_valid(BAR0 >> 12) and ref.logical == 1
    device.devres_release_all()
    assert killed == [1]


def test_the_wrap_kills_at_once_if_the_kill_cannot_be_registered(k: Kernel) -> None:
    nfit_range(k, BAR0, 1 << 16)
    killed: list[int] = []
    ref = k.percpu_ref(lambda r: None)
    pgmap = k.pagemap(BAR0, 0x1000, ref=ref, kill=lambda r: killed.append(1))
    device = k.device("nfit.0", bus=False)
    with k.fault_injection("devm_add_action"), pytest.raises(KernelError) as e:
        device.wrap_memremap_pages(pgmap)
    assert e.value.errno == errno.ENOMEM
    assert killed == [1] and device.devres == ()


def test_the_wrap_maps_any_other_range_for_real(k: Kernel) -> None:
    nfit_range(k, BAR0, 1 << 16)
    ref = k.percpu_ref(lambda r: None)
    pgmap = k.pagemap(BAR2, SECTION, ref=ref)
    device = k.device("nfit.0", bus=False)
    assert device.wrap_memremap_pages(pgmap) == k.va(BAR2)
    assert device.devres == ("devm_memremap_pages_release",)
    device.devres_release_all()


def test_before_the_shutdown_fix_the_wrap_leaves_the_ref_alone() -> None:
    with Kernel("v4.19") as k:
        nfit_range(k, BAR0, 1 << 16)
        pgmap = k.pagemap(BAR0, 0x1000, ref=k.percpu_ref(lambda r: None))
        device = k.device("nfit.0", bus=False)
        device.wrap_memremap_pages(pgmap)
        assert device.devres == ()


def test_since_the_final_put_fix_the_wrap_needs_all_that_ends_the_ref() -> None:
    with Kernel("v5.2", on_violation="record") as k:
        nfit_range(k, BAR0, 1 << 16)
        device = k.device("nfit.0", bus=False)
        killed: list[int] = []
        ref = k.percpu_ref(lambda r: None)

        def cleanup(ref: PerCpuRef) -> None:
            killed.append(2)

        def kill(ref: PerCpuRef) -> None:
            killed.append(1)

        incomplete: list[dict[str, Any]] = [
            {"ref": None, "kill": None},
            {"ref": ref, "kill": None, "cleanup": cleanup},
            {"ref": ref, "kill": kill},
        ]
        for pieces in incomplete:
            with pytest.raises(KernelError) as e:
                device.wrap_memremap_pages(k.pagemap(BAR0, 0x1000, **pieces))
            assert e.value.errno == errno.EINVAL
        assert len(k.violations) == 3 and {v.kind for v in k.violations} == {"warn"}
        assert killed == [] and device.devres == ()
        device.wrap_memremap_pages(k.pagemap(BAR0, 0x1000, ref=ref, kill=kill, cleanup=cleanup))
        device.devres_release_all()
        assert killed == [1, 2]
