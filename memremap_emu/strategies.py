# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis strategies: memory maps, configurations, drivers, programs, schedules.

All of them shrink towards the small and readable: a failing example is a program that a person
would write by hand, and the schedule is drawn data, too, so it shrinks with it::

    @given(programs(), schedules())
    def test_teardown(program, schedule):
        assert not program.explore(strategy="guided", schedule=schedule, max_executions=1).found

Needs Hypothesis, which the package itself does not depend on.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from memremap_emu.config import Config
from memremap_emu.operations import DriverSpec, Operation
from memremap_emu.program import Program
from memremap_emu.versions import DEFAULT_VERSION

#: Of memory on x86-64: what persistent memory is aligned to, and what devices are made of.
SECTION = 128 << 20
_BASE = 0x140000000

#: Steps of a driver that follows the rules of each age of the kernel.
_TEARDOWNS: dict[str, dict[str, Any]] = {
    # The driver kills and waits in actions of its own.
    "v4.19": {
        "probe": [
            "request_region",
            "alloc",
            "init_ref",
            "add_action exit",
            "memremap_pages",
            "add_action_or_reset kill",
        ],
        "release": ["complete"],
        "actions": {"exit": ["wait", "exit"], "kill": ["kill"]},
    },
    # The pagemap kills.
    "memremap-v6": {
        "probe": ["request_region", "alloc", "init_ref", "add_action exit", "memremap_pages"],
        "release": ["complete"],
        "kill": ["kill"],
        "actions": {"exit": ["wait", "exit"]},
    },
    # It waits and exits, too.
    "v5.2": {
        "probe": ["request_region", "alloc", "init_ref", "memremap_pages"],
        "release": ["complete"],
        "kill": ["kill"],
        "cleanup": ["wait", "exit"],
    },
}


def ranges(*, hostile: bool = False) -> st.SearchStrategy[list[tuple[int, int, str]]]:
    """Entries of a memory map: start, end, name.

    Well-formed ones are disjoint and whole sections; with ``hostile`` they are unaligned, share
    sections, overlap, are mixed with RAM and lie at the end of the address space.
    """
    names = st.sampled_from(["Persistent Memory", "System RAM", "Reserved"])
    if not hostile:
        sizes = st.lists(
            st.tuples(st.integers(0, 3), st.integers(1, 8), names), min_size=1, max_size=6
        )
        return sizes.map(_side_by_side)
    edges = st.one_of(
        st.integers(0, (1 << 46) - 1),
        st.integers(-3, 3).map(lambda n: max(_BASE + n, 0)),
        st.integers(1, 4096).map(lambda n: (1 << 46) - n),
        st.integers(0, 64).map(lambda n: n * SECTION // 4),
    )
    lengths = st.one_of(st.integers(1, 1 << 21), st.integers(1, 8).map(lambda n: n * SECTION))
    entry = st.tuples(edges, lengths, names).map(
        lambda e: (e[0], min(e[0] + e[1] - 1, (1 << 46) - 1), e[2])
    )
    return st.lists(entry, min_size=1, max_size=8)


def _side_by_side(sizes: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    found, at = [], _BASE
    for gap, size, name in sizes:
        start = at + gap * SECTION
        at = start + size * SECTION
        found.append((start, at - 1, name))
    return found


def memory_maps(*, hostile: bool = False) -> st.SearchStrategy[str]:
    """Text as in ``/proc/iomem``; see `ranges`."""
    return ranges(hostile=hostile).map(
        lambda entries: "".join(f"{s:08x}-{e:08x} : {name}\n" for s, e, name in entries)
    )


def configs() -> st.SearchStrategy[Config]:
    """Configurations that a kernel can be built with."""
    return st.builds(
        _config,
        st.sampled_from([12, 14, 16]),
        st.integers(1, 4),
        st.fixed_dictionaries(
            {},
            optional={
                key: st.booleans()
                for key in ("kasan", "pat", "preempt_rcu", "debug_vm", "debug_devres")
            },
        ),
    )


def _config(page_shift: int, numa_nodes: int, keys: dict[str, bool]) -> Config:
    # Sections of larger pages are larger on the architectures that have them.
    bits = {12: 27, 14: 30, 16: 30}[page_shift]
    more: dict[str, Any] = dict(keys)
    return Config(page_shift=page_shift, section_size_bits=bits, numa_nodes=numa_nodes, **more)


def resources() -> st.SearchStrategy[tuple[int, int]]:
    """Start and end of a resource below 2^46."""
    return st.tuples(st.integers(0, (1 << 46) - 1), st.integers(1, 1 << 36)).map(
        lambda r: (r[0], min(r[0] + r[1], 1 << 46) - 1)
    )


def pagemaps() -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of `Kernel.pagemap`, altmap and missing parts included: ``start``, ``size``,
    ``type`` (number) and which of ``ref`` and ``kill`` there are."""
    return st.fixed_dictionaries(
        {
            "start": st.one_of(
                st.integers(0, 16).map(lambda n: _BASE + n * SECTION), st.integers(0, 1 << 45)
            ),
            "size": st.one_of(
                st.integers(1, 8).map(lambda n: n * SECTION), st.integers(0, 1 << 30)
            ),
            "type": st.integers(0, 4),
            "ref": st.booleans(),
            "kill": st.booleans(),
        }
    )


def drivers(
    version: str = DEFAULT_VERSION, *, permuted: bool = False
) -> st.SearchStrategy[DriverSpec]:
    """Drivers of one's own over the first section of a program.

    They follow the rules of the version; ``permuted`` puts the steps of probe behind ``alloc``,
    and those of actions and callbacks, in any order.
    """
    age = version.split()[0]
    lists = _TEARDOWNS.get(age, _TEARDOWNS["memremap-v6"])
    if not permuted:
        return st.just(_driver(lists))
    orders: dict[str, st.SearchStrategy[Any]] = {}
    for key, steps in lists.items():
        if key == "actions":
            orders[key] = st.fixed_dictionaries(
                {name: st.permutations(action) for name, action in steps.items()}
            )
        elif key == "probe":
            orders[key] = st.permutations(steps[2:]).map(functools.partial(_behind, steps[:2]))
        else:
            orders[key] = st.permutations(steps)
    return st.fixed_dictionaries(orders).map(_driver)


def _behind(first: list[str], rest: list[str]) -> list[str]:
    return [*first, *rest]


def _driver(lists: dict[str, Any]) -> DriverSpec:
    program = Program().driver("mine", _BASE, SECTION, **lists)
    return program.drivers[0]


def programs(
    version: str = DEFAULT_VERSION, *, max_tasks: int = 3, own_drivers: bool = False
) -> st.SearchStrategy[Program]:
    """Programs of 1 to ``max_tasks`` (at most 4) tasks around one device that is bound.

    Which operations there are at all is drawn first (swarm testing), so that long runs of one
    operation happen.  A page is put only by a task that got it, or once if the set-up did; an I/O
    is ended once.
    """
    return st.composite(_draw_program)(version, max_tasks, own_drivers)


def _draw_program(draw: Any, version: str, max_tasks: int, own_drivers: bool) -> Program:
    program = Program(version, cpus=max_tasks).memory(_BASE, _BASE + SECTION - 1)
    kinds = ["dax_pmem", "pmem", *(["mine"] if own_drivers else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "mine":
        spec = draw(drivers(version))
        program = Program(version, max_tasks, ranges=program.ranges, drivers=(spec,))
    else:
        program = program.device("mine", kind, _BASE, SECTION)
    program = program.setup("bind mine")
    held = draw(st.booleans())
    if held:
        program = program.setup("get_page mine 0")
    flying = kind == "pmem" and draw(st.booleans())
    if flying:
        program = program.setup("submit_bio mine")
    features = draw(
        st.lists(
            st.sampled_from(["unbind", "rebind", "lookup", "pair", "locked"]),
            min_size=1,
            unique=True,
        )
    )
    bodies: list[list[Operation]] = []
    for _ in range(draw(st.integers(1, max_tasks))):
        body: list[Operation] = []
        for feature in draw(st.lists(st.sampled_from(features), max_size=3)):
            body += map(Operation.read, _FEATURES[feature])
        bodies.append(body)
    if held:
        bodies[draw(st.integers(0, len(bodies) - 1))].append(Operation("put_page", ("mine", 0)))
    if flying:
        bodies[draw(st.integers(0, len(bodies) - 1))].append(Operation("bio_endio", ("mine",)))
    if any(o.call == "mutex_lock" for body in bodies for o in body):
        program = program.object("lock", "mutex")
    bodies = [body for body in bodies if body] or [[Operation("unbind", ("mine",))]]
    for number, body in enumerate(bodies):
        program = program.task(f"t{number}", *body)
    return program


_FEATURES = {
    "unbind": ["unbind mine"],
    "rebind": ["unbind mine", "bind mine"],
    "lookup": ["get_dev_pagemap mine 0"],
    "pair": ["get_dev_pagemap mine 1", "get_dev_pagemap mine 2"],
    "locked": ["mutex_lock lock", "get_dev_pagemap mine 0", "mutex_unlock lock"],
}


def schedules(*, max_size: int = 60) -> st.SearchStrategy[bytes]:
    """For ``strategy="guided"``: which of those who can go on goes, one byte a step; the empty
    one lets each task run as long as it can."""
    return st.lists(st.integers(0, 3), max_size=max_size).map(bytes)


def fault_plans(*, max_faults: int = 2, calls: int = 40) -> st.SearchStrategy[tuple[int, ...]]:
    """Numbers of the fallible calls that fail, in order, counted from 1."""
    return st.sets(st.integers(1, calls), max_size=max_faults).map(lambda n: tuple(sorted(n)))
