"""What an importer is: it reads a file of another project and yields conversations, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from valley.conversation import Conversation
from valley.errors import ConversationError
from valley.importers.items import Item, read_items
from valley.registry import Registry

IMPORTERS = Registry("valley.importers.formats", attribute="IMPORTER", kind="format")

OnBad: TypeAlias = Callable[[ConversationError], None]


@dataclass(frozen=True)
class ImportOptions:
    """What the caller decides.

    Attributes:
        language: BCP-47 tag of conversations that do not say theirs.
        keep: fields that the format does not know; they go into the metadata.
        video_suffix: put behind a video's name that has none.
        image_prefix: put before a picture's file name.
        media_out: a folder for media that come inside of archives.
    """

    language: str = "en"
    keep: tuple[str, ...] = ()
    video_suffix: str = ".mp4"
    image_prefix: str = ""
    media_out: Path | None = None


@runtime_checkable
class Importer(Protocol):
    """One format; one module in `valley/importers/formats` each, called as the format.

    Attributes:
        name: the module's name.
        origin: whose format it is, in a few words.
        options: those of `video_suffix`, `image_prefix` and `media_out` that it looks at.
    """

    name: str
    origin: str
    options: tuple[str, ...]

    def read(
        self, path: Path, options: ImportOptions, *, on_bad: OnBad | None = None
    ) -> Iterator[Conversation]:
        """Yield the conversations in order, with the paths of media as they stand there.

        Args:
            path: a file or folder.
            options: what the caller decides.
            on_bad: is given the error of an item that does not fit, which is then left out.

        Raises:
            ConversationError: an item does not fit and nobody is given it, or the file cannot be parsed; the
                message names file and place and says what to do.
            ConfigError: an option that the format needs is not given.
        """
        ...


@dataclass(frozen=True)
class ItemImporter:
    """An importer that makes one conversation of each item.

    Attributes:
        name: see `Importer`.
        origin: see `Importer`.
        convert: makes the conversation, or raises ConversationError.
        options: see `Importer`.
        items: yields the items; those of a .json list or of .jsonl lines by default.
    """

    name: str
    origin: str
    convert: Callable[[Item, ImportOptions], Conversation]
    options: tuple[str, ...] = ()
    items: Callable[[Path, ImportOptions], Iterator[Item]] = lambda path, _: read_items(path)

    def read(
        self, path: Path, options: ImportOptions, *, on_bad: OnBad | None = None
    ) -> Iterator[Conversation]:
        """Yield the conversations in order; see `Importer.read`."""
        for item in self.items(path, options):
            try:
                made = self.convert(item, options)
            except ConversationError as error:
                if on_bad is None:
                    raise
                on_bad(error)
                continue
            yield replace(made, metadata={"format": self.name, **made.metadata})
