# SPDX-License-Identifier: GPL-2.0-only
"""Where a search stands, as JSON and back: what `Search.save` and `Search.load` hold.

A document has the steps of the execution that comes next, as a stack; counts, final states and
violations so far; and, of an item (see `memremap_emu.parallel`), how many steps it was given and
the races with these.
"""

from __future__ import annotations

from typing import Any

from memremap_emu._native import Native
from memremap_emu.lock_orders import LockOrder

SCHEMA = 2

_COUNTS = (
    "executions",
    "asleep",
    "too_long",
    "steps",
    "violating",
    "first_violation",
    "final_states",
    "final_hash",
    "fallible_calls",
    "bounds",
    "max_depth",
)


def as_document(native: Native, place: Any, result: Any) -> dict[str, Any]:
    """The JSON of a ``struct emu_search_position`` and a ``struct emu_explore_result``."""
    document = {
        "steps": [
            [
                step.proc,
                step.enabled,
                step.backtrack,
                step.done,
                step.sleep,
                step.calls,
                list(step.fails[0 : step.nr_fails]),
                list(step.limits[0 : step.nr_fails]),
            ]
            for step in place.steps[0 : place.nr_steps]
        ],
        "final": list(place.final[0 : place.nr_final]),
        "bound": place.bound,
        "counts": {name: getattr(result, name) for name in _COUNTS},
        "schedule": list(result.schedule[0 : result.schedule_length]),
        "found": [
            {
                "kind": v.kind,
                "func": native.text(v.func),
                "message": native.text(v.message),
                "execution": v.execution,
                "executions": v.executions,
                "schedule": list(v.schedule[0 : v.schedule_length]),
            }
            for v in result.found[0 : result.nr_found]
        ],
    }
    document["lock_classes"] = [
        native.text(name) for name in place.lock_classes[0 : place.nr_lock_classes]
    ]
    document["lock_cycles"] = list(place.lock_cycles[0 : place.nr_lock_cycles])
    if place.given:
        document["given"] = place.given
        document["races"] = [
            [race.step, race.initials, race.proc] for race in place.races[0 : place.nr_races]
        ]
    return document


def from_document(native: Native, document: dict[str, Any]) -> tuple[Any, Any, list[LockOrder]]:
    """The two structures again, and the orders of locks that are behind them.

    Raises:
        ValueError: the document is damaged.
    """
    ffi = native.ffi
    try:
        place = ffi.new("struct emu_search_position *")
        place.nr_steps = len(document["steps"])
        place.nr_final = len(document["final"])
        place.final[0 : place.nr_final] = document["final"]
        place.bound = document["bound"]
        place.given = document.get("given", 0)
        classes, cycles = document["lock_classes"], document["lock_cycles"]
        place.nr_lock_classes = len(classes)
        for number, name in enumerate(classes):
            place.lock_classes[number] = name.encode()
        place.nr_lock_cycles = len(cycles)
        place.lock_cycles[0 : len(cycles)] = cycles
        orders = [LockOrder.from_json(fields) for fields in document["lock_orders"]]
        races = document.get("races", [])
        place.nr_races = len(races)
        for race, data in zip(place.races[0 : len(races)], races, strict=True):
            race.step, race.initials, race.proc = data
        for step, data in zip(place.steps[0 : place.nr_steps], document["steps"], strict=True):
            step.proc, step.enabled, step.backtrack, step.done, step.sleep = data[:5]
            step.calls, fails, limits = data[5:]
            step.nr_fails = len(fails)
            step.fails = fails
            step.limits = limits
        result = ffi.new("struct emu_explore_result *", document["counts"])
        _fill_schedule(result, document["schedule"])
        result.nr_found = len(document["found"])
        for found, data in zip(result.found[0 : result.nr_found], document["found"], strict=True):
            found.kind = data["kind"]
            found.func = data["func"].encode()
            found.message = data["message"].encode()
            found.execution = data["execution"]
            found.executions = data["executions"]
            _fill_schedule(found, data["schedule"])
    except (KeyError, TypeError, IndexError, OverflowError, AttributeError, ValueError) as e:
        raise ValueError(f"the saved search is damaged: {type(e).__name__}: {e}") from None
    return place, result, orders


def _fill_schedule(target: Any, schedule: list[int]) -> None:
    target.schedule_length = len(schedule)
    target.schedule = bytes([*schedule])
