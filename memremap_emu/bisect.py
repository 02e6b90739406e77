# SPDX-License-Identifier: GPL-2.0-only
"""Which patch introduces a violation, and which one removes it.

The kernels between two versions are the prefixes of the list of all patches.  All of them are
tried, for whether a violation shows need not be monotone: only then is there one answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from memremap_emu import scenario
from memremap_emu.scenario import Scenario, ScenarioError, Status
from memremap_emu.versions import Patch, Selection, mode_set, patches, prefix


@dataclass(frozen=True)
class Verdict:
    """What trying one kernel gave.

    Attributes:
        shows: the violation does; None: the question makes no sense there
        note: how that was found out, may be empty
        certain: not only as far as a bounded search has seen; of a question that makes no sense:
            by what it is about, not because it cannot be set up
    """

    shows: bool | None
    note: str = ""
    certain: bool = True

    @property
    def tried(self) -> bool:
        """It says something of the violation: that it does not show where it makes no sense."""
        return self.shows is not None or self.certain


#: Answers whether the violation shows.
Probe = Callable[[Selection], Verdict]


@dataclass(frozen=True)
class Try:
    """One kernel that was tried: the patch on top, None for the first, and what showed."""

    kernel: Selection
    patch: Patch | None
    verdict: Verdict

    @property
    def shows(self) -> bool | None:
        """The violation does; None: the question makes no sense there."""
        return self.verdict.shows


@dataclass(frozen=True)
class Change:
    """A patch at which the answer changes.

    Attributes:
        patch: the first with which it is another one
        introduces: the violation shows from there on
        exact: it could be tried without that patch, too
    """

    patch: Patch
    introduces: bool
    exact: bool = True


@dataclass(frozen=True)
class Result:
    """What a walk over the patches gave.

    Attributes:
        tries: every kernel, oldest first
        changes: patches at which the answer changes
    """

    tries: tuple[Try, ...]
    changes: tuple[Change, ...]

    @property
    def monotone(self) -> bool:
        """The answer changes once."""
        return len(self.changes) == 1

    @property
    def certain(self) -> bool:
        """It does not rest on what a bounded search has not found, or could not be tried."""
        return all(tried.verdict.certain for tried in self.tries)


def scenario_probe(wanted: Scenario) -> Probe:
    """Does the scenario show its bug?

    A program whose set-up fails on a kernel, as its driver does not bind there, say, says nothing
    of it.

    Raises:
        ValueError: by the probe, if the scenario cannot be run at all.
    """

    def probe(kernel: Selection) -> Verdict:
        if wanted.missing:
            raise ValueError(f"{wanted.id} cannot be run: {wanted.missing}")
        try:
            outcome = scenario.run(wanted, kernel)
        except ScenarioError as e:
            if wanted.program is None:
                raise
            return Verdict(None, str(e).removeprefix(f"{wanted.id}: "), certain=False)
        if outcome.status is Status.NOT_APPLICABLE:
            return Verdict(None)
        if outcome.status is Status.MISSING:
            note = f"{outcome.executions} executions, bounded, not exhaustive"
            return Verdict(False, note, certain=False)
        return Verdict(outcome.status is Status.VIOLATED)

    return probe


def position(kernel: Selection) -> int:
    """How many of all patches it has.

    Raises:
        ValueError: they are not the first so many.
    """
    n = len(kernel.patches)
    if kernel.patches != tuple(p.name for p in patches()[:n]):
        raise ValueError(f"{kernel} is no prefix of the list of patches: it cannot be walked to")
    return n


def _with_modes(n: int, names: tuple[str, ...]) -> tuple[Selection, str]:
    """The kernel with ``n`` patches and these modes, and why there is none: empty if there is."""
    kernel = replace(prefix(n), modes=names)
    try:
        mode_set(names, kernel.patches)
    except ValueError as e:
        return kernel, str(e)
    return kernel, ""


def walk(probe: Probe, start: int, end: int, modes: tuple[str, ...] = ()) -> Result:
    """Tries every kernel from ``start`` to ``end`` patches, each with these modes.

    One that lacks a patch which a mode needs is not applicable.
    """
    tries: list[Try] = []
    changes: list[Change] = []
    before: bool | None = None
    for n in range(start, end + 1):
        patch = patches()[n - 1] if n > start else None
        kernel, lacks = _with_modes(n, modes)
        verdict = Verdict(None, lacks) if lacks else probe(kernel)
        # What does not apply does not show; what cannot be set up is not cured by that.
        shows = bool(verdict.shows) if verdict.tried else before
        if patch is not None and before is not None and shows is not None and shows != before:
            changes.append(Change(patch, shows, tries[-1].verdict.tried))
        tries.append(Try(kernel, patch, verdict))
        before = shows
    return Result(tuple(tries), tuple(changes))
