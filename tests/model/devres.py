# SPDX-License-Identifier: GPL-2.0-only
"""Reference model of devres: one list of entries and group markers, newest last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOENT, ENOMEM


@dataclass(eq=False)
class Group:
    """A group: its id, 0 for one that is known by its own address."""

    id: int


@dataclass(eq=False)
class Entry:
    """A regular entry: what kind, which function, which data."""

    kind: str
    function: str = ""
    data: int = 0


@dataclass(eq=False)
class Marker:
    """Where a group begins or ends."""

    group: Group
    closes: bool


class DevresModel:
    """The managed resources of a device.

    ``call(entry)`` is what a release function does; it may come back to the model.
    """

    def __init__(self, call: Callable[[Entry], None]) -> None:
        self.nodes: list[Entry | Marker] = []
        self.call = call
        self.warnings: list[str] = []

    def warn(self, line: int) -> None:
        """WARN_ON() of drivers/base/devres.c."""
        self.warnings.append(f"WARN drivers/base/devres.c:{line}")

    # --- entries ---

    def add(self, kind: str, function: str = "", data: int = 0) -> Entry:
        """devres_add()."""
        entry = Entry(kind, function, data)
        self.nodes.append(entry)
        return entry

    def find(self, kind: str, function: str = "", data: int | None = None) -> Entry | None:
        """devres_find(): the newest."""
        for node in reversed(self.nodes):
            if (
                isinstance(node, Entry)
                and (node.kind, node.function) == (kind, function)
                and data in (None, node.data)
            ):
                return node
        return None

    def take(self, kind: str, function: str = "", data: int | None = None) -> Entry | None:
        """devres_remove(): out of the list, not released."""
        entry = self.find(kind, function, data)
        if entry:
            self.nodes.remove(entry)
        return entry

    def release(self, kind: str, function: str, data: int | None) -> int:
        """devres_release()."""
        entry = self.take(kind, function, data)
        if not entry:
            return ENOENT
        self.call(entry)
        return 0

    def release_all(self) -> int:
        """devres_release_all()."""
        return self.release_range(0, len(self.nodes))

    def release_range(self, first: int, end: int) -> int:
        """What is there goes first, then it is released, newest first; how many there were."""
        chosen = self.nodes[first:end]
        entries = [node for node in chosen if isinstance(node, Entry)]
        markers = [node for node in chosen if isinstance(node, Marker)]
        closed = {m.group for m in self.nodes if isinstance(m, Marker) and m.closes}
        opens = {m.group for m in markers if not m.closes}
        closes = {m.group for m in markers if m.closes}
        # A group goes if both ends are inside, one that is open ends everywhere.
        gone = opens & (closes | (opens - closed))
        self.nodes = [
            node
            for node in self.nodes
            if node not in entries and not (isinstance(node, Marker) and node.group in gone)
        ]
        for entry in reversed(entries):
            self.call(entry)
        return len(entries)

    # --- actions ---

    def add_action(self, function: str, data: int, *, fails: bool = False) -> int:
        """devm_add_action()."""
        if fails:
            return ENOMEM
        self.add("action", function, data)
        return 0

    def add_action_or_reset(self, function: str, data: int, *, fails: bool = False) -> int:
        """devm_add_action_or_reset()."""
        error = self.add_action(function, data, fails=fails)
        if error:
            self.call(Entry("action", function, data))
        return error

    def remove_action(self, function: str, data: int) -> None:
        """devm_remove_action()."""
        if not self.take("action", function, data):
            self.warn(748)

    # --- groups ---

    def group(self, group_id: int) -> Group | None:
        """By its id, the newest; 0: the newest that is open."""
        closed = {m.group for m in self.nodes if isinstance(m, Marker) and m.closes}
        for node in reversed(self.nodes):
            if isinstance(node, Marker) and not node.closes:
                if group_id and node.group.id == group_id:
                    return node.group
                if not group_id and node.group not in closed:
                    return node.group
        return None

    def is_closed(self, group: Group) -> bool:
        """Has it an end?"""
        return any(isinstance(m, Marker) and m.closes and m.group is group for m in self.nodes)

    def open_group(self, group_id: int) -> Group:
        """devres_open_group()."""
        group = Group(group_id)
        self.nodes.append(Marker(group, closes=False))
        return group

    def close_group(self, group_id: int) -> None:
        """devres_close_group()."""
        group = self.group(group_id)
        if group is None:
            self.warn(606)
            return
        assert not self.is_closed(group), "BUG"
        self.nodes.append(Marker(group, closes=True))

    def remove_group(self, group_id: int) -> None:
        """devres_remove_group()."""
        group = self.group(group_id)
        if group is None:
            self.warn(634)
            return
        self.nodes = [n for n in self.nodes if not (isinstance(n, Marker) and n.group is group)]

    def release_group(self, group_id: int) -> int:
        """devres_release_group()."""
        group = self.group(group_id)
        if group is None:
            self.warn(672)
            return 0
        places = [i for i, n in enumerate(self.nodes) if isinstance(n, Marker) and n.group is group]
        return self.release_range(places[0], places[1] + 1 if len(places) == 2 else len(self.nodes))
