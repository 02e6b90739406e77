# SPDX-License-Identifier: GPL-2.0-only
"""HMM and p2pdma against their reference model, step by step, in both builds."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memremap_emu import Kernel
from tests.test_memory_drivers import Life

draws = st.randoms(use_true_random=False)


class MemoryDriversMachine(RuleBasedStateMachine):
    """Two to four devices; pages, faults and pieces of memory come and go."""

    checked = False

    @initialize(draw=draws)
    def start(self, draw: random.Random) -> None:
        self.k = Kernel(checked=self.checked)
        self.life = Life(self.k, draw)

    @rule(draw=draws)
    def step(self, draw: random.Random) -> None:
        self.life.random = draw
        self.life.step()

    @rule(draw=draws)
    def unbind_one(self, draw: random.Random) -> None:
        self.life.random = draw
        bound = [entry for entry in self.life.devices if entry[2].bound]
        if bound:
            driver, device, m, _ = bound[draw.randrange(len(bound))]
            self.life.unbind(driver, device, m)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "life"):
            self.life.random = random.Random(0)
            self.life.compare()

    def teardown(self) -> None:
        if hasattr(self, "life"):
            self.life.end()
            self.k.close()


class CheckedMemoryDriversMachine(MemoryDriversMachine):
    """The same in the checked build."""

    checked = True


TestPlain = MemoryDriversMachine.TestCase
TestChecked = CheckedMemoryDriversMachine.TestCase
