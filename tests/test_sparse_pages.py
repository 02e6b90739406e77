# SPDX-License-Identifier: GPL-2.0-only
"""Struct pages kept as runs read like a dense array of them."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import astuple, dataclass, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memremap_emu import Kernel, MemoryType
from memremap_emu.objects import Page
from tests.model.device_memory import LIST_POISON2, PAGES

FIRST = 0x100000  # pfn
SECTIONS = 4
NR_PAGES = SECTIONS * PAGES

both_builds = pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])


@dataclass
class DensePage:
    """What is in a struct page of a device that is in use."""

    count: int = 1
    active: bool = False
    waiters: bool = False
    mapping: int = 0
    hmm_data: int = LIST_POISON2


class SparseAndDense:
    """A device of four sections, and an array of as many pages."""

    def __init__(self, checked: bool) -> None:
        self.k = Kernel(cpus=1, checked=checked)
        size = NR_PAGES << 12
        self.k.iomem.add(FIRST << 12, (FIRST << 12) + size - 1, "Persistent Memory")
        self.device = self.k.device("dev.0")
        self.ref = self.k.percpu_ref()
        self.freed: list[int] = []
        self.pagemap = self.k.pagemap(
            FIRST << 12,
            size,
            type=MemoryType.FS_DAX,
            ref=self.ref,
            page_free=lambda page: self.freed.append(page.pfn),
        )
        self.k.dev_pagemap_get_ops()
        self.device.memremap_pages(self.pagemap)
        #: Each page is made when it is first looked at: an example looks at few of them.
        self.dense = defaultdict[int, DensePage](DensePage)
        self.dense_freed: list[int] = []
        self.touched: set[int] = set()
        self.runs = self.k.stats.page_runs

    def apply(self, what: str, first: int, n: int, value: int) -> None:
        """One thing done to n pages, one after the other."""
        for i in range(first, min(first + n, NR_PAGES)):
            self.touched.add(i)
            page, dense = self.k.page(FIRST + i), self.dense[i]
            if what == "get":
                page.get()
                dense.count += 1
            elif what == "put":
                if dense.count > 1:
                    page.put()
                    dense.count -= 1
                    if dense.count == 1:
                        dense.active = dense.waiters = False
                        self.dense_freed.append(FIRST + i)
            elif what == "active":
                page.active = dense.active = bool(value % 2)
            elif what == "waiters":
                page.waiters = dense.waiters = bool(value % 2)
            elif what == "mapping":
                page.mapping = dense.mapping = value * 0x1000
            else:
                page.hmm_data = dense.hmm_data = value * 8

    def compare(self, i: int) -> None:
        """Everything that can be seen of a page."""
        page = self.k.page(FIRST + i)
        seen = DensePage(page.count, page.active, page.waiters, page.mapping, page.hmm_data)
        assert seen == self.dense[i], hex(FIRST + i)
        assert (page.mapcount, page.reserved, page.zone, page.nid) == (0, True, "Device", 0)
        assert page.initialised and page.valid and page.is_zone_device
        assert page.pgmap == self.pagemap

    def compare_all_touched(self) -> None:
        """Those, their neighbours, and the ends of all sections."""
        edges = {s * PAGES + i for s in range(SECTIONS) for i in (0, PAGES - 1)}
        around = {j for i in self.touched for j in (i - 1, i, i + 1)} | edges
        for i in sorted(around):
            if 0 <= i < NR_PAGES:
                self.compare(i)
        assert self.freed == self.dense_freed
        assert self.ref.logical == 1 + NR_PAGES

    def runs_of_equal_pages(self) -> int:
        """How many there are in the dense array, between touched places only."""
        places = sorted({j for i in self.touched for j in (i, i + 1)})
        return 1 + sum(
            astuple(self.dense[i - 1]) != astuple(self.dense[i]) for i in places if 0 < i < NR_PAGES
        )

    def undo(self) -> None:
        """Makes all pages what they were."""
        for i in sorted(self.touched):
            for _ in range(self.dense[i].count - 1):
                self.apply("put", i, 1, 0)
            page, fresh = self.k.page(FIRST + i), DensePage()
            page.active, page.waiters = fresh.active, fresh.waiters
            page.mapping, page.hmm_data = fresh.mapping, fresh.hmm_data
            self.dense[i] = replace(fresh)


operations = st.lists(
    st.tuples(
        st.sampled_from(("get", "get", "put", "active", "waiters", "mapping", "hmm_data")),
        st.integers(0, 40) | st.integers(PAGES - 20, PAGES + 20) | st.integers(0, NR_PAGES - 1),
        st.sampled_from((1, 1, 2, 7, 30)),
        st.integers(0, 3),
    ),
    max_size=40,
)


@both_builds
@given(operations)
@example([("get", PAGES - 3, 7, 0), ("put", PAGES - 3, 3, 0), ("put", PAGES, 4, 0)])
def test_runs_of_pages_read_like_an_array_and_merge_again(
    checked: bool, script: list[tuple[str, int, int, int]]
) -> None:
    both = SparseAndDense(checked)
    try:
        for operation in script:
            both.apply(*operation)
        both.compare_all_touched()
        # The page that was looked at last may stand on its own.
        spare = both.k.stats.page_runs - both.runs + 1 - both.runs_of_equal_pages()
        assert 0 <= spare <= 2
        both.undo()
        both.compare_all_touched()
        assert both.k.stats.page_runs - both.runs <= 2
    finally:
        both.k.close()


@both_builds
def test_ten_thousand_single_page_operations_read_like_an_array(checked: bool) -> None:
    rng = random.Random(7)
    both = SparseAndDense(checked)
    names = ("get", "get", "put", "put", "active", "waiters", "mapping", "hmm_data")
    for _ in range(10_000):
        both.apply(rng.choice(names), rng.randrange(3000) * 31, 1, rng.randrange(4))
    both.compare_all_touched()
    held = [i for i in sorted(both.touched) if both.dense[i].count > 1]
    both.device.devres_release_all()
    assert both.k.stats.page_runs == 0
    assert both.ref.logical == len(held)
    both.k.close()


@both_builds
def test_unmapping_and_mapping_again_gives_fresh_pages(checked: bool) -> None:
    both = SparseAndDense(checked)
    for i in range(0, 5000, 7):
        both.apply("mapping", i, 1, 1)
        both.apply("active", i, 1, 1)
    both.device.devres_release_all()
    assert not both.k.page(FIRST).valid
    assert both.k.stats.page_runs == 0
    both.ref.exit()
    both.ref.init()
    both.device.memremap_pages(both.pagemap)
    both.dense.clear()
    both.compare_all_touched()
    assert both.k.stats.page_runs == both.runs
    both.k.close()


def test_a_page_object_is_cheap_and_looks_at_nothing() -> None:
    with Kernel(cpus=1) as k:
        page = k.page(0x123456)
        assert isinstance(page, Page)
        assert not page.valid
        assert not k.violations
