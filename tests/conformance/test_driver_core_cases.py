# SPDX-License-Identifier: GPL-2.0-only
"""The recorded cases of managed resources and the driver core, re-enacted."""

from __future__ import annotations

from typing import Any

import pytest
from harness import BASE, MB, SECTION, VERSIONS, Boot, Odev, case, check, errno_of

from memremap_emu.objects import Device

ENXIO, EPERM, ENODEV = -6, -1, -19
GROUP1, GROUP2 = 1, 2


class Callbacks:
    """The recorder's action and release functions for one boot."""

    def __init__(self, boot: Boot) -> None:
        self.boot = boot

    def action(self, data: str) -> None:
        self.boot.P(f"ev=action data={data}")

    def release(self, device: Device, data: str) -> None:
        self.boot.P(
            f"ev=devres_release data={data} driver_set={int(device.driver is not None)} "
            f"drvdata={int(device.drvdata != 0)}"
        )

    def add(self, device: Device, data: str) -> None:
        device.devres_add(self.release, data)


def order_probe(o: Odev, device: Device) -> int:
    c: Callbacks = o.extra["callbacks"]
    device.drvdata = 0x1000 + o.id
    device.add_action(c.action, "a1")
    c.add(device, "r2")
    device.kzalloc(10)
    device.add_action(c.action, "a3")
    device.add_action(c.action, "dup")
    device.add_action(c.action, "dup")
    device.remove_action(c.action, "dup")
    o.boot.P("removed one dup")
    c.add(device, "r4")
    return o.arg


@case
def b_order(b: Boot) -> None:
    o = b.odev(order_probe, extra={"callbacks": Callbacks(b)})
    b.reg(o)
    b.unbind(o)
    for error in (ENODEV, ENXIO, EPERM):
        o.arg = error
        b.P(f"rebind with probe error {error}")
        b.P(f"device_attach={b.attach(o)}")
    o.arg = 0
    b.P(f"device_attach={b.attach(o)}")
    b.P(f"device_attach_again={b.attach(o)}")
    b.delete(o)


def group_probe(o: Odev, device: Device) -> int:
    c: Callbacks = o.extra["callbacks"]
    say = o.boot.P

    def group_with(*names: str) -> None:
        device.open_group(GROUP1)
        for name in names:
            c.add(device, name)

    match o.arg:
        case 0:
            group_with("a")
            device.open_group(GROUP2)
            c.add(device, "b")
            device.close_group(GROUP2)
            c.add(device, "c")
            device.close_group(GROUP1)
            c.add(device, "d")
        case 1:
            group_with("a")
            device.open_group(GROUP2)
            c.add(device, "b")
            device.close_group(GROUP1)
            c.add(device, "c")
            device.close_group(GROUP2)
        case 2:
            group_with("a")
            device.open_group(GROUP2)
            c.add(device, "b")
            device.close_group(GROUP1)
            c.add(device, "c")
        case 3:
            say(f"auto_id_nonnull={int(device.open_group() != 0)}")
            c.add(device, "a")
            c.add(device, "b")
            say(f"release NULL(open) ={device.release_group()}")
            c.add(device, "z")
            return 0
        case 4:
            group_with("a")
            device.close_group(GROUP1)
            device.remove_group(GROUP1)
            say("removed group")
            say(f"release unknown={device.release_group(GROUP1)}")
            device.close_group(GROUP2)
            device.remove_group(GROUP2)
            return 0
        case _:
            group_with("a")
            group_with("b")
            say(f"same id twice, inner first={device.release_group(GROUP1)}")
            say(f"second={device.release_group(GROUP1)}")
            return 0
    say(f"example={o.arg} release_group(g1)={device.release_group(GROUP1)}")
    say(f"example={o.arg} then release_group(g2)={device.release_group(GROUP2)}")
    return 0


@case
def b_groups(b: Boot) -> None:
    for example in range(6):
        o = b.odev(group_probe, arg=example, extra={"callbacks": Callbacks(b)})
        b.P(f"example={example} start")
        b.reg(o)
        b.P(f"example={example} unbind: remaining")
        b.unbind(o)
        b.delete(o)


def failing_probe(o: Odev, device: Device) -> int:
    c: Callbacks = o.extra["callbacks"]
    b = o.boot
    for name, add, data in (
        ("devm_add_action", device.add_action, "plain"),
        ("devm_add_action_or_reset", device.add_action_or_reset, "or_reset"),
    ):
        with b.fail_nth(1) as fault:
            rc = errno_of(add, c.action, data)
        b.P(f"{name} fail rc={rc} left={fault.left}")
    with b.fail_nth(1):
        failed = errno_of(device.kzalloc, 8) != 0
    b.P(f"devm_kzalloc fail={failed:d}")
    for n in (1, 2):
        with b.fail_nth(n) as fault:
            failed = device.request_mem_region(BASE, SECTION, "x") is None
        b.P(f"devm_request_mem_region fail{n}={failed:d}")
    b.P(f"left={fault.left}")
    b.P(f"devm_kmalloc size0 valid={int(errno_of(device.kmalloc, 0) == 0)}")
    return 0


@case
def b_fail(b: Boot) -> None:
    o = b.odev(failing_probe, extra={"callbacks": Callbacks(b)})
    b.reg(o)
    b.unbind(o)
    b.delete(o)


@case
def b_self(b: Boot) -> None:
    c = Callbacks(b)
    say = b.P

    def remove_itself(data: Any) -> None:
        say("ev=self_removing_action")
        o.device.remove_action(remove_itself, data)
        say("ev=self_removing_action_returned")

    def add_another(data: Any) -> None:
        say("ev=adder")
        o.device.add_action(c.action, "added_in_callback")

    def remove_older(data: Any) -> None:
        say("ev=remove_older_from_newer")
        o.device.remove_action(c.action, "older")

    def probe(o: Odev, device: Device) -> int:
        say(f"probe n={o.nprobe}")
        if o.nprobe == 1:
            device.add_action(remove_itself)
            device.add_action(add_another)
            device.add_action(c.action, "older")
            device.add_action(remove_older)
        return 0

    o = b.odev(probe)
    b.reg(o)
    b.unbind(o)
    say("after first unbind; rebind")
    say(f"device_attach={b.attach(o)}")
    say("unbind again")
    b.unbind(o)
    o.device.add_action(c.action, "driverless")
    say("unregistering")
    b.delete(o)
    say("unregistered")


def memory_probe(o: Odev, device: Device) -> int:
    c: Callbacks = o.extra["callbacks"]
    b, say = o.boot, o.boot.P
    r = device.request_mem_region(BASE, SECTION, "oracle-x")
    say(
        f"req={int(r is not None)} name={r.name} flags={r.flags:#x} desc={r.desc} "
        f"parent={r.parent.name}"
    )
    say(f"same_again={int(device.request_mem_region(BASE, SECTION, 'y') is not None)}")
    say(f"inside={int(device.request_mem_region(BASE + MB, MB, 'y') is not None)}")
    device.release_mem_region(BASE, SECTION)
    say("released once")
    device.release_mem_region(BASE, SECTION)
    say("released twice")
    device.request_mem_region(BASE, SECTION, "oracle-x")
    b.k.iomem.release_region(BASE, SECTION)
    say("released by hand, now unbind")
    memory = device.kzalloc(8)
    device.kfree(memory)
    say("devm_kfree once")
    device.kfree(None)
    say("devm_kfree NULL")
    device.remove_action(c.action, "nosuch")
    say("remove unknown action")
    say(
        f"destroy={errno_of(device.devres_destroy, c.release)} "
        f"release={errno_of(device.devres_release, c.release)} "
        f"remove_null={int(device.devres_remove(c.release) is None)} "
        f"find_null={int(device.devres_find(c.release) is None)}"
    )
    c.add(device, "f1")
    c.add(device, "f2")
    say(f"find={device.devres_find(c.release)}")
    say(f"destroy={errno_of(device.devres_destroy, c.release)}")
    say(f"release={errno_of(device.devres_release, c.release)}")
    return 0


@case
def b_mem(b: Boot) -> None:
    o = b.odev(memory_probe, extra={"callbacks": Callbacks(b)})
    b.reg(o)
    b.unbind(o)
    b.delete(o)


@case
def b_notify(b: Boot) -> None:
    def notified(action: int, device: Device) -> None:
        if device.name.startswith("oracle"):
            b.P(f"ev=notifier action={int(action)} driver={int(device.driver is not None)}")

    o = b.odev(order_probe, extra={"callbacks": Callbacks(b)})
    notifier = b.k.notifier(notified)
    b.reg(o)
    b.unbind(o)
    o.arg = EPERM
    b.P(f"attach={b.attach(o)}")
    o.arg = 0
    b.P(f"attach={b.attach(o)}")
    b.delete(o)
    notifier.unregister()


CASES = ["b_order", "b_groups", "b_fail", "b_self", "b_mem", "b_notify"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_checked_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, version=version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_plain_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, checked=False, version=version)
