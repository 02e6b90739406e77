# SPDX-License-Identifier: GPL-2.0-only
"""What README.md and the pages of docs/ show is what happens.

The fenced blocks of a page are run in order, in a directory of the page's own:

``python``
    is executed, in one namespace for the page.  What it prints, and the exception that ends it as
    Python shows it, is the ``text`` block that follows, letter for letter; without one it prints
    nothing.
``console``
    has commands behind ``$``, run by the shell, and what they print.
``sh``
    is not run, but every ``memremap-emu`` in it is a command line that the parser takes.
any, directly below ``<!-- file: NAME -->``
    is written to this file; ``python`` is not executed then.
any, directly below ``<!-- not run: REASON -->``
    is left alone; pytest lists these, with the reason.

In an output, a line ``...`` stands for any number of lines, and ``...`` at the end of a line for
the rest of it: for times, counts of executions, names that compilers leave or inline, and tokens,
which the version of zlib has a part in.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import memremap_emu
from memremap_emu import bench, cli, cli_fuzz
from memremap_emu._native import library
from memremap_emu.exploration import Strategy
from memremap_emu.operations import CALLS, STEPS

ROOT = Path(__file__).parent.parent
PAGES = sorted(path.relative_to(ROOT) for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(
    r"^(?:<!-- (?P<what>file|not run): (?P<value>[^\n]*) -->\n)?"
    r"^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
#: Where sessions go on: no colour, no width of somebody's terminal.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
    "COLUMNS": "80",
    "NO_COLOR": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language and text, and what is said about it."""

    page: Path
    line: int
    language: str
    body: str
    file: str = ""
    not_run: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path, text: str | None = None) -> list[Block]:
    """The fenced blocks of a page."""
    text = (ROOT / page).read_text() if text is None else text
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("fence")) + 1
        notes = {(match["what"] or "").replace(" ", "_"): match["value"]}
        notes.pop("", None)
        found.append(Block(page, line, match["language"].strip(), match["body"], **notes))
    return found


def same(shown: str, real: str) -> bool:
    """Is an output as shown?  ``...`` as in the docstring above."""
    pattern = ""
    for line in shown.splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*"
        elif line.endswith("..."):
            pattern += re.escape(line.removesuffix("...")) + r".*\n"
        else:
            pattern += re.escape(line) + r"\n"
    return re.fullmatch(pattern, real) is not None


def expect(block: Block, shown: str, real: str) -> None:
    if not same(shown, real):
        assert real == shown, f"{block.place} shows another output"
        pytest.fail(f"{block.place} shows another output than\n{real}")


def execute(block: Block, namespace: dict[str, object], directory: Path) -> str:
    """What a block prints, and the exception that ends it."""
    printed = io.StringIO()
    code = compile("\n" * block.line + block.body, str(ROOT / block.page), "exec")
    with contextlib.chdir(directory), contextlib.redirect_stdout(printed):
        try:
            exec(code, namespace)
        except Exception as e:
            printed.write("".join(traceback.format_exception_only(e)))
    return printed.getvalue()


def commands(session: str) -> Iterator[tuple[str, str]]:
    """The commands of a session, each with what it prints."""
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield line, output


def run_page(page: Path, text: str | None, directory: Path) -> None:
    """Runs the blocks of a page, and compares."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = blocks(page, text)
    for block, after in zip(found, [*found[1:], None], strict=False):
        if block.not_run:
            continue
        if block.file:
            (directory / block.file).write_text(block.body)
        elif block.language == "python":
            shown = after.body if after and after.language == "text" else ""
            expect(block, shown, execute(block, namespace, directory))
        elif block.language == "console":
            for line, output in commands(block.body):
                run = subprocess.run(
                    ["sh", "-c", line],
                    cwd=directory,
                    env=ENVIRONMENT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                expect(block, output, run.stdout)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_page_shows_what_happens(page: Path, tmp_path: Path) -> None:
    run_page(page, None, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_outputs_stand_below_what_prints_them(page: Path) -> None:
    found = blocks(page)
    for before, block in zip([None, *found], found, strict=False):
        if block.language == "text":
            assert before is not None and before.language == "python", block.place
            assert not before.file and not before.not_run, block.place
        if block.language == "console":
            assert block.body.startswith("$ "), block.place


SHELL = [b for page in PAGES for b in blocks(page) if b.language == "sh"]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_command_lines_are_those_of_the_command(block: Block) -> None:
    for line in block.body.replace("\\\n", "").splitlines():
        for command in re.split(r"&&|\|", line):
            words = shlex.split(command, comments=True)
            if words and words[0].endswith("memremap-emu"):
                cli.parser().parse_args(words[1:])


def test_blocks_that_are_not_run_say_why() -> None:
    not_run = [block for page in PAGES for block in blocks(page) if block.not_run]
    assert all(len(block.not_run.split()) > 2 for block in not_run), "a reason, please"
    if not_run:
        pytest.skip("; ".join(f"{block.place}: {block.not_run}" for block in not_run))


def test_every_public_module_is_in_the_reference() -> None:
    shown = [
        name
        for page in ROOT.glob("docs/reference/python/*.md")
        for name in re.findall(r"^   (memremap_emu\S*)$", page.read_text(), re.MULTILINE)
    ]
    modules = [m.name for m in pkgutil.iter_modules(memremap_emu.__path__, "memremap_emu.")]
    public = [name for name in modules if not name.rpartition(".")[2].startswith("_")]
    missing = {"memremap_emu", *public} - set(shown)
    assert not missing, "list them in the page of docs/reference/python/ where they belong"
    assert len(shown) == len(public) + 1


# --- what has no output that could be compared ---


def test_exit_statuses_are_those_of_the_commands() -> None:
    text = (ROOT / "docs/howto/use-it-in-ci.md").read_text()
    shown = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert shown == {cli.OK, cli.VIOLATIONS, cli.BAD_INPUT, cli_fuzz.DIED, cli.INTERRUPTED}


def names_in(value: Any, *, but: str) -> set[str]:
    """Names of all fields, those below one of the name ``but`` excepted."""
    if isinstance(value, list):
        return set().union(*(names_in(one, but=but) for one in value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(names_in(v, but=but) for k, v in value.items() if k != but))


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("check", ["--iomem", "map", "--sequential", "--driver", "dax_pmem", "--max-faults", "0"]),
        ("explore", ["program.json"]),
        ("bugs", ["--version", "v5.2"]),
        ("versions", []),
        ("bench", []),
        ("fuzz", ["--minutes", "0.02", "--seed", "3"]),
    ],
)
def test_fields_of_json_are_those_of_the_page(
    command: str,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("memremap_emu.cli_bench.figures", lambda: [bench.Figure("a", "s", 1, 2)])
    (program,) = (b for b in blocks(Path("docs/programs.md")) if b.file == "pmem.json")
    Path("program.json").write_text(program.body)
    Path("map").write_text("140000000-147ffffff : Persistent Memory\n")
    form = [] if command == "fuzz" else ["--format", "json"]
    assert cli.main([command, *arguments, *form]) in (0, 1)
    printed = capsys.readouterr().out
    found = names_in(
        [json.loads(text) for text in (printed.splitlines() if command == "fuzz" else [printed])],
        but="program",
    )
    page = (ROOT / "docs/reference/json.md").read_text()
    (section,) = re.findall(rf"^## {command}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    shown = set(re.findall(r"`(\w+)`", " ".join(rows)))
    if command == "versions":
        shown |= {"name", "title", "needs", "series"}
    if command == "fuzz" and "file" not in found:
        # On a slow machine nothing has been found yet.
        shown -= {"file", "kind", "message", "pair"}
    assert found == shown


def test_operations_and_steps_of_programs_are_those_of_the_tables() -> None:
    _, operations, steps = re.split(
        r"^\| (?:operation|step) \|", (ROOT / "docs/programs.md").read_text(), flags=re.MULTILINE
    )
    shown: dict[str, str] = {}
    for row in (line.split("|") for line in operations.splitlines() if line.startswith("| `")):
        calls = [text.split()[0] for text in re.findall(r"`([^`]+)`", row[1])]
        places = row[2].strip().split(" / ")
        for call, place in zip(calls, places if len(places) > 1 else places * 99, strict=False):
            shown["percpu_ref" + call if call.startswith("_") else call] = place
    assert shown == {
        name: "both" if call.setup and call.task else "set-up" if call.setup else "tasks"
        for name, call in CALLS.items()
    }
    rows = [line.split("|")[1] for line in steps.splitlines() if line.startswith("| `")]
    assert {text.split()[0] for text in re.findall(r"`([^`]+)`", " ".join(rows))} == set(STEPS)


def test_every_strategy_is_in_the_table_of_the_design() -> None:
    text = (ROOT / "docs/design.md").read_text()
    table = text[text.index("| strategy | |") :].split("\n\n")[0]
    shown = re.findall(r"`([a-z]+)`", "".join(r.split("|")[1] for r in table.splitlines()))
    assert sorted(shown) == sorted(strategy.name.lower() for strategy in Strategy)


CSRC = ROOT / "csrc"
needs_sources = pytest.mark.skipif(not CSRC.exists(), reason="an installed package has no sources")
KERNEL_DOC = re.compile(
    r"^/\*\*\n \* (?P<name>\w+)\(\) - (?P<text>(?:(?!\*/).)*)\*/\n"
    r"(?P<declaration>(?![#/])[^;{]*)[;{]",
    re.MULTILINE | re.DOTALL,
)


def parameters(declaration: str) -> list[str]:
    """Names of the parameters of a function, in order."""
    inside = re.sub(r"\[[^]]*\]", "", declaration[declaration.index("(") + 1 :])
    inside = re.sub(r"\(\*(\w+)\)\([^()]*\)", r"\1", inside[: inside.rindex(")")])
    return [re.findall(r"\w+|\.\.\.", p)[-1] for p in inside.split(",") if p not in ("", "void")]


@needs_sources
def test_kernel_doc_that_names_parameters_names_those_of_the_function() -> None:
    """In their order; a comment of one sentence may name none."""
    seen, wrong = 0, []
    for path in CSRC.rglob("*.[ch]"):
        for found in KERNEL_DOC.finditer(path.read_text()):
            seen += 1
            described = re.findall(r"^ \* @(\w+|\.\.\.): ", found["text"], re.MULTILINE)
            function = re.search(r"(\w+)\(", found["declaration"])
            assert function, found[0]
            real = parameters(found["declaration"])
            if function[1] != found["name"] or (described and described != real):
                wrong.append(f"{path.name}: {found['name']}() has {real}, not {described}")
    assert not wrong and seen > 200


@needs_sources
def test_header_describes_every_letter_of_a_signature() -> None:
    native = library(True)
    header = (CSRC / "include/memremap_emu.h").read_text()
    text = re.search(r"\* Signature of an operation:(.*?)\*/", header, re.DOTALL)
    assert text
    objects, _, results = text[1].partition("Results:")
    used = {letter for op in native.ops.values() for letter in op.args}
    described = set(re.findall(r"\b([A-Zisx]) [a-z]", objects))
    assert {c if c in "isx" else c.upper() for c in used} == described
    assert {op.result for op in native.ops.values()} <= described | set(
        re.findall(r"\b([a-z]) (?:a |nothing|truth|number)", results)
    )


PAGE = """\
```python
x = 1
print(x)
```

```text
1
```

```python
assert x == 2, x
```

```text
AssertionError: 1
```

<!-- file: greeting -->
```
hello
```

<!-- not run: takes a week -->
```python
print(2)
```

```console
$ cat greeting; echo $?
hello
0
$ cat nothing; echo 1.5 seconds
...
1...
```
"""


def test_runner_accepts_a_page_that_is_right(tmp_path: Path) -> None:
    run_page(Path("page.md"), PAGE, tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("```text\n1", "```text\n2"),
        ("AssertionError: 1", "AssertionError: 2"),
        ("AssertionError: 1", "AssertionError"),
        ("```text\n1\n```", ""),
        ("print(x)", "print(x, end='')"),
        ("print(x)", "print(y)"),
        ("<!-- not run: takes a week -->", ""),
        ("\nhello\n0", "\nhello\n1"),
        ("\nhello\n0", "\nhello"),
        ("\nhello\n```", "\nbye\n```"),
        ("...\n1", "1"),
        ("1...", "2..."),
    ],
)
def test_runner_notices_what_is_wrong(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in PAGE
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run_page(Path("page.md"), PAGE.replace(right, wrong, 1), tmp_path)
