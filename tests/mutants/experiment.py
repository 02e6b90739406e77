# SPDX-License-Identifier: GPL-2.0-only
"""Runs experiments of the table with the memremap_emu that Python finds.

Reads them as JSON, one a line, and prints for each, as JSON in a line, what it showed.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from memremap_emu import Config, Kernel, _native, scenario
from memremap_emu.experiments import Mode, Setup, mode_named, program_named
from memremap_emu.interleavings import Race
from memremap_emu.runs import Bench
from memremap_emu.versions import Selection

# Not before: the memremap_emu that is there, too, is not meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutants import programs, table

# Which versions there are is asked of the plain module, which is not built here.
_native._libraries[False] = _native.library(True)

PMEM = "100000000-107ffffff : Persistent Memory\n"
BAR = "c0000000-c7ffffff : PCI Bus 0000:00\n  c0000000-c7ffffff : 0000:00:01.0\n"
RAM = "00100000-0fffffff : System RAM\n"
SECOND = "110000000-117ffffff : Persistent Memory\n"


@dataclass
class Shown:
    """What an experiment showed.

    Attributes:
        violations: kind and message of each
        executions: how many there were
        exhaustive: all schedules were covered; None: there is one
    """

    violations: list[tuple[str, str]] = field(default_factory=list)
    executions: int = 0
    exhaustive: bool | None = None


class _Race(Race):
    """One on a kernel with a configuration of its own."""

    def __init__(self, setup: Setup, program: str, config: Config | None) -> None:
        self._config = config
        super().__init__(setup, program_named(program))

    def _prepare(self) -> None:
        if self._config is not None:
            self.kernel.close()
            self.kernel = Kernel.select(
                self.setup.version, config=self._config, on_violation="record", trace=False
            )
        super()._prepare()


def _config(finds: dict[str, Any]) -> Config | None:
    # With PREEMPT_RCU a queue is freed under the release of its counter, on every version.
    return Config(preempt_rcu=False) if not finds.get("preempt_rcu", True) else None


def _setup(finds: dict[str, Any]) -> Setup:
    driver, _, name = finds["on"].partition(" ")
    mode: Mode = mode_named(driver, name)
    if mode.memory == "pmem":
        text = PMEM
        start, end, second = 0x100000000, 0x107FFFFFF, 0x110000000
        return Setup(finds["version"], text + SECOND, mode, start, end, second)
    if mode.memory == "bar":
        return Setup(finds["version"], BAR, mode, 0xC0000000, 0xC7FFFFFF)
    return Setup(finds["version"], RAM, mode, 0x3FFFF8000000, 0x3FFFFFFFFFFF)


def race(finds: dict[str, Any]) -> Shown:
    """A program of check whose tasks race."""
    with _Race(_setup(finds), finds["race"], _config(finds)) as bench:
        found = bench.explore(max_executions=finds.get("executions", table.EXECUTIONS))
    return Shown(
        [(finding.kind, finding.message) for finding, _ in found.findings],
        found.exploration.executions,
        found.exploration.exhaustive,
    )


def life(finds: dict[str, Any]) -> Shown:
    """Programs of check with one task, one after the other; and with some calls failing."""
    shown = Shown()
    setup = _setup(finds)
    if "beside-second-device" not in finds["life"]:
        setup = replace(setup, second=None)
    bench = Bench(setup)
    for name in finds["life"]:
        program = program_named(name)
        outcomes = [bench.run(program)]
        number = 0
        for _, point in outcomes[0].fallible:
            for _ in range(point.count):
                number += 1
                if f"{point.stage}:{point.site}" in finds.get("failing", ()):
                    outcomes.append(bench.run(program, (number,)))
        if finds.get("failing") and len(outcomes) == 1:
            raise table.TableError(f"no call of {finds['failing']} was met")
        shown.executions += len(outcomes)
        shown.violations += [(f.kind, f.message) for o in outcomes for f in o.findings]
    return shown


def run_scenario(finds: dict[str, Any]) -> Shown:
    """One that comes with the package, without the mistake that it is about, or a file of ours."""
    name = finds["scenario"]
    if name.endswith(".json"):
        chosen = scenario.load(table.FOLDER / name)
    else:
        chosen = [s for s in scenario.bundled() if s.id == name]
    shown = Shown()
    for one in chosen:
        outcome = scenario.run(one, Selection(finds["version"]))
        if outcome.status not in (scenario.Status.OK, scenario.Status.VIOLATED):
            raise table.TableError(f"{name} on {finds['version']}: {outcome.status}")
        shown.executions += 1
        shown.violations += [(r.kind, r.message) for r in (*outcome.records, *outcome.others)]
    if not chosen:
        raise table.TableError(f"no scenario {name}")
    return shown


def program(finds: dict[str, Any]) -> Shown:
    """One of programs.py."""
    config = _config(finds) or Config()
    with Kernel(finds["version"], cpus=2, config=config, on_violation="record") as k:
        made = getattr(programs, finds["program"].replace("-", "_"))(k)
        before = [*made.before, *k.violations]
        if made.program is None:
            before += k.quiescence()
            return Shown([(v.kind, v.message) for v in before], 1)
        found = made.program.explore(
            max_executions=finds.get("executions", table.EXECUTIONS),
            stop_at_violation=False,
            check_quiescence=made.quiescence,
        )
    records = [*before, *(f.record for f in found.found)]
    return Shown([(r.kind, r.message) for r in records], found.executions, found.exhaustive)


def run(finds: dict[str, Any]) -> Shown:
    """Runs it."""
    kinds = {"race": race, "life": life, "scenario": run_scenario, "program": program}
    return kinds[table.experiment_kind(finds)](finds)


def main() -> None:
    """Answers line by line; nothing else may come on standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(asdict(run(json.loads(line)))), file=answers, flush=True)


if __name__ == "__main__":
    main()
