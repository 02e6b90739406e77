# SPDX-License-Identifier: GPL-2.0-only
"""One execution of an experiment, watched.

A `Bench` is a machine with one device on it, in a snapshot; `Bench.run` takes it through a
program and comes back with an `Outcome`.  All watchers of the machine look after every
operation; the contract (`memremap_emu.contract`) is looked at here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from typing import NoReturn

from memremap_emu.columns import render_calls
from memremap_emu.contract import (
    FUNCTIONS,
    Calls,
    Contract,
    Probe,
    fault_points,
    kills,
    read_probe,
    show,
)
from memremap_emu.device import Bio, Device
from memremap_emu.device_state import State, first_device_page, state_of
from memremap_emu.drivers import BuiltinDriver, PciDriver
from memremap_emu.errors import Blocked, Cause, KernelError, TaskDied, cause
from memremap_emu.experiments import Experiment, Program, Setup
from memremap_emu.hmm import VmFault
from memremap_emu.kernel import Kernel
from memremap_emu.memory import Page
from memremap_emu.outcomes import LOG_LINES, Finding, Outcome, Reference
from memremap_emu.p2pdma import PciDevice
from memremap_emu.ranges import SECTION_SIZE
from memremap_emu.repeating import Course
from memremap_emu.tasks import Task
from memremap_emu.trace import EventType

#: Events that the machine's trace keeps; see `memremap_emu.trace.Trace`.
TRACE_EVENTS = 1 << 15
#: Bytes of an I/O, and of a device on which there is room for it for certain.
IO_SIZE = 4096
LARGE = 1 << 28
#: page->mapping of a page that is in use.
_SOMEBODY = 0x1000


class Bench:
    """A machine with a device, ready to be taken through programs.

    Args:
        setup: what to put on it
        kernel: a machine that has booted with the set-up's map, to be used instead of a new one
    """

    def __init__(self, setup: Setup, kernel: Kernel | None = None) -> None:
        self.setup = setup
        self.kernel = kernel or boot(setup)
        k = self.kernel
        mode = setup.mode
        self.driver: BuiltinDriver | PciDriver = k.driver(
            mode.driver, mode=mode.namespace, altmap=mode.altmap
        )
        self.device = self._make(setup.start, setup.end - setup.start + 1)
        #: HMM had an index of its own, in which get_dev_pagemap() does not look.
        self.hidden = mode.memory in ("private", "coherent") and "hmm-memremap" not in k.patches
        #: What the namespace had to say about its size.
        self.creation_log = tuple(k.dmesg)
        self.contract = Contract(mode.driver, frozenset(k.patches))
        #: Without them neither kills nor stages of a probe can be seen.
        self.functions_known = k.trace.knows_functions(FUNCTIONS)
        self.second: Device | None = None
        if setup.second is not None:
            self.second = self._make(setup.second, SECTION_SIZE)
        self._snapshot = k.snapshot()
        self.references: dict[str, Reference] = {}

    def _make(self, start: int, size: int) -> Device:
        if isinstance(self.driver, PciDriver) and self.setup.mode.memory == "private":
            return self.driver.device(size=size)
        return self.driver.device(start, size)

    def start_of(self, device: Device, start: int) -> int:
        """First address of a bound device's memory; private memory is where it was put."""
        if isinstance(self.driver, PciDriver) and self.setup.mode.memory == "private":
            return self.driver.devmem(device).pfn_first << self.kernel.config.page_shift
        return start

    def close(self) -> None:
        """Drops the snapshot."""
        self._snapshot.drop()

    def run(
        self,
        program: Program,
        faults: tuple[int, ...] = (),
        *,
        fallible: bool = True,
        known: Collection[Cause] | None = None,
        course: Course | None = None,
    ) -> Outcome:
        """Takes the device through a program, with these calls failing.

        A program's first run is the one without faults: it is what the others are compared with.

        Args:
            program: one that fits the device
            faults: numbers of the calls that fail, see `Experiment`
            fallible: the outcome shall have the fallible calls that the run met
            known: for one run of many: only findings of other causes need history and log, and
                the outcome none
            course: writes down what the run asks from the operation of the last fault on
        """
        if program.name not in self.references and faults:
            self.run(program)
        self._snapshot.restore()
        return Run(self, program, faults, fallible, known, course).execute()


def boot(setup: Setup) -> Kernel:
    """A machine that has booted with the set-up's map."""
    kernel = Kernel.select(setup.version, on_violation="record", trace=True)
    kernel.iomem.load(setup.iomem)
    return kernel


def execute(experiment: Experiment, *, columns: bool = False) -> Outcome:
    """Runs one experiment on a machine of its own.

    Args:
        experiment: whose program has no tasks that race
        columns: the outcome shall have them, and events: what each call did
    """
    with boot(experiment.setup) as kernel:
        bench = Bench(experiment.setup, kernel)
        start = kernel.trace.position
        outcome = bench.run(experiment.program, experiment.faults)
        if columns:
            broken = [f"=> {found.kind}: {found.message}" for found in outcome.findings]
            outcome.events = tuple(kernel.trace.events(start))
            outcome.columns = render_calls(outcome.events, broken)
        return outcome


class _EndOfRunError(Exception):
    """Nothing more can be done with this machine."""


class Run:
    """One execution; its methods named after operations are what programs are made of."""

    def __init__(
        self,
        bench: Bench,
        program: Program,
        faults: tuple[int, ...],
        fallible: bool,
        known: Collection[Cause] | None = None,
        course: Course | None = None,
    ) -> None:
        self.bench = bench
        self.program = program
        self.faults = faults
        self.kernel = bench.kernel
        self.device = bench.device
        self.outcome = Outcome()
        self.reference = bench.references.get(program.name)
        self._native = self.kernel._native
        self._first = self.reference is None
        self._fallible = fallible or self._first
        # Up to the operation of the first fault all is as it was without faults.  Only a token has
        # faults in a program in which something waits: that is run as if it were the first.
        self._quiet = self._operation_of(faults[0]) if faults and program.faults else 0
        self._label = ""
        self._number = 0
        self._known = known
        self._course = course
        self._keys: set[Cause] = set()
        self._violations = 0
        self._log_start = self._log_end()
        self._position = self.kernel.trace.position
        self._kills = 0
        self._trace_lost = not bench.functions_known
        self._probe: Probe | None = None
        self._second_state: State | None = None
        self._held: str | None = None
        self._drop: Callable[[], None] = _nothing
        self._blocked: Task | None = None
        self._page_sample: tuple[int, ...] = ()

    def _operation_of(self, nth: int) -> int:
        """Number of the operation in which the reference met its n-th fallible call; 0: there is
        no reference, as the first bind does not end."""
        if self.reference is None:
            return 0
        met = 0
        for number, point in self.reference.fallible:
            met += point.count
            if met >= nth:
                return number
        return len(self.program.operations) + 1

    # --- the course of a run ---

    def execute(self) -> Outcome:
        """Runs the program; the machine is left as the run leaves it."""
        try:
            if self.program.second:
                self._bind_second()
            with ExitStack() as stack:
                for nth in self.faults:
                    stack.enter_context(self.kernel.fault_injection(nth=nth))
                for operation in self.program.operations:
                    self._operate(operation)
            if self.program.second:
                self._unbind_second()
        except _EndOfRunError:
            pass
        if self._first and self.reference is not None:
            self.reference.clean = not self.outcome.findings
        if self._known is None:
            self.outcome.log = self._log()
        return self.outcome

    def _operate(self, operation: str) -> None:
        if operation != "bind" and not self._bound:
            return
        self._number += 1
        self._label = operation
        if self._number < self._quiet:
            self._operate_quietly(operation)
            return
        if self._number == self._quiet:
            self._leave_quiet()
        if self._course is not None and self._number == self._quiet:
            self._course.begin()
        try:
            ended = getattr(self, f"op_{operation}")()
        except TaskDied:
            self._died()
        self.outcome.history.append(f"{operation}: {ended}" if ended else operation)
        self._watch()
        if self._course is not None:
            self._course.settle()

    def _operate_quietly(self, operation: str) -> None:
        """An operation of which the reference has shown that nothing is wrong with it."""
        assert self.reference is not None
        if operation == "bind":
            self._probe = self.reference.probe
            with suppress(KernelError):
                self.bench.driver.bind(self.device)
        elif operation == "unbind":
            self.bench.driver.unbind(self.device)
            self._probe = None
        else:
            getattr(self, f"op_{operation}")()
        self.outcome.history.append(operation)

    def _leave_quiet(self) -> None:
        assert self.reference is not None
        stats = self._native.stats()
        self._position = int(stats.trace_end)
        self._violations = int(stats.violations)
        if self._fallible:
            self.outcome.fallible = [
                point for point in self.reference.fallible if point[0] < self._number
            ]

    @property
    def _bound(self) -> bool:
        return self._probe is not None and self._probe.bound

    @property
    def _comparable(self) -> bool:
        """Once something went wrong, that the state differs is no news."""
        return not self.outcome.findings and self.reference is not None and self.reference.clean

    def _watch(self) -> Calls:
        """Collects what the machine's watchers have found, and the trace, since last time."""
        stats = self._native.stats()
        end = int(stats.trace_end)
        if end - self._position > TRACE_EVENTS:
            self._trace_lost = True
        calls: Calls = ()
        if end > self._position:
            calls = self.kernel.trace.calls(FUNCTIONS, self._position, fallible=self._fallible)
            self._position = end
        self._kills += kills(calls)
        self.outcome.failed += [name for kind, name, _ in calls if kind is EventType.FAULT]
        if self._fallible:
            self.outcome.fallible += [(self._number, point) for point in fault_points(calls)]
        if int(stats.violations) > self._violations:
            for record in self._native.violations()[self._violations :]:
                self._find(record.kind, record.message, record.func)
            self._violations = int(stats.violations)
        return calls

    def _find(self, kind: str, message: str, func: str = "") -> None:
        found = cause(kind, func, message)
        if found in self._keys:
            return
        self._keys.add(found)
        label = self._label
        when = label if label.startswith(("after", "at ")) else f"during {label}"
        where = f"{func}() {when}" if func else when
        failed = tuple(self.outcome.failed)
        history: tuple[str, ...] = ()
        log: tuple[str, ...] = ()
        if self._known is None or found not in self._known:
            history, log = tuple(self.outcome.history), tuple(self._log()[-LOG_LINES:])
        self.outcome.findings.append(Finding(kind, message, where, func, failed, history, log))

    def _log_end(self) -> int:
        return int(self._native.stats().log_end)

    def _log(self, start: int | None = None) -> list[str]:
        return [t for _, t in self._native.log(self._log_start if start is None else start)]

    def _quiescence(self, label: str) -> None:
        self._label = label
        for record in self.kernel.quiescence():
            self._find(record.kind, record.message)

    def _hang(self) -> NoReturn:
        waiting = [t for t in self.kernel.tasks if t.state == "blocked"]
        chain = "; ".join(f"{t.name}/{t.pid} waits for {t.waits_for}" for t in waiting)
        self._watch()
        self._find("hang", f"blocked for ever: {chain}")
        raise _EndOfRunError

    def _died(self) -> NoReturn:
        self._watch()
        if not self.outcome.findings:
            self._find("bug", "the task died")
        raise _EndOfRunError

    # --- operations ---

    def op_bind(self) -> str:
        """Binds the device; after a failed probe, quiescence is looked at and it is tried again,
        once for each call that was to fail."""
        history = []
        for _ in range(len(self.faults) + 1):
            probe = self._try_to_bind()
            history.append(show(probe.answer))
            if probe.bound or not probe.faults:
                break
        if not probe.bound and not probe.faults:
            self._judge_refusal(probe)
        return ", then ".join(history)

    def _try_to_bind(self) -> Probe:
        self._label = "bind"
        self._kills = 0
        log_start = self._log_end()
        bound = True
        try:
            self.bench.driver.bind(self.device)
        except KernelError:
            bound = False
        except Blocked:
            self._hang()
        calls = self._watch()
        self._probe = probe = read_probe(bound, self._log(log_start), calls)
        self._judge_probe(probe)
        if bound:
            self._judge_bound_state()
        else:
            self._quiescence("after a failed bind")
            self._judge_second()
        return probe

    def op_use(self) -> str:
        """References of pagemap and page come and go, an I/O starts and ends."""
        mode = self.bench.setup.mode
        pfn = self.reference.pfn if self.reference else None
        if mode.pages and pfn is not None:
            if not self.bench.hidden:
                self.op_get_dev_pagemap()
                self._drop()
            page = self.kernel.page(pfn)
            told = self._pages_freed()
            if self._listens:
                page.mapping = _SOMEBODY
            counts = [page.count]
            page.get()
            counts.append(page.count)
            page.put()
            counts.append(page.count)
            told = self._pages_freed() - told
            self._held = None
            if told != self._listens:
                self._find("contract", f"page_free() was called {told} times by one put_page()")
            if self._listens and page.mapping:
                self._find("contract", f"page {pfn:#x} is free and still says whose it was")
            if counts != [1, 2, 1]:
                self._find("contract", f"page count around get_page() and put_page(): {counts}")
            self._use_memory(page)
        if mode.queue:
            try:
                bio = self._submit()
            except KernelError as e:
                self._judge_submission(e)
            else:
                bio.end()
        self._held = None
        return ""

    @property
    def _listens(self) -> bool:
        """Does the driver count the pages that it is told of?"""
        return self.bench.setup.mode.memory in ("private", "coherent")

    def _pages_freed(self) -> int:
        """How many pages the driver has been told of."""
        driver = self.bench.driver
        if not self._listens or not isinstance(driver, PciDriver):
            return 0
        return driver.free_count(self.device)

    def _use_memory(self, page: Page) -> None:
        """The CPU faults on private memory; another device uses a piece of a BAR."""
        memory = self.bench.setup.mode.memory
        if memory == "private":
            answer = self.kernel.device_private_fault(page)
            if answer != VmFault.SIGBUS:
                self._find("contract", f"the driver's answer to a fault comes back as {answer!r}")
        elif memory == "bar" and isinstance(self.device, PciDevice):
            piece = self.device.alloc_p2pmem(1)
            if not piece:
                self._find("contract", "pci_alloc_p2pmem() finds nothing in an unused BAR")
            else:
                self.device.free_p2pmem(piece, 1)

    def op_get_page(self) -> str:
        """Somebody holds a page from now on."""
        page = self._device_page()
        page.get()
        self._held, self._drop = f"page {page.pfn:#x}", page.put
        return f"pfn {page.pfn:#x}"

    def op_get_dev_pagemap(self) -> str:
        """Somebody holds the pagemap from now on."""
        if self.bench.hidden:
            raise _EndOfRunError
        page = self._device_page()
        pagemap = self.kernel.get_dev_pagemap(page.pfn)
        if pagemap is None:
            self._find(
                "contract", f"get_dev_pagemap({page.pfn:#x}) finds nothing while it is mapped"
            )
            raise _EndOfRunError
        self._held, self._drop = "a reference on the pagemap", pagemap.put
        return f"pfn {page.pfn:#x}"

    def op_submit_bio(self) -> str:
        """An I/O is in flight from now on."""
        bio = self._submit()
        if bio.status is not None:
            # The disk is smaller than the I/O.
            bio.end()
            raise _EndOfRunError
        self._held, self._drop = "an I/O", bio.end
        return "in flight"

    def op_unbind(self) -> str:
        """Unbinds; it waits for as long as somebody holds something."""
        try:
            self.bench.driver.unbind(self.device)
        except Blocked as e:
            if self._held is None:
                self._hang()
            self._blocked = e.task
            self._look_up_the_dying()
            return f"waits for {e.waits_for}"
        if self._held is not None:
            self._find("contract", f"unbind did not wait although {self._held} was held")
        else:
            self._watch()
            self._unbound()
        return ""

    def _look_up_the_dying(self) -> None:
        """While unbind waits nobody new gets in."""
        pfn = self.reference.pfn if self.reference else None
        if not self.bench.setup.mode.pages or pfn is None:
            return
        pagemap = self.kernel.get_dev_pagemap(pfn)
        if pagemap is not None:
            self._find(
                "contract", f"get_dev_pagemap({pfn:#x}) finds a pagemap that unbind has killed"
            )
            pagemap.put()

    def _drop_held(self) -> str:
        self._drop()
        self._held = None
        self._watch()
        if self._blocked is None:
            return ""
        self.kernel.run_callbacks()
        if not self._blocked.done:
            self._hang()
        self._blocked.release()
        self._blocked = None
        self._watch()
        self._label = "unbind"
        self._unbound()
        return "unbind ends"

    op_put_page = _drop_held
    op_put_dev_pagemap = _drop_held
    op_bio_endio = _drop_held

    def _device_page(self) -> Page:
        pfn = self.reference.pfn if self.reference else None
        if pfn is None:
            setup = self.bench.setup
            size = setup.end - setup.start + 1
            # Less than a page is mapped without any, and where the start is not aligned an altmap
            # counts what lies before it twice.
            if size >> self.kernel.config.page_shift and not setup.mode.altmap:
                self._find("contract", "no page of the range is a device page though it is mapped")
            raise _EndOfRunError
        return self.kernel.page(pfn)

    def _submit(self) -> Bio:
        bio: Bio = self.device.submit_bio(0, IO_SIZE, write=True)
        if bio.status is not None and self.bench.setup.end - self.bench.setup.start >= LARGE:
            self._find("contract", f"an I/O in range ends at once, with error {bio.status}")
        return bio

    # --- judging ---

    def _judge_probe(self, probe: Probe) -> None:
        fault = probe.decisive()
        if fault is not None and self._trace_lost:
            pass
        elif fault is not None:
            documented = self.bench.contract.answers(fault)
            if probe.answer not in documented:
                self._find(
                    "contract",
                    f"probe answers {show(probe.answer)} when {fault.site}() fails"
                    f"{' in ' + fault.stage + '()' if fault.stage else ''}; "
                    f"documented is {' or '.join(map(show, documented))}",
                )
        elif self.reference is None:
            if not self.faults:
                self.reference = Reference(probe, self.outcome.fallible)
                self.bench.references[self.program.name] = self.reference
        elif self._comparable and probe.answer != self.reference.probe.answer:
            self._find(
                "contract",
                f"probe answers {show(probe.answer)} although nothing fails; the first time "
                f"it answered {show(self.reference.probe.answer)}",
            )
        if probe.bound:
            if self._kills and not self._trace_lost:
                self._find("contract", f"the pagemap's ref was killed {self._kills} times by bind")
        else:
            self._judge_kills(probe)

    def _judge_kills(self, probe: Probe) -> None:
        documented = self.bench.contract.kills(probe)
        if self._kills not in documented and not self._trace_lost:
            self._find(
                "contract",
                f"the pagemap's ref was killed {self._kills} times, documented is "
                f"{' or '.join(map(str, documented))}",
            )

    def _judge_refusal(self, probe: Probe) -> None:
        if self.outcome.refused is not None:
            return  # judged the first time: some warnings are given only once
        reason = probe.refusal(self.bench.creation_log)
        self.outcome.refused = f"{show(probe.answer)}: {reason or 'no documented reason'}"
        if self._first and reason is None:
            self._find(
                "contract", f"probe answers {show(probe.answer)} without a documented reason"
            )

    def _judge_bound_state(self) -> None:
        reference = self.reference
        if reference is None:
            return
        if reference.bound is None:
            if not self._first:
                return
            reference.pfn = self._find_page()
            reference.bound = self._state(self.device, self.bench.setup.start)
            if self.bench.setup.mode.memory == "private" and reference.bound["linear"]:
                self._find("contract", "private memory is in the direct map")
        elif self._comparable:
            self._compare(
                "bind does not reach the state of the first bind",
                reference.bound,
                self._state(self.device, self.bench.setup.start),
            )

    def _unbound(self) -> None:
        """After unbind: nothing is left, and it is always the same nothing."""
        assert self._probe is not None
        self._judge_kills(self._probe)
        self._probe = None
        if self.device.bound:
            self._find("contract", "the device is still bound after unbind")
        self._quiescence("after unbind")
        if self.faults or self.outcome.findings:
            return
        assert self.reference is not None
        state = self.kernel.state_hash
        if self.reference.unbound is None:
            self.reference.unbound = state
        elif state != self.reference.unbound:
            self._find("contract", "unbind does not reach the state of the first unbind")

    def _judge_submission(self, error: KernelError) -> None:
        calls = self._watch()
        if not any(kind is EventType.FAULT and name == "bio_alloc" for kind, name, _ in calls):
            self._find("contract", f"submit_bio answers {error} although nothing fails")

    def _compare(self, what: str, before: State, after: State) -> None:
        for name, value in before.items():
            if after.get(name) != value:
                self._find("contract", f"{what}: {name} was {value}, is {after.get(name)}")
                return

    # --- state ---

    def _find_page(self) -> int | None:
        """A device page in the middle of the range, away from metadata and pads."""
        setup = self.bench.setup
        start = self.bench.start_of(self.device, setup.start)
        return first_device_page(self.kernel, start, setup.end - setup.start + 1)

    def _state(self, device: Device, start: int) -> State:
        """What can be seen of a bound device."""
        k = self.kernel
        state: State = {
            "iomem": str(k.iomem),
            "devmap_managed_key": k.devmap_managed_key,
            "zone": k.zone("Device"),
        }
        state.update(self._device_state(device, start))
        return state

    def _device_state(self, device: Device, start: int) -> State:
        pfn = self.reference.pfn if self.reference and device == self.device else None
        if pfn is None:
            pfn = (start + SECTION_SIZE // 2) >> self.kernel.config.page_shift
        if device.bound:
            start = self.bench.start_of(device, start)
        return state_of(self.kernel, device, start, pfn, queue=self.bench.setup.mode.queue)

    # --- the second device ---

    def _bind_second(self) -> None:
        self._label = "bind of the second device"
        assert self.bench.second is not None and self.bench.setup.second is not None
        log_start = self._log_end()
        try:
            self.bench.driver.bind(self.bench.second)
        except KernelError:
            self._judge_refusal(read_probe(False, self._log(log_start), self._watch()))
            raise _EndOfRunError from None
        except Blocked:
            self._hang()
        except TaskDied:
            self._died()
        finally:
            # Only what the first device meets is to fail.
            self.outcome.fallible.clear()
        self._second_state = self._device_state(self.bench.second, self.bench.setup.second)
        self._position = self.kernel.trace.position

    def _judge_second(self) -> None:
        if self._second_state is None:
            return
        assert self.bench.second is not None and self.bench.setup.second is not None
        self._compare(
            "the second device does not stay as it was",
            self._second_state,
            self._device_state(self.bench.second, self.bench.setup.second),
        )

    def _unbind_second(self) -> None:
        assert self.bench.second is not None
        self._label = "at the end"
        self._judge_second()
        self._second_state = None
        self._label = "unbind of the second device"
        try:
            self.bench.driver.unbind(self.bench.second)
        except Blocked:
            self._hang()
        self._watch()
        self._quiescence("after unbind of both devices")


def _nothing() -> None:
    """What nobody holds needs no drop."""
