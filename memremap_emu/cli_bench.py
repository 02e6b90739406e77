# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu bench``: the quick figures, measured here and now."""

from __future__ import annotations

import argparse
import json
import sys

from memremap_emu.bench import Figure, figures

SCHEMA = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "bench",
        help="measure what operations cost here",
        description="Takes the quick figures (a few seconds) and prints goal, what was "
        "measured, and the ratio to a yardstick timed in the same run.  Exit status 0, whatever "
        "is met.",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    found = []
    for figure in figures():
        found.append(figure)
        if arguments.format == "text":
            print(_line(figure), flush=True)
    if arguments.format == "json":
        document = {
            "schema": SCHEMA,
            "figures": [
                {
                    "name": f"{f.name} [{f.unit}]",
                    "goal": f.goal,
                    "measured": f.measured,
                    "ratio": f.ratio,
                    "met": f.met,
                }
                for f in found
            ],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


def _line(figure: Figure) -> str:
    goal = "-" if figure.goal is None else f"{figure.goal:.4g} {figure.unit}"
    verdict = {None: "", True: "met", False: "NOT MET"}[figure.met]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} x {figure.yardstick}"
    measured = f"{figure.measured:.4g} {figure.unit}"
    return f"{figure.name:46} goal {goal:10} measured {measured:12} {verdict:8} {ratio}".rstrip()
