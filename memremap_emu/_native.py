# SPDX-License-Identifier: GPL-2.0-only
"""The border to C: one place where calls cross it, callbacks come back, statuses become errors."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, GeneratorType, TracebackType
from typing import Any, NoReturn

from memremap_emu.config import Config
from memremap_emu.errors import (
    ArenaFull,
    Blocked,
    KernelError,
    KernelPanic,
    MachineClosed,
    TaskDied,
    Violation,
    ViolationRecord,
)

#: Statuses of the C API (``enum emu_status``).
OK, BLOCKED, DEAD, ARENA_FULL, BAD_OPERATION, BAD_HANDLE, BAD_ARGUMENT = range(7)
BUSY, NO_TASK, NO_MEMORY, PANICKED, CLOSED = range(7, 12)
VIOLATION = 256

#: What callbacks return to the kernel when they raised something that is no KernelError.
CALLBACK_FAILED = -5  # -EIO

MASK64 = (1 << 64) - 1
MAX_ERRNO = 4095

Callback = Callable[[int, int], Any]


@dataclass(frozen=True)
class Operation:
    """Signature of an operation of the machine."""

    number: int
    name: str
    args: str
    result: str


class Library:
    """One of the two extension modules."""

    def __init__(self, name: str) -> None:
        try:
            module = importlib.import_module(f"memremap_emu.{name}")
        except ModuleNotFoundError as e:
            raise ImportError(
                f"memremap_emu was found in {Path(__file__).parent}, where it has not been built: "
                "start Python in another directory, or install with pip install -e"
            ) from e
        self.ffi: Any = module.ffi
        self.lib: Any = module.lib
        #: ``ffi.new()`` for what C fills in: not cleared before.
        self.room: Any = self.ffi.new_allocator(should_clear_after_alloc=False)
        self.int64: Any = self.ffi.typeof("int64_t *")
        self.length: Any = self.ffi.typeof("size_t *")
        self.chars: Any = self.ffi.typeof("char[]")
        self.stats: Any = self.ffi.typeof("struct emu_stats *")
        self.events: Any = self.ffi.typeof("struct emu_event[]")
        #: What `Native.calls` is of a machine that has been closed.
        self.no_calls: Any = self.ffi.new("uint64_t *")
        self.ops: dict[str, Operation] = {}
        # What the trace needs to know of code and constants, see `memremap_emu.trace`.
        self.symbols: dict[int, str] = {}
        self.names: dict[int, str] = {}
        self.function_ranges: dict[frozenset[str], Any] = {}
        for number in range(self.lib.emu_op_count()):
            info = self.lib.emu_op_info(number)
            op = Operation(number, *(self.text(t) for t in (info.name, info.args, info.result)))
            self.ops[op.name] = op
        extern = self.ffi.def_extern(name="emu_python_upcall", onerror=self._interrupted)
        extern(self._upcall)

    def text(self, p: Any) -> str:
        return str(self.ffi.string(p).decode())

    def _upcall(self, data: Any, frame: int, callback: int, a: int, b: int, resumed: int) -> int:
        native: Native = self.ffi.from_handle(data)
        return native.upcall(frame, callback, a, b, bool(resumed))

    def _interrupted(self, _: Any, error: BaseException, traceback: TracebackType) -> int:
        """The handler of a signal raised where no callback runs yet, or none any more."""
        native: Native = self.ffi.from_handle(traceback.tb_frame.f_locals["data"])
        inner = traceback.tb_next
        native.interrupted(error, inner.tb_frame if inner else None)
        return CALLBACK_FAILED


_libraries: dict[bool, Library] = {}


def library(checked: bool) -> Library:
    """The checked or the plain extension module, loaded when first asked for."""
    if checked not in _libraries:
        _libraries[checked] = Library("_checked" if checked else "_plain")
    return _libraries[checked]


def violation_kinds() -> tuple[str, ...]:
    """Names of all kinds of violations, in the order of the machine's numbers."""
    them = library(checked=True)
    names: list[str] = []
    while (name := them.text(them.lib.emu_violation_kind_name(len(names)))) != "?":
        names.append(name)
    return tuple(names)


def signed(value: int) -> int:
    """The 64-bit pattern of ``value`` as C's ``int64_t``; ValueError if it has more bits."""
    if not -(1 << 63) <= value <= MASK64:
        raise ValueError(f"{value:#x} does not fit into 64 bits")
    value &= MASK64
    return value - (1 << 64) if value >> 63 else value


def _others_may_call() -> bool:
    """Is another thread in this package, perhaps on its way into a machine that it saw open?"""
    frames = sys._current_frames()
    frames.pop(threading.get_ident(), None)
    for top in frames.values():
        frame: FrameType | None = top
        while frame:
            if frame.f_globals.get("__package__") == __package__:
                return True
            frame = frame.f_back
    return False


class Native:
    """A machine as C sees it: a pointer, strings, callbacks."""

    def __init__(
        self,
        config: Config,
        *,
        cpus: int,
        checked: bool,
        rcu_manual: bool,
        trace: bool,
        raise_violations: bool,
        patches: int,
        modes: int = 0,
    ) -> None:
        self.library = library(checked)
        self.ffi = self.library.ffi
        self.lib = self.library.lib
        self._room, self._int64 = self.library.room, self.library.int64
        self.raise_violations = raise_violations
        self._handle = self.ffi.new_handle(self)
        #: Bytes of the longest text so far: room for the next one.
        self._text_size = 4096
        #: Changes whenever something is given a number: tells what restoring must forget.
        self.numbered = object()
        self._strings: dict[str, int] = {}
        self._callbacks: list[Callback | None] = [None]
        self._callback_ids: dict[Any, int] = {}
        self._parked: dict[int, Generator[Callable[[], Any], Any, Any]] = {}
        #: What callbacks have raised, by thread: another one may enter the machine before the
        #: call that they were called from is back in Python.
        self._exceptions: dict[int, list[BaseException]] = {}
        #: Callbacks in progress, by thread: what they raise surfaces when the outermost call ends.
        self._depth: dict[int, int] = {}
        fields = config.native() | {
            "cpus": cpus,
            "rcu_manual": rcu_manual,
            "trace": trace,
            "patches": patches,
            "modes": modes,
        }
        out = self.ffi.new("emu_machine **")
        native_config = self.ffi.new("struct emu_config *", fields)
        status = self.lib.emu_create(native_config, self.lib.emu_python_upcall, self._handle, out)
        if status == NO_MEMORY:
            raise MemoryError("no address space for a machine of this size")
        if status == ARENA_FULL:
            raise ArenaFull("the arena is too small for a kernel to boot")
        if status != OK:
            raise ValueError(f"the machine refuses this configuration (status {status})")
        self.m: Any = out[0]
        #: The machine, closed, if another thread may still hold the pointer to it.
        self._closed: Any = None
        #: Points to how many calls were made that can have changed something.
        self.calls: Any = self.lib.emu_calls(self.m)

    # --- life ---

    def close(self) -> None:
        """Gives the machine back; closing twice is allowed."""
        m = self.m
        if not m:
            return
        status = self.lib.emu_close(m)
        if status == BUSY:
            raise RuntimeError("the kernel is in use: it cannot be closed from a callback")
        if status == CLOSED:
            return  # another thread is at it
        self.calls, self.m = self.library.no_calls, self.ffi.NULL
        if _others_may_call():
            self._closed = m
        else:
            self.lib.emu_destroy(m)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a kernel cannot be copied or pickled: Kernel.snapshot() keeps a state")

    def __del__(self) -> None:
        for m in (getattr(self, "m", None), getattr(self, "_closed", None)):
            if m:
                # In a circle of garbage others may be finalised later, and use what they have.
                self.calls, self.m, self._closed = self.library.no_calls, self.ffi.NULL, None
                self.lib.emu_destroy(m)

    @property
    def machine(self) -> Any:
        """The machine; MachineClosed if it has been closed."""
        if not self.m:
            raise MachineClosed("the kernel has been closed")
        return self.m

    # --- calls ---

    def intern(self, text: str | None) -> int:
        """Number of a string in the machine, 0 for None."""
        if text is None:
            return 0
        if not isinstance(text, str):
            raise TypeError(f"a name or text must be a str, not {type(text).__name__}")
        number = self._strings.get(text)
        if number is None:
            data = text.encode()
            if b"\0" in data:
                raise ValueError("a name cannot contain a NUL byte")
            out = self.ffi.new("int64_t *")
            self._check(self.lib.emu_intern(self.machine, data, out), None, 0)
            number = self._strings[text] = int(out[0])
            self.numbered = object()
        return number

    def call(self, name: str, *args: int, task: int = 0) -> int:
        """Runs an operation; its result as C's int64_t.

        Raises:
            KernelError: an operation whose result is an error number failed.
            Blocked, Violation, ArenaFull, TaskDied, KernelPanic, ValueError: see errors.
        """
        op = self.library.ops[name]
        # Its own: between the end of the call and the next line another thread may make one.
        out = self._room(self._int64)
        try:
            status = self.lib.emu_call(self.m, task, op.number, len(args), args, out)
        except OverflowError:
            try:
                bits = [signed(a) for a in args]
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
            status = self.lib.emu_call(self.m, task, op.number, len(bits), bits, out)
        result: int = out[0]
        if status or self._exceptions:
            self._check(status, op, result)
        if op.result == "e" and result < 0:
            raise KernelError(-result, name, self.call_log())
        return result

    def _check(self, status: int, op: Operation | None, result: int) -> None:
        if self._exceptions and (thread := threading.get_ident()) not in self._depth:
            exceptions = self._exceptions.pop(thread, [])
            if len(exceptions) == 1:
                raise exceptions[0]
            if exceptions:
                raise BaseExceptionGroup("callbacks raised", exceptions)
        if status & VIOLATION:
            status &= ~VIOLATION
            if self.raise_violations:
                error = Violation(self.violations(since_call=True))
                if op and op.result == "e" and -MAX_ERRNO <= result < 0:
                    raise error from KernelError(-result, op.name, self.call_log())
                raise error
        if status == OK:
            return
        if status == BLOCKED:
            from memremap_emu.tasks import Task

            task = Task(self, result)
            raise Blocked(task, task.waits_for or "something")
        detail = str(self.ffi.string(self.lib.emu_error(self.m)).decode()) if self.m else ""
        if status == CLOSED:
            raise MachineClosed("the kernel has been closed")
        if status in (BAD_ARGUMENT, BAD_HANDLE, BAD_OPERATION):
            detail = detail or "the object is gone"
            raise ValueError(f"{op.name}: {detail}" if op else detail)
        if status == ARENA_FULL:
            raise ArenaFull("the machine's memory is used up: restore a snapshot or start afresh")
        if status == BUSY:
            raise RuntimeError("the kernel is in use by another thread or from a callback")
        if status == DEAD:
            raise TaskDied("; ".join(self.call_log()) or "the task oopsed")
        if status == PANICKED:
            raise KernelPanic("the kernel has panicked")
        if status == NO_TASK:
            raise RuntimeError("too many tasks: release those that are done, or restore a snapshot")
        raise MemoryError("the host is out of memory")

    def check(self, status: int) -> None:
        """Turns the status of any other call into an exception."""
        if status or self._exceptions:
            self._check(status, None, 0)

    def set_context(self, task: int) -> int:
        """Makes a task the context of direct calls, 0 none; the one before."""
        before = self.ffi.new("int64_t *")
        self.check(self.lib.emu_set_context(self.m, task, before))
        return int(before[0])

    def numbers(self) -> tuple[dict[str, int], list[Callback | None], dict[Any, int]]:
        """Strings and callbacks that have a number, to go with a snapshot."""
        return dict(self._strings), list(self._callbacks), dict(self._callback_ids)

    def restore_numbers(
        self, known: tuple[dict[str, int], list[Callback | None], dict[Any, int]]
    ) -> None:
        """After a restore: what had a number then; later ones are given out again."""
        strings, callbacks, ids = known
        self._strings, self._callbacks, self._callback_ids = (
            dict(strings),
            list(callbacks),
            dict(ids),
        )

    # --- callbacks ---

    def callback(self, key: Any, function: Callback) -> int:
        """Number of a callback; the same ``key`` has the same number."""
        number = self._callback_ids.get(key)
        if number is None:
            number = len(self._callbacks)
            self._callbacks.append(function)
            self._callback_ids[key] = number
            self.numbered = object()
        return number

    def upcall(self, frame: int, callback: int, a: int, b: int, resumed: bool) -> int:
        """The kernel calls: runs the callback on the host's stack."""
        thread = threading.get_ident()
        depth = self._depth.get(thread, 0)
        self._depth[thread] = depth + 1
        try:
            if resumed:
                generator = self._parked.pop(frame, None)
                return 0 if generator is None else self._drive(frame, generator, a)
            function = self._callbacks[callback]
            assert function is not None
            result = function(a, b)
            if isinstance(result, GeneratorType):
                return self._drive(frame, result, None)
            return self._answer(result)
        except KernelError as e:
            number = e.errno or -CALLBACK_FAILED
            if 0 < number <= MAX_ERRNO:
                return -number
            # No error number of the kernel's: what it would mean there is anything.
            self._exceptions.setdefault(thread, []).append(e)
            return CALLBACK_FAILED
        except BaseException as e:
            self._exceptions.setdefault(thread, []).append(e)
            return CALLBACK_FAILED
        finally:
            if depth:
                self._depth[thread] = depth
            else:
                del self._depth[thread]

    def interrupted(self, error: BaseException, frame: FrameType | None) -> None:
        """An upcall did not come to its end, which is where ``frame`` was; its error surfaces as
        those of callbacks do."""
        thread = threading.get_ident()
        if frame is not None and frame.f_code is Native.upcall.__code__:
            depth = frame.f_locals.get("depth", self._depth.get(thread, 0))
            self._depth.pop(thread, None)
            if depth:
                self._depth[thread] = depth
        self._exceptions.setdefault(thread, []).append(error)

    @staticmethod
    def _answer(value: Any) -> int:
        """What a callback returned, as C's int64_t."""
        answer = int(value or 0)
        if not -(1 << 63) <= answer < 1 << 63:
            raise OverflowError(f"a callback returned {answer:#x}, which is no 64-bit integer")
        return answer

    def _drive(
        self, frame: int, generator: Generator[Callable[[], Any], Any, Any], value: Any
    ) -> int:
        """Runs a callback that issues operations until it ends or one of them blocks.

        Errors of an operation are raised where the callback yielded it; one that had to wait
        gives what C returned, a negative errno for an error.
        """
        while True:
            try:
                if isinstance(value, KernelError | Violation):
                    operation = generator.throw(value)
                else:
                    operation = generator.send(value)
            except StopIteration as end:
                return self._answer(end.value)
            try:
                value = operation()
            except Blocked:
                self._parked[frame] = generator
                return 0
            except (KernelError, Violation) as error:
                value = error

    # --- looking ---

    def stats(self) -> Any:
        """``struct emu_stats``."""
        stats = self._room(self.library.stats)
        self.check(self.lib.emu_stats(self.machine, stats))
        return stats

    def log(self, start: int = 0) -> list[tuple[int, str]]:
        """Records of the kernel log from byte ``start`` on: (level, text)."""
        return self._read_log(start, self.stats().log_end)

    def _read_log(self, start: int, end: int) -> list[tuple[int, str]]:
        size = end - start + 1
        if size <= 1:
            return []
        size = min(size, 1 << 21)
        buf = self._room(self.library.chars, size)
        length = self._room(self.library.length)
        self.lib.emu_log_read(self.machine, start, buf, size, length)
        text = self.ffi.buffer(buf, length[0])[:].decode(errors="replace")
        records = [line for line in text.split("\n") if line]
        return [(int(r[0]) if r[0].isdigit() else 4, r[1:]) for r in records]

    def call_log(self) -> list[str]:
        """What the last call has logged."""
        if not self.lib.emu_call_logged(self.m):
            return []
        stats = self.stats()
        return [text for _, text in self._read_log(stats.call_log_start, stats.log_end)]

    def violations(self, *, since_call: bool = False) -> list[ViolationRecord]:
        """What the watchers have found."""
        stats = self.stats()
        first = int(stats.call_violations_start) if since_call else 0
        v = self.ffi.new("struct emu_violation *")
        records = []
        for index in range(first, int(stats.violations)):
            self.lib.emu_violation(self.machine, index, v)
            records.append(
                ViolationRecord(
                    kind=self.text(self.lib.emu_violation_kind_name(v.kind)),
                    message=self.text(v.message),
                    func=self.text(v.func),
                    task=int(v.task),
                    log=tuple(t for _, t in self.log(max(int(v.log_end) - 2048, 0)))[:24]
                    if since_call
                    else (),
                )
            )
        return records

    def text(self, p: Any) -> str:
        """A C string."""
        return str(self.ffi.string(p).decode(errors="replace"))

    def format(self, what: int, handle: int = 0) -> str:
        """Text that the kernel formats, see ``emu_text()``."""
        return self._read_text(
            lambda buf, size, length: self.lib.emu_text(
                self.machine, what, handle, buf, size, length
            )
        )

    def quiescence(self) -> str:
        """What is left over, one line each."""
        return self._read_text(
            lambda buf, size, length: self.lib.emu_quiescence(self.machine, buf, size, length)
        )

    def _read_text(self, read: Callable[[Any, int, Any], int]) -> str:
        """Text of any length: asks again when the room was not enough."""
        out = self._room(self.library.length)
        while True:
            size = self._text_size
            buf = self._room(self.library.chars, size)
            status = read(buf, size, out)
            if status:
                self.check(status)
            length = int(out[0])
            if length == 0:
                return ""
            if length < size:
                return str(self.ffi.string(buf, length).decode(errors="replace"))
            self._text_size = max(length + 1, self._text_size)

    def symbol(self, address: int) -> str:
        """Name of the function around a code address, hex if unknown."""
        known = self.library.symbols
        if address not in known:
            buf = self.ffi.new("char[]", 128)
            if self.lib.emu_symbol(self.machine, address, buf, 128) != OK:
                return f"0x{address:x}"
            known[address] = self.text(buf)
        return known[address]

    def string_at(self, address: int) -> str:
        """A constant string that an event refers to."""
        buf = self.ffi.new("char[]", 256)
        if self.lib.emu_string_at(self.machine, address, buf, 256) != OK:
            return ""
        return self.text(buf)

    def events(self, start: int = 0) -> bytes:
        """The trace from the given event on, as the bytes of an array of ``struct emu_event``."""
        n = min(max(int(self.stats().trace_end) - start, 0), 1 << 15)
        events = self._room(self.library.events, n or 1)
        count = self._room(self.library.length)
        self.lib.emu_trace_read(self.machine, start, events, n, count)
        return bytes(self.ffi.buffer(events, count[0] * self.ffi.sizeof("struct emu_event")))

    def select_events(self, start: int, types: int, ranges: Any) -> bytes:
        """Events of some types and functions, as the bytes of an array of ``struct emu_event``."""
        count = self._room(self.library.length)
        # Few are wanted, as a rule, of the many that there are.
        room = 64
        while True:
            events = self._room(self.library.events, room)
            self.lib.emu_trace_select(
                self.machine, start, types, ranges, len(ranges) // 2, events, room, count
            )
            if count[0] < room or room == 1 << 15:
                size = count[0] * self.ffi.sizeof("struct emu_event")
                return bytes(self.ffi.buffer(events, size))
            room = min(8 * room, 1 << 15)

    def symbol_ranges(self, name: str) -> list[int]:
        """First address and end of each function of this name, one after the other."""
        ranges = self.ffi.new("uint64_t[]", 16)
        count = self.ffi.new("size_t *")
        self.lib.emu_symbol_ranges(self.machine, name.encode(), ranges, 8, count)
        return [int(ranges[i]) for i in range(2 * count[0])]
