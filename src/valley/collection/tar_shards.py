"""Tar shards as WebDataset reads them, made so that equal contents give equal bytes, with an index.

    OUT/export.json        what is in it, and the sum of the plan
    OUT/train-000000.tar   <sha256>.json, <sha256>.mp4, ...; every medium once
    OUT/index.parquet      key, shard, offset, size_bytes, sha256, ...

The clock and the user do not go in. The folder is called OUT.part until it is finished; a try that was
interrupted goes on behind its last whole shard.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from valley.collection.shard_index import INDEX_NAME, Sample, ShardIndex
from valley.errors import ConfigError

FACTS_NAME = "export.json"
_VERSION = 1


@dataclass(frozen=True)
class ShardLimits:
    """When a shard is full. One medium that is larger has a shard to itself.

    Attributes:
        max_bytes: 1 GiB: large enough to read in one go, small enough to fetch again.
        max_samples: 10,000: pictures fill no gigabyte before a shard's records weigh on memory.
    """

    max_bytes: int = 2**30
    max_samples: int = 10_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"want {name} of 1 or more, got {value}")


def write_shards(
    samples: Callable[[], Iterable[Sample]],
    out: Path,
    *,
    limits: ShardLimits,
    facts: Mapping[str, Any],
    on_done: Callable[[int], None] | None = None,
) -> int:
    """Write all samples; give how many there are.

    Args:
        samples: gives them, the same whenever it is called; it is called twice.
        out: the folder.
        limits: when a shard is full.
        facts: what to note beside the plan.
        on_done: is told after each shard how many samples are written.

    Raises:
        ConfigError: `out` holds something else, or a file is not the one that was collected.
    """
    plan = _plan(samples(), limits) | dict(facts)
    if out.exists():
        if _facts_of(out) == plan:
            return plan["num_media"]
        raise ConfigError(f"{out}: want a folder that is not there yet: give another, or remove this one")
    work = out.with_name(out.name + ".part")
    _begin(work, plan)
    with ShardIndex(work / INDEX_NAME) as index:
        count = 0
        for name, members in _filled(samples(), limits):
            _write_shard(work / name, members)
            index.add(name, members)
            count += len(members)
            if on_done is not None:
                on_done(count)
    work.replace(out)
    return plan["num_media"]


def _plan(samples: Iterable[Sample], limits: ShardLimits) -> dict[str, Any]:
    """Sum up what is to be written, so that another plan is told from this one."""
    sums = hashlib.sha256(json.dumps(asdict(limits), sort_keys=True).encode())
    num_media = num_clips = num_texts = size_bytes = 0
    for sample in samples:
        sums.update(repr(sample.members).encode() + hashlib.sha256(sample.record).digest())
        num_media += 1
        num_clips += sample.num_clips
        num_texts += sample.num_texts
        size_bytes += sample.size_bytes
    return {
        "version": _VERSION,
        "plan_sha256": sums.hexdigest(),
        "num_media": num_media,
        "num_clips": num_clips,
        "num_texts": num_texts,
        "size_bytes": size_bytes,
        "limits": asdict(limits),
    }


def _facts_of(folder: Path) -> dict[str, Any] | None:
    path = folder / FACTS_NAME
    try:
        return json.loads(path.read_bytes()) if path.is_file() else None
    except ValueError:  # torn by a kill
        return None


def _begin(work: Path, plan: Mapping[str, Any]) -> None:
    """Make the working folder, or go on in that of the same plan."""
    if work.exists() and _facts_of(work) == plan:
        return
    if work.exists():
        if not (work / FACTS_NAME).exists():
            raise ConfigError(f"{work}: is in the way and was not written by an export: move it elsewhere")
        shutil.rmtree(work)
    fresh = work.with_name(work.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    (fresh / FACTS_NAME).write_text(json.dumps(plan, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(work)


def _filled(samples: Iterable[Sample], limits: ShardLimits) -> Iterator[tuple[str, list[Sample]]]:
    """Share the samples out; the shards of each split are numbered for themselves."""
    open_shards: dict[str, list[Sample]] = {}
    sizes: dict[str, int] = {}
    numbers: dict[str, int] = {}

    def close(split: str) -> tuple[str, list[Sample]]:
        number = numbers.get(split, 0)
        numbers[split] = number + 1
        sizes[split] = 0
        return f"{split}-{number:06d}.tar", open_shards.pop(split)

    for sample in samples:
        waiting, size = open_shards.get(sample.split, []), sizes.get(sample.split, 0)
        is_full = len(waiting) >= limits.max_samples or size + sample.size_in_shard_bytes > limits.max_bytes
        if waiting and is_full:
            yield close(sample.split)
        open_shards.setdefault(sample.split, []).append(sample)
        sizes[sample.split] = sizes.get(sample.split, 0) + sample.size_in_shard_bytes
    for split in sorted(open_shards):
        yield close(split)


def _write_shard(path: Path, samples: list[Sample]) -> None:
    """Write a shard, unless it is there already: it has its name only once it is whole."""
    content_bytes = sum(sample.size_in_shard_bytes for sample in samples) + 2 * tarfile.BLOCKSIZE
    whole_bytes = -(-content_bytes // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
    if path.is_file() and path.stat().st_size == whole_bytes:
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
                for sample in samples:
                    _add(archive, sample)
            file.flush()
            os.fsync(file.fileno())
        assert part.stat().st_size == whole_bytes
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, sample: Sample) -> None:
    for name, size in sample.members:
        info = tarfile.TarInfo(name)  # user, group and time of change are 0, the mode is 0o644
        info.size = size
        if name.endswith(".json"):
            archive.addfile(info, io.BytesIO(sample.record))
        else:
            _add_medium(archive, info, sample)


def _add_medium(archive: tarfile.TarFile, info: tarfile.TarInfo, sample: Sample) -> None:
    cure = "run `valley collect verify`"
    if not sample.path.is_file():
        raise ConfigError(f"{sample.path}: want the file that was collected, there is none: {cure}")
    with sample.path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes != sample.size_bytes:
            raise ConfigError(
                f"{sample.path}: has {size_bytes} bytes, {sample.size_bytes} when it was collected: {cure}"
            )
        hashed = _Hashed(file)
        archive.addfile(info, hashed)  # pyright: ignore[reportArgumentType] (it only reads)
    if hashed.sums.hexdigest() != sample.key:
        raise ConfigError(f"{sample.path}: has other bytes than when it was collected: {cure}")


class _Hashed:
    """A file that is summed up while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.sums = hashlib.sha256()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sums.update(data)
        return data
