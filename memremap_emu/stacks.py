# SPDX-License-Identifier: GPL-2.0-only
"""Stacks of what a violation is about: where it happened, where the object came from and went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any

#: Functions of the machine, which is below the kernel and below what a task is given to do.
_OF_THE_MACHINE = (
    "0x",
    "__lock",
    "__tsan_",
    "access_bytes",
    "access_granule",
    "acquire",
    "alloc_percpu_caller",
    "call_operation",
    "check_",
    "free_percpu",
    "kasan_",
    "kcalloc_caller",
    "kernel_alloc",
    "kernel_mem",
    "kcsan_",
    "kernel_str",
    "kfree",
    "kmalloc_caller",
    "kstrdup_caller",
    "load_page",
    "object_free",
    "op_",
    "page_access",
    "report_race",
    "run_callback",
    "run_program_task",
    "stacks_",
    "task_",
    "visible",
)
#: What the machine calls to have an inline function of the kernel; it is named after that.
_OUTLINE = "outline_"
#: Functions of a stack that are shown.
_MOST = 8
#: In the order of enum emu_stack_kind, from 1 on.
_KINDS = ("access", "allocation", "free", "second free", "other access")


@dataclass(frozen=True)
class Stack:
    """Where a task was.

    Attributes:
        what: ``access``, ``allocation``, ``free``, ``second free`` or, of a data race, ``other
            access``, the earlier one
        task: its name, empty if that was before the program began
        functions: innermost first; one if it was before the program began
    """

    what: str
    task: str
    functions: tuple[str, ...]

    @classmethod
    def from_c(cls, stack: Any, text: Callable[[Any], str], symbol: Callable[[int], str]) -> Stack:
        """From ``struct emu_stack``."""
        names = [symbol(int(pc)).removeprefix(_OUTLINE) for pc in stack.pc if pc]
        kernels = (name for name in names if not name.startswith(_OF_THE_MACHINE))
        # An inline function that its outline has not taken in is there twice.
        functions = [name for name, _ in groupby(kernels)][:_MOST]
        known = text(stack.function)
        if not functions and known:
            functions = [known]
        return cls(_KINDS[stack.kind - 1], text(stack.task), tuple(functions))


@dataclass(frozen=True)
class Stacks:
    """A violation, by kind and message, and its stacks."""

    kind: str
    message: str
    stacks: tuple[Stack, ...]

    def columns(self) -> list[str]:
        """Lines: the stacks side by side, under what each is."""
        return _side_by_side([(_head(stack), stack.functions) for stack in self.stacks])


def _head(stack: Stack) -> str:
    return f"{stack.what} [{stack.task}]" if stack.task else stack.what


def _side_by_side(stacks: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    columns = [
        [head, "-" * len(head), *(f"{name}()" for name in functions)] for head, functions in stacks
    ]
    widths = [max(map(len, column)) + 2 for column in columns]
    return [
        "".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in zip_longest(*columns, fillvalue="")
    ]
