"""How the report writes numbers, names and hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from valley.evaluation.reporting.pairing import Change
from valley.evaluation.reporting.tables import MetricTables

CONTROL_NAMES = {
    "blind": "black frames",
    "one_frame": "one frame",
    "swapped": "another clip",
    "real": "real clips",
}

_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b")


def score_words(score: float | int | None, *, is_share: bool) -> str:
    """Write a score: percent to one decimal, others to two; nothing for none."""
    if score is None:
        return ""
    return f"{score:.1f}" if is_share else f"{score:.2f}"


def leaf_words(leaf: Mapping[str, Any] | None, *, is_share: bool = True) -> str:
    """Write a score with its interval, such as 87.5 (74.1 to 94.6)."""
    if leaf is None or leaf["score"] is None:
        return ""
    said = score_words(leaf["score"], is_share=is_share)
    if leaf["interval"] is None:
        return said
    low, high = (score_words(bound, is_share=is_share) for bound in leaf["interval"])
    return f"{said} ({low} to {high})"


def difference_words(change: Change, *, is_share: bool) -> str:
    """Write a difference with its interval, such as -12.5 (-20.1 to -4.6)."""
    digits = 1 if is_share else 2
    difference, low, high = (f"{n:+.{digits}f}" for n in (change.difference, *change.interval))
    return f"{difference} ({low} to {high})"


def verdict_words(change: Change) -> str:
    """Say what the interval of a difference allows to say."""
    if not change.is_told_apart:
        return "not told apart"
    return "higher" if change.difference > 0 else "lower"


def unit_words(metric: MetricTables) -> str:
    """Say what a metric's scores are counted in."""
    return "in percent" if metric.is_share else f"from {metric.low:g} to {metric.high:g}"


def count_words(leaves: Sequence[Mapping[str, Any] | None]) -> str:
    """Write how many questions are behind the scores of a row; once where all have as many."""
    counts = ["0" if leaf is None else f"{leaf['count']:,}" for leaf in leaves]
    return counts[0] if len(set(counts)) == 1 else " / ".join(counts)


def without_long_hashes(text: str) -> str:
    """Cut hashes to as many digits as people compare."""
    return _HASH.sub(r"\1…", text)


def control_words(name: str) -> str:
    """Name a control in words."""
    return CONTROL_NAMES.get(name, name.replace("_", " "))
