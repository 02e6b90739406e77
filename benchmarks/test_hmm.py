# SPDX-License-Identifier: GPL-2.0-only
"""HMM: adding and removing memory, looking for a free range, a fault and back."""

from __future__ import annotations

from conftest import TiB, build_of, figure, pairs

from memremap_emu import Kernel
from memremap_emu.resource import Region

SECTION = 1 << 27
TOP = 1 << 46
ROUNDS = 100
RESOURCES = 10_000
#: Sections at the top that the resources take up: as many candidates are tried in vain.
OCCUPIED = 100
FAULTS = 100_000


def test_hmm_add_and_detach_of_16_tib(kernel: Kernel, benchmark) -> None:
    """hmm_devmem_add() in a probe and all of the unbinding, from a snapshot whose restore is
    subtracted, as for a mapping."""
    hmm = kernel.driver("hmm")
    device = hmm.device(size=16 * TiB)
    hmm.bind(device)
    hmm.unbind(device)
    batch = kernel.batch().bind(device, hmm.driver)
    batch.add("unbind_store", hmm.driver, device.name, device)
    before = kernel.snapshot()

    def both() -> None:
        before.restore()
        batch.run()

    with_restore, restore, _ = pairs(both, before.restore, ROUNDS)
    benchmark.pedantic(both, rounds=20)
    assert batch.results[0] > 0 and batch.results[1] > 0
    took = with_restore - restore
    figure("hmm add + detach 16 TiB", took * 1e6, "us", build=build_of(kernel), goal=30.0)


def test_free_range_search_among_10000_resources(plain: Kernel, benchmark) -> None:
    """Against as many calls of region_intersects() as candidates are tried."""
    step = SECTION * OCCUPIED // RESOURCES & -4096
    for i in range(RESOURCES):
        start = TOP - SECTION * OCCUPIED + i * step
        plain.iomem.add(start, start + 4095, "Reserved")
    hmm = plain.driver("hmm")
    device = hmm.device(size=SECTION)
    hmm.bind(device)
    assert hmm.devmem(device).resource.start == TOP - SECTION * (OCCUPIED + 1)
    hmm.unbind(device)
    search = plain.batch().bind(device, hmm.driver)
    search.add("unbind_store", hmm.driver, device.name, device)
    calls = plain.batch()
    for candidate in range(OCCUPIED + 1):
        calls.add("region_intersects", TOP - SECTION * (candidate + 1), SECTION, 0, 0)
    before = plain.snapshot()

    def searched() -> None:
        before.restore()
        search.run()

    def called() -> None:
        before.restore()
        calls.run()

    searched()
    assert search.results[0] > 0 and search.results[1] > 0
    called()
    # All but the last, which is the free one, meet what is there.
    assert set(calls.results[:-1]) == {Region.INTERSECTS} and calls.results[-1] == Region.DISJOINT
    took, yardstick, ratio = pairs(searched, called, 10)
    benchmark.pedantic(searched, rounds=5)
    figure(
        f"free range among {RESOURCES} resources, {OCCUPIED + 1} candidates",
        took * 1e6,
        "us",
        goal=1.2 * yardstick * 1e6,
        ratio=ratio,
        ratio_to="region_intersects a candidate",
    )


def test_fault_round_trip(plain: Kernel, benchmark) -> None:
    """device_private_entry_fault() down to the driver and back, all in C."""
    hmm = plain.driver("hmm")
    device = hmm.device(size=SECTION)
    hmm.bind(device)
    pfn = hmm.devmem(device).pfn_first + 5
    call = plain._native.call

    def faults() -> None:
        assert call("device_private_fault_loop", pfn, FAULTS) == FAULTS

    def nothing() -> None:
        call("device_private_fault_loop", pfn, 0)

    took, empty, _ = pairs(faults, nothing)
    benchmark.pedantic(faults, rounds=5)
    figure("fault round trip", (took - empty) / FAULTS * 1e9, "ns", goal=60.0)
    assert hmm.fault_count(device) > FAULTS
