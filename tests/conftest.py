# SPDX-License-Identifier: GPL-2.0-only
"""What tests of one kernel share, and profiles of the property tests.

``HYPOTHESIS_PROFILE`` chooses one: ``default``, ``ci`` (the same examples in
every run) or ``campaign`` (``MEMREMAP_EMU_EXAMPLES`` examples, 2000 unless
set, of longer runs).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from memremap_emu import Kernel

settings.register_profile(
    "default",
    deadline=None,
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile(
    "campaign",
    settings.get_profile("default"),
    max_examples=int(os.environ.get("MEMREMAP_EMU_EXAMPLES", "2000")),
    stateful_step_count=60,
    derandomize=False,
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
)


@pytest.fixture
def k() -> Iterator[Kernel]:
    """A kernel of the checked build that records events and raises on violations."""
    with Kernel(trace=True) as kernel:
        yield kernel


@pytest.fixture
def watched() -> Iterator[Kernel]:
    """The same, but violations are only recorded: for what is misused on purpose."""
    with Kernel(trace=True, on_violation="record") as kernel:
        yield kernel
