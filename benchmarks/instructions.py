# SPDX-License-Identifier: GPL-2.0-only
"""Counts the instructions of functions of the plain build, by callgrind.

Run as a program it is what callgrind runs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from memremap_emu import Kernel

FIRST = 0x100000
BASE = 1 << 45
MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40
LOOPS = 1 << 14
GETS = 1000


def lookups(k: Kernel, entries: int, order: int) -> None:
    """radix_tree_lookup() of random keys."""
    call = k._native.call
    tree = call("radix_tree_new")
    call("radix_tree_fill", tree, FIRST, entries, order)
    assert call("radix_tree_lookup_loop", tree, FIRST, entries << order, LOOPS) == LOOPS


def references(k: Kernel) -> None:
    """percpu_ref_tryget_live() and percpu_ref_put()."""
    assert k._native.call("percpu_ref_loop", k.percpu_ref()._handle, 0, LOOPS) == LOOPS


def pagemap(k: Kernel, how: int) -> None:
    """get_dev_pagemap(): 0 with a put, 2 with the pagemap in hand."""
    pmem = k.driver("pmem", mode="fsdax")
    pmem.bind(pmem.device(BASE, GiB))
    assert k._native.call("get_dev_pagemap_loop", BASE + GiB // 2 >> 12, how, LOOPS) == LOOPS


def mapping(k: Kernel, size: int) -> None:
    """Unbinds and binds a pmem device, by one emu_batch()."""
    pmem = k.driver("pmem", mode="fsdax")
    device = pmem.device(BASE, size)
    pmem.bind(device)
    batch = k.batch().unbind(device).bind(device, pmem.driver)
    batch.run()
    assert device.bound and batch.results[1] > 0


def gets(k: Kernel) -> None:
    """emu_page_get() of one page."""
    pmem = k.driver("pmem", mode="fsdax")
    pmem.bind(pmem.device(BASE, GiB))
    page = k.page(BASE + GiB // 2 >> 12)
    for _ in range(GETS):
        page.get()
    assert page.count > GETS


def batched_gets(k: Kernel) -> None:
    """get_page() of one page, by one emu_batch()."""
    pmem = k.driver("pmem", mode="fsdax")
    pmem.bind(pmem.device(BASE, GiB))
    batch = k.batch()
    for _ in range(GETS):
        batch.page_get(BASE + GiB // 2 >> 12)
    batch.run()
    assert k.page(BASE + GiB // 2 >> 12).count > GETS


Work = tuple[int, Callable[[Kernel], None]]

#: What can be counted, by the functions whose instructions are: how often they run, the work.
#: One toggle inside the other would stop counting, hence two runs.
RUNS: list[tuple[list[str], dict[str, Work]]] = [
    (
        ["radix_tree_lookup"],
        {
            f"lookup {entries} order {order}": (
                LOOPS,
                lambda k, entries=entries, order=order: lookups(k, entries, order),
            )
            for entries, order in [
                (1, 0),
                (64, 0),
                (512, 0),
                (4096, 0),
                (1, 9),
                (64, 9),
                (4096, 9),
            ]
        },
    ),
    (
        ["op_ref_loop", "op_pagemap_loop", "emu_batch", "emu_page_get"],
        {
            "references": (LOOPS, references),
            "pagemap": (LOOPS, lambda k: pagemap(k, 0)),
            "pagemap in hand": (LOOPS, lambda k: pagemap(k, 2)),
            "map 16 MiB": (1, lambda k: mapping(k, 16 * MiB)),
            "map 1 GiB": (1, lambda k: mapping(k, GiB)),
            "map 1 TiB": (1, lambda k: mapping(k, TiB)),
            "map 16 TiB": (1, lambda k: mapping(k, 16 * TiB)),
            "page.get": (GETS, gets),
            "get_page in a batch": (GETS, batched_gets),
        },
    ),
]


def count(directory: Path) -> dict[str, float]:
    """Instructions that each takes, callees included.

    Raises:
        RuntimeError: there is no valgrind, or it found nothing to count.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise RuntimeError("instructions are counted by valgrind, which is not installed")
    counts = {}
    for number, (functions, works) in enumerate(RUNS):
        out = directory / f"callgrind.{number}"
        result = subprocess.run(
            [
                valgrind,
                "--tool=callgrind",
                *(f"--toggle-collect={function}" for function in functions),
                "--dump-after=emu_nothing",
                f"--callgrind-out-file={out}",
                sys.executable,
                __file__,
                str(number),
            ],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            check=False,
        )
        for part, (name, (times, _)) in enumerate(works.items(), start=1):
            dump = Path(f"{out}.{part}")
            found = re.search(r"^totals: (\d+)", dump.read_text() if dump.exists() else "", re.M)
            if result.returncode or not found or not int(found[1]):
                raise RuntimeError(f"callgrind counted nothing for {name}:\n{result.stderr}")
            counts[name] = int(found[1]) / times
    return counts


def main() -> None:
    """Does the work of one run, and tells callgrind after each that its part is over."""
    for _, work in RUNS[int(sys.argv[1])][1].values():
        with Kernel(checked=False) as k:
            work(k)
            k._native.lib.emu_nothing(k._native.m, 1)


if __name__ == "__main__":
    main()
