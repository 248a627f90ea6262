"""WebDataset shards: a tar file, or a folder of them, whose members of one name are one sample.

A shard holds ``000001.mp4`` and ``000001.json``, ``000002.jpg`` and ``000002.json``, and so on. Its JSON has
`conversations` or `messages`, whose tags stand for the sample's media as the archive orders them. Or there is
a `caption`, in it or in ``000001.txt`` (video2dataset, img2dataset): then the medium is the user's turn, the
caption the answer. Media are written to a folder, under the shard's name.
"""

from __future__ import annotations

import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from valley.conversation import Conversation, Image, Text, Video, assistant, user
from valley.errors import ConfigError, ConversationError
from valley.importers.columns import tagged_turns
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import MOST_ITEM_CHARS, Item, parse_item

PICTURES = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"})
CLIPS = frozenset({"mp4", "webm", "mkv", "mov", "avi", "m4v", "mpg", "mpeg", "ts", "gif"})
# What video2dataset and img2dataset note beside a caption.
_NOTES = (
    "key",
    "status",
    "error_message",
    "url",
    "width",
    "height",
    "original_width",
    "original_height",
    "exif",
    "sha256",
    "md5",
    "clips",
    "clip_subtitles",
    "yt_meta_dict",
    "video_metadata",
)
_CHUNK_BYTES = 2**20
_Reader: TypeAlias = Any  # what tarfile gives is an IO[bytes] by its own word, but lacks some of that


@dataclass
class _Sample:
    key: str
    where: str
    record: dict[str, Any] = field(default_factory=dict)
    caption: str | None = None
    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)


def _samples(path: Path, options: ImportOptions) -> Iterator[Item]:
    if options.media_out is None:
        raise ConfigError(
            "the format webdataset needs a folder for the media of the shards: give --media-out"
        )
    shards = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not shards:
        raise ConversationError(f"{path}: the folder holds no .tar file: give the shards, or one of them")
    for shard in shards:
        yield from _of_shard(shard, options.media_out)


def _of_shard(shard: Path, media_out: Path) -> Iterator[Item]:
    try:
        with tarfile.open(shard, "r|*") as archive:
            for sample in _grouped(archive, shard, media_out):
                yield Item(sample, sample.where, f"{shard.stem}/{sample.key}")
    except tarfile.TarError as error:
        raise ConversationError(f"{shard}: is no sound tar file ({error}): fetch it again") from error


def _grouped(archive: tarfile.TarFile, shard: Path, media_out: Path) -> Iterator[_Sample]:
    sample: _Sample | None = None
    seen: set[str] = set()
    for member in archive:
        archive.members = []  # pyright: ignore[reportAttributeAccessIssue] (headers pile up)
        if member.isdir():
            continue
        key, suffix = _key_and_suffix(member, shard)
        where = f"{shard}, key {key}"
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            if key in seen:
                raise ConversationError(f"{where}: its members are apart: sort the shard by name")
            seen.add(key)
            sample = _Sample(key, where)
        content = archive.extractfile(member)
        assert content is not None  # it is a plain file
        _add(sample, suffix, content, member, media_out / shard.stem)
    if sample is not None:
        yield sample


def _key_and_suffix(member: tarfile.TarInfo, shard: Path) -> tuple[str, str]:
    """Split a member's name at the first point of its last part, as WebDataset does."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name:
        raise ConversationError(f"{shard}: the member {member.name!r} leads out of the folder: do not use it")
    if not member.isreg() or member.issparse():
        raise ConversationError(f"{shard}: the member {member.name!r} is no plain file: pack it anew")
    stem, _, suffix = name.name.partition(".")
    if not stem:
        raise ConversationError(f"{shard}: the member {member.name!r} has no key before its point: rename it")
    return str(name.with_name(stem)), suffix.lower()


def _add(sample: _Sample, suffix: str, content: _Reader, member: tarfile.TarInfo, folder: Path) -> None:
    kind = suffix.rpartition(".")[2]
    if suffix == "json":
        record = parse_item(_text(content, member, sample), f"{sample.where}.json")
        sample.record = record if isinstance(record, dict) else {}
        if not isinstance(record, dict):
            raise ConversationError(f"{sample.where}: want an object in its .json")
    elif suffix == "txt":
        sample.caption = _text(content, member, sample)
    elif kind in PICTURES or kind in CLIPS:
        target = folder / f"{sample.key}.{suffix}"
        _write(target, content)
        (sample.images if kind in PICTURES else sample.videos).append(str(target.absolute()))
    else:
        raise ConversationError(
            f"{sample.where}: does not know the member .{suffix}: want .json, .txt, pictures and clips"
        )


def _text(content: _Reader, member: tarfile.TarInfo, sample: _Sample) -> str:
    if member.size > MOST_ITEM_CHARS:
        raise ConversationError(f"{sample.where}: {member.name!r} has more than {MOST_ITEM_CHARS} bytes")
    try:
        return content.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConversationError(f"{sample.where}: {member.name!r} is no text in UTF-8: convert it") from error


def _write(target: Path, content: _Reader) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            while chunk := content.read(_CHUNK_BYTES):
                file.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _convert(item: Item, options: ImportOptions) -> Conversation:
    sample: _Sample = item.value
    fields = Fields(sample.record, item.where)
    if "conversations" in fields or "messages" in fields:
        if sample.caption is not None:
            fields.fail("a .txt stands beside a dialogue: leave one of them out")
        for kind, members in (("image", sample.images), ("video", sample.videos)):
            named = fields.paths(kind, f"{kind}s")
            if named and len(named) != len(members):
                fields.fail(
                    f"its .json names {len(named)} {kind}s, the shard holds {len(members)}: pack it anew"
                )
        messages = tagged_turns(fields, sample.images, sample.videos)
        return close(fields, messages, item, options)
    return _captioned(sample, fields, item, options)


def _captioned(sample: _Sample, fields: Fields, item: Item, options: ImportOptions) -> Conversation:
    caption = fields.take("caption")
    if caption is not None and sample.caption is not None and caption.strip() != sample.caption.strip():
        fields.fail("the captions of its .json and .txt differ: leave one of them out")
    caption = sample.caption if caption is None else caption
    if not isinstance(caption, str):
        fields.fail("want conversations, messages or a caption in its .json, or a .txt")
    media = [*(Image(path) for path in sample.images), *(Video(path) for path in sample.videos)]
    if len(media) != 1:
        fields.fail(f"want one picture or clip beside a caption, got {len(media)}")
    return close(fields, (user(*media), assistant(Text(caption.strip()))), item, options, known=_NOTES)


IMPORTER = ItemImporter("webdataset", "WebDataset shards", _convert, options=("media_out",), items=_samples)
