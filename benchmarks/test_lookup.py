# SPDX-License-Identifier: GPL-2.0-only
"""From a pfn to its pagemap, and references on it: time of one, looped in C."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BASE, GiB, figure, pairs

from memremap_emu import Kernel

FIRST = 0x100000
LOOPS = 200_000


@pytest.mark.parametrize(
    ("entries", "goal"), [(1, None), (4096, 10.0), (1 << 20, 35.0)], ids=["1", "4096", "1M"]
)
def test_radix_tree_lookup(plain: Kernel, benchmark, entries: int, goal: float | None) -> None:
    call = plain._native.call
    tree = call("radix_tree_new")
    call("radix_tree_fill", tree, FIRST, entries, 0)

    def lookups() -> None:
        assert call("radix_tree_lookup_loop", tree, FIRST, entries, LOOPS) == LOOPS

    def empty() -> None:
        call("empty_loop", FIRST, entries, LOOPS)

    loop, nothing, _ = pairs(lookups, empty)
    benchmark.pedantic(lookups, rounds=5)
    figure(
        f"radix_tree_lookup, {entries} random entries",
        (loop - nothing) / LOOPS * 1e9,
        "ns",
        goal=goal,
        ratio=loop / nothing,
        ratio_to="the loop without it",
    )


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Containers of other libraries, from ``liburcu-dev`` and ``libjudy-dev``."""
    library = tmp_path_factory.mktemp("peers") / "peers.so"
    source = Path(__file__).with_name("peers.c")
    command = ["gcc", "-O2", "-shared", "-fPIC", "-o", library, source]
    command += ["-lurcu-memb", "-lurcu-cds", "-lJudy"]
    reason = "no gcc"
    if shutil.which("gcc"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = done.stderr.strip()
        if not done.returncode:
            found = ctypes.CDLL(str(library))
            for name in ("urcu", "judy"):
                getattr(found, f"{name}_new").restype = ctypes.c_void_p
                getattr(found, f"{name}_new").argtypes = [ctypes.c_ulong] * 2
                getattr(found, f"{name}_lookups").restype = ctypes.c_long
                getattr(found, f"{name}_lookups").argtypes = [
                    ctypes.c_void_p,
                    *[ctypes.c_ulong] * 2,
                    ctypes.c_long,
                ]
            return found
    text = f"liburcu-dev and libjudy-dev are needed: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


@pytest.mark.parametrize("entries", [1, 64, 4096, 1 << 20], ids=["1", "64", "4096", "1M"])
@pytest.mark.parametrize(
    ("peer", "name"), [("urcu", "cds_lfht_lookup() of liburcu"), ("judy", "JudyLGet()")]
)
def test_radix_tree_lookup_beside_other_containers(
    plain: Kernel, peers: ctypes.CDLL, benchmark, entries: int, peer: str, name: str
) -> None:
    """The same keys in the same order, timed in turn."""
    call = plain._native.call
    tree = call("radix_tree_new")
    call("radix_tree_fill", tree, FIRST, entries, 0)
    other = getattr(peers, f"{peer}_new")(FIRST, entries)
    look_up = getattr(peers, f"{peer}_lookups")

    def ours() -> None:
        assert call("radix_tree_lookup_loop", tree, FIRST, entries, LOOPS) == LOOPS

    def theirs() -> None:
        assert look_up(other, FIRST, entries, LOOPS) == LOOPS

    mine, yours, ratio = pairs(ours, theirs)
    benchmark.pedantic(ours, rounds=5)
    figure(f"{name}, {entries} random entries", yours / LOOPS * 1e9, "ns", build="peer")
    figure(
        f"radix_tree_lookup in the same loop, {entries} random entries",
        mine / LOOPS * 1e9,
        "ns",
        ratio=ratio,
        ratio_to=name,
    )


def bound_pfn(k: Kernel) -> int:
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, GiB)
    pmem.bind(device)
    return (BASE + GiB // 2) >> 12


def test_get_dev_pagemap(plain: Kernel, benchmark) -> None:
    pfn = bound_pfn(plain)
    call = plain._native.call

    def get_and_put() -> None:
        assert call("get_dev_pagemap_loop", pfn, 0, LOOPS) == LOOPS

    def hit() -> None:
        assert call("get_dev_pagemap_loop", pfn, 2, LOOPS) == LOOPS

    slow, fast, _ = pairs(get_and_put, hit)
    benchmark.pedantic(get_and_put, rounds=5)
    figure("get_dev_pagemap and put", slow / LOOPS * 1e9, "ns")
    figure(
        "get_dev_pagemap of the pagemap in hand",
        fast / LOOPS * 1e9,
        "ns",
        goal=1.5,
        ratio=fast / slow,
        ratio_to="get and put",
    )


def test_percpu_ref_tryget_live_and_put_cost_no_more_than_an_atomic_pair(
    plain: Kernel, benchmark
) -> None:
    ref = plain.percpu_ref()
    call = plain._native.call

    def reference() -> None:
        assert call("percpu_ref_loop", ref._handle, 0, LOOPS) == LOOPS

    def atomic() -> None:
        call("percpu_ref_loop", ref._handle, 1, LOOPS)

    ours, theirs, ratio = pairs(reference, atomic)
    benchmark.pedantic(reference, rounds=5)
    figure(
        "tryget_live and put",
        ours / LOOPS * 1e9,
        "ns",
        goal=theirs / LOOPS * 1e9,
        ratio=ratio,
        ratio_to="atomic inc and dec",
    )
    assert ratio <= 1.0
