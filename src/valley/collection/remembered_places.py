"""Remember which media a source named, so that a run that goes on has work before the source is read again.

Annotations of a million media take the better part of a minute to read, a list of their places a second. The
list is a help and never the truth: the sources are read as well, later. It holds for a source with the same
settings whose file has not changed. One line a medium, its kind first::

    u https://clips.example/videos/00000001.mp4
    f /home/me/Videos/a.mp4
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from valley.collection.config import CollectConfig, SourceSettings
from valley.collection.corpus import Shard

FOLDER = "places"


class Place(NamedTuple):
    """What names a medium before anything has read it: a url, or an absolute path."""

    name: str
    is_remote: bool


class RememberedPlaces:
    """The list of one collection, or of a shard of it; a context manager, which closes the file."""

    def __init__(self, corpus: Path, config: CollectConfig, shard: Shard) -> None:
        """Find the list; nothing is read or written yet.

        Args:
            corpus: the collection's folder.
            config: what is asked for; another question has another list.
            shard: each has a list of its own, as it has one writer.
        """
        digest = hashlib.sha256()
        for settings in config.sources:
            digest.update(_state(settings).encode())
        part = "" if shard.is_whole else f"-{shard.number}-of-{shard.num_shards}"
        self.path = corpus / FOLDER / f"{digest.hexdigest()[:16]}{part}.txt"
        self._file: IO[str] | None = None

    def recall(self) -> Iterator[Place]:
        """Yield what was remembered, in the order in which it came; a line that a kill tore is none."""
        if not self.path.is_file():
            return
        with self.path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield Place(line[2:-1], line[0] == "u")

    def add(self, place: Place) -> None:
        """Remember one more; names that do not fit into a line are not."""
        if "\n" in place.name or not _is_text(place.name):
            return
        if self._file is None:
            self._file = _open_behind_last_line(self.path)
        self._file.write(f"{'u' if place.is_remote else 'f'} {place.name}\n")

    def __enter__(self) -> RememberedPlaces:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _state(settings: SourceSettings) -> str:
    """Say what a source reads and how, so that another file or setting is another."""
    options = settings.options
    state = ""
    if options.path.is_file():
        stat = options.path.stat()
        state = f"{stat.st_size}|{stat.st_mtime_ns}"
    return f"{settings.model_dump_json()}|{options.path}|{options.media_root}|{state}\n"


def _open_behind_last_line(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        data = path.read_bytes()
        os.truncate(path, data.rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8", newline="\n")


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
