# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C at places where nothing is half done.

Python raises KeyboardInterrupt between any two instructions: where a lock has just been taken,
which then stays taken, or in a finalizer, which prints it and goes on as if nothing had been
asked for.  Loops that run for long hold it back, and ask for it where they can end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Ctrl-C has come and nobody has asked yet.
_came = False
#: What this process does is no longer wanted.
_given_up = False


def _note(signum: int, frame: FrameType | None) -> None:
    global _came
    if _came:
        raise KeyboardInterrupt  # a second one: at once
    _came = True


def check() -> None:
    """Raises KeyboardInterrupt if one has been held back."""
    global _came
    if (_came or _given_up) and threading.current_thread() is threading.main_thread():
        _came = False
        raise KeyboardInterrupt


def give_up() -> None:
    """From now on, `check` always raises: for processes that work for another one."""
    global _given_up
    _given_up = True


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C waits until `check` is called, or for the end; a second one does not.

    Signals are the main thread's: in others, where somebody else handles SIGINT, and inside of
    another one this does nothing.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        check()
