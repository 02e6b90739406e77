# SPDX-License-Identifier: GPL-2.0-only
"""The resource tree agrees with its reference model."""

from __future__ import annotations

from errno import EBUSY

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

from memremap_emu import Kernel, KernelError, Resource
from tests.model.kernel_log import KernelLog
from tests.model.resource import BUSY, MEM, SYSTEM_RAM, Res

BASE = 0x100000000
UNIT = 0x800  # half a page
UNITS = 48
units = st.integers(0, UNITS - 1)
sizes = st.integers(1, 16)
some_flags = st.sampled_from((MEM, MEM | BUSY, SYSTEM_RAM, SYSTEM_RAM | BUSY))
filters = st.sampled_from((0, MEM, MEM | BUSY, SYSTEM_RAM, SYSTEM_RAM | BUSY))
descs = st.integers(0, 2)


def at(unit: int) -> int:
    return BASE + unit * UNIT


class ResourceMachine(RuleBasedStateMachine):
    """iomem_resource above 4 GiB, densely populated."""

    def __init__(self, checked: bool) -> None:
        super().__init__()
        self.k = Kernel(cpus=1, checked=checked, on_violation="record")
        self.log = KernelLog(self.k)
        self.root = self.k.iomem.root
        self.model = Res(self.root.start, self.root.end, "PCI mem", self.root.flags)
        # Linked ones, and those at hand that are in no tree.
        self.linked: list[tuple[Resource, Res]] = []
        self.loose: list[tuple[Resource, Res]] = []
        self.said: list[str] = []
        self.names = 0

    def teardown(self) -> None:
        self.k.close()

    def name(self) -> str:
        self.names += 1
        return f"r{self.names}"

    def new(self, start: int, end: int, flags: int, desc: int) -> tuple[Resource, Res]:
        name = self.name()
        real = self.k.resource(start, end, name, flags=flags, desc=desc)
        return real, Res(start, end, name, flags, desc)

    def settle(self, pair: tuple[Resource, Res]) -> None:
        """Files a resource under linked or loose."""
        for pairs in (self.linked, self.loose):
            if pair in pairs:
                pairs.remove(pair)
        (self.linked if pair[1].parent else self.loose).append(pair)

    def real_of(self, model: Res | None) -> Resource | None:
        if model is None:
            return None
        if model is self.model:
            return self.root
        return next(real for real, known in self.linked if known is model)

    def pick(self, data: st.DataObject, *, root: bool = True) -> tuple[Resource, Res]:
        reachable = [p for p in self.linked if p[1].parent]
        choice = data.draw(
            st.integers(-1 if root or not reachable else 0, len(reachable) - 1), label="which"
        )
        return reachable[choice] if choice >= 0 else (self.root, self.model)

    has_linked = precondition(lambda self: self.linked)
    has_loose = precondition(lambda self: self.loose)

    # --- putting in ---

    @rule(data=st.data(), unit=units, size=st.integers(0, 16), flags=some_flags, desc=descs)
    def request(self, data: st.DataObject, unit: int, size: int, flags: int, desc: int) -> None:
        parent = self.pick(data)
        new = self.new(at(unit), at(unit + size) - 1, flags, desc)
        expected = parent[1].request(new[1])
        conflict = parent[0].request_conflict(new[0])
        assert conflict == self.real_of(expected)
        self.settle(new)

    @has_loose
    @rule(data=st.data())
    def request_again(self, data: st.DataObject) -> None:
        parent = self.pick(data)
        pair = data.draw(st.sampled_from(self.loose), label="loose")
        if pair[1] in parent[1].ancestors():
            return  # nothing can be put below itself
        if parent[1].request(pair[1]) is None:
            parent[0].request(pair[0])
        else:
            with pytest.raises(KernelError) as e:
                parent[0].request(pair[0])
            assert e.value.errno == EBUSY
        self.settle(pair)

    @rule(data=st.data(), unit=units, size=sizes, flags=some_flags, desc=descs)
    def insert(self, data: st.DataObject, unit: int, size: int, flags: int, desc: int) -> None:
        parent = self.pick(data)
        new = self.new(at(unit), at(unit + size) - 1, flags, desc)
        if parent[1].insert(new[1]) is None:
            parent[0].insert(new[0])
        else:
            with pytest.raises(KernelError) as e:
                parent[0].insert(new[0])
            assert e.value.errno == EBUSY
        self.settle(new)

    @rule(data=st.data(), unit=units, size=sizes)
    def insert_expand_to_fit(self, data: st.DataObject, unit: int, size: int) -> None:
        parent = self.pick(data)
        new = self.new(at(unit), at(unit + size) - 1, MEM, 0)
        self.said += parent[1].insert_expand_to_fit(new[1])
        parent[0].insert_expand_to_fit(new[0])
        self.settle(new)

    @rule(
        data=st.data(),
        size=sizes,
        minimum=units,
        span=st.integers(0, UNITS),
        align=st.sampled_from((1, UNIT, 2 * UNIT, 8 * UNIT)),
    )
    def allocate(self, data: st.DataObject, size: int, minimum: int, span: int, align: int) -> None:
        parent = self.pick(data)
        new = self.new(0, 0, MEM, 0)
        args = (size * UNIT - 1, at(minimum) + 1, at(minimum + span), align)
        if parent[1].allocate(new[1], *args):
            parent[0].allocate(new[0], *args)
            assert (new[0].start, new[0].end) == (new[1].start, new[1].end)
        else:
            with pytest.raises(KernelError) as e:
                parent[0].allocate(new[0], *args)
            assert e.value.errno == EBUSY
            new[1].start, new[1].end = new[0].start, new[0].end
        self.settle(new)

    @rule(data=st.data(), unit=units, size=st.integers(0, 16))
    def request_region(self, data: st.DataObject, unit: int, size: int) -> None:
        parent = self.pick(data)
        name = self.name()
        expected = parent[1].request_region(at(unit), size * UNIT, name)
        region = parent[0].request_region(at(unit), size * UNIT, name)
        assert (region is None) == (expected is None)
        if region and expected:
            assert (region.flags, region.desc) == (expected.flags, expected.desc)
            self.linked.append((region, expected))

    # --- taking out ---

    def forget_below(self, res: Res) -> None:
        """What lies below a freed region is out of everybody's reach."""
        below = [r for _, r in res.walk()]
        self.linked = [p for p in self.linked if p[1] is not res and p[1] not in below]

    @rule(data=st.data(), unit=units, size=sizes)
    def release_any_region(self, data: st.DataObject, unit: int, size: int) -> None:
        self.release_at(*self.pick(data), at(unit), size * UNIT)

    @has_linked
    @rule(data=st.data())
    def release_a_region_that_is_there(self, data: st.DataObject) -> None:
        res = self.pick(data, root=False)[1]
        if res is not self.model:
            self.release_at(self.root, self.model, res.start, res.end - res.start + 1)

    def release_at(self, real: Resource, model: Res, start: int, n: int) -> None:
        freed, said = model.release_region(start, n)
        if freed and not freed.name.startswith("r"):
            return
        self.said += said
        real.release_region(start, n)
        if freed:
            self.forget_below(freed)

    @has_linked
    @rule(data=st.data(), skip=st.sampled_from((0, 0, 1, 3)), keep=st.sampled_from((0, 0, 1, 3)))
    def release_adjustable(self, data: st.DataObject, skip: int, keep: int) -> None:
        res = self.pick(data, root=False)[1]
        start, size = res.start + skip * UNIT, res.end + 1 - res.start - (skip + keep) * UNIT
        if res is self.model or size <= 0:
            return
        target = self.model.find_region(start, start + size - 1)
        if target and target.children:
            return  # what happens to them is said nowhere
        error, freed, new = self.model.release_adjustable(start, size)
        if error:
            with pytest.raises(KernelError) as e:
                self.root.release_region_adjustable(start, size)
            assert e.value.errno == error
            return
        self.root.release_region_adjustable(start, size)
        if freed:
            self.forget_below(freed)
        if new:
            real = next(
                r for _, r in self.root.walk() if (r.start, r.name) == (new.start, new.name)
            )
            self.linked.append((real, new))

    @has_linked
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        pair = self.pick(data, root=False)
        if pair[1] is self.model:
            return
        pair[1].unlink()
        pair[0].release()
        # The subtree goes with it: what is below stays linked to it.
        self.settle(pair)

    @has_linked
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        pair = self.pick(data, root=False)
        if pair[1] is self.model:
            return
        promoted = bool(pair[1].children)
        pair[1].remove()
        pair[0].remove()
        if promoted:
            # It still points at children that are not its own: no good for anything.
            self.linked.remove(pair)
        else:
            self.settle(pair)

    @has_linked
    @rule(data=st.data(), unit=units, size=sizes)
    def adjust(self, data: st.DataObject, unit: int, size: int) -> None:
        real, model = self.pick(data, root=False)
        if model is self.model:
            return
        if model.adjust(at(unit), size * UNIT):
            real.adjust(at(unit), size * UNIT)
        else:
            with pytest.raises(KernelError) as e:
                real.adjust(at(unit), size * UNIT)
            assert e.value.errno == EBUSY

    # --- asking ---

    @rule(data=st.data(), unit=units)
    def lookup(self, data: st.DataObject, unit: int) -> None:
        real, model = self.pick(data)
        assert real.lookup(at(unit)) == self.real_of(model.lookup(at(unit)))

    @rule(unit=units, size=st.integers(1, UNITS), flags=filters, desc=descs)
    def region_intersects(self, unit: int, size: int, flags: int, desc: int) -> None:
        assert self.k.iomem.region_intersects(
            at(unit), size * UNIT, flags, desc
        ) == self.model.intersects(at(unit), size * UNIT, flags, desc)

    @rule(
        unit=units,
        size=st.integers(1, UNITS),
        flags=filters,
        desc=descs,
        stop=st.integers(1, 6),
        shift=st.integers(0, 1),
    )
    def walk(self, unit: int, size: int, flags: int, desc: int, stop: int, shift: int) -> None:
        start, end = at(unit) + shift, at(unit + size) - 1 + shift
        seen: list[tuple[int, ...]] = []
        expected: list[tuple[int, ...]] = []

        def visit_into(found: list[tuple[int, ...]]) -> object:
            def visit(*hit: int) -> int:
                found.append(hit)
                return 7 if len(found) == stop else 0

            return visit

        iomem, model = self.k.iomem, self.model
        here, there = visit_into(seen), visit_into(expected)
        results = []
        for walker in range(4):
            if walker == 0:
                results.append(iomem.walk(here, start, end, desc=desc, flags=flags))
                results.append(model.walk_hits(there, start, end, flags, desc))
            elif walker == 1:
                results.append(iomem.walk_system_ram(here, start, end))
                results.append(model.walk_hits(there, start, end, SYSTEM_RAM | BUSY, top_only=True))
            elif walker == 2:
                results.append(iomem.walk_mem(here, start, end))
                results.append(model.walk_hits(there, start, end, MEM | BUSY, top_only=True))
            else:
                pfn, n = start // 4096, max(size // 2, 1)
                results.append(iomem.walk_system_ram_range(here, pfn, n))
                results.append(model.walk_system_ram_range(there, pfn, n))
            assert results[-1] == results[-2]
            assert seen == expected
            seen.clear()
            expected.clear()

    @rule(unit=units)
    def page_is_ram(self, unit: int) -> None:
        pfn = at(unit) // 4096
        expected = self.model.walk_system_ram_range(lambda *_: 1, pfn, 1) == 1
        assert self.k.iomem.page_is_ram(pfn) == expected

    # --- what must hold ---

    @invariant()
    def the_tree_reads_the_same(self) -> None:
        assert str(self.k.iomem) == self.model.show()

    @invariant()
    def every_resource_reads_the_same(self) -> None:
        for real, model in self.linked + self.loose:
            assert real.pr == f"[mem {show(model)} flags {model.flags:#x}]"
            assert real.desc == model.desc
            if model.parent is self.model:
                assert real.parent == self.root

    @invariant()
    def the_log_agrees(self) -> None:
        assert self.log.news() == self.said
        self.said.clear()
        assert not self.k.violations


def show(model: Res) -> str:
    if model.start == model.end:
        return f"{model.start:#010x}"
    return f"{model.start:#010x}-{model.end:#010x}"


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_resource_tree_agrees_with_the_model(checked: bool) -> None:
    run_state_machine_as_test(lambda: ResourceMachine(checked), settings=settings())
