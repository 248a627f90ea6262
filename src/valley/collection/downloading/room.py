"""Whether a disk has room for what comes."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path


def need_room(folder: Path, num_bytes: int, keep_free_bytes: int) -> None:
    """Check that so many bytes fit, and leave something free.

    Raises:
        OSError: they do not (ENOSPC): no fault of the medium's, so the run has to stop.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes - max(0, num_bytes) < keep_free_bytes:
        raise OSError(
            errno.ENOSPC,
            f"the disk is full: want {max(0, num_bytes) + keep_free_bytes} bytes, {free_bytes} are free",
            str(folder),
        )
