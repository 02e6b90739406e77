# SPDX-License-Identifier: GPL-2.0-only
"""What programs are made of: operations, steps of drivers, and what is set up for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Tasks of a program, at most.
MAX_TASKS = 8
#: devm actions of a driver of one's own, and steps of one of its lists, at most.
MAX_ACTIONS, MAX_STEPS = 8, 24
#: Pages of a device that a program can name: this many from one inside it on.
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

    def __reduce__(self) -> tuple[type[ProgramError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


@dataclass(frozen=True)
class Call:
    """What an operation of programs is made of.

    Attributes:
        kinds: of its arguments: ``device``, ``number``, or a kind of `OBJECTS`
        operation: of the machine
        setup: it can be part of the set-up
        task: it can be part of a task
        pages: it needs a device with struct pages of its own
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
    "get_dev_pagemap": Call(("device", "number"), "lookup", setup=False),
    "watched_lookup": Call(("device", "number"), "lookup", setup=False),
    "expect_mapped": Call(("device", "number"), "expect_mapped", setup=False),
    "fault": Call(("device", "number"), "device_private_fault_loop", setup=False, pages=True),
    "use_p2pmem": Call(("device",), "pci_use_p2pmem", setup=False),
    "submit_bio": Call(("device",), "submit_bio", task=False),
    "bio_endio": Call(("device",), "bio_endio", setup=False),
    "blk_mq_freeze_queue": Call(("device",), "disk_freeze"),
    "blk_mq_unfreeze_queue": Call(("device",), "disk_unfreeze"),
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
    "percpu_ref_use": Call(("percpu_ref",), "percpu_ref_use", setup=False),
    "percpu_ref_complete_on_release": Call(
        ("percpu_ref", "completion"), "percpu_ref_complete_on_release", task=False
    ),
    "percpu_ref_kill": Call(("percpu_ref",), "percpu_ref_kill_and_confirm"),
    "percpu_ref_kill_and_complete": Call(
        ("percpu_ref", "completion"), "percpu_ref_kill_and_complete"
    ),
    "percpu_ref_free": Call(("percpu_ref",), "percpu_ref_free", setup=False),
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
#: What gives back what another operation takes.
GIVES_BACK = {
    "put_page": "get_page",
    "percpu_ref_put": "percpu_ref_get",
    "mutex_unlock": "mutex_lock",
    "spin_unlock": "spin_lock",
    "rcu_read_unlock": "rcu_read_lock",
    "preempt_enable": "preempt_disable",
    "bio_endio": "submit_bio",
    "blk_mq_unfreeze_queue": "blk_mq_freeze_queue",
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
EVENTS = ("probe", "remove", "release", "kill", "cleanup", "page_free", "map_failed", "fault")
#: Of these, those that need nothing that ``alloc`` makes.
MEMORY_STEPS = frozenset(
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
    map_failed: tuple[Operation, ...] = ()
    fault: tuple[Operation, ...] = ()
    actions: tuple[tuple[str, tuple[Operation, ...]], ...] = ()
    type: str = "plain"

    def lists(self) -> Iterator[tuple[str, int, tuple[Operation, ...]]]:
        """Path, number of the event, and steps of each list."""
        for number, event in enumerate(EVENTS):
            yield event, number, getattr(self, event)
        for number, (name, steps) in enumerate(self.actions):
            yield f"actions.{name}", len(EVENTS) + number, steps

    def arguments(self) -> str:
        """Those of `Program.driver`, as code."""
        words = [repr(self.name), hex(self.start), hex(self.size)]
        for event in EVENTS:
            steps = getattr(self, event)
            if steps or event == "probe":
                words.append(f"{event}={[str(step) for step in steps]!r}")
        if self.actions:
            actions = {name: [str(step) for step in steps] for name, steps in self.actions}
            words.append(f"actions={actions!r}")
        if self.type != "plain":
            words.append(f"type={self.type!r}")
        return ", ".join(words)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython and for examples of Hypothesis: the code that builds it."""
        printer.text(f"Program().driver({self.arguments()}).drivers[0]")


@dataclass(frozen=True)
class TaskSpec:
    """A task: its name, its CPU (None: one of its own, as far as there are), what it does."""

    name: str
    operations: tuple[Operation, ...]
    cpu: int | None = None


def read_operations(texts: Sequence[str | Operation], path: str) -> tuple[Operation, ...]:
    """Reads operations; ProgramError, with ``path`` and its index, for what is none."""
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(text if isinstance(text, Operation) else Operation.read(text))
        except (ValueError, AttributeError, TypeError):
            raise ProgramError(f"{path}[{number}]", f"not an operation: {text!r}") from None
    return tuple(found)
