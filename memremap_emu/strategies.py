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
from typing import Any, TypeVar

from hypothesis import strategies as st

from memremap_emu import generate
from memremap_emu.config import Config
from memremap_emu.generate import BASE, MAX_TASKS, SECTION
from memremap_emu.memory import MemoryType
from memremap_emu.operations import DeviceSpec, DriverSpec
from memremap_emu.program import Program
from memremap_emu.versions import DEFAULT_VERSION, select

_T = TypeVar("_T")
#: Behind the last byte that has an address.
_END = 1 << 46


def ranges(*, hostile: bool = False) -> st.SearchStrategy[list[tuple[int, int, str]]]:
    """Entries of a memory map: start, end, name.

    Well-formed ones are disjoint and whole sections; with ``hostile`` they are unaligned, share
    sections, overlap, are mixed with RAM, leave holes at the ends of sections and lie at the
    ends of the address space.
    """
    names = st.sampled_from(["Persistent Memory", "System RAM", "Reserved"])
    if not hostile:
        sizes = st.lists(
            st.tuples(st.integers(0, 3), st.integers(1, 8), names), min_size=1, max_size=6
        )
        return sizes.map(_side_by_side)
    return st.lists(_hostile_entry(names), min_size=1, max_size=6)


def _hostile_entry(names: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[int, int, str]]:
    """Few places, so that entries meet: quarters of the first sections, a little beside them,
    and the ends of the address space."""
    quarter = SECTION // 4
    skew = st.sampled_from([0, 1, -1, 0x1000, -0x1000, 0x800])
    inside = st.builds(
        lambda start, size, before, behind, name: (
            BASE + start * quarter + before,
            BASE + (start + size) * quarter - 1 + behind,
            name,
        ),
        st.integers(0, 12),
        st.integers(1, 8),
        skew,
        skew,
        names,
    )
    least = st.builds(lambda size, name: (0, size - 1, name), st.integers(1, SECTION), names)
    most = st.builds(
        lambda size, name: (_END - size, _END - 1, name), st.integers(1, SECTION), names
    )
    anywhere = st.builds(
        lambda start, size, name: (start, min(start + size, _END) - 1, name),
        st.integers(0, _END - 1),
        st.integers(1, 1 << 40),
        names,
    )
    return st.one_of(inside, least, most, anywhere)


def _side_by_side(sizes: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    found, at = [], BASE
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
    """What a pagemap is made of; what is missing is missing from the pagemap, too.

    ``start``, ``size`` (bytes) and ``type`` (`MemoryType`) are for `Kernel.pagemap`; ``ref``,
    ``kill``, ``cleanup`` (of a ref that there is) and ``page_free`` say whether there are such;
    ``altmap`` is what
    `PageMap.set_altmap` takes (base_pfn, reserve, free), None for a pagemap without one.
    """
    return st.builds(
        _pagemap,
        st.one_of(st.integers(0, 16).map(lambda n: BASE + n * SECTION), st.integers(0, 1 << 45)),
        st.one_of(st.integers(1, 8).map(lambda n: n * SECTION), st.integers(0, 1 << 30)),
        st.sampled_from(MemoryType),
        st.fixed_dictionaries(
            {name: st.sampled_from([True, False]) for name in _FIELDS_OF_PAGEMAPS}
        ),
        # Where it begins, counted from the range; pages that are the driver's, and free ones.
        st.none() | st.tuples(st.integers(0, 2), st.integers(0, 1 << 12), st.integers(0, 1 << 16)),
    )


_FIELDS_OF_PAGEMAPS = ("ref", "kill", "cleanup", "page_free")


def _pagemap(
    start: int,
    size: int,
    type: MemoryType,
    fields: dict[str, bool],
    altmap: tuple[int, int, int] | None,
) -> dict[str, Any]:
    if altmap is not None:
        altmap = (start >> 12) + altmap[0], altmap[1], altmap[2]
    fields["cleanup"] &= fields["ref"]
    return {"start": start, "size": size, "type": type, **fields, "altmap": altmap}


def devices(
    kernel_ranges: Sequence[tuple[int, int]] = ((BASE, SECTION),),
) -> st.SearchStrategy[DeviceSpec]:
    """Devices of the kernel's drivers, in each of their modes, on one of these ranges (start and
    size, in bytes); for `Program.devices`."""
    return st.builds(_device, st.sampled_from(kernel_ranges), st.sampled_from(_MODES))


#: Driver, mode, altmap.
_MODES = (
    ("dax_pmem", "fsdax", False),
    ("dax_pmem", "fsdax", True),
    ("pmem", "fsdax", False),
    ("pmem", "fsdax", True),
    ("pmem", "memory", False),
    ("pmem", "raw", False),
    ("p2pdma", "fsdax", False),
    ("hmm", "fsdax", False),
    ("hmm_public", "fsdax", False),
)


def _device(place: tuple[int, int], mode: tuple[str, str, bool]) -> DeviceSpec:
    start, size = place
    driver, name, altmap = mode
    # Private memory goes where there is room.
    return DeviceSpec("mine", driver, 0 if driver == "hmm" else start, size, name, altmap)


def drivers(
    version: str = DEFAULT_VERSION, *, permuted: bool = False
) -> st.SearchStrategy[DriverSpec]:
    """Drivers of one's own over the first section of a program.

    They follow the rules of the version; ``permuted`` puts the steps of probe behind ``alloc``,
    and those of actions and callbacks, in any order.
    """
    lists = generate.teardown(version)
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
    program = Program().driver("mine", BASE, SECTION, **lists)
    return program.drivers[0]


class _Drawn:
    """A `memremap_emu.generate.Source` of what Hypothesis draws."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def number(self, least: int, most: int) -> int:
        return self._draw(st.integers(least, most))

    def choice(self, options: Sequence[_T]) -> _T:
        return self._draw(st.sampled_from(options))

    def subset(self, options: Sequence[_T]) -> list[_T]:
        return self._draw(st.lists(st.sampled_from(options), min_size=1, unique=True))


def programs(
    version: str = DEFAULT_VERSION,
    *,
    max_tasks: int = MAX_TASKS,
    kinds: Sequence[str] = ("dax_pmem", "pmem"),
    own_drivers: bool = False,
    hostile: bool = False,
) -> st.SearchStrategy[Program]:
    """Programs of 1 to ``max_tasks`` (at most 4) tasks around one device or two.

    Which operations there are at all is drawn first (swarm testing), so that long runs of one
    operation happen.  A program keeps the rules: see `memremap_emu.generate`.

    Args:
        version: of the kernel
        max_tasks: at most
        kinds: of devices: of `memremap_emu.generate.KINDS`
        own_drivers: also drivers that are lists of steps, which follow the version's rules
        hostile: devices are also parts of sections, share them, overlap, lie in RAM

    Raises:
        ValueError: a version, kinds or a number of tasks that there are not.
    """
    select(version)
    if not kinds:
        raise ValueError("no kinds of devices")
    if unknown := [kind for kind in kinds if kind not in generate.KINDS]:
        raise ValueError(f"unknown kind {unknown[0]!r}; known: {', '.join(generate.KINDS)}")
    if not 1 <= max_tasks <= MAX_TASKS:
        raise ValueError(f"max_tasks is {max_tasks}: must be 1 to {MAX_TASKS}")
    of = (*kinds, "own") if own_drivers else tuple(kinds)

    @st.composite
    def drawn(draw: st.DrawFn) -> Program:
        return generate.program(
            _Drawn(draw), version, max_tasks=max_tasks, kinds=of, hostile=hostile
        )

    return drawn()


def schedules(*, max_size: int = 60) -> st.SearchStrategy[bytes]:
    """For ``strategy="guided"``: which of those who can go on goes, one byte a step; the empty
    one lets each task run as long as it can."""
    return st.lists(st.integers(0, 3), max_size=max_size).map(bytes)


def fault_plans(*, max_faults: int = 2, calls: int = 40) -> st.SearchStrategy[tuple[int, ...]]:
    """Numbers of the fallible calls that fail, in order, counted from 1."""
    return st.sets(st.integers(1, calls), max_size=max_faults).map(lambda n: tuple(sorted(n)))
