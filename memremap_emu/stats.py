# SPDX-License-Identifier: GPL-2.0-only
"""What can be read off a machine as a whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Zone:
    """Span of a zone, in pages."""

    start_pfn: int
    spanned: int
    present: int
    managed: int


@dataclass(frozen=True)
class Stats:
    """Counters of a machine: bytes, objects, runs, calls, events so far."""

    arena_used: int
    arena_size: int
    live_objects: int
    live_bytes: int
    page_runs: int
    section_runs: int
    fallible_calls: int
    violations: int
    warnings: int
    rcu_pending: int
    blocked_tasks: int
    trace_events: int
    clock: int
