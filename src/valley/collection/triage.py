"""Refuse media by what a look at them said; each refusal has the number behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from valley.collection.caption_filter import Refusal
from valley.collection.config import TriageSettings


def refuse(found: Mapping[str, Any], settings: TriageSettings) -> Refusal | None:
    """Say why a medium is not wanted; None where it is.

    Args:
        found: what `valley.collection.looking` said.
        settings: the bounds.
    """
    return next(_refusals(found, settings), None)


def _refusals(found: Mapping[str, Any], settings: TriageSettings) -> Iterator[Refusal]:
    probe, seen = found["probe"], found["look"]
    shorter_px = min(probe["width_px"], probe["height_px"])
    if settings.fewest_pixels is not None and shorter_px < settings.fewest_pixels:
        want = f"want {settings.fewest_pixels} pixels on the shorter side"
        yield Refusal("too_few_pixels", float(shorter_px), want)
    if found["kind"] == "video":
        yield from _refusals_by_duration(probe["duration_s"], settings)
        for reason, ratio, most in (
            ("black", seen["black_ratio"], settings.most_black_ratio),
            ("static", seen["static_ratio"], settings.most_static_ratio),
        ):
            if most is not None and ratio > most:
                yield Refusal(reason, float(ratio), f"want at most {most:g} of its time")


def _refusals_by_duration(duration_s: float, settings: TriageSettings) -> Iterator[Refusal]:
    if settings.fewest_seconds is not None and duration_s < settings.fewest_seconds:
        yield Refusal("too_short", duration_s, f"want {settings.fewest_seconds:g} s")
    if settings.most_seconds is not None and duration_s > settings.most_seconds:
        yield Refusal("too_long", duration_s, f"want at most {settings.most_seconds:g} s")
