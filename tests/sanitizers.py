# SPDX-License-Identifier: GPL-2.0-only
"""Tests that mean nothing under AddressSanitizer say so, and why."""

from __future__ import annotations

import os

import pytest


def not_under_asan(reason: str) -> pytest.MarkDecorator:
    """Skips a test where the run time of AddressSanitizer is loaded before Python."""
    return pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason=reason)


#: Marks a test in which it counts that equal states look equal.
counts_equal_states = not_under_asan(
    "its code leaves addresses of its shadow in frames of calls that the machine makes"
)
