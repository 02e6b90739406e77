# SPDX-License-Identifier: GPL-2.0-only
"""percpu_ref agrees with its reference model, misuse included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from memremap_emu import Blocked, Kernel, PerCpuRef, TaskDied
from tests.model.kernel_log import KernelLog
from tests.model.percpu_ref import ModelBug, RefModel, World

CPUS = 4
NAMES = ("first_release", "second_release")
which = st.integers(0, 1)
cpus = st.integers(0, CPUS - 1)


class PerCpuRefMachine(RuleBasedStateMachine):
    """Two refs, grace periods that end when a rule says so."""

    def __init__(self, checked: bool) -> None:
        super().__init__()
        self.checked = checked
        self.boot()

    def boot(self) -> None:
        """A kernel and a model as they start."""
        self.k = Kernel(cpus=CPUS, checked=self.checked, rcu="manual", on_violation="record")
        self.log = KernelLog(self.k)
        self.world = World()
        self.events: list[str] = []
        self.tasks = [self.k.task(cpu=cpu, name=f"cpu{cpu}") for cpu in range(CPUS)]
        self.refs: list[PerCpuRef] = []
        self.models: list[RefModel] = []
        for name in NAMES:
            self.refs.append(
                self.k.percpu_ref(
                    lambda ref, name=name: self.events.append(f"release {name}"), name=name
                )
            )
            self.models.append(RefModel(self.world, name))
        self.parked: list[Any] = []

    def teardown(self) -> None:
        self.k.close()

    def confirms(self, i: int, wanted: bool) -> tuple[Any, Any]:
        """A confirm callback of the kernel and the model's, or none for both."""
        if not wanted:
            return None, None
        text = f"confirm {NAMES[i]}"
        return (
            lambda ref: self.events.append(text),
            lambda: self.world.events.append(text),
        )

    def both(self, call: Callable[[], Any], operation: Iterator[None]) -> None:
        """The same operation on both sides: it ends, sleeps or oopses on both."""
        expected = "ends"
        try:
            if not self.world.run(operation):
                expected = "sleeps"
        except ModelBug:
            expected = "oopses"
            self.world.died += 1
        try:
            call()
            got = "ends"
        except Blocked as blocked:
            got = "sleeps"
            self.parked.append(blocked.task)
        except TaskDied:
            got = "oopses"
        assert got == expected

    # After an oops the lock of all refs stays held: nothing can be compared any more.
    alive = precondition(lambda self: not self.world.died)

    @precondition(lambda self: self.world.died)
    @rule()
    def reboot(self) -> None:
        self.k.close()
        self.boot()

    @alive
    @rule(i=which, n=st.integers(1, 3), cpu=cpus)
    def get(self, i: int, n: int, cpu: int) -> None:
        self.models[i].get(n)
        with self.tasks[cpu]:
            self.refs[i].get(n)

    @alive
    @rule(i=which, n=st.integers(1, 3), cpu=cpus)
    def put(self, i: int, n: int, cpu: int) -> None:
        self.models[i].put(n)
        with self.tasks[cpu]:
            self.refs[i].put(n)

    @alive
    @rule(i=which)
    def tryget(self, i: int) -> None:
        assert self.refs[i].tryget() == self.models[i].tryget()

    @alive
    @rule(i=which)
    def tryget_live(self, i: int) -> None:
        assert self.refs[i].tryget_live() == self.models[i].tryget_live()

    @alive
    @rule(i=which, confirm=st.booleans())
    def kill(self, i: int, confirm: bool) -> None:
        confirms = self.confirms(i, confirm)
        self.both(
            lambda: self.refs[i].kill_and_confirm(confirms[0]), self.models[i].kill(confirms[1])
        )

    @alive
    @rule(i=which, confirm=st.booleans())
    def switch_to_atomic(self, i: int, confirm: bool) -> None:
        confirms = self.confirms(i, confirm)
        self.both(
            lambda: self.refs[i].switch_to_atomic(confirms[0]),
            self.models[i].switch_to_atomic(confirms[1]),
        )

    @alive
    @rule(i=which)
    def switch_to_atomic_sync(self, i: int) -> None:
        self.both(
            lambda: self.refs[i].switch_to_atomic_sync(), self.models[i].switch_to_atomic_sync()
        )

    @alive
    @rule(i=which)
    def switch_to_percpu(self, i: int) -> None:
        self.both(lambda: self.refs[i].switch_to_percpu(), self.models[i].switch_to_percpu())

    @alive
    @rule(i=which)
    def reinit(self, i: int) -> None:
        self.both(lambda: self.refs[i].reinit(), self.models[i].reinit())

    @alive
    @rule(i=which)
    def exit(self, i: int) -> None:
        self.models[i].exit()
        self.refs[i].exit()

    @alive
    @precondition(lambda self: not self.world.sleepers and not self.world.callbacks)
    @rule(i=which, flags=st.integers(0, 3))
    def exit_and_init_again(self, i: int, flags: int) -> None:
        self.models[i].exit()
        self.models[i].init(flags)
        self.refs[i].exit()
        self.refs[i].init(flags, name=NAMES[i])

    @alive
    @rule()
    def grace_period_ends(self) -> None:
        self.world.grace_period()
        self.k.run_callbacks()

    @alive
    @invariant()
    def everything_that_can_be_seen_agrees(self) -> None:
        for ref, model in zip(self.refs, self.models, strict=True):
            seen = {name: getattr(ref, name) for name in model.state()}
            if not model.switching and model.counters is None:
                seen["percpu_sum"] = 0
            assert seen == model.state()
        assert self.events == self.world.events

    @alive
    @invariant()
    def the_log_agrees(self) -> None:
        said = [line for line in self.log.news() if not line.startswith("kernel BUG at")]
        assert said == self.world.said
        self.world.said.clear()

    @alive
    @invariant()
    def as_many_calls_sleep(self) -> None:
        assert sum(t.state == "blocked" for t in self.parked) == len(self.world.sleepers)
        for task in [t for t in self.parked if t.state in ("done", "dead")]:
            self.parked.remove(task)
            if task.state == "done":
                task.release()


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_percpu_ref_agrees_with_the_model(checked: bool) -> None:
    run_state_machine_as_test(lambda: PerCpuRefMachine(checked), settings=settings())
