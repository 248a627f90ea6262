"""Open questions about clips whose answers a judge holds against the right one: yes or no, and 0 to 5.

The judge's words are those of Video-ChatGPT (quantitative_evaluation/evaluate_activitynet_qa.py in
https://github.com/mbzuai-oryx/Video-ChatGPT), which its authors use for MSVD-QA, MSRVTT-QA, TGIF-QA and
ActivityNet-QA alike. Theirs allows a score such as 4.8 and then cuts it to 4; so does this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from valley.conversation import Conversation, Video, system, user
from valley.errors import ConfigError, ConversationError
from valley.evaluation.annotations import DataFolder, Row, check_level, in_order, open_data
from valley.evaluation.benchmark import DataSource, Item, JudgeRequest, Metric, Selection

BEST = 5

_SYSTEM = (
    "You are an intelligent chatbot designed for evaluating the correctness of generative outputs for "
    "question-answer pairs. Your task is to compare the predicted answer with the correct answer and "
    "determine if they match meaningfully. Here's how you can accomplish the task:"
    "------"
    "##INSTRUCTIONS: "
    "- Focus on the meaningful match between the predicted answer and the correct answer.\n"
    "- Consider synonyms or paraphrases as valid matches.\n"
    "- Evaluate the correctness of the prediction compared to the answer."
)
_FORM = (
    "Provide your evaluation only as a yes/no and score where the score is an integer value between 0 and 5, "
    "with 5 indicating the highest meaningful match. "
    "Please generate the response in the form of a Python dictionary string with keys 'pred' and 'score', "
    "where value of 'pred' is  a string of 'yes' or 'no' and value of 'score' is in INTEGER, not STRING."
    "DO NOT PROVIDE ANY OTHER OUTPUT TEXT OR EXPLANATION. Only provide the Python dictionary string. "
    "For example, your response should look like this: {'pred': 'yes', 'score': 4.8}."
)
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pred": {"type": "string", "enum": ["yes", "no"]},
        "score": {"type": "integer", "minimum": 0, "maximum": BEST},
    },
    "required": ["pred", "score"],
    "additionalProperties": False,
}

Read: TypeAlias = Callable[[DataFolder, str], Iterable[Item]]


@dataclass(eq=False)
class OpenAnswerBenchmark:
    """A benchmark whose answers are judged one by one.

    Attributes:
        name: the module's name.
        source: see `Benchmark`.
        read: yields the questions of a level.
        levels: see `Benchmark`.
        metrics: see `Benchmark`.
        needs_judge: see `Benchmark`.
    """

    name: str
    source: DataSource | None
    read: Read
    levels: tuple[str, ...] = ("test", "val")
    metrics: tuple[Metric, ...] = (Metric("accuracy"), Metric("score", 0, BEST, is_share=False))
    needs_judge: bool = True

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """List the questions; see `Benchmark.items`."""
        del folder
        level = check_level(selection.level, self.levels)
        return in_order(self.read(open_data(self.name, selection), level), selection.limit)

    def score(self, item: Item, answer: str) -> Mapping[str, float]:
        """Give nothing: a judge scores."""
        del item, answer
        return {}

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell nothing: a judge reads the answers."""
        del item, answer
        return False

    def judge_requests(self, answered: Sequence[tuple[Item, str]]) -> list[JudgeRequest]:
        """Make one question to the judge for each answer."""
        return [
            JudgeRequest(
                item.id, (item.id,), Conversation((system(_SYSTEM), user(_asked(item, answer)))), _SCHEMA
            )
            for item, answer in answered
        ]

    def read_verdict(self, request: JudgeRequest, reply: Mapping[str, Any]) -> Mapping[str, float]:
        """Read {"pred": "yes", "score": 4}; see `JudgedBenchmark.read_verdict`."""
        pred = reply.get("pred")
        word = pred.strip().strip(".'\"").lower() if isinstance(pred, str) else None
        if word not in ("yes", "no"):
            raise ConversationError(f"{request.id}: want 'pred' to be yes or no, got {pred!r}")
        return {"accuracy": float(word == "yes"), "score": read_score(request, reply)}


def _asked(item: Item, answer: str) -> str:
    return (
        "Please evaluate the following video-based question-answer pair:\n\n"
        f"Question: {item.conversation.messages[-1].text}\n"
        f"Correct Answer: {item.reference}\n"
        f"Predicted Answer: {answer}\n\n" + _FORM
    )


def read_score(request: JudgeRequest, reply: Mapping[str, Any]) -> float:
    """Read the score from 0 to 5; a broken number is cut down to a whole one, as the authors do.

    Raises:
        ConversationError: it is absent, no number, or outside.
    """
    value = reply.get("score")
    try:
        score = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        )
    except (ValueError, OverflowError):
        score = math.nan
    if not 0 <= score <= BEST:
        raise ConversationError(f"{request.id}: want 'score' from 0 to {BEST}, got {value!r}")
    return float(int(score))


def open_item(name: str, clip: Path, question: str, answer: str, *, task: str) -> Item:
    """Make an item of one question, asked as it stands in the annotations."""
    return Item(
        id=name,
        variant="normal",
        task=task,
        language="en",
        tags=(),
        conversation=Conversation((user(Video(clip), question),), "en", name),
        reference=answer,
        rule="judged",
        clip=clip.stem,
        references=(answer,),
    )


def question_answer_rows(data: DataFolder, split: str) -> list[tuple[Row, Row]] | None:
    """Read `test_q.json` beside `test_a.json`; None where the first is absent.

    Answers belong to the questions of the same `question_id`, or of the same place where the file says none.

    Raises:
        ConfigError: they do not fit each other.
    """
    if data.find(f"{split}_q.json") is None:
        return None
    questions, answers = data.rows(f"{split}_q.json"), data.rows(f"{split}_a.json")
    if len(questions) == len(answers) and all(
        not a.has("question_id") or a.text("question_id") == q.text("question_id")
        for q, a in zip(questions, answers, strict=True)
    ):
        return list(zip(questions, answers, strict=True))
    by_id = {answer.text("question_id"): answer for answer in answers}
    missing = [q.where for q in questions if q.text("question_id") not in by_id]
    if missing:
        raise ConfigError(
            f"{missing[0]}: no row of {split}_a.json has this question_id: get both files of one release"
        )
    return [(q, by_id[q.text("question_id")]) for q in questions]


def kind_of_question(question: str) -> str:
    """Say by its first word what a question asks for; MSVD-QA and MSRVTT-QA have these five kinds.

    Source: D. Xu et al., Video Question Answering via Gradually Refined Attention (2017), table 1.
    """
    first = question.split(maxsplit=1)[0].lower() if question.split() else ""
    return first if first in ("what", "who", "how", "when", "where") else "other"
