# SPDX-License-Identifier: GPL-2.0-only
"""Reading the files that a user names."""

from __future__ import annotations

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
