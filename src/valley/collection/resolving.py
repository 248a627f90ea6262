"""From an item to the medium it is about: what the stages' stores know of it, or why they know nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from valley.collection.corpus import Stages
from valley.collection.walking import NamedItem, file_key


@dataclass(frozen=True)
class KnownMedium:
    """A medium that was looked at.

    Attributes:
        sha256: of its bytes.
        uri: its file: absolute, or as seen from the collection's folder.
        size_bytes: of the file.
        found: what `valley.collection.looking` said.
        said: what the site it was fetched from says: title, licence, uploader, page_url and the like.
    """

    sha256: str
    uri: str
    size_bytes: int
    found: dict[str, Any]
    said: dict[str, str]


@dataclass(frozen=True)
class Fault:
    """Why a medium is not there: the stage, the key in its store, and what it said."""

    stage: str
    key: str
    reason: str
    detail: str
    number: float | int | None = None
    attempts: int = 1


class Resolver:
    """Looks items up; remembers the last medium, as items about one mostly stand together."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._last: tuple[str, KnownMedium | Fault] | None = None

    def resolve(self, named: NamedItem) -> KnownMedium | Fault:
        """Find the medium of an item."""
        place = named.place
        if self._last is None or self._last[0] != place:
            self._last = place, self._resolve(named, place)
        return self._last[1]

    def _resolve(self, named: NamedItem, place: str) -> KnownMedium | Fault:
        if named.item.url is not None:
            stage, key, record = "fetch", place, self._stages.fetched.get(place)
        else:
            if not _is_text(place):
                shown = place.encode("utf-8", "backslashreplace").decode("utf-8")
                return Fault("hash", shown, "bad_name", "the file's name is not UTF-8: give it another")
            try:
                stage, key = "hash", file_key(place)
            except OSError as error:
                return Fault("hash", place, "not_found", (error.strerror or "not there").lower())
            record = self._stages.hashed.get(key)
        if record is None or "fault" in record:
            return _fault(stage, key, record)
        sha256 = record["sha256"]
        found = self._stages.looked.get(sha256)
        if found is None or "fault" in found:
            return _fault("look", sha256, found)
        return KnownMedium(
            sha256, record.get("path", place), record["size_bytes"], found, record.get("found", {})
        )


def _fault(stage: str, key: str, record: dict[str, Any] | None) -> Fault:
    if record is None:  # another shard's, or one that came while this run was at work
        return Fault(stage, key, "not_done", "nobody has come to it yet: run the command again", attempts=0)
    return Fault(stage, key, **record["fault"])


def _is_text(place: str) -> bool:
    try:
        place.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
