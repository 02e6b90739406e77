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

MAP = Path(memremap_emu.__file__).parent / "maps" / "xeon-hpsa-memmap-4g.txt"


def test_check_of_a_real_map() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "memremap_emu", "check", "--iomem", str(MAP)]
    result = subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode in (0, 1), result.stderr
    executions = sum(run["executions"] for run in json.loads(result.stdout)["runs"])
    assert executions > 1000
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figure("memremap-emu check, wall", wall, "s", goal=2.0)
    figure("memremap-emu check, processor", cpu, "s", goal=2.0)
    figure("one execution of it", wall / executions * 1e6, "us")
