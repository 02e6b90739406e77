# SPDX-License-Identifier: GPL-2.0-only
"""A race as columns, text for text: nothing of it depends on compiler or architecture."""

from __future__ import annotations

import pytest

from memremap_emu.cli import main
from memremap_emu.columns import render
from memremap_emu.experiments import Experiment, Setup, mode_named, program_named
from memremap_emu.interleavings import Race
from memremap_emu.tokens import Replay, digest, encode
from memremap_emu.trace import Event, EventType

PMEM = "100000000-107ffffff : Persistent Memory\n"
DAX = Setup("memremap-v6", PMEM, mode_named("dax_pmem", "plain"), 0x100000000, 0x107FFFFFF)
FINAL_PUT = """\
CPU0: unbind                     CPU1: put_page        RCU                         RCU-sched
-------------------------------  --------------------  --------------------------  ---------------------------------
unbind()
  devres_release_all()
  devm_memremap_pages_release()
  percpu_ref_kill_and_confirm()
  arch_remove_memory()
  radix_tree_delete()
  waits for &dax_pmem->cmp
                                 put_page(0x106000)
                                   <== memmap-removed
                                   put_dev_pagemap()
                                                       dax_i_callback()
                                                       radix_tree_node_rcu_free()
                                                                                   percpu_ref_switch_to_atomic_rcu()
  percpu_ref_exit()
=> memmap-removed: struct page of pfn 0x106000 is gone with its section
"""  # noqa: E501


def final_put() -> tuple[Experiment, str]:
    """The schedule that shows the final page put race, and its token."""
    program = program_named("unbind-put_page")
    with Race(DAX, program) as race:
        ((finding, schedule),) = race.explore().findings
    experiment = Experiment(DAX, program, (), schedule)
    return experiment, encode(Replay(experiment, finding.kind, digest(finding.cause)))


def test_final_put_race_reads_as_in_a_commit_message() -> None:
    with Race(DAX, program_named("unbind-put_page")) as race:
        ((finding, _),) = race.explore().findings
    assert finding.columns == FINAL_PUT


def test_replay_prints_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    _, token = final_put()
    assert main(["replay", token]) == 1
    out = capsys.readouterr().out
    for line in FINAL_PUT.splitlines():
        assert f"  {line}" in out
    assert out.endswith("reproduced\n")


def test_a_call_that_fails_is_marked() -> None:
    """HMM's ref has nobody to kill it when its first action cannot be registered."""
    memory = "00100000-0fffffff : System RAM\n"
    hmm = Setup("memremap-v6", memory, mode_named("hmm", "private"), 0x3FFFF8000000, 0x3FFFFFFFFFFF)
    with Race(hmm, program_named("probe-lookup")) as race:
        shown = ""
        for nth in range(1, race.explore().exploration.fallible_calls + 1):
            shown += "".join(
                finding.columns
                for finding, _ in race.explore(nth).findings
                if finding.kind == "hang"
            )
    assert "  devm_add_action() fails\n  waits for &devmem->completion\n" in shown


def test_events_of_others_and_repetitions_are_left_out() -> None:
    def event(kind: EventType, name: str, task: int, argument: int = 0) -> Event:
        return Event(kind, name, task, 0, False, argument)

    events = [
        event(EventType.FUNC, "percpu_ref_exit", 7),
        event(EventType.OPERATION, "put_page", 8, 16),
        event(EventType.FUNC, "strlen", 8),
        event(EventType.FUNC, "percpu_ref_exit", 8),
        event(EventType.FUNC, "percpu_ref_exit", 8),
        event(EventType.BLOCK, "&a", 7),
        event(EventType.FUNC, "percpu_ref_exit", 12),
    ]
    assert render(events, ["a", "b"], ["bug: b"]) == (
        "CPU0: a               CPU1: b\n"
        "--------------------  --------------------\n"
        "  percpu_ref_exit()\n"
        "                      put_page(0x10)\n"
        "                        percpu_ref_exit()\n"
        "  waits for &a\n"
        "=> bug: b\n"
    )


def test_a_token_whose_schedule_does_not_fit_is_bad_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    experiment, _ = final_put()
    forged = Experiment(DAX, experiment.program, (), bytes([7]) * 3)
    assert main(["replay", encode(Replay(forged, "bug", 1))]) == 2
    assert "the schedule does not fit the program: at step 0 of 3" in capsys.readouterr().err
