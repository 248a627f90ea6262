"""Where the media that annotations name lie: by name alone, and never out of the folder that was given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from valley.collection.records import UnfitError, short
from valley.collection.source import SourceOptions
from valley.importers.shards import CLIPS, PICTURES

_LIKELIEST = (".mp4", ".webm", ".mkv", ".avi", ".mov")
_MOST_NAME_BYTES = 255
_MOST_PATH_CHARS = 2000


def kind_of(name: str) -> Literal["video", "image"] | None:
    """Say by its suffix what a file is; None where it is neither."""
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    if not stem:
        return None
    suffix = suffix.lower()
    if suffix in CLIPS:
        return "video"
    return "image" if suffix in PICTURES else None


def media_root(options: SourceOptions) -> Path:
    """Say where relative paths of media begin."""
    if options.media_root is not None:
        return options.media_root
    return options.path if options.path.is_dir() else options.path.parent


def placed(root: Path, name: str, where: str) -> Path:
    """Give the path of a medium below a folder; nothing is looked up.

    Raises:
        UnfitError: the name leads out of the folder, or is none that a file can have.
    """
    return Path(_placed(os.path.normpath(root), name.strip(), where))


def _placed(root: str, name: str, where: str) -> str:
    # Text, as sources have millions of names: a Path takes twenty times as long.
    path = os.path.normpath(os.path.join(root, name))  # noqa: PTH118
    is_short = len(name) < _MOST_NAME_BYTES // 4 or all(
        len(os.fsencode(part)) <= _MOST_NAME_BYTES for part in name.split("/")
    )
    if not name or not name.isprintable() or not is_short or len(name) > _MOST_PATH_CHARS:
        raise UnfitError("bad_path", f"{where}: want the path of a file, got {short(name)}")
    if "://" in name:
        raise UnfitError(
            "bad_path", f"{where}: want a path, got the address {short(name)}: fetch the file first"
        )
    if not _is_below(path, root):
        raise UnfitError(
            "unsafe_path", f"{where}: {short(name)} leads out of {root}: give a media root that holds it"
        )
    return path


def _is_below(path: str, root: str) -> bool:
    """Whether a normal path lies in a folder, by name."""
    if root == os.curdir:
        return not path.startswith((os.sep, os.pardir + os.sep)) and path not in (os.curdir, os.pardir)
    above = root if root.endswith(os.sep) else root + os.sep
    return path.startswith(above) and path != above


def found(root: Path, *names: str, where: str) -> Path:
    """Give the first of these files that is there, else the first name; names without a suffix may have any.

    Raises:
        UnfitError: a name leads out of the folder, or is none that a file can have.
    """
    first: str | None = None
    above = os.path.normpath(root)
    for name in names:
        suffixes = ("",) if kind_of(name) is not None else _LIKELIEST
        for suffix in suffixes:
            path = _placed(above, name.strip() + suffix, where)
            if os.path.isfile(path):  # noqa: PTH113
                return Path(path)
            first = first or path
    assert first is not None
    return Path(first)


def found_clip(root: Path, clip: str, whole: str, where: str) -> tuple[Path, bool]:
    """Find a stretch that was cut out as a file of its own, or else the whole video.

    Returns:
        The path, and whether it is that of the whole video. Where neither is there: that of the stretch.
    """
    cut_out = found(root, clip, where=where)
    if not cut_out.is_file():
        path = found(root, whole, where=where)
        if path.is_file():
            return path, True
    return cut_out, False


def split_clip_id(clip: str, where: str) -> tuple[str, float, float]:
    """Take a clip's id apart: "Ptf_2VRj-V0_000122_000132" is 122 s to 132 s of "Ptf_2VRj-V0".

    Raises:
        UnfitError: it does not end in two times.
    """
    parts = clip.rsplit("_", 2)  # ids of videos hold "_" themselves
    if (
        len(parts) != 3
        or not parts[0]
        or not all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts[1:])
    ):
        raise UnfitError("bad_id", f"{where}: want an id like VIDEO_000122_000132, got {short(clip)}")
    start_s, end_s = float(parts[1]), float(parts[2])
    if end_s <= start_s:
        raise UnfitError("bad_time", f"{where}: want an end after {start_s} s, got {short(clip)}")
    return parts[0], start_s, end_s
