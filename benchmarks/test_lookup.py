# SPDX-License-Identifier: GPL-2.0-only
"""From a pfn to its pagemap, and references on it: time of one, looped in C."""

from __future__ import annotations

import pytest
from conftest import BASE, GiB, figure, pairs

from memremap_emu import Kernel

FIRST = 0x100000
LOOPS = 200_000


@pytest.mark.parametrize(
    ("entries", "goal"), [(1, None), (4096, 10.0), (1 << 20, 35.0)], ids=["1", "4096", "1M"]
)
def test_radix_tree_lookup(plain: Kernel, benchmark, entries: int, goal: float | None) -> None:
    call = plain._native.call
    tree = call("radix_tree_new")
    call("radix_tree_fill", tree, FIRST, min(entries, 1 << 20), 0)

    def lookups() -> None:
        call("radix_tree_lookup_loop", tree, FIRST, entries, LOOPS)

    def empty() -> None:
        call("empty_loop", FIRST, entries, LOOPS)

    loop, nothing, _ = pairs(lookups, empty)
    benchmark.pedantic(lookups, rounds=5)
    figure(
        f"radix_tree_lookup, {entries} random entries",
        (loop - nothing) / LOOPS * 1e9,
        "ns",
        goal=goal,
        ratio=loop / nothing,
        ratio_to="the loop without it",
    )


def bound_pfn(k: Kernel) -> int:
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, GiB)
    pmem.bind(device)
    return (BASE + GiB // 2) >> 12


def test_get_dev_pagemap(plain: Kernel, benchmark) -> None:
    pfn = bound_pfn(plain)
    call = plain._native.call

    def get_and_put() -> None:
        assert call("get_dev_pagemap_loop", pfn, 0, LOOPS) == LOOPS

    def hit() -> None:
        assert call("get_dev_pagemap_loop", pfn, 2, LOOPS) == LOOPS

    slow, fast, _ = pairs(get_and_put, hit)
    benchmark.pedantic(get_and_put, rounds=5)
    figure("get_dev_pagemap and put", slow / LOOPS * 1e9, "ns")
    figure(
        "get_dev_pagemap of the pagemap in hand",
        fast / LOOPS * 1e9,
        "ns",
        goal=1.5,
        ratio=fast / slow,
        ratio_to="get and put",
    )


def test_percpu_ref_tryget_live_and_put_cost_no_more_than_an_atomic_pair(
    plain: Kernel, benchmark
) -> None:
    ref = plain.percpu_ref()
    call = plain._native.call

    def reference() -> None:
        assert call("percpu_ref_loop", ref._handle, 0, LOOPS) == LOOPS

    def atomic() -> None:
        call("percpu_ref_loop", ref._handle, 1, LOOPS)

    ours, theirs, ratio = pairs(reference, atomic)
    benchmark.pedantic(reference, rounds=5)
    figure(
        "tryget_live and put",
        ours / LOOPS * 1e9,
        "ns",
        goal=theirs / LOOPS * 1e9,
        ratio=ratio,
        ratio_to="atomic inc and dec",
    )
    assert ratio <= 1.0
