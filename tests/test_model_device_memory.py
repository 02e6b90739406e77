# SPDX-License-Identifier: GPL-2.0-only
"""Device memory agrees with dense arrays of pages: mapping, references, teardown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from errno import ENOMEM
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from memremap_emu import Blocked, Kernel, KernelError, MemoryType
from memremap_emu.objects import PageMap, PerCpuRef, Task
from tests.model.device_memory import (
    PAGES,
    SECTION,
    AltmapModel,
    DeviceMemoryModel,
    PageMapModel,
    overlap,
)
from tests.model.kernel_log import KernelLog
from tests.model.percpu_ref import RefModel, World
from tests.model.versions import VERSIONS, profile

FIRST = 32  # section, at 4 GiB
SECTIONS = 5
DEVICES = ("drv.0", "drv.1")
RAM_END = 0xBFFFFFF
RESERVED = 0xC000000, 0xC0FFFFF

devices = st.sampled_from(DEVICES)
in_section = st.sampled_from((0, 0, 0, 1, 2, 512, PAGES // 2, PAGES - 1)) | st.integers(
    0, PAGES - 1
)
starts = st.builds(
    lambda section, i: section * PAGES + i, st.integers(FIRST, FIRST + SECTIONS - 1), in_section
)
ram_starts = st.builds(lambda section, i: section * PAGES + i, st.integers(0, 1), in_section)
page_counts = st.sampled_from((1, 2, 5, 512, PAGES // 2, PAGES, PAGES, 2 * PAGES)) | st.integers(
    1, 3 * PAGES
)
fractions = st.sampled_from((0, 0, 0, 0, 0x800))


class DeviceMemoryMachine(RuleBasedStateMachine):
    """Two devices, five sections of physical memory, and some RAM to run into."""

    def __init__(self, version: str, checked: bool) -> None:
        super().__init__()
        self.k = Kernel.select(version, cpus=2, checked=checked, on_violation="record")
        self.patches = frozenset(self.k.patches)
        self.k.iomem.add(0, RAM_END, "System RAM")
        self.k.iomem.add(*RESERVED, "Reserved")
        first = FIRST << SECTION
        self.k.iomem.add(first, first + (SECTIONS << SECTION) - 1, "Persistent Memory")
        self.log = KernelLog(self.k)
        self.world = World()
        self.model = DeviceMemoryModel(
            self.world, self.patches, ram=[(0, RAM_END)], other=[RESERVED], max_pfn=self.k.max_pfn
        )
        self.driver = self.k.driver("drv", probe=lambda device: 0)
        self.devices = {name: self.k.device(name) for name in DEVICES}
        self.real: dict[PageMapModel, PageMap] = {}
        self.names = 0
        self.events: list[str] = []
        self.freed: list[int] = []
        self.held: list[int] = []  # pages, once for each reference
        self.handles: list[PageMapModel] = []  # references from get_dev_pagemap()
        self.touched: set[int] = set()
        self.left_behind: set[int] = set()  # sections that failed calls have left
        self.parked: dict[str, Task] = {}  # unbinds that wait
        self.log.news()

    def teardown(self) -> None:
        self.k.close()

    # --- mapping ---

    def new_pagemap(
        self, pfn: int, pages: int, fraction: int, kind: int, flags: int, broken: int, gentle: bool
    ) -> PageMapModel:
        name = f"ref{self.names % 8}"
        self.names += 1
        start = (pfn << 12) + fraction
        size = (pages << 12) + fraction
        idle = self.k.completion()

        def release(ref: PerCpuRef) -> None:
            self.events.append(f"release {name}")
            idle.complete()

        ref = self.k.percpu_ref(release, flags, name=name)
        model_ref = RefModel(self.world, name, flags)
        model = PageMapModel(name, start, start + size - 1, kind, model_ref, gentle=gentle)
        pagemap = self.k.pagemap(
            start, size, type=MemoryType(kind), page_free=lambda page: self.freed.append(page.pfn)
        )
        kills: list[int] = []

        def kill(ref: Any) -> None:
            kills.append(1)
            if not (gentle and ref.dead):
                ref.kill()

        def cleanup(ref: Any) -> Iterator[Any]:
            yield idle.wait
            yield ref.exit

        pagemap.set_ref(
            ref if broken != 1 else None,
            kill if broken != 2 else None,
            cleanup if broken not in (1, 3) else None,
        )
        if broken == 1:
            model.ref = None
        model.has_kill = broken != 2
        model.has_cleanup = broken != 3
        self.real[model] = pagemap
        model.seen_kills = kills  # type: ignore[attr-defined]
        return model

    def shares_unnoticed(self, model: PageMapModel) -> bool:
        """Would it share a section with memory that the conflict checks do not see?"""
        sections = set(model.sections)
        if sections & self.left_behind:
            return True
        if any(pfn // PAGES in sections for pfn in self.held if pfn in self.model.ghosts):
            return True
        edges = model.sections[0] * PAGES, (model.sections[-1] + 1) * PAGES - 1
        if any(self.model.find_live(pfn) for pfn in edges):
            return False
        if any(overlap(model.indexed, m.indexed) for m in self.model.mapped):
            return False
        return bool(sections & self.model.in_zone)

    def map(self, device: str, model: PageMapModel, **how: bool) -> None:
        expected = self.model.map(device, model, **how)
        self.compare_map(device, model, expected)

    def compare_map(self, device: str, model: PageMapModel, expected: int) -> None:
        try:
            address = self.devices[device].memremap_pages(self.real[model])
            got = 0
            assert address == self.k.va(model.start)
        except KernelError as e:
            got = e.errno or -1
        assert got == expected
        unaddressable = self.model.unaddressable(model)
        if expected and not unaddressable and set(model.sections) & self.model.linear:
            self.left_behind |= set(model.sections) & set(self.model.sections)
        self.look_at_edges(model)

    def look_at_edges(self, model: PageMapModel) -> None:
        self.touched |= {
            model.start >> 12,
            (model.start >> 12) - 1,
            (model.end >> 12),
            (model.end >> 12) + 1,
            model.device_pfns.start,
            model.device_pfns.start - 1,
            model.sections[0] * PAGES,
            (model.sections[-1] + 1) * PAGES - 1,
        }

    @rule(
        device=devices,
        start=starts,
        pages=page_counts,
        fraction=fractions,
        kind=st.integers(0, 4),
        flags=st.integers(0, 1),
        broken=st.sampled_from((0, 0, 0, 0, 0, 0, 1, 2, 3)),
        gentle=st.sampled_from((True, True, True, False)),
        action_fails=st.sampled_from((False, False, False, True)),
        killer=st.booleans(),
    )
    def memremap_pages(
        self,
        device: str,
        start: int,
        pages: int,
        fraction: int,
        kind: int,
        flags: int,
        broken: int,
        gentle: bool,
        action_fails: bool,
        killer: bool,
    ) -> None:
        model = self.new_pagemap(start, pages, fraction, kind, flags, broken, gentle)
        if device in self.parked or self.shares_unnoticed(model):
            return
        if action_fails:
            with self.k.fault_injection("devm_add_action"):
                self.map(device, model, action_fails=True)
            return
        self.map(device, model)
        # Before the pagemap had a kill the driver had an action for it; or had forgotten it.
        if "shutdown" not in self.patches and killer and model in self.model.mapped:
            model.killer = True
            self.devices[device].add_action(self.kill_by_action, self.real[model].ref)

    @staticmethod
    def kill_by_action(ref: PerCpuRef) -> None:
        if not ref.dead:
            ref.kill()

    @rule(device=devices, start=ram_starts, pages=page_counts)
    def memremap_pages_of_ram(self, device: str, start: int, pages: int) -> None:
        model = self.new_pagemap(start, pages, 0, 0, 0, 0, True)
        if device not in self.parked and model.sections[-1] <= 1:
            self.map(device, model)

    @rule(
        device=devices,
        section=st.integers(FIRST, FIRST + SECTIONS - 1),
        pages=st.sampled_from((PAGES, 2 * PAGES, 3 * PAGES, PAGES - 512)),
        pad=st.sampled_from((0, 0, 512)),
        base=st.sampled_from((0, 0, 0, 0, 1)),
        reserve=st.sampled_from((0, 2, 511, 512)),
        free=st.sampled_from((0, 511, 512, 1021, 1022, 1023, 1534, 1535, 4000, PAGES + 1)),
        kind=st.sampled_from((0, 2, 3, 4)),
    )
    def memremap_pages_with_altmap(
        self,
        device: str,
        section: int,
        pages: int,
        pad: int,
        base: int,
        reserve: int,
        free: int,
        kind: int,
    ) -> None:
        model = self.new_pagemap(section * PAGES + pad, pages, 0, kind, 0, 0, True)
        model.altmap = AltmapModel(model.sections[0] * PAGES + base, pad + reserve, free)
        if device in self.parked or self.shares_unnoticed(model):
            return
        self.real[model].set_altmap(model.altmap.base_pfn, pad + reserve, free)
        self.map(device, model)

    @rule(
        device=devices,
        start=starts,
        pages=page_counts,
        kind=st.integers(0, 4),
        nth=st.integers(1, 30),
    )
    def memremap_pages_while_something_fails(
        self, device: str, start: int, pages: int, kind: int, nth: int
    ) -> None:
        model = self.new_pagemap(start, pages, 0, kind, 0, 0, True)
        if device in self.parked or self.shares_unnoticed(model):
            return
        if set(model.sections) & self.model.in_zone:
            return
        registered = self.devices[device].devres
        with self.k.fault_injection(nth=nth) as fault:
            try:
                self.devices[device].memremap_pages(self.real[model])
                error = 0
            except KernelError as e:
                error = e.errno or -1
        if f"drv {device}: devm_memremap_pages: failed: -12" in self.log.news():
            # Nodes of the index that stay empty refuse larger blocks from now on.
            self.left_behind |= set(model.sections)
        if not error:
            # Before "Fix shutdown handling" nobody looks whether the release was registered.
            unnoticed = self.devices[device].devres == registered
            assert not unnoticed or (fault.hits and "shutdown" not in self.patches)
            assert self.model.map(device, model, action_fails=unnoticed) == 0
            self.look_at_edges(model)
            # The shadow's own allocations fail in silence: it is not there then.
            for section in model.sections:
                if not self.k.zero_shadow_present(section * PAGES + 77):
                    self.model.shadow.discard(section)
            self.world.said.clear()
            return
        assert fault.hits and error == ENOMEM
        self.model.fail(model)
        self.world.once |= {"arch/x86/mm/init_64.c:805"} & self.said_once()
        # Sections and the direct map of a failed call stay, as does a higher max_pfn.
        for section in model.sections:
            if self.k.pfn_valid(section * PAGES):
                self.left_behind.add(section)
            if self.k.linear_mapping_present(section * PAGES):
                self.model.linear.add(section)
            else:
                self.model.linear.discard(section)
        if self.k.max_pfn != self.model.max_pfn:
            self.model.max_pfn = max(self.model.max_pfn, (model.sections[-1] + 1) * PAGES)

    def said_once(self) -> set[str]:
        said = {line for line in self.k.dmesg if "arch/x86/mm/init_64.c:805" in line}
        return {"arch/x86/mm/init_64.c:805"} if said else set()

    @rule(device=devices)
    def unbind_and_bind_again(self, device: str) -> None:
        if device in self.parked:
            return
        self.model.unbind(device)
        try:
            self.driver.unbind(self.devices[device])
        except Blocked as e:
            self.parked[device] = e.task
        assert (device in self.parked) == (device in self.model.waiting)
        if device not in self.parked:
            self.driver.bind(self.devices[device])

    def settle(self) -> None:
        """Whoever could go on has gone on; a device that is unbound now is bound again."""
        for device in self.model.settle():
            assert self.parked.pop(device).done
            self.driver.bind(self.devices[device])
        for task in self.parked.values():
            assert not task.done

    mapped = precondition(lambda self: self.model.mapped)

    @mapped
    @rule(data=st.data())
    def kill_early(self, data: st.DataObject) -> None:
        model = data.draw(st.sampled_from(self.model.mapped), label="pagemap")
        assert model.ref
        # A second kill takes a reference that is not its own: nobody could wait for the last one.
        if "final-put" in self.patches and not model.gentle:
            return
        if not model.ref.dead:
            self.world.run(model.ref.kill())
            ref = self.real[model].ref
            assert ref
            ref.kill()

    # --- pages ---

    def pick_page(self, data: st.DataObject) -> int | None:
        model = data.draw(st.sampled_from(self.model.mapped), label="pagemap")
        pfns = model.device_pfns
        if not pfns:
            return None
        edges = st.sampled_from((pfns.start, pfns.stop - 1))
        pfn = data.draw(
            st.sampled_from(sorted(self.touched)) | edges | st.integers(pfns[0], pfns[-1]),
            label="pfn",
        )
        if not self.model.owner(pfn):
            return None
        # A release that waits has put it: nobody may get it any more.
        pages, i = self.model.where(pfn)
        return pfn if pages.count[i] else None

    @mapped
    @rule(data=st.data(), n=st.integers(1, 3))
    def get_page(self, data: st.DataObject, n: int) -> None:
        pfn = self.pick_page(data)
        if pfn is None:
            return
        self.touched.add(pfn)
        for _ in range(n):
            self.model.get_page(pfn)
            self.k.page(pfn).get()
            self.held.append(pfn)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def put_page(self, data: st.DataObject) -> None:
        self.put(data.draw(st.sampled_from(self.held), label="pfn"))

    def put(self, pfn: int) -> None:
        self.held.remove(pfn)
        gone = pfn in self.model.ghosts and pfn // PAGES not in self.model.sections
        before = len(self.k.violations)
        self.model.put_page(pfn)
        self.k.page(pfn).put()
        kinds = [v.kind for v in self.k.violations[before:] if v.kind != "warn"]
        assert kinds[:1] == (["memmap-removed"] if gone else [])
        if gone:
            self.log.news()

    @precondition(lambda self: self.parked)
    @rule()
    def let_go_of_what_an_unbind_waits_for(self) -> None:
        first = {left[0] for left in self.model.waiting.values()}
        for pfn in [pfn for pfn in self.held if self.model.owner(pfn) in first]:
            self.put(pfn)
            # A page behind the pagemap, in its section, goes with the last one that is waited for.
            self.settle()
        for held in [held for held in self.handles if held in first]:
            self.let_go(held)

    @mapped
    @rule(data=st.data(), what=st.sampled_from(("active", "waiters", "mapping", "hmm_data")))
    def mark_page(self, data: st.DataObject, what: str) -> None:
        pfn = self.pick_page(data)
        if pfn is None:
            return
        self.touched.add(pfn)
        value: Any = True if what in ("active", "waiters") else 0x1230 + len(self.touched)
        setattr(self.k.page(pfn), what, value)
        pages, i = self.model.where(pfn)
        getattr(pages, what)[i] = value

    # --- get_dev_pagemap ---

    @mapped
    @rule(data=st.data(), reuse=st.booleans())
    def get_dev_pagemap(self, data: st.DataObject, reuse: bool) -> None:
        model = data.draw(st.sampled_from(self.model.mapped), label="pagemap")
        first, last = model.start >> 12, model.end >> 12
        pfn = data.draw(
            st.sampled_from((first - 1, first, last, last + 1)) | st.integers(first, last),
            label="pfn",
        )
        held = None
        if reuse and self.handles:
            held = self.handles.pop(data.draw(st.integers(0, len(self.handles) - 1), label="held"))
        expected = self.model.get_dev_pagemap(pfn, held)
        found = self.k.get_dev_pagemap(pfn, self.real[held] if held else None)
        assert found == (self.real[expected] if expected else None)
        if expected:
            self.handles.append(expected)

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def put_dev_pagemap(self, data: st.DataObject) -> None:
        self.let_go(self.handles[data.draw(st.integers(0, len(self.handles) - 1), label="held")])

    def let_go(self, held: PageMapModel) -> None:
        self.handles.remove(held)
        assert held.ref
        held.ref.put()
        self.real[held].put()

    # --- the key of managed pages ---

    @precondition(lambda self: self.model.ops < 2)
    @rule()
    def get_ops(self) -> None:
        self.model.ops += 1
        self.k.dev_pagemap_get_ops()

    @precondition(lambda self: self.model.ops > 0)
    @rule()
    def put_ops(self) -> None:
        self.model.ops -= 1
        self.k.dev_pagemap_put_ops()

    # --- what must hold ---

    @invariant()
    def the_references_agree(self) -> None:
        self.settle()
        assert self.events == self.world.events
        assert self.freed == self.model.freed
        for model, pagemap in self.real.items():
            ref = pagemap.ref
            assert len(model.seen_kills) == model.kills  # type: ignore[attr-defined]
            if ref and model.ref:
                assert ref.count == model.ref.count % (1 << 64)
                assert (ref.atomic, ref.dead) == (model.ref.atomic, model.ref.dead)
                assert ref.percpu_sum == (model.ref.counters or 0) or ref.atomic
            if model.altmap:
                assert pagemap.altmap.align == model.altmap.align
                assert pagemap.altmap.alloc == model.altmap.alloc
            assert pagemap.dev_set == bool(model.device) or model not in self.model.mapped

    @invariant()
    def the_log_agrees(self) -> None:
        self.settle()
        # Where that one stands on a real kernel is not known.
        unknown = re.compile(r"^(WARN kernel/memremap\.c):\d+$")
        news = self.log.news()
        for i, line in enumerate(news[:-1]):
            if line == "Missing reference count teardown definition":
                news[i + 1] = unknown.sub(r"\1", news[i + 1])
        assert news == self.world.said
        self.world.said.clear()

    @invariant()
    def the_sections_agree(self) -> None:
        self.settle()
        zone = self.k.zone()
        assert (zone.start_pfn, zone.spanned) == self.model.zone
        assert (zone.present, zone.managed) == (0, 0)
        assert self.k.max_pfn == self.model.max_pfn
        assert self.k.devmap_managed_key == (self.model.ops > 0)
        for section in range(FIRST - 1, FIRST + SECTIONS + 3):
            pfn = section * PAGES + 77
            assert self.k.linear_mapping_present(pfn) == (section in self.model.linear)
            assert self.k.zero_shadow_present(pfn) == (section in self.model.shadow)
            if section in self.left_behind:
                continue
            assert self.k.pfn_valid(pfn) == (section in self.model.sections)
            if section in self.model.sections:
                memmap = self.model.sections[section].memmap_pfn
                assert self.k.section_memmap_pfn(section) == memmap

    @invariant()
    def the_pages_agree(self) -> None:
        self.settle()
        for pfn in sorted(self.touched | set(self.held)):
            section, i = divmod(pfn, PAGES)
            if section not in self.model.in_zone:
                continue
            page, pages = self.k.page(pfn), self.model.sections[section].pages
            assert page.valid and not page.online
            assert page.initialised == pages.initialised[i]
            if not pages.initialised[i]:
                continue
            owner = pages.owner[i]
            assert page.count == pages.count[i], hex(pfn)
            assert page.mapcount == 0
            assert page.pgmap == (self.real[owner] if owner else None)
            assert page.pgmap_word == ("set" if owner else "selflru")
            if pages.hmm_data[i] is not None:
                assert page.hmm_data == pages.hmm_data[i]
            assert page.mapping == pages.mapping[i]
            assert (page.active, page.waiters) == (pages.active[i], pages.waiters[i])
            assert page.reserved and page.is_zone_device and page.zone == "Device"
            assert page.is_device_private == (owner is not None and owner.type == 1)
            assert page.is_device_public == (owner is not None and owner.type == 2)

    @invariant()
    def equal_pages_share_a_run(self) -> None:
        # Each pagemap and each page touched alone splits its surroundings at most thrice.
        limit = 8 + 4 * len(self.model.in_zone) + 6 * len(self.model.mapped)
        assert self.k.stats.page_runs <= limit + 3 * len(self.touched)


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
@pytest.mark.parametrize("version", VERSIONS)
def test_device_memory_agrees_with_the_model(version: str, checked: bool) -> None:
    run_state_machine_as_test(
        lambda: DeviceMemoryMachine(version, checked), settings=profile(version, checked)
    )


@pytest.mark.parametrize(
    ("version", "patch"),
    [
        ("memremap-v6", "system-ram"),
        ("memremap-v6", "shutdown"),
        ("memremap-v6", "device-private"),
        ("v5.0", "deferred-init"),
        ("v5.2", "final-put"),
    ],
)
def test_model_that_is_told_of_one_patch_less_disagrees(version: str, patch: str) -> None:
    class Misled(DeviceMemoryMachine):
        def __init__(self) -> None:
            super().__init__(version, checked=False)
            self.patches = self.model.patches = self.patches - {patch}

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Misled,
            settings=settings(
                max_examples=20, phases=[Phase.generate], database=None, derandomize=True
            ),
        )
