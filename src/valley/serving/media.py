"""The gate that media of strangers pass: from whatever a request names to a local file that was looked at.

    gate = MediaGate(MediaSettings(), spool_folder)
    with gate.lease(owner) as lease:                    # what it gives out stays until the block ends
        path = await lease.local("data:video/mp4;base64,AAAA...", "video")
        ...                                             # decode it in a child process: `isolated=True`

Nothing here decodes. No address reaches a library that opens addresses: `valley.video` is handed files alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar

from valley.serving.errors import MediaRefusedError
from valley.serving.media_data import no_frames, store_data, too_large
from valley.serving.media_kinds import PICTURES, refuse_early, suffix_for
from valley.serving.media_paths import allowed_path
from valley.serving.media_settings import MediaSettings
from valley.serving.media_spool import Draft, Entry, Spool
from valley.serving.media_uploads import StoredFile, Uploads
from valley.serving.media_web import Network, WebMedia

__all__ = ["Lease", "MediaGate", "MediaKind", "MediaSettings", "Network", "StoredFile"]

MediaKind: TypeAlias = Literal["image", "video"]
T = TypeVar("T")

_BLOCK_BYTES = 2**20
_DISK_THREADS = 4
FILE_ID = "file-"


class MediaGate:
    """All media of one server."""

    def __init__(self, settings: MediaSettings, spool: Path, *, network: Network | None = None) -> None:
        """Open the gate.

        Args:
            settings: what may pass.
            spool: folder for media; the gate makes one of its own in it, and removes that at its end.
            network: another way to the network, for tests.

        Raises:
            ConfigError: the folder cannot be used.
            FetchError: a host that is allowed is none.
        """
        self.settings = settings
        self._web = WebMedia(settings, network or Network())
        self._spool = Spool(spool, most_bytes=settings.spool_bytes, keep_free_bytes=settings.keep_free_bytes)
        self._uploads = Uploads(settings.max_files_per_owner)
        # Threads apart: hosts that drip hold up fetches alone.
        self._fetching = ThreadPoolExecutor(settings.max_fetches, thread_name_prefix="fetch")
        self._writing = ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="spool")

    @property
    def used_bytes(self) -> int:
        """What all media on the disk count for."""
        return self._spool.used_bytes

    @property
    def num_in_use(self) -> int:
        """How many media requests hold now."""
        return self._spool.num_in_use

    def lease(self, owner: str) -> Lease:
        """Begin a request of an owner (a hash of its key, in hexadecimal, or "")."""
        return Lease(self, owner)

    async def store_upload(self, chunks: AsyncIterable[bytes], name: str, owner: str) -> StoredFile:
        """Take an upload, to the disk as it comes.

        Args:
            chunks: the bytes.
            name: as the client calls the file.
            owner: whose it will be.

        Raises:
            MediaRefusedError: it is too large, or no medium.
        """
        self._uploads.refuse_more(owner)
        draft = await self._on_disk(self._spool.draft)
        try:
            draft.begin_file("clip")
            async for block in _blocks(chunks):
                await self._on_disk(partial(draft.write, block))
                refuse_early(draft.head, "")
                if draft.num_bytes > self.settings.max_video_bytes:
                    raise too_large(self.settings.max_video_bytes)
            suffix = suffix_for(draft.head, "")
            kind = "image" if suffix in PICTURES else "video"
            if draft.num_bytes > self.settings.max_bytes(kind):
                raise too_large(self.settings.max_bytes(kind))
            draft.end_file()
            (draft.folder / "clip").rename(draft.folder / f"clip{suffix}")
            entry = await self._on_disk(partial(self._spool.keep, draft, owner, f"clip{suffix}", suffix))
            try:
                return self._uploads.add(entry, name=name, size_bytes=draft.num_bytes, kind=kind)
            finally:
                self._spool.release(entry)
        finally:
            draft.__exit__(None, None, None)

    def find(self, file_id: str, owner: str) -> StoredFile:
        """Give an owner's upload.

        Raises:
            MediaRefusedError: there is none (404), also where it is another owner's.
        """
        return self._uploads.find(file_id, owner)

    def files(self, owner: str) -> list[StoredFile]:
        """Give an owner's uploads, the oldest first."""
        return self._uploads.of(owner)

    def delete(self, file_id: str, owner: str) -> None:
        """Forget an upload; a request that reads it goes on.

        Raises:
            MediaRefusedError: see `find`.
        """
        self._uploads.delete(file_id, owner)

    def settle(self) -> None:
        """Take nothing more, and wait for what is coming."""
        self._web.close()
        self._fetching.shutdown(cancel_futures=True)
        self._writing.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End what runs, and remove everything."""
        self.settle()
        self._spool.close()

    async def obtain(
        self, url: str, kind: MediaKind, owner: str, *, timestamps_s: Sequence[float] | None = None
    ) -> Entry | Path:
        """Bring a medium here; `Lease.local` is what requests call, and gives it back.

        Raises:
            MediaRefusedError: it does not pass.
        """
        scheme = url[:8].partition(":")[0].lower()
        if timestamps_s is not None and scheme != "data":
            raise no_frames()
        if url.startswith(FILE_ID):
            return self._used(url, kind, owner)
        if scheme == "data":
            store = partial(store_data, url, kind, owner, self._spool, self.settings, timestamps_s)
            return await self._on_disk(store)
        if scheme in ("http", "https"):
            return await self._run(self._fetching, partial(self._web.store, url, kind, owner, self._spool))
        if scheme == "file":
            return await self._on_disk(partial(allowed_path, url, kind, self.settings))
        raise MediaRefusedError(
            400,
            "unsupported_scheme",
            f"want data:..., https://..., file:///... or the id of an upload, got {url[:20]!r}",
        )

    def release(self, entry: Entry) -> None:
        """Give back what `obtain` gave."""
        self._spool.release(entry)

    def _used(self, file_id: str, kind: MediaKind | None, owner: str) -> Entry:
        found = self._uploads.find(file_id, owner)
        if kind == "image" and found.kind != "image":
            raise MediaRefusedError(400, "media_kind", "want a picture, but this file is a video")
        entry = self._spool.use(owner, found.entry.digest)
        if entry is None:  # it went in this moment
            raise MediaRefusedError(404, "file_not_found", "there is no such file any more")
        return entry

    def content(self, file_id: str, owner: str) -> Entry:
        """Give an upload's medium to read; `Lease.file` is what requests call, and gives it back."""
        return self._used(file_id, None, owner)

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await self._run(self._writing, work)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            future = threads.submit(work)
        except RuntimeError as error:  # they were shut down
            raise MediaRefusedError(503, "shutting_down", "the server is shutting down") from error
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:  # the client has left; the thread may be about to give something
            future.add_done_callback(self._take_back)
            raise

    def _take_back(self, future: Future[T]) -> None:
        """Give back what nobody waits for any more."""
        if future.cancelled() or future.exception() is not None:
            return
        result = future.result()
        if isinstance(result, Entry):
            self._spool.release(result)
        elif isinstance(result, Draft):
            self._spool.abandon(result)


class Lease:
    """The media of one request; a context manager, at whose end they may go if room is wanted."""

    def __init__(self, gate: MediaGate, owner: str) -> None:
        self._gate = gate
        self._owner = owner
        self._entries: list[Entry] = []

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._entries:
            self._gate.release(self._entries.pop())

    async def local(self, url: str, kind: MediaKind, *, timestamps_s: Sequence[float] | None = None) -> Path:
        """Give a file, or a folder of pictures, for what a request names.

        Args:
            url: a data URL, a web address, file:///..., or the id of an upload.
            kind: what is wanted; a picture is also a clip of one frame.
            timestamps_s: when each picture of a list is shown, in seconds of the clip.

        Raises:
            MediaRefusedError: it does not pass.
        """
        got = await self._gate.obtain(url, kind, self._owner, timestamps_s=timestamps_s)
        return got if isinstance(got, Path) else self._keep(got)

    def file(self, file_id: str) -> Path:
        """Give the bytes of an upload, of either kind.

        Raises:
            MediaRefusedError: there is none.
        """
        return self._keep(self._gate.content(file_id, self._owner))

    def _keep(self, entry: Entry) -> Path:
        self._entries.append(entry)
        return entry.path


async def _blocks(chunks: AsyncIterable[bytes]) -> AsyncIterable[bytes]:
    """Put small pieces together, so that each trip to a thread is worth it."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= _BLOCK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
