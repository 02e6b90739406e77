# SPDX-License-Identifier: GPL-2.0-only
"""The kernels that state machines are run on, and how long on each."""

from __future__ import annotations

from hypothesis import settings

from memremap_emu.versions import SERIES_LENGTH

#: Every prefix of the series, and what came after it.
VERSIONS = [f"memremap-v6 {n}/{SERIES_LENGTH}" for n in range(SERIES_LENGTH + 1)] + [
    "v5.0",
    "v5.2 without final-put",
    "v5.2",
]
#: Of the examples, by build, for all versions but the one that has the whole series.
SHARE = {True: 0.25, False: 0.15}


def profile(version: str, checked: bool) -> settings:
    """The settings for one of them."""
    chosen = settings()
    share = 1.0 if version == VERSIONS[SERIES_LENGTH] else SHARE[checked]
    return settings(chosen, max_examples=max(1, round(chosen.max_examples * share)))
