# SPDX-License-Identifier: GPL-2.0-only
"""The resource tree: requests, insertions, queries, walks, and how it is printed."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from memremap_emu import Blocked, IoResource, Kernel, KernelError, Region, Resource
from memremap_emu.iomem import IomemError
from memremap_emu.objects import Device

MEM, BUSY, SYSTEM_RAM = IoResource.MEM, IoResource.BUSY, IoResource.SYSTEM_RAM
MAPS = sorted(p.name for p in resources.files("memremap_emu").joinpath("maps").iterdir()
              if p.name.endswith(".txt"))  # fmt: skip


@pytest.fixture
def root(k: Kernel) -> Resource:
    """A private tree of 1 MiB."""
    return k.resource(0, 0xFFFFF, "root")


@pytest.fixture
def new(k: Kernel) -> Callable[..., Resource]:
    """Makes resources that are in no tree."""
    return k.resource


def errno_of(call: Callable[..., Any], *args: Any) -> int | None:
    with pytest.raises(KernelError) as error:
        call(*args)
    return error.value.errno


# --- request, release, remove ---


def test_request_links_disjoint_children_in_order(root: Resource, new: Any) -> None:
    for start in (0x3000, 0x1000, 0x2000):
        root.request(new(start, start + 0xFFF, hex(start)))
    assert [c.start for c in root.children] == [0x1000, 0x2000, 0x3000]
    assert all(c.parent == root for c in root.children)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0x1000, 0x1FFF), (0x1FFF, 0x2FFF), (0, 0x1000), (0x1800, 0x18FF), (0, 0xFFFFF)],
)
def test_request_of_an_overlap_is_ebusy_and_names_the_conflict(
    root: Resource, new: Any, start: int, end: int
) -> None:
    child = new(0x1000, 0x1FFF, "child")
    root.request(child)
    other = new(start, end, "other")
    assert errno_of(root.request, other) == 16
    assert root.request_conflict(other) == child
    assert other.parent is None


@pytest.mark.parametrize(("start", "end"), [(0x100000, 0x100FFF), (0xFF000, 0x100000), (2, 1)])
def test_request_outside_or_backwards_conflicts_with_the_root_itself(
    root: Resource, new: Any, start: int, end: int
) -> None:
    assert root.request_conflict(new(start, end)) == root


def test_release_takes_the_subtree_along_and_remove_leaves_it(root: Resource, new: Any) -> None:
    outer, inner = new(0x1000, 0x1FFF, "outer"), new(0x1100, 0x11FF, "inner")
    root.request(outer)
    outer.request(inner)
    outer.release()
    assert root.children == [] and outer.children == [inner] and outer.parent is None
    root.request(outer)
    outer.remove()
    assert root.children == [inner] and inner.parent == root


def test_insert_descends_into_what_contains_it(root: Resource, new: Any) -> None:
    a, b, c = new(0, 0xFFFF, "a"), new(0x1000, 0x1FFF, "b"), new(0x1100, 0x11FF, "c")
    for r in (a, b, c):
        root.insert(r)
    assert [(d, r.name) for d, r in root.walk()] == [(0, "a"), (1, "b"), (2, "c")]


def test_insert_swallows_what_it_contains_and_equals(root: Resource, new: Any) -> None:
    for name, start, end in (("x", 0x1000, 0x1FFF), ("y", 0x3000, 0x3FFF)):
        root.insert(new(start, end, name))
    root.insert(new(0x800, 0x4FFF, "big"))
    root.insert(new(0x3000, 0x3FFF, "same"))
    assert [(d, r.name) for d, r in root.walk()] == [
        (0, "big"), (1, "x"), (1, "same"), (2, "y"),
    ]  # fmt: skip


def test_insert_that_cuts_another_is_ebusy(root: Resource, new: Any) -> None:
    root.insert(new(0x1000, 0x1FFF))
    for start, end in ((0x800, 0x1800), (0x1800, 0x2800), (0xFF000, 0x100000)):
        assert errno_of(root.insert, new(start, end)) == 16


def test_insert_twice_warns_and_is_ebusy(watched: Kernel) -> None:
    root, child = watched.resource(0, 0xFFFF), watched.resource(0x1000, 0x1FFF)
    root.insert(child)
    assert errno_of(root.insert, child) == 16
    assert any("kernel/resource.c:784" in line for line in watched.dmesg)


def test_insert_expand_to_fit_widens_and_says_so(k: Kernel, root: Resource, new: Any) -> None:
    root.request(new(0x1000, 0x1FFF, "firmware"))
    wide = new(0x1800, 0x2FFF, "PCI Bus")
    root.insert_expand_to_fit(wide)
    assert (wide.start, wide.end) == (0x1000, 0x2FFF)
    assert "Expanded resource PCI Bus due to conflict with firmware" in k.dmesg
    assert [r.name for _, r in root.walk()] == ["PCI Bus", "firmware"]


def test_insert_expand_to_fit_outside_the_root_gives_up_silently(
    k: Kernel, root: Resource, new: Any
) -> None:
    outside = new(0x100000, 0x1FFFFF)
    root.insert_expand_to_fit(outside)
    assert outside.parent is None and not k.dmesg


def test_adjust_stays_clear_of_neighbours_and_around_its_children(root: Resource, new: Any) -> None:
    a, b, inner = new(0x1000, 0x1FFF), new(0x4000, 0x4FFF), new(0x1800, 0x18FF)
    root.request(a)
    root.request(b)
    a.request(inner)
    a.adjust(0x1000, 0x3000)
    assert a.end == 0x3FFF
    assert errno_of(a.adjust, 0x1000, 0x3001) == 16
    assert errno_of(a.adjust, 0x1000, 0x800) == 16, "the child would stick out"
    assert (a.start, a.end) == (0x1000, 0x3FFF)


def test_lookup_finds_a_direct_child_by_its_start(root: Resource, new: Any) -> None:
    a, inner = new(0x1000, 0x1FFF), new(0x1100, 0x11FF)
    root.request(a)
    a.request(inner)
    assert root.lookup(0x1000) == a
    assert root.lookup(0x1100) is None
    assert root.lookup(0x1001) is None


def test_allocate_takes_the_lowest_gap_that_fits(root: Resource, new: Any) -> None:
    root.request(new(0x1000, 0x1FFF))
    root.request(new(0x3000, 0x3FFF))
    found = new(0, 0)
    root.allocate(found, 0x1800, 0, 0xFFFFF, 0x1000)
    assert (found.start, found.end) == (0x4000, 0x57FF)
    small = new(0, 0)
    root.allocate(small, 0x1000, 0x800, 0xFFFFF, 0x1000)
    assert small.start == 0x2000
    assert errno_of(root.allocate, new(0, 0), 0x100000, 0, 0xFFFFF, 1) == 16


# --- regions ---


def test_region_is_busy_and_inherits_type_and_desc(k: Kernel) -> None:
    parent = k.resource(0, 0xFFFF, "pmem", flags=MEM, desc=4)
    k.iomem.root.request(parent)
    region = k.iomem.request_region(0x1000, 0x1000, "claim")
    assert region is not None
    assert region.parent == parent, "it nests in what is not busy"
    assert region.flags == MEM | BUSY and region.desc == 4
    assert region.pr == "[mem 0x00001000-0x00001fff flags 0x80000200]"


def test_region_of_a_memory_map_is_of_the_kind_that_it_was_claimed_in(k: Kernel) -> None:
    k.iomem.load(
        "10000000-1fffffff : Persistent Memory (legacy)\n"
        "  10000000-1fffffff : namespace0.0\n"
        "20000000-2fffffff : ACPI Tables\n"
        "  20000000-20000fff : somebody\n"
    )
    namespace, other = (r.children[0] for r in k.iomem.root.children)
    assert (namespace.flags, namespace.desc) == (MEM | BUSY, 5)
    assert other.desc == 0, "nobody claims what is busy: it was inserted"
    found: list[int] = []
    k.iomem.walk(lambda *hit: found.append(hit[0]), flags=MEM | BUSY, desc=5)
    assert found == [0x10000000]


@pytest.mark.parametrize(
    ("start", "n", "why"),
    [
        (0x1000, 0x1000, "the same"),
        (0x1400, 0x100, "inside a busy region"),
        (0x1800, 0x1000, "sticks out of a busy region"),
        (0xF000, 0x2000, "sticks out of a region that is not busy"),
        (0x5000, 0, "empty"),
        (0, 0, "empty, wraps around"),
        (1 << 46, 0x1000, "beyond the address space"),
    ],
)
def test_region_request_fails_without_a_word(k: Kernel, start: int, n: int, why: str) -> None:
    k.iomem.root.request(k.resource(0, 0xFFFF, "window", flags=MEM))
    assert k.iomem.request_region(0x1000, 0x1000, "busy") is not None
    before = k.stats.live_objects
    assert k.iomem.request_region(start, n, "other") is None, why
    assert not k.dmesg
    assert k.stats.live_objects == before, "the record has been freed"


def test_region_request_without_memory_is_none(k: Kernel) -> None:
    with k.fault_injection("__request_region") as fault:
        assert k.iomem.request_region(0x1000, 0x1000, "x") is None
    assert fault.hits == 1


def test_exclusive_flag_is_kept(k: Kernel) -> None:
    region = k.iomem.request_region(0x1000, 0x1000, "x", int(IoResource.EXCLUSIVE))
    assert region is not None and region.flags == MEM | BUSY | IoResource.EXCLUSIVE


def test_release_of_a_region_must_be_exact(k: Kernel) -> None:
    k.iomem.request_region(0x1000, 0x1000, "x")
    k.iomem.release_region(0x1000, 0x800)
    assert k.dmesg == ["Trying to free nonexistent resource <0000000000001000-00000000000017ff>"]
    assert k.dmesg_levels[0][0] == 4
    k.iomem.release_region(0x1000, 0x1000)
    assert len(k.dmesg) == 1 and k.iomem.root.children == []


def test_release_of_a_busy_region_drops_its_children(k: Kernel) -> None:
    region = k.iomem.request_region(0x1000, 0x1000, "x")
    assert region is not None
    inner = k.resource(0x1100, 0x11FF, "inner")
    region.request(inner)
    k.iomem.release_region(0x1000, 0x1000)
    assert str(k.iomem) == ""


def test_muxed_region_is_waited_for(k: Kernel) -> None:
    muxed = int(IoResource.MUXED)
    assert k.iomem.ports.request_region(0x2E, 2, "first", muxed) is not None
    with pytest.raises(Blocked) as blocked:
        k.iomem.ports.request_region(0x2E, 2, "second", muxed)
    k.iomem.ports.release_region(0x2E, 2)
    assert blocked.value.task.done
    assert [r.name for r in k.iomem.ports.children] == ["second"]


@pytest.mark.parametrize(
    ("start", "size", "left"),
    [
        (0x1000, 0x3000, []),
        (0x1000, 0x1000, [(0x2000, 0x3FFF)]),
        (0x3000, 0x1000, [(0x1000, 0x2FFF)]),
        (0x2000, 0x1000, [(0x1000, 0x1FFF), (0x3000, 0x3FFF)]),
    ],
)
def test_adjustable_release_trims_or_splits(
    k: Kernel, start: int, size: int, left: list[tuple[int, int]]
) -> None:
    assert k.iomem.request_region(0x1000, 0x3000, "x")
    k.iomem.root.release_region_adjustable(start, size)
    assert [(r.start, r.end) for r in k.iomem.root.children] == left


def test_adjustable_release_errors(k: Kernel) -> None:
    region = k.iomem.request_region(0x1000, 0x3000, "x")
    assert region is not None
    root = k.iomem.root
    assert errno_of(root.release_region_adjustable, 0x8000, 0x1000) == 22
    with k.fault_injection("release_mem_region_adjustable"):
        assert errno_of(root.release_region_adjustable, 0x2000, 0x1000) == 12
    region.request(k.resource(0x1100, 0x11FF))
    assert errno_of(root.release_region_adjustable, 0x1000, 0x1000) == 16


# --- managed regions ---


@pytest.fixture
def dev(k: Kernel) -> Device:
    return k.device("dev.0", bus=False)


def test_managed_region_goes_with_the_device(k: Kernel, dev: Device) -> None:
    assert dev.request_mem_region(0x1000, 0x1000, "x") is not None
    assert dev.devres_release_all() == 1
    assert k.iomem.root.children == []


@pytest.mark.parametrize("site", ["__devm_request_region", "__request_region"])
def test_managed_region_cannot_tell_busy_from_no_memory(k: Kernel, dev: Device, site: str) -> None:
    with k.fault_injection(site) as fault:
        assert dev.request_mem_region(0x1000, 0x1000, "x") is None
    assert fault.hits == 1
    k.iomem.request_region(0x1000, 0x1000, "busy")
    assert dev.request_mem_region(0x1000, 0x1000, "x") is None
    assert dev.devres_release_all() == 0


def test_managed_release_without_record_says_nonexistent_and_then_warns(
    watched: Kernel,
) -> None:
    dev = watched.device("dev.0", bus=False)
    dev.release_mem_region(0x1000, 0x1000)
    nonexistent = "Trying to free nonexistent resource <0000000000001000-0000000000001fff>"
    assert watched.dmesg[0] == nonexistent
    assert any("kernel/resource.c:1445 __devm_release_region" in x for x in watched.dmesg[1:])


def test_managed_region_released_by_hand_is_told_at_unbind(k: Kernel, dev: Device) -> None:
    dev.request_mem_region(0x1000, 0x1000, "x")
    k.iomem.release_region(0x1000, 0x1000)
    dev.devres_release_all()
    assert k.dmesg == ["Trying to free nonexistent resource <0000000000001000-0000000000001fff>"]


def test_managed_request_says_what_it_collides_with(
    k: Kernel, dev: Device, root: Resource, new: Any
) -> None:
    root.request(new(0x1000, 0x1FFF, "there"))
    clash = new(0x1800, 0x27FF, "clash")
    assert errno_of(dev.request_resource, root, clash) == 16
    assert k.dmesg == [
        " dev.0: resource collision: [mem 0x00001800-0x000027ff] conflicts with there "
        "[mem 0x00001000-0x00001fff]"
    ]
    good = new(0x2000, 0x2FFF)
    dev.request_resource(root, good)
    dev.release_resource(good)
    assert good.parent is None and dev.devres_release_all() == 0


def test_managed_release_of_a_resource_without_record_warns(watched: Kernel) -> None:
    dev = watched.device("dev.0", bus=False)
    dev.release_resource(watched.resource(0, 1))
    assert any("kernel/resource.c:1387" in line for line in watched.dmesg)


# --- queries ---

MAP = """\
00001000-0009fbff : System RAM
00100000-bffdffff : System RAM
  01000000-01801fff : Kernel code
bffe0000-bfffffff : Reserved
140000000-17fffffff : Persistent Memory (legacy)
400000000-7ffffffff : Reserved
"""


@pytest.fixture
def mapped(k: Kernel) -> Iterator[Kernel]:
    k.iomem.load(MAP)
    yield k


@pytest.mark.parametrize(
    ("start", "size", "flags", "desc", "expected"),
    [
        (0x100000, 0x8000000, SYSTEM_RAM, 0, Region.INTERSECTS),
        (0, 0x8000000, SYSTEM_RAM, 0, Region.INTERSECTS),
        (0xBFEE0000, 0x200000, SYSTEM_RAM, 0, Region.MIXED),
        (0xBFFE0000, 1, SYSTEM_RAM, 0, Region.DISJOINT),
        (0x400000000, 0x8000000, SYSTEM_RAM, 0, Region.DISJOINT),
        (0x140000000, 0x8000000, MEM, 4, Region.DISJOINT),
        (0x140000000, 0x8000000, MEM, 5, Region.INTERSECTS),
        (0x138000000, 0x10000000, MEM, 5, Region.INTERSECTS),
        (0x140000000, 0x8000000, 0, 0, Region.INTERSECTS),
        (0x100000000, 0x8000000, 0, 0, Region.DISJOINT),
        (0, (1 << 64) - 1, 0, 0, Region.INTERSECTS),
    ],
)
def test_region_intersects_looks_at_top_level_children(
    mapped: Kernel, start: int, size: int, flags: int, desc: int, expected: Region
) -> None:
    assert mapped.iomem.region_intersects(start, size, flags, desc) == expected


def test_region_intersects_counts_a_parent_that_contains_ram_as_other(k: Kernel) -> None:
    window = k.iomem.add(0x1000, 0xFFFF, "window", flags=int(MEM))
    window.request(k.resource(0x2000, 0x2FFF, "System RAM", flags=int(SYSTEM_RAM | BUSY)))
    assert k.iomem.region_intersects(0x2000, 0x1000, int(SYSTEM_RAM)) == Region.DISJOINT


def walked(walk: Callable[..., int], *args: Any, **kwargs: Any) -> tuple[list[Any], int]:
    """What a walk visits, and what it returns."""
    seen: list[Any] = []

    def visit(*hit: int) -> int:
        seen.append(hit[:2])
        return 0

    return seen, walk(visit, *args, **kwargs)


RAM = [(0x1000, 0x9FBFF), (0x100000, 0xBFFDFFFF)]


def test_walk_reports_hits_in_order_and_never_the_children_of_a_hit(mapped: Kernel) -> None:
    assert walked(mapped.iomem.walk) == (RAM, 0)
    assert walked(mapped.iomem.walk_system_ram) == (RAM, 0)


def test_walk_clips_hits_to_the_range(mapped: Kernel) -> None:
    seen, _ = walked(mapped.iomem.walk_system_ram, 0x2000, 0x1FFFFF)
    assert seen == [(0x2000, 0x9FBFF), (0x100000, 0x1FFFFF)]


def test_walk_misses_what_starts_exactly_at_the_end(mapped: Kernel) -> None:
    assert walked(mapped.iomem.walk_system_ram, 0xF0000, 0x100000) == ([], -1)
    seen, _ = walked(mapped.iomem.walk_system_ram, 0xF0000, 0x100001)
    assert seen == [(0x100000, 0x100001)]


def test_walk_that_matches_nothing_is_minus_one(mapped: Kernel) -> None:
    assert walked(mapped.iomem.walk_system_ram, 0x900000000, 0xA00000000) == ([], -1)


def test_walk_stops_at_the_first_non_zero(mapped: Kernel) -> None:
    seen: list[int] = []

    def visit(start: int, end: int, flags: int, desc: int) -> int:
        seen.append(start)
        return 7

    assert mapped.iomem.walk(visit) == 7
    assert seen == [0x1000]


def test_walk_takes_the_flags_of_its_first_hit_as_the_filter(k: Kernel) -> None:
    k.iomem.add(0x1000, 0x1FFF, "a", flags=int(MEM | BUSY | IoResource.EXCLUSIVE))
    k.iomem.add(0x3000, 0x3FFF, "b", flags=int(MEM | BUSY))
    k.iomem.add(0x5000, 0x5FFF, "c", flags=int(MEM | BUSY | IoResource.EXCLUSIVE))
    seen, _ = walked(k.iomem.walk, flags=int(MEM))
    assert seen == [(0x1000, 0x1FFF), (0x5000, 0x5FFF)]


def test_walk_by_description_goes_below_the_top_level(k: Kernel) -> None:
    top = k.iomem.add(0x1000, 0xFFFF, "top", flags=int(MEM))
    top.request(k.resource(0x2000, 0x2FFF, "deep", flags=int(MEM), desc=5))
    assert walked(k.iomem.walk, desc=5, flags=int(MEM))[0] == [(0x2000, 0x2FFF)]
    assert walked(k.iomem.walk_mem)[0] == [], "this one stays at the top"


def test_range_of_one_byte_is_never_walked(mapped: Kernel) -> None:
    assert walked(mapped.iomem.walk_system_ram, 0x1000, 0x1000) == ([], -1)
    assert walked(mapped.iomem.walk_system_ram, 0x1000, 0x1001) == ([(0x1000, 0x1001)], 0)


def test_range_walk_skips_what_has_no_whole_page(k: Kernel) -> None:
    k.iomem.add(0x1800, 0x27FF, "System RAM")
    k.iomem.add(0x4800, 0x6FFF, "System RAM")
    seen, result = walked(k.iomem.walk_system_ram_range, 0, 16)
    assert (seen, result) == ([(5, 2)], 0)


def test_page_is_ram(mapped: Kernel) -> None:
    assert mapped.iomem.page_is_ram(0x100)
    assert not mapped.iomem.page_is_ram(0x9F), "the last page is not whole"
    assert not mapped.iomem.page_is_ram(0x140000)


def test_sanity_check_warns_of_what_spans_several(mapped: Kernel) -> None:
    assert mapped.iomem.map_sanity_check(0x140001000, 0x1000) == 0
    assert mapped.iomem.map_sanity_check(0x17FFFF000, 0x2000) == -1
    assert mapped.dmesg == [
        "resource sanity check: requesting [mem 0x17ffff000-0x180000fff], which spans more "
        "than Persistent Memory (legacy) [mem 0x140000000-0x17fffffff]"
    ]


# --- texts ---


@pytest.mark.parametrize(
    ("start", "end", "flags", "decoded", "raw"),
    [
        (0x100000000, 0x13FFFFFFF, 0x200, "[mem 0x100000000-0x13fffffff]",
         "[mem 0x100000000-0x13fffffff flags 0x200]"),
        (0xA0000, 0xBFFFF, 0x200, "[mem 0x000a0000-0x000bffff]",
         "[mem 0x000a0000-0x000bffff flags 0x200]"),
        (0x60, 0x64, 0x100, "[io  0x0060-0x0064]", "[io  0x0060-0x0064 flags 0x100]"),
        (7, 7, 0x400, "[irq 7]", "[irq 7 flags 0x400]"),
        (4, 5, 0x800, "[dma 4-5]", "[dma 4-5 flags 0x800]"),
        (0, 0xFF, 0x1000, "[bus 00-ff]", "[bus 00-ff flags 0x1000]"),
        (0x10, 0x10, 0x200, "[mem 0x00000010]", "[mem 0x00000010 flags 0x200]"),
        (0, 0xFFF, 0x20000200, "[mem size 0x00001000]",
         "[mem 0x00000000-0x00000fff flags 0x20000200]"),
        (0, 0xFFF, 0x102200, "[mem 0x00000000-0x00000fff 64bit pref]",
         "[mem 0x00000000-0x00000fff flags 0x102200]"),
        (0, 0xFFF, 0x10200200, "[mem 0x00000000-0x00000fff window disabled]",
         "[mem 0x00000000-0x00000fff flags 0x10200200]"),
        (0x1000, 0x1FFF, 0, "[??? 0x00001000-0x00001fff flags 0x0]",
         "[??? 0x00001000-0x00001fff flags 0x0]"),
    ],
)  # fmt: skip
def test_pR_decodes_flags_and_pr_shows_them(
    k: Kernel, start: int, end: int, flags: int, decoded: str, raw: str
) -> None:
    resource = k.resource(start, end, flags=flags)
    assert resource.pR == decoded
    assert resource.pr == raw


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("checked", [True, False])
def test_proc_iomem_of_real_machines_comes_back_byte_for_byte(name: str, checked: bool) -> None:
    text = (resources.files("memremap_emu") / "maps" / name).read_text()
    with Kernel(checked=checked) as k:
        k.iomem.load(text)
        assert str(k.iomem) == text


def test_proc_iomem_is_read_from_a_path(k: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "iomem"
    path.write_text(MAP)
    k.iomem.load(path)
    assert str(k.iomem) == MAP


def test_proc_iomem_is_cut_at_five_levels(k: Kernel) -> None:
    parent = k.iomem.root
    for depth in range(8):
        child = k.resource(0x1000, 0xFFFF - depth, f"level {depth}")
        parent.request(child)
        parent = child
    assert [len(line) - len(line.lstrip()) for line in str(k.iomem).splitlines()] == [
        0, 2, 4, 6, 8, 10, 10, 10,
    ]  # fmt: skip


def test_proc_iomem_hides_addresses_from_the_unprivileged(mapped: Kernel) -> None:
    lines = mapped.iomem.unprivileged().splitlines()
    assert lines[0] == "00000000-00000000 : System RAM"
    assert lines[2] == "  00000000-00000000 : Kernel code"
    assert len(lines) == MAP.count("\n")


def test_proc_iomem_shows_a_missing_name_as_bad(k: Kernel) -> None:
    k.iomem.root.request(k.resource(0x1000, 0x1FFF, None))
    assert str(k.iomem) == "00001000-00001fff : <BAD>\n"


def test_proc_ioports_has_four_digits(k: Kernel) -> None:
    k.iomem.ports.request(k.resource(0x60, 0x60, "keyboard", flags=int(IoResource.IO)))
    assert k.iomem.ports.tree() == "0060-0060 : keyboard\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("hello world : x\n", 1, "not a line"),
        ("00001000-00001fff : a\nzzz-fff : b\n", 2, "not a line"),
        ("00002000-00001fff : a\n", 1, "ends before"),
        ("00001000-00001fff : a\n    00001000-000010ff : b\n", 2, "deeper"),
        ("00001000-00001fff : a\n   00001000-000010ff : b\n", 2, "odd"),
        ("00001000-00001fff : a\n  00001000-00002fff : b\n", 2, "sticks out"),
        ("00001000-00001fff : a\n00001800-00002fff : b\n", 2, "overlaps"),
        ("00002000-00002fff : a\n00001000-00001fff : b\n", 2, "lies below 'a' of line 1"),
        (f"00001000-00001fff : {'x' * 4096}\n", 1, "a name of more than 4095 bytes"),
        ("00000000-00000000 : a\n00000000-00000000 : b\n", 1, "hidden"),
        ("10000000000000000-10000000000000001 : a\n", 1, "64 bits"),
        ("ffffffffffff0000-ffffffffffffffff : a\n", 1, "beyond"),
    ],
)
def test_bad_map_is_refused_with_line_and_reason(
    k: Kernel, text: str, line: int, reason: str
) -> None:
    with pytest.raises(IomemError) as error:
        k.iomem.load(text)
    if reason != "overlaps" or error.value.line == line:
        assert error.value.line == line
    assert reason in error.value.reason
    assert str(k.iomem) == "", "nothing has been loaded"


def test_map_that_is_no_text_is_refused_with_line_and_reason(k: Kernel, tmp_path: Path) -> None:
    for data, reason in (
        (b"\x97\xff\x00", "not a line"),
        (b"00001000-00001fff : \xff\n", "cannot be printed"),
    ):
        path = tmp_path / "map"
        path.write_bytes(data)
        with pytest.raises(IomemError, match=reason):
            k.iomem.load(path)


def test_map_that_does_not_fit_beside_what_is_there_leaves_it_alone(mapped: Kernel) -> None:
    before = str(mapped.iomem)
    top = mapped.iomem.root.children[-1]
    for text, line in (
        (f"00000000-00000fff : a\n{top.end:08x}-{top.end + 0x1000:08x} : b\n", 2),
        (MAP, 1),
    ):
        with pytest.raises(IomemError, match="overlaps what is there already") as error:
            mapped.iomem.load(text)
        assert error.value.line == line
        assert str(mapped.iomem) == before


def test_range_for_which_there_is_no_memory_is_no_overlap(k: Kernel) -> None:
    with k.fault_injection(), pytest.raises(KernelError) as error:
        k.iomem.load("00001000-00001fff : a\n")
    assert error.value.errno == errno.ENOMEM


def test_range_is_not_put_below_one_of_another_kernel(k: Kernel) -> None:
    with Kernel() as other:
        parent = other.iomem.add(0x1000, 0x1FFF, "a")
        with pytest.raises(ValueError, match="another kernel"):
            k.iomem.add(0x1000, 0x10FF, "b", parent=parent)
