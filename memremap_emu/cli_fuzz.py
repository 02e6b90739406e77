# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu fuzz``: a campaign of random programs, schedules and failing calls."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from memremap_emu import argument_types, fuzz_jobs
from memremap_emu.fuzz import Campaign, Finding, write_scenario
from memremap_emu.ranges import BadInputError
from memremap_emu.versions import DEFAULT_VERSION, select

OK, VIOLATIONS, DIED, INTERRUPTED = 0, 1, 3, 130
#: Seconds between two lines, and between two times that all is saved.
_INTERVAL, _SAVE = 0.5, 10.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "fuzz",
        help="a campaign of random programs, schedules and failing calls",
        description="Draws programs and runs them over schedules and failing calls, guided by new "
        "final states.  A violation is told apart by the rule that is broken and by the two "
        "operations that its point of no return is about; each is kept once, as small as it "
        "gets, as a scenario file in DIR, which pytest collects and bisect takes.  With a DIR "
        "that is there it goes on, also after Ctrl-C.  On a terminal it shows counters, else it "
        "writes lines of JSON.  Exit status 0: nothing found, 1: violations, 2: bad input, "
        "3: a process has died, 130: interrupted.",
    )
    parser.add_argument(
        "--minutes", metavar="N", type=argument_types.seconds, default=1.0, help="default: 1"
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=argument_types.jobs,
        default=1,
        help="processes (default: 1)",
    )
    parser.add_argument(
        "--version",
        metavar="V",
        default=None,
        help=f"kernel (default: that of the campaign in DIR, or {DEFAULT_VERSION})",
    )
    parser.add_argument(
        "--corpus", metavar="DIR", default="memremap-emu-corpus", help="default: %(default)s"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of a campaign that begins (default: 0)"
    )
    parser.set_defaults(run=_run)


def _campaign(folder: Path, version: str | None, seed: int) -> Campaign:
    if not (folder / "campaign").exists():
        return Campaign(version or DEFAULT_VERSION, seed)
    try:
        campaign = Campaign.load(folder)
    except (OSError, ValueError) as e:
        raise BadInputError(str(e)) from None
    if version not in (None, campaign.version):
        raise BadInputError(f"{folder}: a campaign on {campaign.version}, not on {version}")
    return campaign


class _Progress:
    """One line on a terminal, rewritten; a line of JSON now and then in a pipe.

    A rate is that of this run, not of what it goes on from, and of one process.
    """

    def __init__(self, campaign: Campaign, folder: Path) -> None:
        self._folder = folder
        self._next = 0.0
        self._saved = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._told = len(campaign.found)
        self._before = campaign.seconds, campaign.executions, len(campaign.states)

    def __call__(self, campaign: Campaign) -> None:
        """Tells what is new, and saves it now and then."""
        now = time.monotonic()
        for number, finding in enumerate(list(campaign.found.values())[self._told :], 1):
            self._tell(self._told + number, finding)
        self._told = len(campaign.found)
        if now >= self._next:
            self._next = now + _INTERVAL
            self.show(campaign)
        if now > self._saved + _SAVE:
            self._saved = now
            campaign.save(self._folder)

    def _tell(self, number: int, finding: Finding) -> None:
        # Who reads of a file finds it.
        path = str(write_scenario(self._folder, number, finding))
        if self._terminal:
            print(f"\r\x1b[K{path}: {finding.record}")
            return
        line = {
            "seconds": round(finding.seconds, 1),
            "file": path,
            "kind": finding.record.kind,
            "message": finding.record.message,
            "pair": finding.pair,
        }
        print(json.dumps(line), flush=True)

    def show(self, campaign: Campaign, end: bool = False) -> None:
        """Tells how far it is."""
        seconds, executions, states = self._before
        spent = max(campaign.seconds - seconds, 1e-9)
        rate = (campaign.executions - executions) / spent
        new = len(campaign.states) - states
        if self._terminal:
            text = (
                f"{campaign.executions} executions ({rate:.0f}/s), {new} new states, "
                f"{len(campaign.found)} distinct violations"
            )
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="\n" if end else "", flush=True)
            return
        line = {
            "seconds": round(campaign.seconds, 1),
            "programs": campaign.programs,
            "executions": campaign.executions,
            "rate": round(rate),
            "states": len(campaign.states),
            "new_states": new,
            "violations": len(campaign.found),
            "end": end,
        }
        print(json.dumps(line), flush=True)


def _run(arguments: argparse.Namespace) -> int:
    if not arguments.corpus:
        raise BadInputError("--corpus: must be a directory")
    folder = Path(arguments.corpus)
    if arguments.version is not None:
        try:
            select(arguments.version)
        except ValueError as e:
            raise BadInputError(str(e)) from None
    campaign = _campaign(folder, arguments.version, arguments.seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise BadInputError(str(e)) from None
    progress = _Progress(campaign, folder)
    status = None
    try:
        if arguments.jobs > 1:
            fuzz_jobs.run(campaign, arguments.jobs, 60 * arguments.minutes, progress)
        else:
            campaign.run(60 * arguments.minutes, progress)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except ChildProcessError as e:
        print(f"memremap-emu fuzz: {e}", file=sys.stderr)
        status = DIED
    finally:
        # Also when nobody reads on.
        campaign.save(folder)
    progress(campaign)
    progress.show(campaign, end=True)
    if status is not None:
        return status
    return VIOLATIONS if campaign.found else OK
