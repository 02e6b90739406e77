# SPDX-License-Identifier: GPL-2.0-only
"""From Python into the machine and back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import BASE, ROUNDS, TURNS, GiB, build_of, figure, pairs

from memremap_emu import Kernel

CALLS = 2_000
BATCH = 512


def bound_page(k: Kernel):
    pmem = k.driver("pmem", mode="fsdax")
    pmem.bind(pmem.device(BASE, GiB))
    return k.page((BASE + GiB // 2) >> 12)


def test_page_get_costs_at_most_1_6_bare_calls(kernel: Kernel, benchmark) -> None:
    page = bound_page(kernel)
    nothing = kernel._native.lib.emu_nothing
    machine, pfn = kernel._native.m, page.pfn
    calls = [None] * CALLS

    # Both loops in full: a function around the one call would be most of it.
    def gets() -> None:
        for _ in calls:
            page.get()

    before = page.count
    gets()
    assert page.count == before + CALLS

    def nothings() -> None:
        for _ in calls:
            nothing(machine, pfn)

    get, bare, ratio = pairs(gets, nothings, TURNS)
    get, bare = get / CALLS, bare / CALLS
    benchmark(page.get)
    figure(
        "page.get()",
        get * 1e9,
        "ns",
        build=build_of(kernel),
        goal=1.6 * bare * 1e9,
        ratio=ratio,
        ratio_to="bare cffi call",
    )
    benchmark.extra_info["ratio"] = ratio
    if not kernel.checked:
        assert ratio <= 1.6


def test_an_operation_in_a_batch_costs_at_most_a_tenth_of_page_get(
    kernel: Kernel, benchmark
) -> None:
    page = bound_page(kernel)
    batch = kernel.batch().page_get(page.pfn)
    for _ in range(BATCH - 1):
        batch.page_get(page.pfn)
    before = page.count
    batch.run()
    assert page.count == before + BATCH

    def single() -> None:
        for _ in range(BATCH):
            page.get()

    batched, alone, ratio = pairs(batch.run, single, 50)
    benchmark(batch.run)
    figure(
        f"get_page in a batch of {BATCH}",
        batched / BATCH * 1e9,
        "ns",
        build=build_of(kernel),
        goal=alone / BATCH / 10 * 1e9,
        ratio=ratio,
        ratio_to="page.get()",
    )
    benchmark.extra_info["ratio"] = ratio
    if not kernel.checked:
        assert ratio <= 0.1


def test_put_page_and_percpu_ref_in_a_batch(kernel: Kernel) -> None:
    """No goal of their own: what other operations of a batch cost beside get_page()."""
    page, ref = bound_page(kernel), kernel.percpu_ref()
    pages, refs, sweep = kernel.batch(), kernel.batch(), kernel.batch()
    for _ in range(BATCH // 2):
        pages.page_get(page.pfn).page_put(page.pfn)
        refs.add("percpu_ref_get", ref).add("percpu_ref_put", ref)
    sweep.page_get(page.pfn, BATCH // 2).page_put(page.pfn, BATCH // 2)
    for name, batch in (
        ("get_page and put_page in turn", pages),
        ("percpu_ref_get and percpu_ref_put in turn", refs),
        (f"get_page of {BATCH // 2} pages, then put_page", sweep),
    ):
        time, _, _ = pairs(batch.run, batch.run, 50)
        figure(f"{name}, batch", time / BATCH * 1e9, "ns", build=build_of(kernel))


def import_milliseconds(statement: str, cache: Path) -> float:
    """Wall time of a statement in a fresh interpreter that finds compiled modules."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(cache)
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    found = [
        float(
            subprocess.run(
                [sys.executable, "-c", code],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for _ in range(2 * ROUNDS)
    ]
    return min(found) * 1e3


def test_import_costs_at_most_60_ms_more_than_cffis_backend(tmp_path: Path) -> None:
    ours = import_milliseconds("import memremap_emu", tmp_path)
    backend = import_milliseconds("import _cffi_backend", tmp_path)
    figure(
        "import memremap_emu, beyond cffi's backend",
        ours - backend,
        "ms",
        goal=60.0,
        ratio=ours / backend,
        ratio_to="cffi's backend",
    )


def test_importing_loads_no_extension_module() -> None:
    code = "import sys, memremap_emu; print([m for m in sys.modules if m.endswith('ed')])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "memremap_emu._checked" not in loaded
