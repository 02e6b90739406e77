# SPDX-License-Identifier: GPL-2.0-only
"""What tests of one kernel share.

``HYPOTHESIS_PROFILE`` chooses one of `memremap_emu.profiles`, as pytest's
``--hypothesis-profile`` does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from memremap_emu import Kernel, profiles

profiles.register()
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell leaves it to what it runs in the background; tests press Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
