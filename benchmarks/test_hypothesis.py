# SPDX-License-Identifier: GPL-2.0-only
"""Property tests: what the machine takes of the time of a stateful example."""

from __future__ import annotations

import gc
import itertools
import time
from typing import Any, ClassVar

from conftest import ROUNDS, figure
from hypothesis import HealthCheck, Phase, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from memremap_emu.stateful import ShutdownMachine

SETTINGS = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PAGES = st.integers(0, 3)


class Life(ShutdownMachine):
    """The machine that users subclass, whole; it writes down what tells Hypothesis how to go on."""

    #: Of each example: after each step, whether a device is bound and whether a page is held.
    steps: ClassVar[list[list[tuple[bool, bool]]]] = []
    #: Of each example, what `target` was told.
    targets: ClassVar[list[tuple[float, float]]] = []

    def __init__(self) -> None:
        super().__init__()
        self.mine: list[tuple[bool, bool]] = []
        self.steps.append(self.mine)

    @invariant()
    def count(self) -> None:
        self.mine.append((True in self.bound, any(self.held)))

    def teardown(self) -> None:
        super().teardown()
        self.targets.append((float(self._held_at_kill), float(len(self._states))))


class Empty(RuleBasedStateMachine):
    """The same rules with the same arguments and conditions, and nothing behind them.

    Which steps Hypothesis takes depends on what it is told, and steps differ in how long it takes
    to draw them: it is told what `Life` told it, and takes the same ones.
    """

    steps: ClassVar[int] = 0
    examples: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.faults = False
        self.bound = self.held = False
        self.number = Empty.examples
        self.next = iter(Life.steps[self.number])
        Empty.examples += 1

    @rule(n=st.integers(0, 1))
    def bind(self, n: int) -> None:
        pass

    @precondition(lambda self: self.faults)
    @rule(n=st.integers(0, 1), nth=st.integers(1, 30))
    def bind_with_a_failing_call(self, n: int, nth: int) -> None:
        pass

    @rule(n=st.integers(0, 1))
    def unbind(self, n: int) -> None:
        pass

    @precondition(lambda self: self.bound)
    @rule(n=st.integers(0, 1), number=PAGES)
    def get_page(self, n: int, number: int) -> None:
        pass

    @precondition(lambda self: self.held)
    @rule(n=st.integers(0, 1), number=PAGES)
    def put_page(self, n: int, number: int) -> None:
        pass

    @rule(n=st.integers(0, 1), number=PAGES)
    def lookup(self, n: int, number: int) -> None:
        pass

    @invariant()
    def agrees_with_model(self) -> None:
        pass

    @invariant()
    def count(self) -> None:
        self.bound, self.held = next(self.next)
        Empty.steps += 1

    def teardown(self) -> None:
        held, states = Life.targets[self.number]
        target(held, label="references held at kill")
        target(states, label="distinct states")


def seconds(machine: Any) -> list[float]:
    """Of each example; the same ones every time."""
    begun: list[float] = []

    # Hypothesis' seed comes from the source of this function: all machines have the same one.
    def example() -> Any:
        begun.append(time.process_time())
        return machine()

    # The garbage collector is not to look through what went before meanwhile: that takes as long
    # as a hundred steps, and chance decides in whose time it falls.
    gc.collect()
    gc.freeze()
    run_state_machine_as_test(example, settings=SETTINGS)
    begun.append(time.process_time())
    gc.unfreeze()
    return [after - before for before, after in itertools.pairwise(begun)]


def life() -> list[float]:
    Life.steps.clear()
    Life.targets.clear()
    return seconds(Life)


def empty() -> list[float]:
    Empty.steps = Empty.examples = 0
    return seconds(Empty)


def seconds_per_step() -> tuple[float, float]:
    """Of both machines; of each example the least: what others do meanwhile is left out."""
    least: list[list[float]] = [life(), empty()]
    for _ in range(2 * ROUNDS):
        for i, run in enumerate((life, empty)):
            least[i] = list(map(min, least[i], run()))
        assert Empty.examples == len(Life.steps)
        assert Empty.steps == sum(map(len, Life.steps)), "other steps than those of Life"
    return sum(least[0]) / Empty.steps, sum(least[1]) / Empty.steps


def test_steps_of_a_stateful_example_are_those_of_hypothesis(benchmark: Any) -> None:
    whole, rules = seconds_per_step()
    benchmark.pedantic(life, rounds=1)
    figure("step of ShutdownMachine", whole * 1e6, "us", build="checked")
    figure(
        "a step, to one of empty rules",
        whole / rules,
        "x",
        build="checked",
        goal=1 / 0.95,
        ratio=rules / whole,
        ratio_to="steps per second of empty rules",
    )
