"""PySceneDetect's detectors on this project's decoder; they tell places, not kinds, so all are cuts here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from valley.errors import MissingExtraError
from valley.video.shots import ReadBetween, Transition
from valley.video.small_frames import SmallFrames

_WIDTH_PX = 256  # what its own command line scales pictures to


class SceneDetector:
    """One of its detectors, with its own settings."""

    skips_unreferenced = False
    picture_width_px: int | None = _WIDTH_PX

    def __init__(self, name: str, class_name: str) -> None:
        """Name it here, and there."""
        self.name = name
        self._class_name = class_name

    def detect(
        self, blocks: Iterator[SmallFrames], between: ReadBetween, *, frame_gap_s: float
    ) -> list[Transition]:
        """Find the transitions; see `ShotDetector`.

        Raises:
            MissingExtraError: PySceneDetect is absent.
        """
        del between
        scenedetect = _scenedetect()
        finder = getattr(scenedetect, self._class_name)()
        fps = 1 / max(frame_gap_s, 1e-3)
        shown_at_s: list[float] = []
        places: list[Any] = []
        for block in blocks:
            assert block.pictures is not None
            for picture, time_s in zip(block.pictures, block.shown_at_s.tolist(), strict=True):
                places += finder.process_frame(scenedetect.FrameTimecode(len(shown_at_s), fps), picture)
                shown_at_s.append(time_s)
        places += finder.post_process(scenedetect.FrameTimecode(len(shown_at_s), fps))
        times_s = (shown_at_s[min(place.frame_num, len(shown_at_s) - 1)] for place in places)
        return [Transition("cut", time_s, time_s, 1.0) for time_s in times_s]


def _scenedetect() -> Any:  # noqa: ANN401
    try:
        import scenedetect  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(
            wanted_by="this shot detector", package="scenedetect", extra="scenedetect"
        ) from error
    return scenedetect
