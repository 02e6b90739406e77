# SPDX-License-Identifier: GPL-2.0-only
"""HMM and p2pdma against their reference model, step by step, on every version in both builds."""

from __future__ import annotations

import random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from memremap_emu import Kernel
from tests.model.versions import VERSIONS, profile
from tests.test_memory_drivers import Life

draws = st.randoms(use_true_random=False)


class MemoryDriversMachine(RuleBasedStateMachine):
    """Two to four devices; pages, faults and pieces of memory come and go."""

    def __init__(self, version: str, checked: bool) -> None:
        super().__init__()
        self.k = Kernel.select(version, checked=checked, on_violation="record")

    @initialize(draw=draws)
    def start(self, draw: random.Random) -> None:
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
        try:
            if hasattr(self, "life"):
                self.life.end()
        finally:
            self.k.close()


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
@pytest.mark.parametrize("version", VERSIONS)
def test_memory_drivers_agree_with_the_model(version: str, checked: bool) -> None:
    run_state_machine_as_test(
        lambda: MemoryDriversMachine(version, checked), settings=profile(version, checked)
    )


@pytest.mark.parametrize(
    ("version", "patch"),
    [
        ("memremap-v6", "hmm-memremap"),
        ("memremap-v6 5/7", "hmm-devm"),
        ("v5.2", "p2pdma-resource-ref"),
    ],
)
def test_model_that_is_told_of_one_patch_less_disagrees(version: str, patch: str) -> None:
    class Misled(MemoryDriversMachine):
        def __init__(self) -> None:
            super().__init__(version, checked=False)
            self.k.patches = tuple(name for name in self.k.patches if name != patch)

    with pytest.raises((AssertionError, ValueError)):
        run_state_machine_as_test(
            Misled,
            settings=settings(
                max_examples=20, phases=[Phase.generate], database=None, derandomize=True
            ),
        )
