"""Merge the items of all sources with what is known of their media: equal bytes are one, with all words.

What cannot be used goes to the quarantine, with its stage, reason and number.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from valley.collection.config import CollectConfig
from valley.collection.corpus import Stages
from valley.collection.growing_table import GrowingTable
from valley.collection.licences import licence_id
from valley.collection.resolving import Fault, KnownMedium, Resolver
from valley.collection.source import BadItem, SourceItem, SourceText
from valley.collection.triage import refuse
from valley.collection.walking import NamedItem, walk
from valley.manifest import UNKNOWN_LICENCE, as_us, clip_id, text_id


@dataclass(frozen=True, slots=True)  # a million of them are held
class Owner:
    """The item that speaks for a medium: the first one with a licence, else the first.

    Attributes:
        uri: the file.
        size_bytes: of it.
        source: the source's name.
        place: of the item in it.
    """

    uri: str
    size_bytes: int
    source: str
    item_id: str
    url: str | None
    place: str
    licence: str
    licence_evidence: str
    attribution: str


@dataclass
class Gathered:
    """What the items said, about media that are not refused so far.

    Attributes:
        owners: by the hash of the medium, in the order of the items.
        hashes: the perceptual ones of these media.
        clips: rows of stretches; without split. Their metadata are what the first item about the stretch
            said beside what its source knows, as JSON: ``{"webvid:1012": {"page_dir": "..."}}``.
        more_metadata: by clip: what further items about the same stretch said.
        texts: rows, unjudged.
        quarantine: rows.
        num_items: that there are, bad ones too.
    """

    owners: dict[str, Owner] = field(default_factory=dict)
    hashes: dict[str, array[int]] = field(default_factory=dict)
    clips: GrowingTable = field(default_factory=lambda: GrowingTable("clip"))
    more_metadata: dict[str, list[str]] = field(default_factory=dict)
    texts: GrowingTable = field(default_factory=lambda: GrowingTable("text"))
    quarantine: GrowingTable = field(default_factory=lambda: GrowingTable("quarantine"))
    num_items: int = 0


def gather(config: CollectConfig, stages: Stages) -> Gathered:
    """Read all sources, and put what they say beside what the stages found out.

    Raises:
        ConfigError: a source cannot be read.
        MissingExtraError: pyarrow is absent.
    """
    gatherer = _Gatherer(config, stages)
    for named in walk(config, gatherer.on_bad):
        gatherer.add(named)
    return gatherer.gathered


class _Gatherer:
    def __init__(self, config: CollectConfig, stages: Stages) -> None:
        self.gathered = Gathered()
        self._config = config
        self._resolver = Resolver(stages)
        self._refused: set[tuple[str, str]] = set()
        self._clip_ids: set[bytes] = set()
        self._text_ids: set[bytes] = set()

    def on_bad(self, source: str, bad: BadItem) -> None:
        self.gathered.num_items += 1
        row = quarantine_row("source", f"{source}:{bad.place}:{bad.id}", bad.reason, bad.detail)
        self.gathered.quarantine.add(row | {"source": source, "source_item_id": bad.id, "place": bad.place})

    def add(self, named: NamedItem) -> None:
        self.gathered.num_items += 1
        medium = self._resolver.resolve(named)
        if isinstance(medium, Fault):
            self._refuse(named, medium)
            return
        refusal = refuse(medium.found, self._config.triage)
        if refusal is not None:
            fault = Fault("triage", medium.sha256, refusal.reason, refusal.detail, refusal.number)
            self._refuse(named, fault)
            return
        named = with_what_was_said(named, medium.said)
        self._own(named, medium)
        self._add_stretch(named, medium)

    def _refuse(self, named: NamedItem, fault: Fault) -> None:
        """Note a medium that is not there, once for all items about it."""
        if (fault.stage, fault.key) in self._refused:
            return
        self._refused.add((fault.stage, fault.key))
        row = quarantine_row(
            fault.stage, fault.key, fault.reason, fault.detail, number=fault.number, attempts=fault.attempts
        )
        self.gathered.quarantine.add(row | _of_item(named))

    def _own(self, named: NamedItem, medium: KnownMedium) -> None:
        item, owners = named.item, self.gathered.owners
        known = owners.get(medium.sha256)
        if known is not None and (known.licence != UNKNOWN_LICENCE or item.licence == UNKNOWN_LICENCE):
            return
        owners[medium.sha256] = Owner(
            uri=medium.uri,
            size_bytes=medium.size_bytes,
            source=named.source,
            item_id=item.id,
            url=item.url,
            place=item.place,
            licence=item.licence,
            licence_evidence=item.licence_evidence,
            attribution=item.attribution,
        )
        if known is None:
            self.gathered.hashes[medium.sha256] = array("Q", medium.found["look"].get("hashes", ()))

    def _add_stretch(self, named: NamedItem, medium: KnownMedium) -> None:
        item, media_id = named.item, medium.sha256
        length_us = _length_us(medium.found)
        stretch = _within(item.start_s, item.end_s, (0, length_us), length_us)
        if isinstance(stretch, str):
            row = quarantine_row("stretch", f"{named.source}:{item.id}", stretch, _wanted(item, length_us))
            self.gathered.quarantine.add(row | {"number": item.start_s} | _of_item(named))
            return
        start_us, end_us = stretch
        name = clip_id(media_id, start_us, end_us)
        metadata = _json({f"{named.source}:{item.id}": dict(item.metadata)}) if item.metadata else None
        if _is_new(name, self._clip_ids):
            row = {"clip_id": name, "media_id": media_id, "start_us": start_us, "end_us": end_us}
            self.gathered.clips.add(row | {"level": "stretch", "split": "", "metadata": metadata})
        elif metadata is not None:
            self.gathered.more_metadata.setdefault(name, []).append(metadata)
        for text in item.texts:
            self._add_text(named, text, {"media_id": media_id, "clip_id": name}, stretch, length_us)

    def _add_text(
        self,
        named: NamedItem,
        text: SourceText,
        about: Mapping[str, Any],
        stretch: tuple[int, int],
        length_us: int,
    ) -> None:
        """Add words about a stretch, or about a part of it that they name themselves."""
        part = _within(text.start_s, text.end_s, stretch, length_us)
        if isinstance(part, str):
            key = f"{named.source}:{named.item.id}"
            row = quarantine_row("text", f"{key}:{text.start_s}", part, _wanted(text, length_us))
            self.gathered.quarantine.add(row | {"number": text.start_s} | _of_item(named))
            return
        start_us, end_us = part
        name = text_id(clip_id(about["media_id"], start_us, end_us), text.kind, text.language, text.text)
        if not _is_new(name, self._text_ids):
            return
        row = {
            "text_id": name,
            "start_us": start_us,
            "end_us": end_us,
            "kind": text.kind,
            "language": text.language,
            "text": text.text,
            "origin": text.origin,
            "model": text.model,
            "source": named.source,
            "source_item_id": named.item.id,
            "kept": True,
        }
        self.gathered.texts.add({**row, **about})


def with_what_was_said(named: NamedItem, said: Mapping[str, str]) -> NamedItem:
    """Add what a site said about a medium that was fetched there; what the source said comes first."""
    if not said:
        return named
    item = named.item
    texts, licence, evidence = item.texts, item.licence, item.licence_evidence
    if "title" in said:
        texts = (*texts, SourceText(said["title"], kind="title"))
    if licence == UNKNOWN_LICENCE and "licence" in said:
        licence, evidence = licence_id(said["licence"]), said.get("page_url", named.place)
    item = replace(
        item,
        texts=texts,
        licence=licence,
        licence_evidence=evidence if licence != UNKNOWN_LICENCE else "",
        attribution=item.attribution or said.get("uploader", ""),
        metadata={**item.metadata, "said_by_site": dict(said)},
    )
    return replace(named, item=item)


def quarantine_row(
    stage: str, key: str, reason: str, detail: str, *, number: float | int | None = None, attempts: int = 1
) -> dict[str, Any]:
    """Make a row of the quarantine; source, item and place are still to be added."""
    return {
        "stage": stage,
        "key": key,
        "reason": reason,
        "detail": detail,
        "number": None if number is None else float(number),
        "attempts": attempts,
    }


def _of_item(named: NamedItem) -> dict[str, str]:
    return {"source": named.source, "source_item_id": named.item.id, "place": named.item.place}


def _is_new(name: str, known: set[bytes]) -> bool:
    """Whether a hash comes for the first time; note that it came."""
    short = bytes.fromhex(name)
    if short in known:
        return False
    known.add(short)
    return True


def _length_us(found: Mapping[str, Any]) -> int:
    return 0 if found["kind"] == "image" else as_us(found["probe"]["duration_s"])


def _within(
    start_s: float | None, end_s: float | None, whole_us: tuple[int, int], length_us: int
) -> tuple[int, int] | str:
    """Give a stretch in whole microseconds, cut at the medium's end; or the reason why there is none.

    Annotated ends are often a little late: files were cut and rounded. A beginning behind the medium's end is
    an error. A picture has no stretches.
    """
    if length_us == 0:
        return 0, 0
    start_us = whole_us[0] if start_s is None else as_us(start_s)
    end_us = whole_us[1] if end_s is None else as_us(end_s)
    if start_us < 0 or start_us >= length_us:
        return "outside"
    end_us = min(end_us, length_us)
    return (start_us, end_us) if start_us < end_us else "empty_stretch"


def _wanted(stretch: SourceItem | SourceText, length_us: int) -> str:
    return f"want a stretch within {length_us / 1e6:g} s, got {stretch.start_s} to {stretch.end_s} s"


def _json(metadata: Mapping[str, Any]) -> str:
    """Write metadata; values that are no JSON as text."""
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True, default=str)


def merged_metadata(first: str | None, more: list[str]) -> str:
    """Give the metadata of all items about one stretch."""
    merged: dict[str, Any] = {}
    for text in (first, *more):
        merged |= json.loads(text) if text else {}
    return _json(merged)
