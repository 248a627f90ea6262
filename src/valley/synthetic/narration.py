"""Captions and descriptions: everything that happens, told in a fixed form that `facts` can read back.

A small red circle hits a big blue square, which moves to the right; a big green cross spins.
Shot 1: a small red circle grows. Shot 2: a small red cross stands still; a big blue square appears.
The clip shows a small red circle and a big blue square. The red circle grows. The blue square spins.
"""

from __future__ import annotations

from valley.synthetic import wording
from valley.synthetic.truth import ObjectTruth, ShotTruth, Truth


def caption(truth: Truth, language: str) -> str:
    """Say what every object does, one sentence a shot; in a picture, name the objects."""
    told = [_shot_clauses(shot, language, is_image=truth.is_image) for shot in truth.shots]
    if len(told) == 1:
        return wording.sentence(told[0], language)
    stop = "。" if language == "zh" else "."
    headed = [wording.SHOT_HEADING[language].format(i) + words + stop for i, words in enumerate(told, 1)]
    return wording.SPACE[language].join(headed)


def description(truth: Truth, language: str) -> str:
    """Say how many shots there are if several, what each shows and then what every object in it does."""
    several = len(truth.shots) > 1
    said = [wording.shots_answer(len(truth.shots), language)] if several else []
    for number, shot in enumerate(truth.shots, 1):
        kind = "shot" if several else "picture" if truth.is_image else "clip"
        names = [wording.name_of(o, language, article="a", with_size=True) for o in shot.objects]
        shows = wording.SHOWS[kind][language].format(wording.listed(names, language), number=number)
        said.append(wording.sentence(shows, language))
        if not truth.is_image:
            said += [event_sentence(item, language) for item in shot.objects]
    return wording.SPACE[language].join(said)


def event_sentence(item: ObjectTruth, language: str) -> str:
    """Say what one object does: "The red circle moves to the left."."""
    it = wording.name_of(item, language)
    doing = wording.event_phrase(item, language, feminine=wording.is_feminine(it))
    return wording.sentence(f"{it}{wording.SPACE[language]}{doing}", language)


def _shot_clauses(shot: ShotTruth, language: str, *, is_image: bool) -> str:
    clauses = [
        _clause(item, shot, language, is_image=is_image) for item in shot.objects if item.event != "pushed"
    ]
    return wording.CLAUSE_JOINT[language].join(clauses)


def _clause(item: ObjectTruth, shot: ShotTruth, language: str, *, is_image: bool) -> str:
    name = wording.name_of(item, language, article="a", with_size=True)
    if is_image:
        return name
    if item.event == "hits":
        pushed = next(o for o in shot.objects if (o.color, o.shape) == item.partner)
        partner = wording.name_of(pushed, language, article="a", with_size=True)
        assert pushed.direction is not None
        said = wording.collision_phrase(partner, pushed.direction, language)
    else:
        said = wording.event_phrase(item, language, feminine=wording.is_feminine(name))
    return f"{name}{wording.SPACE[language]}{said}"
