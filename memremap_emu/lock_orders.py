# SPDX-License-Identifier: GPL-2.0-only
"""Lock orders that the executions of a search have shown; what several show only together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: In a schedule: behind it another execution begins (EMU_NEXT_EXECUTION).
NEXT_EXECUTION = 15

#: Instead of a process (MAX_PROCS).
_NOBODY = 11


@dataclass(frozen=True)
class LockOrder:
    """Some task took the second lock while it held the first.

    Or it waited for a completion, and another task had taken the second when it completed it.

    Attributes:
        first: name of the lock
        second: likewise
        task: name of the task
        process: its number, as in schedules
        schedule: a beginning of one that leads there
        completion: its name, empty if there is none
        completer: name of the other task
        completer_process: its number
    """

    first: str
    second: str
    task: str
    process: int
    schedule: bytes
    completion: str = ""
    completer: str = ""
    completer_process: int = _NOBODY

    def __str__(self) -> str:
        """As violations of the kind ``lock-order`` write it."""
        if not self.completion:
            return f"{self.first} -> {self.second} [{self.task}]"
        middle = f"completion {self.completion}"
        return (
            f"{self.first} -> {middle} [{self.task}], {middle} -> {self.second} [{self.completer}]"
        )

    def is_part_of(self, message: str) -> bool:
        """Does the message of a violation name it?"""
        return all(part in message for part in str(self).split(", "))

    @classmethod
    def from_c(cls, order: Any, text: Any) -> LockOrder:
        """From ``struct emu_lock_order``; ``text`` reads a string of C."""
        return cls(
            text(order.first),
            text(order.second),
            text(order.task),
            int(order.proc),
            bytes(order.schedule[0 : order.schedule_length]),
            text(order.completion),
            text(order.completer),
            int(order.completer_proc),
        )

    def to_c(self, order: Any) -> None:
        """Fills in a ``struct emu_lock_order``.

        Raises:
            AttributeError, IndexError, OverflowError, TypeError: it does not fit.
        """
        order.first, order.second = self.first.encode(), self.second.encode()
        order.task, order.proc = self.task.encode(), self.process
        order.completion, order.completer = self.completion.encode(), self.completer.encode()
        order.completer_proc = self.completer_process
        order.schedule_length = len(self.schedule)
        order.schedule = self.schedule

    def to_json(self) -> list[Any]:
        """For `from_json`."""
        return [list(v) if isinstance(v, bytes) else v for v in vars(self).values()]

    @classmethod
    def from_json(cls, fields: list[Any]) -> LockOrder:
        """ValueError or TypeError for what `to_json` did not write."""
        first, second, task, process, schedule, *rest = fields
        # A number alone would be that many steps.
        return cls(first, second, task, process, bytes([*schedule]), *rest)


def executions_of(schedule: bytes) -> list[bytes]:
    """A schedule in executions: one, unless it is of what several show together."""
    return schedule.split(bytes([NEXT_EXECUTION]))
