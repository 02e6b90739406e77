# SPDX-License-Identifier: GPL-2.0-only
"""Binding and unbinding: who is called in which order, and what a failed probe leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memremap_emu import Blocked, BusEvent, Kernel, KernelError, Violation
from memremap_emu.objects import Device, Driver

EPROBE_DEFER = 517


class Recorder:
    """A driver "drv" of the platform bus, a notifier, and the order of what happens."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.events: list[str] = []
        self.error = 0
        self.setup: Callable[[Device], Any] = lambda device: None
        self.driver: Driver = k.driver("drv", probe=self.probe, remove=self.remove)

    def probe(self, device: Device) -> int:
        self.events.append("probe")
        self.setup(device)
        if self.error:
            raise KernelError(self.error)
        return 0

    def remove(self, device: Device) -> None:
        self.events.append(f"remove driver={device.driver is not None}")

    def action(self, data: Any) -> None:
        self.events.append(f"{data} driver={self.device.driver is not None}")

    def watch(self) -> None:
        self.k.notifier(lambda event, device: self.events.append(BusEvent(event).name), priority=0)

    def new_device(self, name: str = "drv.0") -> Device:
        self.device: Device = self.k.device(name, add=False)
        return self.device


@pytest.fixture
def r(k: Kernel) -> Recorder:
    return Recorder(k)


def errno_of(call: Callable[..., Any], *args: Any) -> int | None:
    with pytest.raises(KernelError) as error:
        call(*args)
    return error.value.errno


# --- probe ---


def test_bind_and_unbind_run_in_order(r: Recorder) -> None:
    r.watch()
    r.setup = lambda device: device.add_action(r.action, "action")
    dev = r.new_device()
    dev.add()
    assert r.events == ["ADD_DEVICE", "BIND_DRIVER", "probe", "BOUND_DRIVER"]
    assert dev.bound and dev.driver == r.driver
    r.events.clear()
    r.driver.unbind(dev)
    assert r.events == [
        "UNBIND_DRIVER",
        "remove driver=True",
        "action driver=True",
        "UNBOUND_DRIVER",
    ]
    assert not dev.bound and dev.driver is None


def test_failed_probe_tells_the_bus_and_then_releases_with_the_driver_still_set(
    r: Recorder,
) -> None:
    r.watch()
    r.setup = lambda device: device.add_action(r.action, "action")
    r.error = 12
    dev = r.new_device()
    dev.add()  # a probe error does not fail device_add()
    assert r.events == [
        "ADD_DEVICE", "BIND_DRIVER", "probe", "DRIVER_NOT_BOUND", "action driver=True",
    ]  # fmt: skip
    assert dev.driver is None and not dev.bound and dev.registered
    assert "drv: probe of drv.0 failed with error -12" in r.k.dmesg


@pytest.mark.parametrize(("error", "name"), [(19, "ENODEV"), (6, "ENXIO")])
def test_probe_that_rejects_the_match_is_silent(r: Recorder, error: int, name: str) -> None:
    r.error = error
    dev = r.new_device()
    dev.add()
    assert not dev.bound
    assert not [line for line in r.k.dmesg if "failed" in line], name


def test_drvdata_is_cleared_after_unbind_and_after_a_failed_probe(r: Recorder) -> None:
    def setup(device: Device) -> None:
        device.drvdata = 0x1234

    r.setup = setup
    dev = r.new_device()
    dev.add()
    assert dev.drvdata == 0x1234
    r.driver.unbind(dev)
    assert dev.drvdata == 0
    r.error = 22
    errno_of(r.driver.bind, dev)
    assert dev.drvdata == 0


def test_probe_with_entries_left_over_warns_and_goes_on() -> None:
    with Kernel(on_violation="record") as k:
        r = Recorder(k)
        dev = r.new_device()
        dev.add_action(r.action, "left")
        dev.add()
        assert dev.bound
        assert any("drivers/base/dd.c:479 really_probe" in line for line in k.dmesg)
        r.driver.unbind(dev)
        assert r.events[-1] == "left driver=True", "released at the next unbind"


def test_deferred_probe_is_tried_again_when_another_succeeds(r: Recorder) -> None:
    r.error = EPROBE_DEFER
    first = r.new_device("drv.0")
    first.add()
    assert not first.bound and r.events == ["probe"]
    assert not [line for line in r.k.dmesg if "failed" in line]
    r.error = 0
    second = r.new_device("drv.1")
    second.add()
    assert second.bound and first.bound
    assert r.events == ["probe", "probe", "probe"]


def test_deferred_device_that_is_deleted_is_not_probed_again(r: Recorder) -> None:
    r.error = EPROBE_DEFER
    first = r.new_device("drv.0")
    first.add()
    first.delete()
    r.error = 0
    second = r.new_device("drv.1")
    second.add()
    assert r.events == ["probe", "probe"]


def test_bind_of_a_deferring_driver_answers_enodev(r: Recorder) -> None:
    r.k.autoprobe(False)
    r.error = EPROBE_DEFER
    dev = r.new_device()
    dev.add()
    assert errno_of(r.driver.bind, dev) == 19


def test_blocked_probing_defers_at_once_and_bind_says_so(r: Recorder) -> None:
    r.k.autoprobe(False)
    dev = r.new_device()
    dev.add()
    r.k.block_probing(True)
    assert errno_of(r.driver.bind, dev) == EPROBE_DEFER
    assert r.events == [] and dev.driver is None
    r.k.autoprobe(True)
    r.k.block_probing(False)
    assert dev.bound and r.events == ["probe"], "probed as soon as that is allowed"


def test_driver_registered_later_probes_the_devices_that_are_there(k: Kernel) -> None:
    probed: list[str] = []
    for name in ("late.0", "late.1", "other.0"):
        k.device(name)

    def probe(device: Device) -> int:
        probed.append(device.name)
        return 0

    k.driver("late", probe=probe)
    assert probed == ["late.0", "late.1"]


def test_device_matches_the_driver_of_its_name_only(r: Recorder) -> None:
    dev = r.new_device("drvx.0")
    dev.add()
    assert not dev.bound and r.events == []
    assert errno_of(r.driver.bind, dev) == 19


def test_match_of_a_driver_answers_in_place_of_the_names(k: Kernel) -> None:
    asked: list[str] = []

    def match(device: Device) -> int:
        asked.append(device.name)
        return int(device.name == "any.7")

    driver = k.driver("odd", probe=lambda device: 0, match=match)
    devices = [k.device(name) for name in ("odd.0", "any.7")]
    assert asked == ["odd.0", "any.7"]
    assert [dev.driver == driver for dev in devices] == [False, True]


def test_negative_match_of_a_new_device_ends_the_search_and_is_told_nobody(k: Kernel) -> None:
    k.driver("first", probe=lambda device: 0, match=lambda device: -5)
    k.driver("dev", probe=lambda device: 0)
    dev = k.device("dev.0")
    assert dev.driver is None, "the second driver would have matched"


def test_match_that_asks_for_deferral_queues_the_device_and_is_probed_all_the_same(
    k: Kernel,
) -> None:
    events: list[str] = []
    k.driver("d", probe=lambda device: events.append("probe"), match=lambda device: -EPROBE_DEFER)
    assert k.device("dev.0").bound and events == ["probe"]


def test_negative_match_counts_as_one_when_somebody_writes_to_bind(k: Kernel) -> None:
    k.autoprobe(False)
    driver = k.driver("d", probe=lambda device: 0, match=lambda device: -5)
    dev = k.device("dev.0")
    driver.bind(dev)
    assert dev.driver == driver


@pytest.mark.parametrize("errno", [5, 12])
def test_negative_match_fails_the_registration_and_leaves_freed_memory_on_the_bus(
    errno: int,
) -> None:
    with Kernel(checked=True) as k:
        k.device("dev.0")
        driver = k.driver("d", probe=lambda device: 0, match=lambda device: -errno, register=False)
        assert errno_of(driver.register) == errno
        with pytest.raises(Violation) as violation:
            k.device("dev.1")
        (first, *_) = violation.value.records
        assert first.kind == "use-after-free"
        assert "bus_add_driver" in first.message


def test_registering_a_driver_name_twice_is_ebusy(r: Recorder) -> None:
    second = r.k.driver("drv", probe=lambda device: 0, register=False)
    assert errno_of(second.register) == 16
    assert "Error: Driver 'drv' is already registered, aborting..." in r.k.dmesg


def test_unregister_of_a_driver_that_was_never_registered_warns() -> None:
    with Kernel(on_violation="record") as k:
        driver = k.driver("drv", probe=lambda device: 0, register=False)
        driver.unregister()
        assert "Unexpected driver unregister!" in k.dmesg


def test_unregistering_a_driver_unbinds_the_last_device_first(r: Recorder) -> None:
    unbound: list[str] = []
    r.k.notifier(
        lambda event, device: (
            unbound.append(device.name) if event == BusEvent.UNBOUND_DRIVER else None
        )
    )
    devices = []
    for i in range(3):
        devices.append(r.new_device(f"drv.{i}"))
        devices[-1].add()
    r.driver.unregister()
    assert unbound == ["drv.2", "drv.1", "drv.0"]
    assert not any(d.bound for d in devices)


def test_deleting_a_device_unbinds_it_between_the_notifications(r: Recorder) -> None:
    dev = r.new_device()
    dev.add()
    r.watch()
    r.events.clear()
    dev.delete()
    assert r.events == [
        "DEL_DEVICE", "UNBIND_DRIVER", "remove driver=True", "UNBOUND_DRIVER", "REMOVED_DEVICE",
    ]  # fmt: skip


# --- sysfs ---


def test_bind_file_wants_a_device_of_the_bus_without_a_driver_that_matches(
    r: Recorder,
) -> None:
    r.k.autoprobe(False)
    dev, other = r.new_device(), r.k.device("other.0")
    assert errno_of(r.driver.bind, dev) == 19, "not on the bus yet"
    dev.add()
    r.driver.bind(dev)
    assert dev.bound
    assert errno_of(r.driver.bind, dev) == 19, "bound already"
    assert errno_of(r.driver.bind, other) == 19, "does not match"
    assert errno_of(r.driver.bind, "nobody.7") == 19


def test_bind_file_answers_enodev_whatever_the_probe_said(r: Recorder) -> None:
    r.k.autoprobe(False)
    dev = r.new_device()
    dev.add()
    for error in (12, 16, 22):
        r.error = error
        assert errno_of(r.driver.bind, dev) == 19
    assert "drv: probe of drv.0 failed with error -16" in r.k.dmesg


def test_names_may_end_in_one_newline(r: Recorder) -> None:
    r.k.autoprobe(False)
    dev = r.new_device()
    dev.add()
    assert errno_of(r.driver.bind, "drv.0\n\n") == 19
    r.driver.bind("drv.0\n")
    assert dev.bound
    r.driver.unbind("drv.0\n")
    assert not dev.bound


def test_unbind_file_wants_a_device_bound_to_this_driver(r: Recorder) -> None:
    other = r.k.driver("other", probe=lambda device: 0)
    dev = r.new_device()
    dev.add()
    assert errno_of(other.unbind, dev) == 19
    assert dev.bound
    r.driver.unbind(dev)
    assert errno_of(r.driver.unbind, dev) == 19


def test_autoprobe_off_leaves_new_devices_alone(r: Recorder) -> None:
    r.k.autoprobe(False)
    dev = r.new_device()
    dev.add()
    assert not dev.bound
    r.k.autoprobe(True)
    assert dev.attach() == 1 and dev.bound
    assert dev.attach() == 1, "bound already"


# --- blocking ---


def test_action_that_waits_hangs_the_unbind_and_everything_that_needs_the_device_lock(
    r: Recorder,
) -> None:
    x = r.k.completion("last user")

    def wait(data: Any) -> Iterator[Any]:
        yield x.wait

    r.setup = lambda device: device.add_action(wait)
    dev = r.new_device()
    dev.add()
    with pytest.raises(Blocked) as unbind:
        r.driver.unbind(dev)
    assert unbind.value.waits_for == "completion last user"
    with pytest.raises(Blocked) as second:
        r.driver.unbind(dev)
    assert "mutex" in second.value.waits_for
    with pytest.raises(Blocked):
        r.driver.unregister()
    x.complete()
    assert unbind.value.task.done and second.value.task.done
    assert dev.driver is None


def test_unbind_from_the_devices_own_remove_deadlocks_on_its_lock(k: Kernel) -> None:
    def remove(device: Device) -> Iterator[Any]:
        yield device.release_driver

    k.driver("drv", probe=lambda device: 0, remove=remove)
    dev = k.device("drv.0")
    with pytest.raises(Blocked) as blocked:
        dev.release_driver()
    assert blocked.value.waits_for.startswith("mutex")


# --- notifiers and references ---


def test_notifiers_run_by_priority_and_then_by_registration(k: Kernel) -> None:
    order: list[str] = []
    for name, priority in (("b", 0), ("a", 10), ("c", 0), ("d", -1)):
        k.notifier(lambda e, d, name=name: order.append(name), priority=priority)
    k.device("x.0")
    assert order == ["a", "b", "c", "d"]


def test_unregistered_notifier_is_not_called(k: Kernel) -> None:
    order: list[int] = []
    notifier = k.notifier(lambda event, device: order.append(event))
    notifier.unregister()
    k.device("x.0")
    assert order == []
    with pytest.raises(ValueError):
        notifier.unregister()


def test_device_without_release_function_is_broken() -> None:
    with Kernel(on_violation="record") as k:
        dev = k.device("x.0", bus=False, release=False)
        dev.unregister()
        text = "Device 'x.0' does not have a release() function, it is broken and must be fixed."
        assert text in k.dmesg


def test_device_lives_until_the_last_put(k: Kernel) -> None:
    dev = k.device("x.0", bus=False)
    dev.get()
    dev.unregister()
    assert not dev.registered and dev.name == "x.0"
    dev.put()
    with pytest.raises(ValueError):
        _ = dev.registered


def test_messages_carry_driver_or_bus_or_nothing_and_the_device(r: Recorder) -> None:
    dev = r.new_device()
    dev.printk("not added yet")
    dev.add()
    dev.printk("bound", 6)
    bare = r.k.device("x.0", bus=False)
    bare.printk("no bus", 4)
    r.k.printk("no device")
    assert r.k.dmesg_levels == [
        (3, "platform drv.0: not added yet"),
        (6, "drv drv.0: bound"),
        (4, " x.0: no bus"),
        (3, "(NULL device *): no device"),
    ]


def test_dev_warn_has_the_shape_of_a_kernel_warning(r: Recorder) -> None:
    dev = r.new_device()
    dev.add()
    with pytest.raises(Violation) as error:
        dev.warn("page mapping is still live!")
    assert error.value.kind == "warn"
    lines = r.k.dmesg
    assert lines[0] == "------------[ cut here ]------------"
    assert lines[1] == "drv drv.0: page mapping is still live!"
    assert lines[2].startswith("WARNING: CPU: 0 PID: ")
    assert lines[-1].startswith("---[ end trace ") and len(lines[-1].split()[3]) == 16


def test_device_add_without_memory_is_enomem(k: Kernel) -> None:
    dev = k.device("x.0", add=False)
    with k.fault_injection("device_private_init"):
        assert errno_of(dev.add) == 12
    assert not dev.registered
    dev.add()
    assert dev.registered


def test_probe_may_use_the_devices_lock_only_if_it_wants_to_hang(k: Kernel) -> None:
    def probe(device: Device) -> Iterator[Any]:
        yield device.lock

    k.driver("drv", probe=probe)
    dev = k.device("drv.0", add=False)
    with pytest.raises(Blocked) as blocked:
        dev.add()
    assert blocked.value.waits_for.startswith("mutex")
