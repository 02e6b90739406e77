# SPDX-License-Identifier: GPL-2.0-only
"""The queue of a pmem disk: who may enter, who waits, who is turned away."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from memremap_emu import Blocked, Kernel, KernelError
from memremap_emu.device import Device

START, SIZE = 0x140000000, 0x40000000
MAP = "00000000-3fffffff : System RAM\n140000000-17fffffff : Persistent Memory (legacy)\n"
SECTORS = SIZE // 512


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        kernel.iomem.load(MAP)
        yield kernel


@pytest.fixture
def disk(k: Kernel) -> Device:
    pmem = k.driver("pmem", mode="raw")
    device = pmem.device(START, SIZE)
    pmem.bind(device)
    return device


def unbind(k: Kernel, device: Device) -> None:
    k.driver("pmem").unbind(device)


def test_io_is_in_flight_until_it_ends(k: Kernel, disk: Device) -> None:
    bio = disk.submit_bio()
    assert bio.status is None
    bio.end()
    unbind(k, disk)
    k.assert_quiescent()


def test_io_to_the_last_sectors_is_taken(disk: Device) -> None:
    bio = disk.submit_bio(SECTORS - 8, 4096)
    assert bio.status is None
    bio.end()


@pytest.mark.parametrize(("sector", "size"), [(SECTORS - 7, 4096), (SECTORS, 512)])
def test_io_beyond_the_end_fails_and_leaves_the_queue(
    k: Kernel, disk: Device, sector: int, size: int
) -> None:
    bio = disk.submit_bio(sector, size, write=True)
    assert bio.status == errno.EIO
    bio.end()
    unbind(k, disk)
    k.assert_quiescent()


def test_unbind_waits_for_io_in_flight(k: Kernel, disk: Device) -> None:
    bio = disk.submit_bio()
    with pytest.raises(Blocked, match="percpu_ref_is_zero") as blocked:
        unbind(k, disk)
    assert not blocked.value.task.done
    bio.end()
    assert blocked.value.task.done
    k.assert_quiescent()


def test_freeze_waits_for_io_in_flight(disk: Device) -> None:
    bio = disk.submit_bio()
    with pytest.raises(Blocked, match="percpu_ref_is_zero") as blocked:
        disk.freeze_queue()
    assert disk.queue_freeze_depth == 1
    bio.end()
    assert blocked.value.task.done
    disk.unfreeze_queue()


def test_io_waits_for_the_last_unfreeze(disk: Device) -> None:
    disk.freeze_queue()
    disk.freeze_queue()
    assert disk.queue_freeze_depth == 2
    with pytest.raises(Blocked, match="mq_freeze_depth") as blocked:
        disk.submit_bio()
    disk.unfreeze_queue()
    assert not blocked.value.task.done
    disk.unfreeze_queue()
    assert blocked.value.task.done
    assert not disk.queue_ref.is_zero


def test_io_that_may_not_wait_is_told_to_come_again(disk: Device) -> None:
    disk.freeze_queue()
    bio = disk.submit_bio(nowait=True)
    assert bio.status == errno.EAGAIN
    bio.end()
    disk.unfreeze_queue()


def test_io_that_waits_for_an_unfreeze_fails_when_the_queue_dies(k: Kernel, disk: Device) -> None:
    disk.freeze_queue()
    with pytest.raises(Blocked) as blocked:
        disk.submit_bio()
    unbind(k, disk)
    assert blocked.value.task.done


def test_unfreezing_what_is_not_frozen_is_refused(disk: Device) -> None:
    with pytest.raises(ValueError, match="not frozen"):
        disk.unfreeze_queue()


def test_io_without_memory_for_it_fails(k: Kernel, disk: Device) -> None:
    with k.fault_injection("bio_alloc"), pytest.raises(KernelError) as error:
        disk.submit_bio()
    assert error.value.errno == errno.ENOMEM


def test_queue_of_a_device_that_is_not_bound_is_refused(k: Kernel) -> None:
    device = k.driver("pmem").device(START, SIZE)
    for operation in (
        device.submit_bio,
        device.freeze_queue,
        device.unfreeze_queue,
        lambda: device.queue_ref,
        lambda: device.queue_freeze_depth,
    ):
        with pytest.raises(ValueError, match="not a device bound to nd_pmem"):
            operation()
