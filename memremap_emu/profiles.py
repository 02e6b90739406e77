# SPDX-License-Identifier: GPL-2.0-only
"""Profiles of Hypothesis for tests of device memory.

``dev``
    40 examples, other ones in every run.
``ci``
    The same examples in every run; what reproduces a failure is printed.
``campaign``
    ``MEMREMAP_EMU_EXAMPLES`` examples (2000 unless set), of longer runs.

The pytest plugin registers them when pytest is given one with ``--hypothesis-profile``.  A
``conftest.py`` that loads one itself calls `register` first.  Where failing examples are kept, in
a directory or in Redis, is in ``docs/howto/campaigns.md``.
"""

from __future__ import annotations

import os

#: Names of the profiles.
NAMES = ("dev", "ci", "campaign")


def register() -> None:
    """Registers them; ImportError without Hypothesis, ValueError for a number that is none."""
    from hypothesis import HealthCheck, settings

    # A kernel is cheap to make, but an example is a whole life of a device.
    settings.register_profile(
        "dev",
        deadline=None,
        max_examples=40,
        stateful_step_count=40,
        derandomize=False,  # which Hypothesis has otherwise where it sees that it runs in CI
        suppress_health_check=list(HealthCheck),
    )
    dev = settings.get_profile("dev")
    settings.register_profile("ci", dev, derandomize=True, print_blob=True)
    examples = int(os.environ.get("MEMREMAP_EMU_EXAMPLES") or 2000)
    settings.register_profile("campaign", dev, max_examples=examples, stateful_step_count=60)
