# SPDX-License-Identifier: GPL-2.0-only
"""check of the drivers of memory that is no persistent memory: hmm, hmm_public, p2pdma."""

from __future__ import annotations

import functools

import pytest

from memremap_emu import Kernel, check, iomem, ranges, runs, tokens
from memremap_emu.cli import main
from memremap_emu.iomem import Range

SECTION = 1 << 27
XEON = ranges.MemoryMap("xeon", tuple(iomem.parse(iomem.embedded())))


@functools.cache
def report(driver: str, version: str = "memremap-v6", memory: str = "xeon") -> check.Report:
    shown = XEON if memory == "xeon" else ranges.MemoryMap(memory, ONE_BAR)
    options = check.Options(shown, version, (driver,), hmm_size=2 * SECTION)
    return check.check(options)


ONE_BAR = tuple(
    iomem.parse(
        "00100000-7fffffff : System RAM\n"
        "380000000000-380fffffffff : PCI Bus 0000:00\n"
        "  380000000000-380007ffffff : 0000:01:00.0\n"
    )
)


def kinds(found: check.Report) -> set[tuple[str, str]]:
    """Kind and, in words, what of each distinct violation."""
    words = {
        "waits for completion": "wait for a ref that nobody kills",
        "radix_tree_node_alloc": "index nodes",
        "percpu_ref_init": "counters of a ref",
        "direct map": "direct map",
        "section ": "section",
        "struct page": "page held across unbind",
        "freed in": "pagemap",
    }
    return {
        (v.finding.kind, next((w for text, w in words.items() if text in v.finding.message), ""))
        for v, _ in found.distinct()
    }


HELD = ("memmap-removed", "page held across unbind")
NODES = ("leak", "index nodes")
WAIT = ("hang", "wait for a ref that nobody kills")
PARTIAL = {("leak", "section"), ("leak", "direct map")}


def test_hmm_shows_the_wait_for_an_unkilled_ref_and_what_failed_mappings_leave() -> None:
    assert kinds(report("hmm")) == {WAIT, NODES, ("leak", "section"), HELD}


def test_hmm_public_leaves_the_direct_map_as_well() -> None:
    assert kinds(report("hmm_public")) == {WAIT, NODES, *PARTIAL, HELD}


def test_p2pdma_shows_its_lost_ref_and_the_pagemap_freed_under_its_mapping() -> None:
    found = kinds(report("p2pdma", memory="one BAR"))
    # One section: there is none before the one that fails.
    expected = {WAIT, NODES, ("leak", "direct map"), HELD, ("leak", "counters of a ref")}
    assert expected | {("use-after-free", "pagemap")} <= found


def test_p2pdma_with_a_ref_for_each_resource_keeps_its_contract() -> None:
    """Its kill callback is another function than the one before it."""
    found = report("p2pdma", "v5.2", memory="one BAR")
    assert found.runs and not found.errors
    assert not [v for v, _ in found.distinct() if v.finding.kind == "contract"]


def test_no_run_breaks_a_contract_or_ends_in_an_internal_error() -> None:
    for found in (report("hmm"), report("hmm_public"), report("p2pdma", memory="one BAR")):
        assert not found.errors
        assert not [v for v, _ in found.distinct() if v.finding.kind == "contract"]
        assert all(run.exhaustive and run.refused is None for run in found.runs)
        assert {run.program.name for run in found.runs} == {
            "bind-use-unbind-rebind",
            "beside-second-device",
            "page-held",
            "pagemap-held",
        }


def test_without_failing_calls_and_held_pages_nothing_is_wrong() -> None:
    for driver in ("hmm", "hmm_public", "p2pdma"):
        memory = ranges.MemoryMap("one BAR", ONE_BAR)
        options = check.Options(memory, drivers=(driver,), max_faults=0, hmm_size=SECTION)
        found = check.check(options)
        broken = {run.program.name for run in found.runs if run.violations}
        # The memory of p2pdma's pagemaps is freed before the wait for those who hold one.
        held = {"page-held", "pagemap-held"} if driver == "p2pdma" else {"page-held"}
        assert broken == held


def test_a_violation_is_seen_again_from_its_token() -> None:
    violation, _ = next((v, r) for v, r in report("hmm").distinct() if v.finding.kind == "hang")
    replay = tokens.decode(violation.replay)
    assert replay.experiment.setup.mode.driver == "hmm"
    outcome = runs.execute(replay.experiment)
    assert violation.finding.cause in {f.cause for f in outcome.findings}


# --- where the devices are ---


def test_bars_of_the_xeon_are_those_with_room_for_a_page() -> None:
    found = ranges.bars(XEON)
    assert len(found) == 34
    assert all(r.size >= 4096 for r in found)
    assert "0000:01:00.0" not in {r.name for r in found}  # 512 bytes


@pytest.mark.parametrize("size", [1, SECTION, SECTION + 1, 5 * SECTION, 1 << 40])
@pytest.mark.parametrize("top", [None, (1 << 46) - 1, (1 << 46) - 3 * SECTION, 1 << 45])
def test_private_memory_is_expected_where_the_kernel_puts_it(size: int, top: int | None) -> None:
    taken = [Range(0x100000, 0x7FFFFFF, "System RAM")]
    if top is not None:
        taken.append(Range(top - 0xFFF, top, "Reserved"))
    expected = ranges.private_range(ranges.MemoryMap("map", tuple(taken)), size)
    with Kernel(checked=False) as k:
        for r in taken:
            k.iomem.add(r.start, r.end, r.name)
        hmm = k.driver("hmm")
        device = hmm.device(size=size)
        hmm.bind(device)
        found = hmm.devmem(device).resource
        assert expected is not None
        assert (found.start, found.end) == (expected.start, expected.end)


# --- the command ---


def test_the_command_takes_a_size_and_says_what_it_cannot_do(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    assert main(["check", "--driver", "hmm", "--hmm-size", "256M", "--max-faults", "0"]) == 1
    assert "hmm     private" in capsys.readouterr().out
    assert main(["check", "--driver", "hmm", "--hmm-size", "40T"]) == 2
    assert "no free range of this size" in capsys.readouterr().err
    ram = f"{tmp_path}/ram.txt"
    with open(ram, "w") as file:
        file.write("00100000-7fffffff : System RAM\n")
    assert main(["check", "--driver", "p2pdma", "--iomem", ram]) == 2
    assert "no BAR of a PCI function" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["check", "--hmm-size", "0"])
