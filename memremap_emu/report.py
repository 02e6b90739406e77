# SPDX-License-Identifier: GPL-2.0-only
"""What a user reads: the report of `check` as text and as JSON, the report of a replay."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from memremap_emu.booted import Replayed
from memremap_emu.check import Report, RunReport, Violation
from memremap_emu.experiments import Setup
from memremap_emu.exploration import Bound, estimated
from memremap_emu.outcomes import Finding, Outcome
from memremap_emu.tokens import ProgramReplay, Replay

SCHEMA = 1


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _table(rows: Sequence[Sequence[str]], right: frozenset[int]) -> Iterable[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _result(runs: Sequence[RunReport]) -> str:
    """Result of all programs on one device."""
    found = {violation.finding.cause for run in runs for violation in run.violations}
    refused = next((run.refused for run in runs if run.refused), None)
    parts = [_plural(len(found), "violation")] if found else []
    if refused:
        parts.append(f"refused {refused}")
    if not all(run.exhaustive for run in runs):
        parts.append("bounded, not exhaustive")
    return "; ".join(parts) or "ok"


def as_text(report: Report) -> str:
    """Table, violations with their log lines, totals."""
    options = report.options
    lines = []
    if options.memory.note:
        lines.append(options.memory.note)
    lines.append(f"{options.version} on {options.memory.source}")
    lines.append("")
    rows = [("driver", "mode", "range", "runs", "result")]
    devices: dict[Setup, list[RunReport]] = {}
    for run in report.runs:
        devices.setdefault(run.setup, []).append(run)
    for runs in devices.values():
        setup = runs[0].setup
        executions = sum(run.executions for run in runs)
        rows.append(
            (setup.mode.driver, setup.mode.name, setup.range, str(executions), _result(runs))
        )
    lines += _table(rows, frozenset({3}))
    lines += _bounded(report.runs)
    distinct = report.distinct()
    for number, (violation, runs) in enumerate(distinct, 1):
        lines += ["", *_violation(number, violation, runs)]
    lines += ["", _totals_line(report, len(distinct))]
    return "\n".join(lines) + "\n"


#: What the user can do about a bound, or why it is one.
_REMEDIES = {
    Bound.EXECUTIONS: "more than --max-executions",
    Bound.SECONDS: "--budget is used up",
    Bound.STEPS: "executions that are too long are given up",
    Bound.FAULTS: "of many calls alike the first, second, middle and last one fail, or four in all",
    Bound.VIOLATIONS: "there are more violations than are kept",
    Bound.LOCKS: "there are more locks, grace periods or frees than can be told apart",
}


def _bounded(runs: Sequence[RunReport]) -> list[str]:
    """What was not seen to its end, and why."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        if run.exhaustive:
            continue
        reasons = "; ".join(_REMEDIES[bound] for bound in _REMEDIES if bound in run.bounds)
        if run.estimate:
            reasons += f", {estimated(run.estimate)} executions may be needed"
        modes = found.setdefault((run.program.name, reasons or "not all was run"), [])
        modes.append(f"{run.setup.mode.driver} {run.setup.mode.name} {run.setup.range}")
    if not found:
        return []
    rows = [
        (name, reasons, ", ".join(modes[:2]) + (f" and {len(modes) - 2} more" if modes[2:] else ""))
        for (name, reasons), modes in found.items()
    ]
    return ["", "not exhaustive:", *(f"  {line}" for line in _table(rows, frozenset()))]


def _violation(number: int, violation: Violation, runs: Sequence[RunReport]) -> list[str]:
    finding = violation.finding
    first = runs[0]
    setup = first.setup
    lines = [f"{number}. {finding.kind}: {finding.message}"]
    lines.append(
        f"   {setup.mode.driver} {setup.mode.name} {setup.range}, {first.program.name}: "
        f"{finding.where}"
    )
    lines += _course(finding)
    others = {(run.setup.mode.name, run.setup.range) for run in runs} - {
        (setup.mode.name, setup.range)
    }
    if others:
        names = ", ".join(f"{mode} {where}" for mode, where in sorted(others))
        lines.append(f"   also: {names}")
    lines += [f"     {line}".rstrip() for line in finding.columns.splitlines()]
    lines += [f"   | {line}" for line in finding.log]
    lines.append(f"   memremap-emu replay {violation.replay}")
    return lines


def _course(finding: Finding) -> list[str]:
    lines = []
    if finding.failed:
        lines.append(f"   failing: {', '.join(f'{name}()' for name in finding.failed)}")
    if finding.history:
        lines.append(f"   until then: {', '.join(finding.history)}")
    return lines


def _totals_line(report: Report, violations: int) -> str:
    refused = sum(run.refused is not None for run in report.runs)
    text = (
        f"{_plural(len(report.runs), 'run')}, {_plural(report.executions, 'execution')}: "
        f"{_plural(violations, 'distinct violation') if violations else 'no violations'}"
    )
    if refused:
        text += f", {refused} refused by specification"
    bounded = sum(not run.exhaustive for run in report.runs)
    if bounded:
        text += f", {bounded} bounded, not exhaustive"
    if report.interrupted:
        text += ", interrupted"
    return f"{text} ({report.seconds:.1f} s)"


def as_json(report: Report) -> str:
    """The report for programs; its schema is numbered."""
    runs: list[dict[str, Any]] = []
    for run in report.runs:
        runs.append(
            {
                "driver": run.setup.mode.driver,
                "mode": run.setup.mode.name,
                "range": run.setup.range,
                "program": run.program.name,
                "executions": run.executions,
                "exhaustive": run.exhaustive,
                "violations": [
                    {
                        "kind": violation.finding.kind,
                        "message": violation.finding.message,
                        "where": violation.finding.where,
                        "replay": violation.replay,
                    }
                    for violation in run.violations
                ],
            }
        )
    document = {
        "schema": SCHEMA,
        "version": report.options.version,
        "source": report.options.memory.source,
        "runs": runs,
        "totals": {
            "runs": len(report.runs),
            "executions": report.executions,
            "refused": sum(run.refused is not None for run in report.runs),
            "violations": len(report.distinct()),
            "errors": len(report.errors),
            "interrupted": report.interrupted,
        },
    }
    return json.dumps(document, indent=2) + "\n"


def replay_as_text(replay: Replay, outcome: Outcome, same: Finding | None) -> str:
    """What an experiment did this time; ``same`` is the violation that the token is about."""
    experiment = replay.experiment
    setup = experiment.setup
    lines = [
        f"{setup.version}: {setup.mode.driver} {setup.mode.name} {setup.range}, "
        f"{experiment.program.name}"
    ]
    if experiment.faults:
        numbers = ", ".join(map(str, experiment.faults))
        failed = ", ".join(f"{name}()" for name in outcome.failed) or "none was met"
        lines.append(f"failing: fallible call {numbers}: {failed}")
    lines += [f"  {entry}" for entry in outcome.history]
    if outcome.columns:
        lines += ["", *(f"  {line}".rstrip() for line in outcome.columns.splitlines()), ""]
    lines += [f"  | {line}" for line in outcome.log]
    if outcome.refused:
        lines.append(f"refused {outcome.refused}")
    for finding in outcome.findings:
        lines.append(f"{finding.kind}: {finding.message}, {finding.where}")
    if same is not None:
        lines.append("reproduced")
    elif replay.kind:
        lines.append(f"not reproduced: no such violation ({replay.kind}) this time")
    return "\n".join(lines) + "\n"


def program_replay_as_text(replay: ProgramReplay, outcome: Replayed, same: bool) -> str:
    """What a program did this time; ``same``: the violation that the token is about shows."""
    lines = [repr(replay.program), ""]
    lines += [line.rstrip() for line in outcome.columns.splitlines()]
    lines += ["", *(f"  | {line}" for line in outcome.log)]
    lines += [f"{v.kind}: {v.message}" for v in outcome.violations]
    lines.append(
        "reproduced" if same else f"not reproduced: no such violation ({replay.kind}) this time"
    )
    return "\n".join(lines) + "\n"
