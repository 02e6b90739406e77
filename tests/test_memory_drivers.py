# SPDX-License-Identifier: GPL-2.0-only
"""Generated lives of several devices with memory, step by step against a model."""

from __future__ import annotations

import random
from typing import Any

import pytest

from memremap_emu import Blocked, Kernel, PciDevice, VmFault
from tests.model.memory_drivers import PAGE, SECTION, Model, ModelDevice

BARS = 0x200000000000
#: (checked build, sequences): 10,000 in all.
SEQUENCES = [(False, 9000), (True, 1000)]
STEPS = 12


class Life:
    """A few devices on one kernel, taken through a random sequence of steps."""

    def __init__(self, k: Kernel, draw: random.Random) -> None:
        self.k = k
        self.random = draw
        self.model = Model()
        self.patches = frozenset(k.patches)
        self.drivers = {name: k.driver(name) for name in ("hmm", "hmm_public", "p2pdma")}
        self.addresses: dict[int, int] = {}  # of pieces, by where they are on the bus
        self.devices: list[tuple[Any, PciDevice, ModelDevice, int]] = []
        for number in range(self.random.randint(2, 4)):
            self.devices.append(self.device(number))

    def device(self, number: int) -> tuple[Any, PciDevice, ModelDevice, int]:
        kind = self.random.choice(sorted(self.drivers))
        driver = self.drivers[kind]
        if kind == "hmm":
            size = self.random.choice([1, SECTION, SECTION + 1, 3 * SECTION])
            return driver, driver.device(size=size), ModelDevice(kind, [], self.patches), size
        base = BARS + (number << 36)
        n = self.random.choice([1, 2]) if kind == "p2pdma" else 1
        bars = {i * 2: (base + i * 4 * SECTION, SECTION << i) for i in range(n)}
        self.model.taken += bars.values()
        device = driver.device(bars=bars)
        return driver, device, ModelDevice(kind, list(bars.values()), self.patches), 0

    def step(self) -> str:
        driver, device, m, size = self.random.choice(self.devices)
        if not m.bound:
            driver.bind(device)
            self.model.bind(m, size)
            return "bind"
        action = self.random.choice(["get", "get", "put", "put", "fault", "piece", "unbind"])
        getattr(self, action)(driver, device, m)
        return action

    # --- steps ---

    def some_pfn(self, m: ModelDevice) -> int:
        start, size = self.random.choice(m.memory)
        page = self.random.choice([0, 1, size // PAGE // 2, size // PAGE - 1])
        return start // PAGE + page

    def get(self, driver: Any, device: PciDevice, m: ModelDevice) -> None:
        pfn = self.some_pfn(m)
        self.k.page(pfn).get()
        self.model.get(m, pfn)

    def put(self, driver: Any, device: PciDevice, m: ModelDevice) -> None:
        if m.users:
            pfn = self.random.choice(sorted(m.users))
            self.k.page(pfn).put()
            self.model.put(m, pfn)

    def fault(self, driver: Any, device: PciDevice, m: ModelDevice) -> None:
        if m.kind == "hmm":
            assert self.k.device_private_fault(self.k.page(self.some_pfn(m))) == VmFault.SIGBUS
            m.faults += 1

    def piece(self, driver: Any, device: PciDevice, m: ModelDevice) -> None:
        if m.kind != "p2pdma":
            return
        if m.pieces and self.random.random() < 0.5:
            self.give_back(device, m, self.random.randrange(len(m.pieces)))
            return
        size = self.random.choice([1, PAGE, 3 * PAGE + 1])
        at = device.alloc_p2pmem(size)
        assert at
        m.pieces.append((device.p2pmem_virt_to_bus(at), size))
        self.addresses[device.p2pmem_virt_to_bus(at)] = at

    def give_back(self, device: PciDevice, m: ModelDevice, i: int) -> None:
        at, size = m.pieces.pop(i)
        device.free_p2pmem(self.addresses.pop(at), size)

    def unbind(self, driver: Any, device: PciDevice, m: ModelDevice) -> None:
        # Whoever holds a page across this uses memory that is gone, unless the unbind waits.
        while m.users and not ("final-put" in m.patches and self.random.random() < 0.5):
            self.put(driver, device, m)
        if m.must_be_removed:
            driver.devmem(device).remove()
        if m.waits_for:
            with pytest.raises(Blocked) as waiting:
                driver.unbind(device)
            while m.waits_for:
                assert not waiting.value.task.done
                if m.users and (not m.pieces or self.random.random() < 0.5):
                    self.put_while_unbinding(m)
                else:
                    self.give_back(device, m, 0)
            assert waiting.value.task.done
        else:
            driver.unbind(device)
        assert not self.k.violations and not device.bound
        self.model.unbind(m)

    def put_while_unbinding(self, m: ModelDevice) -> None:
        pfn = self.random.choice(sorted(m.users))
        self.k.page(pfn).put()
        self.model.put(m, pfn)

    # --- comparing ---

    def compare(self) -> None:
        for driver, device, m, _ in self.devices:
            assert device.bound is m.bound
            if not m.bound:
                continue
            if m.kind == "p2pdma":
                shared = device.p2pdma_ref
                own = [self.k.page(start // PAGE).pgmap for start, _ in m.memory]
                refs = [shared] if shared else [pagemap.ref for pagemap in own if pagemap]
                used = sum(-(-size // PAGE) * PAGE for _, size in m.pieces)
                assert device.p2pmem["available"] == m.pages * PAGE - used
            else:
                devmem = driver.devmem(device)
                refs = [devmem.ref]
                assert (devmem.pfn_first, len(devmem.pages)) == (m.memory[0][0] // PAGE, m.pages)
                assert driver.free_count(device) == m.freed
                assert driver.fault_count(device) == m.faults
            assert [ref.logical for ref in refs if ref] == m.refs
            pfn = self.some_pfn(m)
            assert self.k.page(pfn).count == m.count(pfn)
            found = self.k.get_dev_pagemap(pfn)
            assert (found is not None) is m.pages_hold
            if found:
                assert found == self.k.page(pfn).pgmap
                found.put()

    def end(self) -> None:
        for driver, device, m, _ in self.devices:
            if m.bound:
                self.unbind(driver, device, m)
        self.k.assert_quiescent()


@pytest.mark.parametrize(("checked", "sequences"), SEQUENCES, ids=["plain", "checked"])
def test_generated_lives_of_several_devices_agree_with_the_model_and_leave_nothing(
    checked: bool, sequences: int
) -> None:
    taken: dict[str, int] = {}
    with Kernel(checked=checked) as k:
        fresh = k.snapshot()
        for seed in range(sequences):
            life = Life(k, random.Random(seed))
            try:
                for _ in range(STEPS):
                    action = life.step()
                    taken[action] = taken.get(action, 0) + 1
                    if seed % 10 == 0:
                        life.compare()
                life.compare()
                life.end()
            except BaseException as e:
                e.add_note(f"seed {seed}, checked={checked}")
                raise
            fresh.restore()
    assert set(taken) == {"bind", "get", "put", "fault", "piece", "unbind"}
    assert min(taken.values()) > sequences / 20
