"""MSVD: 2,000 short clips, described by many people in many languages.

Either the table of Microsoft (MSR Video Description Corpus.csv)::

    VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description
    mv89psg6zh4,33,46,588702,unverified,55,Slovene,Papagaj se umiva pod tekočo vodo v lijaku.

or the English text file that others have made of it (AllVideoDescriptions.txt)::

    mv89psg6zh4_33_46 A bird in a sink keeps getting under the running water.

Clips are cut out, as `mv89psg6zh4_33_46.avi`, or whole under the id of the video. Rows about one clip that
follow each other are one item.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from valley.collection.annotations import AnnotationSource, said_or
from valley.collection.media_paths import found_clip, media_root, split_clip_id
from valley.collection.records import Record, UnfitError
from valley.collection.rows import read_rows
from valley.collection.source import UNKNOWN_LANGUAGE, BadItem, OnBad, SourceItem, SourceOptions, SourceText
from valley.errors import ConfigError
from valley.importers.items import Item

_MOST_LINE_CHARS = 2**16
_LANGUAGES = {
    "albanian": "sq",
    "arabic": "ar",
    "bengali": "bn",
    "bulgarian": "bg",
    "catalan": "ca",
    "chinese": "zh",
    "croatian": "hr",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "estonian": "et",
    "filipino": "fil",
    "finnish": "fi",
    "french": "fr",
    "georgian": "ka",
    "german": "de",
    "greek": "el",
    "gujarati": "gu",
    "hindi": "hi",
    "hungarian": "hu",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "macedonian": "mk",
    "malay": "ms",
    "malayalam": "ml",
    "marathi": "mr",
    "norwegian": "no",
    "persian": "fa",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "serbian": "sr",
    "slovak": "sk",
    "slovene": "sl",
    "slovenian": "sl",
    "spanish": "es",
    "swedish": "sv",
    "tagalog": "tl",
    "tamil": "ta",
    "telugu": "te",
    "turkish": "tr",
    "ukrainian": "uk",
    "urdu": "ur",
    "vietnamese": "vi",
}


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    """Yield one row a clip: a list of the rows about it."""
    if options.path.suffix.lower() == ".txt":
        rows = _lines(options.path, on_bad)
    else:
        rows = read_rows(options.path, on_bad=on_bad, needed=("VideoID", "Start", "End", "Description"))
    for _, group in itertools.groupby(rows, key=_clip_of):
        about = list(group)
        yield Item({"rows": about}, about[0].where, about[0].default_id)


def _clip_of(row: Item) -> object:
    value: Any = row.value
    if not isinstance(value, dict):
        return row.where
    return tuple(str(value.get(name, "")).strip() for name in ("VideoID", "Start", "End"))


def _lines(path: Path, on_bad: OnBad) -> Iterator[Item]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            number = 0
            while line := file.readline(_MOST_LINE_CHARS):
                number += 1
                where = f"{path}:{number}"
                name, _, words = line.strip().partition(" ")
                if not name or name.startswith("#"):
                    continue
                try:
                    video, start_s, end_s = split_clip_id(name, where)
                except UnfitError as error:
                    on_bad(BadItem(name[:200], where, error.reason, error.detail))
                    continue
                value = {"VideoID": video, "Start": int(start_s), "End": int(end_s)}
                yield Item({**value, "Language": "English", "Description": words}, where, name)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no text in UTF-8 ({error.reason}): convert it") from error


def _convert(_: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem | BadItem]:
    texts: list[SourceText] = []
    others: list[dict[str, Any]] = []
    head: tuple[str, str, str] | None = None
    rights = None
    for one in row.value["rows"]:
        record = Record(one)
        try:
            head = (record.needed_name("VideoID"), record.needed_name("Start"), record.needed_name("End"))
            said = _texts(record, options)
        except UnfitError as error:
            yield BadItem("_".join(head) if head else one.default_id, one.where, error.reason, error.detail)
            continue
        texts += said
        rights = record.rights(options)
        others.append(record.rest())
    if head is None or rights is None:
        return
    name = "_".join(head)
    whole, start_s, end_s = split_clip_id(name, row.where)
    path, is_whole = found_clip(media_root(options), name, whole, row.where)
    yield SourceItem(
        name,
        "video",
        path,
        start_s=start_s if is_whole else None,
        end_s=end_s if is_whole else None,
        texts=tuple(texts),
        place=row.where,
        metadata={"rows": others} if any(others) else {},
        **rights,
    )


def _texts(record: Record, options: SourceOptions) -> tuple[SourceText, ...]:
    named = record.name("Language")
    language = said_or(options, UNKNOWN_LANGUAGE)
    if named is not None:
        language = _LANGUAGES.get(named.lower(), UNKNOWN_LANGUAGE)
        if language == UNKNOWN_LANGUAGE:
            record.keep("Language", named)
    texts = record.texts("Description", language=language)
    if not texts:
        raise UnfitError("no_caption", f"{record.where}: want words in 'Description'")
    return texts


SOURCE = AnnotationSource(
    "msvd",
    "MSVD: the columns of Microsoft's table and the text file, from memory of the published files",
    _convert,
    _rows,
)
