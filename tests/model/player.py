# SPDX-License-Identifier: GPL-2.0-only
"""Plays a script of calls into a kernel and writes down everything that came of it.

A script is a list of (name, a, b, c) with small numbers; whatever the numbers
are, each line means something.  Nothing here says what is right: two runs of
the same script are to be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from memremap_emu import Blocked, Config, Kernel, KernelError, TaskDied
from memremap_emu.objects import PERCPU_REF_INIT_ATOMIC, MemoryType

FIRST = 0x100000000
SECTION_PAGES = 0x8000
Line = tuple[str, int, int, int]


class Player:
    """A kernel, what has been made in it, and what has come of it."""

    def __init__(self, *, checked: bool, rcu: Any = "manual", **config: Any) -> None:
        self.k = Kernel(
            cpus=2, checked=checked, rcu=rcu, on_violation="record", config=Config(**config)
        )
        self.k.iomem.add(0, 0x7FFFFFF, "System RAM")
        self.k.iomem.add(FIRST, FIRST + (4 << 27) - 1, "Persistent Memory")
        self.driver = self.k.driver("drv", probe=lambda device: 0)
        self.devices = [self.k.device(f"drv.{i}") for i in range(2)]
        self.completions = [self.k.completion(f"completion{i}") for i in range(2)]
        self.tree = self.k.radix_tree()
        self.events: list[Any] = []
        self.refs: list[Any] = []
        self.dead_refs: set[int] = set()
        self.pagemaps: list[Any] = []
        self.held: list[int] = []
        self.tasks: list[Any] = []
        self.touched: set[int] = set()
        self.outcomes: list[Any] = []
        self.action = self.note("action")

    def note(self, what: str) -> Callable[[Any], None]:
        """A callback that writes down that it was called."""
        return lambda data: self.events.append((what, data))

    def close(self) -> None:
        """Gives the kernel back."""
        self.k.close()

    # --- playing ---

    def play(self, script: list[Line]) -> None:
        """Plays it line by line."""
        for name, *args in script:
            try:
                outcome = getattr(self, f"do_{name}")(*args)
            except KernelError as e:
                outcome = ("error", e.errno, e.log)
            except Blocked as e:
                self.tasks.append(e.task)
                outcome = ("blocked", e.waits_for)
            except TaskDied:
                outcome = ("died",)
            self.outcomes.append((name, outcome))

    def do_new_ref(self, a: int, b: int, c: int) -> None:
        if len(self.refs) < 8:
            name = f"release{len(self.refs)}"
            number = len(self.refs)
            self.refs.append(
                self.k.percpu_ref(lambda ref: self.events.append(("release", number)), name=name)
            )

    def ref(self, a: int) -> Any:
        if not self.refs:
            self.do_new_ref(0, 0, 0)
        return self.refs[a % len(self.refs)]

    def do_ref_get(self, a: int, b: int, c: int) -> Any:
        return self.ref(a).get(b % 3 + 1)

    def do_ref_put(self, a: int, b: int, c: int) -> Any:
        return self.ref(a).put()

    def do_ref_tryget(self, a: int, b: int, c: int) -> Any:
        ref = self.ref(a)
        return ref.tryget_live() if b % 2 else ref.tryget()

    def do_ref_kill(self, a: int, b: int, c: int) -> Any:
        return self.ref(a).kill()

    def do_ref_switch(self, a: int, b: int, c: int) -> Any:
        ref = self.ref(a)
        return ref.switch_to_atomic_sync() if b % 2 else ref.switch_to_percpu()

    def do_grace_period(self, a: int, b: int, c: int) -> None:
        self.k.run_callbacks(a % 3 - 1)

    def do_wait(self, a: int, b: int, c: int) -> None:
        if sum(task.state == "blocked" for task in self.tasks) < 8:
            self.completions[a % 2].wait()

    def do_complete(self, a: int, b: int, c: int) -> None:
        self.completions[a % 2].complete()

    def do_request(self, a: int, b: int, c: int) -> Any:
        region = self.k.iomem.request_region(FIRST + a * 0x10000, b * 0x8000, f"region{c % 3}")
        return region and region.pr

    def do_release(self, a: int, b: int, c: int) -> None:
        self.k.iomem.release_region(FIRST + a * 0x10000, b * 0x8000)

    def do_devm_request(self, a: int, b: int, c: int) -> Any:
        region = self.devices[c % 2].request_mem_region(FIRST + a * 0x10000, b * 0x8000, "devm")
        return region and region.pR

    def do_insert(self, a: int, b: int, c: int) -> None:
        self.tree.insert(a * 64 + b, c + 1, b % 8)

    def do_delete(self, a: int, b: int, c: int) -> Any:
        return self.tree.delete(a * 64 + b)

    def do_action(self, a: int, b: int, c: int) -> None:
        self.devices[a % 2].add_action(self.action, b % 4)

    def do_remove_action(self, a: int, b: int, c: int) -> None:
        self.devices[a % 2].remove_action(self.action, b % 4)

    def do_kzalloc(self, a: int, b: int, c: int) -> None:
        self.devices[a % 2].kzalloc(b * 8)

    def do_group(self, a: int, b: int, c: int) -> Any:
        device = self.devices[a % 2]
        if b % 2:
            device.open_group(c + 1)
            return None
        return device.release_group(c + 1)

    def do_fail(self, a: int, b: int, c: int) -> Any:
        with self.k.fault_injection(nth=c + 1) as fault:
            try:
                self.do_map(a, b, 0)
            finally:
                self.outcomes.append(fault.hits)

    def do_map(self, a: int, b: int, c: int) -> Any:
        ref = self.k.percpu_ref(
            lambda ref: self.events.append("pages gone"),
            PERCPU_REF_INIT_ATOMIC if a % 2 else 0,
            name="pages",
        )
        section = b % 4
        pagemap = self.k.pagemap(
            FIRST + (section << 27),
            (1 << 27) - (c % 3) * 0x100000,
            type=MemoryType(a % 5),
            ref=ref,
            page_free=lambda page: self.events.append(("free", page.pfn)),
        )
        if a % 3 == 0 and a % 5 != 1:
            pagemap.set_altmap((FIRST >> 12) + section * SECTION_PAGES, 2, 2000)
        self.pagemaps.append(pagemap)
        return self.devices[c % 2].memremap_pages(pagemap)

    def do_unbind(self, a: int, b: int, c: int) -> None:
        device = self.devices[a % 2]
        if device.bound:
            self.driver.unbind(device)
        else:
            self.driver.bind(device)

    def pfn(self, a: int, b: int) -> int:
        return (FIRST >> 12) + (a % 4) * SECTION_PAGES + 4096 + b

    def do_get_page(self, a: int, b: int, c: int) -> Any:
        page = self.k.page(self.pfn(a, b))
        if not page.valid or not page.initialised or page.pgmap is None or page.count < 1:
            return "no page"
        page.get()
        self.held.append(page.pfn)
        self.touched.add(page.pfn)
        return page.count

    def do_put_page(self, a: int, b: int, c: int) -> None:
        if self.held:
            self.k.page(self.held.pop(a % len(self.held))).put()

    def do_pagemap(self, a: int, b: int, c: int) -> Any:
        found = self.k.get_dev_pagemap(self.pfn(a, b * 2000))
        if found is None:
            return None
        number = self.pagemaps.index(found)
        found.put()
        return number

    def do_ops(self, a: int, b: int, c: int) -> Any:
        self.k.dev_pagemap_get_ops()
        return self.k.devmap_managed_key

    # --- looking ---

    def see(self) -> dict[str, Any]:
        """Everything that can be seen, numbers and texts, no addresses."""
        k = self.k
        pages = {}
        for pfn in sorted(self.touched):
            page = k.page(pfn)
            if page.valid and page.initialised:
                pages[pfn] = (page.count, page.pgmap_word, page.reserved, page.zone, page.mapping)
        return {
            "outcomes": list(self.outcomes),
            "events": list(self.events),
            "dmesg": k.dmesg,
            "iomem": str(k.iomem),
            "zone": k.zone(),
            "max_pfn": k.max_pfn,
            "refs": [(r.count, r.percpu_sum, r.atomic, r.dead, r.switching) for r in self.refs],
            "tasks": [(t.state, t.waits_for, t.result) for t in self.tasks],
            "bound": [d.bound for d in self.devices],
            "completions": [c.done for c in self.completions],
            "pages": pages,
            "valid": [k.pfn_valid((FIRST >> 12) + i * SECTION_PAGES) for i in range(4)],
            "linear": [
                k.linear_mapping_present((FIRST >> 12) + i * SECTION_PAGES) for i in range(4)
            ],
            "tree": [self.tree.lookup(i) for i in range(0, 600, 5)],
            "altmaps": [(p.altmap.alloc, p.altmap.align) for p in self.pagemaps],
            "violations": [(v.kind, v.message) for v in k.violations],
            "runs": (k.stats.page_runs, k.stats.section_runs),
            "pending": k.stats.rcu_pending,
        }

    def save(self) -> dict[str, Any]:
        """What the player itself remembers, to go with a snapshot of the kernel."""
        names = ("events", "refs", "pagemaps", "held", "tasks", "touched", "outcomes")
        return {name: getattr(self, name).copy() for name in names}

    def load(self, saved: dict[str, Any]) -> None:
        """The way back."""
        for name, value in saved.items():
            setattr(self, name, value.copy())


names = st.sampled_from([n.removeprefix("do_") for n in dir(Player) if n.startswith("do_")])
#: Scripts; devices, sections and so on are picked by the numbers modulo how many there are.
scripts = st.lists(
    st.tuples(names, st.integers(0, 12), st.integers(0, 12), st.integers(0, 12)), max_size=40
)
