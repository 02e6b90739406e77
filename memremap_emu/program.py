# SPDX-License-Identifier: GPL-2.0-only
"""Programs: what is set up and what several tasks do then, as data.

A `Program` prints as the code that builds it, compares, hashes, goes to JSON and back, and is
refused before it runs if it makes no sense::

    Program("memremap-v6", cpus=2)
        .memory(0x140000000, 0x147ffffff)
        .device("pmem0", "dax_pmem", 0x140000000, 0x8000000)
        .setup("bind pmem0", "get_page pmem0 0")
        .task("unbind", "unbind pmem0")
        .task("user", "put_page pmem0 0")
        .explore()

A driver can be one of the kernel's or one's own: lists of steps for probe, remove, each devm
action and each callback, see `Program.driver`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from memremap_emu import interrupts, program_json
from memremap_emu.booted import Booted, Replayed
from memremap_emu.config import Config
from memremap_emu.exploration import Exploration, Interrupted, Options
from memremap_emu.operations import (
    DeviceSpec,
    DriverSpec,
    Operation,
    ProgramError,
    TaskSpec,
    read_operations,
)
from memremap_emu.parallel import SharedSearch
from memremap_emu.program_check import Checker
from memremap_emu.search import check_position
from memremap_emu.versions import DEFAULT_VERSION, Selection
from memremap_emu.workers import workers

if TYPE_CHECKING:
    from typing import Unpack


@dataclass(frozen=True, repr=False)
class Program:
    """What is set up and what tasks do then; each method gives a program with one thing more.

    Attributes:
        version: of the kernel, as `Kernel.select` takes it
        cpus: how many
        config: what differs from the default configuration: key and value
        ranges: memory map: start, end, name
        drivers: of one's own
        devices: of the kernel's drivers
        objects: name and kind
        prepared: operations of the set-up, one after the other
        tasks: what happens at the same time after that
    """

    version: str = DEFAULT_VERSION
    cpus: int = 2
    config: tuple[tuple[str, int | bool], ...] = ()
    ranges: tuple[tuple[int, int, str], ...] = ()
    drivers: tuple[DriverSpec, ...] = ()
    devices: tuple[DeviceSpec, ...] = ()
    objects: tuple[tuple[str, str], ...] = ()
    prepared: tuple[Operation, ...] = ()
    tasks: tuple[TaskSpec, ...] = ()

    # --- building ---

    def of(self, version: str) -> Program:
        """The same on another kernel."""
        return replace(self, version=version)

    def configuration(self) -> Config:
        """That of the kernel; ValueError for keys that do not go together."""
        keys: dict[str, Any] = dict(self.config)
        return Config(**keys)

    def configured(self, **keys: int | bool) -> Program:
        """With these keys of `Config`."""
        return replace(self, config=tuple({**dict(self.config), **keys}.items()))

    def memory(self, start: int, end: int, name: str = "Persistent Memory") -> Program:
        """With [start, end] in the memory map."""
        return replace(self, ranges=(*self.ranges, (start, end, name)))

    def device(
        self,
        name: str,
        driver: str,
        start: int = 0,
        size: int = 0,
        *,
        mode: str = "fsdax",
        altmap: bool = False,
    ) -> Program:
        """With a device for ``pmem``, ``dax_pmem``, ``hmm`` (no ``start``), ``hmm_public`` or
        ``p2pdma``, not bound yet; arguments as of `Kernel.driver` and of its devices."""
        return replace(
            self, devices=(*self.devices, DeviceSpec(name, driver, start, size, mode, altmap))
        )

    def driver(
        self,
        name: str,
        start: int,
        size: int,
        *,
        probe: Sequence[str | Operation],
        remove: Sequence[str | Operation] = (),
        release: Sequence[str | Operation] = (),
        kill: Sequence[str | Operation] = (),
        cleanup: Sequence[str | Operation] = (),
        page_free: Sequence[str | Operation] = (),
        map_failed: Sequence[str | Operation] = (),
        fault: Sequence[str | Operation] = (),
        actions: Mapping[str, Sequence[str | Operation]] | None = None,
        type: str = "plain",
    ) -> Program:
        """With a driver of one's own and a device of its, which has the driver's name.

        The steps of its lists are those of `STEPS`: ``alloc`` (devm_kzalloc() of what it has: a
        percpu_ref, a completion, a pagemap over the range), ``request_region``, ``init_ref
        [flags]``, ``memremap_pages``, ``add_action NAME`` and the like, ``kill``, ``put``,
        ``exit`` of the ref, ``complete``, ``wait``, ``fail ERRNO``.  One that fails ends its
        list, and probe returns its error.

        Args:
            name: of driver and device
            start: first address of the device's memory
            size: bytes
            probe: when it is bound
            remove: when it is unbound, before what is managed goes
            release: when the ref comes to zero
            kill: callback of the pagemap (from ``shutdown`` on)
            cleanup: the other one (from ``final-put`` on)
            page_free: when a page is nobody's
            map_failed: when ``memremap_pages`` fails, before the list that it is in ends
            fault: when the CPU touches a private page; a step that fails is a SIGBUS
            actions: lists that ``add_action`` names
            type: of the memory: ``plain``, ``private``, ``public``, ``fs_dax``, ``pci_p2pdma``
        """
        path = f"drivers.{name}"
        lists = {
            "probe": probe,
            "remove": remove,
            "release": release,
            "kill": kill,
            "cleanup": cleanup,
            "page_free": page_free,
            "map_failed": map_failed,
            "fault": fault,
        }
        spec = DriverSpec(
            name,
            start,
            size,
            **{key: read_operations(steps, f"{path}.{key}") for key, steps in lists.items()},
            actions=tuple(
                (key, read_operations(steps, f"{path}.actions.{key}"))
                for key, steps in (actions or {}).items()
            ),
            type=type,
        )
        return replace(self, drivers=(*self.drivers, spec))

    def object(self, name: str, kind: str) -> Program:
        """With an object of its own, of a kind of `OBJECTS`."""
        return replace(self, objects=(*self.objects, (name, kind)))

    def setup(self, *operations: str | Operation) -> Program:
        """With these operations before the tasks begin."""
        added = read_operations(operations, "setup")
        return replace(self, prepared=(*self.prepared, *added))

    def task(self, name: str, *operations: str | Operation, cpu: int | None = None) -> Program:
        """With another task."""
        spec = TaskSpec(name, read_operations(operations, f"tasks.{name}"), cpu)
        return replace(self, tasks=(*self.tasks, spec))

    def __repr__(self) -> str:
        lines = [f"Program({self.version!r}, cpus={self.cpus})"]
        if self.config:
            keys = ", ".join(f"{key}={value}" for key, value in self.config)
            lines.append(f".configured({keys})")
        for start, end, name in self.ranges:
            shown = "" if name == "Persistent Memory" else f", {name!r}"
            lines.append(f".memory({start:#x}, {end:#x}{shown})")
        lines += [f".driver({spec.arguments()})" for spec in self.drivers]
        for device in self.devices:
            shown = f"{device.name!r}, {device.driver!r}, {device.start:#x}, {device.size:#x}"
            if device.mode != "fsdax":
                shown += f", mode={device.mode!r}"
            if device.altmap:
                shown += ", altmap=True"
            lines.append(f".device({shown})")
        lines += [f".object({name!r}, {kind!r})" for name, kind in self.objects]
        if self.prepared:
            lines.append(f".setup({', '.join(repr(str(o)) for o in self.prepared)})")
        for task in self.tasks:
            words = [repr(task.name), *(repr(str(o)) for o in task.operations)]
            if task.cpu is not None:
                words.append(f"cpu={task.cpu}")
            lines.append(f".task({', '.join(words)})")
        return "(\n    " + "\n    ".join(lines) + "\n)"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same for IPython and for examples of Hypothesis, which would show the fields."""
        for number, line in enumerate(repr(self).splitlines()):
            if number:
                printer.break_()
            printer.text(line)

    # --- JSON ---

    def to_json(self, *, indent: int | None = 2) -> str:
        """As text; see docs/programs.md for the schema."""
        return json.dumps(self.document(), indent=indent)

    def document(self) -> dict[str, Any]:
        """As what `json` makes of its text."""
        return program_json.document(self)

    @classmethod
    def from_json(cls, text: str) -> Program:
        """Reads a program and checks it.

        Raises:
            ProgramError: with the path of what is wrong.
        """
        try:
            document = json.loads(text, object_pairs_hook=program_json.once)
        except (ValueError, RecursionError) as e:
            raise ProgramError("program", f"no JSON: {e}") from None
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Any) -> Program:
        """The same from what `json` made of the text."""
        program = cls(**program_json.read(document))
        program.check()
        return program

    # --- checking ---

    def check(self) -> None:
        """Raises ProgramError with the path of what makes no sense."""
        Checker(self).check()

    # --- running ---

    def boot(self, selection: Selection | None = None) -> Booted:
        """A machine on which the set-up has been done; with ``selection`` of another kernel.

        Raises:
            ProgramError: the program makes no sense, or its set-up fails.
        """
        self.check()
        return Booted(self, selection)

    def explore(
        self, *, jobs: int = 1, scheduler: str | None = None, **options: Unpack[Options]
    ) -> Exploration:
        """Searches its schedules; other arguments and errors as of `memremap_emu.explore`'s
        ``Program.explore``, and of `boot`.

        Args:
            jobs: processes that share the search; the result does not depend on it
            scheduler: address of a Dask scheduler whose workers share it instead

        Raises:
            ValueError: no process; with several, a strategy that samples or caches states.
            WorkerError: a process is gone, or there is no scheduler.
        """
        if jobs < 1:
            raise ValueError(f"jobs is {jobs}: must be 1 or more")
        if jobs > 1 or scheduler is not None:
            with self.shared(jobs, scheduler, **options) as search:
                try:
                    with interrupts.held():
                        search.run()
                except KeyboardInterrupt:
                    if not search.begun:
                        raise
                    raise Interrupted(search.result) from None
                return search.result
        with self.boot() as booted:
            return booted.tasks().explore(**options)

    @contextmanager
    def shared(
        self, jobs: int, scheduler: str | None = None, **options: Unpack[Options]
    ) -> Iterator[SharedSearch]:
        """A search by several processes, to be run piece by piece; arguments as of `explore`."""
        self.check()
        check_position(options)
        with workers(jobs, scheduler) as them:
            yield SharedSearch(self, them, **options)

    def replay(self, schedule: bytes) -> Replayed:
        """Runs one schedule; ScheduleError if it is not one of this program."""
        with self.boot() as booted:
            return booted.replay(schedule)
