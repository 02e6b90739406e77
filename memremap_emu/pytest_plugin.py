# SPDX-License-Identifier: GPL-2.0-only
"""pytest: a kernel as a fixture, whose violations fail the test that has it.

Loaded by pytest itself wherever the package is installed.

``kernel``
    A `memremap_emu.Kernel` of the checked build, two CPUs, of the version that
    ``--memremap-version`` names.  What its watchers have found when the test is over fails the
    test, also if nobody looked, and is shown with what each call did: `columns.render_calls`.
``iomem``
    The memory map of ``kernel``: 3 GiB of System RAM and 1 GiB of persistent memory at 5 GiB.

``--memremap-budget N`` (executions) or ``Ns`` (seconds) is how far each exploration of
`memremap_emu.stateful.checks_shutdown` goes; ``--hypothesis-profile`` takes those of
`memremap_emu.profiles`, too.

``--memremap-replay TOKEN`` runs what ``memremap-emu check`` or ``explore`` has found again as a
test of its own, which fails as long as its violation shows.  Files ``*.scenario.json``, as
``memremap-emu fuzz`` writes them, are tests of the same kind.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from memremap_emu import budget, columns, interleavings, profiles, report, runs, scenario, tokens
from memremap_emu.iomem import IoMem
from memremap_emu.kernel import Kernel
from memremap_emu.versions import DEFAULT_VERSION, select

_MAP = "00100000-bfffffff : System RAM\n140000000-17fffffff : Persistent Memory\n"


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
        help="run this experiment of memremap-emu check as a test, too",
    )


# Before Hypothesis loads the profile that it is told.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Registers profiles; refuses versions that there are not, and what is no budget or token."""
    if config.getoption("--hypothesis-profile", None) in profiles.NAMES:
        try:
            profiles.register()
        except ValueError as e:
            raise pytest.UsageError(f"MEMREMAP_EMU_EXAMPLES: {e}") from None
    asked = config.getoption("--memremap-budget")
    try:
        budget.chosen = None if asked is None else budget.Budget.read(asked)
    except ValueError as e:
        raise pytest.UsageError(f"--memremap-budget: {e}") from None
    try:
        select(config.getoption("--memremap-version") or DEFAULT_VERSION)
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
        """One test for each; `memremap_emu.scenario.ScenarioError` for what is none."""
        for number, found in enumerate(scenario.load(self.path)):
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
        kernel = select(version or DEFAULT_VERSION)
        outcome = scenario.run(wanted, kernel)
        log = "".join(f"  | {line}\n" for line in outcome.log)
        records = "".join(f"{r.kind}: {r.message}\n" for r in outcome.records)
        if outcome.status is scenario.Status.MISSING:
            pytest.skip(f"undecided: {wanted.missing or ', '.join(outcome.history)}")
        # Not by assert: what pytest adds to that depends on how this package is installed.
        if outcome.status is scenario.Status.VIOLATED:
            raise AssertionError(f"{wanted.title}\n{log}{records}")

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
        execute = interleavings.execute if replay.experiment.program.tasks else runs.execute
        outcome = execute(replay.experiment)
        same = next((f for f in outcome.findings if tokens.digest(f.cause) == replay.digest), None)
        if same is not None:
            raise AssertionError(report.replay_as_text(replay, outcome, same))

    def _run_program(self) -> None:
        replay = tokens.decode_program(self.token)
        outcome = replay.program.replay(replay.schedule)
        same = any(tokens.digest(v.cause) == replay.digest for v in outcome.violations)
        if same:
            raise AssertionError(report.program_replay_as_text(replay, outcome, same))

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


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel; what its watchers find fails the test."""
    version = request.config.getoption("--memremap-version") or DEFAULT_VERSION
    with Kernel.select(version, cpus=2, on_violation="record", trace=True) as k:
        yield k
        if k.violations:
            broken = [str(violation) for violation in k.violations]
            shown = columns.render_calls(k.trace.events(), broken)
            log = "".join(f"\n  {line}" for line in k.dmesg[-24:])
            again = shlex.join(["pytest", request.node.nodeid, "--memremap-version", version])
            pytest.fail(f"{shown}{log}\n{again}", pytrace=False)


@pytest.fixture
def iomem(kernel: Kernel) -> IoMem:
    """A memory map with persistent memory, loaded into ``kernel``."""
    kernel.iomem.load(_MAP)
    return kernel.iomem
