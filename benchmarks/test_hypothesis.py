# SPDX-License-Identifier: GPL-2.0-only
"""Property tests: what the machine takes of the time of a stateful example."""

from __future__ import annotations

import itertools
import time
from typing import Any

from conftest import ROUNDS, figure
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from memremap_emu.stateful import ShutdownMachine

#: Some examples take Hypothesis half again as long as others: it takes many for a mean.
SETTINGS = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PAGES = st.integers(0, 3)


class Counted:
    """Counts the steps of all examples, by an invariant that is looked at after each."""

    steps = 0


class Life(ShutdownMachine):
    """The machine that users subclass, whole."""

    @invariant()
    def count(self) -> None:
        Counted.steps += 1


class Empty(RuleBasedStateMachine):
    """The same rules with the same arguments and conditions, and nothing behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = False
        self.bound = [False, False]
        self.held: list[dict[int, int]] = [{}, {}]

    @rule(n=st.integers(0, 1))
    def bind(self, n: int) -> None:
        self.bound[n] = True

    @precondition(lambda self: self.faults)
    @rule(n=st.integers(0, 1), nth=st.integers(1, 30))
    def bind_with_a_failing_call(self, n: int, nth: int) -> None:
        pass

    @rule(n=st.integers(0, 1))
    def unbind(self, n: int) -> None:
        self.bound[n] = bool(self.held[n])

    @precondition(lambda self: any(self.bound))
    @rule(n=st.integers(0, 1), number=PAGES)
    def get_page(self, n: int, number: int) -> None:
        if self.bound[n]:
            self.held[n][number] = 1

    @precondition(lambda self: any(self.held))
    @rule(n=st.integers(0, 1), number=PAGES)
    def put_page(self, n: int, number: int) -> None:
        self.held[n].pop(number, None)

    @rule(n=st.integers(0, 1), number=PAGES)
    def lookup(self, n: int, number: int) -> None:
        pass

    @invariant()
    def counts_agree(self) -> None:
        pass

    @invariant()
    def bound_agrees(self) -> None:
        pass

    @invariant()
    def count(self) -> None:
        Counted.steps += 1


def seconds(machine: Any) -> list[float]:
    """Of each example; the same ones every time."""
    begun: list[float] = []

    # Hypothesis' seed comes from the source of this function: all machines have the same one.
    def example() -> Any:
        begun.append(time.perf_counter())
        return machine()

    Counted.steps = 0
    run_state_machine_as_test(example, settings=SETTINGS)
    begun.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(begun)]


def seconds_per_step(machines: tuple[Any, ...]) -> list[float]:
    """Of each machine, the least that each example took: what others do meanwhile is left out."""
    least: dict[Any, list[float]] = {}
    steps = {}
    for machine in machines:
        seconds(machine)
    for _ in range(ROUNDS):
        for machine in machines:
            taken = seconds(machine)
            least[machine] = list(map(min, least.get(machine, taken), taken))
            steps[machine] = Counted.steps
    return [sum(least[machine]) / steps[machine] for machine in machines]


def test_steps_of_a_stateful_example_are_those_of_hypothesis(benchmark: Any) -> None:
    life, empty = seconds_per_step((Life, Empty))
    benchmark.pedantic(seconds, args=(Life,), rounds=1)
    figure("step of ShutdownMachine", life * 1e6, "us", build="checked")
    figure(
        "a step, to one of empty rules",
        life / empty,
        "x",
        build="checked",
        goal=1 / 0.95,
        ratio=empty / life,
        ratio_to="steps per second of empty rules",
    )
