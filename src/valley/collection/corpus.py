"""A collection's folder: what was asked for and when, the stages' stores, and who is at work in it.

`collection.json` looks like this::

    {"started_at": "2026-11-26T10:00:00.123456+00:00", "version": "0.1.0", "asked_for": {"sources": [...]}}
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valley.collection.config import CollectConfig
from valley.errors import ConfigError
from valley.journal import Journal
from valley.locking import locked
from valley.recipe import checked

RECORD = "collection.json"
STAGES_FOLDER = "stages"
# A stage's lines are good as long as its version is this one.
FETCH_VERSION = 1
HASH_VERSION = 1
LOOK_VERSION = 1


@dataclass(frozen=True)
class Asked:
    """What stands in `collection.json`.

    Attributes:
        started_at: when the collection was first started; the one time that it has.
        config: what was asked for last.
    """

    started_at: datetime
    config: CollectConfig


def read_asked(corpus: Path) -> Asked:
    """Read what a collection was asked for.

    Raises:
        ConfigError: the folder is no collection.
    """
    path = corpus / RECORD
    if not path.is_file():
        raise ConfigError(f"{corpus}: want a collection with {RECORD}: make one with `valley collect`")
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        started_at = datetime.fromisoformat(record["started_at"])
        fields = record["asked_for"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: is spoilt ({error}): start `valley collect` with its settings") from error
    return Asked(started_at, checked(CollectConfig, fields, where=str(path)))


def write_asked(corpus: Path, config: CollectConfig) -> Asked:
    """Note what is asked for; the time of the first start stays.

    Raises:
        ConfigError: the folder has other things in it, and no collection.
    """
    path = corpus / RECORD
    if path.is_file():
        started_at = _started_at(path)
    else:
        foreign = sorted(p.name for p in corpus.iterdir() if not p.name.startswith("."))
        if foreign:
            raise ConfigError(
                f"{corpus}: want a new folder or a collection, got one with {foreign[0]}: give another"
            )
        started_at = datetime.now(timezone.utc)
    asked_for = config.anchored().model_dump(mode="json")
    record = {
        "started_at": started_at.isoformat(),
        "version": importlib.metadata.version("valley-vl"),
        "asked_for": asked_for,
    }
    part = path.with_name(f".{RECORD}.part")
    part.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return Asked(started_at, config)


def _started_at(path: Path) -> datetime:
    try:
        return datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))["started_at"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: is spoilt ({error}): mend its started_at, or take a new folder"
        ) from error


@dataclass(frozen=True)
class Stages:
    """The stores of a collection.

    Attributes:
        fetched: by url: sha256, path, size_bytes.
        hashed: by path, size and time of change: sha256, size_bytes.
        looked: by SHA-256: what a look at the medium said.
    """

    fetched: Journal
    hashed: Journal
    looked: Journal

    @property
    def num_torn(self) -> int:
        """Lines that were passed over."""
        return self.fetched.num_torn + self.hashed.num_torn + self.looked.num_torn

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Keys with two results that differ."""
        return (*self.fetched.conflicts, *self.hashed.conflicts, *self.looked.conflicts)


@contextmanager
def open_stages(corpus: Path) -> Iterator[Stages]:
    """Open the stores; what was added is on the disk once the block ends, however it ends."""
    folder = corpus / STAGES_FOLDER
    with ExitStack() as stack:
        yield Stages(
            stack.enter_context(Journal(folder, "fetch", FETCH_VERSION)),
            stack.enter_context(Journal(folder, "hash", HASH_VERSION)),
            stack.enter_context(Journal(folder, "look", LOOK_VERSION)),
        )


@dataclass(frozen=True)
class Shard:
    """One of `num_shards` parts of a collection; by the hash of what names a medium, so nobody need count."""

    number: int = 0
    num_shards: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.num_shards:
            raise ConfigError(f"want a shard i/n with 0 <= i < n, got {self.number}/{self.num_shards}")

    @property
    def is_whole(self) -> bool:
        """Whether it is all there is."""
        return self.num_shards == 1


@contextmanager
def at_work(corpus: Path, shard: Shard) -> Iterator[None]:
    """Keep a second process off the same collection, or the same shard of it.

    Raises:
        ConfigError: another process is at work.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    name = "collect" if shard.is_whole else f"collect-{shard.number}-of-{shard.num_shards}"
    who = corpus / f".{name}.who"
    holder = who.read_text(encoding="utf-8") if who.is_file() else "another process"
    taken = f"{corpus}: {holder} is collecting into it: wait for it, stop it, or give another folder"
    with locked(corpus / f".{name}.lock", taken=taken):
        who.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        try:
            yield
        finally:
            who.unlink(missing_ok=True)
