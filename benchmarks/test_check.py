# SPDX-License-Identifier: GPL-2.0-only
"""The main job: every driver on a real memory map, every single fault."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from conftest import figure

import memremap_emu

MAPS = Path(memremap_emu.__file__).parent / "maps"


def run_check(map_file: Path, *arguments: str) -> tuple[float, float, list[dict[str, object]]]:
    """Seconds on the clock, seconds of processor time, and the runs of the report."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "memremap_emu", "check", "--iomem", str(map_file), *arguments]
    result = subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode in (0, 1), result.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(result.stdout)["runs"]


def test_check_of_a_real_map() -> None:
    """One schedule; all drivers, all single faults."""
    wall, cpu, runs = run_check(MAPS / "xeon-hpsa-memmap-4g.txt", "--sequential")
    executions = sum(int(str(run["executions"])) for run in runs)
    assert executions > 1000
    figure("memremap-emu check --sequential, wall", wall, "s", build="checked", goal=2.0)
    figure("memremap-emu check --sequential, processor", cpu, "s", build="checked")
    figure("the same, executions", executions, "", build="checked")
    figure("one execution of it", wall / executions * 1e6, "us", build="checked")


def test_check_of_all_schedules() -> None:
    """A map with ranges of persistent memory: every race, every single fault, within the bound."""
    wall, cpu, runs = run_check(MAPS / "four-region-nvdimm.txt")
    executions = sum(int(str(run["executions"])) for run in runs)
    # Most are those of races: without them it would be done in no time.
    assert executions > 100_000
    exhaustive = sum(bool(run["exhaustive"]) for run in runs) / len(runs)
    figure("memremap-emu check, four ranges, wall", wall, "s", build="checked", goal=10.0)
    figure("memremap-emu check, four ranges, processor", cpu, "s", build="checked")
    figure("the same, executions", executions, "", build="checked")
    share = "share of its programs that is not exhaustive"
    figure(share, 1 - exhaustive, "", build="checked", goal=0.1)
