# SPDX-License-Identifier: GPL-2.0-only
"""pytest: a kernel as a fixture, whose violations fail the test that has it.

Loaded by pytest itself wherever the package is installed.

``kernel``
    A `memremap_emu.Kernel` of the checked build, two CPUs, of the version that
    ``--memremap-version`` names.  What its watchers have found when the test is over fails the
    test, also if nobody looked, and also if a snapshot has been restored since.  A test that fails
    for whatever reason is shown with what each call did (`columns.render_calls`), the end of the
    kernel log, and the line that runs it again.
``iomem``
    The memory map of ``kernel``: 3 GiB of System RAM and 1 GiB of persistent memory at 5 GiB.

``--memremap-budget N`` (executions) or ``Ns`` (seconds) is how far each exploration of
`memremap_emu.stateful.checks_shutdown` goes.  Where Hypothesis is installed, the profiles of
`memremap_emu.profiles` are there before the first ``conftest.py`` is loaded.

``--memremap-replay TOKEN`` runs what ``memremap-emu check`` or ``explore`` has found again as a
test of its own, which fails as long as its violation shows.  Files ``*.scenario.json``, as
``memremap-emu fuzz`` writes them, are tests of the same kind.  Both show columns and the line that
runs them again.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from _pytest.outcomes import Failed

from memremap_emu import budget, columns, interleavings, profiles, report, runs, scenario, tokens
from memremap_emu.errors import Violation, ViolationRecord
from memremap_emu.iomem import IoMem
from memremap_emu.kernel import Kernel, Snapshot
from memremap_emu.trace import Event
from memremap_emu.versions import DEFAULT_VERSION, select

_MAP = "00100000-bfffffff : System RAM\n140000000-17fffffff : Persistent Memory\n"

#: Columns that are longer are shortened in the middle: lines.
_LONGEST = 80
#: Lines of the kernel log that are shown.
_LOG_LINES = 24


@dataclass(frozen=True)
class _Seen:
    """What a kernel has to tell of itself."""

    violations: tuple[ViolationRecord, ...]
    events: tuple[Event, ...]
    log: tuple[str, ...]


class _Watched(Kernel):
    """The kernel of a test, which can be asked what happened also when the test has closed it, or
    has gone back to a state in which that had not happened."""

    _kept: _Seen | None = None
    #: Violations that have been taken back, and what there was to tell with the first of them.
    _undone: _Seen | None = None
    #: So many violations have been told.
    told = 0

    def seen(self) -> _Seen:
        """What is shown of it."""
        now = self._now()
        return self._undone if self._undone and not now.violations else now

    def found(self) -> tuple[ViolationRecord, ...]:
        """All violations."""
        now = tuple(self.violations) if self._kept is None else self._kept.violations
        return (*self._undone.violations, *now) if self._undone else now

    def _now(self) -> _Seen:
        if self._kept is not None:
            return self._kept
        return _Seen(tuple(self.violations), tuple(self.trace.events()), tuple(self.dmesg))

    def snapshot(self) -> Snapshot:
        """The state as it is now; going back to it does not undo that a rule was broken."""
        return _WatchedSnapshot(self, super().snapshot().number)

    def restore(self, go_back: Callable[[], None]) -> None:
        """Goes back, and remembers the violations that are gone then."""
        before = self._now() if self.violations else None
        go_back()
        if before is None:
            return
        if gone := before.violations[len(self.violations) :]:
            earlier = self._undone.violations if self._undone else ()
            self._undone = replace(self._undone or before, violations=(*earlier, *gone))

    def keep(self) -> None:
        """Remembers what there is to tell."""
        self._kept = self._now()

    def close(self) -> None:
        kept = self._now()
        super().close()
        self._kept = kept

    def destroy(self) -> None:
        """Closes it when nobody will ask any more."""
        super().close()


class _WatchedSnapshot(Snapshot):
    """One of a kernel whose violations all count."""

    def __init__(self, kernel: _Watched, number: int) -> None:
        super().__init__(kernel, number)
        self._watched = kernel

    def restore(self) -> None:
        self._watched.restore(super().restore)


class _Unseen(Violation, Failed):
    """Violations that no call has raised: shown without the place that looked."""

    # What pytest's summary calls it, which has little room.
    __module__ = "builtins"
    __qualname__ = "Violation"

    def __init__(self, records: tuple[ViolationRecord, ...]) -> None:
        Violation.__init__(self, records)
        self.msg = str(self.args[0])
        self.pytrace = False

    def __str__(self) -> str:
        return str(self.msg)


_KERNEL = pytest.StashKey[_Watched]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plugin."""
    group = parser.getgroup("memremap_emu")
    group.addoption(
        "--memremap-version",
        default=None,
        metavar="V",
        help=f"version of the fixture kernel (default: {DEFAULT_VERSION}) and of scenarios "
        "(default: the one that their program names)",
    )
    group.addoption(
        "--memremap-budget",
        metavar="N|Ns",
        help="of each exploration by checks_shutdown: executions, or seconds with an s behind it",
    )
    group.addoption(
        "--memremap-replay",
        action="append",
        default=[],
        metavar="TOKEN",
        help="run what memremap-emu check or explore has found as a test, too; may be repeated",
    )


def _version(config: pytest.Config) -> str:
    """Of the fixture ``kernel``."""
    asked: str | None = config.getoption("--memremap-version")
    return DEFAULT_VERSION if asked is None else asked


# Before the first conftest.py, whose own profiles of the same names are those that count.
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Registers profiles where Hypothesis is installed, and leaves the one in use as it is."""
    try:
        profiles.register()
    except ImportError:
        return
    except ValueError as e:
        raise pytest.UsageError(f"MEMREMAP_EMU_EXAMPLES: {e}") from None


# Before Hypothesis loads the profile that it is told.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Refuses versions that there are not, and what is no budget or token."""
    if "hypothesis" in sys.modules:
        profiles.settle()
    asked = config.getoption("--memremap-budget")
    try:
        budget.chosen = None if asked is None else budget.Budget.read(asked)
    except ValueError as e:
        raise pytest.UsageError(f"--memremap-budget: {e}") from None
    try:
        select(_version(config))
    except ValueError as e:
        raise pytest.UsageError(f"--memremap-version: {e}") from None
    for token in config.getoption("--memremap-replay"):
        try:
            if token.startswith(tokens.PROGRAM_PREFIX):
                tokens.decode_program(token)
            else:
                tokens.decode(token)
        except tokens.TokenError as e:
            raise pytest.UsageError(f"--memremap-replay: {e}") from None


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> ScenarioFile | None:
    """Scenarios, as ``memremap-emu fuzz`` writes them: ``*.scenario.json``."""
    if file_path.name.endswith(".scenario.json"):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """A file of scenarios."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test for each; an error of collection for what is none."""
        try:
            scenarios = scenario.load(self.path)
        except (scenario.ScenarioError, OSError) as e:
            raise self.CollectError(str(e)) from None
        for number, found in enumerate(scenarios):
            item = ScenarioItem.from_parent(self, name=found.id)
            item.number = number
            yield item


class ScenarioItem(pytest.Item):
    """A scenario as a test: it fails as long as its violation shows."""

    number: int

    def runtest(self) -> None:
        """Runs it on the version that ``--memremap-version`` names, else on its program's own."""
        wanted = scenario.load(self.path)[self.number]
        version = self.config.getoption("--memremap-version")
        if version is None and wanted.program is not None:
            version = wanted.program.version
        kernel = DEFAULT_VERSION if version is None else version
        outcome = scenario.run(wanted, select(kernel), columns=True)
        if outcome.status is scenario.Status.NOT_APPLICABLE:
            pytest.skip(f"does not apply to {kernel}")
        if outcome.status is scenario.Status.MISSING:
            pytest.skip(f"undecided: {wanted.missing or ', '.join(outcome.history)}")
        # Not by assert: what pytest adds to that depends on how this package is installed.
        if outcome.status is scenario.Status.VIOLATED:
            shown = columns.shorten(outcome.columns, _LONGEST)
            log = "".join(f"  | {line}\n" for line in outcome.log)
            raise AssertionError(f"{wanted.title}\n{shown}{log}{_again(self, version)}")

    def reportinfo(self) -> tuple[Path, None, str]:
        """What pytest calls it."""
        return self.path, None, f"{self.path.name}: {self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        """What the scenario showed, not this file."""
        return str(excinfo.value)


class Replayed(pytest.Item):
    """An experiment as a test."""

    token: str

    def runtest(self) -> None:
        """Runs it; AssertionError with what it did if its violation shows."""
        if self.token.startswith(tokens.PROGRAM_PREFIX):
            self._run_program()
            return
        replay = tokens.decode(self.token)
        if replay.experiment.program.tasks:
            outcome = interleavings.execute(replay.experiment)
        else:
            outcome = runs.execute(replay.experiment, columns=True)
        outcome.columns = columns.shorten(outcome.columns, _LONGEST)
        same = next((f for f in outcome.findings if tokens.digest(f.cause) == replay.digest), None)
        if same is not None:
            raise AssertionError(report.replay_as_text(replay, outcome, same))

    def _run_program(self) -> None:
        replay = tokens.decode_program(self.token)
        outcome = replay.program.replay(replay.schedule)
        outcome = replace(outcome, columns=columns.shorten(outcome.columns, _LONGEST))
        same = next(
            (v for v in outcome.violations if tokens.digest(v.cause) == replay.digest), None
        )
        if same is not None:
            text = report.program_replay_as_text(replay, outcome, True)
            # The first line is what pytest's summary shows.
            raise AssertionError(f"{same.kind}: {same.message}\n{text}")

    def reportinfo(self) -> tuple[str, None, str]:
        """What pytest calls it."""
        return "memremap-emu replay", None, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        """The experiment, not this file."""
        return f"{excinfo.value}\nmemremap-emu replay {self.token}"


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Adds the experiments that are to be run again."""
    for number, token in enumerate(session.config.getoption("--memremap-replay")):
        item = Replayed.from_parent(session, name=f"memremap-replay-{number}")
        item.token = token
        items.append(item)


# --- the fixtures ---


def _again(item: pytest.Item, version: str | None) -> str:
    """The line that runs a test again, from where pytest was called."""
    chosen = () if version is None else ("--memremap-version", version)
    # Ids of tests are relative to pytest's root.
    path = os.path.relpath(item.path, item.config.invocation_params.dir)
    _, separator, name = str(item.nodeid).partition("::")
    return shlex.join(["pytest", f"{path}{separator}{name}", *chosen])


def _fail_if_broken(kernel: _Watched) -> None:
    """Fails for violations that have not been told yet."""
    found = kernel.found()
    untold, kernel.told = found[kernel.told :], len(found)
    if untold:
        raise _Unseen(untold) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """What the watchers of ``kernel`` have found fails the test, in itself and not after it."""
    __tracebackhide__ = True
    try:
        answer = yield
    except pytest.skip.Exception:
        # Why the rest is skipped does not matter any more.
        if (kernel := item.stash.get(_KERNEL, None)) is not None:
            _fail_if_broken(kernel)
        raise
    if (kernel := item.stash.get(_KERNEL, None)) is not None:
        _fail_if_broken(kernel)
    return answer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Destroys ``kernel`` when every fixture that may have used it is gone."""
    try:
        return (yield)
    except BaseException:
        if (kernel := item.stash.get(_KERNEL, None)) is not None:
            with suppress(RuntimeError):  # in use by a thread that the test has left behind
                kernel.keep()
        raise
    finally:
        if (kernel := item.stash.get(_KERNEL, None)) is not None:
            kernel.destroy()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what each call did on its ``kernel``, and how to run it again."""
    made = yield
    kernel = item.stash.get(_KERNEL, None)
    if kernel is not None and call.excinfo is not None:
        try:
            # Whoever expects a failure, expects it with what was found until then.
            kernel.told = len(kernel.found())
            shown = _show(item, kernel) if made.failed else ""
        except RuntimeError as e:
            shown = f"{e}\n"  # in use by a thread that the test has left behind
        if made.failed:
            _add_section(made, "kernel", shown)
    if call.when == "teardown" and kernel is not None:
        del item.stash[_KERNEL]
    return made


def _show(item: pytest.Item, kernel: _Watched) -> str:
    seen = kernel.seen()
    text = columns.render_calls(seen.events, [str(violation) for violation in seen.violations])
    log = "".join(f"  {line}\n" for line in seen.log[-_LOG_LINES:])
    version = _version(item.config)
    return f"{columns.shorten(text, _LONGEST)}{log}{_again(item, version)}\n"


def _add_section(made: pytest.TestReport, name: str, text: str) -> None:
    """Below the traceback, where reports for machines have it, too."""
    add = getattr(made.longrepr, "addsection", None)
    if add is None:
        made.sections.append((name, text))
    else:
        add(name, text)


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel; what its watchers find fails the test."""
    version = _version(request.config)
    made = _Watched.select(version, cpus=2, on_violation="record", trace=True)
    assert isinstance(made, _Watched)
    request.node.stash[_KERNEL] = made
    yield made
    # What fixtures have broken that went before it.
    _fail_if_broken(made)


@pytest.fixture
def iomem(kernel: Kernel) -> IoMem:
    """A memory map with persistent memory, loaded into ``kernel``."""
    kernel.iomem.load(_MAP)
    return kernel.iomem
