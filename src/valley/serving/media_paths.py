"""Media on the server's own disk: only below one folder, also after links are followed."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from valley.fetching.content import HEAD_BYTES
from valley.serving.errors import MediaRefusedError
from valley.serving.media_data import too_large
from valley.serving.media_kinds import suffix_for
from valley.serving.media_settings import MediaSettings
from valley.video.pictures import TIMESTAMP_FILES

_OUTSIDE = "this server reads no files there"


def allowed_path(url: str, kind: str, settings: MediaSettings) -> Path:
    """Give the file, or folder of pictures, that a `file:///path` names.

    Raises:
        MediaRefusedError: it lies elsewhere than below the root, is not there, or is no medium.
    """
    root = settings.media_root
    if root is None:
        raise MediaRefusedError(403, "path_not_allowed", "this server reads no files by their path")
    path = _resolved(url)
    if not path.is_relative_to(root.resolve()):
        raise MediaRefusedError(403, "path_not_allowed", _OUTSIDE)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) and kind != "image":
            _check_folder(path, settings)
        elif stat.S_ISREG(mode):
            _check_file(path, kind, settings)
        else:  # a pipe would never end
            raise MediaRefusedError(400, "media_kind", "want a file of media, or a folder of pictures")
    except OSError as error:
        raise MediaRefusedError(404, "media_not_found", "there is no such file that can be read") from error
    return path


def _resolved(url: str) -> Path:
    try:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise MediaRefusedError(400, "bad_url", "want file:///path, with %23 for # and %3F for ?")
        return Path(unquote(parts.path, errors="strict")).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a ring; NUL; half a character
        raise MediaRefusedError(403, "path_not_allowed", _OUTSIDE) from error


def _check_file(path: Path, kind: str, settings: MediaSettings) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    suffix_for(head, kind)
    if path.stat().st_size > settings.max_bytes(kind):
        raise too_large(settings.max_bytes(kind))


def _check_folder(folder: Path, settings: MediaSettings) -> None:
    """Check that a folder holds pictures alone, none of them a link that leads out of it."""
    for number, path in enumerate(folder.iterdir()):
        if number >= settings.max_frames + len(TIMESTAMP_FILES):
            raise MediaRefusedError(
                400, "too_many_frames", f"a folder may hold {settings.max_frames} pictures, this has more"
            )
        if path.is_symlink() or not path.is_file():
            raise MediaRefusedError(
                403, "path_not_allowed", "a folder of pictures may hold no links, no folders and no devices"
            )
        if path.name not in TIMESTAMP_FILES:
            _check_file(path, "image", settings)
