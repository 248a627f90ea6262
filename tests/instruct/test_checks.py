"""The contract of checks: pure, afraid of no text; and for each what must be refused and what must not."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruct.cards import card, draft
from instruct.sentences import SENTENCES, WITH_NAMES
from valley.instruct.check import CHECKS, Check, Refusal
from valley.instruct.checks.language import other_language
from valley.instruct.run import checks_of
from valley.instruct.task import TASKS
from valley.instruct.versions import content_version
from valley.language_id import are_close

NAMES = CHECKS.names()
ALL: dict[str, Check] = {name: CHECKS.get(name) for name in NAMES}
LANGUAGES = ("en", "zh", "es", "fr", "de", "pt", "it", "ru", "ja", "ko", "ar", "hi", "tr")

EN = card(
    "A small red circle moves to the right and hits a big blue square.",
    ("The red circle moves to the right.", 0.0, 2.0),
    ("The blue square is pushed to the right by the red circle.", 2.0, 4.0),
    ("The green cross turns yellow.", 5.0, 6.0),
)
ZH = card(
    "一个红色的小圆形向右移动，撞上了一个蓝色的大方形。",
    ("红色的圆形向右移动。", 0.0, 2.0),
    ("蓝色的方形被红色的圆形撞得向右移动。", 2.0, 4.0),
    language="zh",
)
ES = card(
    "Un pequeño círculo rojo se mueve hacia la derecha y choca con un gran cuadrado azul.",
    ("El círculo rojo se mueve hacia la derecha.", 0.0, 2.0),
    ("El cuadrado azul es empujado hacia la derecha por el círculo rojo.", 2.0, 4.0),
    language="es",
)
FR = card("Un cercle rouge se déplace vers la droite et heurte un carré bleu.", language="fr")
DE = card("Ein roter Kreis bewegt sich nach rechts und stößt gegen ein blaues Quadrat.", language="de")
COOK = card("A cook in a white apron cuts two onions in a kitchen.", "Der Koch weint.", text_kind="caption")
RU = card("Красный круг движется вправо.", language="ru")
SHOTS = card("A cook cuts onions.", shots=((0, 4), (4, 10)))

LONG = "The cook cuts the onions into thin slices and puts them into a pan on the stove behind him."


def turn_of(answer: str, question: str = "What can be seen here?") -> tuple[str, str]:
    return (question, answer)


def ask(name: str, *turns: tuple[str, str], evidence: Any = EN, **more: Any) -> Refusal | None:
    return ALL[name].check(draft(*turns, **more), evidence)


def test_what_the_issue_names_is_there() -> None:
    for name in NAMES:
        check = ALL[name]
        assert isinstance(check, Check)
        assert check.name == name
        assert check.help
        assert set(check.tasks) <= set(TASKS.names())
    run = checks_of(["all"])
    assert [c.cost for c in run] == sorted(c.cost for c in run)
    assert {c.name for c in run} == set(NAMES)


def test_a_version_follows_the_contents(tmp_path: Path) -> None:
    one = tmp_path / "check.py"
    one.write_text("a = 1\n")
    before = content_version(one)
    assert before == content_version(one.rename(tmp_path / "other.py"))
    (tmp_path / "other.py").write_text("a = 2\n")
    assert before != content_version(tmp_path / "other.py")
    for check in ALL.values():
        assert re.fullmatch(r"[0-9a-f]{12}", check.version)
    assert len({check.version for check in ALL.values()}) == len(ALL)


# ---------------------------------------------------------------------------------------- any text at all

ODD = (
    "",
    " ",
    "\n\t\u2028",
    "\ud800",
    "a\udfffb",
    "\x00",
    "👩‍👩‍👧‍👦🚀🔥",
    "هذا نص يمين إلى يسار مع 12 رقما",
    "\u202eabc\u202c",
    "ว่ายน้ำในทะเลสีฟ้า",
    "İstanbul ǅ ﬁ ß ẞ",
    "e\u0301\u0301\u0301",
    "12:99 -3.5 s 99999999999 s 1e400 ½ ²",
    "not a red blue square, no red, no, no, no; red red red",
    "第一个红色的圆形，没有，第二个",
    "F1 [F2] {x} ``` <video>",
    "सफ़ेद 三角形 triángulo",
)
TEXT = (
    st.text(max_size=120) | st.sampled_from(ODD) | st.lists(st.sampled_from(ODD), max_size=5).map("; ".join)
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    question=TEXT,
    answer=TEXT,
    fact=TEXT,
    language=st.sampled_from([*LANGUAGES, "th", "zh-Hant", "x-klingon", "sw"]),
    task=st.sampled_from(TASKS.names()),
)
def test_no_text_frightens_a_check(question: str, answer: str, fact: str, language: str, task: str) -> None:
    details = {"count": 2, "action": answer, "cause_s": 1.0, "effect_s": 0.5, "start_s": 0.0, "end_s": 1.0}
    evidence = card(fact, (answer, 0.0, 1.0), "A red circle.", language=language)
    choices = {"choices": (answer, question, "c", "d"), "right_choice": 1}
    more = choices if task == "action_recognition" else {}
    told = draft((question, answer), ("And?", fact), task=task, language=language, details=details, **more)
    for check in ALL.values():
        if check.tasks and task not in check.tasks:
            continue
        first, again = check.check(told, evidence), check.check(told, evidence)
        assert first == again, "the same in, the same out"
        if first is not None:
            assert first.check == check.name
            assert re.fullmatch(r"[a-z_]+", first.reason)
            assert first.detail
            float(first.number)


SAME_READER = [
    n for n in NAMES if n.startswith("grounded_") and n not in ("grounded_things", "grounded_words")
]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SAME_READER else ()) for n in NAMES]
)
def test_100_kilobytes_take_no_time_to_speak_of(name: str) -> None:
    pieces = {"red circle ": "en", "红色的圆形向右移动，": "zh"}

    def took_s(piece: str, language: str, length: int) -> float:
        began_s = time.process_time()
        ask(name, turn_of(piece * (length // len(piece))), language=language, task="short_caption")
        return time.process_time() - began_s

    for piece, language in pieces.items():
        whole_s = took_s(piece, language, 100_000)  # what grows with the square of the length takes minutes
        # On a busy machine all is slower; a quarter of the text then takes a quarter, and not a sixteenth.
        assert whole_s < 5.0 or whole_s < 8 * took_s(piece, language, 25_000), (whole_s, piece, language)


# ---------------------------------------------------------------------------------------- what is refused

LOOP = "the cook cuts the onion and then " * 8
REFUSED: list[tuple[str, str, Any, tuple[tuple[str, str], ...], dict[str, Any]]] = [
    ("turns", "repeated_question", EN, (turn_of("One."), turn_of("Two.", "what can be SEEN here")), {}),
    ("turns", "repeated_question", EN, (turn_of("一。", "这是什么？"), turn_of("二。", "这是什么")), {}),
    ("turns", "echo", EN, (turn_of("What can be seen here?"),), {}),
    ("turns", "no_turns", EN, (), {}),
    ("length", "answer_too_short", EN, (turn_of("A dog."),), {"task": "long_description"}),
    ("length", "answer_too_long", EN, (turn_of("word " * 200),), {"task": "counting"}),
    ("length", "question_too_long", EN, (turn_of("Yes.", "why " * 99),), {}),
    ("length", "question_too_short", EN, (turn_of("Yes.", "Why?"),), {}),
    (
        "length",
        "answer_too_short",
        ZH,
        (turn_of("一条狗。"),),
        {"task": "long_description", "language": "zh"},
    ),
    ("repetition", "loop", EN, (turn_of(LOOP),), {}),
    ("repetition", "loop", ZH, (turn_of("厨师正在切洋葱，" * 10),), {"language": "zh"}),
    ("repetition", "same_answer", EN, (turn_of(LONG), turn_of(LONG, "And then?")), {}),
    ("leakage", "leak", EN, (turn_of("According to the caption, a circle moves."),), {}),
    ("leakage", "leak", EN, (turn_of("As an AI language model I see a circle."),), {}),
    ("leakage", "leak", EN, (turn_of("A circle moves [F1]."),), {}),
    ("leakage", "leak", EN, (turn_of("It moves.", "What does the provided text say?"),), {}),
    ("leakage", "leak", EN, (turn_of("The subtitles say that it moves."),), {}),
    ("leakage", "leak", EN, (turn_of("I cannot see the video."),), {}),
    ("leakage", "leak", EN, (turn_of("<video> A circle moves."),), {}),
    ("leakage", "leak", EN, (turn_of("Invent no names, numbers, colours, places or times."),), {}),
    ("leakage", "leak", ZH, (turn_of("根据字幕，圆形向右移动。"),), {"language": "zh"}),
    ("leakage", "leak", ZH, (turn_of("作为一个人工智能，我看到圆形。"),), {"language": "zh"}),
    ("leakage", "leak", ES, (turn_of("Según la descripción, el círculo se mueve."),), {"language": "es"}),
    ("leakage", "leak", FR, (turn_of("D'après la description, le cercle bouge."),), {"language": "fr"}),
    ("leakage", "leak", DE, (turn_of("Laut der Beschreibung bewegt sich der Kreis."),), {"language": "de"}),
    ("leakage", "leak", RU, (turn_of("Согласно описанию, круг движется."),), {"language": "ru"}),
    ("leakage", "leak", RU, (turn_of("字幕によると、円が動きます。"),), {"language": "ja"}),
    ("leakage", "leak", RU, (turn_of("وفقا للنص تتحرك الدائرة."),), {"language": "ar"}),
    ("leakage", "leak", RU, (turn_of("एक भाषा मॉडल के रूप में मैं कहता हूँ।"),), {"language": "hi"}),
    ("times", "time_outside", EN, (turn_of("It moves from 8 to 14 s."),), {}),
    ("times", "time_outside", EN, (turn_of("It moves at 1:05."),), {}),
    ("times", "time_outside", ZH, (turn_of("它在12秒开始移动。"),), {"language": "zh"}),
    ("times", "time_outside", ES, (turn_of("Se mueve de 3 a 15,5 segundos."),), {"language": "es"}),
    ("times", "time_outside", DE, (turn_of("Nach 25 Sekunden bewegt er sich."),), {"language": "de"}),
    ("times", "crooked_stretch", EN, (turn_of("It moves from 6.0 to 2.0 s."),), {}),
    (
        "times",
        "effect_before_cause",
        EN,
        (turn_of("Because it is hit."),),
        {"task": "causal_inference", "details": {"cause_s": 3.0, "effect_s": 1.0}},
    ),
    (
        "times",
        "overlap",
        EN,
        (turn_of("All.\n0.0-6.0 s: a circle moves\n4.0-9.0 s: a cross turns"),),
        {"task": "summary_with_chapters"},
    ),
    (
        "choices",
        "same_choices",
        EN,
        (turn_of("A"),),
        {"task": "action_recognition", "choices": ("run", "Run.", "eat", "sit"), "right_choice": 0},
    ),
    (
        "choices",
        "no_right_choice",
        EN,
        (turn_of("A"),),
        {"task": "action_recognition", "choices": ("run", "eat", "sit", "go"), "right_choice": 4},
    ),
    (
        "choices",
        "several_right",
        COOK,
        (turn_of("A"),),
        {"task": "action_recognition", "choices": ("cries", "cuts two onions", "a", "b"), "right_choice": 0},
    ),
    (
        "question_leak",
        "answer_in_question",
        EN,
        (
            turn_of(
                "The square moves because the circle hits it.",
                "Does the square move because the circle hits it?",
            ),
        ),
        {"task": "causal_inference"},
    ),
    (
        "question_leak",
        "answer_in_question",
        ZH,
        (turn_of("因为红色的圆形撞上了它。", "方形移动是因为红色的圆形撞上了它吗？"),),
        {"task": "causal_inference", "language": "zh"},
    ),
    ("grounded_things", "ungrounded_thing", EN, (turn_of("A green circle moves to the right."),), {}),
    ("grounded_things", "ungrounded_thing", EN, (turn_of("The red triangle moves to the right."),), {}),
    ("grounded_things", "ungrounded_shape", EN, (turn_of("A triangle moves to the right."),), {}),
    (
        "grounded_things",
        "ungrounded_color",
        EN,
        (turn_of("It is purple.", "Which colour has the circle?"),),
        {},
    ),
    ("grounded_things", "denies_fact", EN, (turn_of("There is no red circle."),), {}),
    ("grounded_things", "ungrounded_thing", ZH, (turn_of("绿色的圆形向右移动。"),), {"language": "zh"}),
    ("grounded_things", "ungrounded_thing", ZH, (turn_of("红色的三角形向右移动。"),), {"language": "zh"}),
    ("grounded_things", "denies_fact", ZH, (turn_of("没有红色的圆形。"),), {"language": "zh"}),
    ("grounded_things", "ungrounded_thing", ES, (turn_of("El círculo verde se mueve."),), {"language": "es"}),
    ("grounded_things", "ungrounded_thing", FR, (turn_of("Un cercle vert se déplace."),), {"language": "fr"}),
    (
        "grounded_things",
        "ungrounded_thing",
        DE,
        (turn_of("Der grüne Kreis bewegt sich."),),
        {"language": "de"},
    ),
    ("grounded_things", "ungrounded_thing", COOK, (turn_of("A cook in a black apron cuts onions."),), {}),
    ("grounded_directions", "ungrounded_direction", EN, (turn_of("The red circle moves to the left."),), {}),
    (
        "grounded_directions",
        "ungrounded_direction",
        EN,
        (turn_of("It moves up.", "Where does the red circle go?"),),
        {},
    ),
    (
        "grounded_directions",
        "ungrounded_direction",
        ZH,
        (turn_of("红色的圆形向左移动。"),),
        {"language": "zh"},
    ),
    (
        "grounded_directions",
        "ungrounded_direction",
        ES,
        (turn_of("El círculo rojo se mueve hacia la izquierda."),),
        {"language": "es"},
    ),
    (
        "grounded_directions",
        "ungrounded_direction",
        FR,
        (turn_of("Le cercle rouge va vers la gauche."),),
        {"language": "fr"},
    ),
    (
        "grounded_directions",
        "ungrounded_direction",
        DE,
        (turn_of("Der rote Kreis bewegt sich nach links."),),
        {"language": "de"},
    ),
    ("grounded_directions", "ungrounded_direction", RU, (turn_of("Он движется влево."),), {"language": "ru"}),
    ("grounded_numbers", "ungrounded_number", EN, (turn_of("There are seven objects in it."),), {}),
    ("grounded_numbers", "ungrounded_number", EN, (turn_of("There are 12 objects in it."),), {}),
    ("grounded_numbers", "ungrounded_number", ZH, (turn_of("视频里一共有五个物体。"),), {"language": "zh"}),
    (
        "grounded_numbers",
        "ungrounded_number",
        ES,
        (turn_of("En total se ven siete objetos."),),
        {"language": "es"},
    ),
    ("grounded_numbers", "ungrounded_number", FR, (turn_of("On voit sept objets."),), {"language": "fr"}),
    ("grounded_numbers", "ungrounded_number", DE, (turn_of("Man sieht sieben Dinge."),), {"language": "de"}),
    (
        "grounded_numbers",
        "ungrounded_count",
        EN,
        (turn_of("Several."),),
        {"task": "counting", "details": {"count": 9}},
    ),
    (
        "grounded_order",
        "wrong_order",
        EN,
        (turn_of("First the green cross acts, and then the red circle."),),
        {},
    ),
    (
        "grounded_order",
        "wrong_order",
        ZH,
        (turn_of("首先是蓝色的方形有动作，然后是红色的圆形。"),),
        {"language": "zh"},
    ),
    (
        "grounded_order",
        "wrong_order",
        ES,
        (turn_of("Primero actúa el cuadrado azul y luego el círculo rojo."),),
        {"language": "es"},
    ),
    (
        "grounded_cause",
        "ungrounded_cause",
        EN,
        (turn_of("Because the green cross hits the blue square."),),
        {},
    ),
    ("grounded_cause", "denies_cause", EN, (turn_of("The blue square moves on its own."),), {}),
    (
        "grounded_cause",
        "denies_cause",
        ES,
        (turn_of("El cuadrado azul se mueve por su cuenta."),),
        {"language": "es"},
    ),
    ("grounded_cause", "denies_cause", ZH, (turn_of("蓝色的方形自己移动。"),), {"language": "zh"}),
    ("grounded_words", "ungrounded_name", COOK, (turn_of("The cook is called Gordon and cuts onions."),), {}),
    (
        "grounded_words",
        "ungrounded_words",
        COOK,
        (turn_of("A nervous astronaut repairs the broken antenna outside the silent space station."),),
        {"task": "short_caption"},
    ),
    ("language", "wrong_language", EN, (turn_of("El perro corre detrás de la pelota."),), {}),
    ("language", "wrong_language", EN, (turn_of("A dog.", "¿Qué se puede ver en este video?"),), {}),
    ("language", "wrong_language", ZH, (turn_of("The dog runs after the ball."),), {"language": "zh"}),
    ("language", "wrong_language", ZH, (turn_of("犬がボールを追いかけています。"),), {"language": "zh"}),
]

FINE: list[tuple[str, Any, tuple[tuple[str, str], ...], dict[str, Any]]] = [
    ("turns", EN, (turn_of("One."), turn_of("Two.", "And then?")), {}),
    ("turns", EN, (turn_of("دائرة.", "ما هذا؟"), turn_of("مربع.", "وذاك؟")), {"language": "ar"}),
    ("length", EN, (turn_of("Three."),), {"task": "counting"}),
    ("length", ZH, (turn_of("红色的圆形向右移动。"),), {"language": "zh", "task": "short_caption"}),
    ("repetition", EN, (turn_of(LONG), turn_of("To the right.", "Where to?")), {}),
    (
        "repetition",
        EN,
        (turn_of("Yes, it is."), turn_of("Yes, it is.", "Is the other one red as well?")),
        {},
    ),
    ("leakage", EN, (turn_of("The video does not show that, so I cannot say."),), {}),
    ("leakage", EN, (turn_of("She writes a text to her friend and describes the way."),), {}),
    ("leakage", card("An F1 car passes."), (turn_of("An F1 car passes the stands."),), {}),
    ("leakage", ZH, (turn_of("她在读一本书，书的标题看不清。"),), {"language": "zh"}),
    ("leakage", ES, (turn_of("Él escribe un texto largo en la pizarra."),), {"language": "es"}),
    ("leakage", DE, (turn_of("Nach dem Essen liest er eine Zeitung."),), {"language": "de"}),
    ("times", EN, (turn_of("It moves from 0.0 to 2.0 s, 3 seconds before the other one."),), {}),
    ("times", EN, (turn_of("From 0:01 to 0:09 it moves."),), {}),
    ("times", ES, (turn_of("Se mueve de 1,5 a 9,5 segundos."),), {"language": "es"}),
    ("times", ZH, (turn_of("从0.5秒到2.0秒，它向右移动。"),), {"language": "zh"}),
    ("times", EN, (turn_of("He wears the number 99 and has 20 euros."),), {}),
    (
        "times",
        EN,
        (turn_of("All.\n0.0-4.0 s: a circle moves\n4.0-9.0 s: a cross turns"),),
        {"task": "summary_with_chapters"},
    ),
    (
        "choices",
        COOK,
        (turn_of("A"),),
        {
            "task": "action_recognition",
            "choices": ("cuts two onions", "runs", "sits", "eats"),
            "right_choice": 0,
        },
    ),
    (
        "question_leak",
        EN,
        (turn_of("Because the red circle hits it.", "Why does the square move?"),),
        {"task": "causal_inference"},
    ),
    ("grounded_things", EN, (turn_of("The small red circle hits the big blue square."),), {}),
    ("grounded_things", EN, (turn_of("The circle is red. It moves to a square that is blue."),), {}),
    ("grounded_things", EN, (turn_of("The cross is green at first and turns yellow."),), {}),
    ("grounded_things", EN, (turn_of("No green circle can be seen in it."),), {}),
    ("grounded_things", EN, (turn_of("The blue square does not move before it is hit."),), {}),
    ("grounded_things", ZH, (turn_of("红色的圆形撞上了蓝色的方形。"),), {"language": "zh"}),
    ("grounded_things", ES, (turn_of("El círculo es rojo y el cuadrado es azul."),), {"language": "es"}),
    ("grounded_things", FR, (turn_of("Le cercle rouge heurte le carré bleu."),), {"language": "fr"}),
    (
        "grounded_things",
        DE,
        (turn_of("Das blaue Quadrat wird vom roten Kreis getroffen."),),
        {"language": "de"},
    ),
    ("grounded_things", EN, (turn_of("红色的圆形撞上了蓝色的方形。"),), {"language": "zh"}),
    ("grounded_things", ZH, (turn_of("The red circle hits the blue square."),), {}),
    ("grounded_things", COOK, (turn_of("A cook in a white apron cuts onions."),), {}),
    ("grounded_directions", EN, (turn_of("The red circle moves to the right."),), {}),
    ("grounded_directions", EN, (turn_of("That is right: it is a circle, and three are left."),), {}),
    ("grounded_directions", EN, (turn_of("The red circle does not move to the left."),), {}),
    ("grounded_directions", ZH, (turn_of("红色的圆形向右移动。"),), {"language": "zh"}),
    ("grounded_directions", ES, (turn_of("El círculo rojo va a la derecha."),), {"language": "es"}),
    ("grounded_directions", FR, (turn_of("Le cercle rouge va vers la droite."),), {"language": "fr"}),
    ("grounded_directions", DE, (turn_of("Der rote Kreis bewegt sich nach rechts."),), {"language": "de"}),
    ("grounded_directions", RU, (turn_of("Красный круг движется вправо."),), {"language": "ru"}),
    ("grounded_numbers", EN, (turn_of("Two objects are named in it: a circle and a square."),), {}),
    ("grounded_numbers", EN, (turn_of("It happens from 2 to 4 s, after 3 seconds."),), {}),
    (
        "grounded_numbers",
        COOK,
        (turn_of("There are two onions."),),
        {"task": "counting", "details": {"count": 2}},
    ),
    ("grounded_numbers", SHOTS, (turn_of("The video has two shots."),), {}),
    ("grounded_numbers", ZH, (turn_of("视频里一共有两个物体。"),), {"language": "zh"}),
    ("grounded_numbers", ES, (turn_of("Hay dos figuras."),), {"language": "es"}),
    ("grounded_order", EN, (turn_of("First the red circle acts, and then the green cross."),), {}),
    ("grounded_order", EN, (turn_of("After the red circle moves, the blue square is pushed."),), {}),
    ("grounded_order", ZH, (turn_of("首先是红色的圆形有动作，然后是蓝色的方形。"),), {"language": "zh"}),
    (
        "grounded_order",
        ES,
        (turn_of("Primero actúa el círculo rojo y luego el cuadrado azul."),),
        {"language": "es"},
    ),
    ("grounded_cause", EN, (turn_of("Because the red circle hits the blue square."),), {}),
    ("grounded_cause", EN, (turn_of("The green cross changes on its own."),), {}),
    (
        "grounded_cause",
        ZH,
        (turn_of("因为红色的圆形撞上了它。", "蓝色的方形为什么移动？"),),
        {"language": "zh"},
    ),
    ("grounded_cause", ES, (turn_of("Porque el círculo rojo choca con él."),), {"language": "es"}),
    (
        "grounded_words",
        COOK,
        (turn_of("A cook who wears a white apron is cutting onions in the kitchen."),),
        {},
    ),
    (
        "grounded_words",
        COOK,
        (turn_of("Das ist ein Koch in einer Küche mit Schürze und Messer."),),
        {"language": "de"},
    ),
    ("grounded_words", COOK, (turn_of("That cannot be told from the video."),), {"task": "unanswerable"}),
    ("language", ZH, (turn_of("好的。", "真的吗？"),), {"language": "zh"}),
    ("language", EN, (turn_of("Michael Jackson."),), {}),
]


@pytest.mark.parametrize(
    ("name", "reason", "evidence", "turns", "more"),
    REFUSED,
    ids=[f"{n}-{name}-{reason}" for n, (name, reason, *_) in enumerate(REFUSED)],
)
def test_it_is_refused(name: str, reason: str, evidence: Any, turns: Any, more: Any) -> None:
    refusal = ask(name, *turns, evidence=evidence, **more)
    assert refusal is not None
    assert (refusal.check, refusal.reason) == (name, reason), refusal


@pytest.mark.parametrize(
    ("name", "evidence", "turns", "more"), FINE, ids=[f"{n}-{name}" for n, (name, *_) in enumerate(FINE)]
)
def test_it_is_not_refused(name: str, evidence: Any, turns: Any, more: Any) -> None:
    assert ask(name, *turns, evidence=evidence, **more) is None


def test_every_check_has_both_kinds_of_cases() -> None:
    """A check that somebody adds is shown to refuse something, and to let something pass."""
    assert {name for name, *_ in REFUSED} == {name for name, *_ in FINE} == set(NAMES)


# ------------------------------------------------------------------------------------------- the language


def test_an_ordinary_sentence_is_in_its_language() -> None:
    told = [(tag, text) for tag, texts in SENTENCES.items() for text in texts]
    assert len(SENTENCES) >= 10
    wrong = [(tag, text, found) for tag, text in told if (found := other_language(text, tag)) is not None]
    assert len(wrong) <= 0.01 * len(told), wrong


def test_a_name_in_other_letters_does_not_change_the_language() -> None:
    told = [(tag, text) for tag, texts in WITH_NAMES.items() for text in texts]
    assert [(tag, text) for tag, text in told if other_language(text, tag) is not None] == []


def test_an_ordinary_sentence_is_in_no_other_language() -> None:
    """Where two languages are alike enough to be taken for one another, a sentence decides nothing."""
    pairs = [
        (text, wanted)
        for tag, texts in SENTENCES.items()
        for text in texts
        for wanted in SENTENCES
        if not are_close(tag, wanted)
    ]
    passed = [(text, wanted) for text, wanted in pairs if other_language(text, wanted) is None]
    assert len(passed) <= 0.01 * len(pairs), passed
