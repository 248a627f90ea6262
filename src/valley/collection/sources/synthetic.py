"""Clips with known content, rendered here: every caption is true, in English, Spanish and Chinese.

What an object does is told beside the caption, with the times at which it begins and ends.

The path is a folder; clips go to `SEED-LEVEL/000000.mp4` in it, as they are asked for, and are rendered once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from valley.collection.annotations import AnnotationSource
from valley.collection.records import Record, plain
from valley.collection.source import OnBad, SourceItem, SourceOptions, SourceText
from valley.errors import ConfigError
from valley.importers.items import Item
from valley.synthetic.world import LANGUAGES, Level

_LICENCE = "CC0-1.0"
_MODEL = "valley.synthetic"
_SHORTEST_S = 0.1  # what appears does so at once; a stretch lasts
_MOST_CLIPS = 10_000_000


def _rows(options: SourceOptions, _: OnBad) -> Iterator[Item]:
    num_clips = _whole(options, "num_clips", 100)
    seed, level = _whole(options, "seed", 0), options.settings.get("level", "core")
    if level not in get_args(Level):
        raise ConfigError(f"want level to be one of {', '.join(get_args(Level))}, got {level!r}")
    for index in range(num_clips):
        where = f"seed {seed}, level {level}: clip {index}"
        yield Item({"index": index, "seed": seed, "level": level}, where, f"{seed}-{level}/{index:06d}")


def _whole(options: SourceOptions, setting: str, default: int) -> int:
    text = options.settings.get(setting, str(default))
    if not (text.isascii() and text.isdigit()) or int(text[:12]) > _MOST_CLIPS:
        raise ConfigError(f"want a whole number {setting} from 0 to {_MOST_CLIPS}, got {text!r}")
    return int(text)


def _convert(_: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    from valley.synthetic.dataset import scene_number
    from valley.synthetic.narration import caption, event_sentence
    from valley.synthetic.render import render_video
    from valley.synthetic.truth import truth_of

    made = row.value
    scene = scene_number(made["seed"], made["index"], level=made["level"])
    path = options.path / f"{row.default_id}.mp4"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        render_video(scene, path)
    truth = truth_of(scene)
    texts = [
        SourceText(caption(truth, lang), "caption", lang, origin="machine", model=_MODEL)
        for lang in LANGUAGES
    ]
    texts += [
        SourceText(
            event_sentence(item, lang),
            "caption",
            lang,
            start_s=item.start_s,
            end_s=max(item.end_s, item.start_s + _SHORTEST_S),
            origin="machine",
            model=_MODEL,
        )
        for item in truth.objects
        if item.start_s is not None and item.end_s is not None
        for lang in LANGUAGES
    ]
    yield SourceItem(
        row.default_id,
        "video",
        path,
        texts=tuple(texts),
        licence=_LICENCE,
        licence_evidence="rendered by valley.synthetic, which lays no claim to what it draws",
        attribution=options.attribution,
        place=row.where,
        metadata={"truth": plain(truth.to_record())},
    )


SOURCE = AnnotationSource(
    "synthetic",
    "valley.synthetic: rendered here, every caption is true",
    _convert,
    _rows,
    {
        "num_clips": "how many; 100 by default",
        "seed": "the same seed gives the same clips; 0 by default",
        "level": "core (the default) or rich",
    },
    may_be_absent=True,
)
