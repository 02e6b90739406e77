# SPDX-License-Identifier: GPL-2.0-only
"""Programs at random: set-ups, and tasks for them.

What is drawn comes from a `Source`: `random` for campaigns (`memremap_emu.fuzz`), Hypothesis for
tests (`memremap_emu.strategies`), where options stand from the simplest one on, as what is drawn
shrinks towards the first.

A program here keeps the rules itself, so that what breaks is the kernel's: a page is put once for
each time that the set-up got it, an I/O that began ends once, what is locked is unlocked by the
same task, and drivers of one's own tear down as their version wants it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from memremap_emu.counterexample import as_honest
from memremap_emu.operations import GIVES_BACK, Operation, TaskSpec
from memremap_emu.program import Program
from memremap_emu.versions import select

#: Bytes of a section on x86-64, and where the first device is.
SECTION, BASE = 128 << 20, 0x140000000
#: Devices begin and end at multiples of it.
UNIT = 16 << 20
_UNITS = SECTION // UNIT
#: Kinds of devices; ``own`` is a driver of one's own that follows the rules of its version.
KINDS = ("dax_pmem", "pmem", "own", "p2pdma", "hmm", "hmm_public")
#: Those that are persistent memory, of which several can share a section.
_PMEM = ("dax_pmem", "pmem", "own")
#: Tasks of a program, at most.
MAX_TASKS = 4

_T = TypeVar("_T")
Block = tuple[Operation, ...]


class Source(Protocol):
    """Where what is drawn comes from."""

    def number(self, least: int, most: int) -> int:
        """One of these, the least one being the simplest."""

    def choice(self, options: Sequence[_T]) -> _T:
        """One of these, the first one being the simplest."""

    def subset(self, options: Sequence[_T]) -> list[_T]:
        """One or more of these, in any order."""


class Random:
    """A `Source` of pseudo-random numbers."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def number(self, least: int, most: int) -> int:
        """See `Source.number`."""
        return self._draw.randint(least, most)

    def choice(self, options: Sequence[_T]) -> _T:
        """See `Source.choice`."""
        return self._draw.choice(options)

    def subset(self, options: Sequence[_T]) -> list[_T]:
        """See `Source.subset`; few are as likely as many."""
        return self._draw.sample(options, self._draw.randint(1, len(options)))


def _now_and_then(source: Source, percent: int) -> bool:
    return source.number(0, 99) >= 100 - percent


# --- drivers ---


def teardown(version: str) -> dict[str, Any]:
    """Lists of steps of a driver that follows the rules of a version, for `Program.driver`."""
    patches = select(version).patches
    probe = ["request_region", "alloc", "init_ref"]
    if "final-put" in patches:
        # The pagemap kills, waits and exits.
        return {
            "probe": [*probe, "memremap_pages"],
            "release": ["complete"],
            "kill": ["kill"],
            "cleanup": ["wait", "exit"],
        }
    probe += ["add_action exit", "memremap_pages"]
    exits = {"exit": ["wait", "exit"]}
    if "shutdown" in patches:
        # The pagemap kills.
        return {"probe": probe, "release": ["complete"], "kill": ["kill"], "actions": exits}
    # The driver kills, also on the way out of a mapping that fails.
    return {
        "probe": [*probe, "add_action_or_reset kill"],
        "release": ["complete"],
        "map_failed": ["remove_action exit", "exit"],
        "actions": {**exits, "kill": ["kill"]},
    }


# --- set-ups ---


@dataclass(frozen=True)
class _Device:
    """A device as it is drawn.

    Attributes:
        kind: of `KINDS`
        start: units from the beginning of a section
        size: units
        mode: of the namespace, and is there an altmap
        request: a driver of one's own claims the range
        bound: by the set-up, if it can be
        held: pages that somebody holds then
        flying: an I/O is in flight then
    """

    kind: str
    start: int
    size: int
    mode: tuple[str, bool]
    request: bool
    bound: bool
    held: int
    flying: bool


_PMEM_MODES = (("fsdax", False), ("fsdax", True), ("memory", False), ("raw", False))
_DAX_MODES = (("fsdax", False), ("fsdax", True))


def _drawn(source: Source, kind: str, hostile: bool, part: bool) -> _Device:
    """As many numbers for each kind: what is drawn shrinks better so."""
    start, size = source.number(0, _UNITS - 1), source.number(1, _UNITS)
    part = (source.choice((False, True)) or part) and hostile and kind in _PMEM
    modes = source.choice(_PMEM_MODES), source.choice(_DAX_MODES)
    request = not (source.choice((False, True, True)) and hostile)
    return _Device(
        kind,
        start if part else 0,
        size if part else _UNITS,
        modes[0] if kind == "pmem" else modes[1] if kind == "dax_pmem" else ("fsdax", False),
        request,
        bound=not _now_and_then(source, 30),
        held=source.choice((0, 1, 1, 2) if hostile else (0, 1)),
        flying=_now_and_then(source, 40),
    )


def setup(
    source: Source, version: str, *, kinds: Sequence[str] = KINDS, hostile: bool = False
) -> Program:
    """A program without tasks: one device or two, most often bound and used.

    With ``hostile`` devices are parts of sections, share them, overlap, and are where there is
    RAM; what may fail to bind is left to the tasks.
    """
    kind = source.choice(kinds)
    second = source.choice((kind, source.choice(kinds)))
    share = source.choice((False, True, True)) and hostile and {kind, second} <= set(_PMEM)
    ram = source.choice((False, False, True)) and hostile
    both = [_drawn(source, k, hostile, share) for k in (kind, second)]
    devices = [both[number] for number in source.choice(((0,), (1,), (0, 1), (0, 1)))]
    places = _places(devices, share)
    ram = ram and all(device.kind == "own" for device in devices)
    program = _memory(source, Program(version, cpus=MAX_TASKS), places, ram=ram)
    for place in places:
        program = _device(program, place)
    taken: set[int] = set()
    for place in places:
        # An altmap may be too small for the section that part of it is in.
        whole = place.device.start == 0 and place.device.size == _UNITS
        fits = not ram and (whole or not place.device.mode[1])
        if place.device.bound and fits and taken.isdisjoint(place.sections()):
            taken.update(place.sections())
            program = _bound(program, place)
    if _now_and_then(source, 10):
        program = program.object("ref", "percpu_ref")
    return program


@dataclass(frozen=True)
class _Place:
    """Where a device is."""

    name: str
    device: _Device
    behind: int

    @property
    def start(self) -> int:
        """Units from `BASE` on."""
        return self.behind + self.device.start

    def sections(self) -> range:
        return range(self.start // _UNITS, (self.start + self.device.size - 1) // _UNITS + 1)

    def range(self) -> tuple[int, int]:
        """Start and size, in bytes."""
        return BASE + self.start * UNIT, self.device.size * UNIT


def _places(devices: Sequence[_Device], share: bool) -> list[_Place]:
    places: list[_Place] = []
    for name, device in zip(("mine", "other"), devices, strict=False):
        behind = 0 if share or not places else (places[0].sections()[-1] + 1) * _UNITS
        places.append(_Place(name, device, behind))
    return places


def _memory(source: Source, program: Program, places: Sequence[_Place], *, ram: bool) -> Program:
    if any(place.device.kind == "hmm" for place in places):
        # It has no address: where one is free is found above what there is.
        program = program.memory(0x100000, 0xBFFFFFFF, "System RAM")
    # All of it is RAM then, or what lies behind the first half of the first section.
    half = SECTION // 2 * source.choice((0, 1))
    pmem = [number for p in places if p.device.kind in _PMEM for number in p.sections()]
    if pmem:
        start, end = BASE + min(pmem) * SECTION, BASE + (max(pmem) + 1) * SECTION
        if ram and half:
            program = program.memory(start, start + half - 1)
        name = "System RAM" if ram else "Persistent Memory"
        program = program.memory(start + half if ram else start, end - 1, name)
    for place in places:
        if place.device.kind == "p2pdma":
            start, size = place.range()
            program = program.memory(start, start + size - 1, "0000:80:00.0")
    return program


def _device(program: Program, place: _Place) -> Program:
    start, size = place.range()
    device = place.device
    if device.kind == "own":
        lists = teardown(program.version)
        if not device.request:
            lists["probe"].remove("request_region")
        return program.driver(place.name, start, size, **lists)
    if device.kind == "hmm":
        start = 0
    mode, altmap = device.mode
    return program.device(place.name, device.kind, start, size, mode=mode, altmap=altmap)


def _bound(program: Program, place: _Place) -> Program:
    """With the device bound, and what is held of it."""
    name, device = place.name, place.device
    program = program.setup(f"bind {name}")
    if device.mode[0] != "raw":
        for number in range(device.held):
            program = program.setup(f"get_page {name} {number}")
    if device.kind == "pmem" and device.flying:
        program = program.setup(f"submit_bio {name}")
    return program


# --- tasks ---


#: What tasks do that owes nothing to anybody, the simplest first.
_FEATURES = (
    *("unbind", "rebind", "lookup", "watched", "pair", "locked", "rcu", "preempt", "mapped"),
    *("p2pmem", "synchronize_rcu", "rcu_barrier", "tryget_live", "tryget"),
)


def _names(program: Program) -> list[str]:
    """Of the devices, in the order in which they were drawn."""
    names = [*(spec.name for spec in program.devices), *(spec.name for spec in program.drivers)]
    return sorted(names)


def _block(program: Program, feature: str, name: str) -> Block:
    """What a feature is for a device; what it has none of is a lookup, or its life."""
    spec = next((spec for spec in program.devices if spec.name == name), None)
    driver = spec.driver if spec else "own"
    bound = Operation("bind", (name,)) in program.prepared
    lookup = f"get_dev_pagemap {name} 0"
    life = [f"unbind {name}", f"bind {name}"] if bound else [f"bind {name}", f"unbind {name}"]
    if (
        (feature == "mapped" and (driver == "hmm" or (spec and spec.mode == "raw")))
        or (feature == "p2pmem" and driver != "p2pdma")
        or (feature.startswith("tryget") and ("ref", "percpu_ref") not in program.objects)
    ):
        feature = "lookup"
    # Where private memory will be is not known before.
    if feature in _LOOKUPS and driver == "hmm" and not bound:
        feature = "rebind"
    texts = {
        "unbind": life[:1],
        "rebind": life,
        "lookup": [lookup],
        "watched": [f"watched_lookup {name} 1"],
        "pair": [f"get_dev_pagemap {name} 1", f"get_dev_pagemap {name} 2"],
        "locked": ["mutex_lock lock", lookup, "mutex_unlock lock"],
        "rcu": ["rcu_read_lock", lookup, "rcu_read_unlock"],
        "preempt": ["preempt_disable", lookup, "preempt_enable"],
        "mapped": [f"expect_mapped {name} 0"],
        "p2pmem": [f"use_p2pmem {name}"],
        "tryget_live": ["percpu_ref_tryget_live ref"],
        "tryget": ["percpu_ref_tryget ref"],
    }.get(feature, [feature])
    return tuple(map(Operation.read, texts))


_LOOKUPS = frozenset({"lookup", "watched", "pair", "locked", "rcu", "preempt"})


_BOTH = {"mine", "other"}


def _owed(program: Program) -> Iterator[tuple[int, Block]]:
    """What the set-up has taken and a task gives back, with a number of its own below
    `_MAX_OWED`; a ref is killed once."""
    # The same numbers for the other device if it is the only one: see `setup`.
    both = {o.args[0] for o in program.prepared if o.call in GIVES_BACK.values()} >= _BOTH
    for operation in program.prepared:
        put = next((g for g, takes in GIVES_BACK.items() if takes == operation.call), None)
        if put is None:
            continue
        name, *page = operation.args
        number = 3 * (both and name == "other") + (1 + int(page[0]) if page else 0)
        back = Operation(put, operation.args)
        private = any(d.name == name and d.driver == "hmm" for d in program.devices)
        # Whoever holds a private page may touch it.
        yield number, (Operation("fault", operation.args), back) if private else (back,)
    if any(name == "ref" for name, _ in program.objects):
        yield _MAX_OWED - 1, (Operation("percpu_ref_kill", ("ref",)),)


#: What waits for a device, or for whoever does.
_WAITING = frozenset({"bind", "unbind", "expect_mapped"})
#: What others wait for.
_AWAITED = frozenset({"put_page", "bio_endio"})


#: Two devices with an I/O and two pages each, and a ref to kill.
_MAX_OWED = 7


def _before_waiting(blocks: Sequence[Block]) -> int:
    """Blocks before the first one that waits: whoever holds a page must not wait for unbind."""
    waits = (n for n, block in enumerate(blocks) if any(o.call in _WAITING for o in block))
    return next(waits, len(blocks))


def _keeps_rules(program: Program) -> bool:
    for task in program.tasks:
        calls = [o.call for o in task.operations]
        first = next((n for n, call in enumerate(calls) if call in _WAITING), len(calls))
        if not _AWAITED.isdisjoint(calls[first:]):
            return False
    return True


def with_tasks(source: Source, program: Program, *, max_tasks: int = MAX_TASKS) -> Program:
    """The program with 1 to ``max_tasks`` tasks in place of its own.

    Which operations there are at all is drawn first (swarm testing), so that long runs of one
    operation happen.
    """
    names = _names(program)
    some = source.subset(_FEATURES)
    bodies: list[list[Block]] = []
    for _ in range(source.number(1, max_tasks)):
        drawn = [(source.choice(some), source.choice(names)) for _ in range(source.number(0, 3))]
        blocks = [_block(program, feature, name) for feature, name in drawn]
        if blocks and _now_and_then(source, 10):
            blocks += blocks[-1:] * source.number(1, 5)
        bodies.append(blocks)
    for name in ("mine", "other"):
        # What the set-up has left alone is of no use before it is bound.
        body, left = source.choice(bodies), _now_and_then(source, 30)
        bind = Operation("bind", (name,))
        if name in names and bind not in program.prepared and not left:
            body.insert(0, (bind,))
    name, body = source.choice(names), source.choice(bodies)
    if _now_and_then(source, 30):
        body.append(_block(program, "mapped", name))
    # As many numbers whatever is owed: what is drawn shrinks better so.
    slots = [(source.number(0, 11), source.number(0, 11)) for _ in range(_MAX_OWED)]
    for number, block in _owed(program):
        which, where = slots[number]
        body = bodies[which % len(bodies)]
        body.insert(where % (_before_waiting(body) + 1), block)
    bodies = [body for body in bodies if body] or [[_block(program, "unbind", names[0])]]
    return _tasks(program, [tuple(o for block in body for o in block) for body in bodies])


def _tasks(program: Program, bodies: Sequence[Block]) -> Program:
    """With these tasks, and the lock if they take it."""
    locks = any(o.call == "mutex_lock" for body in bodies for o in body)
    objects = tuple(o for o in program.objects if o[0] != "lock")
    if locks:
        objects = (*objects, ("lock", "mutex"))
    tasks = tuple(TaskSpec(f"t{number}", body) for number, body in enumerate(bodies))
    return replace(program, objects=objects, tasks=tasks)


def program(
    source: Source,
    version: str,
    *,
    max_tasks: int = MAX_TASKS,
    kinds: Sequence[str] = KINDS,
    hostile: bool = False,
) -> Program:
    """A program: see `setup` and `with_tasks`."""
    return with_tasks(
        source, setup(source, version, kinds=kinds, hostile=hostile), max_tasks=max_tasks
    )


# --- what differs in one thing ---

_PAIRED = {*GIVES_BACK, *GIVES_BACK.values(), "percpu_ref_kill"}


def mutated(source: Source, program: Program) -> Program:
    """A program on the same set-up that differs in one thing, and keeps the rules as this does."""
    bodies = [list(task.operations) for task in program.tasks]
    body = bodies[source.number(0, len(bodies) - 1)]
    block = _block(program, source.choice(_FEATURES), source.choice(_names(program)))
    match source.choice(("append", "prepend", "new", "drop", "repeat", "move")):
        case "append":
            body += block
        case "prepend":
            body[:0] = block
        case "new" if len(bodies) < MAX_TASKS:
            bodies.append(list(block))
        case "drop" if body[0].call not in _PAIRED or body[-1].call not in _PAIRED:
            del body[-1 if body[0].call in _PAIRED else 0]
        case "repeat" if body[-1].call not in _PAIRED:
            body += body[-1:] * source.number(1, 5)
        case "move":
            owed = [o for o in body if o.call in _AWAITED]
            # Who touches a private page holds it.
            if owed and not any(o.call == "fault" for o in body):
                moved = source.choice(owed)
                body.remove(moved)
                source.choice(bodies).insert(0, moved)
    bodies = [b for b in bodies if b]
    made = _tasks(program, [tuple(b) for b in bodies]) if bodies else program
    return made if as_honest(made, program) and _keeps_rules(made) else program


def of(program: Program, version: str) -> Program:
    """The program on another version, its own drivers by the rules of that one."""
    lists = teardown(version)
    drivers = []
    for spec in program.drivers:
        probe = lists["probe"]
        if Operation("request_region") not in spec.probe:
            probe = probe[1:]
        made = Program().driver(spec.name, spec.start, spec.size, **{**lists, "probe": probe})
        drivers.append(made.drivers[0])
    return replace(program.of(version), drivers=tuple(drivers))
