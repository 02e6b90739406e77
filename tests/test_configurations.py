# SPDX-License-Identifier: GPL-2.0-only
"""Every configuration runs a device from bind to unbind, and what it switches off stays off."""

from __future__ import annotations

from typing import Any

import pytest

from memremap_emu import Config, Kernel

START, SIZE = 0x140000000, 0x40000000
MAP = "00000000-3fffffff : System RAM\n140000000-17fffffff : Persistent Memory (legacy)\n"


def cycle(k: Kernel, *, altmap: bool = False) -> None:
    k.iomem.load(MAP)
    shift = k.config.page_shift
    for name in ("pmem", "dax_pmem"):
        driver = k.driver(name, altmap=altmap)
        device = driver.device(START, SIZE)
        for _ in range(2):
            driver.bind(device)
            page = k.page((START + SIZE // 2) >> shift)
            assert page.zone == "Device"
            assert k.zero_shadow_present(START >> shift) == k.config.kasan
            page.get()
            page.put()
            driver.unbind(device)
            k.assert_quiescent()
    assert k.violations == []


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"kasan": False},
        {"pat": False},
        {"preempt_rcu": False},
        {"debug_vm": False},
        {"debug_devres": True},
        {"numa_nodes": 4},
        {"page_shift": 14},
        {"page_shift": 16},
        {"section_size_bits": 30},
    ],
    ids=lambda changed: " ".join(f"{k}={v}" for k, v in changed.items()) or "default",
)
def test_devices_come_and_go(changed: dict[str, Any], checked: bool) -> None:
    with Kernel(config=Config(**changed), checked=checked) as k:
        cycle(k)


@pytest.mark.parametrize("cpus", [1, 2, 64])
def test_devices_come_and_go_on_any_number_of_cpus(cpus: int) -> None:
    with Kernel(cpus=cpus) as k:
        cycle(k)


@pytest.mark.parametrize("page_shift", [12, 14, 16])
def test_devices_keep_their_struct_pages_at_any_page_size(page_shift: int) -> None:
    with Kernel(config=Config(page_shift=page_shift)) as k:
        cycle(k, altmap=True)


def test_debug_devres_logs_what_is_registered_and_released() -> None:
    with Kernel(config=Config(debug_devres=True)) as k:
        k.iomem.load(MAP)
        pmem = k.driver("pmem")
        device = pmem.device(START, SIZE)
        pmem.bind(device)
        pmem.unbind(device)
        lines = [line.split() for line in k.dmesg if "DEVRES" in line]
        added = [line[4:6] for line in lines if line[3] == "ADD"]
        released = [line[4:6] for line in lines if line[3] == "REL"]
        assert "devm_action_release" in [name for _, name in added]
        removed = [line[4:6] for line in lines if line[3] == "REM"]
        assert sorted(added) == sorted(released + removed)
