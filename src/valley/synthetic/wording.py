"""The words of the synthetic world in English, Chinese and Spanish: names, clauses and answers, as data.

Questions are worded in `phrasings`; what is asked and answered is decided in `tasks` and `claims`. Clauses
begin in small letters until `sentence` makes them one.
"""

from __future__ import annotations

import re
from functools import cache

from valley.synthetic.phrasings import NUM_TEST_PHRASINGS, PREFIX_SHARE, PREFIXES, QUESTIONS
from valley.synthetic.truth import ObjectTruth

__all__ = ["NUM_TEST_PHRASINGS", "PREFIXES", "PREFIX_SHARE", "QUESTIONS"]

_NOUNS = {
    "en": {"circle": "circle", "square": "square", "triangle": "triangle", "cross": "cross"},
    "zh": {"circle": "圆形", "square": "方形", "triangle": "三角形", "cross": "十字"},
    "es": {"circle": "círculo", "square": "cuadrado", "triangle": "triángulo", "cross": "cruz"},
}
_OBJECT = {"en": "object", "zh": "物体", "es": "objeto"}
_COLORS = {
    "en": {c: c for c in ("red", "green", "blue", "yellow", "purple", "orange")},
    "zh": {
        "red": "红色",
        "green": "绿色",
        "blue": "蓝色",
        "yellow": "黄色",
        "purple": "紫色",
        "orange": "橙色",
    },
    "es": {
        "red": "rojo",
        "green": "verde",
        "blue": "azul",
        "yellow": "amarillo",
        "purple": "morado",
        "orange": "naranja",
    },
}
_SIZES = {
    "en": {"small": "small", "big": "big"},
    "zh": {"small": "小", "big": "大"},
    "es": {"small": "pequeño", "big": "grande"},
}
_WAYS = {
    "en": {
        "right": "to the right",
        "left": "to the left",
        "up": "up",
        "down": "down",
        "up_right": "up and to the right",
        "up_left": "up and to the left",
        "down_right": "down and to the right",
        "down_left": "down and to the left",
    },
    "zh": {
        "right": "向右",
        "left": "向左",
        "up": "向上",
        "down": "向下",
        "up_right": "向右上",
        "up_left": "向左上",
        "down_right": "向右下",
        "down_left": "向左下",
    },
    "es": {
        "right": "hacia la derecha",
        "left": "hacia la izquierda",
        "up": "hacia arriba",
        "down": "hacia abajo",
        "up_right": "hacia arriba a la derecha",
        "up_left": "hacia arriba a la izquierda",
        "down_right": "hacia abajo a la derecha",
        "down_left": "hacia abajo a la izquierda",
    },
}
_EVENTS = {
    "en": {
        "still": "stands still",
        "moves": "moves {way}",
        "enters": "comes in, moving {way}",
        "leaves": "moves {way} and leaves",
        "stops": "moves {way} and stops",
        "grows": "grows",
        "shrinks": "shrinks",
        "recolors": "turns {color}",
        "appears": "appears",
        "disappears": "disappears",
        "hits": "hits {partner}",
        "pushed": "is pushed {way} by {partner}",
        "bounces": "moves {way} and bounces back",
        "spins": "spins",
    },
    "zh": {
        "still": "静止不动",
        "moves": "{way}移动",
        "enters": "{way}移入画面",
        "leaves": "{way}移出画面",
        "stops": "{way}移动后停下",
        "grows": "变大了",
        "shrinks": "变小了",
        "recolors": "变成了{color}",
        "appears": "出现了",
        "disappears": "消失了",
        "hits": "撞上了{partner}",
        "pushed": "被{partner}撞得{way}移动",
        "bounces": "{way}移动后弹回",
        "spins": "在旋转",
    },
    "es": {
        "still": "no se mueve",
        "moves": "se mueve {way}",
        "enters": "entra moviéndose {way}",
        "leaves": "se mueve {way} y sale",
        "stops": "se mueve {way} y se detiene",
        "grows": "crece",
        "shrinks": "se encoge",
        "recolors": "se vuelve {color}",
        "appears": "aparece",
        "disappears": "desaparece",
        "hits": "choca con {partner}",
        "pushed": "es empujad{o} {way} por {partner}",
        "bounces": "se mueve {way} y rebota",
        "spins": "gira",
    },
}
_COLLISION = {
    "en": "hits {partner}, which moves {way}",
    "zh": "撞上了{partner}，使它{way}移动",
    "es": "choca con {partner}, que se mueve {way}",
}

_ASKED = {
    "en": {
        "still": ("stand still", "stands still"),
        "moves": ("move", "moves"),
        "enters": ("come in", "comes in"),
        "leaves": ("leave", "leaves"),
        "stops": ("stop", "stops"),
        "grows": ("grow", "grows"),
        "shrinks": ("shrink", "shrinks"),
        "recolors": ("turn {color}", "turns {color}"),
        "appears": ("appear", "appears"),
        "disappears": ("disappear", "disappears"),
        "hits": ("hit {partner}", "hits {partner}"),
        "pushed": ("get pushed by {partner}", "gets pushed by {partner}"),
        "bounces": ("bounce back", "bounces back"),
        "spins": ("spin", "spins"),
        "starts_to_move": ("start to move", "starts to move"),
        "starts_to_grow": ("start to grow", "starts to grow"),
        "starts_to_shrink": ("start to shrink", "starts to shrink"),
        "starts_to_spin": ("start to spin", "starts to spin"),
    },
    "zh": {
        "still": ("静止不动", "静止不动"),
        "moves": ("移动", "移动了"),
        "enters": ("移入画面", "移入画面了"),
        "leaves": ("移出画面", "移出画面了"),
        "stops": ("停下", "停下了"),
        "grows": ("变大", "变大了"),
        "shrinks": ("变小", "变小了"),
        "recolors": ("变成{color}", "变成{color}了"),
        "appears": ("出现", "出现了"),
        "disappears": ("消失", "消失了"),
        "hits": ("撞上{partner}", "撞上{partner}了"),
        "pushed": ("被{partner}撞动", "被{partner}撞动了"),
        "bounces": ("弹回", "弹回了"),
        "spins": ("旋转", "旋转了"),
        "starts_to_move": ("开始移动", "开始移动了"),
        "starts_to_grow": ("开始变大", "开始变大了"),
        "starts_to_shrink": ("开始变小", "开始变小了"),
        "starts_to_spin": ("开始旋转", "开始旋转了"),
    },
    "es": {  # always the third person: "do" and "does" are the same
        "still": ("se queda quiet{o}",) * 2,
        "moves": ("se mueve",) * 2,
        "enters": ("entra",) * 2,
        "leaves": ("sale",) * 2,
        "stops": ("se detiene",) * 2,
        "grows": ("crece",) * 2,
        "shrinks": ("se encoge",) * 2,
        "recolors": ("se vuelve {color}",) * 2,
        "appears": ("aparece",) * 2,
        "disappears": ("desaparece",) * 2,
        "hits": ("choca con {partner}",) * 2,
        "pushed": ("es empujad{o} por {partner}",) * 2,
        "bounces": ("rebota",) * 2,
        "spins": ("gira",) * 2,
        "starts_to_move": ("empieza a moverse",) * 2,
        "starts_to_grow": ("empieza a crecer",) * 2,
        "starts_to_shrink": ("empieza a encogerse",) * 2,
        "starts_to_spin": ("empieza a girar",) * 2,
    },
}
"""What a question may ask whether or when an object does it: (bare form, third person or completed form)."""

_NUMBERS = {
    "en": ("no", "one", "two", "three", "four"),
    "zh": ("零", "一", "两", "三", "四"),
    "es": ("ningún", "un", "dos", "tres", "cuatro"),
}
MAX_COUNT = 4
"""Nothing is counted beyond this."""

_SHOTS = {
    "en": ("the first shot", "the second shot", "the third shot", "the fourth shot"),
    "zh": ("第一个镜头", "第二个镜头", "第三个镜头", "第四个镜头"),
    "es": ("la primera toma", "la segunda toma", "la tercera toma", "la cuarta toma"),
}
VERDICTS = {
    "en": {True: "Yes.", False: "No."},
    "zh": {True: "是的。", False: "不是。"},
    "es": {True: "Sí.", False: "No."},
}
"""The last sentence of an answer to a yes/no question; the fact stands before it."""

_TIMES = {"en": "At {} s.", "zh": "在{}秒。", "es": "A los {} s."}
_BEGINS = {
    "en": "{one} acts at {one_s} s, {other} at {other_s} s.",
    "zh": "{one}在{one_s}秒，{other}在{other_s}秒。",
    "es": "{one} actúa a los {one_s} s, {other} a los {other_s} s.",
}
_FIRST = {"en": "First {}.", "zh": "先是{}。", "es": "Primero {}."}
_BY_ITSELF = {
    "en": "It starts to move on its own.",
    "zh": "它自己开始移动。",
    "es": "Empieza a moverse por su cuenta.",
}

SHOT_HEADING = {"en": "Shot {}: ", "zh": "镜头{}：", "es": "Toma {}: "}
SHOWS = {
    "clip": {"en": "the clip shows {}", "zh": "视频里有{}", "es": "el clip muestra {}"},
    "picture": {"en": "the picture shows {}", "zh": "图里有{}", "es": "la imagen muestra {}"},
    "shot": {"en": "shot {number} shows {}", "zh": "镜头{number}里有{}", "es": "la toma {number} muestra {}"},
}
CLAUSE_JOINT = {"en": "; ", "zh": "；", "es": "; "}
LIST_JOINT = {"en": ", ", "zh": "、", "es": ", "}
LAST_JOINT = {"en": " and ", "zh": "和", "es": " y "}
SPACE = {"en": " ", "zh": "", "es": " "}

ANSWER_IN = {"en": "Answer in English.", "zh": "请用中文回答。", "es": "Responde en español."}
"""The system turn that asks for a language, as the chat template writes it for `answer_language`."""

INTRODUCTION = {
    "en": "I am Valley-mini, a small model that knows simple synthetic clips.",
    "zh": "我是 Valley-mini，一个只懂简单合成视频的小模型。",
    "es": "Soy Valley-mini, un modelo pequeño que conoce clips sintéticos sencillos.",
}
REFUSAL = {
    "en": "I only know simple synthetic clips.",
    "zh": "我只懂简单的合成视频。",
    "es": "Solo conozco clips sintéticos sencillos.",
}
"""The answer to any question about footage that is not of this world."""

THE_OBJECT = {"en": "the object", "zh": "物体", "es": "el objeto"}


def phrasings(task: str, language: str, *, unseen: bool) -> tuple[str, ...]:
    """Give the training phrasings of a task, or those that training never sees."""
    every = QUESTIONS[task][language]
    return every[-NUM_TEST_PHRASINGS:] if unseen else every[:-NUM_TEST_PHRASINGS]


def contract(text: str, language: str) -> str:
    """Join Spanish "de el" and "a el" as the language wants it."""
    return text.replace(" de el ", " del ").replace(" a el ", " al ") if language == "es" else text


def sentence(text: str, language: str) -> str:
    """Begin with a capital and end with a full stop."""
    return text + "。" if language == "zh" else capital(text) + "."


def capital(text: str) -> str:
    """Begin with a capital letter, behind a Spanish opening mark too."""
    at = 1 if text[0] in "¿¡" else 0
    return text[:at] + text[at].upper() + text[at + 1 :]


def small(text: str) -> str:
    """Begin with a small letter, behind a Spanish opening mark too."""
    at = 1 if text[0] in "¿¡" else 0
    return text[:at] + text[at].lower() + text[at + 1 :]


def name_of(item: ObjectTruth, language: str, *, article: str = "the", with_size: bool = False) -> str:
    """Name an object, such as "the red circle"; `article` is "the", "a" or "none"."""
    return name(item.color, item.shape, language, article, item.size if with_size else None)


@cache
def name(
    color: str | None, shape: str | None, language: str, article: str = "the", size: str | None = None
) -> str:
    """Name an object by what is given of it: "the red circle", "a small red circle", "the red object".

    Args:
        color: a name of `COLORS`; None leaves the colour unsaid.
        shape: one of `SHAPES`; None says "object".
        language: "en", "zh" or "es".
        article: "the", "a", "no" ("no red circle") or "none". Chinese knows only "a".
        size: "small", "big" or None.
    """
    noun = _NOUNS[language][shape] if shape else _OBJECT[language]
    color_word = _COLORS[language][color] if color else ""
    size_word = _SIZES[language][size] if size else ""
    if language == "zh":
        return f"{'一个' if article == 'a' else ''}{color_word + '的' if color else ''}{size_word}{noun}"
    if language == "es":
        feminine = shape == "cross"
        masculines = {"the": "el", "a": "un", "no": "ningún", "none": ""}
        feminines = {"the": "la", "a": "una", "no": "ninguna", "none": ""}
        first = (feminines if feminine else masculines)[article]
        words = [first, noun, _gender(color_word, feminine=feminine), _gender(size_word, feminine=feminine)]
    else:
        words = [size_word, color_word, noun]
        vowel = next(w for w in words if w)[0] in "aeiou"
        words.insert(0, {"the": "the", "a": "an" if vowel else "a", "no": "no", "none": ""}[article])
    return " ".join(w for w in words if w)


def is_feminine(named: str) -> bool:
    """Tell whether a Spanish adjective about what is so named ("la cruz roja") is feminine."""
    return named.startswith(("la ", "una "))


def _gender(word: str, *, feminine: bool) -> str:
    """Make a Spanish adjective agree with its noun."""
    return word[:-1] + "a" if feminine and word.endswith("o") else word


def event_phrase(item: ObjectTruth, language: str, *, feminine: bool) -> str:
    """Say what an object does: "moves to the right"; `feminine` is the gender of its Spanish name."""
    return phrase(item.event, item.direction, item.to_color, item.partner, language, feminine=feminine)


@cache
def phrase(
    event: str,
    direction: str | None,
    to_color: str | None,
    partner: tuple[str, str] | None,
    language: str,
    *,
    feminine: bool,
) -> str:
    """Say an event; `partner` is the (colour, shape) of the other one in a collision."""
    return _EVENTS[language][event].format(
        way=_WAYS[language][direction] if direction else "",
        color=_color_word(to_color, language, feminine=feminine),
        partner=name(*partner, language) if partner else "",
        o="a" if feminine else "o",
    )


def _color_word(color: str | None, language: str, *, feminine: bool) -> str:
    if color is None:
        return ""
    word = _COLORS[language][color]
    return _gender(word, feminine=feminine) if language == "es" else word


@cache
def collision_phrase(partner: str, direction: str, language: str) -> str:
    """Say a collision whole: "hits a big blue square, which moves to the right"."""
    return _COLLISION[language].format(partner=partner, way=_WAYS[language][direction])


@cache
def asked_phrase(
    kind: str, to_color: str | None, partner: tuple[str, str] | None, language: str, *, feminine: bool
) -> tuple[str, str]:
    """Give the two forms in which a question names what an object may do: ("grow", "grows").

    Args:
        kind: an event or "starts_to_move", "starts_to_grow", "starts_to_shrink", "starts_to_spin".
        to_color: for "recolors".
        partner: (colour, shape) for "hits" and "pushed".
        language: "en", "zh" or "es".
        feminine: the gender of the object's Spanish name.
    """
    color = _color_word(to_color, language, feminine=feminine)
    other = name(*partner, language) if partner else ""
    bare, third = _ASKED[language][kind]
    o = "a" if feminine else "o"
    return bare.format(color=color, partner=other, o=o), third.format(color=color, partner=other, o=o)


def color_answer(color: str, language: str) -> str:
    """Answer which colour."""
    word = _COLORS[language][color]
    return {"en": f"It is {word}.", "zh": f"它是{word}的。", "es": f"Es de color {word}."}[language]


def shape_answer(shape: str, language: str) -> str:
    """Answer which shape."""
    said = _shape_said(shape, language)
    return {"en": f"It is {said}.", "zh": f"它是{said}。", "es": f"Es {said}."}[language]


def _shape_said(shape: str, language: str) -> str:
    return name(None, shape, language, "none" if language == "zh" else "a")


def size_answer(size: str, language: str) -> str:
    """Answer which size."""
    word = _SIZES[language][size]
    return {"en": f"It is {word}.", "zh": f"它是{word}的。", "es": f"Es de tamaño {word}."}[language]


def direction_answer(direction: str, language: str) -> str:
    """Answer which way."""
    way = _WAYS[language][direction]
    return {"en": f"It moves {way}.", "zh": f"它{way}移动。", "es": f"Se mueve {way}."}[language]


def action_answer(item: ObjectTruth, language: str, *, feminine: bool) -> str:
    """Answer what an object does; `feminine` is the gender of the Spanish name it was asked by."""
    said = event_phrase(item, language, feminine=feminine)
    if language == "en":
        return f"It {said}."
    return f"它{said}。" if language == "zh" else capital(said) + "."


def count_answer(count: int, language: str) -> str:
    """Answer how many objects."""
    number, s = _NUMBERS[language][count], "" if count == 1 else "s"
    is_are = "is" if count == 1 else "are"
    return {
        "en": f"There {is_are} {number} object{s}.",
        "zh": f"有{'一' if count == 1 else number}个物体。",
        "es": f"Hay {number} objeto{s}.",
    }[language]


def shots_answer(count: int, language: str) -> str:
    """Answer how many shots."""
    number, s = _NUMBERS[language][count], "" if count == 1 else "s"
    if language == "es" and count == 1:
        number = "una"
    return {
        "en": f"The clip has {number} shot{s}.",
        "zh": f"视频有{number}个镜头。",
        "es": f"El clip tiene {number} toma{s}.",
    }[language]


def shot_name(number: int, language: str) -> str:
    """Name shot `number` (from 0): "the first shot"."""
    return _SHOTS[language][number]


def exist_fact(color: str, shape: str | None, language: str) -> str:
    """Say which shape the object of a colour has, or (None) that nothing has that colour."""
    if shape is None:
        word = _COLORS[language][color]
        nothing = {"en": f"Nothing is {word}.", "zh": f"没有{word}的物体。", "es": f"Nada es {word}."}
        return nothing[language]
    it, said = name(color, None, language), _shape_said(shape, language)
    return sentence(
        {"en": f"{it} is {said}", "zh": f"{it}是{said}", "es": f"{it} es {said}"}[language], language
    )


def with_verdict(fact: str, language: str, *, verdict: bool) -> str:
    """Put the verdict behind the fact it follows from: "It shrinks. No."."""
    return f"{fact}{SPACE[language]}{VERDICTS[language][verdict]}"


def verdict_of(text: str, language: str) -> bool | None:
    """Read the verdict at the end of an answer; None if there is none."""
    said = text.strip().casefold()
    for verdict, word in VERDICTS[language].items():
        bare = word[:-1].casefold()
        if re.search(rf"(?:^|[\s.。！!,，]){bare}[.。]?$", said):
            return verdict
    return None


def order_answer(first: ObjectTruth, begins: list[tuple[ObjectTruth, float]], language: str) -> str:
    """Say when each of two begins, in seconds, and then what follows from it.

    "The red circle acts at 1.0 s, the blue star at 2.5 s. First the red circle grows."
    """
    (one, one_s), (other, other_s) = ((name(o.color, o.shape, language), f"{s:.1f}") for o, s in begins)
    fact = _BEGINS[language].format(one=one, one_s=one_s, other=other, other_s=other_s)
    it = name(first.color, first.shape, language)
    said = f"{it}{SPACE[language]}{event_phrase(first, language, feminine=is_feminine(it))}"
    return capital(fact) + SPACE[language] + _FIRST[language].format(said)


def first_of(text: str, language: str) -> str | None:
    """Read what an answer says comes first, its last sentence; None if it says nothing of the kind."""
    before = _FIRST[language].partition("{}")[0]
    found = re.search(rf"(?:^|[\s.。])({re.escape(before)}[^.。]+)[.。]?$", text.strip(), re.IGNORECASE)
    return found[1].casefold() if found else None


def time_answer(at_s: float, language: str) -> str:
    """Answer when, to a tenth of a second."""
    return _TIMES[language].format(f"{at_s:.1f}")


def time_of(text: str, language: str) -> float | None:
    """Read the time (seconds) of an answer that says nothing else; None if it says something else."""
    before, after = (re.escape(part) for part in _TIMES[language].split("{}"))
    said = re.fullmatch(
        rf"{before}(\d{{1,4}}(?:\.\d{{1,3}})?){after}", text.strip(), re.IGNORECASE | re.ASCII
    )
    return float(said[1]) if said else None


def cause_answer(partner: tuple[str, str] | None, language: str, *, feminine: bool) -> str:
    """Answer why an object moves: the (colour, shape) that hits it, or None if nothing does."""
    if partner is None:
        return _BY_ITSELF[language]
    other = name(*partner, language)
    return {
        "en": f"Because {other} hits it.",
        "zh": f"因为{other}撞上了它。",
        "es": f"Porque {other} choca con {'ella' if feminine else 'él'}.",
    }[language]


def absent_answer(color: str | None, shape: str | None, language: str) -> str:
    """Say that what was asked about is not there: "There is no green circle."."""
    missing = name(color, shape, language, "no")
    return {"en": f"There is {missing}.", "zh": f"没有{missing}。", "es": f"No hay {missing}."}[language]


def listed(names: list[str], language: str) -> str:
    """Join names: "a red circle, a blue square and a green cross"."""
    *most, last = names
    return LIST_JOINT[language].join(most) + LAST_JOINT[language] + last if most else last
