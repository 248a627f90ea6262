"""From what was gathered to the manifest: near-duplicates go, captions are judged, the tables are written.

All of it follows from the stages' lines, the sources and the settings: the same of them make the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from valley.collection.caption_filter import Caption
from valley.collection.caption_judging import Judged, judge
from valley.collection.config import CollectConfig, SplitSettings
from valley.collection.copying import copy_into
from valley.collection.corpus import Stages
from valley.collection.gathering import Gathered, Owner, gather, merged_metadata, quarantine_row
from valley.collection.growing_table import GrowingTable
from valley.manifest import UNKNOWN_LICENCE, as_us, clip_id, split_of, write_table

OnPhase: TypeAlias = Callable[[str], None]

JUDGED_KINDS = ("caption", "description")
"""What the caption filters judge; tags, titles, subtitles and questions have other shapes."""


@dataclass
class Summary:
    """What a collection has come to.

    Attributes:
        num_items: that the sources named.
        num_media: in the manifest; pictures too.
        num_pictures: of them.
        num_clips: stretches.
        num_shots: within clips.
        duration_s: of the media together.
        num_texts: that were kept.
        refused_texts: how many were not, by reason.
        quarantined: media, items and stretches that are not in it, by reason.
        licences: media by licence.
        num_torn: lines of the stages' files that were passed over.
    """

    num_items: int = 0
    num_media: int = 0
    num_pictures: int = 0
    num_clips: int = 0
    num_shots: int = 0
    duration_s: float = 0.0
    num_texts: int = 0
    refused_texts: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    num_torn: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON, the most frequent reasons first."""
        return {k: dict(v.most_common()) if isinstance(v, Counter) else v for k, v in vars(self).items()}


def select(
    corpus: Path,
    config: CollectConfig,
    stages: Stages,
    *,
    collected_at: datetime,
    num_workers: int,
    on_phase: OnPhase,
) -> Summary:
    """Write the manifest.

    Args:
        corpus: the collection's folder.
        config: what is asked for.
        stages: what is known of the media.
        collected_at: the collection's one time.
        num_workers: processes that judge captions.
        on_phase: is told what is being done.

    Raises:
        ConfigError: a source cannot be read.
        MissingExtraError: pyarrow, or what judges captions, is absent.
        OSError: the disk is full, or a local medium cannot be copied.
    """
    on_phase("merging")
    gathered = gather(config, stages)
    on_phase("looking for near-duplicates")
    distance = config.near_duplicate_distance
    kept = (
        dict.fromkeys(gathered.owners) if distance is None else _without_near_duplicates(gathered, distance)
    )
    summary = Summary(num_items=gathered.num_items, num_torn=stages.num_torn)
    on_phase("judging captions")
    texts = _judged_texts(gathered.texts, kept, config, num_workers, summary)
    media, clips = GrowingTable("media"), _stretches(gathered, kept, config.splits, summary)
    if config.copy_media:
        on_phase("copying")
    for media_id in kept:
        owner, found = gathered.owners[media_id], stages.looked.get(media_id)
        assert found is not None  # gather() has read it
        if config.copy_media:
            owner = copy_into(corpus, media_id, owner)
        media.add(_media_row(media_id, owner, found, collected_at))
        _add_shots(clips, media_id, found, config.splits, summary)
        _count(summary, owner, found)
    on_phase("writing")
    for row in gathered.quarantine.rows():
        summary.quarantined[row["reason"]] += 1
    write_table(corpus, "media", media.to_arrow())
    write_table(corpus, "clip", clips.to_arrow())
    write_table(corpus, "text", texts.to_arrow())
    write_table(corpus, "quarantine", gathered.quarantine.to_arrow())
    return summary


def _without_near_duplicates(gathered: Gathered, distance: float) -> dict[str, None]:
    """Give the media that are not much the same as an earlier one; those with a licence come first."""
    from valley.collection.near_duplicates import find_near_duplicates

    owners = gathered.owners
    unknown_last = sorted(owners, key=lambda media_id: owners[media_id].licence == UNKNOWN_LICENCE)
    found = find_near_duplicates(
        {media_id: gathered.hashes[media_id] for media_id in unknown_last}, most_distance=distance
    )
    earlier: dict[str, list[tuple[float, str]]] = {}
    for pair in found:
        earlier.setdefault(pair.later, []).append((pair.distance, pair.earlier))
    refused: set[str] = set()
    for media_id in unknown_last:
        like = min(((d, e) for d, e in earlier.get(media_id, ()) if e not in refused), default=None)
        if like is not None:
            refused.add(media_id)
            owner = owners[media_id]
            row = quarantine_row(
                "near_duplicates", media_id, "near_duplicate", f"like {like[1]}", number=like[0]
            )
            about = {"source": owner.source, "source_item_id": owner.item_id, "place": owner.place}
            gathered.quarantine.add(row | about)
    return {media_id: None for media_id in owners if media_id not in refused}


def _judged_texts(
    texts: GrowingTable, kept: Collection[str], config: CollectConfig, num_workers: int, summary: Summary
) -> GrowingTable:
    """Give the texts about kept media, with what the caption filters say of them."""

    def captions() -> Iterator[Caption]:
        for row in texts.rows():
            if row["media_id"] in kept and row["kind"] in JUDGED_KINDS:
                about = clip_id(row["media_id"], row["start_us"], row["end_us"])
                yield Caption(row["text_id"], row["text"], row["language"], about)

    judged = judge(captions(), config.captions, num_workers=num_workers)
    table = GrowingTable("text")
    for row in texts.rows():
        if row["media_id"] not in kept:
            continue
        if row["kind"] in JUDGED_KINDS:
            verdict = next(judged)
            assert verdict.caption.id == row["text_id"]  # they come as they went
            row |= _columns(verdict)
        if row["kept"]:
            summary.num_texts += 1
        else:
            summary.refused_texts[row["reason"]] += 1
        table.add(row)
    return table


def _columns(verdict: Judged) -> dict[str, Any]:
    refusal = verdict.refusal
    return {
        "language": verdict.language,
        "language_score": verdict.language_score,
        "phrases": list(verdict.phrases),
        "kept": refusal is None,
        "reason": None if refusal is None else refusal.reason,
        "number": None if refusal is None else float(refusal.number),
    }


def _stretches(
    gathered: Gathered, kept: Collection[str], splits: SplitSettings, summary: Summary
) -> GrowingTable:
    table = GrowingTable("clip")
    for row in gathered.clips.rows():
        if row["media_id"] in kept:
            row["split"] = _split(row["media_id"], splits)
            more = gathered.more_metadata.get(row["clip_id"])
            if more is not None:
                row["metadata"] = merged_metadata(row["metadata"], more)
            table.add(row)
            summary.num_clips += 1
    return table


def _add_shots(
    clips: GrowingTable, media_id: str, found: dict[str, Any], splits: SplitSettings, summary: Summary
) -> None:
    if found["kind"] == "image":
        return
    end_us = as_us(found["probe"]["duration_s"])
    split = _split(media_id, splits)
    for number, shot in enumerate(found["look"]["shots"]):
        start_us, stop_us = as_us(shot["start_s"]), min(as_us(shot["end_s"]), end_us)
        row = {
            "clip_id": clip_id(media_id, start_us, stop_us),
            "media_id": media_id,
            "start_us": start_us,
            "end_us": stop_us,
            "level": "shot",
            "shot_index": number,
            "transition": shot["transition"],
            "score": shot.get("score"),
            "split": split,
        }
        clips.add(row)
        summary.num_shots += 1


def _split(media_id: str, splits: SplitSettings) -> str:
    return split_of(media_id, validation_share=splits.validation, test_share=splits.test)


def _media_row(media_id: str, owner: Owner, found: dict[str, Any], collected_at: datetime) -> dict[str, Any]:
    seen = {name: found["look"].get(name) for name in _SEEN}
    about = asdict(owner)
    tools = found["tools"] | {"manifest": importlib.metadata.version("valley-vl")}
    return {
        "media_id": media_id,
        "kind": found["kind"],
        "uri": about["uri"],
        "size_bytes": about["size_bytes"],
        "source": about["source"],
        "source_item_id": about["item_id"],
        "source_url": about["url"],
        "licence": about["licence"],
        "licence_evidence": about["licence_evidence"],
        "attribution": about["attribution"],
        "collected_at": collected_at,
        "tool_versions": json.dumps(tools, sort_keys=True),
        **found["probe"],
        **seen,
    }


_SEEN = ("hashes", "black_ratio", "static_ratio", "sharpness", "brightness", "motion")


def _count(summary: Summary, owner: Owner, found: dict[str, Any]) -> None:
    summary.num_media += 1
    summary.num_pictures += found["kind"] == "image"
    summary.duration_s += found["probe"].get("duration_s") or 0.0
    summary.licences[owner.licence] += 1
