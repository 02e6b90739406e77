# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu explore``: a program from a file over its schedules and failing calls."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from memremap_emu import argument_types, counterexample, files, interrupts, tokens
from memremap_emu.counterexample import Counterexample
from memremap_emu.exploration import (
    Bound,
    Exploration,
    Found,
    Options,
    Outcome,
    Strategy,
    estimated,
)
from memremap_emu.operations import ProgramError
from memremap_emu.parallel import SharedSearch
from memremap_emu.program import Program
from memremap_emu.ranges import BadInputError
from memremap_emu.search import MAX_FAULTS, SLICE, Search
from memremap_emu.workers import WorkerError

SCHEMA = 1
OK, VIOLATIONS, INTERRUPTED = 0, 1, 130


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "explore",
        help="run a program of one's own over all its schedules",
        description="Reads a program (JSON, see docs/programs.md) and searches its schedules and "
        "which calls fail in them.  Each distinct violation is made as small as it gets and "
        "printed with its columns, its point of no return and a token for replay.  Exit status "
        "0: none, 1: violations, 2: bad input, 130: interrupted.",
    )
    parser.add_argument("file", metavar="FILE", help="the program, - for standard input")
    parser.add_argument("--version", metavar="V", help="another kernel than the program says")
    parser.add_argument(
        "--strategy",
        # Nobody can give the schedule here that guides one.
        choices=[s.name.lower() for s in Strategy if s is not Strategy.GUIDED],
        default="dpor",
        help="how to search (default: dpor)",
    )
    parser.add_argument(
        "--max-executions",
        metavar="N",
        type=argument_types.count,
        default=0,
        help="stop after so many (default: 0, never; pct and random need a bound)",
    )
    parser.add_argument(
        "--max-seconds",
        metavar="S",
        type=argument_types.seconds,
        default=0.0,
        help="stop after so long (default: never)",
    )
    parser.add_argument(
        "--max-preemptions",
        metavar="N",
        type=argument_types.count,
        default=2,
        help="of preemptions: steps that take the processor from somebody who could go on; of pct: "
        "changes of priority; the others have no such bound (default: 2)",
    )
    parser.add_argument(
        "--max-faults",
        metavar="N",
        type=argument_types.searched_faults,
        default=0,
        help=f"calls that fail in one execution, at most {MAX_FAULTS}: which ones is searched, too "
        "(default: 0)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=argument_types.count,
        default=0,
        help="of pct and random (default: 0)",
    )
    parser.add_argument(
        "--as-found", action="store_true", help="do not make what is found any smaller"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="go on from this file if it is there, and keep it up to date; it is removed at the "
        "end of the search; not of pct, random, cache or phases",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=argument_types.jobs,
        default=1,
        help="processes that share the search (default: 1); the result does not depend on it; "
        "pct, random, cache and phases are not shared",
    )
    argument_types.add_scheduler(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=_run)


def _read(path: str) -> Program:
    if path == "-" and sys.stdin is None:
        raise BadInputError("the standard input is closed")
    try:
        text = files.read_text(sys.stdin.buffer if path == "-" else path)
    except OSError as e:
        # Not left to main(), which takes it for an output that cannot be written any more.
        raise BadInputError(f"{path}: {e.strerror}") from None
    except ValueError as e:
        raise BadInputError(f"{path}: {e}") from None
    try:
        return Program.from_json(text)
    except ProgramError as e:
        raise BadInputError(f"{path}: {e}") from None


def _run(arguments: argparse.Namespace) -> int:
    program = _read(arguments.file)
    if arguments.version is not None:
        program = replace(program, version=arguments.version)
    try:
        found = _search(program, arguments)
    except ProgramError as e:
        raise BadInputError(f"{arguments.file}: {e}") from None
    except (ValueError, WorkerError) as e:
        raise BadInputError(str(e)) from None
    shown = [_explain(program, f, arguments) for f in found.found]
    write = _as_json if arguments.format == "json" else _as_text
    sys.stdout.write(write(program, found, shown))
    if found.outcome is Outcome.RUNNING:
        return INTERRUPTED
    return VIOLATIONS if found.found else OK


def _search(program: Program, arguments: argparse.Namespace) -> Exploration:
    options: Options = {
        "strategy": arguments.strategy,
        "max_executions": arguments.max_executions,
        "max_seconds": arguments.max_seconds,
        "max_preemptions": arguments.max_preemptions,
        "max_faults": arguments.max_faults,
        "seed": arguments.seed,
        "stop_at_violation": False,
        "check_quiescence": True,
    }
    path = Path(arguments.checkpoint) if arguments.checkpoint else None
    if arguments.jobs > 1 or arguments.scheduler:
        with program.shared(arguments.jobs, arguments.scheduler, **options) as shared:
            return _run_search(shared, path)
    with program.boot() as booted, booted.search(**options) as search:
        return _run_search(search, path)


def _run_search(search: Search | SharedSearch, path: Path | None) -> Exploration:
    checkpoint = None if path is None else _Checkpoint(path, search)
    try:
        with interrupts.held():
            while search.running:
                search.run(SLICE if checkpoint is None else 10 * SLICE)
                if checkpoint is not None and search.running:
                    checkpoint.save()
                interrupts.check()
    except KeyboardInterrupt:
        if isinstance(search, SharedSearch) and not search.begun:
            raise
        if checkpoint is not None:
            checkpoint.save()
        return search.result
    if checkpoint is not None:
        if search.result.bounds & (Bound.EXECUTIONS | Bound.SECONDS):
            checkpoint.save()
        else:
            checkpoint.remove()
    return search.result


class _Checkpoint:
    """The file that a search goes on from."""

    def __init__(self, path: Path, search: Search | SharedSearch) -> None:
        self._path = path
        self._search = search
        self._complained = False
        if not path.parent.is_dir():
            raise BadInputError(f"{path}: there is no directory {path.parent}")
        try:
            if path.exists():
                search.load(json.loads(files.read_text(path)))
        except OSError as e:
            raise BadInputError(f"{path}: {e.strerror}") from None
        except (ValueError, RecursionError) as e:
            raise ValueError(f"{path}: {e}") from None

    def save(self) -> None:
        """If that fails the one before is still there, and what has been found is worth more."""
        try:
            files.replace(self._path, json.dumps(self._search.save()))
        except OSError as e:
            self._complain("saved", e)

    def remove(self) -> None:
        """The search has come to its end."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as e:
            self._complain("removed", e)

    def _complain(self, done: str, error: OSError) -> None:
        if not self._complained:
            print(f"memremap-emu: not {done}: {self._path}: {error.strerror}", file=sys.stderr)
        self._complained = True


def _explain(
    program: Program, found: Found, arguments: argparse.Namespace
) -> tuple[Found, Counterexample | None]:
    if arguments.as_found:
        return found, None
    return found, counterexample.minimise(
        program,
        found.record,
        schedule=found.schedule,
        max_preemptions=max(arguments.max_preemptions, 3),
        max_faults=arguments.max_faults,
    )


def _bounds(found: Exploration) -> str:
    if found.exhaustive:
        return "exhaustive"
    names = ", ".join(found.bounds.names) or "running"
    text = f"not exhaustive ({names})"
    if found.estimate is not None:
        text += f", about {estimated(found.estimate)} executions in all if the rest is like this"
    return text


def _token(program: Program, found: Found, least: Counterexample | None) -> str:
    if least is None:
        return tokens.encode_program(program, found.record, found.schedule)
    return tokens.encode_program(least.program, least.record, least.schedule)


_Shown = list[tuple[Found, Counterexample | None]]


def _as_text(program: Program, found: Exploration, shown: _Shown) -> str:
    # Others that came after these have not been kept.
    more = " or more" if Bound.VIOLATIONS in found.bounds else ""
    lines = [
        f"{program.version}: {found.executions} executions, {found.asleep + found.cached} given "
        f"up, {found.steps} steps, {found.final_states} final states: "
        f"{len(found.found) or 'no'}{more} violations, {_bounds(found)}"
    ]
    for number, (violation, least) in enumerate(shown, 1):
        lines.append("")
        if least is None:
            lines.append(f"{number}. {violation.record.kind}: {violation.record.message}")
        else:
            lines += f"{number}. {counterexample.as_text(least)}".splitlines()
        lines.append(f"memremap-emu replay {_token(program, violation, least)}")
    return "\n".join(lines) + "\n"


def _as_json(program: Program, found: Exploration, shown: _Shown) -> str:
    document = {
        "schema": SCHEMA,
        "version": program.version,
        "executions": found.executions,
        "given_up": found.asleep + found.cached,
        "steps": found.steps,
        "final_states": found.final_states,
        "exhaustive": found.exhaustive,
        "bounds": found.bounds.names,
        "estimate": found.estimate,
        "more_violations": Bound.VIOLATIONS in found.bounds,
        "violations": [
            {
                "kind": violation.record.kind,
                "message": violation.record.message,
                "executions": violation.executions,
                "replay": _token(program, violation, least),
            }
            | (
                {}
                if least is None
                else {
                    "program": least.program.document(),
                    "preemptions": least.preemptions,
                    "faults": least.faults,
                    "minimal": least.minimal,
                    "schedule": least.path,
                    "turning": None if least.turning is None else str(least.turning),
                }
            )
            for violation, least in shown
        ],
    }
    return json.dumps(document, indent=2) + "\n"
