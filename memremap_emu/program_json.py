# SPDX-License-Identifier: GPL-2.0-only
"""Programs as JSON, see docs/programs.md for the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memremap_emu.json_fields import Fields, number_of
from memremap_emu.operations import (
    EVENTS,
    DeviceSpec,
    DriverSpec,
    Operation,
    ProgramError,
    TaskSpec,
    read_operations,
)

if TYPE_CHECKING:
    from memremap_emu.program import Program

SCHEMA = 1


# --- writing ---


def document(program: Program) -> dict[str, Any]:
    """What `json` makes of the text of a program."""
    found: dict[str, Any] = {"schema": SCHEMA, "version": program.version, "cpus": program.cpus}
    if program.config:
        found["config"] = dict(program.config)
    if program.ranges:
        found["memory"] = [[hex(s), hex(e), name] for s, e, name in program.ranges]
    if program.drivers:
        found["drivers"] = {spec.name: _driver_document(spec) for spec in program.drivers}
    if program.devices:
        found["devices"] = {spec.name: _device_document(spec) for spec in program.devices}
    if program.objects:
        found["objects"] = dict(program.objects)
    if program.prepared:
        found["setup"] = [str(o) for o in program.prepared]
    found["tasks"] = {
        task.name: {"do": [str(o) for o in task.operations]}
        | ({} if task.cpu is None else {"cpu": task.cpu})
        for task in program.tasks
    }
    return found


def _driver_document(spec: DriverSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"start": hex(spec.start), "size": hex(spec.size)}
    for event in EVENTS:
        if (steps := getattr(spec, event)) or event == "probe":
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


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError if a name is in it twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name twice in one object")
    return found


def _operations(fields: Fields, name: str, default: Any = ...) -> tuple[Operation, ...]:
    return read_operations(fields.take(name, list, default), fields.path(name))


def read(document: Any) -> dict[str, Any]:
    """The fields of a program; ProgramError with the path of what cannot be read."""
    top = Fields(document, "")
    if top.take("schema", int) != SCHEMA:
        raise ProgramError("schema", f"not {SCHEMA}")
    ranges = []
    for number, entry in enumerate(top.take("memory", list, [])):
        path = f"memory[{number}]"
        if not isinstance(entry, list) or len(entry) != 3 or not isinstance(entry[2], str):
            raise ProgramError(path, "not [start, end, name]")
        ranges.append((number_of(entry[0], path), number_of(entry[1], path), entry[2]))
    found = {
        "config": tuple(top.take("config", dict, {}).items()),
        "ranges": tuple(ranges),
        "drivers": tuple(_read_driver(n, v) for n, v in top.take("drivers", dict, {}).items()),
        "devices": tuple(_read_device(n, v) for n, v in top.take("devices", dict, {}).items()),
        "objects": tuple(top.take("objects", dict, {}).items()),
        "prepared": _operations(top, "setup", []),
        "tasks": tuple(_read_task(n, v) for n, v in top.take("tasks", dict).items()),
    }
    for name, kind in (("version", str), ("cpus", int)):
        value = top.take(name, kind, None)
        if value is not None:
            found[name] = value
    top.end()
    return found


def _read_driver(name: str, value: Any) -> DriverSpec:
    f = Fields(value, f"drivers.{name}")
    lists = f.take("actions", dict, {})
    actions = Fields(lists, f.path("actions"))
    spec = DriverSpec(
        name,
        f.number("start"),
        f.number("size"),
        **{event: _operations(f, event, ... if event == "probe" else []) for event in EVENTS},
        actions=tuple((key, _operations(actions, key)) for key in lists),
        type=f.take("type", str, "plain"),
    )
    f.end()
    return spec


def _read_device(name: str, value: Any) -> DeviceSpec:
    f = Fields(value, f"devices.{name}")
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
    f = Fields(value, f"tasks.{name}")
    spec = TaskSpec(name, _operations(f, "do"), f.take("cpu", int, None))
    f.end()
    return spec
