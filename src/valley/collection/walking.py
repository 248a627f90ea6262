"""Walk over the items of all sources of a collection, in order, and name the media that they are about."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from valley.collection.config import CollectConfig
from valley.collection.corpus import Shard
from valley.collection.source import SOURCES, BadItem, Source, SourceItem


@dataclass(frozen=True)
class NamedItem:
    """An item and the name of its source."""

    source: str
    item: SourceItem

    @property
    def place(self) -> str:
        """What names the medium before anything has read it: the url, or the absolute path."""
        url = self.item.url
        return url if url is not None else absolute(self.item)


OnBadItem: TypeAlias = Callable[[str, BadItem], None]


def ignore(source: str, bad: BadItem) -> None:
    """Take a bad item and do nothing: somebody else counts it."""
    del source, bad


def walk(config: CollectConfig, on_bad: OnBadItem = ignore) -> Iterator[NamedItem]:
    """Yield all items of all sources, lazily, always in the same order.

    Raises:
        UnknownNameError: no source has this name.
        ConfigError: what a source reads cannot be read as a whole.
    """
    for settings in config.sources:
        source: Source = SOURCES.get(settings.source)

        def on_bad_here(bad: BadItem, name: str = settings.source) -> None:
            on_bad(name, bad)

        for item in source.items(settings.options, on_bad=on_bad_here):
            yield NamedItem(settings.source, item)


def absolute(item: SourceItem) -> str:
    """Give the absolute path of a local item; links are not followed."""
    path = os.fspath(item.path or "")
    return path if path[:1] == os.sep else os.path.abspath(path)  # noqa: PTH100 (a million times)


def file_key(place: str) -> str:
    """Name a file's content without reading it: path, size, time of change.

    Raises:
        OSError: it is not there.
    """
    stat = os.stat(place)  # noqa: PTH116 (a million times)
    return f"{place}|{stat.st_size}|{stat.st_mtime_ns}"


def is_file_key(key: str) -> bool:
    """Whether a key names a file, and not a SHA-256."""
    return "|" in key


def path_and_size(key: str) -> tuple[str, int]:
    """Take a file's key apart."""
    place, size_bytes, _ = key.rsplit("|", 2)
    return place, int(size_bytes)


def is_in(shard: Shard, place: str) -> bool:
    """Whether a medium belongs to a shard; all items about it do then."""
    return (
        shard.is_whole or zlib.crc32(place.encode(errors="surrogatepass")) % shard.num_shards == shard.number
    )
