# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmarks share: timing by medians of five, and the table at the end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from memremap_emu import Kernel

ROUNDS = 5

BASE = 1 << 45
MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    build: str
    measured: float
    unit: str
    goal: float | None
    ratio: float | None
    ratio_to: str

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return "-"
        return "met" if self.measured <= self.goal else "NOT MET"


FIGURES: list[Figure] = []


def seconds(run: Callable[[], object], inner: int = 1) -> float:
    """Median of five rounds, of which each calls ``run`` ``inner`` times, per call."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(inner):
            run()
        found.append((time.perf_counter() - start) / inner)
    return statistics.median(found)


def pairs(
    run: Callable[[], object], yardstick: Callable[[], object], inner: int = 1
) -> tuple[float, float, float]:
    """Times of ``run`` and ``yardstick`` in turn: medians of five, and that of their ratios."""
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for function in (run, yardstick):
            start = time.perf_counter()
            for _ in range(inner):
                function()
            times.append((time.perf_counter() - start) / inner)
        rounds.append((times[0], times[1], times[0] / times[1]))
    first, second, ratio = zip(*rounds, strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(ratio)


def figure(
    name: str,
    measured: float,
    unit: str,
    *,
    build: str = "plain",
    goal: float | None = None,
    ratio: float | None = None,
    ratio_to: str = "",
) -> None:
    """Puts a line into the table at the end."""
    FIGURES.append(Figure(name, build, measured, unit, goal, ratio, ratio_to))


@pytest.fixture(params=[False, True], ids=["plain", "checked"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel of either build."""
    with Kernel(checked=request.param) as k:
        yield k


@pytest.fixture
def plain() -> Iterator[Kernel]:
    """A kernel of the build for speed."""
    with Kernel(checked=False) as k:
        yield k


def build_of(k: Kernel) -> str:
    """Name of the build of a kernel."""
    return "checked" if k.checked else "plain"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table: figure, what was measured, goal, ratio to the yardstick."""
    if not FIGURES:
        return
    terminalreporter.section("figures")
    width = max(len(f.name) for f in FIGURES)
    for f in FIGURES:
        goal = f"{f.goal:g} {f.unit}" if f.goal is not None else "-"
        ratio = f"{f.ratio:.2f} x {f.ratio_to}" if f.ratio is not None else ""
        terminalreporter.write_line(
            f"{f.name:{width}}  {f.build:8} {f.measured:10.3f} {f.unit:12} goal {goal:18} "
            f"{f.verdict:8} {ratio}"
        )
