# SPDX-License-Identifier: GPL-2.0-only
"""A campaign in several processes that share what they find.

Each process runs a campaign of its own, seeded differently, and tells the parent every half
second what is new: states, programs that led to them, findings.  The parent adds it to the
campaign and passes programs and findings on to the others.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Event

from memremap_emu.fuzz import Campaign

_INTERVAL = 0.5


def run(
    campaign: Campaign,
    jobs: int,
    seconds: float,
    progress: Callable[[Campaign], None],
) -> None:
    """Goes on for so long in so many processes; ``campaign.seconds`` is the sum of theirs.

    Raises:
        KeyboardInterrupt: Ctrl-C; what was found until then has been added.
        ChildProcessError: a process has died; what the others found has been added.
    """
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    pipes: list[Connection] = []
    processes = []
    for number in range(jobs):
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(campaign, number, seconds, there, stop))
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    interrupted = False
    while pipes:
        try:
            _listen(campaign, pipes)
            progress(campaign)
        except KeyboardInterrupt:
            interrupted = True
            stop.set()
    for process in processes:
        process.join()
    if interrupted:
        raise KeyboardInterrupt
    died = [process.exitcode for process in processes if process.exitcode]
    if died:
        raise ChildProcessError(f"a process of the campaign has died: exit code {died[0]}")


def _listen(campaign: Campaign, pipes: list[Connection]) -> None:
    """Takes in what processes tell; those that have ended are taken off the list."""
    for pipe in wait(pipes, _INTERVAL):
        assert isinstance(pipe, Connection)
        try:
            news: Campaign = pipe.recv()
        except (EOFError, ConnectionError):
            pipes.remove(pipe)
            continue
        campaign.take(news)
        campaign.programs += news.programs
        campaign.executions += news.executions
        campaign.seconds += news.seconds
        news.states = set()  # they would know most of them soon
        for other in pipes:
            if other is not pipe and (news.corpus or news.found):
                try:
                    other.send(news)
                except ConnectionError:
                    continue  # it has ended: its turn comes


class _Reporter:
    """What a process does after each program: tells, listens, and ends when it is told to."""

    def __init__(self, campaign: Campaign, pipe: Connection, stop: Event) -> None:
        self._campaign = campaign
        self._pipe = pipe
        self._stop = stop
        self._next = time.monotonic() + _INTERVAL
        self._told = Campaign()
        self._told.take(campaign)
        self._count()

    def _count(self) -> None:
        campaign, told = self._campaign, self._told
        told.programs, told.executions = campaign.programs, campaign.executions
        told.seconds = campaign.seconds

    def __call__(self, campaign: Campaign) -> None:
        if self._stop.is_set():
            campaign.stop()
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            self.tell()
            while self._pipe.poll():
                others: Campaign = self._pipe.recv()
                campaign.take(others)
                self._told.take(others)

    def tell(self) -> None:
        """Tells what is new."""
        campaign, told = self._campaign, self._told
        news = Campaign(
            programs=campaign.programs - told.programs,
            executions=campaign.executions - told.executions,
            seconds=campaign.seconds - told.seconds,
            states=campaign.states - told.states,
            corpus=[program for program in campaign.corpus if program not in told.corpus],
            found={key: found for key, found in campaign.found.items() if key not in told.found},
            shapes={
                cause: shapes
                for cause, shapes in campaign.shapes.items()
                if shapes != told.shapes.get(cause)
            },
        )
        told.take(news)
        told.corpus = list(campaign.corpus)
        self._count()
        self._pipe.send(news)


def _work(campaign: Campaign, number: int, seconds: float, pipe: Connection, stop: Event) -> None:
    """One process: the campaign it gets is its own copy."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    campaign.job = number + 1
    reporter = _Reporter(campaign, pipe, stop)
    campaign.run(seconds, reporter)
    reporter.tell()
    pipe.close()
