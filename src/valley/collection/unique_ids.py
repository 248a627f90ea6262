"""Ids that occur once, told from millions of others in 16 to 32 bytes each."""

from __future__ import annotations

import hashlib
from array import array

_FEWEST_SLOTS = 2**10


class NameSet:
    """Remembers names by 64 bits of their hash: two of ten million are mistaken once in 400,000 times."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FEWEST_SLOTS))
        self._num = 0

    def __contains__(self, name: str) -> bool:
        mark = _mark(name)
        return self._slots[self._place(mark)] == mark

    def add(self, name: str) -> bool:
        """Remember a name; False where it was there."""
        mark = _mark(name)
        place = self._place(mark)
        if self._slots[place] == mark:
            return False
        self._slots[place] = mark
        self._num += 1
        if 2 * self._num > len(self._slots):
            self._grow()
        return True

    def _place(self, mark: int) -> int:
        """Find where a mark is, or where it would be."""
        last = len(self._slots) - 1
        place = mark & last
        while self._slots[place] not in (0, mark):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        marks = self._slots
        self._slots = array("Q", bytes(2 * 8 * len(marks)))
        for mark in marks:
            if mark:
                self._slots[self._place(mark)] = mark


class UniqueIds:
    """Gives each name an id of its own: the second `a` becomes `a#2`, each time it is read."""

    def __init__(self) -> None:
        self._seen = NameSet()
        self._counts: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Give the id for the next thing of this name."""
        made = name
        while not self._seen.add(made):
            self._counts[name] = self._counts.get(name, 1) + 1
            made = f"{name}#{self._counts[name]}"
        return made


def _mark(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1
