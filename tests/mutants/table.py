# SPDX-License-Identifier: GPL-2.0-only
"""The table of seeded defects, `mutants.toml`, and what a row may say."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
TABLE = FOLDER / "mutants.toml"
#: Directories of csrc/ that may be mutated: never the machine that watches.
MUTABLE = ("kernel", "mm", "lib", "drivers", "block")
#: Executions of a search over schedules if the row gives no other bound.
EXECUTIONS = 3000
_KINDS_OF_EXPERIMENT = ("race", "life", "scenario", "program")
_FIELDS = {
    "race": {"race", "on", "version", "executions", "preempt_rcu"},
    "life": {"life", "on", "version", "failing"},
    "scenario": {"scenario", "version"},
    "program": {"program", "version", "executions", "preempt_rcu"},
}


class TableError(ValueError):
    """A row that is none, or does not fit the sources."""


@dataclass(frozen=True)
class Mutant:
    """A row.

    Attributes:
        name: short, unique
        file: below csrc/
        edits: text before and after, each of which must be there exactly once
        what: the defect in one line
        finds: the experiment that finds it
        kinds: kinds of violation, at least one of which it must show
        survives: why nothing finds it; empty: something does
    """

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    what: str
    finds: dict[str, Any]
    kinds: tuple[str, ...]
    survives: str = ""

    def apply(self, text: str) -> str:
        """The text of the file with the defect.

        Raises:
            TableError: a text before is not there, or not only once.
        """
        for before, after in self.edits:
            times = text.count(before)
            if times != 1:
                raise TableError(f"{self.name}: {self.file} has this {times} times:\n{before}")
            text = text.replace(before, after)
        return text

    def mutated(self, csrc: Path) -> str:
        """The same, of the file below ``csrc``."""
        return self.apply((csrc / self.file).read_text())


def read(path: Path = TABLE) -> list[Mutant]:
    """All rows.

    Raises:
        TableError: one is none.
    """
    rows = tomllib.loads(path.read_text())["mutant"]
    found = [_mutant(row) for row in rows]
    names = [mutant.name for mutant in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TableError(f"twice in the table: {', '.join(sorted(twice))}")
    return found


def experiment_kind(finds: dict[str, Any]) -> str:
    """Which kind of experiment it is.

    Raises:
        TableError: none, or it has fields that it cannot have.
    """
    kinds = [kind for kind in _KINDS_OF_EXPERIMENT if kind in finds]
    if len(kinds) != 1:
        raise TableError(f"no experiment: {finds}")
    unknown = set(finds) - _FIELDS[kinds[0]]
    if unknown:
        raise TableError(f"a {kinds[0]} has no {', '.join(sorted(unknown))}: {finds}")
    if "version" not in finds:
        raise TableError(f"an experiment names its version: {finds}")
    return kinds[0]


def _mutant(row: dict[str, Any]) -> Mutant:
    row = dict(row)
    name = row.get("name", "?")
    try:
        edits = row.pop("edits", None)
        if edits is None:
            edits = [[row.pop("before"), row.pop("after")]]
        found = Mutant(
            name=row.pop("name"),
            file=row.pop("file"),
            edits=tuple((before, after) for before, after in edits),
            what=row.pop("what"),
            finds=row.pop("finds"),
            kinds=tuple(row.pop("kinds")),
            survives=row.pop("survives", ""),
        )
        experiment_kind(found.finds)
    except (KeyError, ValueError) as e:
        raise TableError(f"{name}: {e}") from None
    if row:
        raise TableError(f"{name} has unknown fields: {', '.join(row)}")
    if found.file.split("/")[0] not in MUTABLE or not found.file.endswith(".c"):
        raise TableError(f"{name}: {found.file} is no file of the emulated kernel")
    if any(before == after for before, after in found.edits):
        raise TableError(f"{name} changes nothing")
    if bool(found.kinds) == bool(found.survives):
        raise TableError(f"{name}: either kinds that are found, or the reason why it survives")
    return found
