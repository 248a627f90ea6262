"""One try to fetch one medium, from the first question to its place among the blobs."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from valley.collection.downloading.asking import FetchRequest, Surroundings
from valley.collection.downloading.blobs import Blobs
from valley.collection.downloading.journal import Journal
from valley.collection.downloading.limits import FetchLimits
from valley.collection.downloading.page_video import SCHEME, PageVideos, parse_section
from valley.collection.downloading.partial import Notes, Partial, name_of
from valley.collection.downloading.retrying import AgainError, as_outcomes
from valley.collection.downloading.room import need_room
from valley.collection.downloading.transfer import HttpTransfer, refuse_page
from valley.collection.executor import RefusedError
from valley.fetching.addresses import parse_url
from valley.fetching.content import suffix_in, suffix_of

PARTIAL_FOLDER = "partial"

_BLOCK_BYTES = 2**20


class Tries:
    """Makes tries; one object serves all threads."""

    def __init__(
        self,
        corpus: Path,
        limits: FetchLimits,
        surroundings: Surroundings,
        transfer: HttpTransfer,
        *,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._folder = corpus / PARTIAL_FOLDER
        self._limits = limits
        self._surroundings = surroundings
        self._transfer = transfer
        self._is_stopped = is_stopped
        self._blobs = Blobs(corpus)
        self._journal = Journal(self._folder / "fetched.jsonl")
        self._pages: PageVideos | None = None
        self._pages_lock = threading.Lock()

    def fetch(self, request: FetchRequest) -> dict[str, Any]:
        """Fetch a medium, and give its record.

        Raises:
            RefusedError: there is nothing to be had; nothing is left of it.
            AgainError: it may be had another time; what came is kept, where the rest can be asked for.
            OSError: the disk is full, or cannot be written.
            MissingExtraError, ConfigError: yt-dlp is needed, and absent or too old.
        """
        noted = self._journal.get(name_of(request.key))
        if noted is not None and self._blobs.holds(noted["path"], noted["size_bytes"]):
            return noted
        with Partial(self._folder, request.key) as part:
            try:
                if request.url.startswith(SCHEME):
                    return self._fetch_section(request, part)
                if not part.is_whole:
                    self._transfer.fetch(request.url, part, expected_bytes=request.expected_bytes)
                return self._finished(request, part)
            except AgainError:
                raise
            except RefusedError:
                part.discard()
                raise

    def _finished(
        self, request: FetchRequest, part: Partial, page: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check what came, and move it to its place."""
        if part.num_bytes == 0:
            raise RefusedError("empty", "the server sent no bytes", 0)
        refuse_page(part)
        _check(request, part)
        part.finish()
        notes = part.notes or Notes()
        suffix = suffix_of(part.head)
        with as_outcomes():
            other_suffix = "" if suffix else suffix_in(parse_url(notes.final_url).path)
        place = self._blobs.place(part.sha256, suffix=suffix, other_suffix=other_suffix)
        record = {
            "sha256": part.sha256,
            "path": place,
            "size_bytes": part.num_bytes,
            "content_type": notes.content_type,
            "final_url": notes.final_url,
            **({} if page is None else {"found": dict(page)}),
        }
        self._journal.append(name_of(request.key), record)
        self._blobs.adopt(part.path, place)
        part.forget_notes()
        return record

    def _fetch_section(self, request: FetchRequest, part: Partial) -> dict[str, Any]:
        need_room(self._folder, 0, self._limits.keep_free_bytes)
        folder = part.path.with_suffix(".pages")
        try:
            fetched = self._page_videos().fetch(request.url, folder)
            part.begin(Notes(final_url=parse_section(request.url).page))
            with fetched.file.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    part.append(block)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if part.num_bytes > self._limits.max_bytes:
            raise RefusedError("too_large", f"want at most {self._limits.max_bytes} bytes", part.num_bytes)
        return self._finished(request, part, fetched.page_says)

    def _page_videos(self) -> PageVideos:
        with self._pages_lock:
            if self._pages is None:
                self._pages = PageVideos(
                    self._surroundings.ytdlp,
                    self._limits,
                    resolver=self._surroundings.resolver,
                    is_stopped=self._is_stopped,
                )
            return self._pages


def _check(request: FetchRequest, part: Partial) -> None:
    """Check what came against what the caller knows.

    Raises:
        AgainError: it is something else; nothing is left of it.
    """
    if request.expected_bytes is not None and part.num_bytes != request.expected_bytes:
        got = part.num_bytes
        part.discard()
        raise AgainError(
            "wrong_length", f"want {request.expected_bytes} bytes, got {got}", got, most_attempts=2
        )
    if request.expected_sha256 and part.sha256 != request.expected_sha256.lower():
        got_sum = part.sha256
        part.discard()
        raise AgainError(
            "wrong_hash", f"want SHA-256 {request.expected_sha256}, got {got_sum}", most_attempts=2
        )
