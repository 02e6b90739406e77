# SPDX-License-Identifier: GPL-2.0-only
"""A ready state machine for Hypothesis, and a decorator that checks a shutdown.

Needs Hypothesis, which the package itself does not depend on.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memremap_emu import budget, counterexample, tokens
from memremap_emu.budget import Budget
from memremap_emu.device import Device
from memremap_emu.device_state import first_device_page
from memremap_emu.errors import Blocked, KernelError
from memremap_emu.exploration import Exploration, estimated
from memremap_emu.kernel import Kernel, Snapshot
from memremap_emu.program import Program
from memremap_emu.sample import Sample
from memremap_emu.versions import DEFAULT_VERSION

_START, _SIZE = 0x140000000, 128 << 20
_PAGES = st.integers(0, 3)


class _Fresh:
    """A kernel that is ready for an example, and the way back to that state.

    To make a kernel for each example takes a good part of what the core does for one.  A kernel
    that an example has left in order serves the next one; whatever went wrong ends with its
    example.

    Attributes:
        kernel: booted, with the memory map
        sample: of it
        made: driver and devices, where these belong to the state
    """

    #: By version, build, and whether driver and devices are made; who takes one has it alone.
    _kept: ClassVar[dict[tuple[str, bool, bool], _Fresh]] = {}

    def __init__(self, key: tuple[str, bool, bool]) -> None:
        self._key = key
        version, checked, _ = key
        self.kernel = Kernel.select(version, checked=checked, trace=False)
        self.kernel.iomem.add(_START, _START + 4 * _SIZE - 1, "Persistent Memory")
        self.sample = Sample(self.kernel)
        self.made: tuple[Any, list[Device]] | None = None
        self._state: Snapshot | None = None

    @classmethod
    def take(cls, version: str, checked: bool, made: bool) -> _Fresh:
        """One that nobody else has."""
        key = version, checked, made
        return cls._kept.pop(key, None) or cls(key)

    def begin(self) -> None:
        """This is the state in which examples begin."""
        if self._state is None:
            self._state = self.kernel.snapshot()

    def give_back(self, *, in_order: bool) -> None:
        """Keeps it for the next example, as it was, or destroys it."""
        native = self.kernel._native
        if (
            not in_order
            or self._state is None
            or self._key in self._kept
            or not native.m
            or native._parked
            or native._exceptions
            or native.stats().violations
            # The first one is ours; what others are for, nobody knows.
            or self.kernel._snapshots != 1
        ):
            self.kernel.close()
            return
        # All that is no part of a snapshot.
        native.set_context(0)
        native.raise_violations = True
        self.kernel.trace.enable(False)
        self._state.restore()
        self._kept[self._key] = self


class ShutdownMachine(RuleBasedStateMachine):
    """Two devices side by side that are bound, used, unbound and bound again, with calls that
    fail and pages that are held all the while; a plain model says what must be.

    Subclass it to add a driver: override `make`, and add rules of your own.  Pages are those of
    the range that `make` is given: a device that takes others, as private HMM memory does, is bound
    and unbound and no more.  Before the patch "hmm-memremap" HMM's pages are in no index, which
    this machine takes for a mistake.

    Attributes:
        version: of the kernel
        checked: build
        faults: calls may fail while a device is bound.  Some versions leave something behind
            then, also where the real kernel does, which this machine finds.
    """

    version: ClassVar[str] = DEFAULT_VERSION
    checked: ClassVar[bool] = True
    faults: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        # What a subclass makes, and what it remembers of that, nobody knows.
        ready_made = type(self).make is ShutdownMachine.make
        fresh = self._fresh = _Fresh.take(self.version, self.checked, ready_made)
        self.kernel = fresh.kernel
        if not ready_made:
            fresh.begin()
        self.driver: Any = None
        self.devices: list[Device]
        if fresh.made is None:
            self.devices = [self.make(_START + 2 * n * _SIZE, _SIZE) for n in range(2)]
        else:
            self.driver, self.devices = fresh.made[0], fresh.made[1].copy()
        if ready_made and fresh.made is None:
            fresh.made = self.driver, self.devices.copy()
            fresh.begin()
        #: Of each device: is it bound, does its unbind wait, and who holds which page.
        self.bound = [False, False]
        self.waiting = [False, False]
        self.held: list[dict[int, int]] = [{}, {}]
        self._first = [0, 0]
        self._held_at_kill = 0
        self._states: set[int] = set()
        self._sample = fresh.sample
        self._native = fresh.kernel._native
        #: The model and devices of which the machine was asked last, and what it has to answer.
        self._asked: tuple[list[bool], list[bool], list[dict[int, int]]] | None = None
        self._asked_devices: list[Device] = []
        self._are_bound = 0
        self._counts: list[int] = []
        #: Calls of the machine when it last agreed with that.
        self._agreed = -1

    def make(self, start: int, size: int) -> Device:
        """A device over this range, not bound; sets ``self.driver`` the first time."""
        if self.driver is None:
            self.driver = self.kernel.driver("dax_pmem")
        device: Device = self.driver.device(start, size)
        return device

    def teardown(self) -> None:
        """Gives the kernel back; Hypothesis looks for runs in which many references are held when a
        device's ref is killed, and for runs that lead to many states."""
        target(float(self._held_at_kill), label="references held at kill")
        target(float(len(self._states)), label="distinct states")
        if self.kernel is not self._fresh.kernel:
            self.kernel.close()
        # Called while what has failed is on its way up, too.
        self._fresh.give_back(in_order=sys.exc_info()[0] is None)

    def _first_page(self, n: int) -> int:
        """Pfn of a page of a device that is bound, 0 if it has none."""
        k, start = self.kernel, _START + 2 * n * _SIZE
        # The page that first_device_page() looks at first, in one call.
        pfn = (start + _SIZE // 8 * 6) >> k.config.page_shift
        return pfn if k.page(pfn).of_device else first_device_page(k, start, _SIZE) or 0

    # --- rules ---

    @rule(n=st.integers(0, 1))
    def bind(self, n: int) -> None:
        """Binds; a device that is bound or going away refuses."""
        if self.waiting[n]:
            return  # would wait for the device lock
        if self.bound[n]:
            if self.driver.try_bind(self.devices[n]):
                raise AssertionError("bound twice")
            return
        self.driver.bind(self.devices[n])
        self.bound[n] = True
        self._first[n] = self._first_page(n)

    @precondition(lambda self: self.faults)
    @rule(n=st.integers(0, 1), nth=st.integers(1, 30))
    def bind_with_a_failing_call(self, n: int, nth: int) -> None:
        """Binds while the n-th fallible call fails, if there are so many."""
        if self.waiting[n] or self.bound[n]:
            return
        with self.kernel.fault_injection(nth=nth) as fault:
            try:
                self.driver.bind(self.devices[n])
            except KernelError:
                if not fault.hits:
                    raise AssertionError("bind failed though no call did") from None
                return
        self.bound[n] = True
        self._first[n] = self._first_page(n)

    @rule(n=st.integers(0, 1))
    def unbind(self, n: int) -> None:
        """Unbinds: ends at once if nobody holds a page, else when the last one is put."""
        if not self.bound[n] or self.waiting[n]:
            return
        self._held_at_kill = max(self._held_at_kill, sum(self.held[n].values()))
        try:
            self.driver.unbind(self.devices[n])
        except Blocked:
            if not self.held[n]:
                raise AssertionError("unbind waits though nobody holds a page") from None
            self.waiting[n] = True
            return
        if self.held[n]:
            raise AssertionError("unbind ended though a page is held")
        self.bound[n] = False

    @precondition(lambda self: True in self.bound)
    @rule(n=st.integers(0, 1), number=_PAGES)
    def get_page(self, n: int, number: int) -> None:
        """get_page() of a device that is bound and not going away; not of one without pages."""
        if not self.bound[n] or self.waiting[n] or not self._first[n]:
            return
        self.kernel.page(self._first[n] + number).get()
        self.held[n][number] = self.held[n].get(number, 0) + 1

    @precondition(lambda self: any(self.held))
    @rule(n=st.integers(0, 1), number=_PAGES)
    def put_page(self, n: int, number: int) -> None:
        """put_page(); while unbind waits, of the versions that wait before they remove pages."""
        if not self.held[n].get(number):
            return
        if self.waiting[n] and "final-put" not in self.kernel.patches:
            return  # the struct page is gone by then: that is the bug which the patch fixes
        self.kernel.page(self._first[n] + number).put()
        self.held[n][number] -= 1
        if not self.held[n][number]:
            del self.held[n][number]
        if self.waiting[n] and not self.held[n]:
            self.waiting[n] = self.bound[n] = False

    @rule(n=st.integers(0, 1), number=_PAGES)
    def lookup(self, n: int, number: int) -> None:
        """get_dev_pagemap() finds the pages of a bound device and no others."""
        if not self._first[n]:
            return
        found = self.kernel.get_dev_pagemap(self._first[n] + number)
        if (found is not None) != (self.bound[n] and not self.waiting[n]):
            raise AssertionError(
                "a page is not found though its device is bound"
                if found is None
                else "a page is found though its device is not bound"
            )
        if found is not None:
            found.put()

    # --- what always holds ---

    def _agree(self) -> None:
        """Asks the machine about everything that the model has an answer to, in one call."""
        sample = self._sample
        self._agreed = -1
        if (
            self._asked == (self.bound, self.waiting, self.held)
            and self._asked_devices == self.devices
        ):
            sample.again()
        else:
            self._ask()
        self._states.add(sample.state_hash)
        counts, bound = sample.counts, sample.bound
        # Not by assert, which python -O leaves out.
        if counts != self._counts:
            raise AssertionError(f"references: {counts}, must be {self._counts}")
        if bound != self._are_bound:
            raise AssertionError(f"bound: {bound:#b}, must be {self._are_bound:#b}")
        if sample.left_behind:
            self.kernel.assert_quiescent()
        self._agreed = sample.calls

    def _ask(self) -> None:
        """Makes the questions that fit the model."""
        bound, waiting, held = self.bound, self.waiting, self.held
        devices: list[int] = []
        pfns: list[int] = []
        counts: list[int] = []
        are_bound = 0
        for n, device in enumerate(self.devices):
            if waiting[n]:
                continue
            if bound[n]:
                are_bound |= 1 << len(devices)
            devices.append(device._handle)
            if held[n]:
                first = self._first[n]
                for number, references in held[n].items():
                    pfns.append(first + number)
                    counts.append(references + 1)
        self._are_bound, self._counts = are_bound, counts
        self._asked = bound.copy(), waiting.copy(), [pages.copy() for pages in held]
        self._asked_devices = self.devices.copy()
        self._sample.take(devices, pfns, quiescence=True not in bound)

    @invariant()
    def agrees_with_model(self) -> None:
        """The pages that are held have as many references as the model says, the driver core says
        the same of who is bound, and nothing is left of what is not."""
        # As long as nobody has called the machine or changed the model since, it still does.
        if self._agreed != self._native.calls[0] or self._asked != (
            self.bound,
            self.waiting,
            self.held,
        ):
            self._agree()


class NotExhaustive(UserWarning):
    """A test found nothing, but has not seen every schedule."""


def _unfinished(name: str, found: Exploration) -> NotExhaustive:
    text = (
        f"{name}: not exhaustive ({', '.join(found.bounds.names)}), {found.executions} executions"
    )
    if found.estimate:
        text += f" of {estimated(found.estimate)} or so"
    return NotExhaustive(text)


def checks_shutdown(
    version: str | None = None,
    strategy: str = "dpor",
    *,
    max_executions: int = 2000,
    max_seconds: float = 0.0,
    max_faults: int = 0,
    **options: Any,
) -> Callable[[Callable[..., Program]], Callable[..., None]]:
    """Turns a function that builds a program into a test over its schedules and failing calls.

    The test fails with the smallest counterexample: program, columns, point of no return, and the
    line that replays it.  One that finds nothing within its bound passes with a warning,
    `NotExhaustive`.

    Args:
        version: instead of the program's own
        strategy: how to search, see `memremap_emu.exploration.Strategy`
        max_executions: give up after so many, 0: never
        max_seconds: give up after so long, 0: never; pytest's ``--memremap-budget`` takes the place
            of both bounds
        max_faults: failing calls of an execution
        options: others of `Program.explore`

    Raises:
        TypeError: it decorates without parentheses.
    """
    if callable(version):
        raise TypeError("checks_shutdown has parentheses: @checks_shutdown()")

    def decorate(build: Callable[..., Program]) -> Callable[..., None]:
        @functools.wraps(build)
        def test(*args: Any, **kwargs: Any) -> None:
            program = build(*args, **kwargs)
            if not isinstance(program, Program):
                raise TypeError(f"{build.__qualname__}() returns {program!r}, not a program")
            if version is not None:
                program = program.of(version)
            bound = budget.chosen or Budget(executions=max_executions, seconds=max_seconds)
            found = program.explore(
                strategy=strategy,
                max_executions=bound.executions,
                max_seconds=bound.seconds,
                max_faults=max_faults,
                check_quiescence=True,
                **options,
            )
            if not found.violating:
                if not found.exhaustive:
                    warning = _unfinished(test.__qualname__, found)
                    # Where the program is built, not where pytest calls.
                    code = getattr(inspect.unwrap(build), "__code__", None)
                    if code is None:
                        warnings.warn(warning, stacklevel=2)
                    else:
                        warnings.warn_explicit(warning, None, code.co_filename, code.co_firstlineno)
                return
            least = counterexample.minimise(
                program, found.violations[0], schedule=found.schedule, max_faults=max_faults
            )
            token = tokens.encode_program(least.program, least.record, least.schedule)
            raise AssertionError(f"{counterexample.as_text(least)}memremap-emu replay {token}")

        # What it returns is no longer a program: pytest would ask.
        test.__annotations__ = {**build.__annotations__, "return": None}
        return test

    return decorate
