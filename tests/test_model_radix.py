# SPDX-License-Identifier: GPL-2.0-only
"""The multi-order radix tree agrees with a list of blocks."""

from __future__ import annotations

from errno import EEXIST, ENOMEM

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from memremap_emu import Kernel, KernelError
from tests.model.radix_tree import LAST_INDEX, RadixTreeModel

# Near each other, near where the tree grows a level, near the end of the key space.
indices = st.one_of(
    st.integers(0, 300),
    st.builds(
        lambda level, offset: min(max((1 << 6 * level) + offset, 0), LAST_INDEX),
        st.integers(1, 10),
        st.integers(-70, 70),
    ),
    st.integers(LAST_INDEX - 300, LAST_INDEX),
    st.integers(0, LAST_INDEX),
)
orders = st.one_of(st.just(0), st.integers(0, 14), st.integers(0, 63))
items = st.integers(1, 5)


class RadixTreeMachine(RuleBasedStateMachine):
    """One tree."""

    def __init__(self, checked: bool) -> None:
        super().__init__()
        self.k = Kernel(cpus=1, checked=checked, on_violation="record")
        self.tree = self.k.radix_tree()
        self.model = RadixTreeModel()
        self.probes: set[int] = set()
        # Indices at which a failed insert may have left empty nodes behind.
        self.debris: set[int] = set()
        self.objects = self.k.stats.live_objects

    def teardown(self) -> None:
        self.k.close()

    def insert_into_tree(self, index: int, item: int, order: int) -> int:
        try:
            self.tree.insert(index, item, order)
        except KernelError as e:
            assert e.errno is not None
            return e.errno
        return 0

    @rule(index=indices, item=items, order=orders)
    def insert(self, index: int, item: int, order: int) -> None:
        self.probes.add(index)
        got = self.insert_into_tree(index, item, order)
        if got == EEXIST and order and self.hits_debris(index, order):
            return
        assert got == self.model.insert(index, item, order)

    def hits_debris(self, index: int, order: int) -> bool:
        return any(index >> order == left >> order for left in self.debris)

    @rule(index=indices, item=items, order=orders, nth=st.integers(1, 8))
    def insert_while_memory_is_short(self, index: int, item: int, order: int, nth: int) -> None:
        self.probes.add(index)
        with self.k.fault_injection(nth=nth) as fault:
            got = self.insert_into_tree(index, item, order)
        if fault.hits:
            assert got == ENOMEM
            self.debris.add(index)
        elif got != EEXIST or not self.hits_debris(index, order):
            assert got == self.model.insert(index, item, order)

    @precondition(lambda self: self.model.blocks)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(self.model.edges()) | indices, label="index")
        assert self.tree.delete(index) == self.model.delete(index)

    @precondition(lambda self: self.model.blocks)
    @rule(data=st.data(), item=items)
    def delete_item(self, data: st.DataObject, item: int) -> None:
        index = data.draw(st.sampled_from(self.model.edges()), label="index")
        assert self.tree.delete_item(index, item) == self.model.delete(index, item)

    @invariant()
    def every_lookup_agrees(self) -> None:
        for index in self.model.edges() + sorted(self.probes)[-20:]:
            assert self.tree.lookup(index) == self.model.lookup(index), hex(index)

    @invariant()
    def an_empty_tree_keeps_no_nodes(self) -> None:
        if not self.model.blocks and not self.debris:
            assert self.tree.empty
            self.k.rcu_barrier()
            assert self.k.stats.live_objects == self.objects

    @invariant()
    def nothing_is_violated(self) -> None:
        assert not self.k.violations


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_radix_tree_agrees_with_the_model(checked: bool) -> None:
    run_state_machine_as_test(lambda: RadixTreeMachine(checked), settings=settings())
