# SPDX-License-Identifier: GPL-2.0-only
"""Mapping and unmapping: the cost does not grow with the device."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import BASE, GiB, MiB, TiB, build_of, figure, pairs

from memremap_emu import Kernel

SIZES = {"16 MiB": 16 * MiB, "1 GiB": GiB, "1 TiB": TiB, "16 TiB": 16 * TiB}
ROUNDS = 100


class Mapping:
    """devm_memremap_pages() and its release for one size, many times from the same state.

    Freed memory is never used again, so each round starts from a snapshot; its restore is
    timed by itself and subtracted.
    """

    def __init__(self, k: Kernel, size: int, mode: str) -> None:
        self.pmem = k.driver("pmem", mode="fsdax")
        self.device = self.pmem.device(BASE, size)
        if mode == "batch":
            self.pmem.bind(self.device)
            self.pmem.unbind(self.device)
            batch = k.batch().bind(self.device, self.pmem.driver)
            batch.add("unbind_store", self.pmem.driver, self.device.name, self.device)
            self.cycle = batch.run
            batch.run()
            # A bind that fails is quick.
            assert batch.results[0] > 0 and batch.results[1] > 0
        else:
            self.cycle = self.bind_and_unbind
        self.before = k.snapshot()

    def bind_and_unbind(self) -> None:
        self.pmem.bind(self.device)
        self.pmem.unbind(self.device)

    def both(self) -> None:
        self.before.restore()
        self.cycle()

    def seconds(self) -> float:
        both, restore, _ = pairs(self.both, self.before.restore, ROUNDS)
        return both - restore


@pytest.mark.parametrize("mode", ["python", "batch"])
@pytest.mark.parametrize("size", list(SIZES))
def test_bind_and_unbind(kernel: Kernel, benchmark, size: str, mode: str) -> None:
    mapping = Mapping(kernel, SIZES[size], mode)
    time = mapping.seconds()
    benchmark.pedantic(mapping.both, rounds=20)
    figure(
        f"map + unmap {size} ({mode})",
        time * 1e6,
        "us",
        build=build_of(kernel),
        goal=20.0,
    )


def test_16_tib_costs_at_most_twice_1_gib(kernel: Kernel) -> None:
    with Kernel(checked=kernel.checked) as other:
        large = Mapping(kernel, 16 * TiB, "batch")
        small = Mapping(other, GiB, "batch")
        big, little, ratio = pairs(large.both, small.both, ROUNDS)
    figure(
        "map + unmap 16 TiB, from a snapshot",
        big * 1e6,
        "us",
        build=build_of(kernel),
        goal=2 * little * 1e6,
        ratio=ratio,
        ratio_to="1 GiB",
    )
    assert ratio <= 2.0


def resident() -> int:
    """Resident bytes of this process."""
    status = Path("/proc/self/statm").read_text().split()
    return int(status[1]) * 4096


def test_an_idle_machine_keeps_less_than_256_kib(kernel: Kernel) -> None:
    machines = []
    before = resident()
    for _ in range(64):
        machines.append(Kernel(checked=kernel.checked))
    each = (resident() - before) / len(machines)
    for k in machines:
        k.close()
    figure("idle machine", each / 1024, "KiB", build=build_of(kernel), goal=256.0)
    assert each < 256 * 1024


def test_an_idle_mapped_tib_keeps_less_than_4_kib_more_than_a_gib(kernel: Kernel) -> None:
    used = {}
    for size in (GiB, TiB):
        with Kernel(checked=kernel.checked) as k:
            pmem = k.driver("pmem", mode="fsdax")
            pmem.bind(pmem.device(BASE, size))
            used[size] = k.stats.arena_used
    more = used[TiB] - used[GiB]
    figure("idle mapped TiB, beyond a GiB", more / 1024, "KiB", build=build_of(kernel), goal=4.0)
    assert more < 4096


def test_a_raw_mapping_of_a_tib_keeps_less_than_4_kib(kernel: Kernel) -> None:
    """The mapping alone: pagemap, sections, pages and index, without a driver around it."""
    device = kernel.device("device")
    ref = kernel.percpu_ref()
    pagemap = kernel.pagemap(BASE, TiB, ref=ref)
    before = kernel.stats.arena_used
    device.memremap_pages(pagemap)
    used = kernel.stats.arena_used - before
    figure("devm_memremap_pages of a TiB", used / 1024, "KiB", build=build_of(kernel), goal=4.0)
    assert used < 4096
