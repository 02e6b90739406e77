# SPDX-License-Identifier: GPL-2.0-only
"""A campaign in several processes that share what they find.

Each process runs a campaign of its own, seeded differently, and tells the parent every half
second what is new: states, programs that led to them, findings.  The parent adds it to the
campaign, and answers with programs and findings of the others.  It writes to nobody who does not
wait for that: two that write to each other when both pipes are full would wait for ever.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from memremap_emu import interrupts
from memremap_emu.fuzz import Campaign

_INTERVAL = 0.5


class _Answer(NamedTuple):
    """What a process is told when it has told something: news of the others, and to end."""

    news: Campaign
    stop: bool


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
    pipes: dict[Connection, Campaign] = {}  # with what each of them has not been told
    processes = []
    interrupted = False
    with interrupts.held():
        for number in range(jobs):
            here, there = context.Pipe()
            work = (campaign, number, seconds, there, (*pipes, here))
            process = context.Process(target=_work, args=work, daemon=True)
            process.start()
            there.close()
            pipes[here] = Campaign()
            processes.append(process)
        while pipes:
            _listen(campaign, pipes, interrupted)
            progress(campaign)
            try:
                interrupts.check()
            except KeyboardInterrupt:
                interrupted = True
    for process in processes:
        process.join()
    if interrupted:
        raise KeyboardInterrupt
    died = [process.exitcode for process in processes if process.exitcode]
    if died:
        raise ChildProcessError(f"a process of the campaign has died: exit code {died[0]}")


def _listen(campaign: Campaign, pipes: dict[Connection, Campaign], stop: bool) -> None:
    """Takes in what processes tell, and answers; those that have ended are taken off."""
    for pipe in wait(pipes, _INTERVAL):
        assert isinstance(pipe, Connection)
        try:
            news: Campaign = pipe.recv()
        except (EOFError, ConnectionError):
            del pipes[pipe]
            continue
        campaign.take(news)
        campaign.programs += news.programs
        campaign.executions += news.executions
        campaign.seconds += news.seconds
        news.states = set()  # they would know most of them soon
        for other, untold in pipes.items():
            if other is not pipe:
                untold.take(news)
        answer, pipes[pipe] = _Answer(pipes[pipe], stop), Campaign()
        with suppress(ConnectionError):  # it has ended: its turn comes
            pipe.send(answer)


class _Reporter:
    """What a process does after each program: tells, listens, and ends when it is told to."""

    def __init__(self, campaign: Campaign, pipe: Connection) -> None:
        self._campaign = campaign
        self._pipe = pipe
        self._next = time.monotonic() + _INTERVAL
        self._told = Campaign()
        self._told.take(campaign)
        self._count()

    def _count(self) -> None:
        campaign, told = self._campaign, self._told
        told.programs, told.executions = campaign.programs, campaign.executions
        told.seconds = campaign.seconds

    def __call__(self, campaign: Campaign) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            self.tell()

    def tell(self) -> None:
        """Tells what is new, and takes in the answer."""
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
        answer: _Answer = self._pipe.recv()
        campaign.take(answer.news)
        told.take(answer.news)
        if answer.stop:
            campaign.stop()


def _work(
    campaign: Campaign,
    number: int,
    seconds: float,
    pipe: Connection,
    ends: Sequence[Connection],
) -> None:
    """One process: the campaign it gets is its own copy, and so are the parent's ends of pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A pipe says that nobody listens any more when nobody at all has its other end.
    for end in ends:
        end.close()
    campaign.job = number + 1
    reporter = _Reporter(campaign, pipe)
    with suppress(EOFError, ConnectionError):  # nobody listens any more
        campaign.run(seconds, reporter)
        reporter.tell()
    pipe.close()
