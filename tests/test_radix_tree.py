# SPDX-License-Identifier: GPL-2.0-only
"""The multi-order radix tree of v4.19: what it answers, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memremap_emu import Kernel, KernelError
from memremap_emu.objects import RadixTree

NODE = "radix_tree_node_alloc"


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


@pytest.fixture
def tree(k: Kernel) -> RadixTree:
    return k.radix_tree()


def errno_of(call: Callable[..., Any], *args: Any) -> int | None:
    with pytest.raises(KernelError) as error:
        call(*args)
    return error.value.errno


def nodes(k: Kernel, tree: RadixTree, index: int, order: int = 0) -> int:
    """How many nodes an insertion allocates, seen on a copy of the machine."""
    snapshot = k.snapshot()
    before = k.fault_sites.get(NODE, 0)
    tree.insert(index, 1, order)
    made = k.fault_sites.get(NODE, 0) - before
    snapshot.restore()
    snapshot.drop()
    return made


def test_empty_tree_finds_and_deletes_nothing(tree: RadixTree) -> None:
    assert tree.empty
    assert tree.lookup(0) is None
    assert tree.delete(5) is None


@pytest.mark.parametrize("index", [0, 1, 63, 64, 4095, 4096, 1 << 36, (1 << 64) - 1])
def test_inserted_item_is_found_at_its_index_only(tree: RadixTree, index: int) -> None:
    tree.insert(index, 7)
    assert tree.lookup(index) == 7
    for other in (index - 1, index + 1, index ^ (1 << 40)):
        if 0 <= other < 1 << 64:
            assert tree.lookup(other) is None
    assert tree.delete(index) == 7
    assert tree.empty


def test_lookup_beyond_the_span_is_none(tree: RadixTree) -> None:
    tree.insert(0, 1)
    assert tree.lookup(1) is None and tree.lookup((1 << 64) - 1) is None


@pytest.mark.parametrize("order", [0, 1, 5, 6, 7, 11, 12, 15, 18, 35])
def test_block_is_found_at_every_index_and_deleted_whole_by_any(
    tree: RadixTree, order: int
) -> None:
    first = 3 << order
    last = first + (1 << order) - 1
    for index in {first, last, first + (1 << order) // 2}:
        tree.insert(first, 9, order)
        assert tree.lookup(first) == tree.lookup(last) == tree.lookup((first + last) // 2) == 9
        assert tree.lookup(first - 1) is None and tree.lookup(last + 1) is None
        assert tree.delete(index) == 9
        assert tree.empty


@pytest.mark.parametrize("order", [1, 5, 6, 7, 12, 18, 30])
def test_block_at_index_zero_hangs_below_a_node_even_where_it_fills_a_tree(
    k: Kernel, tree: RadixTree, order: int
) -> None:
    """An item in the root pointer would stand for index 0 alone."""
    assert nodes(k, tree, 0, order) >= 1
    tree.insert(0, 4, order)
    assert tree.lookup(0) == tree.lookup((1 << order) - 1) == 4
    assert tree.lookup(1 << order) is None
    tree.insert(1 << order, 5)
    assert tree.delete((1 << order) - 1) == 4
    assert tree.lookup(1 << order) == 5


def test_index_inside_a_block_is_rounded_down(tree: RadixTree) -> None:
    tree.insert(0x1234, 5, 8)
    assert tree.lookup(0x1200) == tree.lookup(0x12FF) == 5
    assert tree.lookup(0x11FF) is None and tree.lookup(0x1300) is None


@pytest.mark.parametrize("there", [0, 3, 6, 9])
@pytest.mark.parametrize("order", [0, 3, 6, 9])
@pytest.mark.parametrize("place", ["first", "last"])
def test_overlap_of_any_orders_is_eexist_and_changes_nothing_visible(
    tree: RadixTree, there: int, order: int, place: str
) -> None:
    base = 0x1000
    size, other = 1 << there, 1 << order
    tree.insert(base, 1, there)
    index = base if place == "first" or other >= size else base + size - other
    assert errno_of(tree.insert, index, 2, order) == 17
    assert tree.lookup(base) == 1 and tree.lookup(base + size - 1) == 1
    assert tree.lookup(base + size) is None
    assert tree.delete(base) == 1
    tree.insert(index, 2, order)


def test_neighbours_do_not_overlap(tree: RadixTree) -> None:
    tree.insert(0x1000, 1, 9)
    tree.insert(0x1200, 2, 9)
    tree.insert(0x0FFF, 3)
    tree.insert(0x1400, 4, 3)
    assert [tree.lookup(i) for i in (0xFFF, 0x1000, 0x11FF, 0x1200, 0x13FF, 0x1400, 0x1408)] == [
        3, 1, 1, 2, 2, 4, None,
    ]  # fmt: skip


def test_delete_item_wants_the_item_that_is_there(tree: RadixTree) -> None:
    tree.insert(8, 1, 3)
    assert tree.delete_item(9, 2) is None
    assert tree.lookup(8) == 1
    assert tree.delete_item(9, 1) == 1
    assert tree.empty


def test_zero_height_needs_no_node_and_anything_else_does(k: Kernel, tree: RadixTree) -> None:
    assert nodes(k, tree, 0) == 0, "the root itself holds it"
    assert nodes(k, tree, 1) == 1
    assert nodes(k, tree, 64) == 2
    assert nodes(k, tree, 0, 1) == 1, "a bare root stands for one index only"
    assert nodes(k, tree, (1 << 64) - 1) == 11
    assert nodes(k, tree, 0x100000, 15) == 2, "it hangs in the node of its order"
    tree.insert(0, 1)
    assert nodes(k, tree, 64) == 3, "two levels above the old root, one below"


def test_delete_shrinks_the_tree_and_frees_its_nodes(k: Kernel, tree: RadixTree) -> None:
    k.rcu_barrier()
    before = k.stats.live_objects
    tree.insert(0, 1)
    tree.insert(1 << 30, 2)
    assert k.stats.live_objects > before
    tree.delete(1 << 30)
    k.rcu_barrier()
    assert k.stats.live_objects == before and tree.lookup(0) == 1


def test_nodes_are_freed_after_a_grace_period() -> None:
    with Kernel(rcu="manual") as k:
        tree = k.radix_tree()
        before = k.stats.live_objects
        tree.insert(5, 1)
        tree.delete(5)
        assert k.stats.live_objects == before + 1
        k.rcu_barrier_sched()
        assert k.stats.live_objects == before + 1
        k.rcu_barrier()
        assert k.stats.live_objects == before


@pytest.mark.parametrize("n", range(1, 12))
def test_insert_without_the_nth_node_is_enomem_and_invisible(
    k: Kernel, tree: RadixTree, n: int
) -> None:
    index = (1 << 64) - 1
    with k.fault_injection(NODE, nth=n) as fault:
        assert errno_of(tree.insert, index, 1) == 12
    assert fault.hits == 1
    assert tree.lookup(index) is None and tree.lookup(0) is None
    tree.insert(index, 1)
    assert tree.lookup(index) == 1 and tree.delete(index) == 1 and tree.empty


def test_nodes_left_by_a_failure_are_reused(k: Kernel, tree: RadixTree) -> None:
    needed = nodes(k, tree, 0x100000)
    with k.fault_injection(NODE, nth=needed):
        assert errno_of(tree.insert, 0x100000, 1) == 12
    assert nodes(k, tree, 0x100000) == 1, "all but the last are there"


def test_empty_node_left_by_a_failure_is_a_spurious_eexist_for_a_larger_block(
    k: Kernel, tree: RadixTree
) -> None:
    """Inserting 0x100000 leaves an empty node in the slot that a 4096-page block wants."""
    needed = nodes(k, tree, 0x100000)
    with k.fault_injection(NODE, nth=needed):
        assert errno_of(tree.insert, 0x100000, 1) == 12
    assert tree.lookup(0x100000) is None
    assert errno_of(tree.insert, 0x100000, 1, 12) == 17
    tree.insert(0x100000, 1)
    assert tree.delete(0x100000) == 1
    tree.insert(0x100000, 1, 12)  # the deletion has cleared the path


def test_failed_overlap_may_grow_the_tree_but_shows_nothing(k: Kernel, tree: RadixTree) -> None:
    tree.insert(5, 1)
    before = k.stats.live_objects
    assert errno_of(tree.insert, 0, 2, 30) == 17
    assert k.stats.live_objects >= before
    assert tree.lookup(5) == 1 and tree.lookup(6) is None and tree.lookup(1 << 29) is None


@pytest.mark.parametrize(("item", "order"), [(0, 0), (1 << 60, 0), (-1, 0), (1, 64), (1, -1)])
def test_item_or_order_out_of_range_is_refused(tree: RadixTree, item: int, order: int) -> None:
    with pytest.raises(ValueError):
        tree.insert(0, item, order)
    assert tree.empty
