"""A finished collection as other programs read it: conversations to train on, LLaVA's list, tar shards.

Equal manifests give equal bytes. What is written appears whole or not at all. Media whose licence nobody said
stay out unless they are allowed; how many is logged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from valley.collection.describing import request_for
from valley.collection.joining import Medium, Row, join_tables
from valley.collection.tar_shards import Sample, ShardLimits, write_shards
from valley.conversation import Conversation, Image, Video, assistant, user, write_jsonl
from valley.errors import UnknownNameError
from valley.importers.exporting import llava_item, write_items
from valley.importers.placing import place_media
from valley.manifest import Split

FORMATS: tuple[str, ...] = ("jsonl", "llava", "webdataset")

WhichSplit: TypeAlias = Split | Literal["all"]
OnDone: TypeAlias = Callable[[int], None]

_ANSWERS = ("caption", "description")  # what answers a request to describe; tags and titles do not
# The frame shown at a stretch's end is the next one's. A window of a conversation includes its end, to a
# microsecond; this much before it, that frame is out.
_BEFORE_END_US = 2

_logger = logging.getLogger(__name__)


def export(
    corpus: Path,
    out: Path,
    *,
    to: str,
    allow_unknown_licence: bool = False,
    split: WhichSplit = "all",
    shards: ShardLimits | None = None,
    on_done: OnDone | None = None,
) -> int:
    """Write a collection in another form.

    Args:
        corpus: the collection's folder.
        out: the file to write; for "webdataset" a folder that is not there yet; an earlier try goes on.
        to: "jsonl": what `valley train` takes, a conversation a kept caption; "llava": the same as LLaVA's
            list; "webdataset": every medium with its clips, shots and kept texts in tar shards.
        allow_unknown_licence: also write media of which nobody said the licence.
        split: only the media of this one.
        shards: how large a shard may be.
        on_done: is told now and then how many are written.

    Returns:
        How many conversations were written, or media for "webdataset".

    Raises:
        UnknownNameError: there is no such format.
        MissingExtraError: pyarrow is absent.
        ConfigError: the folder is no finished collection, `out` is something else, or a file has changed.
    """
    if to not in FORMATS:
        raise UnknownNameError(f"no format {to!r} to export to: want one of {', '.join(FORMATS)}")
    choice = _Choice(corpus, allow_unknown_licence=allow_unknown_licence, split=split)
    out.parent.mkdir(parents=True, exist_ok=True)
    if to == "webdataset":
        facts = {"allow_unknown_licence": allow_unknown_licence, "split": split}
        limits = shards or ShardLimits()
        count = write_shards(choice.samples, out, limits=limits, facts=facts, on_done=on_done)
    else:
        found = choice.conversations(keep_windows=to == "jsonl")
        placed = place_media(found, media_root=corpus, folder=out.parent)
        write = write_jsonl if to == "jsonl" else _write_llava
        count = write(out, _told(placed, on_done))
    choice.say_what_is_left_out(out)
    return count


@dataclass
class _Choice:
    """What of a collection is written, and how much was left out when it was last walked over."""

    corpus: Path
    allow_unknown_licence: bool
    split: WhichSplit
    num_unknown: int = 0
    num_unknown_texts: int = 0
    num_without_words: int = 0
    num_windows: int = 0

    def media(self) -> Iterator[Medium]:
        self.num_unknown = self.num_unknown_texts = self.num_without_words = self.num_windows = 0
        for medium in join_tables(self.corpus):
            if self.split not in ("all", medium.split):
                continue
            if medium.has_known_licence or self.allow_unknown_licence:
                yield medium
            else:
                self.num_unknown += 1
                self.num_unknown_texts += len(medium.texts)

    def conversations(self, *, keep_windows: bool) -> Iterator[Conversation]:
        """Yield one for each kept caption; those about a part of a medium only where that can be said."""
        for medium in self.media():
            for text in _answers(medium):
                if keep_windows or medium.is_whole(text["start_us"], text["end_us"]):
                    yield _conversation(medium, text)
                else:
                    self.num_windows += 1

    def samples(self) -> Iterator[Sample]:
        """Yield the media; one whose words were all refused is not wanted, one that never had any is."""
        for medium in self.media():
            if medium.texts or not medium.num_refused:
                yield _sample(self.corpus, medium)
            else:
                self.num_without_words += 1

    def say_what_is_left_out(self, out: Path) -> None:
        if self.num_unknown:
            _logger.warning(
                "%s: %d media with %d kept texts are left out, because nobody said their licence; "
                "--allow-unknown-licence takes them in",
                *(out, self.num_unknown, self.num_unknown_texts),
            )
        if self.num_windows:
            _logger.warning(
                "%s: %d captions about a part of a clip are left out, because LLaVA's list has no place for "
                "times; the format jsonl has",
                *(out, self.num_windows),
            )
        if self.num_without_words:
            _logger.warning(
                "%s: %d media are left out, because all words about them were refused",
                *(out, self.num_without_words),
            )


def _told(conversations: Iterable[Conversation], on_done: OnDone | None) -> Iterator[Conversation]:
    for count, conversation in enumerate(conversations, 1):
        yield conversation
        if on_done is not None:
            on_done(count)


def _answers(medium: Medium) -> list[Row]:
    """Give the texts to answer with; words that two sources have are one."""
    return list({t["text_id"]: t for t in medium.texts if t["kind"] in _ANSWERS}.values())


def _conversation(medium: Medium, text: Row) -> Conversation:
    kind = medium.row["kind"]
    asked = request_for(text["text_id"], language=text["language"], text_kind=text["kind"], media_kind=kind)
    metadata = {
        "source": text["source"],
        "source_item_id": text["source_item_id"],
        "licence": medium.row["licence"],
        "licence_evidence": medium.row["licence_evidence"],
        "attribution": medium.row["attribution"] or "",
        "text_id": text["text_id"],
        "clip_id": text["clip_id"],
        "split": medium.split,
        "origin": text["origin"],
    }
    if text["model"]:
        metadata["model"] = text["model"]
    messages = (user(_part(medium, text), asked), assistant(text["text"]))
    return Conversation(messages, text["language"], text["text_id"], metadata)


def _part(medium: Medium, text: Row) -> Image | Video:
    source: str = medium.row["uri"]
    if medium.row["kind"] == "image":
        return Image(source)
    start_us, end_us = text["start_us"], text["end_us"]
    if medium.is_whole(start_us, end_us):
        return Video(source)
    return Video(source, start_us / 1e6, max(start_us, end_us - _BEFORE_END_US) / 1e6)


def _write_llava(out: Path, conversations: Iterable[Conversation]) -> int:
    return write_items(out, map(llava_item, conversations))


def _sample(corpus: Path, medium: Medium) -> Sample:
    row = medium.row
    whole = [t for t in _answers(medium) if medium.is_whole(t["start_us"], t["end_us"])]
    record = {
        "key": medium.id,
        "sha256": medium.id,
        **({"caption": whole[0]["text"]} if whole else {}),
        "clips": [{"clip_id": c["clip_id"], **_times(c)} for c in medium.stretches],
        "shots": [{**_times(s), "transition": s["transition"]} for s in medium.shots],
        "texts": [
            {name: t[name] for name in ("text_id", "clip_id", "kind", "language", "text", "origin", "model")}
            | _times(t)
            for t in medium.texts
        ],
        "split": medium.split,
    }
    record |= {name: row[name] for name in _OF_MEDIA}
    return Sample(
        key=medium.id,
        path=corpus / row["uri"],
        size_bytes=row["size_bytes"],
        record=json.dumps(record, ensure_ascii=False, sort_keys=True).encode(),
        kind=row["kind"],
        split=medium.split,
        licence=row["licence"],
        num_clips=len(medium.stretches),
        num_texts=len(medium.texts),
    )


_OF_MEDIA = (
    *("kind", "size_bytes", "container", "video_codec", "width_px", "height_px", "fps", "num_frames"),
    *("duration_s", "source", "source_item_id", "source_url"),
    *("licence", "licence_evidence", "attribution"),
)


def _times(row: Row) -> dict[str, float]:
    return {"start_s": row["start_us"] / 1e6, "end_s": row["end_us"] / 1e6}
