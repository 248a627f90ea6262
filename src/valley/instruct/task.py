"""What a task is: a prompt about the evidence in a target language, and a reader of what comes back.

Tasks live in `valley/instruct/tasks`, one file each. A task's version is a hash of its file's contents: a
changed prompt asks again for this task alone, since requests are keyed by what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from valley.errors import ValleyError
from valley.instruct.evidence import Evidence
from valley.registry import Registry

TASKS = Registry("valley.instruct.tasks", attribute="TASK", kind="task")


class ReplyError(ValleyError):
    """A reply is not what the task asked for.

    Attributes:
        reason: a short word for counting, such as "schema" or "truncated".
        detail: what was wanted and what came, in words that can be sent back to the writer.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


@dataclass(frozen=True)
class Prompt:
    """What is sent to the writer.

    Attributes:
        messages: OpenAI chat messages, JSON-ready.
        schema: JSON Schema of the reply.
        max_tokens: at most so many tokens in the reply.
        temperature: of the writer.
    """

    messages: tuple[Mapping[str, Any], ...]
    schema: Mapping[str, Any]
    max_tokens: int = 1024
    temperature: float = 0.7


@dataclass(frozen=True)
class Turn:
    """One question and its answer; `facts` are the ids of the facts that the answer rests on."""

    question: str
    answer: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A conversation as the writer gave it, before it is checked.

    Attributes:
        task: the task's name.
        language: BCP-47 tag that was asked for.
        turns: in order.
        choices: of a multiple choice, in the order shown; empty otherwise.
        right_choice: the index of the right one.
        details: what else the checks of this task look at, such as {"cause_s": 1.0, "effect_s": 2.5}.
    """

    task: str
    language: str
    turns: tuple[Turn, ...]
    choices: tuple[str, ...] = ()
    right_choice: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts_used(self) -> tuple[str, ...]:
        """The ids of all facts that are named, each once, in order."""
        return tuple(dict.fromkeys(name for turn in self.turns for name in turn.facts))


@runtime_checkable
class Task(Protocol):
    """One kind of conversation; one module in `valley/instruct/tasks` each, called as the task.

    Attributes:
        name: the module's name.
        help: one line for people.
        version: twelve hex digits of the SHA-256 of the module's file.
        sees_frames: whether it is better for frames, where the writer can see.
    """

    name: str
    help: str
    version: str
    sees_frames: bool

    def suits(self, evidence: Evidence) -> bool:
        """Tell whether this can be asked about the clip: an order of events needs several."""
        ...

    def prompt(self, evidence: Evidence, language: str, *, draw: int) -> Prompt:
        """Say what to send.

        Args:
            evidence: what is known.
            language: BCP-47 tag in which the conversation is to be.
            draw: seeds what is chosen at random, such as distractors or the number of rounds.
        """
        ...

    def parse(self, reply: Any, evidence: Evidence, language: str, *, draw: int) -> Draft:  # noqa: ANN401
        """Read a reply that has been parsed from JSON.

        Raises:
            ReplyError: it does not fit; the detail says what would.
        """
        ...
