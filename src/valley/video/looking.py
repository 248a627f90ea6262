"""Look at a clip once: its shots, its perceptual hashes, and whether there is anything to see.

>>> look("a.mp4").shots
(Shot(start_s=0.0, end_s=15.17, transition="start", ...), Shot(start_s=15.17, ...))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from valley.video.limits import DecodeLimits, Guard
from valley.video.perceptual_hash import perceptual_hash
from valley.video.pictures import name_of
from valley.video.shots import SHOT_DETECTORS, Shot, ShotDetector, shots_between
from valley.video.small_frames import SmallFrameReader, SmallFrames
from valley.video.triage import TriageCounter

DEFAULT_DETECTOR = "valley"


@dataclass(frozen=True)
class Look:
    """What one pass over a clip tells.

    Attributes:
        shots: they follow each other without a gap.
        hashes: a perceptual hash every half second, see `valley.video.perceptual_hash`.
        num_frames: how many frames are shown.
        duration_s: when the last of them goes off display.
        black_ratio, static_ratio, sharpness, brightness, motion: see `valley.video.triage`.
    """

    shots: tuple[Shot, ...]
    hashes: tuple[int, ...]
    num_frames: int
    duration_s: float
    black_ratio: float
    static_ratio: float
    sharpness: float
    brightness: float
    motion: float

    def to_record(self) -> dict[str, Any]:
        """Give plain values for JSON; hashes are whole numbers below 2**64."""
        record = dataclasses.asdict(self)
        return record | {"shots": list(record["shots"]), "hashes": list(self.hashes)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Look:
        """Read what `to_record` gave."""
        shots = tuple(Shot(**shot) for shot in record["shots"])
        return cls(**{**record, "shots": shots, "hashes": tuple(record["hashes"])})


def look(path: str | Path, *, limits: DecodeLimits | None = None, detector: str = DEFAULT_DETECTOR) -> Look:
    """Read a clip once, as small frames.

    Args:
        path: a video file.
        limits: on bytes, pixels and time.
        detector: of shots, by its name.

    Raises:
        MediaError: the file is no sound video; the kind tells why.
        UnknownNameError: there is no such detector.
        MissingExtraError: the detector's library is absent.
    """
    guard = Guard(name_of(path), limits or DecodeLimits())
    finder: ShotDetector = SHOT_DETECTORS.get(detector)
    triage, hashes = TriageCounter(), []

    def watched(blocks: Iterator[SmallFrames]) -> Iterator[SmallFrames]:
        for block in blocks:
            for sample in block.samples:
                triage.see(sample)
                hashes.append(perceptual_hash(sample.luma))
            yield block

    with SmallFrameReader(path, guard, picture_width_px=finder.picture_width_px) as reader:
        gaps = np.diff(reader.index.shown_at_s)
        transitions = finder.detect(
            watched(reader.blocks(skip_unreferenced=finder.skips_unreferenced)),
            reader.between,
            frame_gap_s=float(np.median(gaps)) if len(gaps) else reader.index.end_s,
        )
        return Look(
            shots=shots_between(transitions, reader.index.end_s),
            hashes=tuple(hashes),
            num_frames=reader.index.num_frames,
            duration_s=reader.index.end_s,
            **dataclasses.asdict(triage.result()),
        )
