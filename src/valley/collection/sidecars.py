"""Words that lie beside a medium under its name: a.txt, a.json, a.srt, a.vtt; with a language, a.zh.txt.

A .txt is one caption, a .json says what `described` knows, and subtitles are timed. What one of them lacks
does not cost the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valley.collection.described import END_FIELDS, START_FIELDS, described
from valley.collection.records import Record, Stated, UnfitError, rights_of
from valley.collection.source import BadItem, SourceOptions, SourceText
from valley.conversation import is_language_tag
from valley.errors import ConversationError, MediaError
from valley.importers.items import Item, parse_item
from valley.video.subtitles import SIDECAR_SUFFIXES, read_subtitles

SUFFIXES = (".txt", ".json", *SIDECAR_SUFFIXES)
_MOST_BYTES = 2**22  # a caption; yt-dlp's .info.json has up to a megabyte
_NO_LANGUAGES = frozenset({"info"})  # a.info.json, as yt-dlp writes it


@dataclass
class Beside:
    """What lies beside a medium.

    Attributes:
        texts: words about it.
        rights: what is said about them, or else what the caller says.
        start_s: where a .json says that the stretch begins.
        end_s: where it ends.
        metadata: fields of a .json that are not known.
        faults: sidecars that could not be read.
    """

    rights: Stated
    texts: list[SourceText] = field(default_factory=list)
    start_s: float | None = None
    end_s: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    faults: list[BadItem] = field(default_factory=list)


def sidecar_key(name: str) -> tuple[str, str]:
    """Split a sidecar's name: the stem of its medium, and its language where it has one.

    Example:
        ``sidecar_key("a.zh.txt") == ("a", "zh")``, ``sidecar_key("b.1.txt") == ("b.1", "")``
    """
    stem = name.rpartition(".")[0]
    before, point, last = stem.rpartition(".")
    if point and last in _NO_LANGUAGES:
        return before, ""
    return (before, last) if point and len(last) > 1 and is_language_tag(last) else (stem, "")


def read_beside(item_id: str, sidecars: Iterable[Path], options: SourceOptions) -> Beside:
    """Read sidecars in the order given; those that cannot be read are noted.

    Args:
        item_id: of the medium.
        sidecars: files that lie beside it.
        options: what the caller says.
    """
    made = Beside(rights_of(options))
    for path in sidecars:
        language = sidecar_key(path.name)[1] or options.language
        try:
            _read(path, language, options, made)
        except (UnfitError, ConversationError, MediaError, UnicodeDecodeError, OSError) as error:
            reason = error.reason if isinstance(error, UnfitError) else "bad_sidecar"
            said = str(error)
            detail = said if said.startswith(str(path)) else f"{path}: {said}"
            made.faults.append(BadItem(item_id, str(path), reason, detail))
    return made


def _read(path: Path, language: str, options: SourceOptions, made: Beside) -> None:
    suffix = path.suffix.lower()
    if suffix in SIDECAR_SUFFIXES:
        made.texts += [
            SourceText(cue.text, "subtitle", language, float(cue.start_s), float(cue.end_s))
            for cue in read_subtitles(path, path)
            if cue.end_s > cue.start_s
        ]
        return
    if path.stat().st_size > _MOST_BYTES:
        raise UnfitError("too_large", f"has more than {_MOST_BYTES} bytes")
    text = path.read_bytes().decode("utf-8-sig")
    if suffix == ".txt":
        made.texts += [SourceText(text.strip(), "caption", language)] if text.strip() else []
        return
    record = Record(Item(parse_item(text, str(path)), str(path), ""))
    stretch = record.stretch(START_FIELDS, END_FIELDS)
    texts = described(record, language)
    made.rights = record.rights(options)
    made.texts += texts
    made.start_s, made.end_s = stretch
    made.metadata |= record.rest()
