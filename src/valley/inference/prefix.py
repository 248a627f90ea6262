"""The part of a prompt whose keys and values are already computed, and how much of it a new prompt shares.

Two clips have the same placeholder tokens, so a prompt is compared by *keys*: a text token is its id, a
placeholder is the fingerprint of its medium and its place within it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

Key: TypeAlias = Hashable


@runtime_checkable
class CroppableCache(Protocol):
    """What is used of a transformers cache."""

    @property
    def is_croppable(self) -> bool:
        """Whether the newest tokens can be taken off again."""
        ...

    def get_seq_length(self) -> int:
        """Count the tokens held."""
        ...

    def crop(self, tokens_to_remove: int, /) -> None:
        """Take off that many of the newest tokens; the number is negative."""
        ...


@dataclass
class Prefix:
    """Keys of the tokens whose keys and values `cache` holds, in order."""

    keys: list[Key]
    cache: CroppableCache


def common_length(a: Sequence[Key], b: Sequence[Key]) -> int:
    """Count how many first elements are equal."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class PrefixStore:
    """Holds the newest prefix; whoever takes it owns it, so that two streams never write into one cache."""

    def __init__(self) -> None:
        self._prefix: Prefix | None = None
        self._lock = threading.Lock()

    def take(self, keys: Sequence[Key], *, media: Sequence[tuple[int, int]] = ()) -> Prefix | None:
        """Hand out the stored prefix, cropped to what `keys` begins with; None where nothing can be used.

        Args:
            keys: the new prompt. Its last token is always left to compute: its logits are needed.
            media: where each medium's tokens begin and end. The prompt is never divided within one, because
                its features enter the network as a whole.
        """
        with self._lock:
            prefix, self._prefix = self._prefix, None
        if prefix is None:
            return None
        shared = common_length(prefix.keys, keys[:-1])
        shared = next((start for start, end in media if start < shared < end), shared)
        surplus = len(prefix.keys) - shared
        if shared == 0 or (surplus and not prefix.cache.is_croppable):
            return None
        try:
            prefix.cache.crop(-surplus)
        except RuntimeError:  # a sliding window that has already forgotten what it would have to remember
            return None
        del prefix.keys[shared:]
        return prefix

    def give(self, prefix: Prefix) -> None:
        """Keep a prefix for the next prompt, if its cache holds exactly its tokens.

        An interrupted forward pass leaves some layers longer than others; such a cache is dropped.
        """
        if prefix.cache.get_seq_length() != len(prefix.keys):
            return
        with self._lock:
            self._prefix = prefix

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._prefix = None
