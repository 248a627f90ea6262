"""Fit the weights of `valley.video.gradual` on generated clips: logistic regression by Newton's method.

A window counts as a transition if it overlaps one by more than 0.6 of both together, and as none below 0.3;
what is between says nothing. Transitions and others weigh the same together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valley.video import gradual
from valley.video.cuts import find_cuts
from valley.video.limits import DecodeLimits, Guard
from valley.video.small_frames import SmallFrameReader

_MOST_AS_NONE, _LEAST_AS_ONE = 0.3, 0.6
_FLASH_S = 0.3
_PULL = 0.01  # towards zero


def fit(clips: list[tuple[Path, dict[str, Any]]]) -> str:
    """Give the bias and the weights, as they stand in the source."""
    measured = [_windows(path, truth) for path, truth in clips]
    values = np.concatenate([m for m, _ in measured])
    labels = np.concatenate([y for _, y in measured])
    bias, *weights = _regress(values, labels)
    named = ", ".join(f"{n}: {w:.3f}" for n, w in zip(gradual.MEASUREMENTS, weights, strict=True))
    return f"{len(labels)} windows, {int(labels.sum())} of transitions; bias: {bias:.3f}, {named}"


def _windows(path: Path, truth: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with SmallFrameReader(path, Guard(str(path), DecodeLimits())) as reader:
        planes = np.concatenate([b.planes for b in reader.blocks(skip_unreferenced=False)]).astype(np.int16)
    cuts = [c.index for c in find_cuts(planes, flash_frames=round(_FLASH_S * truth["fps"]))]
    fades = gradual.find_fades(planes, cuts)
    taken = [*cuts, *(f for fade in fades for f in range(fade.start, fade.end + 1))]
    windows = gradual.candidate_windows(planes, taken, gradual.LENGTHS)
    early = gradual.measure_early(planes, windows)
    apart = early[:, 0] > np.log(gradual.LEAST_MISMATCH + 1)
    windows, early = windows[apart], early[apart]
    values = np.concatenate([early, gradual.measure_late(planes, windows, early, cuts)], axis=1)
    known = [(a, b) for a, b, _ in truth["graduals"]] + [(c, c) for c in truth["cuts"]]
    overlap = np.array([max(_overlap(w, t) for t in known) for w in windows.tolist()])
    said = (overlap < _MOST_AS_NONE) | (overlap > _LEAST_AS_ONE)
    return values[said], (overlap[said] > _LEAST_AS_ONE).astype(np.float64)


def _overlap(window: list[int], known: tuple[int, int]) -> float:
    """Shared frames by those of either; the window's first frame is of the shot before."""
    first, last = window[0] + 1, window[1]
    shared = min(last, known[1]) - max(first, known[0])
    return max(0, shared) / (max(last, known[1]) - min(first, known[0]))


def _regress(values: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    inputs = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    shares = np.where(labels == 1, (labels == 0).sum() / labels.sum(), 1.0)
    weights = np.zeros(inputs.shape[1])
    pull = _PULL * np.eye(len(weights))
    for _ in range(50):
        chances = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (shares * (chances - labels)) + pull @ (weights * (np.arange(len(weights)) > 0))
        curve = (inputs.T * (shares * chances * (1 - chances))) @ inputs + pull
        weights = weights - np.linalg.solve(curve, slope)
    return weights
