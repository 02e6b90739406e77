# SPDX-License-Identifier: GPL-2.0-only
"""Reading and writing the files that a user names."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO

#: Larger than any file that this package reads or writes.
MAX_FILE = 64 << 20


def read_text(file: str | Path | IO[bytes], *, most: int = MAX_FILE) -> str:
    """The text of a file, at most ``most`` bytes: a device may have no end.

    Raises:
        ValueError: it is larger, or no text; without the name.
        OSError: it cannot be read.
    """
    if isinstance(file, str | Path):
        with Path(file).open("rb") as opened:
            return read_text(opened, most=most)
    data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"larger than {most >> 20} MiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("not a text") from None


def replace(path: Path, content: str | bytes) -> None:
    """Writes a file that is either the old or the new one, whenever it is read.

    Raises:
        OSError: it cannot be written; with the name.
    """
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        beside.replace(path)
    except OSError as e:
        # Half of it would take up what little room there is.
        with suppress(OSError):
            beside.unlink()
        raise OSError(e.errno, e.strerror, str(path)) from None
