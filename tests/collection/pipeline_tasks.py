"""Looks at media for the tests of the pipeline: a quick one, which notes that it looked; a dangerous one."""

import ctypes
import time
from pathlib import Path

from valley.collection.looking import hash_file
from valley.errors import EmptyMediaError
from valley.video.decoding import probe

NOTES = "looked_at.txt"


def glance(*, path: str, size_bytes: int, sha256: str) -> dict:
    """Hash and probe; one line a look is left in the folder above the medium's."""
    known = sha256 or hash_file(path, size_bytes=size_bytes)
    with (Path(path).parent.parent / NOTES).open("a") as notes:
        notes.write(f"{Path(path).name}\n")
    return {"sha256": known, "size_bytes": size_bytes, "found": found(path, known)}


def dangerous_words(*, path: str, size_bytes: int, sha256: str) -> dict:
    """Look at a file that is no medium at all, for runs that are about many; or do what its name says."""
    misbehave(Path(path).stem)
    known = sha256 or hash_file(path, size_bytes=size_bytes)
    fault = {"fault": {"reason": "empty_media", "detail": "", "number": None, "attempts": 1}}
    found = made_up(known, 2.0) if size_bytes else fault
    return {"sha256": known, "size_bytes": size_bytes, "found": found}


def dangerous(*, path: str, size_bytes: int, sha256: str) -> dict:
    """Do what the file's name says, else look."""
    misbehave(Path(path).stem)
    return glance(path=path, size_bytes=size_bytes, sha256=sha256)


def misbehave(stem: str) -> None:
    if stem == "segfault":
        ctypes.string_at(0)
    if stem == "hang":
        time.sleep(3600)
    if stem == "claims_40_gb":
        bytearray(40 * 10**9)


def found(path: str, sha256: str) -> dict:
    try:
        info = probe(path)
    except EmptyMediaError as error:
        return {"fault": {"reason": "empty_media", "detail": error.reason, "number": None, "attempts": 1}}
    return made_up(sha256, info.duration_s, info.width_px, info.height_px)


def made_up(sha256: str, duration_s: float, width_px: int = 320, height_px: int = 240) -> dict:
    shot = {"start_s": 0.0, "end_s": duration_s, "transition": "start", "score": 1.0}
    look = {
        "shots": [shot],
        "hashes": [int(sha256[:16], 16), int(sha256[16:32], 16)],
        "black_ratio": 0.0,
        "static_ratio": 0.0,
        "sharpness": 0.5,
        "brightness": 0.5,
        "motion": 0.1,
    }
    facts = {
        "container": "mp4",
        "width_px": width_px,
        "height_px": height_px,
        "duration_s": duration_s,
        "fps": 4.0,
        "num_frames": 4,
        "is_variable_rate": False,
    }
    return {"kind": "video", "probe": facts, "look": look, "tools": {"valley": "test"}}
