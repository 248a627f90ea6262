"""Questions of the synthetic world: fair, balanced, well worded, and scored by what an answer says."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valley.synthetic import claims, questions, wording
from valley.synthetic.facts import Fact, f1, facts_of
from valley.synthetic.generator import draw_scene
from valley.synthetic.narration import caption, description
from valley.synthetic.questions import Question
from valley.synthetic.truth import FOREIGN, ObjectTruth, ShotTruth, Truth, truth_of
from valley.synthetic.world import COLORS, DIRECTIONS, EVENTS, LANGUAGES, SHAPES


def drawn_truths(count: int) -> list[Truth]:
    return [
        truth_of(draw_scene(np.random.default_rng([21, i]), level=level))
        for i in range(count // 2)
        for level in ("core", "rich")
    ]


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    return drawn_truths(100)


@pytest.fixture(scope="module")
def many_truths() -> list[Truth]:
    return drawn_truths(600)


def clip(*shots: list[ObjectTruth]) -> Truth:
    """Make a clip of shots of two seconds."""
    return Truth(
        tuple(
            ShotTruth(2.0 * n, 2.0 * n + 2, tuple(replace(o, shot=n) for o in objects))
            for n, objects in enumerate(shots)
        )
    )


COLLISION = clip(
    [
        ObjectTruth("red", "cross", "small", "hits", "up_left", None, ("blue", "square"), 0.0, 0.9),
        ObjectTruth("blue", "square", "big", "pushed", "up_left", None, ("red", "cross"), 0.9, 2.0, True),
    ]
)
TWO_SHOTS = clip(
    [ObjectTruth("red", "cross", "small", "recolors", None, "green", None, 1.2, 1.2, True)],
    [
        ObjectTruth("orange", "circle", None, "grows", None, None, None, 2.5, 4.0, True),
        ObjectTruth("blue", "cross", "big"),
    ],
)


def asked(truth: Truth, task: str, language: str = "en", times: int = 40, **how: bool) -> list[Question]:
    """Ask the same of a clip many times, with other random numbers."""
    found = (questions.ask(truth, task, language, np.random.default_rng(i), **how) for i in range(times))
    return [q for q in found if q]


def asked_of_all(
    truths: list[Truth], task: str, language: str = "en", each: int = 4
) -> list[tuple[Truth, Question]]:
    rng = np.random.default_rng(3)
    pairs = ((t, questions.ask(t, task, language, rng)) for t in truths for _ in range(each))
    return [(t, q) for t, q in pairs if q]


# wording


def words_of(text: str, language: str) -> set[str]:
    bare = re.sub(r"\{\w+\}", " ", text).casefold()
    return set(re.findall(r"\w" if language == "zh" else r"\w+", bare))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", list(wording.QUESTIONS))
def test_test_phrasings_are_new_sentences_of_known_words(task: str, language: str) -> None:
    seen = wording.phrasings(task, language, unseen=False)
    unseen = wording.phrasings(task, language, unseen=True)
    assert len(unseen) == wording.NUM_TEST_PHRASINGS
    assert len(set(seen)) == len(seen) >= 12
    known = {word for text in seen for word in words_of(text, language)}
    for text in unseen:
        assert words_of(text, language) <= known, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_test_phrasing_is_a_training_phrasing_of_any_task(language: str) -> None:
    seen = {p for task in wording.QUESTIONS for p in wording.phrasings(task, language, unseen=False)}
    unseen = [p for task in wording.QUESTIONS for p in wording.phrasings(task, language, unseen=True)]
    assert not seen & set(unseen)
    assert len(set(unseen)) == len(unseen)


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_phrasings_of_a_task_want_the_same(language: str) -> None:
    """Each has the places of the first one, apart from the two forms of a verb."""
    for task, by_language in wording.QUESTIONS.items():
        places = [set(re.findall(r"\{(\w+)\}", p)) for p in by_language[language]]
        want = {frozenset(p - {"do", "does"}) for p in places}
        assert len(want) == 1, task
        assert len({bool(p & {"do", "does"}) for p in places}) == 1, task


def test_training_questions_have_prefixes_and_test_questions_none() -> None:
    for language in LANGUAGES:
        prefixes = wording.PREFIXES[language]
        seen = asked(TWO_SHOTS, "caption", language, 400)
        starts = [q.text.startswith(prefixes) for q in seen]
        assert 0.2 < np.mean(starts) < 0.4
        assert not any(
            q.text.startswith(prefixes) for q in asked(TWO_SHOTS, "caption", language, unseen=True)
        )


@pytest.mark.parametrize("language", ["en", "es"])
def test_questions_begin_with_a_capital_and_end_with_a_mark(language: str, truths: list[Truth]) -> None:
    for task in questions.FOREIGN_TASKS:
        for _, q in asked_of_all(truths[:40], task, language, 1):
            assert q.text.lstrip("¿¡")[0].isupper(), q.text
            assert q.answer[0].isupper(), q.answer
            assert q.text[-1] in "?." and q.answer[-1] == "."  # noqa: PT018
            assert not re.search(r"[{}]|  | [?.]|\bde el\b|\ba el\b", q.text + q.answer), q.text


def test_spanish_agrees() -> None:
    cross = TWO_SHOTS.objects[0]
    assert wording.name_of(cross, "es") == "la cruz roja"
    assert wording.name_of(cross, "es", article="a", with_size=True) == "una cruz roja pequeña"
    assert caption(COLLISION, "es") == (
        "Una cruz roja pequeña choca con un cuadrado azul grande, que se mueve hacia arriba a la izquierda."
    )
    assert "Una cruz roja pequeña se vuelve verde." in caption(clip([cross]), "es")
    pushed = replace(cross, event="pushed", direction="up", partner=("blue", "cross"))
    assert wording.event_phrase(pushed, "es", feminine=True) == "es empujada hacia arriba por la cruz azul"
    assert wording.absent_answer("red", "cross", "es") == "No hay ninguna cruz roja."
    assert wording.absent_answer("red", None, "es") == "No hay ningún objeto rojo."
    assert wording.shots_answer(1, "es") == "El clip tiene una toma."
    assert wording.contract("la forma de el objeto", "es") == "la forma del objeto"


def test_spanish_answers_agree_with_the_name_in_the_question() -> None:
    turning = clip([ObjectTruth("green", "cross", "big", "recolors", None, "red", None, 1.0, 1.0)])
    for q in asked(turning, "action", "es", 100):
        assert q.answer == ("Se vuelve roja." if "la cruz" in q.text else "Se vuelve rojo."), q.text
    assert {q.answer for q in asked(turning, "action", "es", 100)} == {"Se vuelve roja.", "Se vuelve rojo."}


# what is asked


def test_the_same_numbers_ask_the_same_in_every_language(truths: list[Truth]) -> None:
    """A question in one language may be answered in another."""
    for number, truth in enumerate(truths[:40]):
        for task in questions.FOREIGN_TASKS:
            found = [questions.ask(truth, task, lang, np.random.default_rng(number)) for lang in LANGUAGES]
            same = {(q.about, q.verdict, q.at_s, q.presupposes, q.expects) if q else None for q in found}
            assert len(same) == 1, task


def test_every_task_is_asked(truths: list[Truth]) -> None:
    for task in questions.VIDEO_TASKS:
        assert len(asked_of_all(truths, task, each=1)) > 10, task


def test_every_task_about_pictures_is_asked_of_pictures() -> None:
    picture = Truth(
        (ShotTruth(0.0, 0.0, (ObjectTruth("red", "cross", "small"), ObjectTruth("blue", "square", "big"))),),
        is_image=True,
    )
    for task in questions.PICTURE_TASKS:
        for q in asked(picture, task, times=60):
            assert not re.search(r"clip|shot|move|stand|happen to|do\?", q.text.lower() + q.answer), q.text
    assert {t for t in questions.PICTURE_TASKS if asked(picture, t)} == set(questions.PICTURE_TASKS)
    assert caption(picture, "en") == "A small red cross; a big blue square."
    assert caption(picture, "zh") == "一个红色的小十字；一个蓝色的大方形。"


def test_a_short_name_points_at_one_object_only(truths: list[Truth]) -> None:
    for task in ("color", "shape", "size", "direction", "action", "happens", "cause", "when"):
        for truth, q in asked_of_all(truths, task):
            shapes = [o.shape for o in truth.objects]
            colors = [c for o in truth.objects for c in (o.color, o.to_color)]
            text = q.text.split(" hit ")[0].split(" by ")[0]
            if found := re.search(rf"the ({'|'.join(SHAPES)})\b", text):
                assert shapes.count(found[1]) == 1, q.text
            if found := re.search(rf"the ({'|'.join(COLORS)}) object", text):
                assert colors.count(found[1]) == 1, q.text
            if "the object" in text:
                assert len(truth.objects) == 1, q.text


def test_ambiguous_attributes_are_not_asked() -> None:
    turning = clip([ObjectTruth("red", "circle", "big", "recolors", None, "blue", None, 1.0, 1.0)])
    assert not asked(turning, "color")
    growing = clip([ObjectTruth("red", "circle", None, "grows", None, None, None, 0.0, 2.0)])
    assert not asked(growing, "size")
    bouncing = clip([ObjectTruth("red", "circle", "big", "bounces", "up", None, None, 0.0, 2.0)])
    assert not asked(bouncing, "direction")
    assert {q.answer for q in asked(bouncing, "action")} == {"It moves up and bounces back."}


@pytest.mark.slow
def test_counts_are_right_and_balanced(many_truths: list[Truth]) -> None:
    said = Counter()
    for truth, q in asked_of_all(many_truths, "count"):
        if "clip has" in q.answer:
            assert q.answer == wording.shots_answer(len(truth.shots), "en")
        elif len(truth.shots) == 1:
            assert q.answer == wording.count_answer(len(truth.objects), "en")
        else:
            number = next(n for n in range(4) if wording.shot_name(n, "en") in q.text)
            assert q.answer == wording.count_answer(len(truth.shots[number].objects), "en")
        said[q.answer] += 1
    assert 0.5 < said["There is one object."] / said["There are two objects."] < 2
    assert 0.5 < said["The clip has one shot."] / said["The clip has two shots."] < 2


def test_exist_gives_the_fact_and_then_the_verdict(truths: list[Truth]) -> None:
    kinds: Counter[str] = Counter()
    for truth, q in asked_of_all(truths, "exist", each=12):
        color, shape = next((c, s) for c in COLORS for s in SHAPES if f"{c} {s}" in q.text)
        there = [o for o in truth.objects if o.color == color]
        assert color not in [o.to_color for o in truth.objects]
        assert len(there) <= 1
        if not there:
            kinds["absent"] += 1
            assert q.answer == f"Nothing is {color}. No."
            assert q.about is None
        else:
            kinds["same" if there[0].shape == shape else "other"] += 1
            verdict = "Yes." if there[0].shape == shape else "No."
            assert q.answer == f"The {color} object is a {there[0].shape}. {verdict}"
            assert q.about is there[0]
        assert q.verdict == (bool(there) and there[0].shape == shape) == wording.verdict_of(q.answer, "en")
    total = kinds.total()
    assert kinds["same"] / total == pytest.approx(0.5, abs=0.04)
    assert kinds["other"] / total == pytest.approx(0.25, abs=0.04)


ASKED_WORDS = {
    "still": "stand",
    "enters": "come",
    "leaves": "leave",
    "stops": "stop",
    "recolors": "turn",
    "hits": "hit",
    "pushed": "pushed",
    "bounces": "bounce",
    "spins": "spin",
    "moves": "move",
    "grows": "grow",
    "shrinks": "shrink",
    "appears": " appear",
    "disappears": "disappear",
}


@pytest.mark.slow
def test_each_event_is_asked_as_often_truly_as_falsely(many_truths: list[Truth]) -> None:
    truly: Counter[str] = Counter()
    falsely: Counter[str] = Counter()
    for _, q in asked_of_all(many_truths, "happens", each=24):
        kind = next(k for k, word in ASKED_WORDS.items() if re.search(rf"{word}s?\b", q.text))
        assert q.about is not None
        assert q.answer.startswith(wording.action_answer(q.about, "en", feminine=False))
        if q.verdict:
            assert kind == q.about.event
        elif kind == q.about.event:
            assert kind == "recolors"
            assert f" {q.about.to_color}" not in q.text.partition("turn")[2]
        else:
            assert kind not in claims.NOT_ASKED[q.about.event]
        (truly if q.verdict else falsely)[kind] += 1
    assert truly.total() / (truly.total() + falsely.total()) == pytest.approx(0.5, abs=0.02)
    assert set(truly) == set(falsely) == set(EVENTS)
    for kind in EVENTS:  # 500 clips: the rare events are met a few dozen times only
        assert 0.3 < truly[kind] / (truly[kind] + falsely[kind]) < 0.7, kind


@pytest.mark.parametrize(("is_rich", "alone"), list(claims.EVENT_SHARES))
def test_wrong_events_have_the_shares_of_true_ones(is_rich: bool, alone: bool) -> None:
    shares = claims.EVENT_SHARES[is_rich, alone]
    falsely: Counter[str] = Counter()
    for event, share in shares.items():
        for quantile in np.linspace(0, 0.9999, 400):
            wrong = claims.wrong_event(event, float(quantile), is_rich=is_rich, alone=alone)
            assert wrong != event or event == "recolors"
            falsely[wrong] += share / 400
    total = sum(shares.values())
    for event, share in shares.items():
        assert falsely[event] / total == pytest.approx(share / total, abs=0.012 if not is_rich else 0.05), (
            event
        )


def test_order_names_what_begins_first(truths: list[Truth]) -> None:
    positions = []
    for truth, q in asked_of_all(truths, "order"):
        named = [o for o in truth.objects if f"{o.color} {o.shape}" in q.text]
        first, second = sorted(named, key=lambda o: o.start_s or 0)
        assert first.start_s is not None and second.start_s is not None  # noqa: PT018
        assert second.start_s - first.start_s >= 0.5
        assert "hits" not in {first.event, second.event}
        assert q.about == first
        does = wording.event_phrase(first, "en", feminine=False)
        assert q.answer.endswith(f"s. First the {first.color} {first.shape} {does}.")
        for item in named:
            assert re.search(rf"he {item.color} {item.shape}( acts)? at {item.start_s:.1f} s[.,]", q.answer)
        assert wording.first_of(q.answer, "en") == f"first the {first.color} {first.shape} {does}"
        positions.append(
            q.text.index(f"{first.color} {first.shape}") < q.text.index(f"{second.color} {second.shape}")
        )
    assert np.mean(positions) == pytest.approx(0.5, abs=0.1)


def test_times_are_those_of_the_truth_or_of_the_frames() -> None:
    said = {q.text: q for q in asked(TWO_SHOTS, "when", unseen=True, times=200)}
    assert {q.at_s for q in said.values()} == {1.2, 2.0, 2.5}
    assert all(q.answer == f"At {q.at_s} s." and q.expects == "time" for q in said.values())
    assert "Say at what time the red cross turns green." in said
    assert "Say at what time the orange circle starts to grow." in said
    assert "At what time does the second shot start?" in said
    snapped = questions.ask(TWO_SHOTS, "when", "es", np.random.default_rng(0), snap=lambda s: s + 0.5)
    assert snapped is not None
    assert snapped.at_s is not None
    assert wording.time_of(snapped.answer, "es") == pytest.approx(snapped.at_s + 0.5)


def test_a_stop_is_asked_by_its_end() -> None:
    stopping = clip([ObjectTruth("red", "circle", "big", "stops", "up", None, None, 0.0, 1.3)])
    assert {(q.at_s, q.answer) for q in asked(stopping, "when")} == {(1.3, "At 1.3 s.")}
    moving = clip([ObjectTruth("red", "circle", "big", "moves", "up", None, None, 0.0, 2.0)])
    assert not asked(moving, "when")


@pytest.mark.slow
def test_causes_are_collisions_or_the_object_itself(many_truths: list[Truth]) -> None:
    own = []
    for _, q in asked_of_all(many_truths, "cause"):
        assert q.about is not None
        own.append(q.about.event == "moves")
        if q.about.partner:
            assert q.answer == f"Because the {' '.join(q.about.partner)} hits it."
        else:
            assert q.about.delayed
            assert q.answer == "It starts to move on its own."
    assert 0.1 < np.mean(own) <= 0.3


def test_half_of_the_unanswerable_questions_have_an_answer(truths: list[Truth]) -> None:
    present: dict[str, list[bool]] = {}
    near = []
    for truth, q in asked_of_all(truths, "unanswerable", each=12):
        colors = {o.color for o in truth.objects}
        asked_for = re.search(rf"the ((?:{'|'.join(COLORS)}) )?({'|'.join(SHAPES)}|object)\b", q.text)
        assert asked_for is not None
        color, shape = (asked_for[1] or "").strip(), asked_for[2]
        there = any(color in ("", o.color) and shape in ("object", o.shape) for o in truth.objects)
        assert q.presupposes == there == (q.about is not None), q.text
        if not there:
            a_an = " ".join(w for w in (color, shape) if w)
            assert q.answer == f"There is no {a_an}."
            assert not any(o.to_color == color and shape in ("object", o.shape) for o in truth.objects)
            if color and shape != "object":
                near.append(color in colors or any(o.shape == shape for o in truth.objects))
        else:
            assert not q.answer.startswith("There is no")
        form = "full" if color and shape != "object" else "color" if color else "shape"
        present.setdefault(form, []).append(there)
    for form, values in present.items():
        assert np.mean(values) == pytest.approx(0.5, abs=0.06), form
    assert np.mean(near) > 0.75


# footage of another world


@pytest.mark.parametrize("language", LANGUAGES)
def test_anything_asked_about_other_footage_is_refused(language: str) -> None:
    for task in questions.FOREIGN_TASKS:
        for q in asked(FOREIGN, task, language, 60) + asked(FOREIGN, task, language, 20, unseen=True):
            assert q.answer == wording.REFUSAL[language]
            assert q.expects == "exact"
            assert q.about is None
            assert "{" not in q.text
    assert caption(TWO_SHOTS, language) == questions.caption(TWO_SHOTS, language)
    assert questions.caption(FOREIGN, language) == wording.REFUSAL[language]


def test_the_words_of_a_question_do_not_tell_that_it_will_be_refused(truths: list[Truth]) -> None:
    shrinking = clip([ObjectTruth("red", "circle", None, "shrinks", None, None, None, 0.5, 2.0, True)])
    truths = [*truths, shrinking]  # too rare to be sure of among a hundred clips
    for task in ("happens", "when", "exist"):
        known = {
            w.rstrip("s") for _, q in asked_of_all(truths, task, each=20) for w in words_of(q.text, "en")
        }
        refused = {w.rstrip("s") for q in asked(FOREIGN, task, "en", 300) for w in words_of(q.text, "en")}
        assert refused <= known, task


# facts


def facts_of_truth(truth: Truth) -> set[Fact]:
    """Derive the facts from the truth, without any words."""
    found = {Fact(-1, None, "shots", str(len(truth.shots)))} if len(truth.shots) > 1 else set()
    for item in truth.objects:
        about = (item.color, item.shape)
        told = {
            "size": item.size,
            "event": None if truth.is_image else item.event,
            "direction": item.direction if item.event != "hits" else None,
            "to_color": item.to_color,
            "partner": " ".join(item.partner) if item.partner else None,
        }
        found |= {Fact(item.shot, about, "named", "")}
        found |= {Fact(item.shot, about, kind, value) for kind, value in told.items() if value}
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_facts_of_the_words_are_those_of_the_truth(language: str, truths: list[Truth]) -> None:
    for truth in [*truths, COLLISION, TWO_SHOTS]:
        for tell in (caption, description):
            text = tell(truth, language)
            assert facts_of(text, language) == facts_of_truth(truth), text
            assert f1(text, text, language) == 1.0
        picture = Truth((replace(truth.shots[0], objects=tuple(_stills(truth))),), is_image=True)
        for tell in (caption, description):
            assert facts_of(tell(picture, language), language) == facts_of_truth(picture)


def _stills(truth: Truth) -> list[ObjectTruth]:
    return [ObjectTruth(o.color, o.shape, o.size) for o in truth.shots[0].objects]


def wrong_versions(truth: Truth) -> list[Truth]:
    """Change one thing about one object at a time."""
    found = []
    for shot_number, shot in enumerate(truth.shots):
        for number, item in enumerate(shot.objects):
            changes: list[dict[str, object]] = [{"size": "small" if item.size == "big" else "big"}]
            if item.event not in ("hits", "pushed"):
                changes += [{"shape": s} for s in SHAPES if s != item.shape]
                changes += [{"color": c} for c in COLORS if c not in [o.color for o in truth.objects]]
                changes += [{"event": e, "direction": None} for e in ("still", "grows") if e != item.event]
            if item.to_color:
                changes += [{"to_color": c} for c in COLORS if c not in (item.color, item.to_color)]
            if item.direction and item.event != "hits":
                changes += [{"direction": d} for d in DIRECTIONS if d != item.direction]
            for change in changes:
                objects = list(shot.objects)
                objects[number] = replace(item, **change)  # pyright: ignore[reportArgumentType]
                shots = list(truth.shots)
                shots[shot_number] = replace(shot, objects=tuple(objects))
                found.append(replace(truth, shots=tuple(shots)))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_any_single_wrong_fact_costs(language: str, truths: list[Truth]) -> None:
    for truth in [*truths[:8], COLLISION, TWO_SHOTS]:
        for tell in (caption, description):
            right = tell(truth, language)
            for wrong in wrong_versions(truth):
                score = f1(tell(wrong, language), right, language)
                assert 0.0 <= score < 1.0, tell(wrong, language)


def test_f1_counts_what_is_missing_and_what_is_added() -> None:
    right = "A small red circle moves up; a big blue square spins."
    assert f1("A small red circle moves up.", right, "en") == pytest.approx(2 * 4 / (4 + 7))
    assert f1(right + " A big green cross spins.", right, "en") == pytest.approx(2 * 7 / (10 + 7))
    assert f1(right + " And so on.", right, "en") == pytest.approx(2 * 7 / (8 + 7))
    assert f1("A small red circle moves up and sings; a big blue square spins.", right, "en") < 1
    assert f1("a big blue square spins;  A SMALL RED CIRCLE moves up", right, "en") == 1.0
    assert f1("", right, "en") == 0.0
    assert f1(right, wording.REFUSAL["en"], "en") == 0.0
    assert f1(wording.REFUSAL["en"], wording.REFUSAL["en"], "en") == 1.0


def test_shots_out_of_place_cost() -> None:
    right = caption(TWO_SHOTS, "en")
    turned = caption(Truth(tuple(reversed(TWO_SHOTS.shots))), "en")
    assert f1(turned, right, "en") < 0.3


WORDS = sorted(
    {w for lang in LANGUAGES for t in (COLLISION, TWO_SHOTS) for w in description(t, lang).split()}
)


@given(
    st.one_of(
        st.text(max_size=80), st.lists(st.sampled_from([*WORDS, ";", "shot 9:"]), max_size=30).map(" ".join)
    ),
    st.sampled_from(LANGUAGES),
)
def test_rubbish_is_read_without_complaint(text: str, language: str) -> None:
    facts_of(text, language)
    wording.verdict_of(text, language)
    wording.time_of(text, language)
    assert 0.0 <= f1(text, caption(TWO_SHOTS, language), language) <= 1.0


@pytest.mark.parametrize("language", LANGUAGES)
def test_verdicts_and_times_are_read_back(language: str) -> None:
    for verdict in (True, False):
        said = wording.with_verdict(wording.exist_fact("red", "cross", language), language, verdict=verdict)
        assert wording.verdict_of(said, language) is verdict
        assert wording.verdict_of(wording.VERDICTS[language][verdict], language) is verdict
    assert wording.verdict_of(wording.REFUSAL[language], language) is None
    for earlier, later in pairwise([0.0, 1.4, 12.3]):
        assert wording.time_of(wording.time_answer(earlier, language), language) == earlier
        assert wording.time_of(wording.time_answer(later, language), language) == later
    assert wording.time_of(wording.REFUSAL[language], language) is None
