# SPDX-License-Identifier: GPL-2.0-only
"""Replay tokens: an experiment and the violation that it showed, in one word.

A token has all that is needed to run the experiment again in any later process: the version,
the part of the memory map that matters, driver, mode, range, program and failing calls.  It is
JSON, deflated with a preset dictionary, in URL-safe base64 behind a name for the format.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

from memremap_emu.errors import Cause, ViolationRecord
from memremap_emu.experiments import (
    Experiment,
    Setup,
    mode_named,
    program_named,
)
from memremap_emu.faults import MAX_PLANS
from memremap_emu.iomem import IomemError, parse
from memremap_emu.program import Program

PREFIX = "mre1."
#: Of tokens of programs.
PROGRAM_PREFIX = "mrp1."
#: Larger than any memory map that `check` reads.
MAX_SIZE = 32 << 20
#: Of a schedule.
MAX_STEPS = 4096
#: Part of the format: what most tokens contain.
_DICTIONARY = (
    b"0000000-fffffff : Reserved\n    : Kernel code\n : Crash kernel\n  : namespace0.0\n"
    b"00100000-7fffffff : System RAM\n100000000-1ffffffff : Persistent Memory (legacy)\n"
    b'ffffffff : Persistent Memory\n",['
    b'"],"dax_pmem","plain","pmem","memory","raw","altmap","fsdax-altmap","fsdax",'
    b'"io-in-flight","pagemap-held","page-held","beside-second-device",'
    b'["memremap-v6","bind-use-unbind-rebind",["leak",'
)


class TokenError(ValueError):
    """It is no replay token, or not one that this version understands."""


@dataclass(frozen=True)
class Replay:
    """What a token says.

    Attributes:
        experiment: what to run
        kind: of the violation that it showed
        digest: of `memremap_emu.errors.cause`
    """

    experiment: Experiment
    kind: str
    digest: int


@dataclass(frozen=True)
class ProgramReplay:
    """What a token of a program says.

    Attributes:
        program: what to run
        kind: of the violation that it showed
        digest: of `memremap_emu.errors.cause`
        schedule: that showed it
    """

    program: Program
    kind: str
    digest: int
    schedule: bytes


def digest(cause: Cause) -> int:
    """Short number of a violation's cause."""
    return zlib.crc32("\0".join(cause).encode())


def encode(replay: Replay) -> str:
    """The token."""
    setup = replay.experiment.setup
    fields = [
        setup.version,
        replay.experiment.program.name,
        [replay.kind, replay.digest],
        setup.mode.driver,
        setup.mode.name,
        [setup.start, setup.end, setup.second],
        list(replay.experiment.faults),
        setup.iomem,
    ]
    if replay.experiment.program.tasks:
        fields.append(_runs(replay.experiment.schedule))
    return PREFIX + _pack(fields)


def _pack(fields: list[Any]) -> str:
    data = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    packed = deflate.compress(data) + deflate.flush()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def encode_program(program: Program, record: ViolationRecord, schedule: bytes) -> str:
    """The token of a program of one's own and a schedule that shows the violation."""
    document, runs = program.document(), _runs(schedule)
    return PROGRAM_PREFIX + _pack([document, record.kind, digest(record.cause), runs])


def decode_program(token: str) -> ProgramReplay:
    """Reads such a token.

    Raises:
        TokenError: with the reason.
    """
    if not token.startswith(PROGRAM_PREFIX):
        raise TokenError(f"a token of a program begins with {PROGRAM_PREFIX!r}")
    fields = _unpack(token.removeprefix(PROGRAM_PREFIX))
    try:
        document, kind, number, pairs = fields
        program = Program.from_json(json.dumps(document))
        schedule = _schedule(pairs)
        if not schedule:
            raise ValueError("no schedule")
        return ProgramReplay(program, _text(kind), _number(number), schedule)
    except (TypeError, ValueError) as e:
        raise TokenError(f"the token makes no sense: {e}") from None


def decode(token: str) -> Replay:
    """Reads a token.

    Raises:
        TokenError: with the reason.
    """
    if not token.startswith(PREFIX):
        raise TokenError(f"a replay token begins with {PREFIX!r} or {PROGRAM_PREFIX!r}")
    return _replay(_unpack(token.removeprefix(PREFIX)))


def _unpack(body: str) -> Any:
    try:
        packed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        if base64.urlsafe_b64encode(packed).rstrip(b"=") != body.encode():
            raise TokenError("the token is damaged: its last character says too much")
        inflate = zlib.decompressobj(15, _DICTIONARY)
        data = inflate.decompress(packed, MAX_SIZE)
        if not inflate.eof or inflate.unused_data:
            raise TokenError("the token is incomplete, or longer than it says")
        return json.loads(data)
    except TokenError:
        raise
    except (binascii.Error, zlib.error, ValueError, RecursionError) as e:
        raise TokenError(f"the token is damaged: {e}") from None


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise ValueError("not a number below 2^63")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string")
    return value


def _runs(schedule: bytes) -> list[int]:
    """A schedule as pairs: process, how many steps in a row."""
    pairs: list[int] = []
    for process in schedule:
        if pairs and pairs[-2] == process:
            pairs[-1] += 1
        else:
            pairs += [process, 1]
    return pairs


def _schedule(pairs: Any = ()) -> bytes:
    numbers = [_number(n) for n in pairs]
    if len(numbers) % 2 or sum(numbers[1::2]) > MAX_STEPS:
        raise ValueError("not a schedule")
    schedule = b""
    for process, steps in zip(numbers[::2], numbers[1::2], strict=True):
        if process > 0xFF or not steps:
            raise ValueError("not a schedule")
        schedule += bytes([process]) * steps
    return schedule


def _replay(fields: Any) -> Replay:
    try:
        version, program, violation, driver, mode, where, faults, iomem, *rest = fields
        kind, number = violation
        start, end, second = where
        setup = Setup(
            _text(version),
            _text(iomem),
            mode_named(_text(driver), _text(mode)),
            _number(start),
            _number(end),
            None if second is None else _number(second),
        )
        if not parse(setup.iomem, "the token's memory map"):
            raise ValueError("no memory map")
        experiment = Experiment(
            setup,
            program_named(_text(program)),
            tuple(_number(n) for n in faults),
            _schedule(*rest),
        )
        if bool(experiment.program.tasks) != bool(experiment.schedule):
            raise ValueError(f"{program} with or without a schedule")
        if setup.end < setup.start:
            raise ValueError("the range ends before it starts")
        if experiment.faults != tuple(sorted({*experiment.faults} - {0})):
            raise ValueError("the failing calls are not in order")
        if len(experiment.faults) > MAX_PLANS:
            raise ValueError(f"more than {MAX_PLANS} failing calls")
        if not experiment.program.fits(setup.mode):
            raise ValueError(f"{program} is not for {driver} {mode}")
        if experiment.program.second and setup.second is None:
            raise ValueError(f"{program} needs a second device")
        return Replay(experiment, _text(kind), _number(number))
    except KeyError as e:
        raise TokenError(f"the token names what this version does not have: {e}") from None
    except (TypeError, ValueError, IomemError) as e:
        raise TokenError(f"the token makes no sense: {e}") from None
