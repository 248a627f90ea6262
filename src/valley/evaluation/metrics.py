"""Scores and their intervals: pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

NUM_RESAMPLES = 1000
"""The bounds then move by less than a tenth of the interval's width from seed to seed."""


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


def bootstrap_interval(
    values: Sequence[float], clusters: Sequence[str], *, seed: int = 0, share: float = 0.95
) -> tuple[float, float]:
    """Give the percentile interval of a mean, drawn over clusters: values of one are not independent.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.

    Args:
        values: at least one.
        clusters: which cluster each value belongs to, such as the clip asked about.
        seed: the same one gives the same interval.
        share: how sure, 0.95 unless given.
    """
    sums, sizes = _by_cluster(values, clusters)
    n = len(sums)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=NUM_RESAMPLES)
    means = (drawn @ sums) / (drawn @ sizes)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def paired_interval(
    differences: Sequence[float], clusters: Sequence[str], *, most: float | int = 1
) -> tuple[float, float]:
    """Give the percentile interval of a mean difference between two answers to each question, over clusters.

    Where all clusters differ by the same, a bootstrap has no width. Then the interval is that of the share of
    clusters that might be another (Clopper and Pearson, 1934, for none seen of n), each by `most`.

    Args:
        differences: second minus first, a question; at least one.
        clusters: which cluster each belongs to, such as the clip asked about.
        most: the largest difference that there can be.
    """
    means = cluster_means(differences, clusters)
    if len(set(means)) > 1:
        return bootstrap_interval(differences, clusters)
    unseen = most * (1 - 0.025 ** (1 / len(means)))
    return max(-float(most), means[0] - unseen), min(float(most), means[0] + unseen)


def cluster_means(values: Sequence[float], clusters: Sequence[str]) -> list[float]:
    """Give the mean of each cluster."""
    sums, sizes = _by_cluster(values, clusters)
    return (sums / sizes).tolist()


def _by_cluster(values: Sequence[float], clusters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    _, which = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    return np.bincount(which, weights=np.asarray(values, dtype=np.float64)), np.bincount(which)
