# SPDX-License-Identifier: GPL-2.0-only
"""What can be seen of a kernel from outside."""

from __future__ import annotations

from memremap_emu._native import Native
from memremap_emu.errors import Violation, ViolationRecord
from memremap_emu.stats import Stats
from memremap_emu.tasks import Task


class Observation:
    """Log, violations, counters, tasks, what is left behind."""

    _native: Native

    @property
    def dmesg(self) -> list[str]:
        """Lines of the kernel log, oldest first."""
        return [text for _, text in self._native.log()]

    @property
    def dmesg_levels(self) -> list[tuple[int, str]]:
        """The same with levels: 0 emerg ... 7 debug."""
        return self._native.log()

    def clear_warn_once(self) -> None:
        """Clears the flags of WARN_ONCE and friends, as writing to clear_warn_once does."""
        self._native.call("clear_warn_once")

    @property
    def violations(self) -> list[ViolationRecord]:
        """What the watchers have found so far."""
        return self._native.violations()

    @property
    def stats(self) -> Stats:
        """Counters."""
        s = self._native.stats()
        return Stats(
            arena_used=int(s.arena_used),
            arena_size=int(s.arena_size),
            live_objects=int(s.live_objects),
            live_bytes=int(s.live_bytes),
            page_runs=int(s.page_runs),
            section_runs=int(s.section_runs),
            fallible_calls=int(s.fallible_calls),
            violations=int(s.violations),
            warnings=int(s.warnings),
            rcu_pending=int(s.rcu_pending),
            blocked_tasks=int(s.blocked_tasks),
            trace_events=int(s.trace_end),
            clock=int(s.clock),
        )

    @property
    def state_hash(self) -> int:
        """Hash of the kernel's objects and memory; equal states have equal hashes."""
        out = self._native.ffi.new("uint64_t *")
        self._native.check(self._native.lib.emu_state_hash(self._native.machine, out))
        return int(out[0])

    @property
    def tasks(self) -> list[Task]:
        """Tasks that exist: contexts, parked calls, ended ones that nobody has released."""
        native = self._native
        handles = native.ffi.new("int64_t[]", 128)
        n = native.lib.emu_tasks(native.machine, handles, 128)
        return [Task(native, int(handles[i])) for i in range(n)]

    def _findings(self) -> list[ViolationRecord]:
        text = self._native.quiescence()
        if not text:
            return []
        lines = text.splitlines()
        return [
            ViolationRecord(kind=kind, message=message)
            for kind, _, message in (line.partition("\t") for line in lines)
        ]

    def quiescence(self) -> list[ViolationRecord]:
        """What devices that are not bound any more have left behind, tasks that hang included."""
        return [f for f in self._findings() if f.kind != "note"]

    @property
    def permanent(self) -> list[str]:
        """What stays for good although nobody owns it, because the kernel is made that way."""
        return [f.message for f in self._findings() if f.kind == "note"]

    def assert_quiescent(self) -> None:
        """Raises Violation if `quiescence()` finds anything."""
        found = self.quiescence()
        if found:
            raise Violation(found)
