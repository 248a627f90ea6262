r"""Media within a request: `data:video/mp4;base64,AAAA`, or pictures of a clip one after the other.

A list of pictures is `data:video/jpeg;base64,FIRST,SECOND,...`, one a second unless it says otherwise:
`data:video/jpeg;fps=2;base64,...`, or the time of each is told beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from valley.fetching.content import suffix_of
from valley.serving.errors import MediaRefusedError
from valley.serving.media_kinds import PICTURES, refuse_early, suffix_for
from valley.serving.media_settings import MediaSettings
from valley.serving.media_spool import Draft, Entry, Spool

_HEADER = re.compile(
    r"data:(?P<kind>video|image)/(?P<type>[a-z0-9.+-]{1,60})"
    r"(?P<parameters>(?:;[a-z0-9-]{1,40}=[^;,\s\"]{0,80}){0,8})(?P<base64>;base64)?",
    re.IGNORECASE,
)
_HEADER_CHARACTERS = 1024
_BLOCK_CHARACTERS = 4 * 2**18
_LIST_TYPES = ("jpeg", "jpg", "png", "webp")
_HOW = "want data:video/...;base64,... or data:image/...;base64,..."
_LATEST_S = 1e7  # some months; what a clip may last is decided where it is read


@dataclass(frozen=True)
class _Header:
    kind: str
    type: str
    fps: float | None
    start: int  # where the data begin


def store_data(
    url: str,
    kind: str,
    owner: str,
    spool: Spool,
    settings: MediaSettings,
    timestamps_s: Sequence[float] | None = None,
) -> Entry:
    """Bring a data URL to the disk; see `Spool.keep` for what the caller owes.

    Raises:
        MediaRefusedError: it is none, too large, or something else than `kind`; or the times of its pictures
            do not fit.
    """
    header = _header(url)
    is_list = header.kind == "video" and header.type in _LIST_TYPES
    if timestamps_s is not None and not is_list:
        raise no_frames()
    with spool.draft() as draft:
        if is_list:
            _write_list(draft, url, header, kind, settings, timestamps_s)
            return spool.keep(draft, owner, "", "")
        draft.begin_file("clip")
        _write(draft, url, header.start, len(url), kind, settings.max_bytes(kind))
        draft.end_file()
        suffix = suffix_for(draft.head, kind)
        if suffix in PICTURES and draft.num_bytes > settings.max_image_bytes:
            raise too_large(settings.max_image_bytes)
        name = f"clip{suffix}"
        (draft.folder / "clip").rename(draft.folder / name)
        return spool.keep(draft, owner, name, suffix)


def too_large(most_bytes: int) -> MediaRefusedError:
    """Refuse a medium for its size."""
    return MediaRefusedError(413, "media_too_large", f"a medium may have {most_bytes} bytes, this has more")


def no_frames() -> MediaRefusedError:
    """Refuse times beside something else than a list of pictures."""
    return _bad_timestamps("timestamps_s belong to frames: data:video/jpeg;base64,FIRST,SECOND,...")


def _header(url: str) -> _Header:
    found = _HEADER.match(url)
    if found is None or url[found.end() : found.end() + 1] != ",":
        raise MediaRefusedError(400, "bad_data_url", f"{_HOW}, got {url[:40]!r}...")
    if not found["base64"]:
        raise MediaRefusedError(400, "bad_data_url", f"{_HOW}: percent-encoding is not taken")
    return _Header(found["kind"].lower(), found["type"].lower(), _fps(found["parameters"]), found.end() + 1)


def _fps(parameters: str) -> float | None:
    """Read how many pictures a second a list holds, if it says so."""
    named = dict(part.lower().split("=", 1) for part in parameters.split(";") if part)
    if "fps" not in named:
        return None
    try:
        fps = float(named["fps"])
    except ValueError:
        fps = 0.0
    if not 1e-3 <= fps <= 1000:
        raise MediaRefusedError(400, "bad_data_url", f"fps: want 0.001 to 1000, got {named['fps']!r}")
    return fps


def _write(draft: Draft, url: str, start: int, end: int, kind: str, most_bytes: int) -> None:
    """Decode a stretch of a data URL into the draft's file."""
    if (end - start) // 4 * 3 - 2 > most_bytes:
        raise too_large(most_bytes)
    for block in _decoded(url, start, end):
        draft.write(block)
        refuse_early(draft.head, kind)


def _decoded(url: str, start: int, end: int) -> Iterator[bytes]:
    """Decode base64 block by block: the standard alphabet, padded, and nothing in between."""
    problem = "its base64 is damaged: want the standard alphabet with padding, no spaces and no line ends"
    if (end - start) % 4:
        raise MediaRefusedError(400, "bad_base64", problem)
    for at in range(start, end, _BLOCK_CHARACTERS):
        block = url[at : min(end, at + _BLOCK_CHARACTERS)]
        is_last = at + _BLOCK_CHARACTERS >= end
        try:
            data = base64.b64decode(block, validate=True)
        except (binascii.Error, ValueError) as error:  # the latter: characters beyond ASCII
            raise MediaRefusedError(400, "bad_base64", problem) from error
        if "=" in block and not is_last:
            raise MediaRefusedError(400, "bad_base64", problem)
        yield data


def _write_list(
    draft: Draft,
    url: str,
    header: _Header,
    kind: str,
    settings: MediaSettings,
    timestamps_s: Sequence[float] | None,
) -> None:
    """Write pictures as files, with the times at which they are shown."""
    if kind == "image":
        raise MediaRefusedError(400, "media_kind", "want a picture, got a list: send it as a video_url part")
    num_frames = url.count(",", header.start) + 1
    if num_frames > settings.max_frames:
        raise MediaRefusedError(
            400, "too_many_frames", f"a list may hold {settings.max_frames} pictures, this has {num_frames}"
        )
    times = _times(header, num_frames, timestamps_s)
    start = header.start
    for number in range(num_frames):
        end = url.find(",", start) if number < num_frames - 1 else len(url)
        draft.begin_file("next")
        _write(draft, url, start, end, "image", settings.max_image_bytes)
        draft.mark("next")
        draft.end_file()
        suffix_for(draft.head, "image")
        (draft.folder / "next").rename(draft.folder / f"{number:06d}{suffix_of(draft.head)}")
        if draft.num_bytes > settings.max_video_bytes:
            raise too_large(settings.max_video_bytes)
        start = end + 1
    draft.mark(times)
    (draft.folder / "timestamps.json").write_text(times, encoding="ascii")


def _times(header: _Header, num_frames: int, timestamps_s: Sequence[float] | None) -> str:
    """Write down when each picture is shown, as `valley.video.pictures` reads it."""
    if timestamps_s is None:
        fps = header.fps or 1.0
        return json.dumps({"shown_at_s": [number / fps for number in range(num_frames)]})
    if header.fps is not None:
        raise _bad_timestamps("fps and timestamps_s both say when frames are shown: give one")
    if len(timestamps_s) != num_frames:
        raise _bad_timestamps(f"want {num_frames} timestamps_s, one a frame, got {len(timestamps_s)}")
    late_s = next((b for a, b in pairwise((0.0, *timestamps_s)) if not a <= b <= _LATEST_S), None)
    if late_s is not None:
        raise _bad_timestamps(f"want timestamps_s from 0 on that never decrease, got {late_s:g} out of order")
    return json.dumps({"shown_at_s": list(timestamps_s)})


def _bad_timestamps(words: str) -> MediaRefusedError:
    return MediaRefusedError(400, "bad_timestamps", words)
