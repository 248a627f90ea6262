"""Paths on the command line become parts of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from valley.conversation import Image, Video
from valley.errors import EmptyMediaError, MediaNotFoundError


def parts(
    paths: Sequence[Path], *, start_s: float | None = None, end_s: float | None = None, subtitles: str = "off"
) -> list[Image | Video]:
    """Tell pictures from clips by their content.

    A missing or empty file is found here, before seconds are spent on loading a model.

    Raises:
        MediaNotFoundError: there is no such file.
        EmptyMediaError: the file has no bytes.
    """
    return [part(path, start_s=start_s, end_s=end_s, subtitles=subtitles) for path in paths]


def part(
    path: Path, *, start_s: float | None = None, end_s: float | None = None, subtitles: str = "off"
) -> Image | Video:
    """Make one part; see `parts`."""
    from valley.video import decoding

    if path.parts[:1] in (("http:",), ("https:",)):
        raise MediaNotFoundError(path, "is an address, and nothing is fetched", "download the file first")
    if not path.exists():
        raise MediaNotFoundError(path, "there is no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise EmptyMediaError(path, "the file is empty", "was the download or copy interrupted?")
    if path.is_file() and decoding.is_image(path):
        return Image(str(path))
    return Video(str(path), start_s, end_s, subtitles)
