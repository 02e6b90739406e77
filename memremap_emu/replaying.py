# SPDX-License-Identifier: GPL-2.0-only
"""A schedule of a program, run once more for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memremap_emu import columns
from memremap_emu.exploration import Exploration, ScheduleError
from memremap_emu.explore import Program
from memremap_emu.kernel import Kernel
from memremap_emu.lock_orders import executions_of
from memremap_emu.trace import Event


@dataclass(frozen=True)
class Watched:
    """What a schedule does.

    Attributes:
        exploration: its outcome
        events: of the execution; of the last one if there are several
        columns: each execution as columns, and what it broke
    """

    exploration: Exploration
    events: tuple[Event, ...]
    columns: str


def watch(
    kernel: Kernel,
    tasks: Program,
    names: Sequence[str],
    schedule: bytes,
    objects: Mapping[int, str] | None = None,
) -> Watched:
    """Runs a schedule; the kernel is left in the state that it leads to.

    Args:
        kernel: in the state that the program begins in
        tasks: the program
        names: of its tasks
        schedule: as `Program.explore` takes it
        objects: by handle, what those that operations are about are called

    Raises:
        ScheduleError: it is not one of this program.
    """
    parts = executions_of(schedule)
    if len(parts) == 1:
        return _watch(kernel, tasks, names, schedule, objects or {})
    if not all(parts):
        raise ScheduleError("the schedule has an execution without a step")
    start = kernel.snapshot()
    shown = []
    for part in parts:
        with tasks.search(schedule=part) as search:
            search.run()
            orders = search.lock_orders()
        start.restore()
        last = _watch(kernel, tasks, names, part, objects or {})
        shown.append((orders, last.columns))
        start.restore()
    start.drop()
    whole = tasks.explore(schedule=schedule, check_quiescence=True)
    messages = [found.record.message for found in whole.found]
    text = ""
    for number, (orders, alone) in enumerate(shown, 1):
        mine = [str(order) for order in orders if any(map(order.is_part_of, messages))]
        what = f", which shows {', '.join(mine)}" if mine else ""
        text += f"Execution {number} of {len(parts)}{what}:\n{alone}\n"
    only_so = [f.record for f in whole.found if not f.executions]
    broken = "".join(f"=> {record.kind}: {record.message}\n" for record in only_so)
    return Watched(whole, last.events, f"{text}Together:\n{broken}")


def _watch(
    kernel: Kernel,
    tasks: Program,
    names: Sequence[str],
    schedule: bytes,
    objects: Mapping[int, str],
) -> Watched:
    trace = kernel.trace
    position = trace.position
    trace.enable()
    try:
        # Without a schedule it is a search: that of one execution tells whether there are steps.
        with tasks.search(schedule=schedule, check_quiescence=True, max_executions=1) as search:
            search.run()
            found, stacks = search.result, search.stacks()
        if found.max_depth and not schedule:
            raise ScheduleError("the schedule does not fit the program: it has no step")
        events = trace.events(position)
    finally:
        trace.enable(False)
    broken = []
    for record in (f.record for f in found.found):
        broken.append(f"=> {record.kind}: {record.message}")
        for number, one in enumerate(stacks):
            if (one.kind, one.message) == (record.kind, record.message):
                broken += [f"   {line}" for line in stacks.pop(number).columns()]
                break
    heads = [(task.cpu, name) for task, name in zip(tasks.tasks, names, strict=True)]
    return Watched(found, tuple(events), columns.render(events, heads, broken, objects))
