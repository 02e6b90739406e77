# SPDX-License-Identifier: GPL-2.0-only
"""A mapping is killed before it gives its pages up: a lookup that finds it alive sees that."""

from __future__ import annotations

import pytest

from memremap_emu import Kernel
from memremap_emu.explore import Program

START = 0x140000000
SIZE = 1 << 27


@pytest.mark.parametrize("kills", [True, False])
def test_a_live_pagemap_whose_pages_are_gone_breaks_the_contract(kills: bool) -> None:
    """By the time of cleanup the pages have been put; a driver that kills only there is late."""
    found = []
    with Kernel("v5.2", on_violation="record") as k:
        ref = k.percpu_ref(lambda ref: None)

        def kill(_: object) -> None:
            if kills:
                ref.kill()

        def cleanup(_: object) -> None:
            found.append(k.get_dev_pagemap((START + SIZE // 2) >> 12))
            if not kills:
                assert found[0] is not None
                found[0].put()
                ref.kill()

        device = k.device("x.0")
        device.memremap_pages(k.pagemap(START, SIZE, ref=ref, kill=kill, cleanup=cleanup))
        device.devres_release_all()
        messages = [(v.kind, v.message) for v in k.violations]
    assert (found == [None]) == kills
    late = ("contract", "a pagemap that is alive has given up pfn 0x144000")
    assert (late in messages) == (not kills)


def test_a_pagemap_in_hand_may_be_kept_after_its_kill() -> None:
    with Kernel("v5.2") as k:
        ref = k.percpu_ref(lambda ref: None)
        pagemap = k.pagemap(START, SIZE, ref=ref, cleanup=lambda ref: None)
        device = k.device("x.0")
        device.memremap_pages(pagemap)
        held = k.get_dev_pagemap(START >> 12)
        assert held is not None
        assert k.get_dev_pagemap((START >> 12) + 1, held) is not None
        held.put()
        device.devres_release_all()


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "sleep", "phases"])
def test_whoever_looks_too_early_is_made_to_look_too_late(strategy: str) -> None:
    """One put too many while the pagemap is alive; the order of both makes the difference."""
    with Kernel(cpus=2, on_violation="record") as k:
        driver = k.driver("hmm")
        device = driver.device(size=SIZE)
        driver.bind(device)
        page = k.page(driver.devmem(device).pfn_first)
        program = Program(k)
        program.task("a").lookup(page.pfn)
        program.task("b").put_page(page)
        found = program.explore(strategy=strategy, stop_at_violation=False)
    late = f"a pagemap that is alive has given up pfn {page.pfn:#x}"
    assert found.exhaustive and 0 < found.violating < found.executions
    assert [(v.record.kind, v.record.message) for v in found.found] == [("contract", late)]


def test_the_watcher_costs_a_correct_teardown_no_execution() -> None:
    """What it looks at is written by nobody there: 792 there are without it, too."""
    with Kernel(cpus=2, on_violation="record") as k:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
        driver = k.driver("dax_pmem")
        device = driver.device(START, SIZE)
        driver.bind(device)
        program = Program(k)
        program.task("unbind").unbind(driver, device)
        program.task("lookup").lookup((START >> 12) + 0x1000)
        found = program.explore(stop_at_violation=False)
    assert found.exhaustive and not found.violating
    assert found.executions == 792
