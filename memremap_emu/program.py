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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from memremap_emu import columns
from memremap_emu.config import Config
from memremap_emu.device import Bio, Device, Driver
from memremap_emu.drivers import BuiltinDriver, PciDriver
from memremap_emu.errors import Blocked, KernelError, KernelPanic, TaskDied, ViolationRecord
from memremap_emu.explore import Exploration, Search
from memremap_emu.explore import Program as Tasks
from memremap_emu.handles import Object
from memremap_emu.kernel import Kernel
from memremap_emu.memory import MemoryType, Page
from memremap_emu.runs import first_device_page
from memremap_emu.trace import Event
from memremap_emu.versions import DEFAULT_VERSION, Selection, select

SCHEMA = 1
#: Tasks of a program, at most.
MAX_TASKS = 8
#: devm actions of a driver of one's own, and steps of one of its lists, at most.
MAX_ACTIONS, MAX_STEPS = 8, 24
#: Pages of a device that a program can name: this many from one in its middle on.
MAX_PAGES = 1 << 15


class ProgramError(ValueError):
    """A program that makes no sense.

    Attributes:
        path: of the element that is wrong, such as ``tasks.user[1]``
        reason: what is wrong with it
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Call:
    """What an operation of programs is made of.

    Attributes:
        kinds: of its arguments: ``device``, ``number``, or a kind of `OBJECTS`
        operation: of the machine
        setup: it can be part of the set-up
        task: it can be part of a task
        pages: it needs a device with struct pages
    """

    kinds: tuple[str, ...]
    operation: str
    setup: bool = True
    task: bool = True
    pages: bool = False


#: Kinds of objects that a program can have of its own.
OBJECTS = ("mutex", "spinlock", "completion", "percpu_ref", "ref_test")
#: Operations of set-up and tasks, by name.
CALLS = {
    "bind": Call(("device",), "bind_store"),
    "unbind": Call(("device",), "unbind_store"),
    "get_page": Call(("device", "number"), "get_page", pages=True),
    "put_page": Call(("device", "number"), "put_page", pages=True),
    "get_dev_pagemap": Call(("device", "number"), "get_dev_pagemap_loop", setup=False, pages=True),
    "watched_lookup": Call(
        ("device", "number"), "get_dev_pagemap_watched", setup=False, pages=True
    ),
    "fault": Call(("device", "number"), "device_private_fault_loop", setup=False, pages=True),
    "use_p2pmem": Call(("device",), "pci_use_p2pmem", setup=False),
    "submit_bio": Call(("device",), "submit_bio", task=False),
    "bio_endio": Call(("device",), "bio_endio", setup=False),
    "mutex_lock": Call(("mutex",), "mutex_lock", setup=False),
    "mutex_unlock": Call(("mutex",), "mutex_unlock", setup=False),
    "spin_lock": Call(("spinlock",), "spin_lock", setup=False),
    "spin_unlock": Call(("spinlock",), "spin_unlock", setup=False),
    "complete": Call(("completion",), "complete"),
    "wait_for_completion": Call(("completion",), "wait_for_completion", setup=False),
    "percpu_ref_get": Call(("percpu_ref",), "percpu_ref_get"),
    "percpu_ref_put": Call(("percpu_ref",), "percpu_ref_put"),
    "percpu_ref_tryget": Call(("percpu_ref",), "percpu_ref_tryget"),
    "percpu_ref_tryget_live": Call(("percpu_ref",), "percpu_ref_tryget_live"),
    "percpu_ref_kill": Call(("percpu_ref",), "percpu_ref_kill_and_confirm"),
    "percpu_ref_exit": Call(("percpu_ref",), "percpu_ref_exit", setup=False),
    "percpu_ref_switch_to_atomic_sync": Call(
        ("percpu_ref",), "percpu_ref_switch_to_atomic_sync", setup=False
    ),
    "ref_test_kill": Call(("ref_test",), "ref_test_kill"),
    "ref_test_use": Call(("ref_test",), "ref_test_use"),
    "rcu_read_lock": Call((), "rcu_read_lock", setup=False),
    "rcu_read_unlock": Call((), "rcu_read_unlock", setup=False),
    "preempt_disable": Call((), "preempt_disable", setup=False),
    "preempt_enable": Call((), "preempt_enable", setup=False),
    "synchronize_rcu": Call((), "synchronize_rcu"),
    "synchronize_sched": Call((), "synchronize_sched"),
    "rcu_barrier": Call((), "rcu_barrier"),
}
#: Steps of a driver of one's own, in the order of the machine's numbers, and what they take.
STEPS = {
    "alloc": "",
    "request_region": "",
    "init_ref": "flags",
    "memremap_pages": "",
    "memunmap_pages": "",
    "add_action": "action",
    "add_action_or_reset": "action",
    "remove_action": "action",
    "release_action": "action",
    "kill": "",
    "get": "",
    "put": "",
    "exit": "",
    "complete": "",
    "wait": "",
    "kzalloc": "bytes",
    "rcu_barrier": "",
    "synchronize_rcu": "",
    "fail": "errno",
    "nothing": "",
}
#: Lists of steps of such a driver besides its actions, in the order of the machine's numbers.
EVENTS = ("probe", "remove", "release", "kill", "cleanup", "page_free")
_MEMORY_STEPS = frozenset(
    {"request_region", "kzalloc", "rcu_barrier", "synchronize_rcu", "fail", "nothing"}
)


@dataclass(frozen=True)
class Operation:
    """One operation: its name and names or numbers; prints as ``"put_page pmem0 0"``."""

    call: str
    args: tuple[str | int, ...] = ()

    @classmethod
    def read(cls, text: str) -> Operation:
        """Reads what `str` gives; ValueError for a number that is none."""
        call, *words = text.split()
        return cls(call, tuple(int(w, 0) if w[0].isdigit() else w for w in words))

    def __str__(self) -> str:
        return " ".join([self.call, *map(str, self.args)])


@dataclass(frozen=True)
class DeviceSpec:
    """A device: see `Program.device`."""

    name: str
    driver: str
    start: int = 0
    size: int = 0
    mode: str = "fsdax"
    altmap: bool = False


@dataclass(frozen=True)
class DriverSpec:
    """A driver of one's own and its device: see `Program.driver`."""

    name: str
    start: int
    size: int
    probe: tuple[Operation, ...]
    remove: tuple[Operation, ...] = ()
    release: tuple[Operation, ...] = ()
    kill: tuple[Operation, ...] = ()
    cleanup: tuple[Operation, ...] = ()
    page_free: tuple[Operation, ...] = ()
    actions: tuple[tuple[str, tuple[Operation, ...]], ...] = ()
    type: str = "plain"

    def lists(self) -> Iterator[tuple[str, int, tuple[Operation, ...]]]:
        """Path, number of the event, and steps of each list."""
        for number, event in enumerate(EVENTS):
            yield event, number, getattr(self, event)
        for number, (name, steps) in enumerate(self.actions):
            yield f"actions.{name}", len(EVENTS) + number, steps


@dataclass(frozen=True)
class TaskSpec:
    """A task: its name, its CPU (None: one of its own, as far as there are), what it does."""

    name: str
    operations: tuple[Operation, ...]
    cpu: int | None = None


def _operations(texts: Sequence[str | Operation], path: str) -> tuple[Operation, ...]:
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(text if isinstance(text, Operation) else Operation.read(text))
        except (ValueError, AttributeError, TypeError):
            raise ProgramError(f"{path}[{number}]", f"not an operation: {text!r}") from None
    return tuple(found)


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
        }
        spec = DriverSpec(
            name,
            start,
            size,
            **{key: _operations(steps, f"{path}.{key}") for key, steps in lists.items()},
            actions=tuple(
                (key, _operations(steps, f"{path}.actions.{key}"))
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
        added = _operations(operations, "setup")
        return replace(self, prepared=(*self.prepared, *added))

    def task(self, name: str, *operations: str | Operation, cpu: int | None = None) -> Program:
        """With another task."""
        spec = TaskSpec(name, _operations(operations, f"tasks.{name}"), cpu)
        return replace(self, tasks=(*self.tasks, spec))

    def __repr__(self) -> str:
        lines = [f"Program({self.version!r}, cpus={self.cpus})"]
        if self.config:
            keys = ", ".join(f"{key}={value}" for key, value in self.config)
            lines.append(f".configured({keys})")
        for start, end, name in self.ranges:
            shown = "" if name == "Persistent Memory" else f", {name!r}"
            lines.append(f".memory({start:#x}, {end:#x}{shown})")
        lines += [f".driver({_driver_arguments(spec)})" for spec in self.drivers]
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

    # --- JSON ---

    def to_json(self, *, indent: int | None = 2) -> str:
        """As text; see docs/programs.md for the schema."""
        return json.dumps(self.document(), indent=indent)

    def document(self) -> dict[str, Any]:
        """As what `json` makes of its text."""
        document: dict[str, Any] = {"schema": SCHEMA, "version": self.version, "cpus": self.cpus}
        if self.config:
            document["config"] = dict(self.config)
        if self.ranges:
            document["memory"] = [[hex(s), hex(e), name] for s, e, name in self.ranges]
        if self.drivers:
            document["drivers"] = {spec.name: _driver_document(spec) for spec in self.drivers}
        if self.devices:
            document["devices"] = {spec.name: _device_document(spec) for spec in self.devices}
        if self.objects:
            document["objects"] = dict(self.objects)
        if self.prepared:
            document["setup"] = [str(o) for o in self.prepared]
        document["tasks"] = {
            task.name: {"do": [str(o) for o in task.operations]}
            | ({} if task.cpu is None else {"cpu": task.cpu})
            for task in self.tasks
        }
        return document

    @classmethod
    def from_json(cls, text: str) -> Program:
        """Reads a program and checks it.

        Raises:
            ProgramError: with the path of what is wrong.
        """
        try:
            document = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as e:
            raise ProgramError("program", f"no JSON: {e}") from None
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Any) -> Program:
        """The same from what `json` made of the text."""
        program = _read(document)
        program.check()
        return program

    # --- checking ---

    def check(self) -> None:
        """Raises ProgramError with the path of what makes no sense."""
        _Checker(self).check()

    # --- running ---

    def boot(self, selection: Selection | None = None) -> Booted:
        """A machine on which the set-up has been done; with ``selection`` of another kernel.

        Raises:
            ProgramError: the program makes no sense, or its set-up fails.
        """
        self.check()
        return Booted(self, selection)

    def explore(self, **options: Any) -> Exploration:
        """Searches its schedules; arguments and errors as of `memremap_emu.explore`'s
        ``Program.explore``, and of `boot`."""
        with self.boot() as booted:
            return booted.tasks().explore(**options)

    def replay(self, schedule: bytes) -> Replayed:
        """Runs one schedule; ScheduleError if it is not one of this program."""
        with self.boot() as booted:
            return booted.replay(schedule)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name twice in one object")
    return found


def _driver_arguments(spec: DriverSpec) -> str:
    words = [repr(spec.name), hex(spec.start), hex(spec.size)]
    for event in EVENTS:
        steps = getattr(spec, event)
        if steps or event == "probe":
            words.append(f"{event}={[str(step) for step in steps]!r}")
    if spec.actions:
        actions = {name: [str(step) for step in steps] for name, steps in spec.actions}
        words.append(f"actions={actions!r}")
    if spec.type != "plain":
        words.append(f"type={spec.type!r}")
    return ", ".join(words)


def _driver_document(spec: DriverSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"start": hex(spec.start), "size": hex(spec.size)}
    for event in EVENTS:
        if steps := getattr(spec, event):
            found[event] = [str(step) for step in steps]
    if spec.actions:
        found["actions"] = {name: [str(s) for s in steps] for name, steps in spec.actions}
    if spec.type != "plain":
        found["type"] = spec.type
    return found


def _device_document(spec: DeviceSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"driver": spec.driver, "size": hex(spec.size)}
    if spec.start:
        found["start"] = hex(spec.start)
    if spec.mode != "fsdax":
        found["mode"] = spec.mode
    if spec.altmap:
        found["altmap"] = True
    return found


# --- reading ---


class _Fields:
    """A JSON object that is read field by field; what is left over is an error."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise ProgramError(path, "not an object")
        self._value = dict(value)
        self._path = path

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def take(self, name: str, kind: type, default: Any = ...) -> Any:
        if name not in self._value:
            if default is ...:
                raise ProgramError(self.path(name), "missing")
            return default
        value = self._value.pop(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ProgramError(self.path(name), f"not of type {kind.__name__}")
        return value

    def number(self, name: str, default: Any = ...) -> int:
        """A number, or its text (hexadecimal, say)."""
        value = self._value.pop(name, default)
        if value is ...:
            raise ProgramError(self.path(name), "missing")
        return _number(value, self.path(name))

    def operations(self, name: str, default: Any = ...) -> tuple[Operation, ...]:
        return _operations(self.take(name, list, default), self.path(name))

    def end(self) -> None:
        if self._value:
            raise ProgramError(self.path(next(iter(self._value))), "unknown")


def _number(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value, 0)
    except (TypeError, ValueError):
        raise ProgramError(path, f"not a number: {value!r}") from None


def _read(document: Any) -> Program:
    top = _Fields(document, "")
    if top.take("schema", int) != SCHEMA:
        raise ProgramError("schema", f"not {SCHEMA}")
    ranges = []
    for number, entry in enumerate(top.take("memory", list, [])):
        path = f"memory[{number}]"
        if not isinstance(entry, list) or len(entry) != 3 or not isinstance(entry[2], str):
            raise ProgramError(path, "not [start, end, name]")
        ranges.append((_number(entry[0], path), _number(entry[1], path), entry[2]))
    program = Program(
        top.take("version", str, DEFAULT_VERSION),
        top.take("cpus", int, 2),
        tuple(top.take("config", dict, {}).items()),
        tuple(ranges),
        tuple(_read_driver(n, v) for n, v in top.take("drivers", dict, {}).items()),
        tuple(_read_device(n, v) for n, v in top.take("devices", dict, {}).items()),
        tuple(top.take("objects", dict, {}).items()),
        top.operations("setup", []),
        tuple(_read_task(n, v) for n, v in top.take("tasks", dict).items()),
    )
    top.end()
    return program


def _read_driver(name: str, value: Any) -> DriverSpec:
    path = f"drivers.{name}"
    f = _Fields(value, path)
    spec = DriverSpec(
        name,
        f.number("start"),
        f.number("size"),
        **{event: f.operations(event, ... if event == "probe" else []) for event in EVENTS},
        actions=tuple(
            (key, _operations(steps, f"{path}.actions.{key}"))
            for key, steps in f.take("actions", dict, {}).items()
        ),
        type=f.take("type", str, "plain"),
    )
    f.end()
    return spec


def _read_device(name: str, value: Any) -> DeviceSpec:
    f = _Fields(value, f"devices.{name}")
    spec = DeviceSpec(
        name,
        f.take("driver", str),
        f.number("start", 0),
        f.number("size"),
        f.take("mode", str, "fsdax"),
        f.take("altmap", bool, False),
    )
    f.end()
    return spec


def _read_task(name: str, value: Any) -> TaskSpec:
    f = _Fields(value, f"tasks.{name}")
    spec = TaskSpec(name, f.operations("do"), f.take("cpu", int, None))
    f.end()
    return spec


# --- checking ---


class _Checker:
    """Looks at each element of a program once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._names: dict[str, str] = {}

    def check(self) -> None:
        p = self._program
        try:
            select(p.version)
        except ValueError as e:
            raise ProgramError("version", str(e)) from None
        if not isinstance(p.cpus, int) or not 1 <= p.cpus <= 64:
            raise ProgramError("cpus", "must be 1 to 64")
        known = [field.name for field in fields(Config)]
        for key, _ in p.config:
            if key not in known:
                raise ProgramError(f"config.{key}", f"unknown; known: {', '.join(known)}")
        try:
            _config(p)
        except (TypeError, ValueError) as e:
            raise ProgramError("config", str(e)) from None
        for number, (start, end, _) in enumerate(p.ranges):
            if not 0 <= start <= end < 1 << 64:
                raise ProgramError(f"memory[{number}]", "ends before it starts")
        for spec in p.drivers:
            self._own_driver(spec)
        for device in p.devices:
            self._device(device)
        for name, kind in p.objects:
            if kind not in OBJECTS:
                raise ProgramError(f"objects.{name}", f"no kind of object: {kind!r}")
            self._name(name, kind, f"objects.{name}")
        for number, operation in enumerate(p.prepared):
            self._operation(operation, f"setup[{number}]", setup=True)
        if not 1 <= len(p.tasks) <= MAX_TASKS:
            raise ProgramError("tasks", f"must be 1 to {MAX_TASKS}")
        seen = set()
        for task in p.tasks:
            path = f"tasks.{task.name}"
            if task.name in seen:
                raise ProgramError(path, "the name is taken")
            seen.add(task.name)
            if not 1 <= len(task.name.encode()) <= 15 or not task.name.isprintable():
                raise ProgramError(path, "a name has 1 to 15 bytes that can be printed")
            if task.cpu is not None and not 0 <= task.cpu < p.cpus:
                raise ProgramError(f"{path}.cpu", f"must be 0 to {p.cpus - 1}")
            for number, operation in enumerate(task.operations):
                self._operation(operation, f"{path}.do[{number}]", setup=False)

    def _name(self, name: str, kind: str, path: str) -> None:
        if not name or not name[0].isalpha() or len(name) > 32 or not name.isascii():
            raise ProgramError(path, "a name begins with a letter and has up to 32 characters")
        if any(c.isspace() or not c.isprintable() or c == "/" for c in name):
            raise ProgramError(path, "a name has no blanks and no slash")
        if name in self._names:
            raise ProgramError(path, "the name is taken")
        self._names[name] = kind

    def _range(self, start: int, size: int, path: str) -> None:
        if not 0 <= start < 1 << 52 or not 0 < size <= 1 << 46:
            raise ProgramError(path, "no such range: start below 2^52, size 1 to 2^46")

    def _device(self, spec: DeviceSpec) -> None:
        path = f"devices.{spec.name}"
        self._name(spec.name, "device", path)
        builtin = (*BuiltinDriver._BUILTIN, *PciDriver._BUILTIN)
        if spec.driver not in builtin:
            raise ProgramError(f"{path}.driver", f"no driver; known: {', '.join(builtin)}")
        modes = ("raw", "memory", "fsdax") if spec.driver == "pmem" else ("fsdax",)
        if spec.mode not in modes:
            raise ProgramError(f"{path}.mode", f"no mode; known: {', '.join(modes)}")
        self._range(spec.start, spec.size, path)

    def _own_driver(self, spec: DriverSpec) -> None:
        path = f"drivers.{spec.name}"
        self._name(spec.name, "device", path)
        self._range(spec.start, spec.size, path)
        if spec.type.upper() not in MemoryType.__members__:
            known = ", ".join(name.lower() for name in MemoryType.__members__)
            raise ProgramError(f"{path}.type", f"no type of memory; known: {known}")
        if len(spec.actions) > MAX_ACTIONS:
            raise ProgramError(f"{path}.actions", f"more than {MAX_ACTIONS}")
        if len({name for name, _ in spec.actions}) != len(spec.actions):
            raise ProgramError(f"{path}.actions", "a name twice")
        allocated = False
        for event, _, steps in spec.lists():
            if len(steps) > MAX_STEPS:
                raise ProgramError(f"{path}.{event}", f"more than {MAX_STEPS} steps")
            for number, step in enumerate(steps):
                here = f"{path}.{event}[{number}]"
                self._step(spec, step, here)
                if step.call == "alloc":
                    if allocated or event != "probe":
                        raise ProgramError(here, "alloc is for probe, once")
                    allocated = True
                elif not allocated and step.call not in _MEMORY_STEPS:
                    raise ProgramError(here, f"{step.call} needs what alloc makes")

    def _step(self, spec: DriverSpec, step: Operation, path: str) -> None:
        takes = STEPS.get(step.call)
        if takes is None:
            raise ProgramError(path, f"no step {step.call!r}; known: {', '.join(STEPS)}")
        least, most = {"": (0, 0), "flags": (0, 1)}.get(takes, (1, 1))
        if not least <= len(step.args) <= most:
            raise ProgramError(path, f"{step.call} takes {takes or 'nothing'}")
        for arg in step.args:
            limits = {"flags": (0, 3), "bytes": (1, 1 << 20), "errno": (1, 4095)}.get(takes)
            if limits and not (isinstance(arg, int) and limits[0] <= arg <= limits[1]):
                raise ProgramError(path, f"{takes} must be {limits[0]} to {limits[1]}")
            if takes == "action" and arg not in dict(spec.actions):
                raise ProgramError(path, f"no action {arg!r}")

    def _operation(self, operation: Operation, path: str, *, setup: bool) -> None:
        call = CALLS.get(operation.call)
        if call is None:
            known = ", ".join(n for n, c in CALLS.items() if (c.setup if setup else c.task))
            raise ProgramError(path, f"no operation {operation.call!r}; known: {known}")
        if not (call.setup if setup else call.task):
            where = "tasks" if setup else "the set-up"
            raise ProgramError(path, f"{operation.call} is for {where}")
        if len(operation.args) != len(call.kinds):
            raise ProgramError(path, f"{operation.call} takes {' '.join(call.kinds) or 'nothing'}")
        for arg, kind in zip(operation.args, call.kinds, strict=True):
            if kind == "number":
                if not isinstance(arg, int) or not 0 <= arg < MAX_PAGES:
                    raise ProgramError(path, f"pages are 0 to {MAX_PAGES - 1}")
            elif not isinstance(arg, str) or arg not in self._names:
                raise ProgramError(path, f"nothing is called {arg!r}")
            elif self._names[arg] != kind:
                raise ProgramError(path, f"{arg} is no {kind}")


# --- running ---


def _config(program: Program) -> Config:
    keys: dict[str, Any] = dict(program.config)
    return Config(**keys)


@dataclass(frozen=True)
class Replayed:
    """What one schedule of a program gave.

    Attributes:
        violations: what it broke
        log: of the kernel, since the tasks began
        columns: what each task did when
        events: all that was recorded
    """

    violations: tuple[ViolationRecord, ...]
    log: tuple[str, ...]
    columns: str
    events: tuple[Event, ...] = ()


class Booted:
    """A machine on which a program has been set up, and its objects by name."""

    def __init__(self, program: Program, selection: Selection | None = None) -> None:
        self.program = program
        selection = selection or select(program.version)
        self.kernel = Kernel.select(
            selection,
            cpus=program.cpus,
            config=_config(program),
            on_violation="record",
            trace=False,
        )
        self._bound: dict[str, tuple[Driver, Device]] = {}
        self._objects: dict[str, Object] = {}
        self._first: dict[str, int] = {}
        self._bios: dict[str, Bio] = {}
        try:
            self._set_up()
        except BaseException:
            self.kernel.close()
            raise

    def close(self) -> None:
        """Destroys the machine."""
        self.kernel.close()

    def __enter__(self) -> Booted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- set-up ---

    def _set_up(self) -> None:
        k, p = self.kernel, self.program
        for start, end, name in p.ranges:
            try:
                k.iomem.add(start, end, name)
            except (KernelError, ValueError) as e:
                number = p.ranges.index((start, end, name))
                raise ProgramError(f"memory[{number}]", str(e).splitlines()[0]) from None
        for driver in p.drivers:
            self._bound[driver.name] = self._own(driver)
        for spec in p.devices:
            try:
                self._bound[spec.name] = self._builtin(spec)
            except (KernelError, ValueError) as e:
                raise ProgramError(f"devices.{spec.name}", str(e).splitlines()[0]) from None
        makers: dict[str, Callable[[str], Object]] = {
            "mutex": k.mutex,
            "spinlock": k.spinlock,
            "completion": k.completion,
            "percpu_ref": lambda name: k.percpu_ref(name=name),
            "ref_test": lambda name: k.ref_test(),
        }
        for name, kind in p.objects:
            self._objects[name] = makers[kind](name)
        self._find_pages()
        for number, operation in enumerate(p.prepared):
            try:
                self._prepare(operation)
            except (KernelError, ValueError, Blocked, TaskDied, KernelPanic) as e:
                raise ProgramError(f"setup[{number}]", str(e).splitlines()[0]) from None
        if k.violations:
            raise ProgramError("setup", f"breaks a rule by itself: {k.violations[0]}")

    def _builtin(self, spec: DeviceSpec) -> tuple[Driver, Device]:
        made = self.kernel.driver(spec.driver, mode=spec.mode, altmap=spec.altmap)
        if spec.driver == "hmm":
            return made.driver, made.device(size=spec.size)
        return made.driver, made.device(spec.start, spec.size)

    def _own(self, spec: DriverSpec) -> tuple[Driver, Device]:
        k, native = self.kernel, self.kernel._native
        handle = native.call(
            "listed_driver_new",
            native.intern(spec.name),
            spec.start,
            spec.start + spec.size - 1,
            MemoryType[spec.type.upper()],
        )
        driver = Driver(k, handle)
        actions = [name for name, _ in spec.actions]
        numbers = list(STEPS)
        for _, event, steps in spec.lists():
            for step in steps:
                arg = step.args[0] if step.args else 0
                number = actions.index(arg) if isinstance(arg, str) else arg
                driver._call("listed_driver_step", event, numbers.index(step.call), number)
        driver.register()
        k.autoprobe(False)
        device = k.device(f"{spec.name}.0")
        k.autoprobe(True)
        return driver, device

    def _find_pages(self) -> None:
        """Where the pages are that operations name: the device is bound once, by itself."""
        p = self.program
        operations = [*p.prepared, *(o for task in p.tasks for o in task.operations)]
        named = {str(o.args[0]): o for o in operations if CALLS[o.call].pages}
        for name in named:
            fresh = self.kernel.snapshot()
            driver, device = self._bound[name]
            try:
                driver.bind(device)
                self._first[name] = self._first_page(name)
            except (KernelError, Blocked, TaskDied, KernelPanic) as e:
                raise ProgramError(
                    f"devices.{name}", f"does not bind: {str(e).splitlines()[0]}"
                ) from None
            finally:
                fresh.restore()
                fresh.drop()

    def _first_page(self, name: str) -> int:
        k, p = self.kernel, self.program
        specs: list[DeviceSpec | DriverSpec] = [*p.devices, *p.drivers]
        spec = next(spec for spec in specs if spec.name == name)
        start, size = spec.start, spec.size
        if isinstance(spec, DeviceSpec) and spec.driver == "hmm":
            devmem = PciDriver(k, "hmm").devmem(self._bound[name][1])
            start = devmem.pfn_first << k.config.page_shift
        pfn = first_device_page(k, start, size)
        if pfn is None:
            raise ProgramError(f"devices.{name}", "has no struct pages of its own")
        return pfn

    def _pfn(self, operation: Operation) -> int:
        name, number = operation.args
        return self._first[str(name)] + int(number)

    def _prepare(self, operation: Operation) -> None:
        if CALLS[operation.call].kinds[:1] == ("device",):
            name = str(operation.args[0])
            driver, device = self._bound[name]
            if operation.call == "bind":
                driver.bind(device)
            elif operation.call == "unbind":
                driver.unbind(device)
            elif operation.call == "submit_bio":
                self._bios[name] = device.submit_bio(0, 4096, write=True)
            else:
                page = Page(self.kernel, self._pfn(operation))
                page.get() if operation.call == "get_page" else page.put()
            return
        number, args = self._machine_call(operation)
        self.kernel._native.call(number, *args)

    def _machine_call(self, operation: Operation) -> tuple[str, list[int]]:
        """Operation of the machine and its arguments."""
        call = CALLS[operation.call]
        args: list[int] = []
        match operation.call:
            case "bind" | "unbind":
                driver, device = self._bound[str(operation.args[0])]
                args = [
                    driver._handle,
                    self.kernel._native.intern(device.name),
                    device._handle,
                ]
            case "get_page" | "put_page" | "watched_lookup":
                args = [self._pfn(operation)]
            case "get_dev_pagemap":
                args = [self._pfn(operation), 1, 1]
            case "fault":
                args = [self._pfn(operation), 1]
            case "use_p2pmem":
                args = [self._bound[str(operation.args[0])][1]._handle, 1]
            case "bio_endio":
                args = [self._bios[str(operation.args[0])]._handle]
            case "percpu_ref_kill":
                args = [self._objects[str(operation.args[0])]._handle, 0]
            case _:
                args = [self._objects[str(arg)]._handle for arg in operation.args]
        return call.operation, args

    # --- tasks ---

    def tasks(self) -> Tasks:
        """The tasks, ready to be explored from the state that the machine is in.

        Raises:
            ProgramError: an I/O ends that was not begun.
        """
        tasks = Tasks(self.kernel)
        for spec in self.program.tasks:
            task = tasks.task(spec.name, cpu=spec.cpu)
            for number, operation in enumerate(spec.operations):
                try:
                    call, args = self._machine_call(operation)
                except KeyError:
                    raise ProgramError(
                        f"tasks.{spec.name}.do[{number}]", "no I/O of this device is in flight"
                    ) from None
                task.call(call, *args)
        return tasks

    def search(self, **options: Any) -> Search:
        """A search that runs piece by piece."""
        return self.tasks().search(**options)

    def replay(self, schedule: bytes) -> Replayed:
        """Runs one schedule; the machine is left in the state that it leads to."""
        k, trace = self.kernel, self.kernel.trace
        tasks = self.tasks()
        first, position = len(k.dmesg), trace.position
        trace.enable()
        try:
            found = tasks.explore(schedule=schedule, check_quiescence=True)
            events = trace.events(position)
        finally:
            trace.enable(False)
        broken = [f"{f.record.kind}: {f.record.message}" for f in found.found]
        shown = columns.render(events, [task.name for task in self.program.tasks], broken)
        return Replayed(
            tuple(f.record for f in found.found), tuple(k.dmesg[first:]), shown, tuple(events)
        )
