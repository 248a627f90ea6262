"""Nothing of the benchmark is learned in training, and no question gives its answer away."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache
from itertools import product

import numpy as np
import pytest

from valley.evaluation.benchmarks.synthetic import TEST_SEED_OFFSET
from valley.synthetic import questions, wording
from valley.synthetic.dataset import scene_number
from valley.synthetic.generator import draw_scene
from valley.synthetic.questions import Question
from valley.synthetic.scene import Scene
from valley.synthetic.stream import SampleStream
from valley.synthetic.truth import Truth, truth_of
from valley.synthetic.world import COLORS, EVENTS, LANGUAGES, SHAPES, is_held_out

RECIPE_SEEDS = (1, 101, 102, 202, 203)
"""Those of `recipes/mini`; its language lesson adds 1 to its seed, 0."""


def triples(scene: Scene) -> set[tuple[str, str, str]]:
    return {
        (item.color, item.shape, item.event.kind)
        for shot in scene.shots
        for item in shot.objects
        if item.event is not None
    }


def is_spoilt(scene: Scene) -> bool:
    return any(is_held_out(*triple) for triple in triples(scene))


@cache
def _names(language: str) -> re.Pattern[str]:
    names = {
        wording.name(c, s, language, a)
        for c in (*COLORS, None)
        for s in (*SHAPES, None)
        for a in ("the", "a", "none")
        if c or s
    }
    names |= {wording.THE_OBJECT[language]}
    bare = {n.removeprefix("el ").removeprefix("la ") for n in names}
    whole = sorted(names | bare, key=len, reverse=True)
    edge = "" if language == "zh" else r"\b"
    return re.compile(edge + "(" + "|".join(map(re.escape, whole)) + ")" + edge, re.IGNORECASE)


def without_names(text: str, language: str) -> str:
    return _names(language).sub("X", text)


def skeleton(text: str, language: str) -> str:
    """Write X for every name, whatever article or contraction stands before it."""
    return re.sub(r"\b(de|a)l X", r"\1 X", without_names(text, language)).casefold()


@cache
def kept_out(language: str) -> tuple[re.Pattern[str], ...]:
    """Give patterns of the test phrasings' skeletons; what is done and where may be any words."""
    texts = [t for task in wording.QUESTIONS for t in wording.phrasings(task, language, unseen=True)]
    named = [skeleton(re.sub(r"{(it|a|one|other)}", "X", text), language) for text in texts]
    parts = [re.split(r"{\w+}", text) for text in named]
    return tuple(re.compile(".+".join(map(re.escape, part))) for part in parts)


def is_test_phrasing(asked: Question) -> bool:
    bare = asked.text
    for prefix in wording.PREFIXES[asked.language]:
        bare = bare.removeprefix(prefix)
    words = skeleton(bare, asked.language)
    return any(pattern.fullmatch(words) for pattern in kept_out(asked.language))


def check_that_training_is_clean(seed: int, count: int) -> None:
    tests = {
        scene_number(TEST_SEED_OFFSET, i, level=level, combinations=how).model_dump_json()
        for i in range(20)
        for level, how in (("core", "trained"), ("rich", "trained"))
    }
    stream = SampleStream("captions" if seed in (101, 203) else "instructions", seed=seed, rich_share=0.4)
    for index in range(count):
        drawn = stream.draw(index)
        if drawn.scene is not None:
            assert not is_spoilt(drawn.scene), (seed, index)
            assert drawn.scene.model_dump_json() not in tests
        for asked in drawn.asked:
            assert not is_test_phrasing(asked), asked.text


@pytest.mark.parametrize("seed", RECIPE_SEEDS)
def test_training_shows_nothing_of_the_benchmark(seed: int) -> None:
    check_that_training_is_clean(seed, 60)


@pytest.mark.slow
@pytest.mark.parametrize("seed", RECIPE_SEEDS)
def test_training_shows_nothing_of_the_benchmark_in_many_draws(seed: int) -> None:
    check_that_training_is_clean(seed, 700)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_test_phrasing_would_be_found(language: str) -> None:
    for index in range(15):
        rng = np.random.default_rng([3, index])
        truth = truth_of(draw_scene(rng))
        for task in questions.VIDEO_TASKS:
            asked = questions.ask(truth, task, language, rng, unseen=True)
            assert asked is None or is_test_phrasing(asked), asked


@pytest.mark.parametrize("level", ["core", "rich"])
def test_half_of_the_benchmark_shows_what_training_never_does(level: str) -> None:
    for index in range(40):
        scene = scene_number(TEST_SEED_OFFSET, index, level=level, combinations="held_out")  # pyright: ignore[reportArgumentType]
        assert is_spoilt(scene), index


def test_every_color_shape_and_event_is_in_held_out_triples_and_in_others() -> None:
    events = tuple(e for e in EVENTS if e != "still")
    held = {t for t in product(COLORS, SHAPES, events) if is_held_out(*t)}
    rest = set(product(COLORS, SHAPES, events)) - held
    for group in (held, rest):
        assert {t[0] for t in group} == set(COLORS)
        assert {t[1] for t in group} == set(SHAPES)
        assert {t[2] for t in group} == set(events)
    assert 0.08 < len(held) / (len(held) + len(rest)) < 0.12
    assert not any(is_held_out(color, shape, "still") for color in COLORS for shape in SHAPES)


# What can be right of a core clip without a look at it, in percent; the test allows 5 more.
CHANCE: dict[str, float] = {
    "color": 100 / 6,  # six colours
    "shape": 25,  # four shapes
    "size": 50,  # two sizes
    "direction": 25,  # four directions
    "action": 10,  # the most frequent is "stands still"; every motion has one of four directions
    "count": 50,  # one or two, seldom three: of objects as of shots
    "exist": 50,  # by its yes or no
    "happens": 50,  # by its yes or no
    "order": 50,  # the first or the second that is named
    "when": 33,  # within half a second; clips last 2 to 6 seconds
    "cause": 33,  # "on its own"; otherwise a name
    "unanswerable": 50,  # "there is no such thing", or one of many answers
}


def guessable(asked: Question) -> str:
    """Give what of the answer could be guessed; for names, whether it is the first or the second named."""
    if asked.verdict is not None:
        return str(asked.verdict)
    if asked.task == "order":
        first, second = (m.group().casefold() for m in _names(asked.language).finditer(asked.text))
        told = wording.first_of(asked.answer, asked.language) or ""
        assert (first in told) != (second in told), asked
        return "first" if first in told else "second"
    if asked.presupposes is False:
        return "absent"
    return asked.answer


def is_right(task: str, guess: str, asked: Question) -> bool:
    if task != "when":
        return guess == guessable(asked)
    assert asked.at_s is not None
    said_s = wording.time_of(guess.casefold(), asked.language)
    return said_s is not None and abs(said_s - asked.at_s) <= 0.5


def blind_score(task: str, language: str, num_trained: int, num_tested: int) -> tuple[float, int]:
    """Give the percentage that a guess by the question's words alone gets right, and of how many."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    overall: Counter[str] = Counter()
    right, count = 0, 0
    for index, truth in enumerate(_truths(num_trained + num_tested)):
        rng = np.random.default_rng([32, index])
        asked = questions.ask(truth, task, language, rng)
        if asked is None:
            continue
        words = without_names(asked.text, language)
        for prefix in wording.PREFIXES[language]:
            words = words.removeprefix(prefix)
        words = words.casefold()
        if index < num_trained:
            answers[words][guessable(asked)] += 1
            overall[guessable(asked)] += 1
        else:
            guess = (answers.get(words) or overall).most_common(1)[0][0]
            right, count = right + is_right(task, guess, asked), count + 1
    return 100 * right / count, count


@cache
def _truths(count: int) -> list[Truth]:
    return [truth_of(draw_scene(np.random.default_rng([31, i]))) for i in range(count)]


@pytest.mark.parametrize("task", CHANCE)
def test_the_words_of_a_question_hardly_help(task: str) -> None:
    score, count = blind_score(task, "en", 300, 200)
    assert score <= CHANCE[task] + 3 * 50 / count**0.5, f"{score:.1f} % of {count}"


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", CHANCE)
def test_the_words_of_a_question_do_not_give_its_answer_away(task: str, language: str) -> None:
    score, count = blind_score(task, language, 4000, 2000)
    assert count > 600
    assert score <= CHANCE[task] + 5, f"{score:.1f} % of {count}"
