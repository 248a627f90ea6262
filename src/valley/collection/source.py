"""What a source is: it names media, words about them, and the licence, item by item, and reads no medium.

A source reads annotations alone and looks for files by name at most. Read again, it yields the same items in
the same order under the same ids, so that a collection that was interrupted goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from valley.language_id import UNKNOWN_LANGUAGE
from valley.manifest import UNKNOWN_LICENCE, TextKind
from valley.registry import Registry

SOURCES = Registry("valley.collection.sources", attribute="SOURCE", kind="source")


@dataclass(frozen=True)
class SourceText:
    """Words about an item.

    Attributes:
        text: the words, as they stand in the source.
        kind: what they are.
        language: BCP-47 tag, "und" where the source does not say.
        start_s: where in the medium the stretch begins that they are about; None: that of the item.
        end_s: where it ends.
        origin: who wrote them.
        model: which model, where one did.
    """

    text: str
    kind: TextKind = "caption"
    language: str = UNKNOWN_LANGUAGE
    start_s: float | None = None
    end_s: float | None = None
    origin: Literal["human", "machine"] = "human"
    model: str | None = None


@dataclass(frozen=True)
class SourceItem:
    """A medium, or a stretch of one, with what its source says about it.

    Attributes:
        id: unique within the source, and the same each time it is read.
        kind: "video" or "image".
        path: the local file; exactly one of `path` and `url` is given.
        url: where to fetch it.
        start_s: where the stretch begins, in seconds from the first shown frame; None: at the beginning.
        end_s: where it ends; None: at the end.
        texts: words about it.
        licence: SPDX id, or "unknown".
        licence_evidence: where that is written: a file, a page, "said by the user".
        attribution: whom to name.
        place: file and index, for messages: "chat.json: item 17".
        metadata: fields that the source does not know, kept as they are.
    """

    id: str
    kind: Literal["video", "image"]
    path: Path | None = None
    url: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    texts: tuple[SourceText, ...] = ()
    licence: str = UNKNOWN_LICENCE
    licence_evidence: str = ""
    attribution: str = ""
    place: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the item is somewhere."""
        if (self.path is None) == (self.url is None):
            raise ValueError(f"{self.place or self.id}: want either a path or a url")


@dataclass(frozen=True)
class BadItem:
    """An item that does not fit its format.

    Attributes:
        id: as far as it can be told, else the index.
        place: file and index.
        reason: a short word for counting, such as "no_caption".
        detail: what was wanted, what came, what to do.
    """

    id: str
    place: str
    reason: str
    detail: str


OnBad: TypeAlias = Callable[[BadItem], None]


@dataclass(frozen=True)
class SourceOptions:
    """What the caller says about a source.

    Attributes:
        path: the annotation file, or a folder.
        media_root: where relative paths of media begin; None: beside the annotations.
        licence: of items that do not say theirs.
        licence_evidence: where that is written.
        attribution: whom to name for items that do not say.
        language: of words whose language the source does not say.
        settings: what only this source knows, such as the name of a column; each source says which it takes.
    """

    path: Path
    media_root: Path | None = None
    licence: str = UNKNOWN_LICENCE
    licence_evidence: str = ""
    attribution: str = ""
    language: str = UNKNOWN_LANGUAGE
    settings: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Source(Protocol):
    """One kind of source; one module in `valley/collection/sources` each, called as the source.

    Attributes:
        name: the module's name.
        origin: whose format it is, in a few words, and how sure we are of it.
        settings: what it takes in `SourceOptions.settings`, each with a line of help.
    """

    name: str
    origin: str
    settings: Mapping[str, str]

    def items(self, options: SourceOptions, *, on_bad: OnBad) -> Iterator[SourceItem]:
        """Yield the items in a stable order, lazily: a million of them need no memory to speak of.

        Args:
            options: what the caller says.
            on_bad: is given what does not fit; it is left out.

        Raises:
            ConfigError: the file as a whole cannot be read, or a setting is unknown.
        """
        ...
