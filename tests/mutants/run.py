#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Seeds each defect of the table in a copy of the tree and asks whether it is found.

The copy is built once.  Then, for each mutant, the one file is compiled with its defect and
linked with all other objects, and the experiment of its row runs with that; it must show a
violation of a kind that the row names.  The same experiment on the unmutated build must show none.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutants import table

#: Of an experiment: seconds, and bytes of address space.
TIMEOUT = 60
MEMORY = 2 << 30
MODULE = "memremap_emu._checked"
#: What would change how the copy is built.
_BUILD_VARIABLES = ("MEMREMAP_EMU_WERROR", "MEMREMAP_EMU_SANITIZE", "MEMREMAP_EMU_COVERAGE")

#: setup.py for one module: the plain one is not looked at.
_BUILD = """
import runpy, setuptools
setup = setuptools.setup
setuptools.setup = lambda **given: setup(
    **{**given, "cffi_modules": ["memremap_emu/_build.py:checked"]}
)
runpy.run_path("setup.py", run_name="__main__")
"""


@dataclass
class Verdict:
    """How a mutant, or an experiment on the unmutated build, ended.

    Attributes:
        status: ``found``, ``survived``, ``other kind``, ``build failed``, ``failed``; of an
            unmutated build ``clean`` or ``violations``
        kinds: of the violations that were shown
        detail: the first violation, or what went wrong
        executions: of the experiment
        exhaustive: whether these were all; None: there is one schedule
        seconds: compiling, linking and running
    """

    status: str
    kinds: list[str] = field(default_factory=list)
    detail: str = ""
    executions: int = 0
    exhaustive: bool | None = None
    seconds: float = 0.0


class BuildError(Exception):
    """A command of the build failed, with what it said."""


def _end(said: str) -> str:
    """What a compiler complains of comes last; commands are too long to be shown."""
    return "\n".join(line for line in said.splitlines()[-40:] if len(line) < 300)


def _run(command: list[str], cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in _BUILD_VARIABLES}
    environment["MEMREMAP_EMU_LTO"] = "0"  # it is built a hundred times
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise BuildError(
            f"{shlex.join(command[:2])} ...: status {done.returncode}\n{_end(done.stdout)}"
        )
    return done.stdout


def _link_all(there: Path, here: Path) -> None:
    for entry in there.iterdir():
        (here / entry.name).symlink_to(entry)


class Tree:
    """A copy of the tree, built, and the commands that built its checked module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        for name in ("csrc", "memremap_emu"):
            ignored = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(table.ROOT / name, path / name, ignore=ignored)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(table.ROOT / name, path)
        (path / "build.py").write_text(_BUILD)
        said = _run(
            [sys.executable, "build.py", "-v", "build_ext", "--inplace", "--build-temp", "build"],
            path,
        )
        self._compile: dict[str, list[str]] = {}
        self._link: list[str] = []
        for line in said.splitlines():
            if MODULE not in line or " -o " not in line:
                continue
            command = shlex.split(line)
            if "-c" in command:
                self._compile[command[command.index("-c") + 1]] = command
            elif "-shared" in command:
                self._link = command
        if not self._compile or not self._link:
            raise BuildError(f"setup.py did not show its commands:\n{_end(said)}")

    def build(self, mutant: table.Mutant, path: Path) -> None:
        """Makes a memremap_emu in ``path`` that has the defect.

        Raises:
            TableError: the mutant does not fit the sources.
            BuildError: it does not compile.
        """
        source = f"csrc/{mutant.file}"
        text = mutant.mutated(self.path / "csrc")
        path.mkdir()
        # The tree, with what is on the way to this file made anew.
        here, there = path, self.path
        for name in Path(source).parts[:-1]:
            here, there = here / name, there / name
            here.mkdir()
            _link_all(there, here)
            (here / Path(source).parts[len(here.relative_to(path).parts)]).unlink()
        (path / source).write_text(text)
        package = path / "memremap_emu"
        package.mkdir()
        _link_all(self.path / "memremap_emu", package)
        for built in package.glob("_checked*"):
            built.unlink()
        command = list(self._compile[source])
        where = command.index("-o") + 1
        old, new = command[where], str(path / "mutant.o")
        command[where] = new
        _run(command, path)
        command = [new if word == old else word for word in self._link]
        where = command.index("-o") + 1
        command[where] = str(package / Path(command[where]).name)
        _run(command, self.path)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def experiments(path: Path, all_finds: list[dict[str, Any]]) -> list[Verdict]:
    """Runs experiments, one after the other, with the memremap_emu in ``path``."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, str(table.FOLDER / "experiment.py")],
            input="".join(json.dumps(finds) + "\n" for finds in all_finds),
            cwd=path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT * len(all_finds),
            preexec_fn=_limit,
        )
        answers, said, status = done.stdout, done.stderr, f"status {done.returncode}"
    except subprocess.TimeoutExpired as e:
        answers = e.stdout.decode() if e.stdout else ""
        said = status = f"no answer after {TIMEOUT} s"
    verdicts = [_verdict(json.loads(line)) for line in answers.splitlines()]
    while len(verdicts) < len(all_finds):
        verdicts.append(Verdict("failed", detail=(said.strip() or status).splitlines()[-1]))
    return verdicts


def _verdict(shown: dict[str, Any]) -> Verdict:
    violations = shown["violations"]
    return Verdict(
        "violations" if violations else "clean",
        list(dict.fromkeys(kind for kind, _ in violations)),
        "; ".join(dict.fromkeys(f"{kind}: {message}" for kind, message in violations)),
        shown["executions"],
        shown["exhaustive"],
    )


def judge(mutant: table.Mutant, shown: Verdict) -> Verdict:
    """What an experiment's outcome says about a mutant."""
    if shown.status == "clean":
        shown.status = "survived"
    elif shown.status == "violations":
        wanted = set(mutant.kinds) & set(shown.kinds) or mutant.survives
        shown.status = "found" if wanted else "other kind"
    return shown


def is_right(mutant: table.Mutant, verdict: Verdict) -> bool:
    """Is it what the table says?"""
    return verdict.status == ("survived" if mutant.survives else "found")


def is_clean(verdict: Verdict) -> bool:
    """Does an experiment show nothing, in any schedule?"""
    return verdict.status == "clean" and verdict.exhaustive is not False


def try_mutant(tree: Tree, mutant: table.Mutant, path: Path) -> Verdict:
    """Builds it and runs its experiment."""
    started = time.monotonic()
    try:
        tree.build(mutant, path)
    except (BuildError, table.TableError) as e:
        return Verdict("build failed", detail=str(e))
    verdict = judge(mutant, experiments(path, [mutant.finds])[0])
    verdict.seconds = time.monotonic() - started
    shutil.rmtree(path)
    return verdict


def _extent(verdict: Verdict) -> str:
    bound = "+" if verdict.exhaustive is False else ""
    return f"{verdict.executions}{bound}"


def main() -> int:
    """Runs the table; 0 if every mutant is found and every experiment is clean without."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("-j", "--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-v", "--verbose", action="store_true", help="show what was violated")
    arguments = parser.parse_args()
    try:
        mutants = table.read()
        for mutant in mutants:
            mutant.mutated(table.ROOT / "csrc")
    except table.TableError as e:
        print(e)
        return 2
    unknown = set(arguments.names) - {mutant.name for mutant in mutants}
    if unknown:
        print(f"not in the table: {', '.join(sorted(unknown))}")
        return 2
    if arguments.names:
        mutants = [mutant for mutant in mutants if mutant.name in arguments.names]

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memremap_emu.mutants.") as work:
        try:
            tree = Tree(Path(work) / "tree")
        except BuildError as e:
            print(e)
            return 2
        print(f"{time.monotonic() - started:.0f} s  the unmutated build")
        unmutated = {json.dumps(m.finds, sort_keys=True): m.finds for m in mutants}
        # In as many processes as there are jobs: each has to load it all.
        shares = [list(unmutated)[i :: arguments.jobs] for i in range(arguments.jobs)]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            parts = pool.map(
                lambda share: experiments(tree.path, [unmutated[text] for text in share]),
                [share for share in shares if share],
            )
            clean = {
                text: verdict
                for share, part in zip(shares, parts, strict=False)
                for text, verdict in zip(share, part, strict=True)
            }
            verdicts = list(pool.map(lambda m: try_mutant(tree, m, Path(work) / m.name), mutants))
    wrong = [m.name for m, v in zip(mutants, verdicts, strict=True) if not is_right(m, v)]
    print(f"{'':14}{'mutant':40}{'file':26}{'executions':>10}  {'s':>4}  violations")
    for mutant, verdict in zip(mutants, verdicts, strict=True):
        known = " (known)" if mutant.survives and verdict.status == "survived" else ""
        print(
            f"{verdict.status:14}{mutant.name:40}{mutant.file:26}{_extent(verdict):>10}  "
            f"{verdict.seconds:4.1f}  {', '.join(verdict.kinds)}{known}"
        )
        if verdict.detail and (arguments.verbose or mutant.name in wrong):
            print("    " + verdict.detail.replace("\n", "\n    "))
    unclean = {text: verdict for text, verdict in clean.items() if not is_clean(verdict)}
    for text, verdict in unclean.items():
        why = verdict.detail or f"more than {verdict.executions} executions"
        print(f"without a defect: {text}: {verdict.status}: {why}")
    survivors = sum(bool(mutant.survives) for mutant in mutants)
    print(
        f"{len(mutants)} mutants, {sum(v.status == 'found' for v in verdicts)} found, "
        f"{survivors} known to survive, {len(wrong)} not as the table says; "
        f"{len(clean)} experiments, {len(unclean)} not clean without a defect; "
        f"{time.monotonic() - started:.0f} s"
    )
    if wrong:
        print(f"not as the table says: {', '.join(wrong)}")
    return 1 if wrong or unclean else 0


if __name__ == "__main__":
    sys.exit(main())
