# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel has said, without what depends on who said it."""

from __future__ import annotations

import re

from memremap_emu import Kernel

WARNING = re.compile(r"^WARNING: CPU: \d+ PID: \d+ at (\S+:\d+) ")
DECORATION = re.compile(r"^(-+\[ cut here \]-+|---\[ end trace \w+ \]---)$")


class KernelLog:
    """Reads the log of a kernel bit by bit."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.read = 0

    def news(self) -> list[str]:
        """Lines since the last time; a WARNING becomes ``WARN file:line``."""
        native = self.kernel._native
        lines = [text for _, text in native.log(self.read)]
        self.read = int(native.stats().log_end)
        said = []
        for line in lines:
            if DECORATION.match(line):
                continue
            warning = WARNING.match(line)
            said.append(f"WARN {warning[1]}" if warning else line)
        return said
