"""The part of a prompt whose keys and values are already computed, and how much of it a new prompt shares.

Two clips have the same placeholder tokens, so a prompt is compared by *keys*: a text token is its id, a
placeholder is the fingerprint of its medium and its place within it.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from valley.inference.work_cache import WorkCache

Key: TypeAlias = Hashable


@runtime_checkable
class HoldsTokens(Protocol):
    """What is used of any cache of keys and values."""

    def get_seq_length(self) -> int:
        """Count the tokens held."""
        ...


@runtime_checkable
class CroppableCache(HoldsTokens, Protocol):
    """What is used of a transformers cache."""

    @property
    def is_croppable(self) -> bool:
        """Whether the newest tokens can be taken off again."""
        ...

    def crop(self, tokens_to_remove: int, /) -> None:
        """Take off that many of the newest tokens; the number is negative."""
        ...


@dataclass
class Prefix:
    """Keys of the tokens whose keys and values `cache` holds, in order."""

    keys: list[Key]
    cache: HoldsTokens
    num_bytes: int = 0


def common_length(a: Sequence[Key], b: Sequence[Key]) -> int:
    """Count how many first elements are equal."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class PrefixStore:
    """Holds the prefixes of several conversations, each for one scope, as long as the cache has room."""

    def __init__(self, cache: WorkCache) -> None:
        """Keep them in a cache that other kinds of work may share."""
        self._cache = cache
        self._numbers = itertools.count()

    def find(self, keys: Sequence[Key], *, scope: str = "") -> tuple[Prefix, int] | None:
        """Show the prefix that shares most tokens with a prompt, and how many; None where none shares any.

        It stays in the store: it may be read by several at once, and must not be written to.

        Args:
            keys: the new prompt. Its last token is always left to compute: its logits are needed.
            scope: for whom.
        """
        number, prefix, shared = self._longest(list(keys[:-1]), scope)
        self._cache.count("prefixes", hit=prefix is not None)
        if prefix is None:
            return None
        self._cache.touch("prefixes", (scope, number))
        return prefix, shared

    def take(
        self, keys: Sequence[Key], *, media: Sequence[tuple[int, int]] = (), scope: str = ""
    ) -> Prefix | None:
        """Hand out the best prefix, cropped to what `keys` begins with; None where nothing can be used.

        Whoever takes it owns it, so that two streams never write into one cache.

        Args:
            keys: the new prompt, as for `find`.
            media: where each medium's tokens begin and end. The prompt is never divided within one.
                A prefix that shares less than half of itself is left for its own conversation.
            scope: for whom.
        """
        number, prefix, shared = self._longest(list(keys[:-1]), scope)
        shared = next((start for start, end in media if start < shared < end), shared)
        if prefix is None or not _may_crop(prefix, shared):
            self._cache.count("prefixes", hit=False)
            return None
        self._cache.drop("prefixes", (scope, number))
        cropped = _cropped(prefix, shared)
        self._cache.count("prefixes", hit=cropped is not None)
        return cropped

    def takes(self, num_bytes: int) -> bool:
        """Say whether a prefix of that size is kept at all."""
        return num_bytes <= self._cache.max_bytes

    def give(self, prefix: Prefix, *, scope: str = "") -> None:
        """Keep a prefix for the next prompt, if its cache holds exactly its tokens.

        An interrupted forward pass leaves some layers longer than others; such a cache is dropped. What the
        new prefix continues is no longer needed.
        """
        if not prefix.keys or prefix.cache.get_seq_length() != len(prefix.keys):
            return
        for key, old in self._of(scope):
            if prefix.keys[: len(old.keys)] == old.keys:
                self._cache.drop("prefixes", key)
        self._cache.put("prefixes", (scope, next(self._numbers)), prefix, prefix.num_bytes)

    def clear(self) -> None:
        """Forget everything."""
        self._cache.clear("prefixes")

    def _longest(self, keys: list[Key], scope: str) -> tuple[int, Prefix | None, int]:
        """Find the newest of those that share most. Most are dismissed by one comparison of lists."""
        best: tuple[int, Prefix | None, int] = (-1, None, 0)
        wanted = keys[:1]
        for (_, number), prefix in self._of(scope):
            if wanted and prefix.keys[: len(wanted)] == wanted:
                shared = common_length(prefix.keys, keys)
                best = (number, prefix, shared)
                wanted = keys[: shared + 1] if shared < len(keys) else []
        return best

    def _of(self, scope: str) -> list[tuple[tuple[str, int], Prefix]]:
        return [(key, prefix) for key, prefix in self._cache.items("prefixes") if key[0] == scope]  # pyright: ignore[reportIndexIssue, reportReturnType]


def _may_crop(prefix: Prefix, length: int) -> bool:
    """Say whether a prefix may be shortened for another prompt."""
    if length == len(prefix.keys):
        return True
    can = isinstance(prefix.cache, CroppableCache) and prefix.cache.is_croppable
    return can and 2 * length >= len(prefix.keys)


def _cropped(prefix: Prefix, length: int) -> Prefix | None:
    cache = prefix.cache
    assert isinstance(cache, CroppableCache)
    try:
        cache.crop(length - len(prefix.keys))
    except RuntimeError:  # a sliding window that has already forgotten what it would have to remember
        return None
    del prefix.keys[length:]
    return prefix
