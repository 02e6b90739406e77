# SPDX-License-Identifier: GPL-2.0-only
"""Machines: making one, going back to a snapshot, a whole experiment."""

from __future__ import annotations

import statistics
import time

import pytest
from conftest import BASE, GiB, build_of, figure, pairs

from memremap_emu import Config, Kernel
from memremap_emu._native import library

ROUNDS = 300


def test_create_and_destroy(kernel: Kernel, benchmark) -> None:
    native = library(kernel.checked)
    ffi, lib = native.ffi, native.lib
    fields = Config().native() | {"cpus": 4, "rcu_manual": False, "trace": False}
    config = ffi.new("struct emu_config *", fields)
    handle = ffi.new_handle(kernel)
    out = ffi.new("emu_machine **")

    def cycle() -> None:
        assert lib.emu_create(config, lib.emu_python_upcall, handle, out) == 0
        lib.emu_destroy(out[0])

    def nothing() -> None:
        lib.emu_nothing(kernel._native.m, 1)

    ours, _bare, ratio = pairs(cycle, nothing, ROUNDS)
    benchmark(cycle)
    figure(
        "create + destroy",
        ours * 1e6,
        "us",
        build=build_of(kernel),
        goal=20.0,
        ratio=ratio,
        ratio_to="bare cffi call",
    )


def test_create_and_destroy_anew(kernel: Kernel) -> None:
    """Without the mapping that the last machine of the thread left behind: it has another size."""
    native = library(kernel.checked)
    ffi, lib = native.ffi, native.lib
    out = ffi.new("emu_machine **")
    configs = [
        ffi.new(
            "struct emu_config *",
            Config(arena_size=size).native() | {"cpus": 4, "rcu_manual": False, "trace": False},
        )
        for size in (32 << 20, 64 << 20)
    ]

    def cycle(config: object) -> None:
        assert lib.emu_create(config, lib.emu_python_upcall, ffi.NULL, out) == 0
        lib.emu_destroy(out[0])

    cycle(configs[0])
    anew, _kept, ratio = pairs(lambda: cycle(configs[1]), lambda: cycle(configs[0]), ROUNDS)
    figure(
        "create + destroy, mapped anew",
        anew * 1e6,
        "us",
        build=build_of(kernel),
        ratio=ratio,
        ratio_to="one in a mapping left behind",
    )


def bound(k: Kernel):
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, GiB)
    pmem.bind(device)
    return device, (BASE + GiB // 2) >> 12


def middle(times: list[float]) -> float:
    """Mean of the middle half: the clock counts by tens of nanoseconds, as a median would."""
    quarter = len(times) // 4
    return statistics.fmean(sorted(times)[quarter:-quarter])


def is_restored(k: Kernel, number: int) -> bool:
    """Is the arena as it was when this snapshot was taken?"""
    offset = k._native.ffi.new("int64_t *")
    assert k._native.lib.emu_snapshot_differs(k._native.m, number, offset) == 0
    return int(offset[0]) == -1


def figure_of_restore(k: Kernel, name: str, restore: float, four_kib: float) -> None:
    figure(
        name,
        restore * 1e9,
        "ns",
        build=build_of(k),
        goal=2 * four_kib * 1e9,
        ratio=restore / four_kib,
        ratio_to="copying 4 KiB",
    )


def test_restore(kernel: Kernel) -> None:
    """After a get_page(), after what dirties just under 20 lines, and after a whole shutdown."""
    native = kernel._native
    lib, m = native.lib, native.m
    device, pfn = bound(kernel)
    ref = kernel.percpu_ref()
    batches = {
        "get_page": kernel.batch().page_get(pfn),
        "get_page twice and a kill": kernel.batch()
        .page_get(pfn)
        .page_get(pfn + 1)
        .add("percpu_ref_kill_and_confirm", ref, 0),
        "one shutdown": kernel.batch().page_get(pfn).page_put(pfn).unbind(device),
    }
    before = kernel.snapshot()
    copies = 10_000

    def copy() -> None:
        native.call("copy_4k_loop", copies)

    for name, batch in batches.items():
        restores, bare, yardstick = [], [], []
        for _ in range(ROUNDS):
            batch.run()
            start = time.perf_counter()
            lib.emu_restore(m, before._number)
            restored = time.perf_counter()
            lib.emu_nothing(m, 1)
            end = time.perf_counter()
            restores.append(restored - start)
            bare.append(end - restored)
        for _ in range(5):
            start = time.perf_counter()
            copy()
            yardstick.append((time.perf_counter() - start) / copies)
        restore = middle(restores) - middle(bare)
        four_kib = statistics.median(yardstick)
        lib.emu_restore(m, before._number)
        batch.run()
        assert not is_restored(kernel, before._number)
        lib.emu_restore(m, before._number)
        assert is_restored(kernel, before._number)
        figure_of_restore(kernel, f"restore after {name}", restore, four_kib)


@pytest.mark.parametrize("lines", [1, 10, 20])
def test_restore_looped_in_c(kernel: Kernel, lines: int) -> None:
    """As between the executions of a search, and as the yardstick: by one call."""
    native = kernel._native
    lib, m = native.lib, native.m
    bound(kernel)
    before = kernel.snapshot()
    rounds = 10_000

    def restores() -> None:
        assert lib.emu_restore_loop(m, before._number, lines, rounds, 0) == 0

    def writes() -> None:
        assert lib.emu_restore_loop(m, before._number, lines, rounds, 1) == 0

    def copies() -> None:
        native.call("copy_4k_loop", rounds)

    restores()
    assert is_restored(kernel, before._number)
    restored, four_kib, _ratio = pairs(restores, copies, ROUNDS // 10)
    written, _four_kib, _ratio = pairs(writes, copies, ROUNDS // 10)
    restore = (restored - written) / rounds
    four_kib /= rounds
    figure_of_restore(kernel, f"restore of {lines} lines, looped in C", restore, four_kib)


def test_a_whole_experiment(kernel: Kernel, benchmark) -> None:
    """Restore a bound device, get and put a page, unbind, wait, judge."""
    device, pfn = bound(kernel)
    batch = kernel.batch().page_get(pfn).page_put(pfn).unbind(device)
    before = kernel.snapshot()

    def experiment() -> None:
        before.restore()
        batch.run()
        kernel.assert_quiescent()

    experiment()
    assert device.driver is None
    ours, _restore, ratio = pairs(experiment, before.restore, ROUNDS)
    benchmark(experiment)
    figure(
        "shutdown experiment",
        ours * 1e6,
        "us",
        build=build_of(kernel),
        goal=20.0,
        ratio=ratio,
        ratio_to="its restore",
    )


def test_the_experiment_does_what_it_says(kernel: Kernel) -> None:
    device, pfn = bound(kernel)
    batch = kernel.batch().page_get(pfn).page_put(pfn).unbind(device)
    before = kernel.snapshot()
    for _ in range(2):
        before.restore()
        assert device.driver is not None
        batch.run()
        assert device.driver is None
        assert not kernel.page(pfn).valid
        kernel.assert_quiescent()


def test_switch_between_tasks(kernel: Kernel) -> None:
    """There and back, against the registers alone."""
    loop, m = kernel._native.lib.emu_switch_loop, kernel._native.m

    def ours() -> None:
        assert loop(m, 20_000, 0) == 0

    def bare() -> None:
        assert loop(m, 20_000, 1) == 0

    took, _least, ratio = pairs(ours, bare, 50)
    figure(
        "switch between tasks, there and back",
        took / 20_000 * 1e9,
        "ns",
        build=build_of(kernel),
        ratio=ratio,
        ratio_to="bare switch",
    )
    figure("the same, to a bare switch", ratio, "x", build=build_of(kernel), goal=1.5)
