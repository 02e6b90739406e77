# SPDX-License-Identifier: GPL-2.0-only
"""How far one exploration of a test may go."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """A bound on one exploration.

    Attributes:
        executions: complete executions, 0: no bound
        seconds: 0: no bound
    """

    executions: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, text: str) -> Budget:
        """``500`` (executions) or ``1.5s``; ValueError for anything else."""
        try:
            if text.endswith("s"):
                seconds = float(text[:-1])
                if seconds > 0 and math.isfinite(seconds):
                    return cls(seconds=seconds)
            elif 0 < int(text) < 1 << 64:
                return cls(executions=int(text))
        except ValueError:
            pass
        raise ValueError(f"{text!r} is no number of executions, nor of seconds such as 1.5s")


#: What the user has asked for, None: each test has its own bound.
chosen: Budget | None = None
