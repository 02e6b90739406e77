# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmarks share: timing by medians of five, and the tables at the end."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from memremap_emu import Kernel

ROUNDS = 5
TURNS = 10

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
#: Other tables: title and rows, the first of which is the head.
TABLES: list[tuple[str, list[tuple[str, ...]]]] = []
#: Seconds of what a unit of time counts; figures in others are no times.
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_BENCHMARK = pytest.StashKey[Any]()
#: What the test at hand has timed last.
_timed: list[Callable[[], object]] = []


def best(run: Callable[[], object], yardstick: Callable[[], object], inner: int) -> list[float]:
    """Least time of each, in short turns: what other processes do to one turn is left out."""
    turn = max(inner // TURNS, 1)
    least = [math.inf, math.inf]
    for _ in range(TURNS):
        for i, function in enumerate((run, yardstick)):
            start = time.perf_counter()
            for _ in range(turn):
                function()
            least[i] = min(least[i], (time.perf_counter() - start) / turn)
    return least


def pairs(
    run: Callable[[], object], yardstick: Callable[[], object], inner: int = 1
) -> tuple[float, float, float]:
    """Times of ``run`` and ``yardstick``, and of their ratio: medians of five rounds."""
    _timed[:] = [run]
    rounds = [best(run, yardstick, inner) for _ in range(ROUNDS)]
    return (
        statistics.median(a for a, _ in rounds),
        statistics.median(b for _, b in rounds),
        statistics.median(a / b for a, b in rounds),
    )


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


def table(title: str, rows: list[tuple[str, ...]]) -> None:
    """Puts a table behind that of the figures."""
    TABLES.append((title, rows))


def pytest_configure(config: pytest.Config) -> None:
    """Most figures are taken by `pairs`: pytest-benchmark need not say that it was not asked."""
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used")


@pytest.fixture(autouse=True)
def row_of_the_table(benchmark: Any, request: pytest.FixtureRequest) -> None:
    """Every test has a row in pytest-benchmark's table, see `pytest_pyfunc_call`."""
    request.node.stash[_BENCHMARK] = benchmark


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Each figure of a test as a count per second, in pytest-benchmark's ``extra_info``."""
    first = len(FIGURES)
    _timed.clear()
    result = yield
    benchmark = pyfuncitem.stash[_BENCHMARK]
    for f in FIGURES[first:]:
        if f.unit in SECONDS and f.measured > 0:
            name = f"{f.name}, {f.build}"
            benchmark.extra_info[name] = {"per second": 1 / (f.measured * SECONDS[f.unit])}
    # What has no run of its own in that table is kept in it all the same.
    if benchmark.extra_info and benchmark.stats is None and not benchmark.disabled:
        benchmark.pedantic(_timed[0] if _timed else lambda: None, rounds=1)
    return result


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
    """The table: figure, what was measured, goal, ratio to the yardstick; then the others."""
    if FIGURES:
        terminalreporter.section("figures")
    width = max((len(f.name) for f in FIGURES), default=0)
    for f in FIGURES:
        goal = f"{f.goal:g} {f.unit}" if f.goal is not None else "-"
        ratio = f"{f.ratio:.2f} x {f.ratio_to}" if f.ratio is not None else ""
        terminalreporter.write_line(
            f"{f.name:{width}}  {f.build:8} {f.measured:10.3f} {f.unit:12} goal {goal:18} "
            f"{f.verdict:8} {ratio}".rstrip()
        )
    for title, rows in TABLES:
        terminalreporter.section(title)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [text.ljust(size) for text, size in zip(row, widths, strict=True)]
            terminalreporter.write_line("  ".join(cells).rstrip())
