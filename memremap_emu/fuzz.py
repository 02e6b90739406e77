# SPDX-License-Identifier: GPL-2.0-only
"""A campaign: programs, schedules and failing calls at random, guided by new final states.

A program is drawn afresh, drawn for a set-up that is there, or made from one that has led to
states not seen before (`memremap_emu.generate`).  Its schedules are searched in slices, each
larger than the one before, for as long as they lead to new states.  What breaks a rule is made as
small as it gets, and kept as a scenario that ``memremap-emu bisect`` and pytest take.
"""

from __future__ import annotations

import array
import json
import math
import random
import re
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memremap_emu import counterexample, files, generate, interrupts, scenario
from memremap_emu.booted import Booted, SetUps
from memremap_emu.counterexample import Counterexample
from memremap_emu.errors import NUMBER, Cause, ViolationRecord
from memremap_emu.exploration import Bound, Found
from memremap_emu.operations import ProgramError
from memremap_emu.program import Program
from memremap_emu.search import SLICE
from memremap_emu.versions import DEFAULT_VERSION, select

#: Executions after which it is asked whether a search still finds new states.
SLICES = (50, 200, 800)
#: How programs are searched, and with how many failing calls: one of these is drawn.
SEARCHES = (
    *(("preemptions", faults) for faults in (0, 0, 1, 1, 2)),
    *(("dpor", faults) for faults in (0, 0, 1, 1)),
    ("pct", 0),
)
#: Executions of each search that makes a counterexample smaller, and parts of a program that are
#: tried where the whole has too many schedules.
MINIMISING, PARTS = 100, 4
#: After so many programs one more violation of a rule that was broken before is looked into.
LATER = 40
#: Programs that are remembered, at most, and set-ups that are kept.
_MAX_CORPUS, _MAX_SETUPS = 256, 32
#: Violations that wait to be looked into, at most.
_MAX_LATER = 256
#: Kinds of violations of which the rule is all that counts.
_OF_MEMORY = frozenset(
    {"use-after-free", "out-of-bounds", "double-free", "uninitialized", "memmap-removed"}
)
#: Kinds of violations that change nothing: what comes after them is not their doing.
_HARMLESS = frozenset({"data-race", "lock-order"})
#: Of five programs that are not made from others one is drawn for a set-up that is there.
_OLD_SETUPS = 5
#: Drivers of one's own are the most different, and the fastest.
_KINDS = (*generate.KINDS, "own", "own", "own")

#: What makes two findings the same: the rule that is broken (kind, function, message without its
#: numbers) and the two operations that its point of no return is about.
Identity = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Finding:
    """A violation of a campaign.

    Attributes:
        program: as small as it got
        record: the violation
        schedule: that shows it
        pair: the two operations that the point of no return is about: the one that was decided
            for, the one that would have had to come before it; empty if it could not be told
        point: the point of no return in words
        faults: calls that fail in the schedule
        minimal: the bounds of the searches left nothing out on the way
        seconds: into the campaign
    """

    program: Program
    record: ViolationRecord
    schedule: bytes
    pair: tuple[str, str]
    point: str
    faults: int
    minimal: bool
    seconds: float

    @property
    def identity(self) -> Identity:
        """Equal for what is found again: the rule that is broken and the pair.

        Where memory is used that is gone, the two operations say it: which of the functions that
        come after them is the first to touch it does not matter.
        """
        if self.record.kind in _OF_MEMORY and all(self.pair):
            return (self.record.kind, "", "", *self.pair)
        return (*self.record.cause, *self.pair)

    def scenario(self, name: str) -> dict[str, Any]:
        """As the scenario of a bug, see scenarios/README.md."""
        parts = NUMBER.split(self.record.message)
        return {
            "schema": 1,
            "id": name,
            "title": f"{self.record.kind}: {self.record.message}",
            "invariant": self.point or "found by a campaign",
            "program": self.program.document(),
            "max_faults": self.faults,
            "schedule": self.schedule.hex(),
            "violations": [
                {
                    "kind": self.record.kind,
                    # Escaped by hand: re.escape() would escape blanks, too.
                    "match": "(0x)?[0-9a-f]+".join(map(_escaped, parts)),
                }
            ],
        }

    def gone_on(self, version: str) -> bool:
        """Does it show on its own kernel, and on this one under no schedule?

        Raises:
            ScenarioError: its set-up does not come about there.
        """
        (here,) = scenario.parse(json.dumps(self.scenario("F")), "a finding")
        there = replace(here, program=generate.of(self.program, version))
        return (
            scenario.run(here, select(self.program.version)).status is scenario.Status.VIOLATED
            and scenario.run(there, select(version)).status is scenario.Status.OK
        )

    def document(self) -> dict[str, Any]:
        """For `read`."""
        return {
            "program": self.program.document(),
            "record": [self.record.kind, self.record.message, self.record.func],
            "schedule": self.schedule.hex(),
            "pair": list(self.pair),
            "point": self.point,
            "faults": self.faults,
            "minimal": self.minimal,
            "seconds": self.seconds,
        }

    @classmethod
    def read(cls, document: dict[str, Any]) -> Finding:
        """What `document` gave; KeyError, TypeError, ValueError for what it did not."""
        first, second = map(str, document["pair"])
        kind, message, func = map(str, document["record"])
        # It is part of the name of a file.
        if not re.fullmatch("[a-z-]+", kind):
            raise ValueError(f"no kind of violation {kind!r}")
        return cls(
            Program.from_document(document["program"]),
            ViolationRecord(kind, message, func),
            bytes.fromhex(document["schedule"]),
            (first, second),
            str(document["point"]),
            int(document["faults"]),
            bool(document["minimal"]),
            float(document["seconds"]),
        )


def _finding(least: Counterexample, seconds: float) -> Finding:
    turning = least.turning
    return Finding(
        least.program,
        least.record,
        least.schedule,
        turning.pair if turning else ("", ""),
        str(turning) if turning else "",
        least.faults,
        least.minimal,
        seconds,
    )


def _escaped(text: str) -> str:
    return "".join("\\" + c if c in r".^$*+?{}[]\|()" else c for c in text)


def _firsts(found: Sequence[Found]) -> Iterator[Found]:
    """Of each execution the first violation that does harm, and those that do none."""
    harmed = set()
    for one in found:
        if one.record.kind in _HARMLESS:
            yield one
        elif one.execution not in harmed:
            harmed.add(one.execution)
            yield one


def _shape(program: Program) -> frozenset[str]:
    """The drivers of a program and what its tasks do."""
    operations = {o.call for task in program.tasks for o in task.operations}
    devices = {f"{d.driver} {d.mode} {d.altmap}" for d in program.devices}
    return frozenset(operations | devices | {"own" for _ in program.drivers})


@dataclass
class Campaign:
    """What has been found so far.

    Attributes:
        version: of the kernel
        seed: of the generator
        programs: run so far
        executions: of all of them
        seconds: that it ran; of several processes the sum
        states: hashes of set-up and final state
        corpus: programs that led to new ones
        found: the smallest counterexample of each cause
        shapes: of the programs that have broken a rule, by its cause: each is looked into once
        job: number of the process, of several that share a campaign
    """

    version: str = DEFAULT_VERSION
    seed: int = 0
    programs: int = 0
    executions: int = 0
    seconds: float = 0.0
    states: set[int] = field(default_factory=set)
    corpus: list[Program] = field(default_factory=list)
    found: dict[Identity, Finding] = field(default_factory=dict)
    job: int = 0
    shapes: dict[Cause, set[frozenset[str]]] = field(default_factory=dict)
    _later: list[tuple[Program, Found]] = field(default_factory=list)
    _stopped: bool = False

    def run(
        self,
        seconds: float,
        progress: Callable[[Campaign], None] | None = None,
        until: Callable[[Finding], bool] | None = None,
    ) -> None:
        """Goes on for so long, or until a finding that the caller is after.

        Args:
            seconds: at least one program is run
            progress: is told after each program
            until: is asked about each finding
        """
        draw = random.Random(f"{self.seed}/{self.job}/{self.programs}")
        self._stopped = False
        started = time.monotonic()
        before = self.seconds
        known = set(self.found)
        with SetUps(_MAX_SETUPS) as setups, interrupts.held():
            while True:
                with suppress(ProgramError):  # a set-up that does not come about
                    self._try(self._next(draw, setups), draw, setups)
                self.seconds = before + time.monotonic() - started
                if progress is not None:
                    progress(self)
                fresh = [found for key, found in self.found.items() if key not in known]
                known.update(found.identity for found in fresh)
                if until is not None and any(map(until, fresh)):
                    break
                if self._stopped or self.seconds - before >= seconds:
                    break

    def stop(self) -> None:
        """Ends `run` after the program that is being run; for ``progress``."""
        self._stopped = True

    def take(self, news: Campaign) -> None:
        """Adds what another process has found; not how much it has run."""
        self.states |= news.states
        for program in news.corpus:
            self._remember(program, random.Random(self.programs))
        for identity, finding in news.found.items():
            self.found.setdefault(identity, finding)
        for cause, shapes in news.shapes.items():
            self.shapes.setdefault(cause, set()).update(shapes)

    # --- programs ---

    def _next(self, draw: random.Random, setups: SetUps) -> Program:
        source = generate.Random(draw)
        if self.corpus and draw.random() < 0.4:
            return generate.mutated(source, draw.choice(self.corpus))
        if len(setups) and not draw.randrange(_OLD_SETUPS):
            return generate.with_tasks(source, draw.choice(setups.programs()))
        return generate.program(source, self.version, kinds=_KINDS, hostile=True)

    def _try(self, program: Program, draw: random.Random, setups: SetUps) -> None:
        booted = setups.of(program)
        self.programs += 1
        if self._later and self.programs % LATER == 0:
            self.keep(*self._later.pop(0), setups)
        if self._search(program, booted, draw, setups):
            self._remember(program, draw)

    def _remember(self, program: Program, draw: random.Random) -> None:
        self.corpus.append(program)
        if len(self.corpus) > _MAX_CORPUS:
            self.corpus.pop(draw.randrange(_MAX_CORPUS))

    def _search(
        self, program: Program, booted: Booted, draw: random.Random, setups: SetUps
    ) -> bool:
        """Searches a program's schedules; True if they have led to new states."""
        setup = zlib.crc32(repr(booted.program).encode()) << 32
        strategy, faults = draw.choice(SEARCHES)
        sampled = strategy == "pct"
        news = False
        done = 0
        search = booted.tasks(program.tasks).search(
            strategy=strategy,
            seed=draw.getrandbits(60) if sampled else 0,
            max_preemptions=2,
            max_faults=faults,
            max_executions=SLICES[0],
            stop_at_violation=False,
            check_quiescence=True,
        )
        with search:
            for more in (*SLICES[1:], 0):
                while search.running:
                    search.run(SLICE)
                    interrupts.check()
                result = search.result
                new = {setup ^ state for state in search.final_states()} - self.states
                self.executions += result.executions - done
                done = result.executions
                self.states |= new
                news = news or bool(new)
                if not more or not new or Bound.EXECUTIONS not in result.bounds or sampled:
                    break
                search.extend(more)
        for found in _firsts(result.found):
            self._note(program, found, setups)
        return news

    def _note(self, program: Program, found: Found, setups: SetUps) -> None:
        """A rule that is broken for the first time is looked into at once, programs of other
        shapes that break it later, one now and then."""
        shapes = self.shapes.setdefault(found.record.cause, set())
        shape = _shape(program)
        if shape in shapes:
            return
        shapes.add(shape)
        if len(shapes) == 1:
            self.keep(program, found, setups)
        elif len(self._later) < _MAX_LATER:
            self._later.append((program, found))

    def keep(self, program: Program, found: Found, setups: SetUps) -> None:
        """Makes a violation smaller; what another one has led to is none of its own."""
        try:
            least = counterexample.minimise(
                program,
                found.record,
                schedule=found.schedule,
                max_executions=MINIMISING,
                max_preemptions=1,
                max_faults=counterexample.faults_of(found.schedule),
                parts=PARTS,
                setups=setups,
            )
        except ValueError:
            return
        harm = (v.cause for v in least.replayed.violations if v.kind not in _HARMLESS)
        if least.record.kind in _HARMLESS or next(harm) == least.record.cause:
            finding = _finding(least, self.seconds)
            self.found.setdefault(finding.identity, finding)

    # --- files ---

    def save(self, folder: Path) -> None:
        """Writes scenarios, one for each cause, and what is needed to go on."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, finding in enumerate(self.found.values(), 1):
            write_scenario(folder, number, finding)
        state = {
            "schema": 2,
            "version": self.version,
            "seed": self.seed,
            "programs": self.programs,
            "executions": self.executions,
            "seconds": self.seconds,
            "corpus": [program.document() for program in self.corpus],
            "found": [finding.document() for finding in self.found.values()],
            "shapes": [
                [*cause, [sorted(shape) for shape in shapes]]
                for cause, shapes in self.shapes.items()
            ],
        }
        # The states first: more than the rest knows of do no harm.
        files.replace(folder / "states", array.array("Q", sorted(self.states)).tobytes())
        files.replace(folder / "campaign", json.dumps(state))

    @classmethod
    def load(cls, folder: Path) -> Campaign:
        """Goes on with what `save` wrote.

        Raises:
            ValueError: it is damaged.
            OSError: it cannot be read.
        """
        path = folder / "campaign"
        try:
            state = json.loads(files.read_text(path))
            if state["schema"] != 2:
                raise ValueError("another schema")
            if not 0 <= state["seconds"] < math.inf:
                raise ValueError(f"seconds: {state['seconds']}")
            select(state["version"])
            states = array.array("Q")
            states.frombytes((folder / "states").read_bytes())
            campaign = cls(
                str(state["version"]),
                int(state["seed"]),
                int(state["programs"]),
                int(state["executions"]),
                float(state["seconds"]),
                set(states),
                [Program.from_document(document) for document in state["corpus"]],
            )
            for document in state["found"]:
                finding = Finding.read(document)
                campaign.found[finding.identity] = finding
            for kind, func, message, shapes in state["shapes"]:
                if not all(isinstance(text, str) for shape in shapes for text in shape):
                    raise ValueError("shapes: not lists of texts")
                campaign.shapes[kind, func, message] = set(map(frozenset, shapes))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as e:
            raise ValueError(f"{path}: {type(e).__name__}: {e}") from None
        return campaign


def scenario_path(folder: Path, number: int, finding: Finding) -> Path:
    """The file of the ``number``-th finding of a campaign."""
    return folder / f"{number:03d}-{finding.record.kind}.scenario.json"


def write_scenario(folder: Path, number: int, finding: Finding) -> Path:
    """Writes the file of the ``number``-th finding of a campaign; OSError if it cannot."""
    path = scenario_path(folder, number, finding)
    files.replace(path, json.dumps(finding.scenario(f"F{number:03d}"), indent=2) + "\n")
    return path
