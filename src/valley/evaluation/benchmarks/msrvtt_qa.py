"""MSRVTT-QA: open questions about web videos, made from their captions; judged.

Two published forms are read. That of its authors, `test_qa.json`, where clip 7010 is video7010.mp4::

    {"answer": "couch", "category_id": 14, "id": 158581, "question": "what are three people sitting on?",
     "video_id": 7010}

And that of Video-ChatGPT and Video-LLaVA, `test_q.json` beside `test_a.json`::

    {"video_name": "video7010", "question": "what are three people sitting on?", "question_id": "v7010_0"}
    {"answer": "couch", "question_id": "v7010_0"}
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.evaluation.annotations import DataFolder
from valley.evaluation.benchmark import DataFile, DataSource, Item, JudgedBenchmark
from valley.evaluation.benchmarks._open_answer import (
    OpenAnswerBenchmark,
    kind_of_question,
    open_item,
    question_answer_rows,
)


def _read(data: DataFolder, split: str) -> Iterator[Item]:
    pairs = question_answer_rows(data, split)
    if pairs is None:
        rows = data.rows(f"{split}_qa.json", f"{split}_q.json")
        found = [(row.text("id"), f"video{row.text('video_id')}", row, row) for row in rows]
    else:
        found = [(q.text("question_id"), q.text("video_name"), q, a) for q, a in pairs]
    for name, clip, asked, told in found:
        question = asked.text("question")
        path = data.medium("videos", clip)
        yield open_item(name, path, question, told.text("answer"), task=kind_of_question(question))


BENCHMARK: JudgedBenchmark = OpenAnswerBenchmark(
    "msrvtt_qa",
    DataSource(
        title="MSRVTT-QA",
        homepage="https://github.com/xudejing/video-question-answering",
        citation="D. Xu et al., Video Question Answering via Gradually Refined Attention over Appearance and "
        "Motion, ACM Multimedia 2017",
        licence="not stated by the authors for questions and clips; the clips are web videos",
        files=(
            DataFile(
                "test_qa.json",
                "https://data.mendeley.com/datasets/bvxhs33bw6",
                "questions with answers (paper, table 1); or test_q.json and test_a.json of Video-LLaVA "
                "(its TRAIN_AND_VALIDATE.md)",
                72_821,
                instead=("test_q.json",),
            ),
            DataFile(
                "videos",
                "http://ms-multimedia-challenge.com/2016/dataset",
                "the clips of MSR-VTT that the questions name, as video7010.mp4",
                2_990,
            ),
        ),
    ),
    _read,
)
