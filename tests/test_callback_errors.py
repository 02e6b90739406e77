# SPDX-License-Identifier: GPL-2.0-only
"""Callbacks that yield operations: an error is raised where the operation was yielded."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from typing import Any

import pytest

from memremap_emu import Blocked, Kernel, KernelError
from memremap_emu.objects import Device, Driver

Steps = Generator[Callable[[], Any], Any, int]


def refusing_driver(k: Kernel) -> Driver:
    """A driver whose ``bind`` file always answers ENODEV, after it has taken the device's lock."""
    driver: Driver = k.driver("refusing", probe=lambda device: -errno.ENODEV)
    return driver


def bound_device(k: Kernel, action: Callable[[None], Steps]) -> Device:
    """A bound device that runs ``action`` when it is unbound."""

    def probe(device: Device) -> int:
        device.add_action(action)
        return 0

    k.driver("acting", probe=probe)
    return k.device("acting.0")


def test_an_operation_that_fails_at_once_raises_inside_the_callback() -> None:
    caught: list[int | None] = []
    with Kernel() as k:
        driver = refusing_driver(k)
        other = k.device("refusing.0")

        def action(data: None) -> Steps:
            try:
                yield lambda: driver.bind(other)
            except KernelError as e:
                caught.append(e.errno)
            yield k.might_sleep
            caught.append(0)
            return 0

        bound_device(k, action).release_driver()
    assert caught == [errno.ENODEV, 0]


def test_an_operation_that_waits_gives_the_callback_what_c_returned() -> None:
    given: list[int] = []
    with Kernel() as k:
        driver = refusing_driver(k)
        other = k.device("refusing.0")

        def action(data: None) -> Steps:
            given.append((yield lambda: driver.bind(other)))
            return 0

        device = bound_device(k, action)
        holder = k.task(name="holder")
        with holder:
            other.lock()
        with pytest.raises(Blocked) as blocked:
            device.release_driver()
        assert given == []
        with holder:
            other.unlock()
        assert blocked.value.task.done
    assert given == [-errno.ENODEV]


def test_an_error_that_the_callback_does_not_catch_is_its_result() -> None:
    with Kernel() as k:
        driver = refusing_driver(k)
        other = k.device("refusing.0")

        def probe(device: Device) -> Steps:
            yield lambda: driver.bind(other)
            return 0

        k.driver("acting", probe=probe)
        device = k.device("acting.0")
        assert device.driver is None
