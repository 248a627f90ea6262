"""What fetched bytes are, by how they begin: a container or picture, or a page that says sorry."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

HEAD_BYTES = 1024
"""So many are looked at; pages begin with comments now and then."""

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"GIF87a", ".gif"),
    (0, b"GIF89a", ".gif"),
    (8, b"WEBP", ".webp"),
    (0, b"II*\0", ".tiff"),
    (0, b"MM\0*", ".tiff"),
    (8, b"AVI ", ".avi"),
    (0, b"FLV\x01", ".flv"),
    (0, b"OggS", ".ogv"),
    (0, b"\0\0\x01\xba", ".mpg"),
    (0, b"\0\0\x01\xb3", ".mpg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wmv"),
    (0, b"YUV4MPEG2", ".y4m"),
    (0, b"DKIF", ".ivf"),
)
_MATROSKA = b"\x1a\x45\xdf\xa3"
_BRANDS = {
    b"qt  ": ".mov",
    b"avif": ".avif",
    b"avis": ".avif",
    b"heic": ".heic",
    b"heix": ".heic",
    b"mif1": ".heic",
    b"M4V ": ".m4v",
}
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TS_PACKET_BYTES = 188
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|title|\?xml|!--|error|div|p>|h1)", re.I)


def suffix_of(head: bytes) -> str:
    """Tell the suffix of a medium from its first bytes; "" where they say nothing."""
    for at, mark, suffix in _SIGNATURES:
        if head[at : at + len(mark)] == mark:
            return suffix
    if head[4:8] in _BOXES:
        return _BRANDS.get(head[8:12], ".mp4") if head[4:8] == b"ftyp" else ".mov"
    if head.startswith(_MATROSKA):
        return ".webm" if b"webm" in head[:64] else ".mkv"
    if (
        len(head) > 2 * _TS_PACKET_BYTES
        and head[0] == head[_TS_PACKET_BYTES] == head[2 * _TS_PACKET_BYTES] == 0x47
    ):
        return ".ts"
    return ""


def suffix_in(path: str) -> str:
    """Take the suffix of a path in an address; ".bin" where it has none that a file could have."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ".bin"


def page_kind(head: bytes, content_type: str) -> str:
    """Say "HTML", "XML", "JSON" or "text" where the bytes are a page instead of a medium, else "".

    What the server says counts where the bytes are text: a clip that is declared as text/html is a clip.
    """
    if suffix_of(head) or b"\0" in head:
        return ""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:HEAD_BYTES]
    if _PAGE.match(start):
        return "XML" if start.startswith(b"<?xml") and b"<html" not in start.lower() else "HTML"
    said = content_type.partition(";")[0].strip().lower()
    if said in ("application/json", "application/problem+json") or start.startswith((b'{"', b'[{"')):
        return "JSON"
    if said.startswith("text/") or said == "application/xhtml+xml":
        return "HTML" if "html" in said else "text"
    return ""
