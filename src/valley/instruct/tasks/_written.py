"""What most tasks share: the writer gets rules, the card of facts and a schema, and gives turns.

A task file says what it wants in words, when it suits, and what else it wants besides the turns. The rules
are those that every published recipe of this kind arrived at (LLaVA, appendix; Video-ChatGPT, section 4):
ask only what the facts answer with certainty, never speak of captions, do not give the answer away in the
question.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valley.instruct.evidence import Evidence
from valley.instruct.languages import name_of
from valley.instruct.task import Draft, Prompt, ReplyError, Turn
from valley.instruct.versions import content_version

RULES = """\
You write training conversations between a person and an assistant who is watching a {medium}.
You cannot see the {medium} yourself: the numbered facts below are all that is known about it; they are true.
Rules:
- Write every question and answer in {language}, as a native speaker would; do not translate word for word.
- The assistant speaks as one who sees the {medium}. Never mention facts, captions, subtitles, descriptions,
  metadata, or that a text was given.
- Say only what follows from the facts with certainty. Invent no names, numbers, colours, places or times.
- Times are seconds from the beginning of the {medium}, and never outside of it.
- A question must not give its answer away.
- For each turn, list the ids of the facts that the answer rests on.
"""

MOST = 1e9
"""A number of a reply is a count or a time in seconds."""

Details = Callable[[Mapping[str, Any], Evidence], Mapping[str, Any]]


def no_details(reply: Mapping[str, Any], evidence: Evidence) -> Mapping[str, Any]:
    """Want nothing besides the turns."""
    del reply, evidence
    return {}


def has_words(evidence: Evidence) -> bool:
    """Suit every clip about which somebody said something."""
    return any(fact.text for fact in evidence.facts) or bool(evidence.frames)


def is_video_with_words(evidence: Evidence) -> bool:
    """Suit every video about which somebody said something."""
    return evidence.clip.kind == "video" and has_words(evidence)


def has_timed_words(evidence: Evidence, *, fewest: int = 2) -> bool:
    """Suit videos about which is said what happens when."""
    timed = [f for f in evidence.of_kind("sentence", "subtitle") if f.text and f.start_s is not None]
    return evidence.clip.kind == "video" and len(timed) >= fewest


@dataclass(frozen=True)
class WrittenTask:
    """A task that consists of a prompt and turns; see `valley.instruct.task.Task`.

    Attributes:
        file: the module's file, which gives the name and the version.
        help: one line for people.
        wants: what to write, with {rounds}, {language} and {medium} as places.
        suited: when it suits.
        rounds: fewest and most turns.
        properties: JSON Schema of what else the reply has.
        details: reads that.
        max_tokens: of the reply.
        temperature: of the writer.
    """

    file: str
    help: str
    wants: str
    suited: Callable[[Evidence], bool] = has_words
    rounds: tuple[int, int] = (1, 1)
    properties: Mapping[str, Any] = field(default_factory=dict)
    details: Details = no_details
    max_tokens: int = 800
    temperature: float = 0.7
    sees_frames: bool = True

    @property
    def name(self) -> str:
        """The module's name."""
        return Path(self.file).stem

    @property
    def version(self) -> str:
        """Twelve hex digits of a hash of the task's file and of the rules."""
        return content_version(Path(self.file), Path(__file__))

    def suits(self, evidence: Evidence) -> bool:
        """See `Task.suits`."""
        return self.suited(evidence)

    def num_rounds(self, draw: int) -> int:
        """Draw how many turns are wanted."""
        fewest, most = self.rounds
        return random.Random(draw).randint(fewest, most)

    def prompt(self, evidence: Evidence, language: str, *, draw: int) -> Prompt:
        """See `Task.prompt`."""
        medium = "video" if evidence.clip.kind == "video" else "picture"
        places = {"language": name_of(language), "medium": medium, "rounds": self.num_rounds(draw)}
        system = RULES.format(**places) + "\nTask: " + self.wants.format(**places)
        length = f"The video lasts {evidence.duration_s:.1f} seconds.\n" if medium == "video" else ""
        words = f"{length}Facts:\n{evidence.card}"
        content: Any = words
        if evidence.frames and self.sees_frames:
            times = ", ".join(f"{t:.1f}" for t in evidence.frame_times_s)
            seen = f"{words}\nThe pictures show the {medium}" + (f" at {times} s." if times else ".")
            content = [{"type": "text", "text": seen}]
            content += [{"type": "image_url", "image_url": {"url": url}} for url in evidence.frames]
        messages = ({"role": "system", "content": system}, {"role": "user", "content": content})
        return Prompt(messages, self.schema(draw), self.max_tokens, self.temperature)

    def schema(self, draw: int) -> dict[str, Any]:
        """Give the JSON Schema of a reply."""
        rounds = self.num_rounds(draw)
        turn = {
            "type": "object",
            "properties": {
                "question": {"type": "string"},
                "answer": {"type": "string"},
                "facts": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["question", "answer", "facts"],
            "additionalProperties": False,
        }
        turns = {"type": "array", "items": turn, "minItems": rounds, "maxItems": rounds}
        return {
            "type": "object",
            "properties": {"turns": turns, **self.properties},
            "required": ["turns", *self.properties],
            "additionalProperties": False,
        }

    def parse(self, reply: Any, evidence: Evidence, language: str, *, draw: int) -> Draft:  # noqa: ANN401
        """See `Task.parse`."""
        if not isinstance(reply, dict) or not isinstance(reply.get("turns"), list):
            raise ReplyError("schema", 'want an object with "turns", a list of questions and answers')
        wanted = self.num_rounds(draw)
        if len(reply["turns"]) != wanted:
            raise ReplyError("num_turns", f"want exactly {wanted} turns, got {len(reply['turns'])}")
        known = {fact.id for fact in evidence.facts}
        turns = tuple(read_turn(turn, known) for turn in reply["turns"])
        return Draft(self.name, language, turns, details=self.details(reply, evidence))


def read_turn(value: Any, known: set[str]) -> Turn:  # noqa: ANN401
    """Read one turn.

    Raises:
        ReplyError: words are missing, or a fact is named that there is not.
    """
    if not isinstance(value, dict):
        raise ReplyError("schema", f"a turn: want an object, got {json.dumps(value)[:60]}")
    question, answer, facts = (value.get(name) for name in ("question", "answer", "facts"))
    if not isinstance(question, str) or not isinstance(answer, str):
        raise ReplyError("schema", "a turn: want a question and an answer, both text")
    if not question.strip() or not answer.strip():
        raise ReplyError("empty", "a turn: want words in the question and in the answer")
    named = tuple(str(f).strip("[] ") for f in facts) if isinstance(facts, list) else ()
    unknown = [name for name in named if name not in known]
    if unknown:
        raise ReplyError("unknown_fact", f"facts: there is no {', '.join(unknown[:3])}")
    return Turn(question.strip(), answer.strip(), tuple(dict.fromkeys(named)))


def number(reply: Mapping[str, Any], name: str) -> float:
    """Read a number of a reply.

    Raises:
        ReplyError: it is none.
    """
    value = reply.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST < value < MOST:
        raise ReplyError("schema", f'"{name}": want a number, got {json.dumps(value)[:40]}')
    return float(value)
