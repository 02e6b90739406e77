# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu bisect``: which patch introduces or removes a violation."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from memremap_emu import bisect, bisect_tokens, scenario, tokens
from memremap_emu.ranges import BadInputError
from memremap_emu.versions import patches, select

FOUND, NOT_FOUND = 0, 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "bisect",
        help="find the patch that introduces or removes a violation",
        description="Walks the patches between two versions, tries each kernel, and names the "
        "patch at which a violation appears or goes away.  A violation of tasks that race is "
        "looked for in the schedule of its token, and where that does not show it in the others, "
        "up to a bound: the result says where a search was not exhaustive.  Exit status 0: "
        "there is one such patch, 1: none or several, 2: bad input.",
    )
    parser.add_argument(
        "scenario",
        metavar="SCENARIO",
        help="a scenario file, the id of one that comes with the package (memremap-emu bugs), "
        "or a replay token of check or explore",
    )
    parser.add_argument(
        "--good",
        metavar="V",
        help="a kernel without the violation: with --bad, one end of the walk",
    )
    parser.add_argument(
        "--bad",
        metavar="V",
        help="a kernel with it: the other end (default: from the oldest version to the newest)",
    )
    parser.add_argument(
        "--max-executions",
        metavar="N",
        type=_bound,
        help="executions of a race on one kernel, at least 1 (default: what the scenario says, or "
        f"{bisect_tokens.DEFAULT_EXECUTIONS})",
    )
    parser.set_defaults(run=_run)


def _bound(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 1 << 32:
        raise argparse.ArgumentTypeError(
            "must be a whole number, at least 1 and at most 4294967295"
        )
    return int(text)


def _probe(text: str, max_executions: int | None) -> tuple[str, bisect.Probe, tuple[str, ...]]:
    """Title, what to ask of each kernel, and the modes that a token's kernel has."""
    bound = max_executions or bisect_tokens.DEFAULT_EXECUTIONS
    if text.startswith(tokens.PROGRAM_PREFIX):
        try:
            replayed = tokens.decode_program(text)
            modes = select(replayed.program.version).modes
        except ValueError as e:
            raise BadInputError(str(e)) from None
        title = f"{replayed.kind}: a program of one's own"
        return title, bisect_tokens.program_probe(replayed, bound), modes
    if text.startswith(tokens.PREFIX):
        try:
            replay = tokens.decode(text)
            modes = select(replay.experiment.setup.version).modes
            probe = bisect_tokens.token_probe(replay, bound)
        except ValueError as e:
            raise BadInputError(str(e)) from None
        setup = replay.experiment.setup
        what = f"{setup.mode.driver} {setup.mode.name} {setup.range}"
        return f"{replay.kind}: {what}, {replay.experiment.program.name}", probe, modes
    try:
        found = scenario.bundled()
        known = [s for s in found if s.id.lower() == text.lower()]
        if not known and Path(text).exists():
            known = found = scenario.load(text)
    except (scenario.ScenarioError, OSError) as e:
        raise BadInputError(str(e)) from None
    if not known:
        names = ", ".join(s.id for s in found)
        raise BadInputError(f"no scenario file, replay token or known bug {text!r}; known: {names}")
    if len(known) > 1:
        # A file with modes has several: the first is the one without.
        known = known[:1]
    wanted = known[0]
    if max_executions is not None:
        wanted = replace(wanted, max_executions=max_executions)
    return f"{wanted.id}: {wanted.title}", bisect.scenario_probe(wanted), ()


def _end(text: str) -> tuple[int, tuple[str, ...]]:
    """One end of the walk: how many patches it has, and its modes."""
    try:
        kernel = select(text)
        return bisect.position(kernel), kernel.modes
    except ValueError as e:
        raise BadInputError(str(e)) from None


def _common_modes(
    of_token: tuple[str, ...], ends: dict[str, tuple[int, tuple[str, ...]]]
) -> tuple[str, ...]:
    """Those of all kernels of the walk: what the ends say, else what the token says."""
    named = {option: tuple(sorted(set(modes))) for option, (_, modes) in ends.items() if modes}
    if len(set(named.values())) > 1:
        raise BadInputError("--good and --bad have different modes: a walk has the same everywhere")
    return next(iter(named.values()), of_token)


def _run(arguments: argparse.Namespace) -> int:
    title, probe, modes = _probe(arguments.scenario, arguments.max_executions)
    ends = {
        name: _end(text)
        for name, text in (("good", arguments.good), ("bad", arguments.bad))
        if text is not None
    }
    start, end = 0, len(patches())
    if len(ends) == 2:
        start, end = sorted(place for place, _ in ends.values())
        if start == end:
            raise BadInputError("--good and --bad are the same kernel")
    try:
        result = bisect.walk(probe, start, end, _common_modes(modes, ends))
    except ValueError as e:
        raise BadInputError(str(e)) from None
    for what, (place, _) in ends.items():
        end_try = result.tries[place - start]
        verdict = end_try.verdict
        if not verdict.tried:
            raise BadInputError(f"--{what} {end_try.kernel}: cannot be tried: {verdict.note}")
        if bool(verdict.shows) is not (what == "bad"):
            verb = "shows" if verdict.shows else "does not show"
            note = "" if verdict.certain else f" ({verdict.note})"
            raise BadInputError(f"--{what} {end_try.kernel}: the violation {verb} there{note}")
    sys.stdout.write(_as_text(title, result))
    return FOUND if result.monotone else NOT_FOUND


def _as_text(title: str, result: bisect.Result) -> str:
    words = {True: "violated", False: "ok", None: "not-applicable"}
    lines = [title, ""]
    changes = {change.patch.number: change for change in result.changes}
    for tried in result.tries:
        mark = "*" if tried.patch and tried.patch.number in changes else " "
        what = str(tried.kernel) if tried.patch is None else f"+ {tried.patch.name}"
        note = f" ({tried.verdict.note})" if tried.verdict.note else ""
        lines.append(f"{mark} {what:<24} {words[tried.shows]}{note}")
    lines.append("")
    if not result.changes:
        lines.append("No patch changes it.")
    for change in result.changes:
        verb = "introduces" if change.introduces else "removes"
        lines.append(f"{verb} the violation: {change.patch.name}, {change.patch.title}")
        if not change.exact:
            lines.append("or a patch before it, with which it cannot be tried")
    if len(result.changes) > 1:
        lines.append("It is not monotone: there is more than one change, and no single answer.")
    if not all(tried.verdict.tried for tried in result.tries):
        lines.append("Where it is not applicable because it cannot be set up, it may show or not.")
    if any(tried.verdict.tried and not tried.verdict.certain for tried in result.tries):
        lines.append(
            "Not every search was exhaustive: with more executions (--max-executions) the "
            "violation may show on more kernels."
        )
    return "\n".join(lines) + "\n"
