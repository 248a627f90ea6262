"""TGIF-QA, its frame questions: open questions about animated GIFs; judged.

Two published forms are read. That of its authors, `Test_frameqa_question.csv`, which is separated by tabs::

    gif_name  question  answer  type  vid_id  key  description
    tumblr_no73q2fm0I1uuf348o1_250  what is placed in the cone ?  cookie  0  FRAMEQA1159  27138  a cookie ...

And that of Video-ChatGPT and Video-LLaVA, `test_q.json` beside `test_a.json`::

    {"video_name": "tumblr_no73q2fm0I1uuf348o1_250", "question": "...", "question_id": "FRAMEQA1159"}
    {"answer": "cookie", "question_id": "FRAMEQA1159"}

Both of those evaluate on the frame questions alone; the three other kinds of TGIF-QA (count, action,
transition) are not asked here.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.evaluation.annotations import DataFolder
from valley.evaluation.benchmark import DataFile, DataSource, Item, JudgedBenchmark
from valley.evaluation.benchmarks._open_answer import OpenAnswerBenchmark, open_item, question_answer_rows

TYPES = ("object", "number", "color", "location")  # dataset/README.md of the authors' repository
TABLE = "Test_frameqa_question.csv"


def _read(data: DataFolder, level: str) -> Iterator[Item]:
    del level
    pairs = question_answer_rows(data, "test")
    if pairs is None:
        rows = data.rows(TABLE, "Test_frameqa_question.tsv", "test_q.json")
        found = [(row.text("vid_id"), row.text("gif_name"), row, row) for row in rows]
    else:
        found = [(q.text("question_id"), q.text("video_name"), q, a) for q, a in pairs]
    for name, clip, asked, told in found:
        task = TYPES[told.place("type", len(TYPES))] if told.has("type") else "frame"
        path = data.medium("videos", clip)
        yield open_item(name, path, asked.text("question"), told.text("answer"), task=task)


BENCHMARK: JudgedBenchmark = OpenAnswerBenchmark(
    "tgif_qa",
    DataSource(
        title="TGIF-QA, frame questions",
        homepage="https://github.com/YunseokJANG/tgif-qa",
        citation="Y. Jang et al., Video Question Answering with Spatio-Temporal Reasoning, IJCV 2019",
        licence="free to use for academic purposes only (README)",
        files=(
            DataFile(
                TABLE,
                "https://github.com/YunseokJANG/tgif-qa/tree/master/dataset",
                "questions with answers (README); or test_q.json and test_a.json of Video-LLaVA (its "
                "TRAIN_AND_VALIDATE.md)",
                13_691,
                instead=("Test_frameqa_question.tsv", "test_q.json"),
            ),
            DataFile(
                "videos",
                "https://github.com/raingo/TGIF-Release",
                "the GIFs that the questions name, as they are or as .mp4",
            ),
        ),
    ),
    _read,
    levels=("frameqa",),
)
