# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu fuzz``: a campaign of random programs, schedules and failing calls."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import sys
import time
from pathlib import Path

from memremap_emu import argument_types
from memremap_emu.fuzz import Campaign
from memremap_emu.ranges import BadInputError
from memremap_emu.versions import DEFAULT_VERSION, select

OK, VIOLATIONS, INTERRUPTED = 0, 1, 130
_INTERVAL = 0.5


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "fuzz",
        help="a campaign of random programs, schedules and failing calls",
        description="Draws programs and runs them over schedules and failing calls, guided by new "
        "final states.  Each cause of a violation is kept once, as small as it gets, as a scenario "
        "file in DIR, which pytest collects and bisect takes.  With a DIR that is there it goes "
        "on.  Exit status 0: nothing found, 1: violations, 2: bad input, 130: interrupted.",
    )
    parser.add_argument("--minutes", metavar="N", type=argument_types.seconds, default=1.0)
    parser.add_argument("-j", "--jobs", metavar="N", type=argument_types.jobs, default=1)
    parser.add_argument("--version", metavar="V", default=None)
    parser.add_argument("--corpus", metavar="DIR", default="memremap-emu-corpus")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.set_defaults(run=_run)


def _campaign(folder: Path, version: str | None, seed: int) -> Campaign:
    if not (folder / "campaign").exists():
        return Campaign(version or DEFAULT_VERSION, seed)
    try:
        campaign = Campaign.load(folder)
    except ValueError as e:
        raise BadInputError(str(e)) from None
    if version not in (None, campaign.version):
        raise BadInputError(f"{folder}: a campaign on {campaign.version}, not on {version}")
    return campaign


class _Progress:
    """One line on a terminal, rewritten; a line of JSON now and then in a pipe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next = 0.0
        self._saved = time.monotonic()

    def __call__(self, campaign: Campaign) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            self.show(campaign)
        if now > self._saved + 10:
            self._saved = now
            campaign.save(self._folder)

    def show(self, campaign: Campaign, end: bool = False) -> None:
        """Tells how far it is."""
        rate = campaign.executions / campaign.seconds if campaign.seconds else 0.0
        if sys.stdout.isatty():
            print(
                f"\r\x1b[K{campaign.programs} programs, {campaign.executions} executions "
                f"({rate:.0f}/s), {len(campaign.states)} sets of states, "
                f"{len(campaign.found)} distinct violations",
                end="\n" if end else "",
                flush=True,
            )
        else:
            counts = {
                "seconds": round(campaign.seconds, 1),
                "programs": campaign.programs,
                "executions": campaign.executions,
                "rate": round(rate),
                "states": len(campaign.states),
                "violations": len(campaign.found),
                "end": end,
            }
            print(json.dumps(counts), flush=True)


def _work(work: tuple[str, str | None, int, float]) -> None:
    """One process of several: a campaign of its own in a folder of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder, version, seed, seconds = Path(work[0]), work[1], work[2], work[3]
    campaign = _campaign(folder, version, seed)
    campaign.run(seconds)
    campaign.save(folder)


def _run(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.corpus)
    if arguments.version is not None:
        try:
            select(arguments.version)
        except ValueError as e:
            raise BadInputError(str(e)) from None
    if arguments.jobs > 1:
        return _run_many(arguments, folder)
    campaign = _campaign(folder, arguments.version, arguments.seed)
    progress = _Progress(folder)
    interrupted = False
    try:
        campaign.run(60 * arguments.minutes, progress)
    except KeyboardInterrupt:
        interrupted = True
    campaign.save(folder)
    progress.show(campaign, end=True)
    _tell(campaign, folder)
    if interrupted:
        return INTERRUPTED
    return VIOLATIONS if campaign.found else OK


def _run_many(arguments: argparse.Namespace, folder: Path) -> int:
    parts = [folder / f"job{number}" for number in range(arguments.jobs)]
    work = [
        (str(part), arguments.version, arguments.seed + number, 60 * arguments.minutes)
        for number, part in enumerate(parts)
    ]
    with multiprocessing.get_context("fork").Pool(arguments.jobs) as pool:
        pool.map(_work, work, chunksize=1)
    whole = Campaign(arguments.version or DEFAULT_VERSION, arguments.seed)
    for part in parts:
        campaign = _campaign(part, None, 0)
        whole.version = campaign.version
        whole.programs += campaign.programs
        whole.executions += campaign.executions
        whole.seconds = max(whole.seconds, campaign.seconds)
        whole.states |= campaign.states
        for key, least in campaign.found.items():
            whole.found.setdefault(key, least)
    whole.save(folder)
    _Progress(folder).show(whole, end=True)
    _tell(whole, folder)
    return VIOLATIONS if whole.found else OK


def _tell(campaign: Campaign, folder: Path) -> None:
    if sys.stdout.isatty():
        for number, least in enumerate(campaign.found.values(), 1):
            print(
                f"{folder}/{number:03d}-{least.record.kind}.scenario.json: {least.record.message}"
            )
