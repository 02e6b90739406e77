# SPDX-License-Identifier: GPL-2.0-only
"""nd_pmem: what a probe registers, in which order it goes, and what each failure answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from memremap_emu import Blocked, Kernel, KernelError
from memremap_emu.drivers import BuiltinDriver
from memremap_emu.objects import Device

START, SIZE = 0x140000000, 0x40000000
PAGES = SIZE >> 12
SECTION = 128 << 20
MODES = ("fsdax", "memory", "raw")
MAPPED = ("fsdax", "memory")

#: Release functions of what a probe registers, oldest first; None: memory, which is just freed.
REGISTERED = {
    "fsdax": ["devm_kzalloc_release", "devm_region_release", "pmem_release_queue",
              "pmem_release_pgmap_ops", "devm_memremap_pages_release", "devm_kzalloc_release",
              "pmem_release_disk"],
    "raw": ["devm_kzalloc_release", "devm_region_release", "pmem_release_queue",
            "devm_memremap_release", "devm_kzalloc_release", "pmem_release_disk"],
}  # fmt: skip
REGISTERED["memory"] = REGISTERED["fsdax"]


class Pmem:
    """A namespace of one mode on a machine that has nothing else."""

    def __init__(self, k: Kernel, mode: str, *, altmap: bool = False) -> None:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory (legacy)")
        self.k = k
        self.map = str(k.iomem)
        self.driver: BuiltinDriver = k.driver("pmem", mode=mode, altmap=altmap)
        self.dev: Device = self.driver.device(START, SIZE)

    def bind(self) -> None:
        self.driver.bind(self.dev)

    def unbind(self) -> None:
        self.driver.unbind(self.dev)


@pytest.fixture
def p(k: Kernel) -> Pmem:
    return Pmem(k, "fsdax")


@pytest.fixture(params=MODES)
def each(request: pytest.FixtureRequest) -> Iterator[tuple[str, Pmem]]:
    with Kernel(trace=True) as kernel:
        yield request.param, Pmem(kernel, request.param)


def releases(k: Kernel, start: int) -> list[str]:
    """What devres_release_all() of the unbind releases, in order."""
    names = {name for row in REGISTERED.values() for name in row}
    functions = k.trace.functions(start)
    return [f for f in functions[functions.index("devres_release_all") :] if f in names]


# --- registration and release ---


@pytest.mark.parametrize("mode", MODES)
def test_release_is_the_reverse_of_registration(mode: str) -> None:
    with Kernel(trace=True) as k:
        p = Pmem(k, mode)
        p.bind()
        start = k.trace.position
        p.unbind()
        # Memory has no release to be seen; the rest goes newest first.
        expected = [f for f in reversed(REGISTERED[mode]) if f != "devm_kzalloc_release"]
        seen = [f for f in releases(k, start) if f != "devm_kzalloc_release"]
        assert seen == expected


@pytest.mark.parametrize("mode", MODES)
def test_probe_registers_as_many_entries_as_the_table_says(mode: str) -> None:
    with Kernel() as k:
        p = Pmem(k, mode)
        p.bind()
        assert p.dev.devres_release_all() == len(REGISTERED[mode])


@pytest.mark.parametrize("mode", MAPPED)
def test_queue_is_frozen_inside_the_release_of_the_mapping_before_any_page_is_put(
    mode: str,
) -> None:
    with Kernel(trace=True) as k:
        p = Pmem(k, mode)
        p.bind()
        start = k.trace.position
        p.unbind()
        steps = ("devm_memremap_pages_release", "blk_freeze_queue_start",
                 "percpu_ref_kill_and_confirm", "put_device_pages", "arch_remove_memory",
                 "pmem_release_pgmap_ops", "blk_cleanup_queue", "percpu_ref_exit")  # fmt: skip
        seen = [f for f in k.trace.functions(start) if f in steps]
        assert seen == [
            "devm_memremap_pages_release", "blk_freeze_queue_start",
            "percpu_ref_kill_and_confirm", "put_device_pages", "arch_remove_memory",
            "pmem_release_pgmap_ops", "blk_cleanup_queue", "blk_freeze_queue_start",
            "blk_freeze_queue_start", "percpu_ref_exit",
        ]  # fmt: skip
        assert seen.count("percpu_ref_kill_and_confirm") == 1, "three freezes, one kill"


def test_raw_mode_is_frozen_by_the_cleanup_of_its_queue_only() -> None:
    with Kernel(trace=True) as k:
        p = Pmem(k, "raw")
        p.bind()
        start = k.trace.position
        p.unbind()
        steps = ("blk_cleanup_queue", "percpu_ref_kill_and_confirm", "devm_memremap_release")
        assert [f for f in k.trace.functions(start) if f in steps] == [
            "devm_memremap_release", "blk_cleanup_queue", "percpu_ref_kill_and_confirm",
        ]  # fmt: skip


@pytest.mark.parametrize("altmap", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("checked", [True, False])
def test_bind_and_unbind_leave_nothing_behind_again_and_again(
    mode: str, altmap: bool, checked: bool
) -> None:
    with Kernel(checked=checked) as k:
        p = Pmem(k, mode, altmap=altmap)
        live = k.stats.live_objects
        for _ in range(3):
            p.bind()
            assert p.dev.bound
            assert [r.flags for r in k.iomem.root.children[0].children] == [0x80000200]
            p.unbind()
            assert str(k.iomem) == p.map and not k.devmap_managed_key
            assert k.stats.live_objects == live
            k.assert_quiescent()
        text = f"nd_pmem {p.dev.name}: unable to guarantee persistence of writes"
        assert k.dmesg == [text] * 3


# --- the queue's reference ---


def test_queue_counts_the_pages_while_they_are_mapped(each: tuple[str, Pmem]) -> None:
    mode, p = each
    p.bind()
    ref = p.dev.queue_ref
    assert not ref.atomic, "added disks are per-CPU"
    pages = {"fsdax": None, "memory": PAGES, "raw": 0}[mode]
    if pages is None:
        pm = p.dev.pagemap
        assert pm is not None
        pages = (pm.end + 1 - pm.start) >> 12
    assert ref.logical == 1 + pages
    assert (p.dev.pagemap is None) is (mode == "raw")
    assert p.k.devmap_managed_key is (mode != "raw")


def test_altmap_pages_are_not_counted() -> None:
    with Kernel() as k:
        p = Pmem(k, "fsdax", altmap=True)
        p.bind()
        pm = p.dev.pagemap
        assert pm is not None and pm.altmap_valid
        data = ((pm.end + 1 - pm.start) >> 12) - pm.altmap.reserve - pm.altmap.free
        assert p.dev.queue_ref.logical == 1 + data
        assert pm.altmap.reserve == 2, "8 KiB in front of the struct pages"
        assert pm.altmap.alloc == 512 * (SIZE // SECTION)


def test_io_in_flight_is_counted_too(p: Pmem) -> None:
    p.bind()
    ref = p.dev.queue_ref
    before = ref.logical
    bios = [p.dev.submit_bio(i * 8) for i in range(3)]
    assert ref.logical == before + 3
    for bio in bios:
        bio.end()
    assert ref.logical == before


def test_freezing_is_counted_and_the_pages_hold_up_whoever_waits_for_it(p: Pmem) -> None:
    """A mapped queue never drains: each page holds it."""
    p.bind()
    with pytest.raises(Blocked) as blocked:
        p.dev.freeze_queue()
    assert p.dev.queue_freeze_depth == 1 and p.dev.queue_ref.dead
    with pytest.raises(Blocked):
        p.dev.freeze_queue()
    assert p.dev.queue_freeze_depth == 2
    assert blocked.value.task.state == "blocked"


def test_queue_of_raw_mode_freezes_and_thaws() -> None:
    with Kernel() as k:
        p = Pmem(k, "raw")
        p.bind()
        p.dev.freeze_queue()
        p.dev.freeze_queue()
        assert p.dev.queue_freeze_depth == 2 and p.dev.queue_ref.dead
        p.dev.unfreeze_queue()
        assert p.dev.queue_ref.dead
        p.dev.unfreeze_queue()
        assert p.dev.queue_freeze_depth == 0 and not p.dev.queue_ref.dead
        p.unbind()
        k.assert_quiescent()


@pytest.mark.parametrize("mode", MODES)
def test_unbind_waits_for_io_behind_the_removal_of_the_memory(mode: str) -> None:
    with Kernel(on_violation="record") as k:
        p = Pmem(k, mode)
        p.bind()
        bio = p.dev.submit_bio()
        with pytest.raises(Blocked) as blocked:
            p.unbind()
        assert not k.pfn_valid(START >> 12), "the memory is gone while the I/O is in flight"
        bio.end()
        assert blocked.value.task.done and not p.dev.bound
        assert str(k.iomem) == p.map


@pytest.mark.parametrize("mode", MAPPED)
def test_unbind_waits_for_a_page_in_the_queues_cleanup(mode: str) -> None:
    with Kernel(on_violation="record") as k:
        p = Pmem(k, mode)
        p.bind()
        page = k.page((START + SIZE >> 12) - 1)
        page.get()
        with pytest.raises(Blocked) as blocked:
            p.unbind()
        assert not page.valid
        page.put()
        assert blocked.value.task.done and not p.dev.bound


def test_page_that_becomes_idle_wakes_who_waits_for_it(p: Pmem) -> None:
    p.bind()
    page = p.k.page((START >> 12) + 0x8000)
    start = p.k.trace.position
    page.get()
    page.put()
    assert "fsdax_pagefree" in p.k.trace.functions(start)
    assert "wake_up_var" in p.k.trace.functions(start)


# --- what fails, and how ---


@pytest.mark.parametrize("mode", MODES)
def test_region_in_use_is_told_by_the_log_and_enxio_by_the_probe(mode: str) -> None:
    """The namespace cannot be enabled, which nd_pmem_probe() answers with -ENXIO."""
    with Kernel() as k:
        p = Pmem(k, mode)
        k.iomem.root.children[0].request_region(START + 0x1000, 0x1000, "squatter")
        before = str(k.iomem)
        with pytest.raises(KernelError) as error:
            p.bind()
        assert error.value.errno == 19 and probe_error(k) == 6
        text = "could not reserve region [mem 0x140000000-0x17fffffff]"
        assert k.dmesg == [f"nd_pmem {p.dev.name}: {text}"]
        assert str(k.iomem) == before


def probe_error(k: Kernel) -> int:
    """What the probe answered, from the log, which is silent about ENXIO."""
    found = [re.search(r"failed with error -?(\d+)$", line) for line in k.dmesg]
    return next((int(m[1]) for m in found if m), 6)


def sites_of_a_probe(mode: str) -> dict[str, int]:
    """Fallible calls of one probe: who asks, and how often."""
    with Kernel() as k:
        p = Pmem(k, mode)
        before = k.fault_sites
        p.bind()
        after = k.fault_sites
        return {s: n - before.get(s, 0) for s, n in after.items() if n > before.get(s, 0)}


BOUND, QUIRK = 0, -1  # bound all the same; not bound although the probe said 0
ENXIO, ENOMEM, EBUSY = 6, 12, 16
SECTIONS = SIZE // SECTION

#: What the n-th failure of each fallible call answers, and how often the queue is killed then:
#: never before there is one that somebody has been told to release, once from there on.
ENABLE_AND_QUEUE = {
    "driver_sysfs_add": [(QUIRK, 0), (QUIRK, 0)],
    "__devm_request_region": [(ENXIO, 0), (EBUSY, 0)],
    "__request_region": [(ENXIO, 0), (EBUSY, 0)],
    "devm_kmalloc": [(ENXIO, 0), (ENOMEM, 0), (ENOMEM, 1)],
    "blk_alloc_queue_node": [(ENOMEM, 0)],
    "percpu_ref_init": [(ENOMEM, 0)],
}
DISK = {
    "__alloc_disk_node": [(ENOMEM, 1)],
    "alloc_dax": [(ENOMEM, 1), (ENOMEM, 1)],
    "kernfs_create_file": [(BOUND, 0)],
}
ANSWERS = {
    "fsdax": ENABLE_AND_QUEUE | DISK | {
        "devm_memremap": [(ENXIO, 0)],
        "get_vm_area": [(ENXIO, 0)],
        "reserve_memtype": [(ENXIO, 0), (ENOMEM, 1)],
        "devm_add_action": [(ENOMEM, 1)] * 4,
        "radix_tree_node_alloc": [(ENOMEM, 1)],
        "kasan_populate_zero_shadow": [(ENOMEM, 1)],
        "zero_pud_populate": [(BOUND, 0)],
        "sparse_index_init": [(ENOMEM, 1)],
        "vmemmap_populate": [(ENOMEM, 1)] * SECTIONS,
        "__kmalloc_section_usemap": [(ENOMEM, 1)] * SECTIONS,
    },
    "raw": ENABLE_AND_QUEUE | DISK | {
        "devm_memremap": [(ENXIO, 0), (ENOMEM, 1)],
        "get_vm_area": [(ENXIO, 0), (ENXIO, 1)],
        "reserve_memtype": [(ENXIO, 0), (ENXIO, 1)],
        "devm_add_action": [(ENOMEM, 1)] * 2,
    },
}  # fmt: skip
ANSWERS["memory"] = ANSWERS["fsdax"]


@pytest.mark.parametrize("mode", MODES)
def test_each_fallible_call_fails_the_probe_as_the_table_says(mode: str) -> None:
    answers: dict[str, list[tuple[int, int]]] = {}
    for site, calls in sites_of_a_probe(mode).items():
        for nth in range(1, calls + 1):
            with Kernel(trace=True, on_violation="record") as k:
                p = Pmem(k, mode)
                start = k.trace.position
                with k.fault_injection(site, nth=nth) as fault:
                    try:
                        p.bind()
                        code = BOUND
                    except KernelError:
                        code = probe_error(k) or QUIRK
                assert fault.hits == 1
                kills = k.trace.functions(start).count("percpu_ref_kill_and_confirm")
                answers.setdefault(site, []).append((code, kills))
                if p.dev.bound:
                    p.unbind()
                # Whatever failed: the namespace is free again and the key is off.
                assert str(k.iomem) == p.map and k.get_dev_pagemap(START >> 12) is None
                assert not k.devmap_managed_key and k.stats.blocked_tasks == 0
    assert answers == ANSWERS[mode]


def test_second_namespace_over_the_same_memory_is_refused_and_the_first_lives_on(
    k: Kernel, p: Pmem
) -> None:
    p.bind()
    rival = k.driver("pmem", mode="raw").device(START, SIZE)
    with pytest.raises(KernelError):
        k.driver("pmem", mode="raw").bind(rival)
    assert p.dev.bound and not p.dev.queue_ref.dead
    p.unbind()
    assert str(k.iomem) == p.map
