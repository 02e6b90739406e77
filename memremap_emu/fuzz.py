# SPDX-License-Identifier: GPL-2.0-only
"""A campaign: programs, schedules and failing calls at random, guided by new final states.

A program is drawn afresh or made from one that led to states not seen before; it is run over
schedules, at first by priorities (PCT), then depth first.  What breaks a rule is told apart by
its `cause`, made as small as it gets, and kept as a scenario that ``memremap-emu bisect`` and
pytest take.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memremap_emu import counterexample
from memremap_emu.counterexample import Counterexample
from memremap_emu.errors import NUMBER, ViolationRecord
from memremap_emu.operations import Operation, ProgramError, TaskSpec
from memremap_emu.program import Program
from memremap_emu.search import Found
from memremap_emu.versions import DEFAULT_VERSION

#: Executions of one program by each strategy.
EXECUTIONS = 400
#: Executions of each search that makes a counterexample smaller.
MINIMISING = 60
#: Programs that are remembered, at most.
_MAX_CORPUS = 256
_START, _SECTION = 0x140000000, 128 << 20

Cause = tuple[str, str, str]


@dataclass
class Campaign:
    """What has been found so far.

    Attributes:
        version: of the kernel
        seed: of the generator
        programs: run so far
        executions: of all of them
        states: hashes of final states, by set-up
        corpus: programs that led to new ones
        found: the smallest counterexample of each cause
    """

    version: str = DEFAULT_VERSION
    seed: int = 0
    programs: int = 0
    executions: int = 0
    states: set[tuple[str, int]] = field(default_factory=set)
    corpus: list[Program] = field(default_factory=list)
    found: dict[Cause, Counterexample] = field(default_factory=dict)
    seconds: float = 0.0

    def run(
        self,
        seconds: float,
        progress: Callable[[Campaign], None] | None = None,
        until: Callable[[ViolationRecord], bool] | None = None,
    ) -> None:
        """Goes on for so long, or until a violation that the caller is after."""
        draw = random.Random(f"{self.seed}/{self.programs}")
        started = time.monotonic()
        before = self.seconds
        while (spent := time.monotonic() - started) < seconds:
            self.seconds = before + spent
            program = self._next(draw)
            try:
                done = self._try(program, draw, until)
            except ProgramError:
                continue  # a set-up that a mutation has spoilt
            if progress is not None:
                progress(self)
            if done:
                break
        self.seconds = before + time.monotonic() - started

    # --- programs ---

    def _next(self, draw: random.Random) -> Program:
        if self.corpus and draw.random() < 0.5:
            return mutated(draw.choice(self.corpus), draw)
        return drawn(self.version, draw)

    def _try(
        self,
        program: Program,
        draw: random.Random,
        until: Callable[[ViolationRecord], bool] | None,
    ) -> bool:
        """Runs a program; True if it has shown what the caller is after."""
        self.programs += 1
        news = False
        setup = repr(replace(program, tasks=()))
        with program.boot() as booted:
            tasks = booted.tasks()
            for strategy in ("pct", "dpor"):
                explored = tasks.explore(
                    strategy=strategy,
                    seed=draw.getrandbits(60),
                    max_preemptions=3,
                    max_faults=0 if strategy == "pct" else 1,
                    max_executions=EXECUTIONS,
                    stop_at_violation=False,
                    check_quiescence=True,
                )
                self.executions += explored.executions
                state = setup, explored.final_hash
                if explored.final_states and state not in self.states:
                    self.states.add(state)
                    news = True
                for found in explored.found:
                    self._keep(program, found)
                if until is not None and any(until(f.record) for f in explored.found):
                    return True
        if news:
            self.corpus.append(program)
            if len(self.corpus) > _MAX_CORPUS:
                self.corpus.pop(draw.randrange(_MAX_CORPUS))
        return False

    def _keep(self, program: Program, found: Found) -> None:
        key = found.record.cause
        if key in self.found:
            return
        try:
            self.found[key] = counterexample.minimise(
                program,
                found.record,
                schedule=found.schedule,
                max_executions=MINIMISING,
                max_preemptions=1,
                max_faults=min(1, sum(byte >= 0x80 for byte in found.schedule)),
            )
        except ValueError:
            return

    # --- files ---

    def save(self, folder: Path) -> None:
        """Writes scenarios, one for each cause, and what is needed to go on."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, least in enumerate(self.found.values(), 1):
            path = folder / f"{number:03d}-{least.record.kind}.scenario.json"
            path.write_text(json.dumps(scenario(least, f"F{number:03d}"), indent=2) + "\n")
        state = {
            "schema": 1,
            "version": self.version,
            "seed": self.seed,
            "programs": self.programs,
            "executions": self.executions,
            "seconds": self.seconds,
            "states": sorted(self.states),
            "corpus": [program.document() for program in self.corpus],
            "found": [
                {
                    "program": least.program.document(),
                    "kind": least.record.kind,
                    "message": least.record.message,
                    "func": least.record.func,
                    "schedule": list(least.schedule),
                }
                for least in self.found.values()
            ],
        }
        beside = folder / "campaign.new"
        beside.write_text(json.dumps(state))
        beside.replace(folder / "campaign")

    @classmethod
    def load(cls, folder: Path) -> Campaign:
        """Goes on with what `save` wrote.

        Raises:
            ValueError: it is damaged.
            OSError: it cannot be read.
        """
        path = folder / "campaign"
        try:
            state = json.loads(path.read_text())
            if state["schema"] != 1:
                raise ValueError("another schema")
            campaign = cls(
                state["version"],
                int(state["seed"]),
                int(state["programs"]),
                int(state["executions"]),
                {(str(setup), int(number)) for setup, number in state["states"]},
                [Program.from_document(document) for document in state["corpus"]],
                seconds=float(state["seconds"]),
            )
            for kept in state["found"]:
                program = Program.from_document(kept["program"])
                record = ViolationRecord(kept["kind"], kept["message"], kept["func"])
                schedule = bytes(kept["schedule"])
                campaign.found[record.cause] = Counterexample(
                    program, record, schedule, 0, 0, True, None, program.replay(schedule)
                )
        except (KeyError, TypeError, ValueError) as e:
            raise ValueError(f"{path}: {type(e).__name__}: {e}") from None
        return campaign


def scenario(least: Counterexample, name: str) -> dict[str, Any]:
    """A counterexample as the scenario of a bug, see scenarios/README.md."""
    parts = NUMBER.split(least.record.message)
    return {
        "schema": 1,
        "id": name,
        "title": f"{least.record.kind}: {least.record.message}",
        "invariant": str(least.turning) if least.turning else "found by a campaign",
        "program": least.program.document(),
        "violations": [
            {
                "kind": least.record.kind,
                # Escaped by hand: re.escape() would escape blanks, too.
                "match": "(0x)?[0-9a-f]+".join(map(_escaped, parts)),
            }
        ],
    }


def _escaped(text: str) -> str:
    return "".join("\\" + c if c in r".^$*+?{}[]\|()" else c for c in text)


# --- programs at random ---

_USES: dict[str, list[list[str]]] = {
    "dax_pmem": [["get_dev_pagemap mine 0"], ["get_dev_pagemap mine 1"]],
    "pmem": [["get_dev_pagemap mine 0"], ["get_dev_pagemap mine 1"]],
    "hmm": [["fault mine 0"], ["get_dev_pagemap mine 0"]],
    "p2pdma": [["use_p2pmem mine"], ["get_dev_pagemap mine 0"]],
}
_LIVES = [
    ["unbind mine"],
    ["unbind mine", "bind mine"],
    ["unbind mine", "bind mine", "unbind mine"],
]


def drawn(version: str, draw: random.Random) -> Program:
    """A program around one device: bound or about to be, used, with things held."""
    driver = draw.choice(list(_USES))
    program = Program(version, cpus=4)
    start = 0 if driver == "hmm" else _START
    if driver == "p2pdma":
        program = program.memory(start, start + _SECTION - 1, "0000:80:00.0")
    elif driver == "hmm":
        program = program.memory(0x100000, 0xBFFFFFFF, "System RAM")
    else:
        program = program.memory(start, start + _SECTION - 1)
    program = program.device("mine", driver, start, _SECTION)
    if draw.random() < 0.25:
        body = ["bind mine", "unbind mine"] if draw.random() < 0.5 else ["bind mine"]
        program = program.task("probe", *body)
        if draw.random() < 0.5:
            program = program.task("user", *draw.choice(_USES[driver]))
        return program
    program = program.setup("bind mine")
    bodies = [list(draw.choice(_LIVES))]
    for _ in range(draw.randint(0, 2)):
        bodies.append([op for _ in range(draw.randint(1, 2)) for op in draw.choice(_USES[driver])])
    if draw.random() < 0.6:
        program = program.setup("get_page mine 0")
        bodies.append(["put_page mine 0"])
    if driver == "pmem" and draw.random() < 0.4:
        program = program.setup("submit_bio mine")
        bodies.append(["bio_endio mine"])
    for number, body in enumerate(bodies[:4]):
        program = program.task(f"t{number}", *body)
    return program


def mutated(program: Program, draw: random.Random) -> Program:
    """A program that differs from another one in one thing."""
    tasks = list(program.tasks)
    number = draw.randrange(len(tasks))
    task = tasks[number]
    driver = program.devices[0].driver
    match draw.randrange(4):
        case 0 if len(tasks) < 4:
            added = tuple(map(Operation.read, draw.choice([*_USES[driver], *_LIVES])))
            tasks.append(TaskSpec(_free_name(tasks), added))
        case 1 if len(task.operations) > 1:
            at = draw.randrange(len(task.operations))
            left = (*task.operations[:at], *task.operations[at + 1 :])
            tasks[number] = replace(task, operations=left)
        case 2:
            more = tuple(map(Operation.read, draw.choice(_USES[driver])))
            tasks[number] = replace(task, operations=(*task.operations, *more))
        case _:
            other = draw.choice(["dax_pmem", "pmem"])
            if driver in ("dax_pmem", "pmem") and not any(
                "bio" in o.call for o in _operations(program)
            ):
                return replace(program, devices=(replace(program.devices[0], driver=other),))
    return replace(program, tasks=tuple(tasks))


def _free_name(tasks: list[TaskSpec]) -> str:
    names = {task.name for task in tasks}
    return next(name for n in range(len(tasks) + 1) if (name := f"t{n}") not in names)


def _operations(program: Program) -> Iterator[Operation]:
    yield from program.prepared
    for task in program.tasks:
        yield from task.operations
