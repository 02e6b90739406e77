# SPDX-License-Identifier: GPL-2.0-only
"""The quick figures: what an operation costs on this machine, beside a yardstick of the same run.

All figures, with their yardsticks and how they are taken, are in ``benchmarks/`` of the source.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from memremap_emu.kernel import Kernel
from memremap_emu.program import Program

_BASE = 1 << 45
_MIB, _GIB, _TIB = 1 << 20, 1 << 30, 1 << 40
_ROUNDS, _TURNS = 5, 10


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: what was measured
        unit: of ``goal`` and ``measured``
        goal: what it should be at most, None: it is for information
        measured: median of five rounds, each the least of ten turns; of searches the least of
            a few
        ratio: of it to its yardstick, None: there is none
        yardstick: what that is
    """

    name: str
    unit: str
    goal: float | None
    measured: float
    ratio: float | None = None
    yardstick: str = ""

    @property
    def met(self) -> bool | None:
        """Is it within its goal?"""
        return None if self.goal is None else self.measured <= self.goal


def _nothing() -> None:
    return None


def _times(
    run: Callable[[], object], yardstick: Callable[[], object], inner: int
) -> tuple[float, float]:
    """Seconds of each, taken in turns: what other processes do to one of them is left out."""
    rounds = []
    for _ in range(_ROUNDS):
        least = [math.inf, math.inf]
        for _ in range(_TURNS):
            for i, function in enumerate((run, yardstick)):
                start = time.perf_counter()
                for _ in range(inner):
                    function()
                least[i] = min(least[i], (time.perf_counter() - start) / inner)
        rounds.append(least)
    return statistics.median(a for a, _ in rounds), statistics.median(b for _, b in rounds)


def _demand(done: bool, what: str) -> None:
    """A figure of work that was not done would be a good one."""
    if not done:
        raise RuntimeError(f"what is measured was not done: {what}")


def figures() -> Iterator[Figure]:
    """Takes the figures, one after the other; in all a few seconds.

    Raises:
        RuntimeError: what was measured has not done its work.
    """
    yield from _machines()
    yield from _mappings()
    yield from _calls()
    yield from _searches()


def _machines() -> Iterator[Figure]:
    for checked in (False, True):

        def cycle(checked: bool = checked) -> None:
            Kernel(checked=checked).close()

        took, _ = _times(cycle, _nothing, 20)
        build = "checked" if checked else "plain"
        yield Figure(f"Kernel() and close(), {build}", "us", None, took * 1e6)


def _mappings() -> Iterator[Figure]:
    with Kernel(checked=False) as k:
        driver = k.driver("dax_pmem")
        little, huge = driver.device(16 * _TIB, _GIB), driver.device(_BASE, 16 * _TIB)

        def cycle_little() -> None:
            driver.bind(little)
            driver.unbind(little)

        def cycle_huge() -> None:
            driver.bind(huge)
            driver.unbind(huge)

        driver.bind(huge)
        middle = k.page((_BASE + 8 * _TIB) >> 12)
        _demand(middle.of_device, "16 TiB are mapped")
        driver.unbind(huge)
        _demand(not middle.valid, "16 TiB are unmapped")
        snapshot = k.snapshot()
        rounds = []
        for _ in range(_ROUNDS):
            rounds.append(_times(cycle_huge, cycle_little, 5))
            snapshot.restore()
        took = statistics.median(a for a, _ in rounds)
        less = statistics.median(b for _, b in rounds)
        yield Figure("map and unmap 16 TiB, plain", "us", 20.0, took * 1e6, took / less, "1 GiB")


def _calls() -> Iterator[Figure]:
    with Kernel(checked=False) as k:
        driver = k.driver("pmem", mode="memory")
        driver.bind(driver.device(_BASE, _GIB))
        page = k.page((_BASE + _GIB // 2) >> 12)
        nothing, machine, pfn = k._native.lib.emu_nothing, k._native.m, page.pfn
        calls = [None] * 2000

        def gets() -> None:
            for _ in calls:
                page.get()

        def bare() -> None:
            for _ in calls:
                nothing(machine, pfn)

        before = page.count
        gets()
        _demand(page.count == before + len(calls), "a page is got")
        took, least = _times(gets, bare, 2)
        took, least = took / len(calls), least / len(calls)
        yield Figure(
            "page.get()", "ns", 1.6 * least * 1e9, took * 1e9, took / least, "a bare call of C"
        )


def _searches() -> Iterator[Figure]:
    start, size = 0x140000000, 128 * _MIB
    race = (
        Program("memremap-v6")
        .memory(start, start + size - 1)
        .device("pmem0", "dax_pmem", start, size)
        .setup("bind pmem0", "get_page pmem0 0")
        .task("unbind", "unbind pmem0")
        .task("user", "put_page pmem0 0")
    )
    with race.boot() as booted:
        tasks = booted.tasks()
        fresh = booted.kernel.snapshot()
        best = math.inf
        for _ in range(_ROUNDS):
            begin = time.perf_counter()
            found = tasks.explore()
            best = min(best, time.perf_counter() - begin)
            fresh.restore()
        kinds = [violation.kind for violation in found.violations]
        _demand("memmap-removed" in kinds, "the race is found")
        yield Figure("final page put race: first counterexample", "ms", 5.0, best * 1e3)
    for users, goal, executions in ((3, 5.0, 2565), (4, 400.0, 219569)):
        program = (
            Program(cpus=users + 1).object("ref", "ref_test").task("owner", "ref_test_kill ref")
        )
        for number in range(users):
            program = program.task(f"user{number}", "ref_test_use ref")
        with program.boot() as booted:
            tasks = booted.tasks()
            best = math.inf
            for _ in range(3):
                begin = time.perf_counter()
                found = tasks.explore(stop_at_violation=False)
                best = min(best, time.perf_counter() - begin)
        # No search has fewer that tries every order of what depends on each other.
        complete = found.exhaustive and found.executions >= executions
        _demand(complete, f"all schedules of {users} users are searched")
        yield Figure(f"kill against {users} users: all schedules", "ms", goal, best * 1e3)
        if users == 4:
            # Per million, so that less is better as with the others.
            spent = best / found.executions * 1e12
            yield Figure("a million executions of it", "ms", 1000.0, spent / 1e3)
