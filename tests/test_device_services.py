# SPDX-License-Identifier: GPL-2.0-only
"""What drivers call besides: managed copies and mappings, entries found or made, the bus."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

from memremap_emu import BusEvent, Kernel, KernelError
from memremap_emu.device import Device
from memremap_emu.memory import Memory


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param, on_violation="record") as kernel:
        kernel.iomem.load("00000000-3fffffff : System RAM\n40000000-80ffffff : PCI Bus\n")
        yield kernel


@pytest.fixture
def dev(k: Kernel) -> Device:
    return k.device("foo.0")


def text(memory: Memory | None) -> str:
    assert memory is not None
    found = b""
    while byte := memory.read(len(found)):
        found += bytes([byte])
    return found.decode()


# --- memory ---


def test_kstrdup_copies_the_terminator_too(dev: Device) -> None:
    assert text(dev.kstrdup("pmem0")) == "pmem0"


def test_kstrdup_of_null_is_null(dev: Device) -> None:
    assert dev.kstrdup(None) is None


def test_kasprintf_makes_room_for_what_it_formats(k: Kernel, dev: Device) -> None:
    assert text(dev.kasprintf("region", 1234567)) == "region.1234567"
    dev.devres_release_all()
    k.assert_quiescent()


def test_kmalloc_array_refuses_what_overflows(dev: Device) -> None:
    assert dev.kmalloc_array(3, 8)
    with pytest.raises(KernelError) as error:
        dev.kmalloc_array(1 << 62, 8)
    assert error.value.errno == errno.ENOMEM


@pytest.mark.parametrize("operation", ["kstrdup", "kasprintf", "kmalloc_array"])
def test_copy_without_memory_for_it_fails(k: Kernel, dev: Device, operation: str) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "kstrdup": ("x",),
        "kasprintf": ("x", 1),
        "kmalloc_array": (1, 1),
    }
    with k.fault_injection("devm_kmalloc"), pytest.raises(KernelError) as error:
        getattr(dev, operation)(*arguments[operation])
    assert error.value.errno == errno.ENOMEM


# --- entries ---


def test_devres_get_registers_an_entry_only_once(k: Kernel, dev: Device) -> None:
    released: list[Any] = []

    def release(device: Device, data: Any) -> None:
        released.append(data)

    assert dev.devres_get(release, "a") == "a"
    assert dev.devres_get(release, "a") == "a"
    assert dev.devres_count(release) == 1
    assert dev.devres_get(release, "b") == "b"
    assert dev.devres_count(release) == 2
    assert dev.devres_count(release, "a") == 1
    assert dev.devres_release_all() == 2
    # The entry that was not needed has been freed without its release.
    assert released == ["b", "a"]
    k.assert_quiescent()


def test_devres_count_sees_only_entries_of_its_release(dev: Device) -> None:
    def one(device: Device, data: Any) -> None: ...
    def other(device: Device, data: Any) -> None: ...

    dev.devres_add(one, 1)
    dev.add_action(lambda data: None, 1)
    assert dev.devres_count(one) == 1
    assert dev.devres_count(other) == 0


# --- mappings ---


def test_devm_memremap_is_undone_at_release(k: Kernel, dev: Device) -> None:
    dev.memremap(0x80000000, 0x1000, 1)
    assert dev.devres_release_all() == 1
    k.assert_quiescent()


def test_devm_memunmap_undoes_it_early(k: Kernel, dev: Device) -> None:
    dev.memunmap(dev.memremap(0x80000000, 0x1000, 1))
    assert dev.devres_release_all() == 0
    k.assert_quiescent()


def test_devm_memunmap_of_something_else_warns(k: Kernel, dev: Device) -> None:
    dev.memunmap(0x1234)
    assert [v.kind for v in k.violations] == ["warn"]


def test_memremap_of_ram_is_its_address_in_the_direct_map(k: Kernel, dev: Device) -> None:
    assert dev.memremap(0x100000, 0x1000, 1) == k.va(0x100000)


@pytest.mark.parametrize("flags", [2, 4])
def test_memremap_tries_what_is_asked_for(k: Kernel, dev: Device, flags: int) -> None:
    assert dev.memremap(0x80000000, 0x1000, flags)
    assert dev.devres_release_all() == 1
    k.assert_quiescent()


@pytest.mark.parametrize(
    ("start", "size", "flags", "words"),
    [
        (0x80000000, 0x1000, 0, None),
        (0x3FFFF000, 0x2000, 1, "memremap attempted on mixed range"),
        (0x100000, 0x1000, 2, "memremap attempted on ram"),
    ],
)
def test_memremap_refuses(
    k: Kernel, dev: Device, start: int, size: int, flags: int, words: str | None
) -> None:
    with pytest.raises(KernelError) as error:
        dev.memremap(start, size, flags)
    assert error.value.errno == errno.ENXIO
    assert any(words in line for line in k.dmesg) if words else not k.dmesg


def test_devm_memremap_without_memory_fails(k: Kernel, dev: Device) -> None:
    with k.fault_injection("devm_memremap"), pytest.raises(KernelError) as error:
        dev.memremap(0x80000000, 0x1000, 1)
    assert error.value.errno == errno.ENOMEM


def test_ioremap_resource_claims_and_maps_until_unbind(k: Kernel, dev: Device) -> None:
    before = str(k.iomem)
    mapped = dev.ioremap_resource(k.resource(0x80000010, 0x800000FF, "regs"))
    assert mapped & 0xFFF == 0x10
    assert "80000010-800000ff : regs" in str(k.iomem)
    assert dev.devres_release_all() == 2
    assert str(k.iomem) == before and k.dmesg == []
    k.assert_quiescent()
    assert dev.ioremap_resource(k.resource(0x80000000, 0x80000FFF)) & 0xFFF == 0
    assert f"80000000-80000fff : {dev.name}" in str(k.iomem), "without a name it is the device's"


def test_iounmap_undoes_it_early(k: Kernel, dev: Device) -> None:
    mapped = dev.ioremap_resource(k.resource(0x80000000, 0x80000FFF))
    dev.iounmap(mapped)
    assert dev.devres_release_all() == 1, "the claim is left"
    assert k.violations == []
    dev.iounmap(mapped)
    assert [v.kind for v in k.violations] == ["warn"]


@pytest.mark.parametrize(
    ("start", "flags", "number", "words"),
    [
        (None, 0, errno.EINVAL, "invalid resource"),
        (0x60, 0x100, errno.EINVAL, "invalid resource"),
        (0x100000, 0x200, errno.EBUSY, "can't request region for resource [mem 0x00100000]"),
        (0x80000000, 0x200, errno.ENOMEM, "ioremap failed for resource [mem 0x80000000]"),
    ],
)
def test_ioremap_resource_refuses_and_leaves_nothing(
    k: Kernel, dev: Device, start: int | None, flags: int, number: int, words: str
) -> None:
    before = str(k.iomem)
    resource = None if start is None else k.resource(start, start, flags=flags)
    with k.fault_injection("devm_ioremap"), pytest.raises(KernelError) as error:
        dev.ioremap_resource(resource)
    assert error.value.errno == number
    assert k.dmesg[-1].endswith(f" {dev.name}: {words}")
    assert str(k.iomem) == before and dev.devres_release_all() == 0


# --- the bus ---


def test_device_bound_without_a_probe_is_unbound_as_any_other(k: Kernel) -> None:
    seen: list[str] = []
    k.autoprobe(False)
    assert not k.autoprobes
    driver = k.driver(
        "foo", probe=lambda dev: seen.append("probe"), remove=lambda dev: seen.append("remove")
    )
    dev = k.device("foo.0")
    assert not dev.bound
    dev.bind_driver(driver)
    assert dev.bound
    assert dev.driver == driver
    dev.unbind()
    assert seen == ["remove"]
    k.autoprobe(True)
    assert k.autoprobes


def test_binding_again_says_so(k: Kernel) -> None:
    driver = k.driver("foo", probe=lambda dev: 0)
    dev = k.device("foo.0")
    assert dev.bound
    dev.bind_driver(driver)
    assert k.dmesg[-1] == "driver_bound: device foo.0 already bound"


def test_failed_bind_without_a_probe_is_told_to_listeners(k: Kernel) -> None:
    events: list[BusEvent] = []
    driver = k.driver("foo", probe=lambda dev: 0)
    k.autoprobe(False)
    dev = k.device("foo.0")
    k.notifier(lambda event, device: events.append(BusEvent(event)))
    with k.fault_injection(nth=1), pytest.raises(KernelError) as error:
        dev.bind_driver(driver)
    assert error.value.errno == errno.ENOMEM
    assert events == [BusEvent.BIND_DRIVER, BusEvent.DRIVER_NOT_BOUND]
    assert dev.driver is None


def test_bind_to_a_driver_that_is_not_registered_is_refused(k: Kernel) -> None:
    driver = k.driver("foo", probe=lambda dev: 0, register=False)
    with pytest.raises(ValueError, match="a registered driver"):
        k.device("foo.0").bind_driver(driver)


def test_drivers_probe_binds_a_device_that_was_left_alone(k: Kernel) -> None:
    k.driver("foo", probe=lambda dev: 0)
    k.autoprobe(False)
    dev = k.device("foo.0")
    assert not dev.bound
    dev.drivers_probe()
    assert dev.bound
    dev.drivers_probe()  # bound already: nothing to do


def test_drivers_probe_without_a_driver_is_no_error(k: Kernel) -> None:
    dev = k.device("foo.0")
    dev.drivers_probe()
    assert not dev.bound


def test_drivers_probe_of_a_device_that_is_not_on_the_bus_fails(k: Kernel) -> None:
    dev = k.device("foo.0", add=False)
    with pytest.raises(KernelError) as error:
        dev.drivers_probe()
    assert error.value.errno == errno.ENODEV


def test_driver_without_memory_for_its_private_part_is_not_registered(k: Kernel) -> None:
    driver = k.driver("foo", probe=lambda dev: 0, register=False)
    with k.fault_injection("bus_add_driver"), pytest.raises(KernelError) as error:
        driver.register()
    assert error.value.errno == errno.ENOMEM
    driver.register()


def test_pages_without_an_entry_for_them_are_given_back(k: Kernel, dev: Device) -> None:
    with k.fault_injection(nth=2) as fault, pytest.raises(KernelError) as error:
        dev.get_free_pages(0)
    assert fault.hits == 1
    assert error.value.errno == errno.ENOMEM
    k.assert_quiescent()
