"""What a file's own bytes tell without FFmpeg: playlists, and files that end too early."""

from __future__ import annotations

import io

from valley.errors import EmptyMediaError, NotAVideoError, TruncatedError

HEAD_BYTES = 64
# Text formats that name other files or addresses: FFmpeg would follow them.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"v=0")
_CUT_CURE = "fetch or copy it again"


def refuse_bad_head(source: str, file: io.BufferedIOBase) -> None:
    """Refuse what must not reach FFmpeg: nothing, and playlists.

    Raises:
        EmptyMediaError: no bytes.
        NotAVideoError: a playlist.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise EmptyMediaError(source, "the file is empty", _CUT_CURE)
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(_PLAYLISTS) or b"<MPD" in head:
        raise NotAVideoError(source, "is a playlist, which names other files", "give the video itself")


def explain_unreadable(source: str, file: io.BufferedIOBase) -> NotAVideoError | TruncatedError:
    """Tell a cut file from one that never was a video, once FFmpeg has refused it."""
    file.seek(0)
    head = file.read(12)
    if is_iso_media(head):
        boxes, is_cut = _iso_boxes(file)
        if b"moov" not in boxes and b"moof" not in boxes:
            return TruncatedError(source, "the file ends before its index (no moov box)", _CUT_CURE)
        if is_cut:
            return TruncatedError(source, "the file ends in the middle of a box", _CUT_CURE)
    elif is_cut_short(file):
        return TruncatedError(source, "the file is shorter than its header says", _CUT_CURE)
    return NotAVideoError(source, "is no video or picture that FFmpeg can read", "give a video file")


def is_iso_media(head: bytes) -> bool:
    """Whether the bytes begin like mp4 or mov."""
    return head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}


def is_cut_short(file: io.BufferedIOBase) -> bool:
    """Whether the container's own sizes (mp4, mov, mkv, webm, avi) reach beyond the end of the file."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if is_iso_media(head):
        return _iso_boxes(file)[1]
    if head[:4] == b"RIFF":
        return int.from_bytes(head[4:8], "little") + 8 > size_bytes + 1
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska_end(head) > size_bytes
    return False


def _iso_boxes(file: io.BufferedIOBase) -> tuple[set[bytes], bool]:
    """List the top-level boxes, and whether the last one reaches beyond the end."""
    size_bytes = file.seek(0, io.SEEK_END)
    kinds: set[bytes] = set()
    position = 0
    while position + 8 <= size_bytes:
        file.seek(position)
        head = file.read(16)
        box_bytes = int.from_bytes(head[:4], "big")
        kinds.add(head[4:8])
        if box_bytes == 1 and len(head) == 16:
            box_bytes = int.from_bytes(head[8:16], "big")
        if box_bytes == 0:  # reaches to the end, whatever it is
            return kinds, False
        if box_bytes < 8:
            return kinds, True
        position += box_bytes
    return kinds, position > size_bytes


def _matroska_end(head: bytes) -> int:
    """Where the segment ends according to its header; 0 where it does not say."""
    position = 4
    length, value = _vint(head[position:])
    position += length + value
    if head[position : position + 4] != b"\x18S\x80g":
        return 0
    length, value = _vint(head[position + 4 :])
    unknown = (1 << (7 * length)) - 1
    return 0 if length == 0 or value == unknown else position + 4 + length + value


def _vint(data: bytes) -> tuple[int, int]:
    """Read a Matroska number: its length in bytes and its value."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    return length, int.from_bytes(data[:length], "big") & ((1 << (7 * length)) - 1)
