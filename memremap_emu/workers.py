# SPDX-License-Identifier: GPL-2.0-only
"""Who carries out work: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from memremap_emu import interrupts

_T = TypeVar("_T")

#: Seconds without an answer after which one looks whether anybody is there.
PATIENCE = 2.0
#: Seconds that a scheduler has to answer, and that a cluster may be without workers.
CONNECT, ABSENCE = 5.0, 30.0


class WorkerError(RuntimeError):
    """Workers are gone, or the scheduler of a cluster is not there."""


class Workers:
    """An executor, and how it tells that nobody is there any more.

    Args:
        executor: carries out the work
        jobs: how many pieces at the same time
        gone: what it raises when a worker has ended in the middle of its work
        check: called when nobody has answered for `PATIENCE` seconds; raises `WorkerError` if
            nobody will
        hurry: one byte, which all of them see as `hurry`; None: they cannot be told to be quick
    """

    def __init__(
        self,
        executor: Executor,
        jobs: int,
        *,
        gone: tuple[type[BaseException], ...] = (BrokenExecutor,),
        check: Callable[[], None] = lambda: None,
        hurry: Any = None,
    ) -> None:
        self.jobs = jobs
        self.check = check
        self._hurry = hurry
        self._executor = executor
        self._gone: tuple[type[BaseException], ...] = (CancelledError, *gone)

    @property
    def hurries(self) -> bool:
        """Those who are at work can be told to `be_quick`."""
        return self._hurry is not None

    def be_quick(self, quick: bool) -> None:
        """Somebody has nothing to do, or no longer: who is at work may come back soon."""
        if self._hurry is not None:
            self._hurry.value = quick

    def submit(self, function: Callable[..., _T], *args: Any) -> Future[_T]:
        """Hands out a piece of work; WorkerError: nobody is there."""
        try:
            return self._executor.submit(function, *args)
        except self._gone as e:
            raise self._error(e) from None

    def result(self, future: Future[_T]) -> _T:
        """What came of it, or what it raised; WorkerError: whoever carried it out is gone."""
        while not future.done():
            if not wait_for([future], PATIENCE).done:
                self.check()
            interrupts.check()
        try:
            return future.result()
        except self._gone as e:
            raise self._error(e) from None

    def map(self, function: Callable[[Any], _T], work: Sequence[Any]) -> Iterator[_T]:
        """The results, in the order of the work, as they come."""
        for future in [self.submit(function, piece) for piece in work]:
            yield self.result(future)

    def _error(self, error: BaseException) -> WorkerError:
        return WorkerError(f"a worker has ended in the middle of its work: {error}")


#: Of a process that works for another one: see `hurry`.
_hurry: Any = None


def hurry() -> Any:
    """For who works: a buffer of one byte, set if somebody waits for more; None: nobody tells."""
    return _hurry


def _begin(stop: Connection, hurry: Any) -> None:
    """Of a process: Ctrl-C goes to everybody at the terminal, and one answers; nobody stays
    behind when that one is gone."""
    global _hurry
    _hurry = hurry
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        if parent.sentinel not in multiprocessing.connection.wait([parent.sentinel, stop]):
            interrupts.give_up()
            multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def processes(jobs: int) -> Iterator[Workers]:
    """So many processes of this machine.

    Where there are threads, the main module is imported in each, and must not begin anything
    when it is.
    """
    # A fork has one thread only, and locks that others held stay locked in it.
    method = "fork" if threading.active_count() == 1 else "forkserver"
    context = multiprocessing.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    quick = context.RawValue("b", 0)
    executor = ProcessPoolExecutor(jobs, context, _begin, (reader, quick))
    try:
        yield Workers(executor, jobs, hurry=quick)
    except BaseException:
        # What they are at is no longer wanted; all of them see it, as none takes it out.
        writer.send_bytes(b"stop")
        quick.value = 1
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        reader.close()
        writer.close()


def _within(seconds: float, function: Callable[[], _T]) -> _T:
    """What it gives or raises; TimeoutError if that lasts too long.

    Not every step of what a client of Dask does has a limit of its own: it waits for ever for a
    scheduler that takes its connection and says nothing.
    """
    future: Future[_T] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as e:  # for whoever waits
            future.set_exception(e)

    # Of an executor's threads, the interpreter waits for each when it ends.
    threading.Thread(target=work, daemon=True).start()
    return future.result(seconds)


@contextmanager
def cluster(address: str) -> Iterator[Workers]:
    """The workers of the Dask scheduler at an address, such as ``tcp://host:8786``.

    Raises:
        WorkerError: there is none, it has no workers, or the extra ``[cluster]`` is not installed.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise WorkerError("a scheduler needs Dask: pip install 'memremap-emu[cluster]'") from None
    # What it has to say is said here, in one line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        # A client that is made for what is no address waits in vain when it is taken away.
        distributed.comm.get_address_host(address)
        client = _within(
            2 * CONNECT,
            lambda: distributed.Client(address, timeout=CONNECT, set_as_default=False),
        )
    except Exception as e:
        # Whatever it is that Dask says to an address.
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise WorkerError(f"no Dask scheduler at {address}: {reason}") from None
    last_seen = time.monotonic()

    def threads() -> int:
        try:
            return sum(_within(CONNECT, client.nthreads).values())
        except (OSError, RuntimeError, TimeoutError):
            raise WorkerError(f"the Dask scheduler at {address} is gone") from None

    def check() -> None:
        nonlocal last_seen
        if client.status != "running":
            raise WorkerError(f"the Dask scheduler at {address} is gone")
        if threads():
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen > ABSENCE:
            raise WorkerError(f"the Dask scheduler at {address} has no workers")

    try:
        jobs = threads()
        if not jobs:
            raise WorkerError(f"the Dask scheduler at {address} has no workers")
        executor: Executor = client.get_executor(pure=False)
        yield Workers(executor, jobs, gone=(distributed.KilledWorker,), check=check)
    finally:
        with suppress(TimeoutError):  # it has gone without that
            _within(2 * PATIENCE, lambda: client.close(timeout=PATIENCE))


@contextmanager
def workers(jobs: int, scheduler: str | None = None) -> Iterator[Workers]:
    """Those of the scheduler at this address, or else so many processes."""
    with cluster(scheduler) if scheduler else processes(jobs) as made:
        yield made
