# SPDX-License-Identifier: GPL-2.0-only
"""Machines are deterministic, come back to what they were, and do not know of each other."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memremap_emu import Config, Kernel
from memremap_emu._native import library
from tests.model.player import Line, Player, scripts

both_builds = pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])

# A script that parks tasks on a completion and on a grace period.
PARKING: list[Line] = [
    ("wait", 0, 0, 0),
    ("new_ref", 0, 0, 0),
    ("ref_kill", 0, 0, 0),
    ("ref_kill", 0, 0, 0),
    ("map", 4, 1, 0),
    ("get_page", 1, 7, 0),
    ("wait", 1, 0, 0),
]
WAKING: list[Line] = [
    ("complete", 0, 0, 0),
    ("unbind", 0, 0, 0),
    ("put_page", 0, 0, 0),
    ("grace_period", 0, 0, 0),
    ("complete", 1, 0, 0),
]


def played(script: list[Line], **how: Any) -> tuple[dict[str, Any], int]:
    """What can be seen after a script, and the hash of the state."""
    player = Player(**how)
    try:
        player.play(script)
        return player.see(), player.k.state_hash
    finally:
        player.close()


@given(scripts, st.sampled_from(("manual", "eager")))
@example(PARKING + WAKING, "manual")
def test_both_builds_answer_the_same(script: list[Line], rcu: str) -> None:
    checked, _ = played(script, checked=True, rcu=rcu)
    plain, _ = played(script, checked=False, rcu=rcu)
    assert checked == plain


@both_builds
@given(scripts, st.sampled_from(("manual", "eager")))
@example(PARKING + WAKING, "manual")
def test_the_same_calls_lead_to_the_same_hash(checked: bool, script: list[Line], rcu: str) -> None:
    assert played(script, checked=checked, rcu=rcu) == played(script, checked=checked, rcu=rcu)


@both_builds
@given(scripts, scripts)
@example(PARKING, WAKING)
# Between the two, statistics are read.
@example([("map", 0, 0, 1)], [("get_page", 0, 0, 0), ("fail", 0, 0, 0)])
def test_restore_comes_back_to_exactly_what_was(
    checked: bool, first: list[Line], then: list[Line]
) -> None:
    player = Player(checked=checked)
    try:
        player.play(first)
        snapshot = player.k.snapshot()
        saved, seen, state = player.save(), player.see(), player.k.state_hash
        ends = []
        for _ in range(2):
            player.play(then)
            ends.append((player.see(), player.k.state_hash))
            snapshot.restore()
            player.load(saved)
            assert player.see() == seen
            assert player.k.state_hash == state
        assert ends[0] == ends[1]
    finally:
        player.close()


@both_builds
def test_a_parked_task_survives_a_restore_and_is_woken_again(checked: bool) -> None:
    player = Player(checked=checked)
    try:
        player.play(PARKING)
        states = [task.state for task in player.tasks]
        assert states.count("blocked") == 3
        snapshot = player.k.snapshot()
        for _ in range(3):
            player.play(WAKING)
            assert [task.state for task in player.tasks] == ["done"] * 3
            snapshot.restore()
            assert [task.state for task in player.tasks] == states
    finally:
        player.close()


@both_builds
def test_the_hash_tells_states_apart(checked: bool) -> None:
    def hash_after(script: list[Line]) -> int:
        return played(script, checked=checked)[1]

    one: list[Line] = [("map", 4, 1, 0), ("get_page", 1, 7, 0)]
    assert hash_after(one) != hash_after([*one, ("get_page", 1, 7, 0)])
    assert hash_after(one) != hash_after([one[0], ("get_page", 1, 8, 0)])


def test_a_hundred_machines_in_two_threads_do_not_disturb_each_other() -> None:
    rng = random.Random(1)
    ops = sorted(n.removeprefix("do_") for n in dir(Player) if n.startswith("do_"))
    scripts = [
        [
            (rng.choice(ops), rng.randrange(13), rng.randrange(13), rng.randrange(13))
            for _ in range(30)
        ]
        for _ in range(100)
    ]
    # The cheap build most of the time, the checked one every fourth.
    expected = [played(script, checked=i % 4 == 0) for i, script in enumerate(scripts)]
    players = [Player(checked=i % 4 == 0, arena_size=4 << 20) for i in range(100)]

    try:
        with ThreadPoolExecutor(2) as pool:
            for at in range(0, 30, 3):
                list(
                    pool.map(lambda i, at=at: players[i].play(scripts[i][at : at + 3]), range(100))
                )
        assert [player.see() for player in players] == [seen for seen, _ in expected]
    finally:
        for player in players:
            player.close()


def test_machines_live_side_by_side_in_one_thread() -> None:
    kernels = [Kernel(cpus=1, checked=i % 2 == 0) for i in range(20)]
    refs = [k.percpu_ref() for k in kernels]
    for i, ref in enumerate(refs):
        for _ in range(i):
            ref.get()
    assert [ref.logical for ref in refs] == [i + 1 for i in range(20)]
    for k in kernels:
        k.close()


# The second kill breaks a rule, after which a machine leaves nothing behind.
LAWFUL = [
    line for line, next_one in zip(PARKING, [*PARKING[1:], None], strict=True) if line != next_one
]
LIVES: dict[str, list[Line]] = {
    "nothing": [],
    "a device mapped, used and unbound": [
        ("map", 4, 1, 0),
        ("get_page", 1, 7, 0),
        ("put_page", 0, 0, 0),
        ("unbind", 0, 0, 0),
    ],
    "tasks that were parked to the end": LAWFUL,
    "tasks that were woken": LAWFUL
    + [line for line in WAKING if line[0] in ("complete", "grace_period")],
}


@both_builds
@pytest.mark.parametrize("life", LIVES.values(), ids=list(LIVES))
def test_machine_in_memory_that_another_one_left_behind_starts_like_the_first(
    checked: bool, life: list[Line]
) -> None:
    """Byte for byte: its state, heap, shadow, log and trace, at the same addresses."""
    ffi, lib = library(checked).ffi, library(checked).lib
    arena = 256 << 10
    fields = Config(arena_size=arena).native() | {"cpus": 4, "rcu_manual": True, "trace": True}
    size = arena + (1 << 20) + (1 << 15) * ffi.sizeof("struct emu_event")
    config, out = ffi.new("struct emu_config *", fields), ffi.new("emu_machine **")

    def newborn() -> tuple[Any, bytes]:
        assert lib.emu_create(config, lib.emu_python_upcall, ffi.NULL, out) == 0
        memory = bytes(ffi.buffer(ffi.cast("char *", out[0]), size))
        assert lib.emu_destroy(out[0]) == 0
        return out[0], memory

    def lives() -> None:
        first = newborn()
        for back in (False, True):
            player = Player(checked=checked, arena_size=arena)
            before = player.k.snapshot()
            player.play(life)
            assert not player.k.violations
            if back:
                before.restore()
            player.close()
            at, memory = newborn()
            assert at == first[0] and memory[4096:] == first[1][4096:]
            # How many stacks have a guard is for the machine alone to know: guards stay.
            different = [i for i in range(4096) if memory[i] != first[1][i]]
            assert len(different) <= 1, different

    # A thread of its own has nothing left behind by other tests.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lives).result()


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_tasks_that_give_way_again_and_again_leave_nothing_behind(checked: bool) -> None:
    """What the price of a switch is taken with."""
    with Kernel(checked=checked) as k:
        lib, m = k._native.lib, k._native.m
        before = k.state_hash, k.tasks
        for bare in (0, 1):
            assert lib.emu_switch_loop(m, 1000, bare) == 0
            assert lib.emu_switch_loop(m, 0, bare) == 0
        assert lib.emu_switch_loop(m, 1 << 40, 0) != 0
        assert (k.state_hash, k.tasks) == before


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_restores_again_and_again_change_nothing(checked: bool) -> None:
    """What the price of a restore is taken with."""
    with Kernel(checked=checked) as k:
        lib, m = k._native.lib, k._native.m
        snapshot = k.snapshot()
        before = k.state_hash
        k.kmalloc(100)
        for bare in (0, 1):
            assert lib.emu_restore_loop(m, snapshot._number, 20, 100, bare) == 0
            assert k.state_hash == before
        for wrong in ((0, 1), (1 << 40, 1), (1, 1 << 40)):
            assert lib.emu_restore_loop(m, snapshot._number, *wrong, 0) != 0
        assert lib.emu_restore_loop(m, snapshot._number + 1, 1, 1, 0) != 0
