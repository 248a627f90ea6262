"""The words of the synthetic world in English, Chinese and Spanish: names, questions and answers, as data.

Every list of questions ends with `NUM_TEST_PHRASINGS` phrasings that training never uses. `{it}` stands for
the object asked about ("the red circle"), `{a}` for the same with an indefinite article.
"""

from __future__ import annotations

from valley.synthetic.truth import ObjectTruth

NUM_TEST_PHRASINGS = 2

_NOUNS = {
    "en": {"circle": "circle", "square": "square", "triangle": "triangle", "cross": "cross"},
    "zh": {"circle": "圆形", "square": "方形", "triangle": "三角形", "cross": "十字"},
    "es": {"circle": "círculo", "square": "cuadrado", "triangle": "triángulo", "cross": "cruz"},
}
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
_DIRECTIONS = {
    "en": {"right": "to the right", "left": "to the left", "up": "up", "down": "down"},
    "zh": {"right": "向右", "left": "向左", "up": "向上", "down": "向下"},
    "es": {
        "right": "hacia la derecha",
        "left": "hacia la izquierda",
        "up": "hacia arriba",
        "down": "hacia abajo",
    },
}
_EVENTS = {
    "en": {
        "still": "stands still",
        "moves": "moves {way}",
        "leaves": "leaves {way}",
        "appears": "appears",
    },
    "zh": {"still": "静止不动", "moves": "{way}移动", "leaves": "{way}离开", "appears": "出现了"},
    "es": {
        "still": "no se mueve",
        "moves": "se mueve {way}",
        "leaves": "sale {way}",
        "appears": "aparece",
    },
}
_COUNTS = {
    "en": {1: "There is one object.", 2: "There are two objects."},
    "zh": {1: "有一个物体。", 2: "有两个物体。"},
    "es": {1: "Hay un objeto.", 2: "Hay dos objetos."},
}

_PLACES = {
    "en": (
        ("at the top left", "at the top", "at the top right"),
        ("at the left", "in the middle", "at the right"),
        ("at the bottom left", "at the bottom", "at the bottom right"),
    ),
    "zh": (
        ("在左上方", "在上方", "在右上方"),
        ("在左边", "在中间", "在右边"),
        ("在左下方", "在下方", "在右下方"),
    ),
    "es": (
        ("arriba a la izquierda", "arriba", "arriba a la derecha"),
        ("a la izquierda", "en el centro", "a la derecha"),
        ("abajo a la izquierda", "abajo", "abajo a la derecha"),
    ),
}

ANSWER_IN = {"en": "Answer in English.", "zh": "请用中文回答。", "es": "Responde en español."}
"""The system turn that asks for a language, as the chat template writes it for `answer_language`."""

INTRODUCTION = {
    "en": "I am Valley-mini, a small model that knows simple synthetic clips.",
    "zh": "我是 Valley-mini，一个只懂简单合成视频的小模型。",
    "es": "Soy Valley-mini, un modelo pequeño que conoce clips sintéticos sencillos.",
}


def _spanish(word: str, shape: str) -> str:
    """Make a Spanish adjective agree with its noun: only the cross is feminine."""
    return word[:-1] + "a" if shape == "cross" and word.endswith("o") else word


def contract(text: str, language: str) -> str:
    """Join Spanish "de el" and "a el" as the language wants it."""
    return text.replace(" de el ", " del ").replace(" a el ", " al ") if language == "es" else text


def name_of(item: ObjectTruth, language: str, *, article: str = "the", with_size: bool = False) -> str:
    """Name an object, such as "the red circle"; `article` is "the", "a" or "none"."""
    noun, color = _NOUNS[language][item.shape], _COLORS[language][item.color]
    size = _SIZES[language][item.size] if with_size else ""
    if language == "zh":
        one = "一个" if article == "a" else ""
        return f"{one}{size + '的' if size else ''}{color}的{noun}"
    if language == "es":
        words = [noun, _spanish(size, item.shape), _spanish(color, item.shape)]
        feminine = item.shape == "cross"
        articles = {"the": "la" if feminine else "el", "a": "una" if feminine else "un", "none": ""}
        return " ".join(w for w in [articles[article], *words] if w)
    first = size or color
    articles = {"the": "the", "a": "an" if first[0] in "aeiou" else "a", "none": ""}
    return " ".join(w for w in [articles[article], size, color, noun] if w)


def shape_name(shape: str, language: str, *, article: bool) -> str:
    """Name a shape alone: "a circle", "圆形", "un círculo"."""
    noun = _NOUNS[language][shape]
    if not article or language == "zh":
        return noun
    if language == "es":
        return f"{'una' if shape == 'cross' else 'un'} {noun}"
    return f"a {noun}"


def the_shape(shape: str, language: str) -> str:
    """Point at an object by its shape: "the circle", "圆形", "el círculo"."""
    noun = _NOUNS[language][shape]
    articles = {"en": "the ", "zh": "", "es": "la " if shape == "cross" else "el "}
    return articles[language] + noun


def the_color(color: str, language: str) -> str:
    """Point at an object by its colour: "the red object", "红色的物体", "el objeto rojo"."""
    word = _COLORS[language][color]
    return {"en": f"the {word} object", "zh": f"{word}的物体", "es": f"el objeto {word}"}[language]


THE_OBJECT = {"en": "the object", "zh": "物体", "es": "el objeto"}


def event_phrase(item: ObjectTruth, language: str) -> str:
    """Say what an object does: "moves to the right"."""
    way = _DIRECTIONS[language][item.direction] if item.direction else ""
    return _EVENTS[language][item.event].format(way=way)


def sentence(text: str, language: str) -> str:
    """Begin with a capital and end with a full stop."""
    return text + "。" if language == "zh" else text[0].upper() + text[1:] + "."


def color_answer(color: str, language: str) -> str:
    """Answer which colour."""
    word = _COLORS[language][color]
    return {"en": f"It is {word}.", "zh": f"它是{word}的。", "es": f"Es de color {word}."}[language]


def shape_answer(shape: str, language: str) -> str:
    """Answer which shape."""
    name = shape_name(shape, language, article=True)
    return {"en": f"It is {name}.", "zh": f"它是{name}。", "es": f"Es {name}."}[language]


def size_answer(size: str, language: str) -> str:
    """Answer which size."""
    word = _SIZES[language][size]
    return {"en": f"It is {word}.", "zh": f"它是{word}的。", "es": f"Es de tamaño {word}."}[language]


def place_answer(place: tuple[int, int], language: str) -> str:
    """Answer where an object stands; `place` is (column, row) of thirds."""
    column, row = place
    where = _PLACES[language][row][column]
    return {"en": f"It is {where}.", "zh": f"它{where}。", "es": f"Está {where}."}[language]


def direction_answer(direction: str, language: str) -> str:
    """Answer which way."""
    way = _DIRECTIONS[language][direction]
    return {"en": f"It moves {way}.", "zh": f"它{way}移动。", "es": f"Se mueve {way}."}[language]


def event_answer(item: ObjectTruth, language: str) -> str:
    """Answer what an object does."""
    phrase = event_phrase(item, language)
    return {"en": f"It {phrase}.", "zh": f"它{phrase}。", "es": sentence(phrase, "es")}[language]


def count_answer(count: int, language: str) -> str:
    """Answer how many."""
    return _COUNTS[language][count]


def presence_answer(item: ObjectTruth, language: str, *, present: bool) -> str:
    """Answer whether such an object is there."""
    name = name_of(item, language, article="a" if present else "none")
    if language == "en":
        return f"Yes, there is {name}." if present else f"No, there is no {name}."
    if language == "es":
        none = "ninguna" if item.shape == "cross" else "ningún"
        return f"Sí, hay {name}." if present else f"No, no hay {none} {name}."
    return f"是的，有{name}。" if present else f"不，没有{name}。"


QUESTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "color": {
        "en": (
            "What colour is {it}?",
            "What color is {it}?",
            "Which colour does {it} have?",
            "Tell me the colour of {it}.",
            "What is the color of {it}?",
            "Name the colour of {it}.",
            "{it}: which colour?",
            "Can you say which colour {it} has?",
            "Which color is {it}?",
            "Please name the color of {it}.",
        ),
        "zh": (
            "{it}是什么颜色？",
            "{it}是什么颜色的？",
            "{it}的颜色是什么？",
            "请说出{it}的颜色。",
            "告诉我{it}的颜色。",
            "{it}有什么颜色？",
            "{it}是哪种颜色？",
            "你看到{it}是什么颜色？",
            "请问{it}是什么颜色？",
            "{it}的颜色是哪一种？",
        ),
        "es": (
            "¿De qué color es {it}?",
            "¿Qué color tiene {it}?",
            "¿Cuál es el color de {it}?",
            "Dime el color de {it}.",
            "Di de qué color es {it}.",
            "Nombra el color de {it}.",
            "¿Puedes decir el color de {it}?",
            "{it}: ¿qué color?",
            "Dime de qué color es {it}.",
            "¿Me dices el color de {it}?",
        ),
    },
    "shape": {
        "en": (
            "What shape is {it}?",
            "Which shape does {it} have?",
            "What is the shape of {it}?",
            "Tell me the shape of {it}.",
            "Name the shape of {it}.",
            "What kind of shape is {it}?",
            "{it}: which shape?",
            "Can you say which shape {it} has?",
            "Which shape is {it}?",
            "Please name the shape of {it}.",
        ),
        "zh": (
            "{it}是什么形状？",
            "{it}是什么形状的？",
            "{it}的形状是什么？",
            "请说出{it}的形状。",
            "告诉我{it}的形状。",
            "{it}有什么形状？",
            "{it}是哪种形状？",
            "你看到{it}是什么形状？",
            "请问{it}是什么形状？",
            "{it}的形状是哪一种？",
        ),
        "es": (
            "¿Qué forma tiene {it}?",
            "¿De qué forma es {it}?",
            "¿Cuál es la forma de {it}?",
            "Dime la forma de {it}.",
            "Di qué forma tiene {it}.",
            "Nombra la forma de {it}.",
            "¿Puedes decir la forma de {it}?",
            "{it}: ¿qué forma?",
            "Dime qué forma tiene {it}.",
            "¿Me dices la forma de {it}?",
        ),
    },
    "size": {
        "en": (
            "How big is {it}?",
            "Is {it} big or small?",
            "What size is {it}?",
            "Is {it} small or big?",
            "Tell me the size of {it}.",
            "Which size does {it} have?",
            "What is the size of {it}?",
            "{it}: big or small?",
            "Which size is {it}?",
            "Please name the size of {it}.",
        ),
        "zh": (
            "{it}有多大？",
            "{it}是大还是小？",
            "{it}的大小是什么？",
            "{it}是小还是大？",
            "请说出{it}的大小。",
            "告诉我{it}的大小。",
            "{it}是大的还是小的？",
            "{it}大不大？",
            "请问{it}是大还是小？",
            "{it}是小的还是大的？",
        ),
        "es": (
            "¿De qué tamaño es {it}?",
            "¿Qué tamaño tiene {it}?",
            "¿Cuál es el tamaño de {it}?",
            "¿Es de tamaño grande o pequeño {it}?",
            "Dime el tamaño de {it}.",
            "Di qué tamaño tiene {it}.",
            "Nombra el tamaño de {it}.",
            "{it}: ¿tamaño grande o pequeño?",
            "Dime qué tamaño tiene {it}.",
            "¿Me dices el tamaño de {it}?",
        ),
    },
    "direction": {
        "en": (
            "Which way does {it} move?",
            "In which direction does {it} move?",
            "Where does {it} move?",
            "Where does {it} go?",
            "Which way does {it} go?",
            "What is the direction of {it}?",
            "Tell me which way {it} moves.",
            "{it}: which direction?",
            "Which way is {it} moving?",
            "What direction does {it} move in?",
            "In which direction does {it} go?",
            "Tell me the direction of {it}.",
        ),
        "zh": (
            "{it}向哪个方向移动？",
            "{it}往哪个方向移动？",
            "{it}向哪里移动？",
            "{it}往哪里去？",
            "{it}的移动方向是什么？",
            "请说出{it}的移动方向。",
            "告诉我{it}向哪里移动。",
            "{it}朝哪个方向移动？",
            "请问{it}向哪个方向移动？",
            "{it}往哪里移动？",
        ),
        "es": (
            "¿Hacia dónde se mueve {it}?",
            "¿En qué dirección se mueve {it}?",
            "¿A dónde va {it}?",
            "¿Hacia dónde va {it}?",
            "Dime hacia dónde se mueve {it}.",
            "¿Cuál es la dirección de {it}?",
            "Di en qué dirección se mueve {it}.",
            "{it}: ¿qué dirección?",
            "¿En qué dirección va {it}?",
            "Dime en qué dirección se mueve {it}.",
        ),
    },
    "event": {
        "en": (
            "What does {it} do?",
            "What happens to {it}?",
            "What is {it} doing?",
            "Tell me what {it} does.",
            "What happens with {it}?",
            "Say what happens to {it}.",
            "{it}: what does it do?",
            "Can you say what {it} does?",
            "Tell me what happens to {it}.",
            "What do you see {it} do?",
        ),
        "zh": (
            "{it}做了什么？",
            "{it}发生了什么？",
            "{it}在做什么？",
            "告诉我{it}做了什么。",
            "{it}怎么了？",
            "请说出{it}做了什么。",
            "请说出{it}发生了什么。",
            "你看到{it}做了什么？",
            "请问{it}做了什么？",
            "告诉我{it}发生了什么。",
        ),
        "es": (
            "¿Qué hace {it}?",
            "¿Qué pasa con {it}?",
            "¿Qué le pasa a {it}?",
            "Dime qué hace {it}.",
            "Di qué pasa con {it}.",
            "¿Qué ocurre con {it}?",
            "{it}: ¿qué hace?",
            "¿Puedes decir qué hace {it}?",
            "Dime qué pasa con {it}.",
            "Di qué hace {it}.",
        ),
    },
    "count": {
        "en": (
            "How many objects are there?",
            "How many objects do you see?",
            "Count the objects.",
            "How many shapes are there?",
            "What is the number of objects?",
            "How many objects are in it?",
            "Tell me how many objects there are.",
            "How many things do you see?",
            "How many shapes do you see?",
            "Please count the objects.",
        ),
        "zh": (
            "有多少个物体？",
            "有几个物体？",
            "你看到几个物体？",
            "请数一数物体。",
            "一共有多少个物体？",
            "物体的数量是多少？",
            "里面有几个物体？",
            "告诉我有几个物体。",
            "一共有几个物体？",
            "你看到多少个物体？",
        ),
        "es": (
            "¿Cuántos objetos hay?",
            "¿Cuántos objetos ves?",
            "Cuenta los objetos.",
            "¿Cuántas formas hay?",
            "Dime cuántos objetos hay.",
            "¿Cuál es el número de objetos?",
            "¿Cuántas cosas ves?",
            "Di cuántos objetos hay.",
            "¿Cuántas formas ves?",
            "Dime cuántos objetos ves.",
        ),
    },
    "presence": {
        "en": (
            "Is there {a}?",
            "Do you see {a}?",
            "Can you see {a}?",
            "Is there {a} in it?",
            "Tell me if there is {a}.",
            "Does it show {a}?",
            "Is {a} there?",
            "Have you seen {a}?",
            "Do you see {a} in it?",
            "Tell me if you see {a}.",
        ),
        "zh": (
            "有{a}吗？",
            "你看到{a}吗？",
            "里面有{a}吗？",
            "有没有{a}？",
            "能看到{a}吗？",
            "是不是有{a}？",
            "告诉我有没有{a}。",
            "你能看到{a}吗？",
            "里面有没有{a}？",
            "请问有{a}吗？",
        ),
        "es": (
            "¿Hay {a}?",
            "¿Ves {a}?",
            "¿Se ve {a}?",
            "¿Puedes ver {a}?",
            "Dime si hay {a}.",
            "¿Aparece {a}?",
            "Di si hay {a}.",
            "¿Hay {a} ahí?",
            "Dime si ves {a}.",
            "¿Ves {a} ahí?",
        ),
    },
    "caption": {
        "en": (
            "Describe it.",
            "What do you see?",
            "What happens?",
            "Describe what you see.",
            "Describe this briefly.",
            "Write a caption.",
            "Tell me what happens.",
            "What is shown?",
            "Say what you see.",
            "Tell me what you see.",
            "Describe what happens.",
        ),
        "zh": (
            "描述一下。",
            "你看到了什么？",
            "发生了什么？",
            "请描述你看到的。",
            "简单描述一下。",
            "写一句说明。",
            "告诉我发生了什么。",
            "里面有什么？",
            "请描述发生了什么。",
            "告诉我你看到了什么。",
        ),
        "es": (
            "Descríbelo.",
            "¿Qué ves?",
            "¿Qué pasa?",
            "Describe lo que ves.",
            "Descríbelo brevemente.",
            "Escribe una leyenda.",
            "Dime qué pasa.",
            "¿Qué se ve?",
            "Dime qué ves.",
            "Describe lo que pasa.",
        ),
    },
    "place": {
        "en": (
            "Where is {it}?",
            "Where do you see {it}?",
            "Tell me where {it} is.",
            "In which place is {it}?",
            "Where can I find {it}?",
            "Say where {it} is.",
            "Tell me where you see {it}.",
            "Please say where {it} is.",
        ),
        "zh": (
            "{it}在哪里？",
            "{it}在什么位置？",
            "告诉我{it}在哪里。",
            "你看到{it}在哪里？",
            "请说出{it}在哪里。",
            "{it}的位置在哪里？",
            "请问{it}在哪里？",
            "告诉我{it}的位置。",
        ),
        "es": (
            "¿Dónde está {it}?",
            "¿Dónde ves {it}?",
            "Dime dónde está {it}.",
            "¿En qué lugar está {it}?",
            "Di dónde está {it}.",
            "¿Dónde se ve {it}?",
            "Dime dónde ves {it}.",
            "Di dónde se ve {it}.",
        ),
    },
    "start_place": {
        "en": (
            "Where is {it} at the start?",
            "At the start, where is {it}?",
            "Where is {it} in the first frame?",
            "Where is {it} first?",
            "Tell me where {it} is at the start.",
            "Where does {it} start?",
            "Where is {it} at the beginning?",
            "Say where {it} is at the start.",
            "In the first frame, where is {it}?",
            "Tell me where {it} starts.",
        ),
        "zh": (
            "开始时{it}在哪里？",
            "{it}开始时在哪里？",
            "第一帧里{it}在哪里？",
            "一开始{it}在哪里？",
            "告诉我开始时{it}在哪里。",
            "最初{it}在哪里？",
            "{it}一开始在哪里？",
            "{it}最初在哪里？",
        ),
        "es": (
            "¿Dónde está {it} al principio?",
            "Al principio, ¿dónde está {it}?",
            "¿Dónde está {it} en el primer fotograma?",
            "¿Dónde empieza {it}?",
            "Dime dónde está {it} al principio.",
            "¿Dónde está primero {it}?",
            "Dime dónde empieza {it}.",
            "Di dónde está {it} al principio.",
        ),
    },
    "end_place": {
        "en": (
            "Where is {it} at the end?",
            "At the end, where is {it}?",
            "Where is {it} in the last frame?",
            "Where is {it} last?",
            "Tell me where {it} is at the end.",
            "Where does {it} end?",
            "Where does {it} end up?",
            "Say where {it} is at the end.",
            "In the last frame, where is {it}?",
            "Tell me where {it} ends.",
        ),
        "zh": (
            "结束时{it}在哪里？",
            "{it}结束时在哪里？",
            "最后一帧里{it}在哪里？",
            "最后{it}在哪里？",
            "告诉我结束时{it}在哪里。",
            "到最后{it}在哪里？",
            "{it}最后在哪里？",
            "{it}到最后在哪里？",
        ),
        "es": (
            "¿Dónde está {it} al final?",
            "Al final, ¿dónde está {it}?",
            "¿Dónde está {it} en el último fotograma?",
            "¿Dónde termina {it}?",
            "Dime dónde está {it} al final.",
            "¿Dónde acaba {it}?",
            "Dime dónde termina {it}.",
            "Di dónde está {it} al final.",
        ),
    },
    "who": {
        "en": (
            "Who are you?",
            "What are you?",
            "Hello!",
            "Hello, who are you?",
            "What can you do?",
            "Hi!",
            "What do you know?",
            "Hi, what are you?",
            "Hello! What can you do?",
        ),
        "zh": (
            "你是谁？",
            "你好！",
            "你好，你是谁？",
            "你能做什么？",
            "你是什么？",
            "你知道什么？",
            "你好！你是谁？",
            "你好！你能做什么？",
        ),
        "es": (
            "¿Quién eres?",
            "¡Hola!",
            "Hola, ¿quién eres?",
            "¿Qué puedes hacer?",
            "¿Qué eres?",
            "¿Qué sabes?",
            "¡Hola! ¿Quién eres?",
            "¡Hola! ¿Qué puedes hacer?",
        ),
    },
}
"""Task -> language -> phrasings; the last `NUM_TEST_PHRASINGS` of each are for tests only."""


def phrasings(task: str, language: str, *, unseen: bool) -> tuple[str, ...]:
    """Give the training phrasings of a task, or those that training never sees."""
    every = QUESTIONS[task][language]
    return every[-NUM_TEST_PHRASINGS:] if unseen else every[:-NUM_TEST_PHRASINGS]
