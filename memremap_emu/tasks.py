# SPDX-License-Identifier: GPL-2.0-only
"""Tasks."""

from __future__ import annotations

from memremap_emu._native import Native


class Task:
    """A task of the machine: a parked call, or a context made by `Kernel.task()`.

    As a context manager it becomes the context of direct calls: read
    sections, locks and disabled pre-emption persist from one to the next.
    """

    STATES = ("idle", "ready", "blocked", "upcall", "done", "dead")

    def __init__(self, native: Native, handle: int) -> None:
        self._native = native
        self._handle = handle
        #: Contexts to come back to: it can be entered again inside itself.
        self._outer: list[int] = []
        self.name = self._info().comm_text

    class _Info:
        def __init__(self, native: Native, handle: int) -> None:
            info = native.ffi.new("struct emu_task_info *")
            native.lib.emu_task_info(native.machine, handle, info)
            self.raw = info
            self.comm_text = native.text(info.comm)
            self.wait_kind = native.text(info.wait_kind)
            self.wait_what = native.text(info.wait_what)

    def _info(self) -> Task._Info:
        return Task._Info(self._native, self._handle)

    @property
    def state(self) -> str:
        """``idle``, ``ready``, ``blocked``, ``upcall``, ``done``, ``dead`` or ``gone``."""
        state = int(self._info().raw.state)
        return self.STATES[state] if state >= 0 else "gone"

    @property
    def done(self) -> bool:
        """The call has ended."""
        return self.state in ("done", "idle", "gone")

    @property
    def result(self) -> int:
        """What the call returned, as C's int64_t."""
        return int(self._info().raw.result)

    @property
    def waits_for(self) -> str:
        """What it waits for, empty if it does not."""
        info = self._info()
        return f"{info.wait_kind} {info.wait_what}".strip()

    @property
    def pid(self) -> int:
        """Process id."""
        return int(self._info().raw.pid)

    @property
    def cpu(self) -> int:
        """Virtual CPU."""
        return int(self._info().raw.cpu)

    @property
    def preempt_count(self) -> int:
        """Depth of regions that forbid pre-emption."""
        return int(self._info().raw.preempt_count)

    @property
    def rcu_nesting(self) -> int:
        """Depth of ``rcu_read_lock()``."""
        return int(self._info().raw.rcu_nesting)

    def release(self) -> None:
        """Gives the task's place back; RuntimeError while it still runs."""
        self._native.check(self._native.lib.emu_task_release(self._native.m, self._handle))

    def __enter__(self) -> Task:
        self._outer.append(self._native.set_context(self._handle))
        return self

    def __exit__(self, *_: object) -> None:
        self._native.set_context(self._outer.pop())

    def __repr__(self) -> str:
        waits = self.waits_for
        return f"<task {self.name}/{self.pid} {self.state}{' on ' + waits if waits else ''}>"
