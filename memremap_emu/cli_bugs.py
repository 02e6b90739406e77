# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu bugs``: which known bug shows on which version."""

from __future__ import annotations

import argparse
import json
import sys
import time

from memremap_emu.ranges import BadInputError
from memremap_emu.scenario import Outcome, Scenario, ScenarioError, Status, bundled, run
from memremap_emu.versions import Selection, select, versions

SCHEMA = 1
#: Bugs of the same machinery for which there is no scenario, and why.
LEFT_OUT = {
    "A18": "what it needs of private memory with an altmap no driver here does",
    "B02": "what two hot-adds at the same time lose is an entry of a page table; these are not "
    "emulated",
    "B03, B04, B05": "page-table walkers (GUP) are not emulated",
    "B08": "the refusal that cures it is in every version",
    "B11": "the order that was wrong is that of a driver before v4.9",
    "B12": "file systems and their mappings are not emulated",
    "B13, B14": "the fix is in every version",
    "B15, B16": "HMM's mirrors and the address spaces they watch are not emulated",
    "B17": "release_pages() is not emulated",
    "B18": "page tables, and migration that races with a fault, are not emulated",
    "B19, B20": "namespaces that are removed or changed by the bus's own files are not emulated",
    "B22": "device links are not emulated",
    "C01": "pagemaps with internal refs came after v5.2",
    "C02": "it came when pagemaps, not their drivers, began to count on the static key: after v5.2",
    "C05": "what it needs of the block layer came after v5.2",
    "C07": "it was caught in review and is in no version",
    "C08": "check shows it, as data races of p2pdma that depend on the compiler for their text",
    "C11": "mappings of p2p memory in user space are not emulated",
    "C09": "pages whose count is 0 as long as they are free came after v5.2",
    "C10": "sub-section hotplug came after v5.2",
    "C12, C21": "the drivers and filesystems that it needs are not emulated",
    "C13": "HMM clears the mapping of a page that becomes free in every version here",
    "C14, C15": "the dax bus came after v5.0 and is not emulated",
    "C18": "the second allocation of percpu_ref_init() came after v5.2",
    "C20": "no driver here frees managed per-CPU memory before it is unbound",
    "C17, C19": "the users of percpu_ref that are wrong are not emulated",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "bugs",
        help="run a scenario of every known bug on every version",
        description="Runs the scenario of each known bug that can be expressed on each version "
        "and prints the matrix: violated, ok, not-applicable, or missing where there is no "
        "scenario yet.  'ok' speaks of this bug alone.  Exit status 0, whatever shows.",
    )
    parser.add_argument(
        "--version", metavar="V", action="append", help="only this kernel; may be repeated"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    kernels: list[Selection] = []
    for text in arguments.version or versions():
        try:
            kernels.append(select(text))
        except ValueError as e:
            raise BadInputError(str(e)) from None
    started = time.perf_counter()
    matrix: list[tuple[Scenario, list[Outcome]]] = []
    try:
        for scenario in bundled():
            matrix.append((scenario, [run(scenario, kernel) for kernel in kernels]))
    except ScenarioError as e:
        raise BadInputError(str(e)) from None
    seconds = time.perf_counter() - started
    if arguments.format == "json":
        sys.stdout.write(_as_json(kernels, matrix))
    else:
        sys.stdout.write(_as_text(kernels, matrix, seconds))
    return 0


def _as_json(kernels: list[Selection], matrix: list[tuple[Scenario, list[Outcome]]]) -> str:
    bugs = [
        {
            "id": scenario.id,
            "version": str(kernel),
            "status": outcome.status.value,
            "executions": outcome.executions,
            "seconds": round(outcome.seconds, 6),
        }
        for scenario, outcomes in matrix
        for kernel, outcome in zip(kernels, outcomes, strict=True)
    ]
    return json.dumps({"schema": SCHEMA, "bugs": bugs}, indent=2) + "\n"


def _as_text(
    kernels: list[Selection], matrix: list[tuple[Scenario, list[Outcome]]], seconds: float
) -> str:
    rows = [("bug", *map(str, kernels), "")]
    for scenario, outcomes in matrix:
        rows.append((scenario.id, *(outcome.status.value for outcome in outcomes), scenario.title))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    executions = sum(o.executions for _, outcomes in matrix for o in outcomes)
    missing = [scenario for scenario, _ in matrix if scenario.missing]
    lines += [
        "",
        f"{len(matrix)} scenarios on {len(kernels)} kernels: {executions} executions, "
        f"{seconds:.2f} s, {len(missing)} missing",
    ]
    for scenario in missing:
        lines.append(f"  {scenario.id}: {scenario.missing}")
    lines += ["", "left out:"]
    lines += [f"  {ids}: {reason}" for ids, reason in LEFT_OUT.items()]
    return "\n".join(lines) + "\n"


__all__ = ["LEFT_OUT", "Status", "add_parser"]
