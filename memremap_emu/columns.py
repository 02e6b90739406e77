# SPDX-License-Identifier: GPL-2.0-only
"""One execution of several tasks, a column for each, as commit messages of the kernel show a race.

What is shown: where each operation of a task begins, that is with the first thing that others
could see; the functions of `LANDMARKS` as they are entered; who waits for what; which call fails;
callbacks of RCU, and deferred work, in columns of their own.  All of these are functions that no
compiler inlines, so that the text depends on the schedule alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from memremap_emu.trace import WORKS, Event, EventType, program_tasks

#: Functions that tell how far a life has come.
LANDMARKS = frozenset(
    {
        "add_pages",
        "arch_add_memory",
        "arch_remove_memory",
        "blk_cleanup_queue",
        "blk_freeze_queue_start",
        "blk_mq_freeze_queue_wait",
        "devm_memremap_pages",
        "devm_memremap_pages_release",
        "devres_release_all",
        "gen_pool_destroy",
        "percpu_ref_exit",
        "percpu_ref_init",
        "percpu_ref_kill_and_confirm",
        "put_dev_pagemap",
        "radix_tree_delete",
        "synchronize_rcu",
    }
)
#: What operations of programs are called.
_OPERATIONS = {
    "bind_store": "bind",
    "unbind_store": "unbind",
    "lookup": "get_dev_pagemap",
    "device_private_fault_loop": "device_private_entry_fault",
    "pci_use_p2pmem": "pci_alloc_p2pmem",
    "disk_freeze": "blk_mq_freeze_queue",
    "disk_unfreeze": "blk_mq_unfreeze_queue",
}
#: Operations whose first argument is a pfn.
_OF_PAGES = frozenset(
    {
        "get_page",
        "put_page",
        "lookup",
        "device_private_fault_loop",
    }
)
_FLAVOURS = ("RCU", "RCU-sched")
#: Deferred work, such as probing again what was deferred.
_WORKER = "kworker"
#: What inline functions of headers begin with where they are called from outside.
_OUTLINE = "outline_"
#: Calls that only ask for a name.
_UNSAID = frozenset({"snprintf_kernel"})
#: Columns are as wide as what is in them, and at least this.
_WIDTH = 20


def render(
    events: Sequence[Event],
    tasks: Sequence[tuple[int, str]],
    broken: Sequence[str],
    objects: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """The columns as text.

    Args:
        events: of one execution, see `memremap_emu.trace.Trace.events`
        tasks: CPU and name of the program's tasks, in order
        broken: lines below them: what the execution broke
        objects: by handle, what those that operations are about are called
    """
    heads = [f"CPU{cpu}: {name}" for cpu, name in tasks]
    rows = _rows(events, heads, objects)
    return _lines(rows, heads, broken)


def _lines(rows: Sequence[tuple[int, str]], heads: Sequence[str], broken: Sequence[str]) -> str:
    widths = [
        max(_WIDTH, len(head), *(len(text) for column, text in rows if column == number), 0) + 2
        for number, head in enumerate(heads)
    ]
    lines = ["".join(head.ljust(width) for head, width in zip(heads, widths, strict=True))]
    lines.append("".join(("-" * (width - 2)).ljust(width) for width in widths))
    lines += [" " * sum(widths[:column]) + text for column, text in rows]
    lines += broken
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_calls(events: Sequence[Event], broken: Sequence[str]) -> str:
    """The same of direct calls, each of which is a task: one column for all of them, and one more
    for each that had to wait and so went on while others were made.

    Args:
        events: of a kernel, see `memremap_emu.trace.Trace.events`
        broken: lines below them
    """
    waiting = list(dict.fromkeys(e.task for e in events if e.type is EventType.BLOCK and e.task))
    rows: list[tuple[int, str]] = []
    heads = ["calls", *("" for _ in waiting)]
    begun: set[int] = set()
    callbacks: dict[int, int] = {}
    for event in events:
        if event.type is EventType.RCU_RUN:
            if event.argument not in callbacks:
                callbacks[event.argument] = len(heads)
                heads.append(_FLAVOURS[event.argument])
            begun.add(event.task)
            column = callbacks[event.argument]
            waits = False
        else:
            waits = event.task in waiting
            column = waiting.index(event.task) + 1 if waits else 0
        if event.type is EventType.FUNC and event.task and event.task not in begun:
            begun.add(event.task)
            name = event.name.removeprefix(_OUTLINE)
            if waits:
                heads[column] = f"{name}()"
            if name not in _UNSAID:
                rows.append((column, f"{name}()"))
        text = _text(event)
        if text is not None and _is_new(event, rows, (column, text)):
            rows.append((column, text))
    return _lines(rows, heads, broken)


def shorten(text: str, longest: int) -> str:
    """Columns of at most so many lines: heads and both ends stay, and how many lines of the middle
    were left out is said in their place."""
    lines = text.splitlines(keepends=True)
    if len(lines) <= longest:
        return text
    first = longest // 2
    last = longest - first - 1
    left_out = f"... {len(lines) - first - last} lines left out ...\n"
    return "".join([*lines[:first], left_out, *lines[-last:]])


def _rows(
    events: Sequence[Event], heads: list[str], objects: Mapping[int, str]
) -> list[tuple[int, str]]:
    """(column, text) of the events that are shown; a repeated one stands once.

    A flavour of RCU that has callbacks, and deferred work, add their heads to ``heads``.
    """
    columns = {task: number for number, task in enumerate(program_tasks(events))}
    #: Of what is there only if something happens in it.
    others: dict[str, int] = {}

    def column_of(head: str) -> int:
        if head not in others:
            others[head] = len(heads)
            heads.append(head)
        return others[head]

    rows: list[tuple[int, str]] = []
    #: What a task has come to of an operation that has not begun yet: nobody could see it.
    unseen: dict[int, list[tuple[int, str]]] = {}
    for event in events:
        if event.type is EventType.NEXT:
            unseen[event.task] = []
        text = _text(event, objects)
        if text is None:
            continue
        if event.type is EventType.RCU_RUN:
            columns[event.task] = column_of(_FLAVOURS[event.argument])
        elif event.name in WORKS and event.task not in columns:
            # One of the program's tasks does it where it waits for it.
            columns[event.task] = column_of(_WORKER)
        column = columns.get(event.task)
        if column is None:
            continue
        if event.type is EventType.OPERATION:
            rows += [(column, text), *unseen.pop(event.task, ())]
            continue
        to = unseen.get(event.task, rows)
        if _is_new(event, to, (column, text)):
            to.append((column, text))
    return rows


def _is_new(event: Event, rows: Sequence[tuple[int, str]], row: tuple[int, str]) -> bool:
    """An operation begins as often as it does; what else is said again stands there already."""
    return event.type is EventType.OPERATION or not rows or rows[-1] != row


def _text(event: Event, objects: Mapping[int, str] = MappingProxyType({})) -> str | None:
    name = event.name
    match event.type:
        case EventType.OPERATION:
            shown = _OPERATIONS.get(name, name)
            if name in _OF_PAGES:
                return f"{shown}({event.argument:#x})"
            return f"{shown}({objects.get(event.argument, '')})"
        case EventType.FUNC if name in WORKS:
            return f"{name}()"
        case EventType.FUNC if name in LANDMARKS:
            return f"  {name}()"
        case EventType.BLOCK:
            return f"  waits for {name}"
        case EventType.FAULT:
            return f"  {name}() fails"
        case EventType.VIOLATION:
            return f"  <== {name}"
        case EventType.RCU_RUN:
            return f"{name}()"
        case _:
            return None
