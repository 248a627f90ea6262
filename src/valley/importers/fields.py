"""Take the fields of an item one by one; what nobody took is an error, so that nothing is lost unseen.

A field that is null counts as absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from valley.conversation import Conversation, Message, is_language_tag, is_seconds
from valley.errors import ConversationError
from valley.importers.importer import ImportOptions
from valley.importers.items import Item

_ADDRESS = re.compile(r"(?i)(?:[a-z][a-z0-9+.-]+://|data:)")


class Fields:
    """The fields of one object of a file."""

    def __init__(self, value: object, where: str) -> None:
        """Begin with all fields there.

        Raises:
            ConversationError: it is no object.
        """
        self.where = where
        if not isinstance(value, dict):
            self.fail(f"want an object, got {_short(value)}")
        self._left: dict[str, Any] = {str(k): v for k, v in value.items() if v is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def fail(self, reason: str) -> NoReturn:
        """Raise an error at this place."""
        raise ConversationError(f"{self.where}: {reason}")

    def take(self, name: str) -> Any:  # noqa: ANN401
        """Take a field as it is; None where it is absent."""
        return self._left.pop(name, None)

    def text(self, name: str, *, default: str | None = None) -> str:
        """Take a field that is text.

        Raises:
            ConversationError: it is no text, or absent without a default.
        """
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            self.fail(f"want a text {name!r}, got {_short(value) if value is not None else 'none'}")
        return value

    def listed(self, name: str) -> list[Any]:
        """Take a field that is a list.

        Raises:
            ConversationError: it is no list, or absent.
        """
        value = self._left.pop(name, None)
        if not isinstance(value, list):
            self.fail(f"want a list {name!r}, got {_short(value) if value is not None else 'none'}")
        return value

    def seconds(self, name: str) -> float | None:
        """Take a field that is a time.

        Raises:
            ConversationError: it is no number.
        """
        value = self._left.pop(name, None)
        if not is_seconds(value):
            self.fail(f"want {name!r} in seconds, got {_short(value)}")
        return None if value is None else float(value)

    def path(self, name: str) -> str:
        """Take a field that is one path.

        Raises:
            ConversationError: it is absent or no path on this machine.
        """
        paths = self.paths(name)
        if len(paths) != 1:
            self.fail(f"want one path {name!r}, got {len(paths)}")
        return paths[0]

    def paths(self, *names: str) -> list[str]:
        """Take the one of these fields that is there: a path or a list of them; none where none is there.

        Raises:
            ConversationError: two of the fields are there, or it holds something else.
        """
        given = [name for name in names if name in self._left]
        if len(given) > 1:
            self.fail(f"{' and '.join(given)} contradict each other: leave one of them")
        if not given:
            return []
        value = self._left.pop(given[0])
        return [self._path(v, given[0]) for v in (value if isinstance(value, list) else [value])]

    def _path(self, value: object, name: str) -> str:
        if isinstance(value, dict):  # as the library datasets keeps media, or as OpenAI names them
            if value.get("bytes") is not None:
                self.fail(f"{name!r} holds the bytes of a medium: write them to a file and give its path")
            value = value.get("path") or value.get("url")
        if not isinstance(value, str) or not value:
            self.fail(f"want a path in {name!r}, got {_short(value)}")
        if value.startswith("file://"):
            return unquote(urlsplit(value).path)
        if _ADDRESS.match(value):
            self.fail(f"{name!r} is an address, {_short(value)}: fetch the file and give its path")
        return value

    def refuse(self, name: str, reason: str) -> None:
        """Raise where a field says something that a conversation cannot hold; empty ones are nothing."""
        if self._left.pop(name, None) not in (None, "", [], {}, "[]"):
            self.fail(f"has {name!r}, {reason}")

    def kept(self, names: Iterable[str]) -> dict[str, Any]:
        """Take these fields for the metadata, and refuse what is left.

        Raises:
            ConversationError: a field is left, or cannot be written as JSON.
        """
        kept = {name: self._left.pop(name) for name in dict.fromkeys(names) if name in self._left}
        for name in self._left:
            self.fail(
                f"the field {name!r} is unknown in this format: leave it out of the file, or keep it in the "
                f"metadata (--keep {name})"
            )
        if kept:
            self._refuse_what_is_no_json(kept)
        return kept

    def _refuse_what_is_no_json(self, kept: dict[str, Any]) -> None:
        try:
            json.dumps(kept)
        except TypeError as error:
            names = ", ".join(kept)
            raise ConversationError(f"{self.where}: {names} cannot be kept as JSON: {error}") from error


def close(
    fields: Fields,
    messages: tuple[Message, ...],
    item: Item,
    options: ImportOptions,
    *,
    known: Iterable[str] = (),
) -> Conversation:
    """Make the conversation of what is left of an item: its id, its language, its metadata.

    Args:
        fields: of the item; nothing may be left but `id`, `language`, `known` and what the caller keeps.
        messages: what has been made of the rest.
        item: gives the id where there is none.
        options: give the language where there is none.
        known: fields of the format that a conversation has no place for.

    Raises:
        ConversationError: a field is unknown, or the language is no tag.
    """
    given = fields.take("id")
    language = fields.text("language", default=options.language)
    if not is_language_tag(language):
        fields.fail(f"want a language tag such as en or zh-Hans, got {_short(language)}")
    if given is not None and (isinstance(given, bool) or not isinstance(given, str | int)):
        fields.fail(f"want an id that is text or a whole number, got {_short(given)}")
    name = item.default_id if given in (None, "") else str(given)
    if not messages:
        fields.fail("the conversation has no turn: leave the item out")
    return Conversation(messages, language, name, fields.kept([*known, *options.keep]))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
