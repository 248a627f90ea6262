"""Causal inference: why something happens, where the facts say or show what brought it about."""

from collections.abc import Mapping
from typing import Any

from valley.instruct.evidence import Evidence
from valley.instruct.tasks._written import WrittenTask, is_video_with_words, number


def _times(reply: Mapping[str, Any], evidence: Evidence) -> Mapping[str, Any]:
    del evidence
    return {"cause_s": number(reply, "cause_s"), "effect_s": number(reply, "effect_s")}


TASK = WrittenTask(
    __file__,
    "why something happens",
    "one turn about a cause and its effect. The person asks why something in the video happens, without "
    "naming the cause; the assistant says what brings it about, and how that leads to it. Choose a pair "
    "that the facts connect: one says or clearly implies that the other follows from it. The cause begins "
    "before the effect: give both times in seconds as cause_s and effect_s (as near as the facts tell). "
    "Something that merely comes later is no effect.",
    is_video_with_words,
    properties={"cause_s": {"type": "number"}, "effect_s": {"type": "number"}},
    details=_times,
    max_tokens=500,
)
