# SPDX-License-Identifier: GPL-2.0-only
"""A ready state machine for Hypothesis, and a decorator that checks a shutdown.

Needs Hypothesis, which the package itself does not depend on.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memremap_emu import budget, counterexample, tokens
from memremap_emu.budget import Budget
from memremap_emu.device import Device
from memremap_emu.errors import Blocked, KernelError
from memremap_emu.kernel import Kernel
from memremap_emu.program import Program
from memremap_emu.runs import first_device_page
from memremap_emu.search import Exploration
from memremap_emu.versions import DEFAULT_VERSION

_START, _SIZE = 0x140000000, 128 << 20
_PAGES = st.integers(0, 3)


class ShutdownMachine(RuleBasedStateMachine):
    """Two devices side by side that are bound, used, unbound and bound again, with calls that
    fail and pages that are held all the while; a plain model says what must be.

    Subclass it to add a driver: override `make`, and add rules of your own.

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
        self.kernel = Kernel.select(self.version, checked=self.checked, trace=False)
        k = self.kernel
        k.iomem.add(_START, _START + 4 * _SIZE - 1, "Persistent Memory")
        self.driver: Any = None
        self.devices: list[Device] = [self.make(_START + 2 * n * _SIZE, _SIZE) for n in range(2)]
        #: Of each device: is it bound, does its unbind wait, and who holds which page.
        self.bound = [False, False]
        self.waiting = [False, False]
        self.held: list[dict[int, int]] = [{}, {}]
        self._first = [0, 0]
        self._held_at_kill = 0
        self._states: set[int] = set()

    def make(self, start: int, size: int) -> Device:
        """A device over this range, not bound; sets ``self.driver`` the first time."""
        if self.driver is None:
            self.driver = self.kernel.driver("dax_pmem")
        device: Device = self.driver.device(start, size)
        return device

    def teardown(self) -> None:
        """Closes the kernel; Hypothesis looks for runs in which many references are held when a
        device's ref is killed, and for runs that lead to many states."""
        target(float(self._held_at_kill), label="references held at kill")
        target(float(len(self._states)), label="distinct states")
        self.kernel.close()

    # --- rules ---

    @rule(n=st.integers(0, 1))
    def bind(self, n: int) -> None:
        """Binds; a device that is bound or going away refuses."""
        if self.waiting[n]:
            return  # would wait for the device lock
        if self.bound[n]:
            try:
                self.driver.bind(self.devices[n])
            except KernelError:
                return
            raise AssertionError("bound twice")
        self.driver.bind(self.devices[n])
        self.bound[n] = True
        start = _START + 2 * n * _SIZE
        self._first[n] = first_device_page(self.kernel, start, _SIZE) or 0

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
                assert fault.hits, "bind failed though no call did"
                return
        self.bound[n] = True
        self._first[n] = first_device_page(self.kernel, _START + 2 * n * _SIZE, _SIZE) or 0

    @rule(n=st.integers(0, 1))
    def unbind(self, n: int) -> None:
        """Unbinds: ends at once if nobody holds a page, else when the last one is put."""
        if not self.bound[n] or self.waiting[n]:
            return
        self._held_at_kill = max(self._held_at_kill, sum(self.held[n].values()))
        try:
            self.driver.unbind(self.devices[n])
        except Blocked:
            assert self.held[n], "unbind waits though nobody holds a page"
            self.waiting[n] = True
            return
        assert not self.held[n], "unbind ended though a page is held"
        self.bound[n] = False

    @precondition(lambda self: any(self.bound))
    @rule(n=st.integers(0, 1), number=_PAGES)
    def get_page(self, n: int, number: int) -> None:
        """get_page() of a device that is bound and not going away."""
        if not self.bound[n] or self.waiting[n]:
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
        assert (found is not None) == (self.bound[n] and not self.waiting[n])
        if found is not None:
            found.put()

    # --- what always holds ---

    @invariant()
    def counts_agree(self) -> None:
        """The pages that are held have as many references as the model says."""
        self._states.add(self.kernel.state_hash)
        for n, pages in enumerate(self.held):
            if self.waiting[n]:
                continue
            for number, held in pages.items():
                assert self.kernel.page(self._first[n] + number).count == held + 1

    @invariant()
    def bound_agrees(self) -> None:
        """The driver core says the same, and nothing is left of what is not bound."""
        for n, device in enumerate(self.devices):
            if not self.waiting[n]:
                assert device.bound == self.bound[n]
        if not any(self.bound):
            self.kernel.assert_quiescent()


class NotExhaustive(UserWarning):
    """A test found nothing, but has not seen every schedule."""


def _unfinished(name: str, found: Exploration) -> NotExhaustive:
    text = (
        f"{name}: not exhaustive ({', '.join(found.bounds.names)}), {found.executions} executions"
    )
    if found.estimate:
        text += f" of {found.estimate:.0f} or so"
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
        strategy: how to search, see `memremap_emu.search.Strategy`
        max_executions: give up after so many, 0: never
        max_seconds: give up after so long, 0: never; pytest's ``--memremap-budget`` takes the place
            of both bounds
        max_faults: failing calls of an execution
        options: others of `Program.explore`
    """

    def decorate(build: Callable[..., Program]) -> Callable[..., None]:
        @functools.wraps(build)
        def test(*args: Any, **kwargs: Any) -> None:
            program = build(*args, **kwargs)
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
                    warnings.warn(_unfinished(test.__qualname__, found), stacklevel=2)
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
