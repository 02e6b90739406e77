# SPDX-License-Identifier: GPL-2.0-only
"""How a range of pages is cut into blocks of the index: the worked examples, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from memremap_emu import Kernel, KernelError, PageMap
from memremap_emu.objects import Device, PerCpuRef

MiB = 1 << 20
SECTION_PAGES = 0x8000
NODE = "radix_tree_node_alloc"

Chunks = list[tuple[int, int]]


@dataclass(frozen=True)
class Example:
    """One row: a range and the blocks (first pfn, order) that cover it, in order."""

    name: str
    start: int
    pages: int
    chunks: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return self.name


EXAMPLES = [
    Example("A", 0x100000000, 0x8000, ((0x100000, 15),)),
    Example("B", 0x100200000, 0x7E00, (
        (0x100200, 9), (0x100400, 10), (0x100800, 11), (0x101000, 12), (0x102000, 13),
        (0x104000, 14))),
    Example("C", 0x100000000, 5, ((0x100000, 2), (0x100004, 0))),
    Example("D", 0x100001000, 7, ((0x100001, 0), (0x100002, 1), (0x100004, 2))),
    Example("E", 0x240000000, 0x3E00, (
        (0x240000, 13), (0x242000, 12), (0x243000, 11), (0x243800, 10), (0x243C00, 9))),
    Example("F", 0x107E00000, 0x400, ((0x107E00, 9), (0x108000, 9))),
    Example("G", 0x37FFFD000, 9, (
        (0x37FFFD, 0), (0x37FFFE, 1), (0x380000, 2), (0x380004, 1))),
    Example("H", 0x400000000, 0xC0000, ((0x400000, 19), (0x480000, 18))),
]  # fmt: skip
examples = pytest.mark.parametrize("e", EXAMPLES, ids=str)


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


def pagemap(k: Kernel, start: int, pages: int) -> tuple[PageMap, PerCpuRef]:
    ref = k.percpu_ref()
    return k.pagemap(start, pages << 12, ref=ref), ref


def covered(k: Kernel, e: Example, pm: PageMap) -> bool:
    """Does every block answer at its first and last page, and nothing beside them?"""
    first, last = e.start >> 12, (e.start >> 12) + e.pages - 1

    def found(pfn: int) -> PageMap | None:
        got = k.get_dev_pagemap(pfn)
        if got is not None:
            got.put()
        return got

    inside = [pfn for start, order in e.chunks for pfn in (start, start + (1 << order) - 1)]
    return all(found(pfn) == pm for pfn in inside) and not found(first - 1) and not found(last + 1)


@examples
def test_blocks_cover_the_range_without_gap_or_overlap(e: Example) -> None:
    at = e.start >> 12
    for pfn, order in e.chunks:
        assert pfn == at and pfn % (1 << order) == 0
        at += 1 << order
    assert at == (e.start >> 12) + e.pages


@examples
def test_every_page_of_the_range_finds_the_pagemap_and_none_beside_it(
    k: Kernel, e: Example
) -> None:
    pm, ref = pagemap(k, e.start, e.pages)
    k.device("x.0").memremap_pages(pm)
    assert covered(k, e, pm)
    assert ref.logical == 1 + e.pages


@examples
def test_sections_are_added_for_the_aligned_range(k: Kernel, e: Example) -> None:
    pm, _ = pagemap(k, e.start, e.pages)
    k.device("x.0").memremap_pages(pm)
    first = (e.start >> 12) // SECTION_PAGES * SECTION_PAGES
    end = -(-((e.start >> 12) + e.pages) // SECTION_PAGES) * SECTION_PAGES
    assert k.pfn_valid(first) and k.pfn_valid(end - 1)
    assert not k.pfn_valid(first - 1) and not k.pfn_valid(end)
    expected = {"F": 2, "G": 2, "H": 24}.get(e.name, 1)
    assert (end - first) // SECTION_PAGES == expected
    assert k.zone("Device").spanned == end - first


def reference(k: Kernel, e: Example) -> tuple[list[int], int]:
    """Nodes each block allocates when they are inserted one after the other."""
    tree = k.radix_tree()
    counts = []
    for pfn, order in e.chunks:
        before = k.fault_sites.get(NODE, 0)
        tree.insert(pfn, 1, order)
        counts.append(k.fault_sites.get(NODE, 0) - before)
    return counts, sum(counts)


@examples
def test_index_allocates_exactly_the_nodes_that_these_blocks_need(k: Kernel, e: Example) -> None:
    _, total = reference(k, e)
    pm, _ = pagemap(k, e.start, e.pages)
    before = k.fault_sites.get(NODE, 0)
    k.device("x.0").memremap_pages(pm)
    assert k.fault_sites[NODE] - before == total


def failing(k: Kernel, dev: Device, pm: PageMap) -> int | None:
    with pytest.raises(KernelError) as error:
        dev.memremap_pages(pm)
    return error.value.errno


@examples
def test_insertion_that_fails_at_any_node_leaves_no_block(k: Kernel, e: Example) -> None:
    _, total = reference(k, e)
    snapshot = k.snapshot()
    for nth in range(1, total + 1):
        pm, ref = pagemap(k, e.start, e.pages)
        dev = k.device("x.0")
        with k.fault_injection(NODE, nth=nth) as fault:
            assert failing(k, dev, pm) == 12
        assert fault.hits == 1
        assert f"platform x.0: devm_memremap_pages: failed: {-12}" in k.dmesg
        assert ref.dead, "the ref has been killed"
        for pfn, order in e.chunks:
            assert k.get_dev_pagemap(pfn) is None
            assert k.get_dev_pagemap(pfn + (1 << order) - 1) is None
        assert not k.pfn_valid(e.start >> 12)
        snapshot.restore()


@examples
def test_block_that_is_taken_is_eexist_and_the_earlier_ones_are_deleted(
    k: Kernel, e: Example
) -> None:
    """A pagemap that is killed but not gone is invisible to the conflict check."""
    snapshot = k.snapshot()
    for n, (pfn, _) in enumerate(e.chunks):
        other, other_ref = pagemap(k, pfn << 12, 1)
        k.device("other.0").memremap_pages(other)
        other_ref.kill()
        pm, ref = pagemap(k, e.start, e.pages)
        assert failing(k, k.device("x.0"), pm) == 17
        assert "platform x.0: devm_memremap_pages: failed: -17" in k.dmesg
        assert ref.dead
        # Every block but the taken one is free again: a tree of one's own agrees.
        for free, order in e.chunks[:n]:
            assert k.get_dev_pagemap(free) is None
            assert k.get_dev_pagemap(free + (1 << order) - 1) is None
        snapshot.restore()


@pytest.mark.parametrize(("size", "start"), [(0, 0x100001000), (0x800, 0x100000000)])
def test_range_without_a_whole_page_has_no_block_and_no_reference(
    k: Kernel, size: int, start: int
) -> None:
    ref = k.percpu_ref()
    pm = k.pagemap(start, size, ref=ref)
    dev = k.device("x.0")
    before = k.fault_sites.get(NODE, 0)
    dev.memremap_pages(pm)
    assert k.fault_sites.get(NODE, 0) == before
    assert ref.logical == 1
    assert k.get_dev_pagemap(start >> 12) is None
    assert k.pfn_valid(start >> 12), "its section is added all the same"
    dev.devres_release_all()
    assert not k.pfn_valid(start >> 12)
