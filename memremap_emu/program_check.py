# SPDX-License-Identifier: GPL-2.0-only
"""Programs are refused before they run, with the path of what makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memremap_emu.config import CPUS, keys
from memremap_emu.drivers import BuiltinDriver, PciDriver
from memremap_emu.memory import MemoryType
from memremap_emu.operations import (
    CALLS,
    MAX_ACTIONS,
    MAX_PAGES,
    MAX_STEPS,
    MAX_TASKS,
    MEMORY_STEPS,
    OBJECTS,
    STEPS,
    DeviceSpec,
    DriverSpec,
    Operation,
    ProgramError,
    TaskSpec,
)
from memremap_emu.versions import select

if TYPE_CHECKING:
    from memremap_emu.program import Program


#: What ends a section of the task that runs it, and what begins one.
_SECTIONS = {"rcu_read_unlock": "rcu_read_lock", "preempt_enable": "preempt_disable"}


class Checker:
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
        try:
            CPUS.check(p.cpus, "")
        except (TypeError, ValueError) as e:
            raise ProgramError("cpus", str(e)) from None
        for name, value in p.config:
            if name not in keys():
                raise ProgramError(f"config.{name}", f"unknown; known: {', '.join(keys())}")
            try:
                keys()[name].check(value, "")
            except (TypeError, ValueError) as e:
                raise ProgramError(f"config.{name}", str(e)) from None
        try:
            p.configuration()
        except ValueError as e:
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
            # Half of a surrogate pair, which JSON can have, is not printable.
            if not task.name.isprintable() or not 1 <= len(task.name.encode()) <= 15:
                raise ProgramError(path, "a name has 1 to 15 bytes that can be printed")
            if task.cpu is not None and not 0 <= task.cpu < p.cpus:
                raise ProgramError(f"{path}.cpu", f"must be 0 to {p.cpus - 1}")
            for number, operation in enumerate(task.operations):
                self._operation(operation, f"{path}.do[{number}]", setup=False)
            self._sections(task, path)

    def _sections(self, task: TaskSpec, path: str) -> None:
        """What ends a section is for a task that has begun one."""
        open_ones = dict.fromkeys(_SECTIONS.values(), 0)
        for number, operation in enumerate(task.operations):
            if operation.call in open_ones:
                open_ones[operation.call] += 1
            elif beginning := _SECTIONS.get(operation.call):
                if not open_ones[beginning]:
                    raise ProgramError(f"{path}.do[{number}]", f"no {beginning} before it")
                open_ones[beginning] -= 1

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
        if spec.altmap and spec.driver not in BuiltinDriver._BUILTIN:
            raise ProgramError(f"{path}.altmap", f"{spec.driver} has none")
        if spec.start and spec.driver == "hmm":
            raise ProgramError(f"{path}.start", "private memory goes where there is room")
        self._range(spec.start, spec.size, path)

    def _is_of(self, name: str | int, driver: str) -> bool:
        return any(spec.name == name and spec.driver == driver for spec in self._program.devices)

    def _has_private_memory(self, name: str | int) -> bool:
        return self._is_of(name, "hmm") or any(
            spec.name == name and spec.type == "private" for spec in self._program.drivers
        )

    def _own_driver(self, spec: DriverSpec) -> None:
        path = f"drivers.{spec.name}"
        self._name(spec.name, "device", path)
        self._range(spec.start, spec.size, path)
        types = [name.lower() for name in MemoryType.__members__]
        if spec.type not in types:
            raise ProgramError(f"{path}.type", f"no type of memory; known: {', '.join(types)}")
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
                elif event == "map_failed" and step.call == "memremap_pages":
                    raise ProgramError(here, "would fail again")
                elif not allocated and step.call not in MEMORY_STEPS:
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
        if operation.call == "expect_mapped" and self._is_of(operation.args[0], "hmm"):
            raise ProgramError(path, "private memory is mapped wherever there is room")
        for arg, kind in zip(operation.args, call.kinds, strict=True):
            if kind == "number":
                if not isinstance(arg, int) or not 0 <= arg < MAX_PAGES:
                    raise ProgramError(path, f"pages are 0 to {MAX_PAGES - 1}")
            elif not isinstance(arg, str) or arg not in self._names:
                raise ProgramError(path, f"nothing is called {arg!r}")
            elif self._names[arg] != kind:
                raise ProgramError(path, f"{arg} is no {kind}")
        if operation.call == "fault" and not self._has_private_memory(operation.args[0]):
            raise ProgramError(path, f"{operation.args[0]} has no private memory")
        if "freeze_queue" in operation.call and not self._is_of(operation.args[0], "pmem"):
            raise ProgramError(path, f"{operation.args[0]} has no queue")
        if operation.call == "use_p2pmem" and not self._is_of(operation.args[0], "p2pdma"):
            raise ProgramError(path, f"{operation.args[0]} has no memory of a BAR")
