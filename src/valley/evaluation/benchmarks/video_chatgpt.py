"""The five dimensions of Video-ChatGPT: correctness, detail, context, temporal order, consistency; judged.

`generic_qa.json` and `temporal_qa.json` hold rows like the first, `consistency_qa.json` like the second::

    {"Q": "What does the man do?", "A": "He opens a box.", "video_name": "v_p1QGn0IzfW0"}
    {"Q1": "What does the man do?", "Q2": "What is the man doing?", "A": "He opens a box.",
     "video_name": "v_p1QGn0IzfW0"}

As in the authors' evaluation, one answer to a generic question is judged three times, each time for another
dimension, and the two answers of a pair are judged together. An answer so gets the numbers of its own
dimensions alone. The judge's words are those of quantitative_evaluation/evaluate_benchmark_*.py in
https://github.com/mbzuai-oryx/Video-ChatGPT. Their script for consistency shows the judge the first question
twice (`question2 = sample['Q1']`); here the second one is the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, system, user
from valley.evaluation.annotations import DataFolder, check_level, in_order, open_data
from valley.evaluation.benchmark import (
    DataFile,
    DataSource,
    Item,
    JudgedBenchmark,
    JudgeRequest,
    Metric,
    Selection,
)
from valley.evaluation.benchmarks._open_answer import BEST, open_item, read_score

DOWNLOAD = "https://github.com/mbzuai-oryx/Video-ChatGPT/tree/main/quantitative_evaluation"

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": BEST}},
    "required": ["score"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Dimension:
    """What the judge is told about one dimension.

    Attributes:
        kind: of question that it judges: the file's name begins with it.
        role: what the judge evaluates.
        comparison: what it has to find out.
        instructions: the list it is given.
        score: what the number is called.
        best: what a 5 means.
    """

    kind: str
    role: str
    comparison: str
    instructions: tuple[str, ...]
    score: str
    best: str


DIMENSIONS: dict[str, Dimension] = {
    "correctness": Dimension(
        "generic",
        "the factual accuracy of generative outputs for video-based question-answer pairs. ",
        "Your task is to compare the predicted answer with the correct answer and determine if they are "
        "factually consistent. ",
        (
            "Focus on the factual consistency between the predicted answer and the correct answer. The "
            "predicted answer should not contain any misinterpretations or misinformation.",
            "The predicted answer must be factually accurate and align with the video content.",
            "Consider synonyms or paraphrases as valid matches.",
            "Evaluate the factual accuracy of the prediction compared to the answer.",
        ),
        "factual accuracy score",
        "level of factual consistency",
    ),
    "detail": Dimension(
        "generic",
        "the detail orientation of generative outputs for video-based question-answer pairs. ",
        "Your task is to compare the predicted answer with the correct answer and determine its level of "
        "detail, considering both completeness and specificity. ",
        (
            "Check if the predicted answer covers all major points from the video. The response should not "
            "leave out any key aspects.",
            "Evaluate whether the predicted answer includes specific details rather than just generic "
            "points. "
            "It should provide comprehensive information that is tied to specific elements of the video.",
            "Consider synonyms or paraphrases as valid matches.",
            "Provide a single evaluation score that reflects the level of detail orientation of the "
            "prediction, considering both completeness and specificity.",
        ),
        "detail orientation score",
        "level of detail orientation",
    ),
    "context": Dimension(
        "generic",
        "the contextual understanding of generative outputs for video-based question-answer pairs. ",
        "Your task is to compare the predicted answer with the correct answer and determine if the generated "
        "response aligns with the overall context of the video content. ",
        (
            "Evaluate whether the predicted answer aligns with the overall context of the video content. It "
            "should not provide information that is out of context or misaligned.",
            "The predicted answer must capture the main themes and sentiments of the video.",
            "Consider synonyms or paraphrases as valid matches.",
            "Provide your evaluation of the contextual understanding of the prediction compared to the "
            "answer.",
        ),
        "contextual understanding score",
        "level of contextual understanding",
    ),
    "temporal": Dimension(
        "temporal",
        "the temporal understanding of generative outputs for video-based question-answer pairs. ",
        "Your task is to compare the predicted answer with the correct answer and determine if they "
        "correctly reflect the temporal sequence of events in the video content. ",
        (
            "Focus on the temporal consistency between the predicted answer and the correct answer. The "
            "predicted answer should correctly reflect the sequence of events or details as they are "
            "presented in the video content.",
            "Consider synonyms or paraphrases as valid matches, but only if the temporal order is "
            "maintained.",
            "Evaluate the temporal accuracy of the prediction compared to the answer.",
        ),
        "temporal accuracy score",
        "level of temporal consistency",
    ),
    "consistency": Dimension(
        "consistency",
        "the consistency of generative outputs for similar video-based question-answer pairs. "
        "You will be given two very similar questions, a common answer common to both the questions and "
        "predicted answers for the two questions .",
        "Your task is to compare the predicted answers for two very similar question, with a common correct "
        "answer and determine if they are consistent. ",
        (
            "Focus on the consistency between the two predicted answers and the correct answer. Both "
            "predicted "
            "answers should correspond to the correct answer and to each other, and should not contain any "
            "contradictions or significant differences in the conveyed information.",
            "Both predicted answers must be consistent with each other and the correct answer, in terms of "
            "the information they provide about the video content.",
            "Consider synonyms or paraphrases as valid matches, but only if they maintain the consistency in "
            "the conveyed information.",
            "Evaluate the consistency of the two predicted answers compared to the correct answer.",
        ),
        "consistency score",
        "level of consistency",
    ),
}


class VideoChatGPT:
    """The benchmark; a level is one dimension, and the first all of them."""

    levels: tuple[str, ...] = ("all", *DIMENSIONS)
    metrics: tuple[Metric, ...] = tuple(Metric(name, 0, BEST, is_share=False) for name in DIMENSIONS)
    needs_judge: bool = True
    source: DataSource | None = DataSource(
        title="Video-ChatGPT's benchmark of generative performance",
        homepage="https://github.com/mbzuai-oryx/Video-ChatGPT",
        citation="M. Maaz et al., Video-ChatGPT: Towards Detailed Video Understanding via Large Vision and "
        "Language Models, ACL 2024",
        licence="a non-commercial licence of the authors' own (LICENSE of the repository)",
        files=(
            *(
                DataFile(
                    f"{kind}_qa.json",
                    DOWNLOAD,
                    f"questions for {', '.join(n for n, d in DIMENSIONS.items() if d.kind == kind)}",
                    instead=(f"Benchmarking_QA/{kind}_qa.json",),
                )
                for kind in dict.fromkeys(dimension.kind for dimension in DIMENSIONS.values())
            ),
            DataFile(
                "Test_Videos", DOWNLOAD, "videos of ActivityNet-200, as v_p1QGn0IzfW0.mp4 (README)", 500
            ),
        ),
    )

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """List the questions; a pair of which the limit leaves one question is left out whole."""
        del folder
        level = check_level(selection.level, self.levels)
        asked = tuple(DIMENSIONS) if level == "all" else (level,)
        data = open_data("video_chatgpt", selection)
        kinds = dict.fromkeys(DIMENSIONS[name].kind for name in asked)
        found = in_order((item for kind in kinds for item in _read(data, kind, asked)), selection.limit)
        places = [item.details.get("pair", item.id) for item in found]
        return [i for i, pair in zip(found, places, strict=True) if pair == i.id or places.count(pair) == 2]

    def score(self, item: Item, answer: str) -> Mapping[str, float]:
        """Give nothing: a judge scores."""
        del item, answer
        return {}

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell nothing: a judge reads the answers."""
        del item, answer
        return False

    def judge_requests(self, answered: Sequence[tuple[Item, str]]) -> list[JudgeRequest]:
        """Make a question to the judge for each answer and dimension, and one for each pair.

        Where only one question of a pair was answered, the other's answer is empty: the pair is judged.
        """
        requests: list[JudgeRequest] = []
        pairs: dict[str, list[tuple[Item, str]]] = {}
        for item, answer in answered:
            if "pair" in item.details:
                pairs.setdefault(item.details["pair"], []).append((item, answer))
            for name in item.details["dimensions"]:
                if name != "consistency":
                    asked = _about_one(item, answer)
                    requests.append(_request(f"{item.id}/{name}", (item.id,), name, asked))
        for pair, answers in pairs.items():
            ids = tuple(item.id for item, _ in answers)
            requests.append(_request(f"{pair}/consistency", ids, "consistency", _about_pair(answers)))
        return requests

    def read_verdict(self, request: JudgeRequest, reply: Mapping[str, Any]) -> Mapping[str, float]:
        """Read {"score": 4} as the number of the request's dimension; see `JudgedBenchmark.read_verdict`."""
        return {request.id.rpartition("/")[2]: read_score(request, reply)}


def _read(data: DataFolder, kind: str, asked: tuple[str, ...]) -> Iterator[Item]:
    dimensions = tuple(name for name in asked if DIMENSIONS[name].kind == kind)
    rows = data.rows(f"{kind}_qa.json", f"Benchmarking_QA/{kind}_qa.json")
    for number, row in enumerate(rows):
        clip = data.medium("Test_Videos", row.text("video_name"))
        answer = row.text("A")
        name = f"{kind}-{number:04d}"
        details: dict[str, Any] = {"dimensions": dimensions}
        if kind != "consistency":
            item = open_item(name, clip, row.text("Q"), answer, task=kind)
            yield replace(item, details=details)
            continue
        questions = (row.text("Q1"), row.text("Q2"))
        details |= {"pair": name, "questions": questions}
        for place, question in enumerate(questions):
            item = open_item(f"{name}-{place + 1}", clip, question, answer, task=kind)
            yield replace(item, details=details | {"place": place})


def _request(name: str, item_ids: tuple[str, ...], dimension: str, asked: str) -> JudgeRequest:
    told = DIMENSIONS[dimension]
    instructions = "\n".join(f"- {line}" for line in told.instructions)
    rules = (
        f"You are an intelligent chatbot designed for evaluating {told.role}{told.comparison}"
        f"Here's how you can accomplish the task:------##INSTRUCTIONS: {instructions}"
    )
    # Their form for context lacks this one article.
    its = "its value is contextual" if dimension == "context" else f"its value is the {told.score.split()[0]}"
    form = (
        f"Provide your evaluation only as a {told.score} where the {told.score} is an integer value "
        f"between 0 "
        f"and 5, with 5 indicating the highest {told.best}. Please generate the response in the form of a "
        f"Python dictionary string with keys 'score', where {its} {told.score.partition(' ')[2]} in INTEGER, "
        "not STRING.DO NOT PROVIDE ANY OTHER OUTPUT TEXT OR EXPLANATION. Only provide the Python dictionary "
        "string. For example, your response should look like this: {''score': 4.8}."
    )
    whole = f"Please evaluate the following video-based question-answer pair:\n\n{asked}\n\n{form}"
    return JudgeRequest(name, item_ids, Conversation((system(rules), user(whole))), _SCHEMA, (dimension,))


def _about_one(item: Item, answer: str) -> str:
    question = item.conversation.messages[-1].text
    return f"Question: {question}\nCorrect Answer: {item.reference}\nPredicted Answer: {answer}"


def _about_pair(answers: list[tuple[Item, str]]) -> str:
    item = answers[0][0]
    first, second = item.details["questions"]
    predicted = {item.details["place"]: answer for item, answer in answers}
    return (
        f"Question 1: {first}\nQuestion 2: {second}\nCorrect Answer: {item.reference}\n"
        f"Predicted Answer to Question 1: {predicted.get(0, '')}\n"
        f"Predicted Answer to Question 2: {predicted.get(1, '')}"
    )


BENCHMARK: JudgedBenchmark = VideoChatGPT()
