# SPDX-License-Identifier: GPL-2.0-only
"""The command ``memremap-emu``.

Exit status: 0 nothing found, 1 a violation, 2 bad input or an execution that could not be
brought to an end, 3 a process of ``fuzz`` has died, 130 interrupted by Ctrl-C, after what is known
by then.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence

from memremap_emu import (
    argument_types,
    check,
    cli_bench,
    cli_bisect,
    cli_bugs,
    cli_explore,
    cli_fuzz,
    cli_modpost,
    cli_versions,
    interleavings,
    ranges,
    report,
    runs,
    tokens,
    tracefile,
)
from memremap_emu.experiments import ALL_DRIVERS
from memremap_emu.exploration import ScheduleError
from memremap_emu.faults import MAX_PLANS
from memremap_emu.operations import ProgramError
from memremap_emu.ranges import BadInputError
from memremap_emu.versions import DEFAULT_VERSION, GRAMMAR, select, versions
from memremap_emu.workers import WorkerError

OK, VIOLATIONS, BAD_INPUT = 0, 1, 2
INTERRUPTED = 130
#: Seconds between two updates of the progress line.
_PROGRESS_INTERVAL = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; the exit status."""
    if sys.stderr is None:
        # Closed by whoever started us: nobody wants to hear of problems.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    arguments = parser().parse_args(argv)
    if sys.stdout is None:
        return _complain("the standard output is closed")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # Names of files, tasks and scenarios may have characters that it has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except BadInputError as e:
        return _complain(str(e))
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except OSError as e:
        # Nothing more can be written there, not even when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader that has had enough of our output needs no explanation.
        return BAD_INPUT if isinstance(e, BrokenPipeError) else _complain(str(e))


def _complain(text: str) -> int:
    print(f"memremap-emu: {text}", file=sys.stderr)
    return BAD_INPUT


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="memremap-emu", description="A laboratory for the lifetime of Linux device memory."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_check(commands)
    _add_replay(commands)
    for command in (
        cli_explore,
        cli_fuzz,
        cli_bench,
        cli_versions,
        cli_bugs,
        cli_bisect,
        cli_modpost,
    ):
        command.add_parser(commands)
    return parser


# --- check ---


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "check",
        help="take every driver through its life on a memory map",
        description="Takes every driver, in every mode, on every range of persistent memory and "
        "every BAR of the map, and HMM in the highest free range, through bind, use, unbind and "
        "rebind: without faults, with each fallible call failing in turn, beside a second device, "
        "and with a page, the pagemap or an I/O held across unbind.  Then, on the first range that "
        "binds and has room for it, unbind, rebind and a probe that fails race with whoever puts a "
        "page, looks one up, ends an I/O, faults, takes memory of a BAR or binds a second device "
        "in the same section, over all schedules.  Exit status 0: no violation, 1: violations, "
        "2: bad input, 130: interrupted.",
    )
    parser.add_argument(
        "--iomem",
        metavar="FILE",
        help="memory map to read (default: /proc/iomem or, where that hides its addresses, a "
        "real one that comes with the package)",
    )
    parser.add_argument(
        "--memmap",
        metavar="SIZE!START",
        action="append",
        default=[],
        help="make persistent memory, as the kernel parameter memmap=nn[KMG]!ss[KMG] does",
    )
    parser.add_argument(
        "--version",
        metavar="V",
        default=DEFAULT_VERSION,
        help=f"kernel: {', '.join(versions())} (default: {DEFAULT_VERSION}), or {GRAMMAR}",
    )
    parser.add_argument(
        "--driver",
        metavar="NAME",
        action="append",
        help=f"only this driver: {', '.join(ALL_DRIVERS)}; may be given more than once "
        "(default: each that finds something to drive)",
    )
    parser.add_argument(
        "--hmm-size",
        metavar="SIZE",
        type=argument_types.size,
        default=check.DEFAULT_HMM_SIZE,
        help="memory of a device of hmm and hmm_public (default: 1G)",
    )
    parser.add_argument(
        "--max-faults",
        metavar="N",
        type=argument_types.faults,
        default=1,
        help=f"failing calls per execution, at most (default: 1; 0: none fails; {MAX_PLANS} is "
        "the most)",
    )
    parser.add_argument(
        "--sequential",
        action="store_true",
        help="one task at a time, one schedule: no program whose tasks race",
    )
    parser.add_argument(
        "--max-executions",
        metavar="N",
        type=argument_types.count,
        help="executions of one program over its schedules and failing calls, 0: as many as there "
        f"are (default: {check.WORTHWHILE_EXECUTIONS}, as long as these will be enough)",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=argument_types.jobs,
        default=_processors(),
        help="processes (default: one a processor); the result does not depend on it",
    )
    argument_types.add_scheduler(parser)
    parser.add_argument(
        "--budget",
        metavar="SECONDS",
        type=argument_types.seconds,
        help="stop after so many seconds, in one process; what was left out is reported as not "
        f"exhaustive (default: none, or {check.DEFAULT_BUDGET:.0f} with more than one fault)",
    )
    parser.add_argument(
        "--keep-claims",
        action="store_true",
        help="keep what the kernel that wrote the map had claimed inside persistent memory",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=_check)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _check(arguments: argparse.Namespace) -> int:
    _known_version(arguments.version)
    for name in arguments.driver or ():
        if name not in ALL_DRIVERS:
            raise BadInputError(f"unknown driver {name!r}; known: {', '.join(ALL_DRIVERS)}")
    memory = ranges.read(arguments.iomem)
    for text in arguments.memmap:
        for option in ranges.parse_memmap(text):
            memory = ranges.carve(memory, option)
    options = check.Options(
        memory,
        version=arguments.version,
        drivers=tuple(dict.fromkeys(arguments.driver or ALL_DRIVERS)),
        required=tuple(arguments.driver or ()),
        max_executions=arguments.max_executions,
        jobs=arguments.jobs,
        scheduler=arguments.scheduler,
        explore=not arguments.sequential,
        max_faults=arguments.max_faults,
        budget=arguments.budget,
        keep_claims=arguments.keep_claims,
        hmm_size=arguments.hmm_size,
    )
    with _Progress() as progress:
        try:
            found = check.check(options, progress.update if sys.stderr.isatty() else None)
        except WorkerError as e:
            raise BadInputError(str(e)) from None
    if arguments.format == "json":
        if memory.note:
            print(f"memremap-emu: {memory.note}", file=sys.stderr)
        sys.stdout.write(report.as_json(found))
    else:
        sys.stdout.write(report.as_text(found))
    for error in found.errors:
        _complain(f"internal error: {error.reason}\n  memremap-emu replay {error.replay}")
    if found.errors:
        return BAD_INPUT
    if found.interrupted:
        return INTERRUPTED
    return VIOLATIONS if any(run.violations for run in found.runs) else OK


def _known_version(text: str) -> None:
    try:
        select(text)
    except ValueError as e:
        raise BadInputError(str(e)) from None


class _Progress:
    """One line on the terminal, rewritten, and gone at the end."""

    def __init__(self) -> None:
        self._next = 0.0

    def __enter__(self) -> _Progress:
        return self

    def update(self, found: check.Report, total: int) -> None:
        """Shows how far it is, now and then."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PROGRESS_INTERVAL
        devices = len({run.setup for run in found.runs})
        violations = len(found.distinct())
        print(
            f"\r\x1b[Kdevice {devices} of {total}, {found.executions} executions, "
            f"{violations} violations",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def __exit__(self, *_: object) -> None:
        if self._next:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# --- replay ---


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "replay",
        help="run what check or explore has found again",
        description="Runs the experiment or the program of a token again and prints its columns "
        "and its log.  Exit status 1: the violation shows again, 0: it does not, 2: no token, or "
        "none that fits this version.",
    )
    parser.add_argument("token", metavar="TOKEN", help="as printed by check or explore")
    parser.add_argument(
        "--trace",
        choices=tracefile.FORMATS,
        default="columns",
        help="the execution as columns, in ftrace's text or as Chrome's trace JSON (default: "
        "columns)",
    )
    parser.set_defaults(run=_replay)


def _replay_program(arguments: argparse.Namespace) -> int:
    try:
        replay = tokens.decode_program(arguments.token)
        outcome = replay.program.replay(replay.schedule)
    except (tokens.TokenError, ScheduleError, ProgramError) as e:
        raise BadInputError(str(e)) from None
    names = [task.name for task in replay.program.tasks]
    same = any(tokens.digest(v.cause) == replay.digest for v in outcome.violations)
    if arguments.trace != "columns":
        sys.stdout.write(tracefile.render(arguments.trace, outcome.events, names))
    else:
        sys.stdout.write(report.program_replay_as_text(replay, outcome, same))
    return VIOLATIONS if same else OK


def _replay(arguments: argparse.Namespace) -> int:
    if arguments.token.startswith(tokens.PROGRAM_PREFIX):
        return _replay_program(arguments)
    try:
        replay = tokens.decode(arguments.token)
    except tokens.TokenError as e:
        raise BadInputError(str(e)) from None
    _known_version(replay.experiment.setup.version)
    try:
        if replay.experiment.program.tasks:
            outcome = interleavings.execute(replay.experiment)
        else:
            outcome = runs.execute(replay.experiment, columns=True)
    except (ScheduleError, interleavings.UnfitError) as e:
        raise BadInputError(f"the token does not fit this version: {e}") from None
    except Exception as e:
        return _complain(f"internal error: {type(e).__name__}: {e}")
    same = next((f for f in outcome.findings if tokens.digest(f.cause) == replay.digest), None)
    if arguments.trace != "columns":
        names = [name for name, _ in replay.experiment.program.tasks]
        sys.stdout.write(tracefile.render(arguments.trace, outcome.events, names))
    else:
        sys.stdout.write(report.replay_as_text(replay, outcome, same))
    return OK if same is None else VIOLATIONS
