# SPDX-License-Identifier: GPL-2.0-only
"""Combinations of values such that every pair of values that can be is in one of them.

What goes together is asked of a predicate, so no pair is called impossible by hand.  The
predicate looks at a few factors only (the *coupled* ones): all their combinations are tried
once, and all the others go with everything.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, product
from typing import Any

Row = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]


def pairs_of(row: Mapping[str, Any]) -> set[Pair]:
    """All pairs of values in a (part of a) combination."""
    return set(combinations(sorted(row.items(), key=lambda item: item[0]), 2))


class Pairwise:
    """Factors with their values, and which combinations there can be.

    Args:
        factors: values of each factor
        coupled: the factors that ``possible`` looks at
        possible: can there be this combination of all coupled factors?
    """

    def __init__(
        self,
        factors: Mapping[str, Iterable[Any]],
        coupled: Iterable[str],
        possible: Callable[[Row], bool],
    ) -> None:
        self.factors = {name: tuple(values) for name, values in factors.items()}
        names = [name for name in self.factors if name in set(coupled)]
        all_of_them = (
            dict(zip(names, values, strict=True))
            for values in product(*(self.factors[name] for name in names))
        )
        #: Combinations of the coupled factors that there can be.
        self.cores = [core for core in all_of_them if possible(core)]
        self.free = [name for name in self.factors if name not in names]

    def cores_with(self, pair: Pair) -> list[Row]:
        """Those of `cores` in which there can be a pair."""
        return [core for core in self.cores if all(core.get(n, v) == v for n, v in pair)]

    def all_pairs(self) -> list[Pair]:
        """Every pair of values of two factors, possible or not."""
        return [
            ((one, a), (other, b))
            for one, other in combinations(sorted(self.factors), 2)
            for a, b in product(self.factors[one], self.factors[other])
        ]

    def possible_pairs(self) -> list[Pair]:
        """Every pair that at least one possible combination has."""
        return [pair for pair in self.all_pairs() if self.cores_with(pair)]

    def cover(self) -> list[Row]:
        """Combinations that have every possible pair: each begins with one that is missing."""
        wanted = self.possible_pairs()
        missing = set(wanted)
        rows = []
        for pair in wanted:
            if pair not in missing:
                continue
            cores = self.cores_with(pair)
            row = max(cores, key=lambda core: len(pairs_of(core) & missing)) | dict(pair)
            for name in self.free:
                if name not in row:
                    row[name] = max(
                        self.factors[name],
                        key=lambda v: len(pairs_of({**row, name: v}) & missing),
                    )
            rows.append({name: row[name] for name in self.factors})
            missing -= pairs_of(row)
        return rows

    def fill(self, rows: list[Row], number: int, seed: int) -> list[Row]:
        """As many combinations, the missing ones drawn at random, none twice."""
        draw = random.Random(seed)
        found = list(rows)
        while len(found) < number:
            row = dict(draw.choice(self.cores))
            row |= {name: draw.choice(self.factors[name]) for name in self.free}
            row = {name: row[name] for name in self.factors}
            if row not in found:
                found.append(row)
        return found
