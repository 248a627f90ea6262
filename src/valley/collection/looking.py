"""The task of a collection that reads media, in a child process: hash, probe, one look at small frames.

All three in one job: the bytes come off the disk once, and a picture is a hash or two away from being known.
The record of a clip looks like this (that of a picture has no `look` but `hashes`)::

    {"sha256": "8f1d...", "size_bytes": 4711, "found": {"kind": "video",
      "probe": {"container": "mov", "width_px": 640, "duration_s": 12.5, ...},
      "look": {"shots": [...], "hashes": [...], "black_ratio": 0.0, ...}, "tools": {"valley": "0.1.0", ...}}}

What is wrong with a medium is a part of the record as well, so that its hash is known: `found` is then
``{"fault": {"reason": "truncated", ...}}``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valley.collection.executor import RefusedError
from valley.collection.worker import reason_of
from valley.errors import MediaError
from valley.video.limits import DecodeLimits

if TYPE_CHECKING:
    from valley.video.converting import Picture

TASK = f"{__name__}:examine"

_CHUNK_BYTES = 2**20
# The executor's clock ends a job, and says so; this one is behind it.
_NO_LIMIT_S = 1e6
_FILM_BLACK, _FILM_SPAN = 16, 219  # luma of film, as that of small frames


def examine(*, path: str, size_bytes: int, sha256: str) -> dict[str, Any]:
    """Read a medium and say what it is.

    Args:
        path: the file.
        size_bytes: that it had when it was listed.
        sha256: of its bytes, where it is known; else "".

    Raises:
        RefusedError: the file cannot be read, or changes meanwhile.
    """
    known = sha256 or hash_file(path, size_bytes=size_bytes)
    return {"sha256": known, "size_bytes": size_bytes, "found": _found(Path(path))}


def hash_file(path: str, *, size_bytes: int) -> str:
    """Give the SHA-256 of a file's bytes.

    Raises:
        RefusedError: it cannot be read, or has another size than was listed.
    """
    digest, count = hashlib.sha256(), 0
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                count += len(chunk)
    except OSError as error:
        raise RefusedError("unreadable", (error.strerror or type(error).__name__).lower()) from error
    if count != size_bytes:
        raise RefusedError("changed", f"had {size_bytes} bytes when it was listed, now {count}", count)
    return digest.hexdigest()


def _found(path: Path) -> dict[str, Any]:
    from valley.video.decoding import is_image

    try:
        return _picture(path) if is_image(path) else _clip(path)
    except MediaError as error:
        detail = error.reason + (f"; {error.cure}" if error.cure else "")
        fault = {"reason": reason_of(error), "detail": detail, "number": None, "attempts": 1}
        return {"fault": fault}


def _clip(path: Path) -> dict[str, Any]:
    from valley.video.decoding import probe
    from valley.video.looking import look

    limits = DecodeLimits(timeout_s=_NO_LIMIT_S)
    info = probe(path, limits=limits)
    seen = look(path, limits=limits)
    facts = {
        "container": info.container,
        "video_codec": info.codec,
        "audio_codec": info.audio_codec,
        "width_px": info.width_px,
        "height_px": info.height_px,
        "rotation_deg": info.rotation_deg,
        "fps": info.fps,
        "is_variable_rate": info.is_variable_frame_rate,
        "num_frames": info.num_frames,
        "duration_s": info.duration_s,
    }
    return {"kind": "video", "probe": _finite(facts), "look": _finite(seen.to_record()), "tools": _tools()}


def _picture(path: Path) -> dict[str, Any]:
    from valley.video.decoding import read_image

    pixels = read_image(path, limits=DecodeLimits(timeout_s=_NO_LIMIT_S))
    height_px, width_px = pixels.shape[:2]
    facts = {"container": _format_of(path), "width_px": width_px, "height_px": height_px}
    return {"kind": "image", "probe": facts, "look": _finite(_look_at(pixels)), "tools": _tools()}


def _look_at(pixels: Picture) -> dict[str, Any]:
    """Say of a picture what `valley.video.looking` says of a clip's: its one hash is like that of a frame."""
    import numpy as np
    import PIL.Image

    from valley.video.perceptual_hash import perceptual_hash
    from valley.video.small_frames import SAMPLE_HEIGHT_PX, SAMPLE_WIDTH_PX, Sample
    from valley.video.triage import TriageCounter

    size = (SAMPLE_WIDTH_PX, SAMPLE_HEIGHT_PX)
    gray = PIL.Image.fromarray(pixels).convert("L").resize(size, PIL.Image.Resampling.BILINEAR)
    film = np.rint(_FILM_BLACK + np.asarray(gray, dtype=np.float32) * _FILM_SPAN / 255)
    sample = Sample(0.0, film.astype(np.uint8))
    counter = TriageCounter()
    counter.see(sample)
    seen = asdict(counter.result())
    kept = {name: seen[name] for name in ("black_ratio", "sharpness", "brightness")}
    return {"hashes": [perceptual_hash(sample.luma)], **kept}


def _format_of(path: Path) -> str:
    import PIL.Image

    with PIL.Image.open(path) as image:
        return (image.format or "").lower()


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is no number: JSON has no word for it."""
    return {k: v for k, v in record.items() if not isinstance(v, float) or math.isfinite(v)}


@lru_cache(maxsize=1)
def _tools() -> dict[str, str]:
    names = {"valley": "valley-vl", "av": "av", "pillow": "pillow"}
    return {name: importlib.metadata.version(package) for name, package in names.items()}
