# SPDX-License-Identifier: GPL-2.0-only
"""Campaigns: executions a second, and how long until known bugs are found from nothing.

Times are of the processor, so that what else the machine does counts less.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from pathlib import Path

import pytest
from conftest import figure

from memremap_emu.fuzz import Campaign, Finding

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.fuzz_bugs import BUGS

SECONDS = 30.0


@pytest.mark.parametrize("version", ["memremap-v6", "v5.2"])
def test_executions_a_second(version: str) -> None:
    campaign = Campaign(version, seed=1)
    start = time.process_time()
    while (spent := time.process_time() - start) < SECONDS:
        campaign.run(min(SECONDS - spent, 5.0))
    name = f"fuzz on {version}"
    one = spent / campaign.executions
    figure(f"{name}: one execution", one * 1e6, "us", build="checked", goal=10.0)
    figure(f"{name}: executions a second", campaign.executions / spent, "1/s", build="checked")
    figure(f"{name}: programs a second", campaign.programs / spent, "1/s", build="checked")
    figure(f"{name}: states a second", len(campaign.states) / spent, "1/s", build="checked")


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found_from_nothing(bug: str) -> None:
    """Its cause is known by what removes it: nothing but its fix."""
    version, fixed, kinds = BUGS[bug]

    times = []
    for seed in range(5):
        found: list[Finding] = []

        def is_it(finding: Finding, found: list[Finding] = found) -> bool:
            if finding.record.kind in kinds and finding.gone_on(fixed):
                found.append(finding)
            return bool(found)

        campaign = Campaign(version, seed)
        start = time.process_time()
        campaign.run(240, until=is_it)
        times.append(time.process_time() - start if found else math.inf)
    figure(
        f"fuzz: {bug} from nothing, median of 5 seeds",
        statistics.median(times),
        "s",
        build="checked",
        goal=60.0,
    )
    figure(f"fuzz: {bug} from nothing, slowest seed", max(times), "s", build="checked")
