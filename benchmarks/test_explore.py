# SPDX-License-Identifier: GPL-2.0-only
"""Exploration: how fast, and how much partial-order reduction saves."""

from __future__ import annotations

import time

import pytest
from conftest import figure

from memremap_emu import Kernel
from memremap_emu.explore import Program

START, SIZE = 0x140000000, 1 << 27
PFN = (START >> 12) + 0x1000


def unbind_against(k: Kernel, what: str) -> Program:
    """Unbind of a dax_pmem device against a put or a lookup of one of its pages."""
    k.iomem.load(f"{START:x}-{START + SIZE - 1:x} : Persistent Memory")
    driver = k.driver("dax_pmem")
    device = driver.device(START, SIZE)
    driver.bind(device)
    program = Program(k)
    program.task("unbind").unbind(driver, device)
    if what == "put_page":
        k.page(PFN).get()
        program.task("user").put_page(k.page(PFN))
    else:
        program.task("lookup").lookup(PFN)
    return program


def locks(k: Kernel) -> Program:
    """Three tasks that take a spinlock twice: 12 visible operations."""
    lock = k.spinlock()
    program = Program(k)
    for number in range(3):
        task = program.task(f"t{number}")
        for _ in range(2):
            task.lock(lock).unlock(lock)
    return program


@pytest.mark.parametrize("what", ["put_page", "lookup"])
def test_unbind_against_a_user(what: str) -> None:
    with Kernel(cpus=2, on_violation="record") as k:
        program = unbind_against(k, what)
        program.explore(max_executions=10, stop_at_violation=False)
        start = time.perf_counter()
        found = program.explore(stop_at_violation=False)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        first = program.explore()
        first_seconds = time.perf_counter() - start
    name = f"unbind against {what}"
    figure(f"{name}: executions, all there are", found.executions, "")
    figure(f"{name}: executions a second", found.executions / seconds, "1/s", goal=None)
    figure(f"{name}: one visible operation", seconds / found.steps * 1e9, "ns")
    if first.violating:
        figure(f"{name}: first counterexample", first_seconds * 1e3, "ms", goal=5.0)


def test_reduction() -> None:
    with Kernel(cpus=3, on_violation="record") as k:
        program = locks(k)
        start = time.perf_counter()
        reduced = program.explore(stop_at_violation=False)
        seconds = time.perf_counter() - start
        full = program.explore(stop_at_violation=False, strategy="dfs", max_executions=200000)
    figure("three tasks, a lock twice: executions, reduced", reduced.executions, "")
    figure("the same, every schedule", full.executions, "")
    figure("the same, executions a second", reduced.executions / seconds, "1/s")
