"""Scores and their intervals: pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(scores: Sequence[float]) -> float:
    """Give the mean of scores from 0 to 1 as a percentage, to one decimal."""
    return round(100 * sum(scores) / len(scores), 1)


def wilson_interval(scores: Sequence[float], *, z: float = 1.96) -> tuple[float, float]:
    """Give the Wilson interval of a mean score, in percent; z = 1.96 is 95 %.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference (JASA 1927).
    """
    n, p = len(scores), sum(scores) / len(scores)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return round(100 * max(0.0, middle - half), 1), round(100 * min(1.0, middle + half), 1)
