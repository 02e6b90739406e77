# SPDX-License-Identifier: GPL-2.0-only
"""Programs whose tasks run at the same time, taken through all their schedules.

A `Race` is a machine that has been set up for one; `Race.explore` lets the machine search, with
one call failing or none, and `Race.replay` runs one schedule again.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from memremap_emu.device import Bio, Device
from memremap_emu.device_state import first_device_page
from memremap_emu.drivers import BuiltinDriver, PciDriver
from memremap_emu.errors import Blocked, KernelError, TaskDied, ViolationRecord
from memremap_emu.experiments import Experiment, Program, Setup
from memremap_emu.exploration import Exploration, Strategy
from memremap_emu.explore import Program as Tasks
from memremap_emu.explore import ProgramTask
from memremap_emu.kernel import Kernel
from memremap_emu.memory import Page
from memremap_emu.outcomes import LOG_LINES, Finding, Outcome
from memremap_emu.ranges import SECTION_SIZE
from memremap_emu.replaying import watch
from memremap_emu.runs import IO_SIZE

#: Granule of what two devices in one section get.
_HALF_ALIGN = 2 << 20


class UnfitError(Exception):
    """The device cannot be taken through the program, with the reason."""


@dataclass(frozen=True)
class Explored:
    """What the search over the schedules of a program has found.

    Attributes:
        exploration: its counts
        findings: distinct violations, with the schedule that shows each
    """

    exploration: Exploration
    findings: tuple[tuple[Finding, bytes], ...]


class Race:
    """A machine that is set up for a program whose tasks race.

    Args:
        setup: machine and device
        program: one with tasks that fits the device

    Raises:
        UnfitError: the set-up cannot be made.
    """

    def __init__(self, setup: Setup, program: Program) -> None:
        self.setup = setup
        self.program = program
        self.kernel = Kernel.select(setup.version, on_violation="record", trace=False)
        self._held: Page | None = None
        self._bio: Bio | None = None
        try:
            self._prepare()
        except BaseException:
            self.kernel.close()
            raise

    def close(self) -> None:
        """Destroys the machine."""
        self.kernel.close()

    def __enter__(self) -> Race:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- set-up ---

    def _prepare(self) -> None:
        k, mode = self.kernel, self.setup.mode
        k.iomem.load(self.setup.iomem)
        self.driver: BuiltinDriver | PciDriver = k.driver(
            mode.driver, mode=mode.namespace, altmap=mode.altmap
        )
        start, size = self.setup.start, self.setup.end - self.setup.start + 1
        self.second: Device | None = None
        if self.program.section:
            half = min(SECTION_SIZE, size) // 2 & -_HALF_ALIGN
            if not half:
                raise UnfitError("the range is too small for two devices")
            self.device = self._make(start, half)
            self.second = self._make(start + half, half)
        else:
            self.device = self._make(start, size)
        # Where its pages are: bound once, by itself.
        fresh = k.snapshot()
        try:
            self._pfn = self._probe_once(start, size)
        finally:
            fresh.restore()
            fresh.drop()
        for operation in self.program.operations:
            getattr(self, f"_set_up_{operation}")()
        self._start = k.snapshot()

    def _make(self, start: int, size: int) -> Device:
        if isinstance(self.driver, PciDriver) and self.setup.mode.memory == "private":
            return self.driver.device(size=size)
        return self.driver.device(start, size)

    def _probe_once(self, start: int, size: int) -> int:
        self._set_up_bind()
        if isinstance(self.driver, PciDriver) and self.setup.mode.memory == "private":
            start = self.driver.devmem(self.device).pfn_first << self.kernel.config.page_shift
        pfn = first_device_page(self.kernel, start, size)
        if self.program.pages and pfn is None:
            raise UnfitError("no page of the range is a device page")
        return pfn or 0

    def _set_up_bind(self) -> None:
        try:
            self.driver.bind(self.device)
        except (KernelError, Blocked, TaskDied) as e:
            raise UnfitError(str(e).splitlines()[0]) from None

    def _set_up_get_page(self) -> None:
        self._held = self.kernel.page(self._pfn)
        self._held.get()

    def _set_up_submit_bio(self) -> None:
        self._bio = self.device.submit_bio(0, IO_SIZE, write=True)
        if self._bio.status is not None:
            raise UnfitError("the disk is smaller than an I/O")

    # --- tasks ---

    def _tasks(self) -> Tasks:
        tasks = Tasks(self.kernel)
        for number, (name, operations) in enumerate(self.program.tasks):
            task = tasks.task(name[:15], cpu=number % self.kernel.cpus)
            for operation in operations:
                getattr(self, f"_do_{operation}")(task)
        return tasks

    def _do_bind(self, task: ProgramTask) -> None:
        task.call("bind_store", self.driver.driver, self.device.name, self.device)

    def _do_unbind(self, task: ProgramTask) -> None:
        task.call("unbind_store", self.driver.driver, self.device.name, self.device)

    def _do_bind_second(self, task: ProgramTask) -> None:
        assert self.second is not None
        task.call("bind_store", self.driver.driver, self.second.name, self.second)

    def _do_unbind_second(self, task: ProgramTask) -> None:
        assert self.second is not None
        task.call("unbind_store", self.driver.driver, self.second.name, self.second)

    def _do_put_page(self, task: ProgramTask) -> None:
        task.call("put_page", self._pfn)

    def _do_lookup(self, task: ProgramTask) -> None:
        task.lookup(self._pfn)

    def _do_fault(self, task: ProgramTask) -> None:
        task.call("device_private_fault_loop", self._pfn, 1)

    def _do_use_p2pmem(self, task: ProgramTask) -> None:
        task.call("pci_use_p2pmem", self.device, 1)

    def _do_bio_endio(self, task: ProgramTask) -> None:
        assert self._bio is not None
        task.end_bio(self._bio)

    # --- searching ---

    def explore(
        self,
        fault: int = 0,
        *,
        max_executions: int = 0,
        worthwhile: int = 0,
        max_seconds: float = 0.0,
        max_faults: int = 0,
        strategy: Strategy | str = Strategy.PHASES,
    ) -> Explored:
        """Searches all schedules: with the ``fault``-th fallible call failing (0: none), or with
        every set of up to ``max_faults`` calls.  The other bounds are those of
        `memremap_emu.exploration.Options`."""
        self._start.restore()
        with self._failing(fault):
            exploration = self._tasks().explore(
                strategy=strategy,
                max_executions=max_executions,
                worthwhile=worthwhile,
                max_seconds=max_seconds,
                max_faults=max_faults,
                stop_at_violation=False,
                check_quiescence=True,
            )
        findings = []
        for found in exploration.found:
            again = self.replay(found.schedule, fault)
            finding = self._finding(found.record, again.log, again.columns)
            findings.append((finding, found.schedule))
        return Explored(exploration, tuple(findings))

    def replay(self, schedule: bytes, fault: int = 0) -> Outcome:
        """Runs one schedule; the machine is left in the state that it leads to.

        The outcome has the columns that show what each task did when.
        """
        self._start.restore()
        first = len(self.kernel.dmesg)
        names = [name for name, _ in self.program.tasks]
        with self._failing(fault):
            watched = watch(self.kernel, self._tasks(), names, schedule)
        log, shown = self.kernel.dmesg[first:], watched.columns
        found = watched.exploration.found
        findings = [self._finding(f.record, log, shown) for f in found]
        return Outcome(findings=findings, log=log, columns=shown, events=watched.events)

    def _failing(self, fault: int) -> ExitStack:
        stack = ExitStack()
        if fault:
            stack.enter_context(self.kernel.fault_injection(nth=fault))
        return stack

    def _finding(self, record: ViolationRecord, log: list[str], shown: str = "") -> Finding:
        racing = " | ".join(", ".join(operations) for _, operations in self.program.tasks)
        where = f"{record.func}() during {racing}" if record.func else f"during {racing}"
        return Finding(
            record.kind,
            record.message,
            where,
            record.func,
            (),
            (),
            tuple(log[-LOG_LINES:]),
            shown,
        )


def execute(experiment: Experiment) -> Outcome:
    """Runs one schedule of an experiment on a machine of its own."""
    with Race(experiment.setup, experiment.program) as race:
        fault = experiment.faults[0] if experiment.faults else 0
        return race.replay(experiment.schedule, fault)
