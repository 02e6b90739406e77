# SPDX-License-Identifier: GPL-2.0-only
"""Profiles of Hypothesis for tests of device memory.

``dev``
    40 examples, other ones in every run.
``ci``
    The same examples in every run; what reproduces a failure is printed.
``campaign``
    ``MEMREMAP_EMU_EXAMPLES`` examples (2000 unless set), of longer runs.

The pytest plugin registers them before any ``conftest.py`` is loaded: one can load them, and what
it registers by the same names is what counts.  Which profile is in use stays as it is, also if it
is Hypothesis' own ``ci``, which Hypothesis loads where it sees that it runs in CI.  Where failing
examples are kept, in a directory or in Redis, is in ``docs/howto/campaigns.md``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypothesis import settings as Settings

#: Names of the profiles.
NAMES = ("dev", "ci", "campaign")
#: What a profile called ``ci`` that is in use when ours is registered is called from then on.
_ASIDE = "ci-before-memremap-emu"
#: Ours, once it is registered.
_ci: Settings | None = None


def _in_use() -> str:
    """Its name, which Hypothesis tells from 6.139 on."""
    from hypothesis import settings

    told = getattr(settings, "get_current_profile_name", None)
    return str(told() if told else getattr(settings, "_current_profile", ""))


def register() -> None:
    """Registers them; ImportError without Hypothesis, ValueError for a number that is none."""
    global _ci
    from hypothesis import HealthCheck, settings

    examples = int(os.environ.get("MEMREMAP_EMU_EXAMPLES") or 2000)
    if examples < 1:
        raise ValueError("must be at least 1")
    # Registering a profile that is in use changes the settings of everybody's tests.
    if _in_use() == "ci" and settings.get_profile("ci") is not _ci:
        settings.register_profile(_ASIDE, settings.get_profile("ci"))
        settings.load_profile(_ASIDE)
    default = settings.get_profile("default")
    # A kernel is cheap to make, but an example is a whole life of a device.
    settings.register_profile(
        "dev",
        # Not what is in use, which in CI keeps no failing examples.
        default,
        deadline=None,
        max_examples=40,
        stateful_step_count=40,
        suppress_health_check=list(HealthCheck),
    )
    dev = settings.get_profile("dev")
    settings.register_profile("ci", dev, derandomize=True, print_blob=True)
    _ci = settings.get_profile("ci")
    settings.register_profile("campaign", dev, max_examples=examples, stateful_step_count=60)


def settle() -> None:
    """A profile ``ci`` that a ``conftest.py`` has registered takes the place of the one that was
    in use under that name, as Hypothesis does it."""
    from hypothesis import settings

    if _in_use() == _ASIDE and settings.get_profile("ci") is not _ci:
        settings.load_profile("ci")
