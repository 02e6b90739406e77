# SPDX-License-Identifier: GPL-2.0-only
"""Who carries out work: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class WorkerError(RuntimeError):
    """Workers are gone, or the scheduler of a cluster is not there."""


class Workers:
    """An executor, and what is known of it.

    Attributes:
        jobs: how many pieces of work it carries out at the same time
    """

    def __init__(self, executor: Executor, jobs: int) -> None:
        self._executor = executor
        self.jobs = jobs

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Hands out a piece of work; WorkerError: nobody is there."""
        try:
            return self._executor.submit(function, *args)
        except (BrokenExecutor, CancelledError) as e:
            raise self._gone(e) from None

    def result(self, future: Future[T]) -> T:
        """What came of it, or what it raised; WorkerError: whoever carried it out is gone."""
        try:
            return future.result()
        except (BrokenExecutor, CancelledError) as e:
            raise self._gone(e) from None

    def check(self) -> None:
        """Nobody has answered for some time; WorkerError: nobody will."""

    def _gone(self, error: BaseException) -> WorkerError:
        return WorkerError(f"a worker process has ended in the middle of its work: {error}")


def _begin() -> None:
    """Of a process: Ctrl-C goes to everybody at the terminal, and one answers; nobody stays
    behind when that one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def processes(jobs: int) -> Iterator[Workers]:
    """So many processes of this machine."""
    fork = multiprocessing.get_context("fork")
    executor = ProcessPoolExecutor(jobs, fork, _begin)
    try:
        yield Workers(executor, jobs)
    finally:
        executor.shutdown(cancel_futures=True)
