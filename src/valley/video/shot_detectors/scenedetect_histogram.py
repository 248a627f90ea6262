"""PySceneDetect's HistogramDetector."""

from __future__ import annotations

from valley.video.shot_detectors._scenedetect import SceneDetector
from valley.video.shots import ShotDetector

DETECTOR: ShotDetector = SceneDetector("scenedetect_histogram", "HistogramDetector")
