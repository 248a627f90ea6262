"""Work that is kept for the next question, of several kinds, under one bound of bytes.

It does not know what it keeps; who puts something in says how large it is and for whom (within the key).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from valley.inference.backend import CacheStats, CacheUse

Kind: TypeAlias = Literal["frames", "features", "prefixes"]
KINDS: tuple[Kind, ...] = ("frames", "features", "prefixes")


@dataclass
class _Kept:
    value: Any
    num_bytes: int
    used_at: int


class WorkCache:
    """Keeps what was used last, whatever its kind, as long as all of it fits into `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        """Set the bound; 0 keeps nothing."""
        self.max_bytes = max_bytes
        self._kept: dict[Kind, OrderedDict[Hashable, _Kept]] = {kind: OrderedDict() for kind in KINDS}
        self._bytes: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self._counts: dict[Kind, list[int]] = {kind: [0, 0] for kind in KINDS}
        self._clock = 0
        self._lock = threading.Lock()

    def get(self, kind: Kind, key: Hashable) -> Any:  # noqa: ANN401
        """Give what is kept, or None; it counts as a hit or a miss."""
        with self._lock:
            kept = self._kept[kind].get(key)
            self._counts[kind][kept is None] += 1
            return None if kept is None else self._used(kind, key, kept)

    def has(self, kind: Kind, key: Hashable) -> bool:
        """Say whether something is kept; it counts for nothing."""
        with self._lock:
            return key in self._kept[kind]

    def touch(self, kind: Kind, key: Hashable) -> None:
        """Note that something was used, if it is still kept."""
        with self._lock:
            kept = self._kept[kind].get(key)
            if kept is not None:
                self._used(kind, key, kept)

    def count(self, kind: Kind, *, hit: bool) -> None:
        """Count a hit or a miss that was found by looking through `items`."""
        with self._lock:
            self._counts[kind][not hit] += 1

    def put(self, kind: Kind, key: Hashable, value: object, num_bytes: int) -> None:
        """Keep something, at the cost of what was not used for longest; what is too large is not kept."""
        with self._lock:
            self._drop(kind, key)
            if num_bytes > self.max_bytes:
                return
            self._clock += 1
            self._kept[kind][key] = _Kept(value, num_bytes, self._clock)
            self._bytes[kind] += num_bytes
            while sum(self._bytes.values()) > self.max_bytes:
                self._drop(*self._oldest())

    def items(self, kind: Kind) -> list[tuple[Hashable, Any]]:
        """List what is kept of a kind, the newest first."""
        with self._lock:
            return [(key, kept.value) for key, kept in reversed(self._kept[kind].items())]

    def drop(self, kind: Kind, key: Hashable) -> None:
        """Keep something no longer."""
        with self._lock:
            self._drop(kind, key)

    def clear(self, *kinds: Kind) -> None:
        """Forget these kinds; all where none is named. Counts stay."""
        with self._lock:
            for kind in kinds or KINDS:
                self._kept[kind].clear()
                self._bytes[kind] = 0

    def stats(self) -> CacheStats:
        """Count hits, misses and bytes."""
        with self._lock:
            use = {k: CacheUse(*self._counts[k], num_bytes=self._bytes[k]) for k in KINDS}
        return CacheStats(use["frames"], use["features"], use["prefixes"])

    def _used(self, kind: Kind, key: Hashable, kept: _Kept) -> object:
        self._clock += 1
        kept.used_at = self._clock
        self._kept[kind].move_to_end(key)
        return kept.value

    def _drop(self, kind: Kind, key: Hashable) -> None:
        kept = self._kept[kind].pop(key, None)
        if kept is not None:
            self._bytes[kind] -= kept.num_bytes

    def _oldest(self) -> tuple[Kind, Hashable]:
        """Find what was not used for longest: each kind is in order, so only its first one is looked at."""
        kinds: list[Kind] = [kind for kind in KINDS if self._kept[kind]]
        kind = min(kinds, key=lambda k: next(iter(self._kept[k].values())).used_at)
        return kind, next(iter(self._kept[kind]))
