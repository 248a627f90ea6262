"""What the heads of the language lesson are told: facts about objects and frames, as class numbers.

Every fact has a number for each of its values; `IGNORED` stands where nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from valley.synthetic.questions import Question
from valley.synthetic.stream import MOST_FRAMES, Drawn
from valley.synthetic.truth import ObjectTruth, ShotTruth, Truth
from valley.synthetic.wording import count_answer, name_of, shots_answer
from valley.synthetic.world import COLORS, DIRECTIONS, EVENTS, LANGUAGES, SHAPES, SIZES
from valley.training.language_recipe import LONGEST_S

IGNORED = -100
MOST_SHOTS = 3
MOST_COUNTED = 4
ABSENT_WEIGHT = 0.1
"""Most colours are not in a shot, which is soon known; what the others do must not drown in that."""

Kinds = Mapping[str, Mapping[Any, int]]


def _numbered(**values: Any) -> Kinds:  # noqa: ANN401
    return {name: {value: n for n, value in enumerate(known)} for name, known in values.items()}


_OBJECT: dict[str, Any] = {
    "direction": DIRECTIONS,
    "to_color": COLORS,
    "partner_color": COLORS,
    "partner_shape": SHAPES,
    "shape": SHAPES,
    "size": SIZES,
    "frame": range(MOST_FRAMES),
    "end_frame": range(MOST_FRAMES),
}

QUESTION_FACTS = _numbered(
    color=COLORS,
    event=EVENTS,
    shot=range(MOST_SHOTS),
    **_OBJECT,
    foreign=(False, True),
    one_frame=range(MOST_FRAMES),
    other_frame=range(MOST_FRAMES),
)
"""Of the object that a question is about, of the time it asks for, and of the objects that it compares."""

HISTORY_FACTS = _numbered(event=(*EVENTS, None), **_OBJECT)
"""Of each colour in a shot; the event None: there is no such object."""

FRAME_FACTS = _numbered(
    number=range(MOST_FRAMES),
    shot=range(MOST_SHOTS),
    opens_shot=(False, True),
    tenths_s=range(10 * LONGEST_S),
)
"""Of each frame of a clip; its time is said in tenths of seconds."""

ANSWER_FACTS = _numbered(
    tenths_s=range(10 * LONGEST_S),
    verdict=(False, True),
    one_is_first=(False, True),
    presupposes=(False, True),
    number=range(1, MOST_COUNTED + 1),
)
"""What an answer comes to: a time, yes or no, which of two comes first, whether what is asked about is there,
how many."""


_COUNTED = {
    answer(number, language): number
    for number in range(1, MOST_COUNTED + 1)
    for language in LANGUAGES
    for answer in (count_answer, shots_answer)
}


def width(kinds: Kinds) -> int:
    """Count the logits that tell one set of facts."""
    return sum(map(len, kinds.values()))


def question_facts(question: Question, drawn: Drawn) -> list[int]:
    """Number what is known of the object that a question is about: `QUESTION_FACTS`."""
    told = [IGNORED] * len(QUESTION_FACTS)
    names = list(QUESTION_FACTS)
    if question.compares:
        begins = [item.start_s for item in question.compares]
        told[-2:] = [IGNORED if at_s is None else _nearest_frame(drawn, at_s) for at_s in begins]
    elif question.about is not None:
        told = _told_of(question.about, question.at_s, drawn, QUESTION_FACTS)
    elif question.at_s is not None:
        told[names.index("frame")] = _nearest_frame(drawn, question.at_s)
    if drawn.truth is not None:
        told[names.index("foreign")] = int(drawn.truth.foreign)
    if drawn.truth is not None and drawn.truth.is_image:
        told[names.index("event")] = told[names.index("shot")] = IGNORED
    return told


def answer_facts(question: Question, drawn: Drawn) -> list[int]:
    """Number what the answer comes to: `ANSWER_FACTS`."""
    at_s = question.at_s
    known = {
        "tenths_s": None if at_s is None else _tenths(drawn.times_s[_nearest_frame(drawn, at_s)]),
        "verdict": question.verdict,
        "one_is_first": question.compares[0] is question.about if question.compares else None,
        "presupposes": question.presupposes,
        "number": _COUNTED.get(question.answer) if question.task == "count" else None,
    }
    return _numbers(known, ANSWER_FACTS)


def told_objects(question: Question, drawn: Drawn) -> list[tuple[int, list[int]]]:
    """Find where an answer that tells of several objects comes to each: (character, its `QUESTION_FACTS`)."""
    truth = drawn.truth
    if truth is None or truth.foreign:
        return []
    if question.compares:
        return _compared_objects(question, drawn)
    return _narrated_objects(question, drawn, truth) if question.expects == "facts" else []


def _compared_objects(question: Question, drawn: Drawn) -> list[tuple[int, list[int]]]:
    answer, found = question.answer.lower(), []
    for item in question.compares:
        places = (answer.find(name_of(item, language)) for language in LANGUAGES)
        at = min((place for place in places if place >= 0), default=None)
        assert at is not None, f"{question.answer!r} does not tell of {item}"
        found.append((at, _told_of(item, item.start_s, drawn, QUESTION_FACTS)))
    return found


def _narrated_objects(question: Question, drawn: Drawn, truth: Truth) -> list[tuple[int, list[int]]]:
    answer, found = question.answer.lower(), []
    for shot in truth.shots:
        in_order = list(shot.objects)
        if question.task == "description":
            in_order *= 1 if truth.is_image else 2
        elif not truth.is_image:  # what is hit is told of beside what hits it
            in_order = [told for o in in_order if o.event != "pushed" for told in (o, *_pushed_by(o, shot))]
        begin = found[-1][0] + 1 if found else 0
        for item in in_order:
            at = min(
                (
                    place
                    for language in LANGUAGES
                    for article, with_size in (("a", True), ("the", False))
                    for name in [name_of(item, language, article=article, with_size=with_size)]
                    if (place := answer.find(name, begin)) >= 0
                ),
                default=None,
            )
            assert at is not None, f"{question.answer!r} does not tell of {item}"
            facts = _told_of(item, item.start_s, drawn, QUESTION_FACTS)
            if truth.is_image:
                facts[list(QUESTION_FACTS).index("event")] = IGNORED
            found.append((at, facts))
            begin = at + 1
    return found


def history_facts(drawn: Drawn) -> np.ndarray:
    """Number what every colour did in every shot: `HISTORY_FACTS`, i64[color shot fact]."""
    history = np.full((len(COLORS), MOST_SHOTS, len(HISTORY_FACTS)), IGNORED, np.int64)
    truth = drawn.truth
    if truth is None or truth.foreign or truth.is_image:
        return history
    history[:, :, 0] = HISTORY_FACTS["event"][None]
    for item in truth.objects:
        color = QUESTION_FACTS["color"][item.color]
        history[color, item.shot] = _told_of(item, item.start_s, drawn, HISTORY_FACTS)
    return history


def frame_facts(drawn: Drawn) -> np.ndarray:
    """Number what is known of every frame: `FRAME_FACTS`, i64[frame fact]."""
    facts = np.full((len(drawn.times_s), len(FRAME_FACTS)), IGNORED, np.int64)
    if drawn.is_picture:
        return facts
    facts[:, 0] = np.arange(len(facts))
    facts[:, 3] = [_tenths(time_s) for time_s in drawn.times_s]
    if drawn.scene is not None:
        facts[:, 1] = [drawn.scene.shot_number_at(time_s)[0] for time_s in drawn.times_s]
        facts[:, 2] = np.diff(facts[:, 1], prepend=-1) > 0
    return facts


def _pushed_by(item: ObjectTruth, shot: ShotTruth) -> list[ObjectTruth]:
    return [o for o in shot.objects if item.event == "hits" and (o.color, o.shape) == item.partner]


def _tenths(time_s: float) -> int:
    """Count the tenths of seconds that the words for a time say."""
    return min(round(10 * float(f"{np.float32(time_s):.1f}")), 10 * LONGEST_S - 1)


def _nearest_frame(drawn: Drawn, time_s: float) -> int:
    return min(range(len(drawn.times_s)), key=lambda k: abs(drawn.times_s[k] - time_s))


def _told_of(item: ObjectTruth, at_s: float | None, drawn: Drawn, kinds: Kinds) -> list[int]:
    known: dict[str, Any] = {
        "color": item.color,
        "shape": item.shape,
        "size": item.size,
        "event": item.event,
        "direction": item.direction,
        "to_color": item.to_color,
        "partner_color": item.partner and item.partner[0],
        "partner_shape": item.partner and item.partner[1],
        "shot": item.shot,
        "frame": None if at_s is None else _nearest_frame(drawn, at_s),
        "end_frame": None if item.end_s is None else _nearest_frame(drawn, item.end_s),
        "foreign": False,
    }
    return _numbers(known, kinds)


def _numbers(known: Mapping[str, Any], kinds: Kinds) -> list[int]:
    told = ((known.get(name), values) for name, values in kinds.items())
    return [IGNORED if value is None else values[value] for value, values in told]


def facts_loss(logits: Tensor, labels: Tensor, kinds: Kinds) -> Tensor:
    """Sum the cross entropies of the facts; logits f[... width], labels i64[... fact]."""
    widths = [len(values) for values in kinds.values()]
    losses = [
        _known_loss(read, fact, absent=values.get(None))
        for read, fact, values in zip(
            logits.float().split(widths, dim=-1), labels.unbind(-1), kinds.values(), strict=True
        )
    ]
    return torch.stack(losses).sum()


def _known_loss(logits: Tensor, labels: Tensor, *, absent: int | None) -> Tensor:
    """Cross entropy over the labels that are known, 0 where none is; the label `absent` counts less."""
    weights = (labels != IGNORED).float()
    if absent is not None:
        weights = torch.where(labels == absent, ABSENT_WEIGHT, weights)
    losses = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none", ignore_index=IGNORED)
    return (losses * weights.flatten()).sum() / weights.sum().clamp(min=1)
