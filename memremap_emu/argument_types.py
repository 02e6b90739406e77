# SPDX-License-Identifier: GPL-2.0-only
"""Types of command-line arguments: what they take and what they say to all else."""

from __future__ import annotations

import argparse
import math

from memremap_emu import ranges
from memremap_emu.faults import MAX_PLANS
from memremap_emu.search import MAX_FAULTS


def count(text: str) -> int:
    """A number from 0 on."""
    if not text.isdecimal() or int(text) >= 1 << 31:
        raise argparse.ArgumentTypeError("must be a whole number, 0 to 2147483647")
    return int(text)


def faults(text: str) -> int:
    """A number of failing calls of one execution."""
    if not text.isdecimal() or int(text) > MAX_PLANS:
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 to {MAX_PLANS}")
    return int(text)


def searched_faults(text: str) -> int:
    """A number of failing calls of one execution of a search, which chooses them."""
    if not text.isdecimal() or int(text) > MAX_FAULTS:
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 to {MAX_FAULTS}")
    return int(text)


def jobs(text: str) -> int:
    """A number of processes."""
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError("must be 1 to 256")
    return int(text)


def size(text: str) -> int:
    """Bytes, as the kernel's memparse() reads them."""
    value = ranges.memparse(text)
    if not 0 < value < ranges.LIMIT:
        raise argparse.ArgumentTypeError("must be above 0 and below 64T")
    return value


def seconds(text: str) -> float:
    """A time, positive."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError("must be a number, positive")
    return value


def _address(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must be an address")
    return text


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Adds ``--scheduler``."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        type=_address,
        help="let the workers of a Dask cluster share the work instead of processes of this "
        "machine, tcp://HOST:8786 say; needs the extra [cluster]",
    )
