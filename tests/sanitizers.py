# SPDX-License-Identifier: GPL-2.0-only
"""Tests that mean nothing under AddressSanitizer say so, and why."""

from __future__ import annotations

import os

import pytest


def not_under_asan(reason: str) -> pytest.MarkDecorator:
    """Skips a test where the run time of AddressSanitizer is loaded before Python."""
    return pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason=reason)
