# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong, and how it is told."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memremap_emu.tasks import Task

#: Numbers in the text of a violation, which differ between executions that break one rule.
NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
#: What makes two violations the same: kind, function, message without its numbers.
Cause = tuple[str, str, str]

#: Error numbers that no libc header has.
KERNEL_ERRNO = {512: "ERESTARTSYS", 517: "EPROBE_DEFER"}


def errno_name(number: int) -> str:
    """Name of an error number, ``ENOMEM`` for 12."""
    import errno

    return KERNEL_ERRNO.get(number) or errno.errorcode.get(number, str(number))


@functools.cache
def _meaning(number: int) -> str:
    if number == 517:
        return "probe deferred"
    return os.strerror(number) if abs(number) < 1 << 31 else f"unknown error {number}"


class KernelError(OSError):
    """A kernel function returned an error.

    Attributes:
        errno: positive error number
        func: the kernel function that returned it
        log: lines that the call has added to the kernel log
    """

    def __init__(self, errno: int, func: str = "", log: Sequence[str] = ()) -> None:
        self.func = func
        self.log = tuple(log)
        text = _meaning(errno)
        super().__init__(errno, f"{func}: {text}" if func else text)

    def __str__(self) -> str:
        lines = "".join(f"\n  {line}" for line in self.log)
        return f"[{errno_name(self.errno or 0)}] {self.strerror}{lines}"


def cause(kind: str, func: str, message: str) -> Cause:
    """The cause of a violation of this kind and function, with this message."""
    return kind, func, NUMBER.sub("N", message)


@dataclass(frozen=True)
class ViolationRecord:
    """One broken rule.

    Attributes:
        kind: ``hang``, ``use-after-free``, ``leak``, ...: README.md has all of them
        message: what happened
        func: kernel function that did it, empty if unknown
        task: process id of the task that did it, 0 if found by looking
        log: tail of the kernel log when it was found
    """

    kind: str
    message: str
    func: str = ""
    task: int = 0
    log: tuple[str, ...] = ()

    @property
    def cause(self) -> Cause:
        """Equal for what is the same violation."""
        return cause(self.kind, self.func, self.message)

    def __str__(self) -> str:
        where = f" in {self.func}()" if self.func else ""
        return f"{self.kind}{where}: {self.message}"


class Violation(AssertionError):
    """A rule was broken: the test fails.

    Attributes:
        records: all violations of the call, the first one first
    """

    def __init__(self, records: Sequence[ViolationRecord]) -> None:
        self.records = tuple(records)
        text = "\n".join(str(r) for r in self.records)
        log = self.records[0].log if self.records else ()
        super().__init__(text + "".join(f"\n  {line}" for line in log))

    @property
    def kind(self) -> str:
        """Kind of the first violation."""
        return self.records[0].kind


class Blocked(Exception):
    """The call waits; its task stays parked and goes on when it is woken.

    Attributes:
        task: the parked task; ``task.done`` and ``task.result`` tell how it ends
        waits_for: what it waits for
    """

    def __init__(self, task: Task, waits_for: str) -> None:
        self.task = task
        self.waits_for = waits_for
        super().__init__(f"{task.name} waits for {waits_for}")


class ArenaFull(MemoryError):
    """The machine's memory is used up; freed memory is not reused before a restore."""


class TaskDied(RuntimeError):
    """The call's task oopsed; the locks that it held stay held."""


class KernelPanic(RuntimeError):
    """The kernel has panicked (panic_on_warn); only a restore helps."""


class MachineClosed(ValueError):
    """The kernel has been closed."""
