"""Read the items of a JSON file one by one, each with its place; a list of any size needs little memory.

A .jsonl file holds one item a line. Any other file holds either that or one list: ``[{...}, {...}]``; or one
object, whose entries are read one by one: ``{"a": {...}, "b": {...}}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from valley.errors import ConversationError

MOST_ITEM_CHARS = 2**26  # the longest dialogue has some thousand characters; a broken file has no end
_CHUNK_CHARS = 2**20
_LONGEST_CUT = 16  # an escape or a literal cut off by the end of what is read so far is shorter than this
_LINE_SUFFIXES = (".jsonl", ".ndjson")
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Item:
    """One parsed item, how to name its place in errors, and an id for it where it has none itself."""

    value: Any
    where: str
    default_id: str


OnBadLine: TypeAlias = Callable[[Item, ConversationError], None]


class _RefusedError(ValueError):
    """What Python's parser lets through and JSON does not mean."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"the field {twice!r} stands there twice: leave one of them")
    return made


def _constant(name: str) -> None:
    raise _RefusedError(f"{name} is no JSON: write a number or null")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def read_items(path: Path, *, on_bad_line: OnBadLine | None = None) -> Iterator[Item]:
    """Yield the items of a .json or .jsonl file.

    Args:
        path: the file.
        on_bad_line: is given the place and the error of a line that is no JSON, which is then left out; in a
            list nothing can be read behind such an error.

    Raises:
        ConversationError: the file is no JSON, is empty or is a folder.
    """
    with _opened(path) as file:
        window = _Window(file, path)
        first = "{" if path.suffix.lower() in _LINE_SUFFIXES else window.peek()
        if not first:
            raise ConversationError(f"{path}: the file is empty: fetch or copy it again")
        if first == "[":
            yield from _list(window, path)
        else:
            file.seek(0)
            yield from _lines(file, path, on_bad_line)


def read_entries(path: Path) -> Iterator[tuple[str, Item]]:
    """Yield the names and values of the one object that a .json file holds.

    Raises:
        ConversationError: the file is no JSON, holds something else, or is a folder.
    """
    with _opened(path) as file:
        window = _Window(file, path)
        if window.peek() != "{":
            raise ConversationError(f"{path}: want one object {{...}}, got {window.peek() or 'nothing'}")
        window.step()
        number = 0
        while window.peek() != "}":
            number += 1
            where = f"{path}:{window.line}, item {number}"
            name = window.value(where) if window.peek() == '"' else None
            if name is None or window.peek() != ":":
                raise ConversationError(f"{where}: want a name and a colon: mend it, or fetch the file again")
            window.step()
            window.peek()
            yield name, Item(window.value(where), where, name)
            window.next_in("}", number)


def holds_list(path: Path) -> bool:
    """Whether a .json file begins with a list.

    Raises:
        ConversationError: the file is no text, or is a folder.
    """
    with _opened(path) as file:
        return _Window(file, path).peek() == "["


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    if path.is_dir():
        raise ConversationError(f"{path}: is a folder: give the .json or .jsonl file in it")
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ConversationError(
            f"{path}: is no text in UTF-8 ({error.reason}): convert it, or fetch it again"
        ) from error


def parse_item(text: str, where: str) -> Any:  # noqa: ANN401
    """Parse one JSON value that fills the text.

    Raises:
        ConversationError: it is no JSON, or says a field twice.
    """
    try:
        value = _DECODER.decode(text)
    except (json.JSONDecodeError, _RefusedError, RecursionError) as error:
        raise ConversationError(f"{where}: {_said(error)}") from error
    return _sound(value, text, where)


def _said(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return (
            f"not JSON ({error.msg} at column {error.colno}): want one object a line, or one list of objects"
        )
    return "is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _sound(value: Any, text: str, where: str) -> Any:  # noqa: ANN401
    """Refuse half characters, which no file can hold."""
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ConversationError(
                f"{where}: holds half of a character (\\ud800 to \\udfff alone): repair the text"
            ) from error
    return value


def _lines(file: TextIO, path: Path, on_bad_line: OnBadLine | None) -> Iterator[Item]:
    number = 0
    while line := file.readline(MOST_ITEM_CHARS):
        number += 1
        where = f"{path}:{number}"
        if len(line) == MOST_ITEM_CHARS:
            raise ConversationError(f"{where}: has over {MOST_ITEM_CHARS} characters: split it")
        if not line.strip():
            continue
        try:
            value = parse_item(line.lstrip("\ufeff"), where)
        except ConversationError as error:
            if on_bad_line is None:
                raise
            on_bad_line(Item(None, where, f"{path.stem}-{number}"), error)
            continue
        yield Item(value, where, f"{path.stem}-{number}")


def _list(window: _Window, path: Path) -> Iterator[Item]:
    window.step()
    number = 0
    while window.peek() != "]":
        number += 1
        where = f"{path}:{window.line}, item {number}"
        yield Item(window.value(where), where, f"{path.stem}-{number}")
        window.next_in("]", number)
    window.step()
    if window.peek():
        raise ConversationError(f"{path}:{window.line}: something stands behind the list: leave it out")


class _Window:
    """A stretch of a text file that moves on as it is parsed."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._text = ""
        self._at = 0
        self.line = 1

    def peek(self) -> str:
        """Give the next character that is no white space; nothing at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None
            self._advance(match.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def step(self) -> None:
        """Go past the character that `peek` gave."""
        self._advance(self._at + 1)

    def next_in(self, end: str, number: int) -> None:
        """Go past the comma behind an item, unless the list or object ends here."""
        if self.peek() == ",":
            self.step()
            if self.peek() == end:
                raise ConversationError(
                    f"{self._path}:{self.line}: a comma before the final {end}: leave it out"
                )
        elif self.peek() != end:
            raise ConversationError(
                f"{self._path}:{self.line}: want a comma or {end} behind item {number}, got "
                f"{self.peek() or 'the end of the file'}: mend it, or fetch the file again"
            )

    def value(self, where: str) -> Any:  # noqa: ANN401
        """Parse the value that begins here."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._is_cut(error) and self._fill():
                    continue
                line = self.line + self._text.count("\n", self._at, error.pos)
                raise ConversationError(
                    f"{self._path}:{line}: not JSON ({error.msg}) in {where.rpartition(', ')[2]}: mend it, "
                    "or fetch the file again"
                ) from error
            except (_RefusedError, RecursionError) as error:
                raise ConversationError(f"{where}: {_said(error)}") from error
            if end == len(self._text) and self._fill():
                continue  # a number may go on
            text = self._text[self._at : end]
            self._advance(end)
            return _sound(value, text, where)

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether reading on may mend this."""
        if len(self._text) - self._at > MOST_ITEM_CHARS:
            return False
        return error.pos >= len(self._text) - _LONGEST_CUT or error.msg.startswith("Unterminated string")

    def _advance(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def _fill(self) -> bool:
        """Read on, as much again as is open, so that a long item is not parsed too often."""
        more = self._file.read(max(_CHUNK_CHARS, len(self._text) - self._at))
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)
