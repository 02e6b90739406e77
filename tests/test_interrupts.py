# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C that comes at a bad moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from memremap_emu import interrupts
from memremap_emu.exploration import Interrupted, Outcome
from memremap_emu.search import Search
from tests.test_parallel import smallest_protocol


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


class Finalized:
    """Ctrl-C comes when it goes."""

    def __del__(self) -> None:
        ctrl_c()


def test_one_that_comes_in_a_finalizer_is_not_lost() -> None:
    ended = False
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        Finalized()
        ended = True
        interrupts.check()
        pytest.fail("Ctrl-C is lost")
    assert ended
    interrupts.check()


def test_one_that_nobody_asks_for_comes_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt):
        with interrupts.held():
            ctrl_c()
        pytest.fail("Ctrl-C is lost")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_comes_at_once() -> None:
    ended = False
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        ctrl_c()
        with interrupts.held():
            ended = True
        ctrl_c()
        pytest.fail("the second Ctrl-C is held back, too")
    assert ended


def test_handlers_of_others_stay() -> None:
    seen: list[int] = []

    def handler(signum: int, frame: FrameType | None) -> None:
        seen.append(signum)

    before = signal.signal(signal.SIGINT, handler)
    try:
        with interrupts.held():
            ctrl_c()
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


def test_threads_are_left_alone() -> None:
    """Only the first one may have handlers, and is told."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with interrupts.held():
                interrupts.check()
        except BaseException as e:  # shown below
            raised.append(e)

    with pytest.raises(KeyboardInterrupt), interrupts.held():
        ctrl_c()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert not raised
        interrupts.check()


def test_a_search_that_is_interrupted_where_it_has_just_begun_can_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it has taken what keeps other threads out."""
    inside, came = Search._inside, []

    @contextmanager
    def interrupted(self: Search) -> Iterator[None]:
        with inside(self):
            if self.result.executions and not came:
                came.append(True)
                ctrl_c()
            yield

    monkeypatch.setattr("memremap_emu.explore.SLICE", 1e-3)
    monkeypatch.setattr(Search, "_inside", interrupted)
    with pytest.raises(Interrupted) as caught:
        smallest_protocol(4).explore(strategy="dfs", stop_at_violation=False)
    assert caught.value.exploration.executions > 0
    assert caught.value.exploration.outcome is Outcome.RUNNING
