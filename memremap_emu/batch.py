# SPDX-License-Identifier: GPL-2.0-only
"""Many operations in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memremap_emu._native import OK, Operation, signed
from memremap_emu.device import Device, Driver
from memremap_emu.handles import Object, address, handle_of

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel

MAX_ARGS = 6


class Batch:
    """Operations that are prepared once and run, in order, by one call.

        batch = k.batch().page_get(pfn).page_put(pfn).unbind(device)
        before = k.snapshot()
        ...
        before.restore()
        batch.run()

    Each operation is a direct call as if it had been issued alone.  Objects and strings are
    looked up when an operation is added: prepare a batch before the snapshot it starts from.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._native = kernel._native
        self._ops: list[tuple[Operation, list[int]]] = []
        self._prepared: Any = None
        self._results: Any = None
        self._done = self._native.ffi.new("size_t *")

    def __len__(self) -> int:
        return len(self._ops)

    def add(self, operation: str, *args: int | str | Object) -> Batch:
        """Adds an operation of the machine by its name, such as ``"device_add"``.

        Raises:
            ValueError: no such operation, or not this many arguments.
            TypeError: an argument that is no integer, string or object.
        """
        op = self._native.library.ops.get(operation)
        if op is None:
            raise ValueError(f"no operation {operation!r}")
        if len(args) != len(op.args):
            raise ValueError(f"{operation} takes {len(op.args)} arguments, not {len(args)}")
        self._ops.append((op, [self._argument(operation, a) for a in args]))
        self._prepared = None
        return self

    def _argument(self, operation: str, value: object) -> int:
        if isinstance(value, Object):
            if value._native is not self._native:
                raise ValueError(f"{operation}: {value!r} belongs to another kernel")
            return value._handle
        if isinstance(value, str):
            return self._native.intern(value)
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                return signed(value)
            except ValueError as e:
                raise ValueError(f"{operation}: {e}") from None
        raise TypeError(
            f"{operation}: an argument is an int, a str or an object, not {type(value).__name__}"
        )

    def page_get(self, pfn: int, n: int = 1) -> Batch:
        """get_page() of each of ``n`` pages from ``pfn`` on."""
        for i in range(n):
            self.add("get_page", address(pfn + i, "pfn"))
        return self

    def page_put(self, pfn: int, n: int = 1) -> Batch:
        """put_page() of each of ``n`` pages from ``pfn`` on."""
        for i in range(n):
            self.add("put_page", address(pfn + i, "pfn"))
        return self

    def bind(self, device: Device, driver: Driver) -> Batch:
        """Writes the device's name to the driver's ``bind`` file."""
        handle_of(device, Device, "device", self._native)
        return self.add("bind_store", driver, device.name, device)

    def unbind(self, device: Device) -> Batch:
        """Writes the device's name to its driver's ``unbind`` file.

        Raises:
            ValueError: the device is not bound now.
        """
        handle_of(device, Device, "device", self._native)
        if device.driver is None:
            raise ValueError(f"{device!r} is not bound")
        return self.add("unbind_store", device.driver, device.name, device)

    def run(self) -> None:
        """Runs the operations up to the first that blocks or cannot be run.

        What the kernel answered, negative error numbers included, is in `results`.

        Raises:
            Blocked, Violation, ArenaFull, TaskDied, KernelPanic, ValueError: as a direct call;
                ``len(results)`` operations have ended by then.
        """
        if self._prepared is None:
            self._prepare()
        native = self._native
        status = native.lib.emu_batch(
            native.m, 0, self._prepared, len(self._ops), self._results, self._done
        )
        if status != OK or native._exceptions:
            self._fail(status)

    def _prepare(self) -> None:
        ffi = self._native.ffi
        ops = ffi.new("struct emu_op[]", len(self._ops))
        for native_op, (op, args) in zip(ops, self._ops, strict=True):
            native_op.op = op.number
            native_op.nargs = len(args)
            native_op.args = args + [0] * (MAX_ARGS - len(args))
        self._results = ffi.new("int64_t[]", len(self._ops))
        self._done[0] = 0
        self._prepared = ops

    def _fail(self, status: int) -> None:
        done = int(self._done[0])
        stopped = done < len(self._ops)
        self._native._check(
            status,
            self._ops[done][0] if stopped else None,
            int(self._results[done]) if stopped else 0,
        )

    @property
    def results(self) -> list[int]:
        """Results of the last run, signed; one for each operation that has ended."""
        if self._results is None:
            return []
        return list(self._native.ffi.unpack(self._results, int(self._done[0])))

    def __repr__(self) -> str:
        return f"<Batch of {len(self._ops)}>"
