"""One row of annotations: its fields are taken one by one, and what nobody took is kept as metadata.

A field that is null, and text that is blank, count as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NoReturn, TypedDict

from valley.collection.licences import licence_id
from valley.collection.source import SourceOptions, SourceText
from valley.conversation import is_language_tag
from valley.errors import ValleyError
from valley.importers.fields import Fields
from valley.importers.items import Item
from valley.manifest import UNKNOWN_LICENCE, TextKind

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:[.,]\d+)?)")
_LICENCE_FIELDS = ("licence", "license")
_ATTRIBUTION_FIELDS = ("attribution", "author", "uploader", "credit")
_MOST_DEPTH = 50


class UnfitError(ValleyError):
    """A row does not fit its format.

    Attributes:
        reason: a short word for counting.
        detail: what was wanted, what came, what to do.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class Stated(TypedDict):
    """What a row, or else the caller, says about rights."""

    licence: str
    licence_evidence: str
    attribution: str


class Record(Fields):
    """The fields of one row."""

    def __init__(self, item: Item) -> None:
        """Begin with all fields there.

        Raises:
            UnfitError: the row is no object.
        """
        super().__init__(item.value, item.where)

    def fail(self, reason: str) -> NoReturn:
        """Raise an error at this place."""
        raise UnfitError("bad_field", f"{self.where}: {reason}")

    def name(self, *fields: str) -> str | None:
        """Take the first of these fields that is there, as an id: text or a whole number."""
        for field in fields:
            value = self.take(field)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            if value is not None and value != "":
                self.fail(f"want {field!r} to be text or a whole number, got {short(value)}")
        return None

    def needed_name(self, *fields: str) -> str:
        """Take an id that has to be there.

        Raises:
            UnfitError: none of the fields is there.
        """
        name = self.name(*fields)
        if name is None:
            raise UnfitError("no_id", f"{self.where}: want {' or '.join(fields)}")
        return name

    def time_s(self, *fields: str) -> float | None:
        """Take the first of these fields that is there, as seconds or a clock such as 00:01:02.5."""
        for field in fields:
            value = self.take(field)
            if value is not None and value != "":
                return as_seconds(value, f"{self.where}: {field}")
        return None

    def stretch(
        self, start_fields: tuple[str, ...], end_fields: tuple[str, ...]
    ) -> tuple[float | None, float | None]:
        """Take both ends of a stretch.

        Raises:
            UnfitError: it ends before it begins, or is no time.
        """
        return checked_stretch(self.time_s(*start_fields), self.time_s(*end_fields), self.where)

    def language(self, default: str) -> str:
        """Take the language of the words."""
        tag = self.name("language", "lang")
        if tag is None:
            return default
        if not is_language_tag(tag):
            self.fail(f"want a language tag such as en or zh-Hans, got {short(tag)}")
        return tag

    def texts(
        self,
        field: str,
        *,
        language: str,
        kind: TextKind = "caption",
        origin: Literal["human", "machine"] = "human",
        model: str | None = None,
    ) -> tuple[SourceText, ...]:
        """Take a field with one text, a list of them, or objects {"text", "language", "start", "end"}.

        Raises:
            UnfitError: it holds something else.
        """
        value = self.take(field)
        if value is None:
            return ()
        made: list[SourceText] = []
        for number, text in enumerate(value if isinstance(value, list) else [value], 1):
            where = f"{self.where}: {field} {number}"
            if isinstance(text, dict):
                made += _timed(Record(Item(text, where, "")), language, kind, origin, model)
            elif not isinstance(text, str):
                self.fail(f"want {field!r} to be text or a list of it, got {short(text)}")
            elif text.strip():
                made.append(SourceText(text.strip(), kind, language, origin=origin, model=model))
        return tuple(made)

    def rights(self, options: SourceOptions) -> Stated:
        """Take what the row says about rights; what it does not say is the caller's word."""
        stated = rights_of(options)
        licence = self.name(*_LICENCE_FIELDS)
        evidence = self.name("licence_evidence", "license_evidence")
        if licence is not None and licence_id(licence) != UNKNOWN_LICENCE:
            stated["licence"] = licence_id(licence)
            stated["licence_evidence"] = evidence or f"{self.where}: {short(licence)}"
        stated["attribution"] = self.name(*_ATTRIBUTION_FIELDS) or stated["attribution"]
        return stated

    def keep(self, name: str, value: object) -> None:
        """Put a field back that was looked at, so that it is kept."""
        self._left[name] = value

    def rest(self) -> dict[str, Any]:
        """Take all that is left, as JSON holds it."""
        left = {name: plain(value) for name, value in self._left.items() if value != ""}
        self._left.clear()
        return left


def rights_of(options: SourceOptions) -> Stated:
    """Give what the caller says about rights."""
    return Stated(
        licence=options.licence, licence_evidence=options.licence_evidence, attribution=options.attribution
    )


def as_seconds(value: object, where: str) -> float:
    """Read a time: a number, or a clock such as 7:33.689 or 00:07:33,689.

    Raises:
        UnfitError: it is no time.
    """
    made: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        made = float(value) if -1 < value < 1e9 else None
    elif isinstance(value, str) and len(value) < 40 and (clock := _CLOCK.fullmatch(value.strip())):
        hours, minutes, seconds = clock.groups()
        made = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds.replace(",", "."))
    if made is None or made < 0 or made >= 1e9:
        raise UnfitError("bad_time", f"{where}: want seconds or hours:minutes:seconds, got {short(value)}")
    return made


def checked_stretch(
    start_s: float | None, end_s: float | None, where: str
) -> tuple[float | None, float | None]:
    """Give the stretch back.

    Raises:
        UnfitError: it ends before it begins.
    """
    if end_s is not None and end_s <= (start_s or 0.0):
        raise UnfitError("bad_time", f"{where}: want an end after {start_s or 0} s, got {end_s} s")
    return start_s, end_s


def short(value: object) -> str:
    """Write a value for a message."""
    text = repr(value[:100] if isinstance(value, str | bytes | list) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def plain(value: object, depth: int = 0) -> Any:  # noqa: ANN401
    """Write a value as JSON holds it; dates and the like as text, bytes by their number."""
    if depth > _MOST_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {str(name): plain(v, depth + 1) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, depth + 1) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


def _timed(
    record: Record, language: str, kind: TextKind, origin: Literal["human", "machine"], model: str | None
) -> Iterator[SourceText]:
    start_s, end_s = record.stretch(("start_s", "start"), ("end_s", "end"))
    tag = record.language(language)
    text = record.text("text", default="").strip()
    if text:
        yield SourceText(text, kind, tag, start_s, end_s, origin, model)
