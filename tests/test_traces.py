# SPDX-License-Identifier: GPL-2.0-only
"""The canonical traces of a mapping: what is called in which order, what each failure answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from memremap_emu import Blocked, CacheMode, Kernel, KernelError, MemoryType, Page, PageMap
from memremap_emu.objects import Completion, Device, PerCpuRef

BASE = 0x100000000
PFN = BASE >> 12
SECTION = 128 << 20
PAGES = SECTION >> 12


class Mapping:
    """A device whose driver does what device-dax does: memremap in the middle, exit last."""

    def __init__(
        self, k: Kernel, start: int = BASE, size: int = SECTION, *,
        type: MemoryType = MemoryType.PLAIN, name: str = "x.0",
    ) -> None:  # fmt: skip
        self.k = k
        self.kills = 0
        self.freed: list[Page] = []
        self.dev: Device = k.device(name)
        self.cmp: Completion = k.completion("cmp")
        self.ref: PerCpuRef = k.percpu_ref(self.release, name="release")
        self.pm: PageMap = k.pagemap(
            start, size, type=type, ref=self.ref, kill=self.kill, page_free=self.freed.append
        )

    def release(self, ref: PerCpuRef) -> None:
        self.cmp.complete()

    def kill(self, ref: PerCpuRef) -> None:
        self.kills += 1
        ref.kill()

    def exit(self, data: Any) -> Iterator[Callable[[], Any]]:
        yield self.cmp.wait
        yield self.ref.exit

    def map(self) -> int:
        """Registers the exit action, then maps."""
        self.dev.add_action(self.exit)
        return self.dev.memremap_pages(self.pm)

    def fail(self) -> int | None:
        """Maps, which must fail: the errno."""
        with pytest.raises(KernelError) as error:
            self.dev.memremap_pages(self.pm)
        return error.value.errno

    def unmap(self) -> None:
        self.dev.devres_release_all()


def steps(k: Kernel, start: int, interesting: Sequence[str]) -> list[str]:
    """Functions entered since ``start``, those of interest only."""
    return [f for f in k.trace.functions(start) if f in interesting]


ADD = (
    "devm_memremap_pages", "get_dev_pagemap", "region_intersects", "__radix_tree_insert",
    "track_pfn_remap", "mem_hotplug_begin", "kasan_add_zero_shadow", "arch_add_memory",
    "add_pages", "__add_pages", "move_pfn_range_to_zone", "mem_hotplug_done",
    "devm_add_action_or_reset",
)  # fmt: skip
RELEASE = (
    "devm_memremap_pages_release", "percpu_ref_kill_and_confirm", "mem_hotplug_begin",
    "arch_remove_memory", "__remove_pages", "kasan_remove_zero_shadow", "mem_hotplug_done",
    "untrack_pfn", "pgmap_radix_release", "percpu_ref_switch_to_atomic_rcu", "percpu_ref_exit",
)  # fmt: skip


# --- T1: a device-dax-like mapping comes and goes ---


def test_t1_add(k: Kernel) -> None:
    m = Mapping(k)
    start = k.trace.position
    assert m.map() == k.va(BASE)
    assert steps(k, start, ADD) == [
        "devm_memremap_pages",
        "get_dev_pagemap",
        "get_dev_pagemap",
        "region_intersects",
        "__radix_tree_insert",
        "track_pfn_remap",
        "mem_hotplug_begin",
        "kasan_add_zero_shadow",
        "arch_add_memory",
        "add_pages",
        "__add_pages",
        "move_pfn_range_to_zone",
        "mem_hotplug_done",
        "devm_add_action_or_reset",
    ]
    assert m.ref.logical == 1 + PAGES and m.pm.dev_set and m.kills == 0
    assert k.pfn_valid(PFN) and k.pfn_valid(PFN + PAGES - 1)
    assert not k.pfn_valid(PFN - 1) and not k.pfn_valid(PFN + PAGES)
    assert k.linear_mapping_present(PFN) and k.zero_shadow_present(PFN)
    zone = k.zone("Device")
    assert (zone.start_pfn, zone.spanned, zone.present, zone.managed) == (PFN, PAGES, 0, 0)
    assert k.max_pfn == PFN + PAGES


def test_t1_release(k: Kernel) -> None:
    m = Mapping(k)
    m.map()
    start = k.trace.position
    m.unmap()
    assert steps(k, start, RELEASE) == [
        "devm_memremap_pages_release",
        "percpu_ref_kill_and_confirm",
        "mem_hotplug_begin",
        "arch_remove_memory",
        "__remove_pages",
        "kasan_remove_zero_shadow",
        "mem_hotplug_done",
        "untrack_pfn",
        "pgmap_radix_release",
        "percpu_ref_switch_to_atomic_rcu",
        "percpu_ref_exit",
    ], "the grace period ends when the task waits, at the latest"
    assert m.kills == 1 and m.ref.is_zero and not m.ref.has_counters
    assert not k.pfn_valid(PFN) and k.get_dev_pagemap(PFN) is None
    assert not k.linear_mapping_present(PFN) and not k.zero_shadow_present(PFN)
    assert k.zone("Device").spanned == 0
    assert k.max_pfn == PFN + PAGES, "never lowered"
    assert k.dmesg == []
    k.assert_quiescent()


def test_t1_again_reaches_the_same_state(k: Kernel) -> None:
    m = Mapping(k)
    m.map()
    m.unmap()
    before = k.stats
    again = Mapping(k, name="x.1")
    again.map()
    again.unmap()
    assert k.stats.page_runs == before.page_runs and k.stats.section_runs == before.section_runs
    k.assert_quiescent()


# --- T2: somebody holds a page ---


def test_t2_held_page_blocks_the_exit_until_its_holder_lets_go(watched: Kernel) -> None:
    k = watched
    m = Mapping(k)
    m.map()
    page = k.page(PFN + 0x10)
    page.get()
    with pytest.raises(Blocked) as blocked:
        m.unmap()
    assert blocked.value.waits_for == "completion cmp"
    assert m.ref.count == 1 and not m.cmp.is_done
    assert not k.pfn_valid(PFN), "the memory is removed anyway"
    page.put()
    assert blocked.value.task.done
    assert m.ref.is_zero and not m.ref.has_counters
    assert any(v.kind == "memmap-removed" for v in k.violations), "the final page put race"


def test_t2_release_does_not_wait_for_pages(watched: Kernel) -> None:
    m = Mapping(watched)
    m.dev.memremap_pages(m.pm)  # no exit action behind it
    watched.page(PFN).get()
    m.unmap()
    assert m.ref.logical == 1 and m.ref.dead
    assert not watched.pfn_valid(PFN)


# --- T3: pages that tell their driver ---


def test_t3_managed_page_is_announced_when_idle(k: Kernel) -> None:
    k.dev_pagemap_get_ops()
    m = Mapping(k, type=MemoryType.FS_DAX)
    m.map()
    page = k.page(PFN + 5)
    counts = [page.count]
    page.get()
    counts.append(page.count)
    page.put()
    counts.append(page.count)
    assert counts == [1, 2, 1]
    assert m.freed == [page]
    assert m.ref.logical == 1 + PAGES


def test_t3_device_dax_pages_are_never_announced(k: Kernel) -> None:
    k.dev_pagemap_get_ops()
    m = Mapping(k)
    m.map()
    page = k.page(PFN)
    page.get()
    page.put()
    assert m.freed == [] and page.count == 1


def test_t3_without_the_key_managed_pages_are_plain(k: Kernel) -> None:
    m = Mapping(k, type=MemoryType.FS_DAX)
    m.map()
    page = k.page(PFN)
    page.get()
    page.put()
    assert m.freed == []


# --- T4: the range overlaps another's ---


def test_t4_live_pagemap_in_the_same_section_is_a_conflict(k: Kernel) -> None:
    owner = Mapping(k, 0x104000000, 0x4000000, name="owner.0")
    owner.map()
    m = Mapping(k, 0x100200000, 126 << 20)
    start = k.trace.position
    assert m.fail() == 12
    assert k.dmesg[1] == "platform x.0: Conflicting mapping in same section"
    assert "__radix_tree_insert" not in k.trace.functions(start)
    assert m.kills == 0 and not m.ref.dead
    assert owner.ref.logical == 1 + 0x4000, "the reference taken to look is given back"


def test_t4_conflict_is_warned_of_every_time(k: Kernel) -> None:
    Mapping(k, name="owner.0").map()
    for i in range(3):
        assert Mapping(k, name=f"x.{i}").fail() == 12
    text = "Conflicting mapping in same section"
    assert len([line for line in k.dmesg if line.endswith(text)]) == 3


def test_t4_dying_pagemap_is_invisible_but_in_the_way(k: Kernel) -> None:
    owner = Mapping(k, 0x104000000, 0x4000000, name="owner.0")
    owner.map()
    owner.ref.kill()
    m = Mapping(k, 0x100200000, 126 << 20)
    start = k.trace.position
    assert m.fail() == 17
    assert k.dmesg == ["platform x.0: devm_memremap_pages: failed: -17"]
    functions = k.trace.functions(start)
    assert functions.count("__radix_tree_insert") == 6, "orders 9 to 13, and 14 which fails"
    assert functions.count("radix_tree_delete") == 5
    assert m.kills == 1
    order = steps(
        k, start, ("pgmap_radix_release", "percpu_ref_kill_and_confirm", "track_pfn_remap")
    )
    assert order == ["pgmap_radix_release", "percpu_ref_kill_and_confirm"]
    for pfn in (0x100200, 0x100400, 0x100800, 0x101000, 0x102000):
        assert k.get_dev_pagemap(pfn) is None


# --- T5: the altmap is too small ---


def test_t5_altmap_too_small_leaves_seven_sections(watched: Kernel) -> None:
    k = watched
    m = Mapping(k, size=8 * SECTION)
    m.pm.set_altmap(PFN, 2, 4605)
    start = k.trace.position
    assert m.fail() == 12
    assert [k.pfn_valid(PFN + i * PAGES) for i in range(8)] == [True] * 7 + [False]
    assert m.pm.altmap.alloc == 3584
    assert any("add_pages" in line for line in k.dmesg if line.startswith("WARNING:"))
    assert steps(
        k, start,
        ("kasan_remove_zero_shadow", "untrack_pfn", "pgmap_radix_release",
         "percpu_ref_kill_and_confirm", "arch_remove_memory"),
    ) == [
        "kasan_remove_zero_shadow", "untrack_pfn", "pgmap_radix_release",
        "percpu_ref_kill_and_confirm",
    ]  # fmt: skip
    assert m.kills == 1 and k.get_dev_pagemap(PFN) is None
    assert not k.zero_shadow_present(PFN)
    assert k.linear_mapping_present(PFN), "not rolled back"
    assert k.max_pfn == PFN + 8 * PAGES, "raised even on failure"


# --- T7: which errors kill ---


def prepare_ram(k: Kernel, m: Mapping) -> None:
    k.iomem.add(BASE, BASE + SECTION - 1, "System RAM")


def prepare_mixed(k: Kernel, m: Mapping) -> None:
    k.iomem.add(BASE, BASE + SECTION // 2 - 1, "System RAM")
    k.iomem.add(BASE + SECTION // 2, BASE + SECTION - 1, "Reserved")


def prepare_overlap(k: Kernel, m: Mapping) -> None:
    owner = Mapping(k, name="owner.0")
    owner.map()
    owner.ref.kill()


def prepare_conflict(k: Kernel, m: Mapping) -> None:
    Mapping(k, name="owner.0").map()


def prepare_pat(k: Kernel, m: Mapping) -> None:
    k.ioremap(CacheMode.UC_MINUS, BASE, 0x1000)
    k.ioremap(CacheMode.WC, BASE + 0x2000, 0x1000)


def no_ref(k: Kernel, m: Mapping) -> None:
    m.pm.set_ref(None, m.kill)


def no_kill(k: Kernel, m: Mapping) -> None:
    m.pm.set_ref(m.ref, None)


def nothing(k: Kernel, m: Mapping) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "site", "errno", "kills"),
    [
        pytest.param(no_ref, None, 22, 0, id="no-ref"),
        pytest.param(no_kill, None, 22, 0, id="no-kill"),
        pytest.param(prepare_conflict, None, 12, 0, id="conflict"),
        pytest.param(prepare_ram, None, 6, 1, id="ram"),
        pytest.param(prepare_mixed, None, 6, 1, id="mixed"),
        pytest.param(prepare_overlap, None, 17, 1, id="radix-overlap"),
        pytest.param(nothing, "radix_tree_node_alloc", 12, 1, id="radix-memory"),
        pytest.param(prepare_pat, None, 16, 1, id="pat-conflict"),
        pytest.param(nothing, "reserve_memtype", 12, 1, id="pat-memory"),
        pytest.param(nothing, "__kmalloc_section_usemap", 12, 1, id="section-memory"),
        pytest.param(nothing, "vmemmap_populate", 12, 1, id="memmap-memory"),
        pytest.param(nothing, "sparse_index_init", 12, 1, id="section-root-memory"),
        pytest.param(nothing, "devm_add_action", 12, 1, id="action-memory"),
    ],
)
def test_t7_errors_and_whether_they_kill(
    watched: Kernel, prepare: Callable[[Kernel, Mapping], None], site: str | None,
    errno: int, kills: int,
) -> None:  # fmt: skip
    k = watched
    m = Mapping(k)
    prepare(k, m)
    if site is None:
        assert m.fail() == errno
    else:
        with k.fault_injection(site) as fault:
            assert m.fail() == errno
        assert fault.hits == 1
    assert m.kills == kills
    assert m.ref.dead is bool(kills)
    assert m.ref.logical == 1 - kills, "no page has kept a reference"
    assert m.dev.devres_release_all() == 0, "nothing is registered on the device"
    assert not m.pm.dev_set or errno != 22


def test_t7_action_memory_runs_the_complete_release(k: Kernel) -> None:
    m = Mapping(k)
    start = k.trace.position
    with k.fault_injection("devm_add_action"):
        assert m.fail() == 12
    assert m.kills == 1
    functions = k.trace.functions(start)
    released = functions[functions.index("devm_memremap_pages_release") :]
    assert [f for f in released if f in RELEASE][:3] == [
        "devm_memremap_pages_release", "percpu_ref_kill_and_confirm", "mem_hotplug_begin",
    ]  # fmt: skip
    assert not k.pfn_valid(PFN) and not k.dmesg
    k.assert_quiescent()


def test_t7_inner_failure_of_the_shadow_is_swallowed(k: Kernel) -> None:
    m = Mapping(k)
    with k.fault_injection("zero_pud_populate") as fault:
        m.map()
    assert fault.hits == 1
    assert m.ref.logical == 1 + PAGES


@pytest.mark.parametrize(
    ("prepare", "kind"), [(prepare_ram, "ram"), (prepare_mixed, "mixed")], ids=["ram", "mixed"]
)
def test_t7_ram_is_warned_of_by_kind_and_once(
    watched: Kernel, prepare: Callable[[Kernel, Mapping], None], kind: str
) -> None:
    k = watched
    m = Mapping(k)
    prepare(k, m)
    assert m.fail() == 6
    text = (
        f"devm_memremap_pages attempted on {kind} region [mem 0x100000000-0x107ffffff flags 0x200]"
    )
    assert k.dmesg[1] == text
    assert Mapping(k, name="x.1").fail() == 6
    assert k.dmesg.count(text) == 1


# --- facts that are easily got wrong ---


def test_null_ref_on_a_conflicting_section_is_einval_without_a_warning(k: Kernel) -> None:
    Mapping(k, name="owner.0").map()
    m = Mapping(k)
    m.pm.set_ref(None, None)
    assert m.fail() == 22 and k.dmesg == []


def test_pages_hold_references_for_the_resource_and_sections_for_the_aligned_range(
    k: Kernel,
) -> None:
    m = Mapping(k, BASE + 0x200000, 4 << 20)
    m.map()
    assert m.ref.logical == 1 + 1024
    assert k.pfn_valid(PFN) and k.pfn_valid(PFN + PAGES - 1)
    assert k.page(PFN).pgmap is None and k.page(PFN + 512).pgmap == m.pm
    assert k.page(PFN).count == 1, "padding is initialised, and nobody's"


def test_get_page_does_not_touch_the_ref(k: Kernel) -> None:
    m = Mapping(k)
    m.map()
    for _ in range(3):
        k.page(PFN).get()
    assert m.ref.logical == 1 + PAGES
    for _ in range(3):
        k.page(PFN).put()
    assert m.ref.logical == 1 + PAGES


@pytest.mark.parametrize("chunks", [0, 1])
def test_failing_insert_waits_for_readers_even_with_nothing_to_delete(
    k: Kernel, chunks: int
) -> None:
    owner = Mapping(k, BASE if not chunks else BASE + 0x4000, 4096, name="owner.0")
    owner.map()
    owner.ref.kill()
    m = Mapping(k, BASE, 5 * 4096)
    reader = k.task(cpu=1)
    with reader:
        k.rcu_read_lock()
    with pytest.raises(Blocked) as blocked:
        m.dev.memremap_pages(m.pm)
    assert "synchronize_rcu" in blocked.value.waits_for
    assert m.kills == 0, "the kill is the very last step"
    with reader:
        k.rcu_read_unlock()
    assert blocked.value.task.done and m.kills == 1


def test_private_memory_has_no_linear_map_and_no_shadow_but_raises_max_pfn(k: Kernel) -> None:
    m = Mapping(k, type=MemoryType.PRIVATE)
    start = k.trace.position
    assert m.map() == k.va(BASE)
    functions = k.trace.functions(start)
    assert "kasan_add_zero_shadow" not in functions and "arch_add_memory" not in functions
    assert "add_pages" in functions and "track_pfn_remap" in functions
    assert not k.linear_mapping_present(PFN) and not k.zero_shadow_present(PFN)
    assert k.page(PFN).is_device_private and not k.page(PFN).is_device_public
    assert k.max_pfn == PFN + PAGES


def test_private_error_path_removes_a_shadow_that_was_never_added(watched: Kernel) -> None:
    k = watched
    m = Mapping(k, type=MemoryType.PRIVATE)
    start = k.trace.position
    with k.fault_injection("__kmalloc_section_usemap"):
        assert m.fail() == 12
    assert "kasan_remove_zero_shadow" in k.trace.functions(start)


def test_lookup_keeps_a_pagemap_that_covers_and_swaps_one_that_does_not(k: Kernel) -> None:
    m = Mapping(k)
    m.map()
    got = k.get_dev_pagemap(PFN)
    assert got == m.pm and m.ref.logical == 2 + PAGES
    assert k.get_dev_pagemap(PFN + 7, got) == got
    assert m.ref.logical == 2 + PAGES, "the caller's reference is reused"
    assert k.get_dev_pagemap(PFN + PAGES, got) is None
    assert m.ref.logical == 1 + PAGES, "and consumed when it does not cover"


def test_killed_pagemap_is_invisible_while_its_entries_are_there(k: Kernel) -> None:
    m = Mapping(k)
    m.map()
    m.ref.kill()
    assert k.get_dev_pagemap(PFN) is None


def test_section_that_has_a_memmap_already_is_swallowed_and_initialised_anew(
    watched: Kernel,
) -> None:
    """Two halves of one section cannot be mapped, but a failed call leaves its section."""
    k = watched
    m = Mapping(k, size=2 * SECTION)
    with k.fault_injection("__kmalloc_section_usemap", nth=2):
        assert m.fail() == 12
    assert k.pfn_valid(PFN) and not k.pfn_valid(PFN + PAGES)
    again = Mapping(k, size=2 * SECTION, name="x.1")
    again.map()
    assert k.page(PFN).count == 1 and k.page(PFN).pgmap == again.pm


def test_release_clears_what_the_device_had_and_nothing_of_a_neighbour(k: Kernel) -> None:
    a, b = Mapping(k, name="a.0"), Mapping(k, BASE + SECTION, name="b.0")
    a.map()
    b.map()
    a.unmap()
    assert not k.pfn_valid(PFN) and k.pfn_valid(PFN + PAGES)
    assert b.ref.logical == 1 + PAGES and b.kills == 0
    zone = k.zone("Device")
    assert (zone.start_pfn, zone.spanned) == (PFN + PAGES, PAGES)
    b.unmap()
    k.assert_quiescent()
