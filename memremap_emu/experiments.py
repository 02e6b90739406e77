# SPDX-License-Identifier: GPL-2.0-only
"""What `check` does: drivers, modes, programs, and one experiment as a value.

An `Experiment` says everything that is needed to run it again: the version, the part of the
memory map that matters, driver, mode and range, the program, and which calls fail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Mode:
    """One way in which a driver uses a range.

    Attributes:
        driver: name for `Kernel.driver`
        name: what reports call it
        namespace: ``mode`` of `Kernel.driver`
        altmap: the struct pages are kept on the device
        pages: the range gets struct pages
        queue: the driver has a block queue
        memory: what it drives: ``"pmem"``, or memory of a PCI function: ``"private"`` (no
            address, one is found), ``"coherent"`` (BAR 0, in free space), ``"bar"`` (a BAR that
            the map shows)
    """

    driver: str
    name: str
    namespace: str = "fsdax"
    altmap: bool = False
    pages: bool = True
    queue: bool = True
    memory: str = "pmem"


#: The drivers of persistent memory.
MODES = (
    Mode("pmem", "raw", namespace="raw", pages=False),
    Mode("pmem", "memory", namespace="memory"),
    Mode("pmem", "fsdax"),
    Mode("pmem", "fsdax-altmap", altmap=True),
    Mode("dax_pmem", "plain", queue=False),
    Mode("dax_pmem", "altmap", altmap=True, queue=False),
)
DRIVERS = tuple(dict.fromkeys(mode.driver for mode in MODES))
#: Drivers of other memory, checked when they are asked for.
OTHER_MODES = (
    Mode("hmm", "private", queue=False, memory="private"),
    Mode("hmm_public", "coherent", queue=False, memory="coherent"),
    Mode("p2pdma", "bar", queue=False, memory="bar"),
)
ALL_MODES = (*MODES, *OTHER_MODES)
ALL_DRIVERS = tuple(dict.fromkeys(mode.driver for mode in ALL_MODES))


@dataclass(frozen=True)
class Program:
    """What is done with one device, in order.

    Attributes:
        name: what reports call it
        operations: names of operations of `memremap_emu.runs.Run`
        faults: is it also run with failing calls?
        second: a second device, on other memory, is bound all the while
        pages: it needs struct pages
        queue: it needs a block queue
        memory: it needs memory of this kind, empty: any
        tasks: what is done at the same time after that, over all schedules: a name and operations
            of `memremap_emu.interleavings.Race` for each task; none: it is all one task
        section: two devices share a section, each with half of it
    """

    name: str
    operations: tuple[str, ...]
    faults: bool = False
    second: bool = False
    pages: bool = False
    queue: bool = False
    memory: str = ""
    tasks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    section: bool = False

    def fits(self, mode: Mode) -> bool:
        """Can a device in this mode be taken through it?"""
        return (
            (mode.pages or not self.pages)
            and (mode.queue or not self.queue)
            and (not self.memory or mode.memory == self.memory)
            # Private memory goes where it is put, to sections of its own.
            and not (self.section and mode.memory in ("private", "coherent"))
        )


_LIFE = ("bind", "use", "unbind", "bind", "use", "unbind")


def _held(name: str, hold: str, drop: str, *, pages: bool = False, queue: bool = False) -> Program:
    operations = ("bind", hold, "unbind", drop, "bind", "unbind")
    return Program(name, operations, pages=pages, queue=queue)


PROGRAMS = (
    Program("bind-use-unbind-rebind", _LIFE, faults=True),
    Program("beside-second-device", _LIFE, faults=True, second=True),
    _held("page-held", "get_page", "put_page", pages=True),
    _held("pagemap-held", "get_dev_pagemap", "put_dev_pagemap", pages=True),
    _held("io-in-flight", "submit_bio", "bio_endio", queue=True),
)


_REBIND = ("unbind", "bind", "unbind")


def _race(
    name: str,
    operations: tuple[str, ...],
    *tasks: tuple[str, ...],
    faults: bool = False,
    pages: bool = True,
    queue: bool = False,
    memory: str = "",
    section: bool = False,
) -> Program:
    named = tuple((operations[0], operations) for operations in tasks)
    return Program(
        name,
        operations,
        faults=faults,
        pages=pages,
        queue=queue,
        memory=memory,
        tasks=named,
        section=section,
    )


#: What is explored over all schedules.
RACES = (
    _race("unbind-put_page", ("bind", "get_page"), ("unbind",), ("put_page",)),
    _race("rebind-put_page", ("bind", "get_page"), _REBIND, ("put_page",)),
    _race("unbind-lookup", ("bind",), ("unbind",), ("lookup",)),
    _race("rebind-lookup", ("bind",), _REBIND, ("lookup",)),
    _race("unbind-put_page-lookup", ("bind", "get_page"), ("unbind",), ("put_page",), ("lookup",)),
    _race(
        "unbind-bio_endio",
        ("bind", "submit_bio"),
        ("unbind",),
        ("bio_endio",),
        pages=False,
        queue=True,
    ),
    _race(
        "unbind-fault",
        ("bind", "get_page"),
        ("unbind",),
        ("fault", "put_page"),
        memory="private",
    ),
    _race("unbind-p2pmem", ("bind",), ("unbind",), ("use_p2pmem",), memory="bar"),
    _race("probe-lookup", (), ("bind", "unbind"), ("lookup",), faults=True),
    _race(
        "unbind-bind-same-section",
        ("bind",),
        ("unbind",),
        ("bind_second", "unbind_second"),
        section=True,
    ),
    _race(
        "probe-probe-same-section",
        (),
        ("bind", "unbind"),
        ("bind_second", "unbind_second"),
        section=True,
        faults=True,
    ),
)
EVERY_PROGRAM = (*PROGRAMS, *RACES)


def mode_named(driver: str, name: str) -> Mode:
    """The mode of that driver and name; KeyError if there is none."""
    for mode in ALL_MODES:
        if (mode.driver, mode.name) == (driver, name):
            return mode
    raise KeyError(f"{driver} {name}")


def program_named(name: str) -> Program:
    """The program of that name; KeyError if there is none."""
    for program in EVERY_PROGRAM:
        if program.name == name:
            return program
    raise KeyError(name)


@dataclass(frozen=True)
class Setup:
    """A machine and a device on it, not bound yet.

    Attributes:
        version: of the kernel
        iomem: the memory map that it boots with
        mode: driver and mode
        start: first address of the device's range
        end: last address, inclusive
        second: first address of the second device's section, None if there is no room for one
    """

    version: str
    iomem: str
    mode: Mode
    start: int
    end: int
    second: int | None = None

    @property
    def range(self) -> str:
        """The range as ``/proc/iomem`` writes it."""
        return f"{self.start:08x}-{self.end:08x}"


@dataclass(frozen=True)
class Experiment:
    """One execution: a set-up, a program, and the fallible calls that fail.

    Attributes:
        setup: machine and device
        program: what is done
        faults: numbers of the calls that fail, counted from 1 over the whole program, ascending;
            where tasks race, over all that these do
        schedule: where tasks race: process of each step
    """

    setup: Setup
    program: Program
    faults: tuple[int, ...] = ()
    schedule: bytes = b""

    def with_faults(self, *faults: int) -> Experiment:
        """The same with these calls failing."""
        return replace(self, faults=faults)
