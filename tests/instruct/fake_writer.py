"""A server that writes conversations about synthetic clips, fails as real ones do, and keeps books.

It knows the truth of every scene by its English caption, which stands in the prompt. With `lies` it changes
one fact in that share of its conversations, and notes which. Faults are drawn from the request and how often
it came, so that a run can be repeated. It bills by the bytes of the request: the books say what was paid for
twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from valley.synthetic import wording
from valley.synthetic.dataset import scene_number
from valley.synthetic.narration import caption
from valley.synthetic.truth import ObjectTruth, Truth, truth_of
from valley.synthetic.world import COLORS, DIRECTIONS, SHAPES

FAULTS: Mapping[str, float] = {
    "429": 0.10,
    "500": 0.05,
    "reset": 0.03,
    "malformed": 0.10,
    "truncated": 0.04,
    "refusal": 0.03,
    "wrong_schema": 0.03,
}
LIES = ("color", "shape", "count", "direction", "order", "cause")
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}


@dataclass
class Books:
    """What happened."""

    asked: int = 0
    billed: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lost_tokens: tuple[int, int] = (0, 0)
    most_at_once: int = 0
    now: int = 0
    lies: dict[str, str] = field(default_factory=dict)
    times_s: list[float] = field(default_factory=list)


def known_truths(count: int, *, seed: int = 0, level: str = "core") -> dict[str, Truth]:
    """Give the truths of scenes by their English captions."""
    truths = (truth_of(scene_number(seed, n, level=level)) for n in range(count))  # type: ignore[arg-type]
    return {caption(truth, "en"): truth for truth in truths}


class FakeWriter:
    """The server's mind: an ASGI application and its books."""

    def __init__(
        self,
        truths: Mapping[str, Truth],
        *,
        faults: Mapping[str, float] | None = None,
        lies: float = 0.0,
        delay_s: float = 0.0,
        seed: int = 0,
        requests_per_minute: float | None = None,
        modes: tuple[str, ...] = ("json_schema", "tools", "prompt"),
    ) -> None:
        self.truths, self.faults, self.lies, self.delay_s, self.seed = (
            truths,
            faults or {},
            lies,
            delay_s,
            seed,
        )
        self.requests_per_minute = requests_per_minute
        self.modes = modes
        self.books = Books()
        self._seen: Counter[str] = Counter()
        self._bucket, self._filled_s = 10.0, time.monotonic()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"].endswith("/models"):
            await _send(send, 200, {"object": "list", "data": [{"id": "writer", "object": "model"}]})
            return
        self.books.now += 1
        self.books.most_at_once = max(self.books.most_at_once, self.books.now)
        try:
            await self._complete(json.loads(body), body, send)
        finally:
            self.books.now -= 1

    async def _complete(self, asked: dict[str, Any], raw: bytes, send: Any) -> None:
        key = hashlib.sha256(raw).hexdigest()
        self._seen[key] += 1
        self.books.asked += 1
        self.books.times_s.append(time.monotonic())
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        mode = "json_schema" if "response_format" in asked else "tools" if "tools" in asked else "prompt"
        if mode not in self.modes:
            await _send(send, 400, {"error": {"message": f"{mode} is not supported", "code": "unsupported"}})
            return
        if not self._within_rate():
            self.books.faults["rate"] += 1
            await _send(send, 429, {"error": {"message": "too many requests"}}, {"retry-after": "0.2"})
            return
        fault = self._fault(key)
        self.books.faults[fault] += 1
        if fault == "429":
            await _send(send, 429, {"error": {"message": "slow down"}}, {"retry-after": "0.05"})
        elif fault == "500":
            await _send(send, 500, {"error": {"message": "internal error"}})
        elif fault == "hang":
            await asyncio.sleep(3600)
        else:
            await self._answer(asked, key, fault, mode, send)

    def _within_rate(self) -> bool:
        if self.requests_per_minute is None:
            return True
        now = time.monotonic()
        self._bucket = min(10.0, self._bucket + (now - self._filled_s) * self.requests_per_minute / 60)
        self._filled_s = now
        if self._bucket < 1:
            return False
        self._bucket -= 1
        return True

    def _fault(self, key: str) -> str:
        chance = random.Random(f"{self.seed}|{key}|{self._seen[key]}").random()
        for name, share in self.faults.items():
            if chance < share:
                return name
            chance -= share
        return "none"

    async def _answer(  # noqa: C901
        self, asked: dict[str, Any], key: str, fault: str, mode: str, send: Any
    ) -> None:
        content = self.write(asked, key)
        finish, refusal = "stop", None
        if fault == "malformed":
            content = "Sure! Here it is:\n```json\n" + content[:-1].rstrip("}]") + "\n```"
        elif fault == "truncated":
            content, finish = content[: len(content) // 2], "length"
        elif fault == "refusal":
            content, refusal = "I'm sorry, but I can't help with that.", "I can't help with that."
        elif fault == "wrong_schema":
            content = json.dumps({"conversation": "hello", "items": []})
        elif fault == "wrong_language":
            content = json.dumps(_in_french(json.loads(content)))
        tokens = (len(json.dumps(asked["messages"])) // 4, max(1, len(content) // 4))
        usage: Any = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if refusal:
            message["refusal"] = refusal
        if mode == "tools":
            call = {"id": "c", "type": "function", "function": {"name": "conversation", "arguments": content}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        reply = {
            "id": f"chatcmpl-{key[:12]}-{self._seen[key]}",
            "object": "chat.completion",
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": usage,
        }
        self.books.billed[key] += 1
        self.books.prompt_tokens += tokens[0]
        self.books.completion_tokens += tokens[1]
        if fault == "reset":
            lost = self.books.lost_tokens
            self.books.lost_tokens = (lost[0] + tokens[0], lost[1] + tokens[1])
            await _send(send, 200, reply, cut=True)
            return
        if fault == "wrong_usage":
            reply["usage"] = {"prompt_tokens": -5, "completion_tokens": "many"}
        await _send(send, 200, reply)

    def write(self, asked: Mapping[str, Any], key: str) -> str:
        """Write what was asked for, in JSON; one fact in some of them is false."""
        system = asked["messages"][0]["content"]
        user = next(m["content"] for m in asked["messages"] if m["role"] == "user")
        card = user if isinstance(user, str) else user[0]["text"]
        found = re.search(r"^(F\d+) \[caption, en\] (.*)$", card, re.MULTILINE)
        truth = self.truths.get(found[2]) if found else None
        language = re.search(r"in \w+ \((\w+)", system)
        task = re.search(r"Task: (.{0,60})", system, re.DOTALL)
        rounds = re.search(r"exactly (\d+) turns", system)
        assert found is not None and language is not None and task is not None, system  # noqa: PT018
        if truth is None:
            return json.dumps({"turns": []})
        return compose(
            truth,
            language[1],
            system,
            int(rounds[1]) if rounds else 1,
            random.Random(f"{self.seed}|{key}|said"),
            lies=self.lies,
            fact=found[1],
            note=lambda lie: self.books.lies.__setitem__(key, lie),
        )


def compose(
    truth: Truth,
    language: str,
    system: str,
    rounds: int,
    rng: random.Random,
    *,
    lies: float,
    fact: str,
    note: Any,
) -> str:
    """Put a conversation about a scene into words, perhaps with one false fact."""
    told, said = list(truth.objects), rng.random()
    honest = _turns(told, truth, language, system, rounds, random.Random(said), "")
    turns, details = honest
    if rng.random() < lies:
        lie, changed = _false(told, rng)
        turns, details = _turns(changed, truth, language, system, rounds, random.Random(said), lie)
        if (turns, details) != honest:  # what is false must have been said
            note(lie)
    shaped = [{"question": q, "answer": a, "facts": [fact]} for q, a in turns]
    return json.dumps({"turns": shaped, **details}, ensure_ascii=False)


def _false(told: list[ObjectTruth], rng: random.Random) -> tuple[str, list[ObjectTruth]]:
    """Change one fact; give which kind, and the objects as they will be told of."""
    moving = [n for n, o in enumerate(told) if o.direction is not None]
    hit = [n for n, o in enumerate(told) if o.event == "pushed"]
    timed = [n for n, o in enumerate(told) if o.start_s is not None]
    free_colors = [c for c in COLORS if all(c not in (o.color, o.to_color) for o in told)]
    kinds = [*(["color"] if free_colors else []), "shape", "count"]
    kinds += ["direction"] if moving else []
    kinds += ["cause"] if hit else []
    starts = sorted(o.start_s for o in told if o.start_s is not None)
    kinds += ["order"] if len(timed) > 1 and starts[-1] - starts[0] > 0.3 else []
    kind = rng.choice(kinds)
    changed = list(told)
    if kind == "color":
        n = rng.randrange(len(told))
        changed[n] = replace(told[n], color=rng.choice(free_colors))
    elif kind == "shape":
        n = rng.randrange(len(told))
        free = [s for s in SHAPES if s != told[n].shape]
        changed[n] = replace(told[n], shape=rng.choice(free))
    elif kind == "direction":
        n = rng.choice(moving)
        ways = [d for d in DIRECTIONS if d != told[n].direction]
        changed[n] = replace(told[n], direction=rng.choice(ways))
    elif kind == "cause":
        n = rng.choice(hit)
        other = rng.choice([c for c in COLORS if all(c != o.color for o in told)])
        changed[n] = replace(told[n], partner=(other, rng.choice(SHAPES)))
    return kind, changed


_ASK = {
    "en": {
        "all": (
            "What happens in this video?",
            "Could you tell me what is going on here?",
            "Describe this clip.",
        ),
        "one": ("What does {it} do?", "Can you say what {it} is doing?"),
        "count": ("How many objects can be seen?", "How many shapes are there?"),
        "order": (
            "What happens first, something with {one} or with {other}?",
            "Which acts first, {one} or {other}?",
        ),
        "why": ("Why does {it} start moving?", "What makes {it} move?"),
        "name": ("Who made this video?", "In which city was it filmed?", "What is the title of this clip?"),
        "when": ("When does {it} begin to act?", "At what time does something happen to {it}?"),
    },
    "zh": {
        "all": ("这段视频里发生了什么？", "请说说视频的内容。"),
        "one": ("{it}在做什么？", "请问{it}做了什么？"),
        "count": ("视频里有多少个物体？", "一共能看到几个物体？"),
        "order": ("{one}和{other}，哪个先有动作？",),
        "why": ("{it}为什么开始移动？", "是什么让{it}移动的？"),
        "name": ("这段视频是谁拍的？", "视频是在哪个城市拍摄的？", "这段视频是哪一年拍的？"),
        "when": ("{it}是什么时候开始动作的？",),
    },
    "es": {
        "all": ("¿Qué ocurre en este video?", "¿Puedes contar lo que pasa aquí?"),
        "one": ("¿Qué hace {it}?", "¿Puedes decir qué está haciendo {it}?"),
        "count": ("¿Cuántos objetos se ven en total?", "¿Cuántas figuras aparecen en el video?"),
        "order": ("¿Qué ocurre primero, algo con {one} o con {other}?",),
        "why": ("¿Por qué empieza a moverse {it}?", "¿Qué hace que {it} se mueva?"),
        "name": ("¿Quién grabó este video?", "¿En qué ciudad se filmó?", "¿En qué año se grabó?"),
        "when": ("¿Cuándo empieza a actuar {it}?",),
    },
}
_SAY = {
    "en": {
        "all": ("In the clip, {all}.", "Here is what one sees: {all}."),
        "count": ("The clip has {n} to be counted.", "One can count {n} in total."),
        "order": (
            "First {one} acts, and then {other}.",
            "First comes what {one} does, then {other} follows.",
        ),
        "why": ("Because {partner} hits it.", "It is pushed because {partner} hits it."),
        "own": ("It starts to move on its own.",),
        "name": (
            "That cannot be told from the video.",
            "The video does not show that, so I cannot say.",
            "I do not know, nothing in it tells.",
        ),
        "when": ("From {a} to {b} s: {does}.",),
        "long": ("To go through it once more: {each}.", "One after the other: {each}."),
    },
    "zh": {
        "all": ("视频中，{all}。", "可以看到：{all}。"),
        "count": ("视频里一共有{n}。",),
        "order": ("首先是{one}有动作，然后是{other}。",),
        "why": ("因为{partner}撞上了它。",),
        "own": ("它自己开始移动。",),
        "name": (
            "从视频里看不出来，没有这方面的信息。",
            "这一点视频里没有说明，无法判断。",
            "不清楚，画面中看不到这方面的内容。",
        ),
        "when": ("从{a}秒到{b}秒，{does}。",),
        "long": ("再逐个说一遍：{each}。",),
    },
    "es": {
        "all": ("En el clip, {all}.", "Esto es lo que se ve: {all}."),
        "count": ("Hay {n} en el clip.", "En total se ven {n}."),
        "order": ("Primero actúa {one} y luego {other}.",),
        "why": ("Porque {partner} choca con él.",),
        "own": ("Empieza a moverse por su cuenta.",),
        "name": (
            "Eso no se puede saber por el video.",
            "No lo sé, el video no lo muestra.",
            "Por lo que se ve no es posible decirlo.",
        ),
        "when": ("De {a} a {b} s: {does}.",),
        "long": ("Repasando uno por uno: {each}.",),
    },
}
_NUMBER = {
    "en": (
        "no object",
        "one object",
        *(f"{n} objects" for n in ("two", "three", "four", "five", "six", "seven")),
    ),
    "zh": tuple(f"{n}个物体" for n in "零一两三四五六七"),
    "es": (
        "ningún objeto",
        "un objeto",
        *(f"{n} objetos" for n in ("dos", "tres", "cuatro", "cinco", "seis", "siete")),
    ),
}


def _turns(  # noqa: C901
    told: list[ObjectTruth],
    truth: Truth,
    language: str,
    system: str,
    rounds: int,
    rng: random.Random,
    lie: str,
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    if "cannot be answered" in system and "one turn that" in system:
        return [_pick("name", language, rng)], {}
    if "order of events" in system:
        return [_order(told, language, rng, lie) or _all(told, language, rng, lie)], {}
    if "about a number" in system:
        count = len(told) + (rng.choice((1, 2)) if lie == "count" else 0)
        return [_count(count, language, rng)], {"count": count}
    if "a cause and its effect" in system:
        pair = _why(told, language, rng)
        return [pair or _all(told, language, rng, lie)], {"cause_s": 0.0, "effect_s": 0.5}
    if "one turn about time" in system:
        item = next((o for o in told if o.start_s is not None), told[0])
        start_s, end_s = item.start_s or 0.0, item.end_s or truth.shots[-1].end_s
        return [_when(item, start_s, end_s, language, rng)], {"start_s": start_s, "end_s": end_s}
    if "main action" in system:
        item = rng.choice(told)
        it = wording.name_of(item, language)
        does = wording.event_phrase(item, language, feminine=wording.is_feminine(it))
        return [_one(item, language, rng)], {"action": does}
    if "detailed description" in system:
        q, a = _all(told, language, rng, lie)
        each = wording.CLAUSE_JOINT[language].join(_clause(o, language) for o in told)
        more = (
            rng.choice(_SAY[language]["long"]).format(each=each)
            if len(told) > 1
            else _seen(told[0], language)
        )
        return [(q, a + wording.SPACE[language] + more)], {}
    if rounds == 1:
        return [_all(told, language, rng, lie)], {}
    found = [_one(item, language, rng) for item in told]
    found += [pair for pair in (_order(told, language, rng, lie), _why(told, language, rng)) if pair]
    found += [_count(len(told) + (1 if lie == "count" else 0), language, rng)]
    found += [_pick("name", language, rng) for _ in range(1)]
    found += [_all(told, language, rng, lie)]
    found += [
        _when(item, item.start_s, item.end_s, language, rng)
        for item in told
        if item.start_s is not None and item.end_s is not None
    ]
    found += [_DONE[language], *(_pick("name", language, rng) for _ in range(24))]
    chosen: dict[str, tuple[str, str]] = {}
    answers: set[str] = set()
    for q, a in found:
        if a not in answers and q not in chosen:
            chosen[q] = (q, a)
            answers.add(a)
    return list(chosen.values())[:rounds], {}


_DONE = {
    "en": ("Is that all?", "Yes, that is all there is to see in it."),
    "zh": ("就这些吗？", "是的，视频里能看到的就是这些。"),
    "es": ("¿Eso es todo?", "Sí, eso es todo lo que se ve en el video."),
}


def _pick(kind: str, language: str, rng: random.Random, **places: Any) -> tuple[str, str]:
    q = rng.choice(_ASK[language][kind]).format(**places)
    a = rng.choice(_SAY[language][kind]).format(**places)
    return wording.capital(q), wording.capital(a)


def _clause(item: ObjectTruth, language: str) -> str:
    it = wording.name_of(item, language)
    return (
        it + wording.SPACE[language] + wording.event_phrase(item, language, feminine=wording.is_feminine(it))
    )


def _seen(item: ObjectTruth, language: str) -> str:
    """Make a long answer about a single thing, which needs some words."""
    it = wording.name_of(item, language)
    return {
        "en": f"It is all about {it}: nothing else is to be seen in the clip from its beginning to its end.",
        "zh": f"整段视频里只有{it}，从头到尾都看不到别的东西，背景也没有什么变化，画面一直是这样。",
        "es": f"Todo gira en torno a una sola cosa, {it}; de principio a fin no se ve nada más.",
    }[language]


def _one(item: ObjectTruth, language: str, rng: random.Random) -> tuple[str, str]:
    it = wording.name_of(item, language)
    q = wording.contract(rng.choice(_ASK[language]["one"]).format(it=it), language)
    return wording.capital(q), wording.sentence(_clause(item, language), language)


def _all(told: list[ObjectTruth], language: str, rng: random.Random, lie: str) -> tuple[str, str]:
    order = list(told)
    rng.shuffle(order)
    joint = "，" if language == "zh" else "; "
    clauses = joint.join(_clause(item, language) for item in order)
    q, a = _pick("all", language, rng, all=clauses)
    if lie == "count":
        a += wording.SPACE[language] + _count(len(told) + 1, language, rng)[1]
    if lie == "order":
        pair = _order(told, language, rng, lie)
        a += wording.SPACE[language] + pair[1] if pair else ""
    return q, a


def _count(count: int, language: str, rng: random.Random) -> tuple[str, str]:
    return _pick("count", language, rng, n=_NUMBER[language][min(count, 7)])


def _order(told: list[ObjectTruth], language: str, rng: random.Random, lie: str) -> tuple[str, str] | None:
    timed = sorted((o for o in told if o.start_s is not None), key=lambda o: o.start_s or 0.0)
    if len(timed) < 2 or (timed[-1].start_s or 0) - (timed[0].start_s or 0) < 0.3:
        return None
    first, last = timed[0], timed[-1]
    if lie == "order":
        first, last = last, first
    one, other = (wording.name_of(o, language) for o in (first, last))
    shown = [one, other]
    rng.shuffle(shown)
    q = rng.choice(_ASK[language]["order"]).format(one=shown[0], other=shown[1])
    a = rng.choice(_SAY[language]["order"]).format(one=one, other=other)
    return wording.capital(wording.contract(q, language)), wording.capital(a)


def _why(told: list[ObjectTruth], language: str, rng: random.Random) -> tuple[str, str] | None:
    hit = [o for o in told if o.event == "pushed" and o.partner is not None]
    if not hit:
        return None
    item = rng.choice(hit)
    assert item.partner is not None
    partner = wording.name(*item.partner, language)
    return _pick("why", language, rng, it=wording.name_of(item, language), partner=partner)


def _when(item: ObjectTruth, a: float, b: float, language: str, rng: random.Random) -> tuple[str, str]:
    it = wording.name_of(item, language)
    return _pick("when", language, rng, it=it, a=f"{a:.1f}", b=f"{b:.1f}", does=_clause(item, language))


def _in_french(value: Any) -> Any:
    for turn in value["turns"]:
        turn["answer"] = (
            "Dans cette vidéo, on voit plusieurs objets colorés qui se déplacent lentement vers le bord."
        )
    return value


async def _send(
    send: Any, status: int, body: Any, headers: Mapping[str, str] | None = None, *, cut: bool = False
) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    told = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    told += [(n.encode(), v.encode()) for n, v in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": told})
    if cut:
        await send({"type": "http.response.body", "body": data[: len(data) // 2], "more_body": True})
        raise ConnectionResetError
    await send({"type": "http.response.body", "body": data})


class Running:
    """The server on a free port, in a thread."""

    def __init__(self, writer: FakeWriter) -> None:
        import logging
        import socket

        import uvicorn

        self.writer = writer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        logging.getLogger("uvicorn.error").disabled = True
        config = uvicorn.Config(writer, log_level="critical", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> FakeWriter:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self.writer

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
