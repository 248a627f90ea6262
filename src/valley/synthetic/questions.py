"""Questions about clips whose answers follow from the truth alone; each has exactly one right answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from valley.synthetic import claims, narration, tasks, wording
from valley.synthetic.tasks import Asked, Expects, draw
from valley.synthetic.truth import ObjectTruth, Truth
from valley.synthetic.world import COLORS, CORE_EVENTS, SHAPES

_ANSWERERS: dict[str, Callable[[Truth, str, np.random.Generator], Asked | None]] = {
    "color": tasks.color,
    "shape": tasks.shape,
    "size": tasks.size,
    "direction": tasks.direction,
    "action": tasks.action,
    "count": tasks.count,
    "exist": claims.exist,
    "happens": claims.happens,
    "order": tasks.order,
    "when": tasks.when,
    "cause": tasks.cause,
    "unanswerable": claims.unanswerable,
    "caption": tasks.caption,
    "description": tasks.description,
    "anything": tasks.anything,
}

VIDEO_TASKS: tuple[str, ...] = tuple(task for task in _ANSWERERS if task != "anything")
PICTURE_TASKS: tuple[str, ...] = ("color", "shape", "size", "count", "exist", "unanswerable", "caption")
FOREIGN_TASKS: tuple[str, ...] = tuple(_ANSWERERS)
"""What is asked about footage of another world; "anything" are the free questions that people begin with."""

_FOREIGN_PHRASINGS: dict[str, tuple[str, ...]] = {
    "count": ("count", "count_in_shot", "count_shots"),
    "when": ("when", "when_shot"),
    "unanswerable": ("color", "shape", "size", "direction", "action"),
}
_FOREIGN_MOMENTS = (
    "starts_to_move",
    "stops",
    "recolors",
    "appears",
    "disappears",
    "starts_to_grow",
    "starts_to_shrink",
)
"""What is asked about of clips of the core level too: no word may tell that the footage is foreign."""


@dataclass(frozen=True)
class Question:
    """One question about a clip and its only right answer.

    Attributes:
        task: one of `FOREIGN_TASKS`, or "who".
        language: "en", "zh" or "es".
        text: the question.
        answer: what is right to say.
        about: the object it is about, if it is about one: for order the first, for cause the moved one.
        verdict: for yes/no questions.
        expects: how an answer is scored.
        at_s: for questions about a time, the exact one in seconds; `answer` may say that of a frame.
        presupposes: whether what the question takes for granted is there; None where it is sure to be.
        compares: the two objects that are compared, as the question names them.
    """

    task: str
    language: str
    text: str
    answer: str
    about: ObjectTruth | None = None
    verdict: bool | None = None
    expects: Expects = "exact"
    at_s: float | None = None
    presupposes: bool | None = None
    compares: tuple[ObjectTruth, ...] = ()


def ask(
    truth: Truth,
    task: str,
    language: str,
    rng: np.random.Generator,
    *,
    unseen: bool = False,
    snap: Callable[[float], float] | None = None,
) -> Question | None:
    """Ask about a clip, or give None where the task has no single right answer there.

    Args:
        truth: the facts.
        task: one of `VIDEO_TASKS`, or "anything", which a clip of this world answers with its caption.
        language: "en", "zh" or "es".
        rng: draws what is asked about and the phrasing.
        unseen: use the phrasings that are kept out of training, and no prefix.
        snap: gives the time in seconds to be said for an exact one, such as that of the nearest frame shown.
    """
    if truth.foreign:
        return ask_foreign(task, language, rng, unseen=unseen)
    asked = _ANSWERERS[task](truth, language, rng)
    if asked is None:
        return None
    answer = asked.answer
    if asked.at_s is not None:
        answer = wording.time_answer(snap(asked.at_s) if snap else asked.at_s, language)
    elif asked.about is not None and asked.compares:
        begins = [(o, o.start_s or 0.0) for o in asked.compares]
        answer = wording.order_answer(asked.about, [(o, snap(s) if snap else s) for o, s in begins], language)
    return Question(
        task,
        language,
        _worded(asked.phrasing, asked.fields, language, rng, unseen=unseen),
        answer,
        asked.about,
        asked.verdict,
        asked.expects,
        asked.at_s,
        asked.presupposes,
        asked.compares,
    )


def ask_foreign(task: str, language: str, rng: np.random.Generator, *, unseen: bool = False) -> Question:
    """Ask about footage that is not of this world as if it were; the answer is always the refusal.

    Args:
        task: one of `FOREIGN_TASKS`.
        language: "en", "zh" or "es".
        rng: draws what is asked about and the phrasing.
        unseen: use the phrasings that are kept out of training, and no prefix.
    """
    kinds = _FOREIGN_PHRASINGS.get(task, (task,))
    kind = kinds[draw(rng, len(kinds))]
    text = _worded(kind, _foreign_fields(kind, language, rng), language, rng, unseen=unseen)
    return Question(task, language, text, wording.REFUSAL[language])


def introduce(language: str, rng: np.random.Generator, *, unseen: bool = False) -> Question:
    """Ask the model who it is; needs no clip."""
    choices = wording.phrasings("who", language, unseen=unseen)
    return Question("who", language, choices[draw(rng, len(choices))], wording.INTRODUCTION[language])


def caption(truth: Truth, language: str) -> str:
    """Say what every object does, or name what is in a picture; the refusal for footage not of this world."""
    return wording.REFUSAL[language] if truth.foreign else narration.caption(truth, language)


def _worded(
    phrasing: str, fields: dict[str, str], language: str, rng: np.random.Generator, *, unseen: bool
) -> str:
    choices = wording.phrasings(phrasing, language, unseen=unseen)
    which, chance = rng.random(), rng.random()
    text = wording.contract(choices[int(which * len(choices))].format(**fields), language)
    if unseen or chance >= wording.PREFIX_SHARE:
        return wording.capital(text)
    prefixes = wording.PREFIXES[language]
    return prefixes[int(chance / wording.PREFIX_SHARE * len(prefixes))] + wording.small(text)


def _foreign_fields(kind: str, language: str, rng: np.random.Generator) -> dict[str, str]:
    """Fill every place of a phrasing with names drawn at random."""
    colors, shapes, lists = tuple(COLORS), SHAPES, wording.name
    first, step = draw(rng, len(colors)), 1 + draw(rng, len(colors) - 1)
    color, other_color = colors[first], colors[(first + step) % len(colors)]
    shape, other_shape = shapes[draw(rng, len(shapes))], shapes[draw(rng, len(shapes))]
    full, by_color, by_shape = (
        lists(color, shape, language),
        lists(color, None, language),
        lists(None, shape, language),
    )
    pointed = {"color": (by_shape,), "shape": (by_color,)}.get(kind, (full, full, full, by_color, by_shape))
    it = pointed[draw(rng, len(pointed))]
    events = _FOREIGN_MOMENTS if kind == "when" else CORE_EVENTS
    event = events[draw(rng, len(events))]
    partner = (other_color, other_shape) if event in claims.COLLISION else None
    do, does = wording.asked_phrase(
        event,
        other_color if event == "recolors" else None,
        partner,
        language,
        feminine=wording.is_feminine(it),
    )
    return {
        "it": it,
        "a": lists(color, shape, language, "none" if language == "zh" else "a"),
        "one": full,
        "other": lists(other_color, other_shape, language),
        "do": do,
        "does": does,
        "shot": wording.shot_name(draw(rng, 3) if kind != "when_shot" else 1 + draw(rng, 2), language),
    }
