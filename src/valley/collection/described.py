"""The fields in which people and tools say something about a medium: caption, title, tags, times."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from valley.collection.records import Record
from valley.collection.source import SourceText
from valley.manifest import TextKind

CAPTION_FIELDS = ("caption", "captions", "text", "texts")
START_FIELDS = ("start_s", "start", "start_time")
END_FIELDS = ("end_s", "end", "end_time")

_KINDS: Mapping[str, TextKind] = MappingProxyType(
    {
        **dict.fromkeys(CAPTION_FIELDS, "caption"),
        "description": "description",
        "title": "title",
        "tags": "tag",
        "keywords": "tag",
    }
)


def described(
    record: Record, language: str, *, caption_fields: tuple[str, ...] = ()
) -> tuple[SourceText, ...]:
    """Take what a record says in words.

    Args:
        record: of a medium.
        language: of words whose language it does not say.
        caption_fields: fields that hold captions, instead of the usual ones.

    Raises:
        UnfitError: a field holds something else.
    """
    language = record.language(language)
    kinds: dict[str, TextKind] = {**_KINDS}
    if caption_fields:
        kinds = {name: kind for name, kind in kinds.items() if kind != "caption"}
        kinds = {**dict.fromkeys(caption_fields, "caption"), **kinds}
    return tuple(
        text for name, kind in kinds.items() for text in record.texts(name, language=language, kind=kind)
    )
