# SPDX-License-Identifier: GPL-2.0-only
"""Properties that cover most bugs of this area, on the versions that have them and the others."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import find

from memremap_emu import Blocked, Kernel, KernelError, Violation
from memremap_emu.exploration import Exploration
from memremap_emu.program import Program
from memremap_emu.strategies import drivers

START, SIZE = 0x140000000, 1 << 27
VERSIONS = ["v4.19", "memremap-v6", "v5.0", "v5.2"]

#: Where a step of a teardown can stand: an action that runs before the pagemap's, the pagemap's two
#: callbacks (its first act, and behind the loop that drops the pages' references), an action that
#: runs after memory and index have gone.
PLACES = ("before", "kill", "cleanup", "after")


def base(version: str) -> Program:
    return Program(version).memory(START, START + SIZE - 1)


def kinds(found: Exploration) -> set[str]:
    return {f.record.kind for f in found.found}


# --- 1: fault sweep ---

#: What the real kernel leaves behind, too, in every version: direct map and index of a range
#: whose shadow cannot be added; a region or disk if what comes after it fails; a ref that a driver
#: has initialised and has nothing yet that would exit it.
LEFT = (
    "direct map",
    "radix_tree_node_alloc()",
    "alloc_dax_region()",
    "__alloc_disk_node()",
    "blk_alloc_queue_node()",
    "percpu_ref_init()",
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("driver", ["dax_pmem", "pmem", "mine"])
def test_fault_sweep(version: str, driver: str) -> None:
    """After a probe in which one call fails its task has ended, and nothing is left but `LEFT`.

    v4.19 waits for ever if the action that kills cannot be registered and nobody kills then.
    """
    if driver == "mine":
        spec = find(drivers("v4.19" if version == "v4.19" else version_of_rules(version)), bool)
        if version == "v4.19":
            careless = tuple(
                replace(step, call="add_action") if step.call == "add_action_or_reset" else step
                for step in spec.probe
            )
            assert careless != spec.probe
            spec = replace(spec, probe=careless)
        program = replace(base(version), drivers=(spec,))
    else:
        program = base(version).device("mine", driver, START, SIZE)
    found = program.task("probe", "bind mine").explore(
        stop_at_violation=False, check_quiescence=True, max_faults=1, max_executions=3000
    )
    assert found.exhaustive
    leaks = {f.record.message for f in found.found if f.record.kind == "leak"}
    assert all(any(known in message for known in LEFT) for message in leaks), leaks
    hangs = version == "v4.19" and driver == "mine"
    assert ("hang" in kinds(found)) == hangs, kinds(found)


def version_of_rules(version: str) -> str:
    return "v5.2" if version == "v5.2" else "memremap-v6"


# --- 2: hold across unbind ---


@pytest.mark.parametrize("version", VERSIONS)
def test_hold_across_unbind(version: str) -> None:
    """Two holders put their pages at any moment of unbind: it waits for both, and no page is
    touched after it has gone; before the fix of the final put it is."""
    program = (
        base(version)
        .device("mine", "dax_pmem", START, SIZE)
        .setup("bind mine", "get_page mine 0", "get_page mine 9")
        .task("unbind", "unbind mine")
        .task("one", "put_page mine 0")
        .task("two", "put_page mine 9")
    )
    found = program.explore(stop_at_violation=False, check_quiescence=True, max_executions=3000)
    if version == "v5.2":
        assert not found.found
    else:
        assert kinds(found) >= {"memmap-removed"}


# --- 3: get/put algebra ---


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("driver", ["dax_pmem", "pmem", "hmm"])
def test_get_put_algebra(version: str, driver: str) -> None:
    """However references are taken and dropped, each page has one for each that is held."""
    draw = random.Random(7)
    with Kernel.select(version) as k:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
        drv = k.driver(driver)
        dev = drv.device(size=SIZE) if driver == "hmm" else drv.device(START, SIZE)
        drv.bind(dev)
        first = drv.devmem(dev).pfn_first if driver == "hmm" else (START + SIZE // 2) >> 12
        at_rest = [k.page(first + i).count for i in range(4)]
        held = [0] * 4
        for _ in range(200):
            i = draw.randrange(4)
            if held[i] and draw.random() < 0.5:
                k.page(first + i).put()
                held[i] -= 1
            else:
                k.page(first + i).get()
                held[i] += 1
            assert [k.page(first + n).count - at_rest[n] for n in range(4)] == held
        k.batch().page_get(first, 4).page_get(first + 1, 3).page_put(first, 4).run()
        counts = [k.page(first + n).count - at_rest[n] for n in range(4)]
        assert counts == [held[0], *(n + 1 for n in held[1:])]
        k.batch().page_put(first + 1, 3).run()
        for i, n in enumerate(held):
            for _ in range(n):
                k.page(first + i).put()
        if driver == "hmm" and version == "v4.19":
            # It has no way to unbind that is right.
            with pytest.raises(Violation):
                drv.unbind(dev)
            return
        drv.unbind(dev)
        k.assert_quiescent()


# --- 4: order permutations ---


def teardown(version: str, where: dict[str, str]) -> Program:
    """A driver whose kill, wait and exit stand in these places."""
    at = {
        place: [step for step in ("kill", "wait", "exit") if where[step] == place] or ["nothing"]
        for place in PLACES
    }
    steps = ["request_region", "alloc", "init_ref"]
    return (
        base(version)
        .driver(
            "mine",
            START,
            SIZE,
            # What is registered last runs first.
            probe=[*steps, "add_action after", "memremap_pages", "add_action before"],
            release=["complete"],
            kill=at["kill"],
            cleanup=at["cleanup"],
            actions={"after": at["after"], "before": at["before"]},
        )
        .setup("bind mine", "get_page mine 0")
        .task("unbind", "unbind mine")
        .task("user", "put_page mine 0")
    )


def orders() -> list[dict[str, str]]:
    return [
        dict(zip(("kill", "wait", "exit"), places, strict=True))
        for places in itertools.product(PLACES, repeat=3)
    ]


def is_safe(where: dict[str, str]) -> bool:
    """Waits behind the loop that drops the pages' references and before the memory goes; kill
    comes before that, exit not."""
    return (
        where["wait"] == "cleanup"
        and where["kill"] in ("before", "kill", "cleanup")
        and where["exit"] in ("cleanup", "after")
    )


def test_order_permutations() -> None:
    """Of all orders of {kill, put base references, wait, exit, remove memory, delete index} that a
    driver can bring about, exactly the safe ones pass; with -s the table is printed."""
    passed = []
    for where in orders():
        found = teardown("v5.2", where).explore(check_quiescence=True, max_executions=4000)
        assert found.violating or found.exhaustive, where
        verdict = found.violations[0].kind if found.violating else "safe"
        print(*(f"{step}: {where[step]:8}" for step in ("kill", "wait", "exit")), verdict)
        if not found.violating:
            passed.append(where)
    assert passed == [where for where in orders() if is_safe(where)]
    assert len(passed) == 6


def test_no_order_is_safe_before_there_is_a_place_to_wait() -> None:
    for where in orders():
        if "cleanup" not in where.values():
            assert (
                teardown("memremap-v6", where)
                .explore(check_quiescence=True, max_executions=4000)
                .violating
            ), where


# --- 5: sharing ---


@pytest.mark.parametrize("version", VERSIONS)
def test_sharing_a_section(version: str) -> None:
    """Two devices with half a section each: whoever comes second is refused, and the first one
    keeps its pages."""
    with Kernel.select(version, on_violation="record") as k:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
        driver = k.driver("pmem", mode="memory")
        one, two = driver.device(START, SIZE // 2), driver.device(START + SIZE // 2, SIZE // 2)
        driver.bind(one)
        with pytest.raises(KernelError):
            driver.bind(two)
        page = k.page((START + SIZE // 4) >> 12)
        page.get()
        page.put()
        driver.unbind(one)
        driver.bind(two)
        driver.unbind(two)
        k.assert_quiescent()


#: Two functions of a PCI device: each is more than a section.
BARS = {0: (0x380000000000, SIZE), 2: (0x390000000000, SIZE)}


@pytest.mark.parametrize("version", [*VERSIONS, "v5.2 with a11-shared-ref"])
def test_sharing_a_ref(version: str) -> None:
    """Two mappings on one ref end, unless the release of one waits for the ref: the pages of the
    other hold it."""
    with Kernel.select(version, on_violation="record") as k:
        driver = k.driver("p2pdma")
        device = driver.device(bars=BARS)
        driver.bind(device)
        if "a11" in version:
            with pytest.raises(Blocked):
                driver.unbind(device)
            assert [v.kind for v in k.quiescence()] == ["hang"]
            return
        driver.unbind(device)
        k.assert_quiescent()


@pytest.mark.parametrize("version", VERSIONS)
def test_sharing_a_pool(version: str) -> None:
    """Whichever mapping handed out memory lies in, and whoever is given it back last, the device
    is not gone before that, and then it is."""
    for order in itertools.permutations(range(3)):
        with Kernel.select(version, on_violation="record") as k:
            driver = k.driver("p2pdma")
            device = driver.device(bars=BARS)
            driver.bind(device)
            # The third one does not fit in what is left of the first mapping.
            pieces = [(device.alloc_p2pmem(size), size) for size in (4096, SIZE // 2, SIZE)]
            assert all(address for address, _ in pieces)
            with pytest.raises(Blocked) as blocked:
                driver.unbind(device)
            for n in order:
                assert not blocked.value.task.done
                device.free_p2pmem(*pieces[n])
            assert blocked.value.task.done
            k.assert_quiescent()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("page_first", [True, False])
def test_sharing_a_queue(version: str, page_first: bool) -> None:
    """The counter of a disk's queue stands for its pages and for its I/O: whichever ends last, the
    disk is not gone before that, and then it is.  Its memory is, before v5.2."""
    with Kernel.select(version, on_violation="record") as k:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
        driver = k.driver("pmem")
        device = driver.device(START, SIZE)
        driver.bind(device)
        page, bio = k.page((START + SIZE // 2) >> 12), device.submit_bio()
        page.get()
        with pytest.raises(Blocked) as blocked:
            driver.unbind(device)
        for end in (page.put, bio.end) if page_first else (bio.end, page.put):
            assert not blocked.value.task.done
            end()
        assert blocked.value.task.done
        assert {v.kind for v in k.violations} == (
            set() if version == "v5.2" else {"memmap-removed"}
        )


# --- 6: bind cycle ---


@pytest.mark.parametrize("version", VERSIONS)
def test_bind_cycle(version: str) -> None:
    """However often a device is bound and unbound, the state is that of the first time."""
    with Kernel.select(version) as k:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
        driver = k.driver("dax_pmem")
        device = driver.device(START, SIZE)
        seen = set()
        for _ in range(5):
            driver.bind(device)
            driver.unbind(device)
            k.assert_quiescent()
            k.rcu_barrier()
            seen.add((str(k.iomem), k.stats.live_objects))
        assert len(seen) == 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["dax_pmem", "pmem"])
def test_bind_cycle_with_failing_calls(version: str, kind: str) -> None:
    """Whichever call fails while it is bound, the next cycles go as if it had not.

    v4.19 does not notice that the release of the mapping could not be registered, binds, and its
    unbind waits for ever for the references of pages that nobody drops.
    """
    left: set[str] = set()
    with Kernel.select(version, on_violation="record") as k:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
        driver = k.driver(kind)
        device = driver.device(START, SIZE)

        def cycle() -> tuple[str, int, tuple[str, ...]]:
            driver.bind(device)
            driver.unbind(device)
            k.rcu_barrier()
            return str(k.iomem), k.stats.live_objects, device.devres

        first, fresh = cycle(), k.snapshot()
        failed = again = 0
        for nth in range(1, 200):
            with k.fault_injection(nth=nth) as fault:
                try:
                    driver.bind(device)
                except KernelError:
                    failed += 1
            if device.bound:
                with suppress(Blocked):
                    driver.unbind(device)
            found = {v.message for v in k.quiescence()}
            left |= found
            if not found and not k.violations:
                assert cycle() == first == cycle(), nth
                again += 1
            fresh.restore()
            if not fault.hits:
                break
        assert failed > 10 and again > 10
    unknown = {message for message in left if not any(known in message for known in LEFT)}
    assert any("waits for" in message for message in unknown) == (version == "v4.19"), unknown
    assert not unknown or version == "v4.19", unknown


# --- 7: split steps ---


def test_split_steps() -> None:
    """An exit is two steps, freeing and marking, and a lookup can come in between: only where the
    index is emptied later does it matter."""
    for version in VERSIONS:
        program = (
            base(version)
            .device("mine", "dax_pmem", START, SIZE)
            .setup("bind mine")
            .task("unbind", "unbind mine")
            .task("lookup", "watched_lookup mine 0")
        )
        found = program.explore(stop_at_violation=False, max_executions=5000)
        assert found.exhaustive
        assert kinds(found) == ({"refcount"} if version == "v5.2" else set()), version


# --- 8: two devices ---


@pytest.mark.parametrize("version", VERSIONS)
def test_two_devices(version: str) -> None:
    """Whatever call of the second device's probe fails, the first one is as it was."""
    with Kernel.select(version, on_violation="record") as k:
        k.iomem.add(START, START + 4 * SIZE - 1, "Persistent Memory")
        driver = k.driver("dax_pmem")
        one, two = driver.device(START, SIZE), driver.device(START + 2 * SIZE, SIZE)
        driver.bind(one)
        pfn = (START + SIZE // 2) >> 12
        k.page(pfn).get()
        before = k.page(pfn).count, one.devres
        fresh = k.snapshot()
        failed = 0
        for nth in range(1, 200):
            with k.fault_injection(nth=nth) as fault:
                try:
                    driver.bind(two)
                except Exception:
                    failed += 1
            assert (k.page(pfn).count, one.devres, one.bound) == (*before, True), nth
            found = k.get_dev_pagemap(pfn)
            assert found is not None, nth
            found.put()
            hit = fault.hits
            fresh.restore()
            if not hit:
                break
        assert failed > 10
