# SPDX-License-Identifier: GPL-2.0-only
"""The events of an execution in the formats of others: ftrace's text, Chrome's trace JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from memremap_emu.trace import WORKS, Event, EventType, program_tasks

FORMATS = ("columns", "ftrace", "chrome")
#: Events that ftrace would show as an event of its own and not as a function.
_NAMES = {
    EventType.ALLOC: "kmalloc",
    EventType.FREE: "kfree",
    EventType.LOCK: "lock_acquire",
    EventType.UNLOCK: "lock_release",
    EventType.BLOCK: "sched_blocked",
    EventType.WAKE: "sched_wakeup",
    EventType.RCU_QUEUE: "rcu_callback",
    EventType.RCU_RUN: "rcu_invoke_callback",
    EventType.FAULT: "fault_injected",
    EventType.VIOLATION: "violation",
    EventType.OPERATION: "operation",
}
#: Who does deferred work.
_WORKER = "kworker/0:0"


def _happening(events: Sequence[Event]) -> Iterator[Event]:
    """What is there for the columns alone takes no time."""
    return (event for event in events if event.type not in (EventType.TASK, EventType.NEXT))


def _task_name(tasks: dict[int, str], event: Event) -> str:
    if event.softirq:
        return "<softirq>"
    return tasks.get(event.task, "<...>")


def task_names(events: Sequence[Event], names: Sequence[str]) -> dict[int, str]:
    """Process ids of a program's tasks, and of whoever else does deferred work."""
    workers = (e.task for e in events if e.type is EventType.FUNC and e.name in WORKS)
    return dict.fromkeys(workers, _WORKER) | dict(zip(program_tasks(events), names, strict=False))


def ftrace(events: Sequence[Event], names: Sequence[str]) -> str:
    """As /sys/kernel/debug/tracing/trace shows it; one event is one microsecond."""
    tasks = task_names(events, names)
    lines = [
        "# tracer: function",
        "#",
        "#           TASK-PID    CPU#    TIMESTAMP  FUNCTION",
        "#              | |        |         |         |",
    ]
    for number, event in enumerate(_happening(events)):
        if event.type is EventType.FUNC:
            what = event.name
        elif event.type in _NAMES:
            what = f"{_NAMES[event.type]}: {event.name}"
        else:
            continue
        task = f"{_task_name(tasks, event):>16}-{event.task:<5}"
        lines.append(f"{task} [{event.cpu:03d}] {number / 1e6:12.6f}: {what}")
    return "\n".join(lines) + "\n"


def chrome(events: Sequence[Event], names: Sequence[str]) -> str:
    """The JSON that chrome://tracing and Perfetto read; one event is one microsecond."""
    tasks = task_names(events, names)
    found: list[dict[str, object]] = [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": pid, "args": {"name": name}}
        for pid, name in tasks.items()
    ]
    for number, event in enumerate(_happening(events)):
        if event.type is not EventType.FUNC and event.type not in _NAMES:
            continue
        entry: dict[str, object] = {
            "name": event.name or _NAMES.get(event.type, ""),
            "cat": _NAMES.get(event.type, "function"),
            "ts": number,
            "pid": 1,
            "tid": event.task,
            "args": {"cpu": event.cpu, "softirq": event.softirq},
        }
        if event.type is EventType.FUNC:
            entry |= {"ph": "X", "dur": 1}
        else:
            entry |= {"ph": "i", "s": "t"}
        found.append(entry)
    return json.dumps({"traceEvents": found, "displayTimeUnit": "ns"}) + "\n"


def render(kind: str, events: Sequence[Event], names: Sequence[str]) -> str:
    """In the format of this name, which is not ``columns``."""
    return chrome(events, names) if kind == "chrome" else ftrace(events, names)
