# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios: what was done to a machine when a bug showed, as data.

A scenario is a JSON file; `scenarios/README.md` has the schema.  It sets up a machine with some
devices, takes them through steps, and says which violations are the bug: `run` answers whether
they show in a kernel.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from memremap_emu import files, program_json
from memremap_emu._native import violation_kinds
from memremap_emu.booted import Booted
from memremap_emu.columns import render_calls
from memremap_emu.device import Device, Driver
from memremap_emu.drivers import BuiltinDriver, PciDriver
from memremap_emu.errors import Blocked, KernelError, TaskDied, ViolationRecord
from memremap_emu.exploration import Exploration, ScheduleError
from memremap_emu.faults import FaultInjection
from memremap_emu.json_fields import Fields
from memremap_emu.kernel import Kernel
from memremap_emu.memory import Page, PageMap
from memremap_emu.percpu_ref import PerCpuRef
from memremap_emu.program import Program
from memremap_emu.sync import Completion
from memremap_emu.versions import Selection, modes, patches, versions

SCHEMA = 1
#: Executions of a program, if the scenario gives no other bound.
EXECUTIONS = 5000
#: The driver of scenarios, and what it takes.
PAGES = "pages"
_SUFFIX = {"K": 10, "M": 20, "G": 30, "T": 40}

Steps = Generator[Callable[[], Any], Any, int]


class ScenarioError(ValueError):
    """A scenario that is none: file and reason."""


class Status(StrEnum):
    """How a scenario ends on a kernel."""

    VIOLATED = "violated"
    OK = "ok"
    NOT_APPLICABLE = "not-applicable"
    MISSING = "missing"


@dataclass(frozen=True)
class Expected:
    """A violation that is the bug: its kind, and what its message contains."""

    kind: str
    match: str = ""

    def covers(self, record: ViolationRecord) -> bool:
        """Is it this one?"""
        return record.kind == self.kind and re.search(self.match, record.message) is not None


@dataclass(frozen=True)
class DeviceSpec:
    """A device of a scenario, see the schema."""

    name: str
    driver: str
    start: int
    size: int
    mode: str = "fsdax"
    altmap: bool = False
    request: bool = True
    fault: str | None = None
    regions: int = 1


@dataclass(frozen=True)
class Step:
    """One step: what is done, to which device, to which of its pages."""

    action: str
    device: str
    page: int = 0

    def __str__(self) -> str:
        return f"{self.action} {self.device}" + (f" page {self.page}" if self.page else "")


@dataclass(frozen=True)
class Scenario:
    """A scenario, read from a file.

    Attributes:
        id: of the bug, with the mode behind a slash if the scenario is about one
        title: what happens
        invariant: which rule breaks
        violations: what shows the bug
        missing: why it cannot be run, empty if it can
        modes: mistakes that the kernel shall make
        with_patches: without any of these it does not apply
        without_patches: with any of these it does not apply
        memory: the memory map
        devices: by name
        steps: in order
        program: instead of devices and steps: tasks that are explored
        max_executions: of that
        max_faults: calls that fail in one execution of it, at most
        schedule: that has shown the bug once, and is tried first
    """

    id: str
    title: str
    invariant: str
    violations: tuple[Expected, ...] = ()
    missing: str = ""
    modes: tuple[str, ...] = ()
    with_patches: tuple[str, ...] = ()
    without_patches: tuple[str, ...] = ()
    memory: str = ""
    devices: tuple[DeviceSpec, ...] = ()
    steps: tuple[Step, ...] = ()
    program: Program | None = None
    max_executions: int = 0
    max_faults: int = 0
    schedule: bytes = b""

    def applies(self, patches: Sequence[str]) -> bool:
        """Does it mean anything on a kernel with these patches?"""
        needs = {name for mode in modes() if mode.name in self.modes for name in mode.needs}
        return not (needs | set(self.with_patches)) - set(patches) and not (
            set(self.without_patches) & set(patches)
        )


@dataclass
class Outcome:
    """What a scenario gave.

    Attributes:
        status: the answer
        executions: how often it was run
        seconds: how long that took
        records: the violations that are the bug
        others: violations that are not
        history: steps and how they ended
        log: the kernel log
        columns: what each call did, or who did what when, if asked for
    """

    status: Status
    executions: int = 0
    seconds: float = 0.0
    records: list[ViolationRecord] = field(default_factory=list)
    others: list[ViolationRecord] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    columns: str = ""


# --- reading ---


def parse(text: str, source: str) -> list[Scenario]:
    """The scenarios of a file: one without a mode, and one for each mode it names.

    Raises:
        ScenarioError: with source and reason.
    """
    try:
        document = json.loads(text, object_pairs_hook=program_json.once)
    except (ValueError, RecursionError) as e:
        raise ScenarioError(f"{source}: {e}") from None
    try:
        return _read(Fields(document, ""))
    except (KeyError, TypeError, ValueError, re.error) as e:
        raise ScenarioError(f"{source}: {e}") from None


def _bytes(text: str) -> int:
    suffix = _SUFFIX.get(text[-1:], 0)
    return int(text[:-1] if suffix else text, 0) << suffix


def _device(name: str, value: Any) -> DeviceSpec:
    fields = Fields(value, f"devices.{name}")
    found = DeviceSpec(
        name,
        fields.take("driver", str),
        _bytes(fields.take("start", str)),
        _bytes(fields.take("size", str)),
        fields.take("mode", str, "fsdax"),
        fields.take("altmap", bool, False),
        fields.take("request", bool, True),
        fields.take("fault", str, None),
        fields.take("regions", int, 1),
    )
    fields.end()
    if not 1 <= found.regions <= 6:
        raise ValueError(f"device {name!r} has {found.regions} regions, not 1 to 6")
    if found.driver not in (PAGES, *BuiltinDriver._BUILTIN, *PciDriver._BUILTIN):
        known = ", ".join((PAGES, *BuiltinDriver._BUILTIN, *PciDriver._BUILTIN))
        raise ValueError(f"unknown driver {found.driver!r}; known: {known}")
    return found


def _step(text: str, devices: Sequence[str]) -> Step:
    action, _, rest = text.partition(" ")
    device, _, page = rest.partition(" page ")
    if not hasattr(Run, f"do_{action}"):
        known = ", ".join(name.removeprefix("do_") for name in dir(Run) if name.startswith("do_"))
        raise ValueError(f"unknown step {text!r}; known: {known}")
    if device not in devices:
        raise ValueError(f"step {text!r} names no device of the scenario")
    return Step(action, device, int(page or "0", 0))


def _expected(value: Any) -> Expected:
    fields = Fields(value, "violations")
    found = Expected(fields.take("kind", str), fields.take("match", str, ""))
    if found.kind not in (known := violation_kinds()):
        raise ValueError(f"no kind of violation {found.kind!r}; known: {', '.join(known)}")
    re.compile(found.match)
    fields.end()
    return found


def _violations(fields: Fields) -> tuple[Expected, ...]:
    found = tuple(map(_expected, fields.take("violations", list)))
    if not found:
        raise ValueError("violations: none, so that it would be found on no kernel")
    return found


def _read(fields: Fields) -> list[Scenario]:
    if fields.take("schema", int) != SCHEMA:
        raise ValueError(f"schema is not {SCHEMA}")
    scenario = Scenario(
        fields.take("id", str),
        fields.take("title", str),
        fields.take("invariant", str),
        missing=fields.take("missing", str, ""),
        with_patches=fields.strings("with_patches"),
        without_patches=fields.strings("without_patches"),
    )
    known = {patch.name for patch in patches()}
    if unknown := {*scenario.with_patches, *scenario.without_patches} - known:
        raise ValueError(f"unknown patches: {', '.join(sorted(unknown))}")
    names = fields.strings("modes")
    if unknown := set(names) - {mode.name for mode in modes()}:
        raise ValueError(f"unknown modes: {', '.join(sorted(unknown))}")
    plain = fields.take("plain", bool, True)
    if not plain and not names:
        raise ValueError("plain is false and there are no modes: it would never be run")
    fields.take("upstream", str, "")
    fields.take("note", str, "")
    if (program := fields.take("program", dict, None)) is not None:
        scenario = replace(
            scenario,
            violations=_violations(fields),
            program=Program.from_document(program),
            max_executions=fields.take("max_executions", int, EXECUTIONS),
            max_faults=fields.take("max_faults", int, 0),
            schedule=bytes.fromhex(fields.take("schedule", str, "")),
        )
    elif not scenario.missing:
        devices = fields.take("devices", dict)
        scenario = replace(
            scenario,
            violations=_violations(fields),
            memory="\n".join(fields.strings("memory")) + "\n",
            devices=tuple(_device(name, value) for name, value in devices.items()),
            steps=tuple(_step(text, list(devices)) for text in fields.strings("steps", ...)),
        )
    fields.end()
    found = [scenario] if plain else []
    for name in names:
        short = name.removeprefix(f"{scenario.id.lower()}-").removeprefix("p2pdma-")
        found.append(replace(scenario, id=f"{scenario.id}/{short}", modes=(name,)))
    return found


def load(path: str | Path) -> list[Scenario]:
    """The scenarios of a file.

    Raises:
        ScenarioError: as of `parse`.
        OSError: the file cannot be read.
    """
    try:
        text = files.read_text(path)
    except ValueError as e:
        raise ScenarioError(f"{path}: {e}") from None
    return parse(text, str(path))


def bundled() -> list[Scenario]:
    """The scenarios that come with the package, one or more for each known bug."""
    folder = resources.files("memremap_emu") / "scenarios"
    known = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return [scenario for f in known for scenario in parse(f.read_text(), f.name)]


# --- running ---


def run(scenario: Scenario, kernel: Selection, *, columns: bool = False) -> Outcome:
    """Runs a scenario on a kernel, on a machine of its own.

    Args:
        scenario: what to run
        kernel: on which version
        columns: if it is violated, the outcome shall have them

    Raises:
        ScenarioError: it cannot be set up.
    """
    if scenario.missing:
        return Outcome(Status.MISSING)
    if not scenario.applies(kernel.patches):
        return Outcome(Status.NOT_APPLICABLE)
    if scenario.program is not None:
        return _explore(scenario, scenario.program, kernel)
    started = time.perf_counter()
    chosen = replace(kernel, modes=tuple(dict.fromkeys((*kernel.modes, *scenario.modes))))
    with Kernel.select(chosen, on_violation="record", trace=columns) as k:
        try:
            outcome = Run(scenario, k).execute()
        except (ValueError, TypeError) as e:
            raise ScenarioError(f"{scenario.id}: {e}") from None
        if columns and outcome.records:
            broken = [f"=> {r.kind}: {r.message}" for r in outcome.records]
            outcome.columns = render_calls(k.trace.events(), broken)
    outcome.executions = 1
    outcome.seconds = time.perf_counter() - started
    return outcome


def _explore(scenario: Scenario, program: Program, kernel: Selection) -> Outcome:
    """All schedules of a scenario's program, beginning with the one that it names.

    A bound that stops the search before the bug shows leaves it undecided: missing.
    """
    started = time.perf_counter()
    chosen = replace(kernel, modes=tuple(dict.fromkeys((*kernel.modes, *scenario.modes))))
    try:
        with program.boot(chosen) as booted:
            found = _known_schedule(scenario, booted) or booted.tasks().explore(
                stop_at_violation=False,
                check_quiescence=True,
                max_executions=scenario.max_executions,
                max_faults=scenario.max_faults,
            )
            mine = [f for f in found.found if any(e.covers(f.record) for e in scenario.violations)]
            replayed = booted.replay(mine[0].schedule) if mine else None
    except ValueError as e:
        raise ScenarioError(f"{scenario.id}: {e}") from None
    undecided = not mine and not found.complete
    return Outcome(
        Status.VIOLATED if mine else Status.MISSING if undecided else Status.OK,
        executions=found.executions,
        seconds=time.perf_counter() - started,
        records=[f.record for f in mine],
        others=[f.record for f in found.found if f not in mine],
        history=[f"{found.executions} executions: {found.outcome.name.lower()}"],
        log=list(replayed.log) if replayed else [],
        columns=replayed.columns if replayed else "",
    )


def _known_schedule(scenario: Scenario, booted: Booted) -> Exploration | None:
    """What the schedule that showed the bug once gives, None: on this kernel not that."""
    if not scenario.schedule:
        return None
    start = booted.kernel.snapshot()
    try:
        found = booted.tasks().explore(schedule=scenario.schedule, check_quiescence=True)
    except ScheduleError:
        return None
    finally:
        start.restore()
        start.drop()
    shows = any(e.covers(f.record) for e in scenario.violations for f in found.found)
    return found if shows else None


def run_versions(scenario: Scenario, names: Sequence[str] | None = None) -> dict[str, Outcome]:
    """The outcome on each version."""
    return {name: run(scenario, Selection(name)) for name in names or versions()}


class PagesDriver:
    """A driver that maps its range as device-dax does, with a ref of its own.

    It follows the rules of the kernel that it is built for: kill and wait are actions, or the
    pagemap's callbacks, from the patches ``shutdown`` and ``final-put`` on.
    """

    def __init__(self, kernel: Kernel, spec: DeviceSpec, number: int) -> None:
        self.kernel = kernel
        self.spec = spec
        self.done: Completion | None = None
        self.ref: PerCpuRef | None = None
        self.driver: Driver = kernel.driver(f"{PAGES}{number}", probe=self._probe)

    def device(self, number: int) -> Device:
        """A device of its own, not bound yet."""
        self.kernel.autoprobe(False)
        device = self.kernel.device(f"{PAGES}{number}.0")
        self.kernel.autoprobe(True)
        return device

    def _probe(self, device: Device) -> Steps:
        k, spec = self.kernel, self.spec
        in_pagemap = "shutdown" in k.patches
        cleanup_in_pagemap = "final-put" in k.patches
        if spec.request and not device.request_mem_region(spec.start, spec.size, device.name):
            return -16
        done = self.done = k.completion("done")
        device.add_action(self._free, done)
        ref = self.ref = k.percpu_ref(lambda ref: done.complete(), name="pages_release")
        device.add_action(self._free, ref)
        pgmap: PageMap = k.pagemap(
            spec.start,
            spec.size,
            ref=ref,
            kill=in_pagemap,
            cleanup=self._exit if cleanup_in_pagemap else None,
            name=spec.name,
        )
        # As with memory of its own, which goes last.
        device.add_action(self._free, pgmap)
        if not cleanup_in_pagemap:
            device.add_action(self._exit)
        fault: AbstractContextManager[FaultInjection | None] = (
            k.fault_injection(spec.fault) if spec.fault else nullcontext()
        )
        try:
            with fault:
                yield lambda: device.memremap_pages(pgmap)
        except KernelError as e:
            if not in_pagemap:
                device.remove_action(self._exit)
                ref.exit()
            return -(e.errno or 0)
        if not in_pagemap:
            yield lambda: device.add_action_or_reset(self._kill)
        return 0

    def _free(self, owned: Completion | PerCpuRef | PageMap) -> None:
        owned.free()

    def _kill(self, data: None) -> Iterator[Callable[[], Any]]:
        assert self.ref is not None
        yield self.ref.kill

    def _exit(self, data: Any) -> Iterator[Callable[[], Any]]:
        assert self.done is not None and self.ref is not None
        yield self.done.wait
        yield self.ref.exit


class Run:
    """One execution; its methods ``do_*`` are what the steps of scenarios are made of."""

    def __init__(self, scenario: Scenario, kernel: Kernel) -> None:
        self.scenario = scenario
        self.kernel = kernel
        self.found: list[ViolationRecord] = []
        self.history: list[str] = []
        kernel.iomem.load(scenario.memory)
        self._drivers: dict[str, Any] = {}
        self._devices: dict[str, Device] = {}
        self._first: dict[str, int] = {}
        self._specs = {spec.name: spec for spec in scenario.devices}
        for number, spec in enumerate(scenario.devices):
            if spec.driver == PAGES:
                pages = PagesDriver(kernel, spec, number)
                self._drivers[spec.name] = pages.driver
                self._devices[spec.name] = pages.device(number)
            elif spec.driver in PciDriver._BUILTIN:
                pci = kernel.driver(spec.driver)
                self._drivers[spec.name] = pci
                if spec.driver == "hmm":
                    self._devices[spec.name] = pci.device(size=spec.size)
                else:
                    bars = {i: (spec.start + i * spec.size, spec.size) for i in range(spec.regions)}
                    self._devices[spec.name] = pci.device(bars=bars)
            else:
                builtin = kernel.driver(spec.driver, mode=spec.mode, altmap=spec.altmap)
                self._drivers[spec.name] = builtin
                self._devices[spec.name] = builtin.device(spec.start, spec.size)

    def execute(self) -> Outcome:
        """Runs it."""
        for step in self.scenario.steps:
            if not self._perform(step):
                break
        records = [*self.kernel.violations, *self.found, *self.kernel.quiescence()]
        mine = [r for r in records if any(e.covers(r) for e in self.scenario.violations)]
        return Outcome(
            Status.VIOLATED if mine else Status.OK,
            records=mine,
            others=[r for r in records if r not in mine],
            history=self.history,
            log=self.kernel.dmesg,
        )

    def _perform(self, step: Step) -> bool:
        """Performs a step; False if nothing more can be done."""
        ended = ""
        alive = True
        try:
            getattr(self, f"do_{step.action}")(step)
        except KernelError as e:
            ended = f": {str(e).splitlines()[0]}"
        except Blocked as e:
            ended = f": waits for {e.waits_for}"
        except TaskDied:
            ended = ": the task died"
            alive = False
        self.history.append(f"{step}{ended}")
        return alive

    def _pfn(self, step: Step) -> int:
        if self._specs[step.device].driver == "hmm":
            return self._first[step.device] + step.page
        return (self._specs[step.device].start >> self.kernel.config.page_shift) + step.page

    def do_bind(self, step: Step) -> None:
        """The driver is bound, which may fail."""
        spec = self._specs[step.device]
        # Where it is a driver of ours the fault is meant for one call of its.
        site = spec.fault if spec.driver != PAGES else None
        with self.kernel.fault_injection(site) if site else nullcontext():
            self._drivers[step.device].bind(self._devices[step.device])
        if spec.driver == "hmm":
            # Private memory is where it was put.
            devmem = self._drivers[step.device].devmem(self._devices[step.device])
            self._first[step.device] = devmem.pfn_first

    def do_unbind(self, step: Step) -> None:
        """The driver is unbound, if it is bound."""
        if self._devices[step.device].driver is not None:
            self._drivers[step.device].unbind(self._devices[step.device])

    def do_get_page(self, step: Step) -> None:
        """get_page()."""
        Page(self.kernel, self._pfn(step)).get()

    def do_put_page(self, step: Step) -> None:
        """put_page()."""
        Page(self.kernel, self._pfn(step)).put()

    def do_expect_bound(self, step: Step) -> None:
        """The device must be bound: what failed is contrary to the contract."""
        if not self._devices[step.device].bound:
            self.found.append(ViolationRecord("contract", f"device {step.device} is not bound"))

    def do_expect_waiting(self, step: Step) -> None:
        """While a page is in use, unbind must not have ended."""
        if any(task.state == "blocked" for task in self.kernel.tasks):
            return
        self.found.append(
            ViolationRecord(
                "contract",
                f"unbind of {step.device} has ended although a page of it is in use: "
                f"pfn {self._pfn(step):#x}",
            )
        )

    def do_expect_mapped(self, step: Step) -> None:
        """If the device is bound, get_dev_pagemap() must find its pages."""
        if not self._devices[step.device].bound:
            return
        found = self.kernel.get_dev_pagemap(self._pfn(step))
        if found is None:
            self.found.append(
                ViolationRecord(
                    "contract",
                    f"get_dev_pagemap() does not find pfn {self._pfn(step):#x} of {step.device}, "
                    "which is bound",
                )
            )
        else:
            found.put()
