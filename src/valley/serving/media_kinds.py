"""What the bytes of a stranger's medium are: told by how they begin, never by a name or a declared type."""

from __future__ import annotations

from valley.fetching.content import HEAD_BYTES, page_kind, suffix_of
from valley.serving.errors import MediaRefusedError

PICTURES = frozenset({".jpg", ".png", ".gif", ".webp", ".tiff", ".bmp", ".avif", ".heic"})
TAKEN = "mp4, mov, mkv, webm, avi, mpeg, flv, ogg, wmv, gif, jpeg, png, webp, avif, bmp and tiff are taken"


def suffix_for(head: bytes, kind: str, *, content_type: str = "") -> str:
    """Tell the container of a medium.

    Args:
        head: its first bytes, `HEAD_BYTES` where there are so many.
        kind: "image", "video" or "" for either; a picture is also a clip of one frame.
        content_type: as a server declared it, to say better what came instead.

    Raises:
        MediaRefusedError: it is none, or a clip where a picture is wanted.
    """
    if not head:
        raise MediaRefusedError(400, "media_empty", "want a medium, got no bytes")
    suffix = suffix_of(head)
    if not suffix:
        page = page_kind(head, content_type)
        what = f"a page of {page}" if page else "bytes of no known kind"
        raise MediaRefusedError(400, "media_unknown", f"want a picture or video, got {what}; {TAKEN}")
    if kind == "image" and suffix not in PICTURES:
        raise MediaRefusedError(
            400, "media_kind", f"want a picture, got a {suffix[1:]} video: send it as a video_url part"
        )
    return suffix


def refuse_early(head: bytes, kind: str, content_type: str = "") -> None:
    """Check what came so far, once there is enough of it to tell.

    Raises:
        MediaRefusedError: see `suffix_for`.
    """
    if len(head) >= HEAD_BYTES:
        suffix_for(head, kind, content_type=content_type)
