# SPDX-License-Identifier: GPL-2.0-only
"""One run taken for many that differ in the call that fails.

Python decides by what the machine answers.  Where it would be answered the same if another call
had failed, it would do and find the same; so what a run asked is written down here, and the
machine asks itself again, with the other calls failing, without a line of Python in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memremap_emu._native import signed

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel, Snapshot

#: Calls of C that answer the same whatever the state of the machine.
_CONSTANT = ("emu_violation_kind_name", "emu_symbol", "emu_string_at", "emu_symbol_ranges")
#: ``emu_fault_hits()`` tells a plan that is over how often it was asked; no run looks at that.
_IGNORED = ("emu_fault_hits",)
_MAX_ARGS = 6


class Course:
    """What a run asks from the operation on in which its call fails.

    A context manager around the run, which calls `begin` before that operation and `settle`
    behind it; afterwards `same` can be asked.

    Args:
        kernel: that the run drives
        plan: number of its fault plan that fails the call
    """

    def __init__(self, kernel: Kernel, plan: int = 0) -> None:
        self._kernel = kernel
        self._native = kernel._native
        self._lib = self._native.lib
        self._plan = plan
        self._snapshot: Snapshot | None = None
        self._questions: list[tuple[int, int, int, list[int]]] = []
        self._settled = 0
        #: Asked something that cannot be repeated.
        self._lost = False
        self._native_questions: Any = None

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self._snapshot is not None:
            self._snapshot.drop()
            self._snapshot = None

    def begin(self) -> None:
        """What is asked from now on is written down."""
        if self._snapshot is None:
            self._snapshot = self._kernel.snapshot()
            self._native.lib = _Listener(self)

    def settle(self) -> None:
        """The call has failed; the state may be one that other calls lead to."""
        if not self._settled and not self._lost:
            self._settled = len(self._questions)

    def end(self) -> None:
        """The run is over."""
        self._native.lib = self._lib
        if self._lost:
            # What led to a state that is the same is enough.
            del self._questions[self._settled :]

    def same(self, number: int, others: Sequence[int]) -> list[bool]:
        """For each of the other calls: would the run have gone the same way, had it failed?

        Args:
            number: of the call that failed in the run
            others: numbers of calls
        """
        if self._snapshot is None or not self._settled:
            return [False] * len(others)
        native, ffi = self._native, self._native.ffi
        questions = self._prepare()
        same = ffi.new("uint8_t[]", 1 + len(others))
        native.check(
            self._lib.emu_repeat(
                native.machine,
                self._snapshot.number,
                questions,
                len(questions),
                self._settled,
                self._plan,
                [number, *others],
                len(same),
                same,
            )
        )
        # What is not the same the second time is not the same as anything else.
        return [bool(same[0] and answer) for answer in same[1 : len(same)]]

    def _prepare(self) -> Any:
        if self._native_questions is None:
            questions = self._native.ffi.new("struct emu_question[]", len(self._questions))
            for question, (kind, what, size, args) in zip(questions, self._questions, strict=True):
                question.kind = kind
                question.what = what
                question.size = size
                question.nargs = len(args)
                question.args = args + [0] * (_MAX_ARGS - len(args))
            self._native_questions = questions
        return self._native_questions

    def heard(self, name: str, args: tuple[Any, ...]) -> None:
        """A function of C is called."""
        if name in _CONSTANT or name in _IGNORED or self._lost:
            return
        question = self._question(name, args)
        if question is None:
            self._lost = True
        else:
            kind, what, size, numbers = question
            self._questions.append((kind, what, size, [signed(number) for number in numbers]))

    def _question(self, name: str, args: tuple[Any, ...]) -> tuple[int, int, int, list[int]] | None:
        lib = self._lib
        match name, args:
            case "emu_call", (_, 0, op, _, numbers, _):
                return lib.EMU_ASK_CALL, op, 0, list(numbers)
            case "emu_page_get", (_, pfn):
                return lib.EMU_ASK_PAGE_GET, 0, 0, [pfn]
            case "emu_page_put", (_, pfn):
                return lib.EMU_ASK_PAGE_PUT, 0, 0, [pfn]
            case "emu_fault_clear", (_, first):
                return lib.EMU_ASK_NO_FAULTS, 0, 0, [first]
            case "emu_stats", _:
                return lib.EMU_ASK_STATS, 0, 0, []
            case "emu_log_read", (_, start, _, size, _):
                return lib.EMU_ASK_LOG, 0, size, [start]
            case "emu_call_logged", _:
                return lib.EMU_ASK_LOGGED, 0, 0, []
            case "emu_text", (_, what, a, _, size, _):
                return lib.EMU_ASK_TEXT, what, size, [a]
            case "emu_quiescence", (_, _, size, _):
                return lib.EMU_ASK_QUIESCENCE, 0, size, []
            case "emu_trace_select", (_, start, types, ranges, count, _, room, _):
                address = int(self._native.ffi.cast("uintptr_t", ranges))
                return lib.EMU_ASK_TRACE, types, room, [start, address, count]
            case "emu_violation", (_, index, _):
                return lib.EMU_ASK_VIOLATION, 0, 0, [index]
        return None


class _Listener:
    """The C library, with somebody who listens."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._lib = course._lib

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._lib, name)

        def call(*args: Any) -> Any:
            self._course.heard(name, args)
            return function(*args)

        setattr(self, name, call)
        return call
