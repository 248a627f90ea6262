"""Read WebDataset shards sample by sample, and write their media to a folder as they come by.

A shard is a tar file; its members of one name are one sample: ``000001.mp4`` and ``000001.json``.
What is wrong with a sample is noted in it, so that the next ones can be read.
"""

from __future__ import annotations

import lzma
import tarfile
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from valley.errors import ConversationError
from valley.importers.items import MOST_ITEM_CHARS, parse_item

PICTURES = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"})
CLIPS = frozenset({"mp4", "webm", "mkv", "mov", "avi", "m4v", "mpg", "mpeg", "ts", "gif"})
_CHUNK_BYTES = 2**20
_MOST_NAME_BYTES = 200  # file systems take 255, of which a name that is being written needs some
_MAGIC_AT, _MAGIC = 257, b"ustar"
_Reader: TypeAlias = Any  # what tarfile gives is an IO[bytes] by its own word, but lacks some of that


@dataclass
class Sample:
    """One sample of a shard.

    Attributes:
        id: shard and key.
        key: the name that its members share.
        where: how to name it in errors.
        record: its .json; None where there is none.
        caption: its .txt; None where there is none.
        images: absolute paths of its pictures, as the archive orders them.
        videos: absolute paths of its clips.
        others: suffixes of members that are none of these.
        fault: the first thing that is wrong with it.
    """

    id: str
    key: str
    where: str
    record: dict[str, Any] | None = None
    caption: str | None = None
    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    fault: ConversationError | None = None


def read_shards(path: Path, media_out: Path) -> Iterator[Sample]:
    """Yield the samples of a shard, or of all shards of a folder in the order of their names.

    Args:
        path: a .tar file, or a folder of them.
        media_out: media are written to it, under their shard's name; what is there already stays.

    Raises:
        ConversationError: there is no shard, or one is no tar file or ends within a member.
    """
    shards = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not shards:
        raise ConversationError(f"{path}: the folder holds no .tar file: give the shards, or one of them")
    for shard in shards:
        yield from _of_shard(shard, media_out)


def _of_shard(shard: Path, media_out: Path) -> Iterator[Sample]:
    try:
        with tarfile.open(shard, "r|*") as archive:
            yield from _grouped(archive, shard, media_out)
            end = archive.offset  # pyright: ignore[reportAttributeAccessIssue]
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ConversationError(f"{shard}: is no sound tar file ({error}): fetch it again") from error
    if not _ends_at(shard, end):
        where = f"{shard}, byte {end}"
        fault = ConversationError(f"{where}: the shard is cut off or damaged there: fetch it again")
        yield Sample(f"{shard.stem}/byte {end}", "", where, fault=fault)


def _ends_at(shard: Path, end: int) -> bool:
    """Whether the mark of the end stands there; Python takes any damaged header for the end."""
    with shard.open("rb") as file:
        file.seek(_MAGIC_AT)
        if file.read(len(_MAGIC)) != _MAGIC:
            return True  # packed, or older than the mark: tarfile's word has to do
        file.seek(end)
        return file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _grouped(archive: tarfile.TarFile, shard: Path, media_out: Path) -> Iterator[Sample]:
    sample: Sample | None = None
    seen: set[str] = set()
    for member in archive:
        archive.members = []  # pyright: ignore[reportAttributeAccessIssue] (headers pile up)
        if member.isdir():
            continue
        try:
            key, suffix = _key_and_suffix(member, shard)
        except ConversationError as error:
            yield Sample(f"{shard.stem}/{member.name}", member.name, f"{shard}, {member.name!r}", fault=error)
            continue
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _begun(key, shard, seen)
        if sample.fault is None:
            sample.fault = _fault_in_adding(sample, suffix, archive, member, shard, media_out / shard.stem)
    if sample is not None:
        yield sample


def _begun(key: str, shard: Path, seen: set[str]) -> Sample:
    sample = Sample(f"{shard.stem}/{key}", key, f"{shard}, key {key}")
    if key in seen:
        sample.fault = ConversationError(f"{sample.where}: its members are apart: sort the shard by name")
    seen.add(key)
    return sample


def _fault_in_adding(
    sample: Sample, suffix: str, archive: tarfile.TarFile, member: tarfile.TarInfo, shard: Path, folder: Path
) -> ConversationError | None:
    content = archive.extractfile(member)
    assert content is not None  # it is a plain file
    try:
        _add(sample, suffix, content, member, shard, folder)
    except ConversationError as error:
        return error
    return None


def _key_and_suffix(member: tarfile.TarInfo, shard: Path) -> tuple[str, str]:
    """Split a member's name at the first point of its last part, as WebDataset does."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name:
        raise ConversationError(f"{shard}: the member {member.name!r} leads out of the folder: do not use it")
    if not member.name.isprintable() or any(len(p.encode()) > _MOST_NAME_BYTES for p in name.parts):
        raise ConversationError(f"{shard}: the member {member.name!r} is no name for a file: rename it")
    if not member.isreg() or member.issparse():
        raise ConversationError(f"{shard}: the member {member.name!r} is no plain file: pack it anew")
    stem, _, suffix = name.name.partition(".")
    if not stem:
        raise ConversationError(f"{shard}: the member {member.name!r} has no key before its point: rename it")
    return str(name.with_name(stem)), suffix.lower()


def _add(
    sample: Sample, suffix: str, content: _Reader, member: tarfile.TarInfo, shard: Path, folder: Path
) -> None:
    kind = suffix.rpartition(".")[2]
    if suffix == "json":
        record = parse_item(_text(content, member, sample), f"{sample.where}.json")
        if not isinstance(record, dict):
            raise ConversationError(f"{sample.where}: want an object in its .json")
        sample.record = record
    elif suffix == "txt":
        sample.caption = _text(content, member, sample)
    elif kind in PICTURES or kind in CLIPS:
        target = folder / f"{sample.key}.{suffix}"
        try:
            _write(target, content, member.size, shard)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ConversationError(
                f"{sample.where}: a file and a folder have one name: rename it"
            ) from error
        (sample.images if kind in PICTURES else sample.videos).append(str(target.absolute()))
    else:
        sample.others.append(suffix)


def _text(content: _Reader, member: tarfile.TarInfo, sample: Sample) -> str:
    if member.size > MOST_ITEM_CHARS:
        raise ConversationError(f"{sample.where}: {member.name!r} has more than {MOST_ITEM_CHARS} bytes")
    try:
        return content.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConversationError(f"{sample.where}: {member.name!r} is no text in UTF-8: convert it") from error


def _write(target: Path, content: _Reader, size_bytes: int, shard: Path) -> None:
    """Write a file whole or not at all, unless it was written from this shard before."""
    if target.is_file():
        there = target.stat()
        if there.st_size == size_bytes and there.st_mtime_ns >= shard.stat().st_mtime_ns:
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            while chunk := content.read(_CHUNK_BYTES):
                file.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
