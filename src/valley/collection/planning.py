"""Say what a collection would be: how many, how large, which licences, what is refused and why.

Annotations are read and files are looked for; nothing is fetched, opened or written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valley.collection.caption_filter import Caption
from valley.collection.caption_judging import judge
from valley.collection.config import CollectConfig
from valley.collection.corpus import RECORD, Shard, Stages, open_stages
from valley.collection.source import BadItem
from valley.collection.triage import refuse
from valley.collection.walking import NamedItem, file_key, is_in, path_and_size, walk
from valley.manifest import clip_id, text_id


@dataclass
class SourcePlan:
    """What one source has.

    Attributes:
        num_items: sound ones.
        num_media: files and urls that no item before was about.
        num_urls: of these media.
        num_done: of these media, fetched or hashed already.
        size_bytes: of the local files.
        num_texts: captions and other words.
    """

    num_items: int = 0
    num_media: int = 0
    num_urls: int = 0
    num_done: int = 0
    size_bytes: int = 0
    num_texts: int = 0


@dataclass
class Plan:
    """What a collection would be.

    Attributes:
        sources: by name; two of one name are counted together.
        licences: items by licence.
        languages: words by language; where nobody said, by the one that was found.
        refused_items: by reason: broken items, missing files, and what is known to be refused.
        refused_texts: captions by reason.
    """

    sources: dict[str, SourcePlan] = field(default_factory=dict)
    licences: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    refused_items: Counter[str] = field(default_factory=Counter)
    refused_texts: Counter[str] = field(default_factory=Counter)

    def total(self, name: str) -> int:
        """Add up a number of all sources."""
        return sum(vars(plan)[name] for plan in self.sources.values())

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            **{name: self.total(name) for name in vars(SourcePlan())},
            "licences": dict(self.licences.most_common()),
            "languages": dict(self.languages.most_common()),
            "refused_items": dict(self.refused_items.most_common()),
            "refused_texts": dict(self.refused_texts.most_common()),
            "sources": {name: vars(plan) for name, plan in self.sources.items()},
        }


def make_plan(
    config: CollectConfig, corpus: Path | None = None, *, shard: Shard | None = None, num_workers: int = 1
) -> Plan:
    """Plan a collection.

    Args:
        config: what is asked for.
        corpus: the folder it would go to; what it has already is counted as done.
        shard: of this one alone.
        num_workers: processes that judge captions.

    Raises:
        ConfigError: a source cannot be read.
        MissingExtraError: what judges captions is absent.
    """
    with ExitStack() as stack:
        begun = corpus is not None and (corpus / RECORD).is_file()
        stages = stack.enter_context(open_stages(corpus)) if begun and corpus is not None else None
        planner = _Planner(config, stages, shard or Shard())
        for verdict in judge(planner.captions(), config.captions, num_workers=num_workers):
            planner.plan.languages[verdict.language] += 1
            if verdict.refusal is not None:
                planner.plan.refused_texts[verdict.refusal.reason] += 1
        return planner.plan


class _Planner:
    def __init__(self, config: CollectConfig, stages: Stages | None, shard: Shard) -> None:
        self.plan = Plan(sources={settings.source: SourcePlan() for settings in config.sources})
        self._config = config
        self._stages = stages
        self._shard = shard
        self._places: set[str] = set()

    def captions(self) -> Iterator[Caption]:
        """Count the items on the way, and yield the captions among their words."""
        for named in walk(self._config, self._on_bad):
            if is_in(self._shard, named.place) and self._count(named):
                yield from _captions(named)

    def _on_bad(self, source: str, bad: BadItem) -> None:
        del source
        self.plan.refused_items[bad.reason] += 1

    def _count(self, named: NamedItem) -> bool:
        """Count an item; False where its medium is refused."""
        of_source = self.plan.sources[named.source]
        is_new = named.place not in self._places
        self._places.add(named.place)
        key = named.place
        if named.item.url is None:
            try:
                key = file_key(named.place)
            except OSError:
                self.plan.refused_items["not_found"] += 1
                return False
        reason = self._known_refusal(named, key)
        if reason is not None:
            self.plan.refused_items[reason] += 1
            return False
        of_source.num_items += 1
        of_source.num_texts += len(named.item.texts)
        self.plan.licences[named.item.licence] += 1
        if is_new:
            of_source.num_media += 1
            of_source.num_urls += named.item.url is not None
            of_source.size_bytes += path_and_size(key)[1] if named.item.url is None else 0
            of_source.num_done += self._is_done(named, key)
        return True

    def _is_done(self, named: NamedItem, key: str) -> bool:
        if self._stages is None:
            return False
        return key in (self._stages.hashed if named.item.url is None else self._stages.fetched)

    def _known_refusal(self, named: NamedItem, key: str) -> str | None:
        """Give the reason why the medium is refused, where an earlier run found out."""
        if self._stages is None or not self._is_done(named, key):
            return None
        store = self._stages.hashed if named.item.url is None else self._stages.fetched
        record = store.get(key) or {}
        if "fault" in record:
            return record["fault"]["reason"]
        found = self._stages.looked.get(record["sha256"])
        if found is None:
            return None
        if "fault" in found:
            return found["fault"]["reason"]
        refusal = refuse(found, self._config.triage)
        return None if refusal is None else refusal.reason


def _captions(named: NamedItem) -> Iterator[Caption]:
    """Name captions as the manifest does, but for the medium's hash, which nobody knows yet."""
    from valley.collection.selecting import JUDGED_KINDS

    for text in named.item.texts:
        if text.kind in JUDGED_KINDS:
            start_s = named.item.start_s if text.start_s is None else text.start_s
            end_s = named.item.end_s if text.end_s is None else text.end_s
            about = clip_id(named.place, round((start_s or 0) * 1e6), round((end_s or 0) * 1e6))
            yield Caption(
                text_id(about, text.kind, text.language, text.text), text.text, text.language, about
            )
