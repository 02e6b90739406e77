# SPDX-License-Identifier: GPL-2.0-only
"""The command ``memremap-emu``: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memremap_emu import cli, ranges, runs, tokens
from memremap_emu.exploration import Strategy

REAL_MAP = Path(ranges.__file__).parent / "maps" / "xeon-hpsa-memmap-4g.txt"
SMALL = "00100000-bfffffff : System RAM\n140000000-17fffffff : Persistent Memory\n"
#: Persistent memory, one schedule: what is quick and of a known extent.
PMEM_SEQUENTIAL = ("--sequential", "--driver", "pmem", "--driver", "dax_pmem")
KINDS = {
    "hang",
    "use-after-free",
    "out-of-bounds",
    "double-free",
    "uninitialized",
    "memmap-removed",
    "refcount",
    "data-race",
    "lock-order",
    "atomic-sleep",
    "soft-lockup",
    "leak",
    "contract",
    "warn",
    "bug",
}


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "iomem"
    path.write_text(SMALL)
    return str(path)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own, as a user does."""
    script = Path(sys.executable).parent / "memremap-emu"
    start = [str(script)] if script.exists() else [sys.executable, "-m", "memremap_emu"]
    return subprocess.run([*start, *arguments], capture_output=True, text=True, timeout=120)


def test_python_dash_m_and_the_installed_script_are_the_same_command() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "memremap_emu", "--help"], capture_output=True, text=True
    )
    assert found.returncode == 0
    assert "check" in found.stdout and "replay" in found.stdout
    script = shutil.which("memremap-emu", path=str(Path(sys.executable).parent))
    if script is not None:
        assert subprocess.check_output([script, "--help"], text=True) == found.stdout


def test_check_finds_violations_on_a_real_map_and_exits_1_with_one_line_each_to_replay() -> None:
    found = command("check", "--iomem", str(REAL_MAP), "--max-faults", "0", *PMEM_SEQUENTIAL)
    assert (found.returncode, found.stderr) == (1, "")
    assert re.search(r"^pmem +fsdax +100000000-155dfffff +5 +1 violation$", found.stdout, re.M)
    assert re.search(
        r"^pmem +memory +100000000-155dfffff +2 +refused -ENXIO: devm_memremap_pages attempted "
        r"on mixed region ",
        found.stdout,
        re.M,
    )
    assert found.stdout.count("memmap-removed: ") == 2
    replays = re.findall(r"^   memremap-emu (replay \S+)$", found.stdout, re.M)
    assert len(replays) == 2
    assert re.search(r"^\d+ runs, \d+ executions: 2 distinct", found.stdout, re.M)
    for line in replays:
        again = command(*line.split())
        assert (again.returncode, again.stderr) == (1, "")
        assert "memmap-removed: struct page of pfn" in again.stdout
        assert again.stdout.endswith("reproduced\n")


def test_check_without_violations_exits_0(small: str) -> None:
    found = command(
        "check", "--iomem", small, "--version", "v5.2", "--max-faults", "0", *PMEM_SEQUENTIAL
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert "no violations" in found.stdout
    assert "replay" not in found.stdout


def test_json_has_the_documented_schema_and_nothing_else(small: str) -> None:
    found = command("check", "--iomem", small, "--format", "json", *PMEM_SEQUENTIAL)
    assert (found.returncode, found.stderr) == (1, "")
    report = json.loads(found.stdout)
    assert list(report) == ["schema", "version", "source", "runs", "totals"]
    assert (report["schema"], report["version"], report["source"]) == (1, "memremap-v6", small)
    for run in report["runs"]:
        assert list(run) == [
            "driver",
            "mode",
            "range",
            "program",
            "executions",
            "exhaustive",
            "violations",
        ]
        assert run["range"] == "140000000-17fffffff"
        assert run["exhaustive"] is True
        for violation in run["violations"]:
            assert list(violation) == ["kind", "message", "where", "replay"]
            assert violation["kind"] in KINDS
    totals = report["totals"]
    assert totals["runs"] == len(report["runs"])
    assert totals["executions"] == sum(r["executions"] for r in report["runs"])
    assert totals["violations"] > 0
    assert totals["errors"] == 0


def test_json_is_the_same_each_time(small: str) -> None:
    arguments = ("check", "--iomem", small, "--format", "json", "--max-executions", "20")
    assert command(*arguments).stdout == command(*arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--iomem", "{tmp}/none"], "{tmp}/none: No such file or directory"),
        (["--iomem", "{tmp}"], "{tmp}: Is a directory"),
        (["--iomem", "{tmp}/empty"], "{tmp}/empty: no memory map in it: the file is empty"),
        (["--iomem", "{tmp}/bad"], "{tmp}/bad:2: not a line of a memory map: 'foo'"),
        (["--iomem", "{tmp}/binary"], "{tmp}/binary:1: not a line of a memory map"),
        (["--iomem", "{tmp}/hidden"], "{tmp}/hidden:1: all addresses are zero"),
        (
            ["--iomem", "{tmp}/ram", "--driver", "pmem"],
            "{tmp}/ram: no persistent memory; --memmap",
        ),
        (["--iomem", "{tmp}/ram", "--driver", "p2pdma"], "{tmp}/ram: no BAR of a PCI function"),
        (["-j", "0"], "must be 1 to 256"),
        (["--iomem", "{tmp}/ram", "--memmap", "4G"], "--memmap 4G: persistent memory is SIZE!"),
        (["--iomem", "{tmp}/ram", "--memmap", "1M!3G"], "'PCI Bus 0000:00' of {tmp}/ram:2"),
        (["--driver", "nvme"], "unknown driver 'nvme'; known: pmem, dax_pmem"),
        (["--version", "v3.0"], "unknown version 'v3.0'; known: v4.19, memremap-v6"),
        (["--max-faults", "-1"], "must be a whole number"),
        (["--max-faults", "many"], "must be a whole number"),
        (["--max-faults", "9"], "must be a whole number, 0 to 8"),
        (["--budget", "0"], "must be a number, positive"),
        (["--budget", "soon"], "must be a number, positive"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_bad_input_is_exit_2_with_the_reason_on_stderr(
    tmp_path: Path, arguments: list[str], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "bad").write_text("1000-1fff : System RAM\nfoo\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "hidden").write_text("0-0 : System RAM\n0-0 : Persistent Memory\n")
    (tmp_path / "ram").write_text(
        "1000-bfffffff : System RAM\nc0000000-dfffffff : PCI Bus 0000:00\n"
    )
    given = [a.format(tmp=tmp_path) for a in arguments]
    try:
        status = cli.main(["check", *given])
    except SystemExit as e:
        status = int(e.code or 0)
    out, err = capfd.readouterr()
    assert (status, out) == (2, "")
    assert reason.format(tmp=tmp_path) in err
    assert "Traceback" not in err


def test_memmap_makes_a_range_and_the_source_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ram"
    path.write_text("1000-bfffffff : System RAM\n100000000-23fffffff : System RAM\n")
    status = cli.main(
        ["check", "--iomem", str(path), "--memmap", "1G!5G", "--max-faults", "0", "--sequential"]
    )
    out, err = capfd.readouterr()
    assert (status, err) == (1, "")
    assert f"memremap-v6 on {path} memmap=1G!5G\n" in out
    assert re.search(r"^pmem +fsdax +140000000-17fffffff", out, re.M)


def test_the_embedded_map_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hidden = tmp_path / "iomem"
    hidden.write_text("00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n")
    monkeypatch.setattr(ranges, "PROC_IOMEM", str(hidden))
    cli.main(["check", "--max-faults", "0", *PMEM_SEQUENTIAL])
    out, err = capfd.readouterr()
    note = "hides its addresses from this user: using the embedded map xeon-hpsa-memmap-4g.txt"
    assert note in out and err == ""
    cli.main(["check", "--max-faults", "0", "--format", "json", *PMEM_SEQUENTIAL])
    out, err = capfd.readouterr()
    assert note in err
    assert json.loads(out)["source"] == "embedded xeon-hpsa-memmap-4g.txt"


def test_progress_is_shown_on_a_terminal_and_not_in_a_pipe(small: str) -> None:
    arguments = [sys.executable, "-m", "memremap_emu", "check", "--iomem", small]
    arguments += PMEM_SEQUENTIAL
    assert subprocess.run(arguments, capture_output=True, text=True).stderr == ""
    ours, theirs = pty.openpty()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
        assert process.stdout is not None
        assert b"device" not in process.stdout.read()
    os.close(ours)
    assert re.search(rb"\r\x1b\[Kdevice \d of 6, \d+ executions, \d+ violations", shown)
    assert shown.endswith(b"\r\x1b[K")


def test_output_that_nobody_reads_to_its_end_gives_no_traceback() -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "memremap_emu"),
            *("check", "--iomem", str(REAL_MAP), *PMEM_SEQUENTIAL),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert b"Traceback" not in err


def test_internal_error_is_exit_2_with_a_token(
    small: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(self: runs.Run) -> str:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(runs.Run, "op_use", broken)
    few = ["--max-faults", "0", "--max-executions", "20", "-j1"]
    status = cli.main(["check", "--iomem", small, "--driver", "pmem", *few])
    err = capfd.readouterr().err
    assert status == 2
    assert "internal error: RuntimeError: broken on purpose" in err
    token = re.findall(r"memremap-emu replay (\S+)", err)[0]
    assert cli.main(["replay", token]) == 2
    monkeypatch.undo()
    assert cli.main(["replay", token]) == 0


def test_replay_of_what_does_not_show_any_more_is_exit_0(
    small: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.main(["check", "--iomem", small, "--max-faults", "0", "--driver", "dax_pmem"])
    token = re.findall(r"memremap-emu replay (\S+)", capfd.readouterr().out)[0]
    original = runs.execute
    monkeypatch.setattr(runs, "execute", lambda experiment, **_: runs.Outcome(history=["bind"]))
    assert cli.main(["replay", token]) == 0
    assert "not reproduced" in capfd.readouterr().out
    monkeypatch.setattr(runs, "execute", original)
    assert cli.main(["replay", token]) == 1


@pytest.mark.parametrize("trace", ["columns", "ftrace", "chrome"])
def test_replay_shows_a_run_of_one_task_as_every_trace(
    small: str, trace: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--max-faults", "0", "--driver", "dax_pmem", "--sequential"]
    cli.main(["check", "--iomem", small, *arguments])
    token = re.findall(r"memremap-emu replay (\S+)", capfd.readouterr().out)[0]
    assert cli.main(["replay", token, "--trace", trace]) == 1
    shown = capfd.readouterr().out
    assert "arch_remove_memory" in shown and "percpu_ref_exit" in shown
    if trace == "chrome":
        assert len(json.loads(shown)["traceEvents"]) > 100
    # What else is broken is not what was asked.
    fields = tokens._unpack(token.removeprefix(tokens.PREFIX))
    fields[2][1] ^= 1
    assert cli.main(["replay", tokens.PREFIX + tokens._pack(fields), "--trace", trace]) == 0


@pytest.mark.parametrize("token", ["", "x", "mre1.", "mre1.@@@", "mre1.AAAA", "mre1." + "A" * 400])
def test_replay_of_a_bad_token_is_exit_2(token: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", token]) == 2
    out, err = capfd.readouterr()
    assert out == "" and "token" in err


def test_explore_takes_every_strategy_but_the_one_that_needs_a_drawn_schedule(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for strategy in Strategy:
        command = ["explore", "p.json", "--strategy", strategy.name.lower()]
        if strategy is not Strategy.GUIDED:
            assert cli.parser().parse_args(command).strategy == command[-1]
            continue
        with pytest.raises(SystemExit) as caught:
            cli.main(command)
        assert caught.value.code == 2
        assert "invalid choice" in capfd.readouterr().err


def test_no_command_is_exit_2(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "COMMAND" in capfd.readouterr().err


def test_output_that_cannot_be_written_is_exit_status_2_and_one_line() -> None:
    start = [sys.executable, "-m", "memremap_emu", "check", "--sequential", "--driver", "pmem"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*start, "--memmap", "128M!4G", "--max-faults", "0"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == cli.BAD_INPUT
    assert done.stderr == "memremap-emu: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    ("closed", "status", "said"),
    [
        (2, cli.VIOLATIONS, ""),
        (1, cli.BAD_INPUT, "memremap-emu: the standard output is closed\n"),
    ],
)
def test_output_that_is_closed_from_the_start_gives_no_traceback(
    small: str, closed: int, status: int, said: str
) -> None:
    command = [sys.executable, "-m", "memremap_emu", "check", "--iomem", small, *PMEM_SEQUENTIAL]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (status, said)
    assert ("distinct violation" in done.stdout) == (closed == 2)


def test_characters_that_the_output_has_not_are_escaped(tmp_path: Path) -> None:
    """Half a character where there is UTF-8, and any beyond ASCII where there is not."""
    scenario = tmp_path / "own.scenario.json"
    scenario.write_text(
        """{"schema": 1, "id": "X", "title": "caf\\u00e9 \\ud800", "invariant": "",
        "memory": ["140000000-17fffffff : Persistent Memory"],
        "devices": {"d": {"driver": "pmem", "start": "0x140000000", "size": "1G"}},
        "steps": ["bind d"], "violations": [{"kind": "leak"}]}"""
    )
    for encoding, shown in {"utf-8": b"caf\xc3\xa9 \\ud800", "ascii": b"caf\\xe9 \\ud800"}.items():
        done = subprocess.run(
            [sys.executable, "-m", "memremap_emu", "bisect", str(scenario)],
            capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        assert done.stdout.startswith(b"X: " + shown) and not done.stderr, done
