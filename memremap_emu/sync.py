# SPDX-License-Identifier: GPL-2.0-only
"""Completions, locks, wait queues."""

from __future__ import annotations

from memremap_emu.handles import Object


class Completion(Object):
    """``struct completion``."""

    __slots__ = ()
    _letter = "C"

    def complete(self) -> None:
        """complete()."""
        self._call("complete")

    def complete_all(self) -> None:
        """complete_all()."""
        self._call("complete_all")

    def wait(self) -> None:
        """wait_for_completion()."""
        self._call("wait_for_completion")

    def wait_timeout(self, jiffies: int) -> int:
        """wait_for_completion_timeout(): 0 on timeout, else the jiffies left (at least 1)."""
        return self._call("wait_for_completion_timeout", jiffies)

    def try_wait(self) -> bool:
        """try_wait_for_completion()."""
        return bool(self._call("try_wait_for_completion"))

    def reinit(self) -> None:
        """reinit_completion()."""
        self._call("reinit_completion")

    def init(self) -> None:
        """init_completion(): loses whoever sleeps on it."""
        self._call("init_completion")

    def free(self) -> None:
        """kfree() of the structure."""
        self._call("completion_free")

    @property
    def is_done(self) -> bool:
        """completion_done()."""
        return bool(self._call("completion_done"))

    @property
    def done(self) -> int:
        """The counter; UINT_MAX after complete_all()."""
        return self._call("completion_count")


class Mutex(Object):
    """``struct mutex``; also a context manager, inside a task context."""

    __slots__ = ()
    _letter = "M"

    def lock(self) -> None:
        """mutex_lock()."""
        self._call("mutex_lock")

    def trylock(self) -> bool:
        """mutex_trylock()."""
        return bool(self._call("mutex_trylock"))

    def unlock(self) -> None:
        """mutex_unlock()."""
        self._call("mutex_unlock")

    @property
    def is_locked(self) -> bool:
        """mutex_is_locked()."""
        return bool(self._call("mutex_is_locked"))

    def __enter__(self) -> Mutex:
        self.lock()
        return self

    def __exit__(self, *_: object) -> None:
        self.unlock()


class SpinLock(Object):
    """``spinlock_t``; held from call to call only inside a task context."""

    __slots__ = ()
    _letter = "S"

    def lock(self) -> None:
        """spin_lock()."""
        self._call("spin_lock")

    def unlock(self) -> None:
        """spin_unlock()."""
        self._call("spin_unlock")

    def lock_irq(self) -> None:
        """spin_lock_irq()."""
        self._call("spin_lock_irq")

    def unlock_irq(self) -> None:
        """spin_unlock_irq()."""
        self._call("spin_unlock_irq")


class RwLock(Object):
    """``rwlock_t``; held from call to call only inside a task context."""

    __slots__ = ()
    _letter = "W"

    def read_lock(self) -> None:
        """read_lock()."""
        self._call("read_lock")

    def read_unlock(self) -> None:
        """read_unlock()."""
        self._call("read_unlock")

    def write_lock(self) -> None:
        """write_lock()."""
        self._call("write_lock")

    def write_unlock(self) -> None:
        """write_unlock()."""
        self._call("write_unlock")


class WaitQueue(Object):
    """``wait_queue_head_t``."""

    __slots__ = ()
    _letter = "Q"

    def sleep(self, what: str = "a wake-up", *, exclusive: bool = False) -> None:
        """Sleeps until woken once."""
        self._call("wait_queue_sleep", int(exclusive), self._native.intern(what))

    def wake_up(self) -> None:
        """wake_up(): all non-exclusive sleepers and one exclusive one."""
        self._call("wake_up")

    def wake_up_all(self) -> None:
        """wake_up_all()."""
        self._call("wake_up_all")


class RefTest(Object):
    """The smallest protocol of kill, get and put: see csrc/drivers/test/ref.c."""

    __slots__ = ()
    _letter = "Z"

    def kill(self) -> None:
        """The owner: nobody new, and its reference goes."""
        self._call("ref_test_kill")

    def use(self) -> bool:
        """A user: takes a reference, looks and drops it; has it got one?"""
        return bool(self._call("ref_test_use"))
