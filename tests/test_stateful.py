# SPDX-License-Identifier: GPL-2.0-only
"""What examples of the ready state machine share, and what they must not; one call for many
questions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from memremap_emu import Blocked, Kernel, KernelError, Violation, stateful
from memremap_emu.device import Device
from memremap_emu.errors import MachineClosed
from memremap_emu.sample import Sample
from memremap_emu.stateful import ShutdownMachine
from tests.test_snapshot import first_difference

START, SIZE = 0x140000000, 128 << 20


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Examples outside of Hypothesis, none of which another test has left a kernel."""
    monkeypatch.setattr(stateful, "target", lambda value, label: None)
    monkeypatch.setattr(stateful._Fresh, "_kept", {})
    yield
    for fresh in stateful._Fresh._kept.values():
        fresh.kernel.close()


class Filesystem(ShutdownMachine):
    """One whose driver is made for each example."""

    def make(self, start: int, size: int) -> Device:
        if self.driver is None:
            self.driver = self.kernel.driver("pmem", mode="fsdax")
        device: Device = self.driver.device(start, size)
        return device


def seen(machine: ShutdownMachine) -> dict[str, Any]:
    """What a rule can see of the machine before it does anything."""
    k = machine.kernel
    return {
        "state": k.state_hash,
        "log": k.dmesg,
        "tasks": [(t.pid, t.state) for t in k.tasks],
        "stats": k.stats,
        "sites": k.fault_sites,
        "resources": str(k.iomem),
        "devices": [(d.name, d.bound, d.devres) for d in machine.devices],
        "model": repr((machine.bound, machine.waiting, machine.held, machine._first)),
        "region": k._region,
        # Not the handles themselves, which are never given out twice.
        "strings": list(k._native._strings),
        "callbacks": (k._native._callbacks, k._native._callback_ids),
        "events": list(k.trace),
    }


def use(machine: ShutdownMachine) -> None:
    """A life with all that an example can leave behind."""
    for n in range(2):
        machine.bind(n)
        machine.get_page(n, 1)
        machine.lookup(n, 2)
    machine.bind(0)  # is refused
    machine.unbind(0)  # waits
    machine.kernel.printk("an example was here")
    machine.kernel.completion("of an example")
    machine.kernel.fault_injection("add_pages", sticky=True).__enter__()
    machine.kernel.task(cpu=1).__enter__()
    machine.kernel.trace.enable()
    machine.agrees_with_model()


@pytest.mark.parametrize("kind", [ShutdownMachine, Filesystem])
@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("version", ["v4.19", "memremap-v6", "v5.2"])
def test_every_example_begins_in_the_same_state(
    kind: type[ShutdownMachine], checked: bool, version: str
) -> None:
    class Machine(kind):  # type: ignore[misc, valid-type]
        pass

    Machine.version, Machine.checked = version, checked
    first = Machine()
    kernel, begun = first.kernel, seen(first)
    for _ in range(3):
        use(first)
        first.teardown()
        fresh = stateful._Fresh._kept[version, checked, kind is ShutdownMachine]
        assert fresh.kernel is kernel and fresh._state is not None
        assert first_difference(kernel, fresh._state) == -1
        first = Machine()
        assert first.kernel is kernel
        assert seen(first) == begun
    first.kernel.close()


def test_two_machines_at_a_time_have_a_kernel_each() -> None:
    one, other = ShutdownMachine(), ShutdownMachine()
    assert one.kernel is not other.kernel
    one.bind(0)
    other.agrees_with_model()
    one.teardown()
    other.teardown()
    with pytest.raises(MachineClosed):
        other.kernel.stats  # noqa: B018
    assert ShutdownMachine().kernel is one.kernel


def test_kernels_are_kept_by_version_and_build() -> None:
    class Plain(ShutdownMachine):
        checked = False

    class Newer(ShutdownMachine):
        version = "v5.2"

    ShutdownMachine().teardown()
    for kind in (Plain, Newer, Filesystem):
        machine = kind()
        assert (machine.kernel.version, machine.kernel.checked) == (kind.version, kind.checked)
        machine.teardown()
    assert len(stateful._Fresh._kept) == 4


class Broken(Exception):
    """What a rule has raised."""


def end_by_an_exception(machine: ShutdownMachine) -> None:
    with suppress(Broken):
        try:
            raise Broken
        finally:
            machine.teardown()


def end_with_a_violation(machine: ShutdownMachine) -> None:
    machine.bind(0)
    machine.get_page(0, 0)
    machine.unbind(0)
    with suppress(Violation):
        machine.kernel.page(machine._first[0]).put()
    machine.teardown()


def end_with_a_snapshot(machine: ShutdownMachine) -> None:
    machine.kernel.snapshot()
    machine.teardown()


def end_with_another_kernel(machine: ShutdownMachine) -> None:
    before = machine.kernel
    machine.kernel = Kernel()
    machine.teardown()
    with pytest.raises(MachineClosed):
        machine.kernel.stats  # noqa: B018
    machine.kernel = before
    end_with_a_snapshot(ShutdownMachine())


def end_closed(machine: ShutdownMachine) -> None:
    machine.kernel.close()
    machine.teardown()


def end_with_a_parked_callback(machine: ShutdownMachine) -> None:
    k = machine.kernel
    done = k.completion()

    def probe(device: Device) -> Any:
        yield done.wait

    k.driver("mine", probe=probe)
    with suppress(Blocked):
        k.device("mine.0")
    machine.teardown()


@pytest.mark.parametrize(
    "end",
    [
        end_by_an_exception,
        end_with_a_violation,
        end_with_a_snapshot,
        end_with_another_kernel,
        end_closed,
        end_with_a_parked_callback,
    ],
)
def test_what_went_wrong_ends_with_its_example(end: Any) -> None:
    machine = ShutdownMachine()
    kernel = machine.kernel
    end(machine)
    after = ShutdownMachine()
    assert after.kernel is not kernel
    after.bind(0)
    after.agrees_with_model()


def test_a_model_that_does_not_agree_is_noticed_without_a_call() -> None:
    """Nothing has happened to the machine since it agreed last."""
    for spoil in (
        lambda m: m.held[0].update({0: 2}),
        lambda m: m.bound.__setitem__(1, True),
        lambda m: m.bound.__setitem__(0, False),
    ):
        machine = ShutdownMachine()
        machine.bind(0)
        machine.get_page(0, 0)
        machine.agrees_with_model()
        spoil(machine)
        with pytest.raises(AssertionError):
            machine.agrees_with_model()
        with pytest.raises(AssertionError):
            machine.agrees_with_model()
        machine.kernel.close()


def test_a_machine_that_does_not_agree_is_noticed_without_a_rule() -> None:
    for spoil in (
        lambda m: m.kernel.page(m._first[0]).get(),
        lambda m: m.driver.unbind(m.devices[1]),
    ):
        machine = ShutdownMachine()
        for n in range(2):
            machine.bind(n)
            machine.get_page(0, 0)
        machine.agrees_with_model()
        spoil(machine)
        with pytest.raises(AssertionError):
            machine.agrees_with_model()
        machine.kernel.close()


def test_a_model_that_does_not_agree_is_noticed_by_python_without_asserts() -> None:
    script = """
from memremap_emu import stateful
stateful.target = lambda value, label: None
for wrong in ("count", "bound", "lookup", "bind", "ended"):
    machine = stateful.ShutdownMachine()
    machine.bind(0)
    machine.get_page(0, 0)
    try:
        if wrong == "count":
            machine.held[0][0] = 2
            machine.agrees_with_model()
        elif wrong == "bound":
            machine.bound[1] = True
            machine.agrees_with_model()
        elif wrong == "lookup":
            machine.bound[0] = False
            machine.lookup(0, 1)
        elif wrong == "bind":
            machine.driver.try_bind = lambda device: True
            machine.bind(0)
        else:
            machine.put_page(0, 0)
            machine.held[0][0] = 1
            machine.unbind(0)
    except AssertionError as e:
        print(wrong, "-", e)
"""
    done = subprocess.run(
        [sys.executable, "-O", "-c", script], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    assert done.stdout.splitlines() == [
        "count - references: [2], must be [3]",
        "bound - bound: 0b1, must be 0b11",
        "lookup - a page is found though its device is not bound",
        "bind - bound twice",
        "ended - unbind ended though a page is held",
    ]


def test_another_device_is_asked_about_though_the_model_is_the_same() -> None:
    machine = ShutdownMachine()
    machine.bind(0)
    machine.agrees_with_model()
    machine.devices.reverse()
    machine.lookup(0, 0)
    with pytest.raises(AssertionError, match="bound: 0b10, must be 0b1"):
        machine.agrees_with_model()
    machine.kernel.close()


def leave_behind(k: Kernel, driver: Any, device: Device) -> None:
    """The direct map of a range that gets no memmap."""
    with k.fault_injection("vmemmap_populate"), pytest.raises(KernelError):
        driver.bind(device)


def test_pages_of_a_device_without_struct_pages_are_not_touched() -> None:
    class Raw(ShutdownMachine):
        def make(self, start: int, size: int) -> Device:
            if self.driver is None:
                self.driver = self.kernel.driver("pmem", mode="raw")
            device: Device = self.driver.device(start, size)
            return device

    machine = Raw()
    machine.bind(0)
    machine.get_page(0, 0)
    machine.lookup(0, 0)
    machine.put_page(0, 0)
    machine.agrees_with_model()
    machine.unbind(0)
    machine.agrees_with_model()
    assert machine.bound == [False, False]
    machine.teardown()


def test_what_is_left_behind_is_noticed() -> None:
    machine = ShutdownMachine()
    machine.agrees_with_model()
    leave_behind(machine.kernel, machine.driver, machine.devices[0])
    with pytest.raises(Violation, match="still in the direct map"):
        machine.agrees_with_model()
    machine.kernel.close()


# --- one call for many questions ---


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


def test_a_sample_says_what_single_questions_say(k: Kernel) -> None:
    dax = k.driver("dax_pmem")
    devices = [dax.device(START + n * SIZE, SIZE) for n in range(3)]
    handles = [d._handle for d in devices]
    sample = Sample(k)
    assert not sample.current
    sample.take(handles, [], quiescence=True)
    assert (sample.bound, sample.counts, sample.left_behind) == (0, [], False)
    dax.bind(devices[0])
    dax.bind(devices[2])
    pages = [k.page(((START + SIZE // 2) >> 12) + n) for n in range(40)]
    for n, page in enumerate(pages):
        for _ in range(n % 3):
            page.get()
    assert not sample.current
    sample.take(handles, [p.pfn for p in pages], quiescence=True)
    assert sample.bound == 0b101
    assert sample.counts == [p.count for p in pages]
    assert sample.state_hash == k.state_hash
    assert sample.left_behind == bool(k.quiescence())
    pages[0].get()
    dax.bind(devices[1])
    sample.again()
    assert sample.current
    assert (sample.bound, sample.counts[0]) == (0b111, pages[0].count)
    assert sample.state_hash == k.state_hash


def test_a_sample_is_current_until_something_can_have_changed(k: Kernel) -> None:
    sample = Sample(k)
    sample.take([], [], quiescence=True)
    assert sample.current
    assert k.state_hash == sample.state_hash and not k.dmesg and not k.violations
    assert sample.current
    before = k.snapshot()
    assert not sample.current
    sample.take([], [], quiescence=True)
    before.restore()
    assert not sample.current
    sample.take([], [], quiescence=False)
    k.page(1 << 20).valid  # noqa: B018
    assert not sample.current
    sample.take([], [], quiescence=False)
    k.close()
    assert not sample.current
    with pytest.raises(MachineClosed):
        sample.take([], [], quiescence=False)


def test_a_sample_of_a_callback_is_never_current(k: Kernel) -> None:
    """What the callback calls next is part of the same call."""
    sample = Sample(k)
    seen = []

    def release(ref: object) -> None:
        sample.take([], [], quiescence=False)
        seen.append(sample.current)

    ref = k.percpu_ref(release)
    ref.kill()
    assert seen and not any(seen)
    sample.take([], [], quiescence=False)
    assert sample.current


def test_a_sample_tells_of_leaks_and_not_of_notes(k: Kernel) -> None:
    sample = Sample(k)
    gpu = k.driver("hmm")
    device = gpu.device(size=1 << 30)
    gpu.bind(device)
    gpu.unbind(device)
    assert k.permanent
    sample.take([], [], quiescence=True)
    assert not sample.left_behind
    dax = k.driver("dax_pmem")
    leave_behind(k, dax, dax.device(START, SIZE))
    sample.take([], [], quiescence=False)
    assert not sample.left_behind
    sample.take([], [], quiescence=True)
    assert sample.left_behind and k.quiescence()


def test_the_watchers_see_what_a_sample_looks_at() -> None:
    with Kernel() as k:
        dax = k.driver("dax_pmem")
        device = dax.device(START, SIZE)
        dax.bind(device)
        pfn = (START + SIZE // 2) >> 12
        dax.unbind(device)
        sample = Sample(k)
        with pytest.raises(Violation, match="memmap-removed"):
            sample.take([], [pfn], quiescence=False)
        assert not sample.current


def test_a_sample_refuses_what_a_call_refuses(k: Kernel) -> None:
    sample = Sample(k)
    dax = k.driver("dax_pmem")
    device = dax.device(START, SIZE)
    with pytest.raises(ValueError, match="kind 'D'"):
        sample.take([dax.driver._handle], [], quiescence=False)
    with pytest.raises(ValueError, match="64 devices"):
        sample.take([device._handle] * 65, [], quiescence=False)
    with pytest.raises(ValueError, match="physical address space"):
        sample.take([], [1 << 60], quiescence=False)
    sample.take([device._handle] * 64, [], quiescence=False)


def test_a_driver_takes_a_device_or_a_name(k: Kernel) -> None:
    dax = k.driver("dax_pmem")
    device = dax.device(START, SIZE)
    dax.bind(device.name)
    dax.unbind(device)
    dax.bind(device)
    with pytest.raises(KernelError, match="ENODEV"):
        dax.bind(device)
    assert not dax.try_bind(device) and not dax.driver.try_bind(device.name)
    dax.unbind(device.name)
    assert not device.bound
    assert dax.try_bind(device) and device.bound
    dax.unbind(device)
    with pytest.raises(ValueError, match="neither a name nor a device"):
        dax.driver._call("bind_store", 0, 0)


def test_a_page_is_of_a_device_if_a_pagemap_has_claimed_it(k: Kernel) -> None:
    page = k.page((START + SIZE // 2) >> 12)
    dax = k.driver("dax_pmem")
    device = dax.device(START, SIZE)
    assert not page.of_device
    dax.bind(device)
    assert page.of_device and page.pgmap is not None
    assert not k.page(START >> 12).of_device or k.page(START >> 12).initialised
    dax.unbind(device)
    assert not page.of_device
    assert not k.page(1 << 60).of_device
