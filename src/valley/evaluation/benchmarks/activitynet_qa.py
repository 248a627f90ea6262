"""ActivityNet-QA: open questions about activities in untrimmed videos; judged.

`test_q.json` beside `test_a.json`, as its authors publish them::

    {"video_name": "1QIUV7WYKXg", "question": "is the athlete wearing trousers",
     "question_id": "v_1QIUV7WYKXg_3"}
    {"answer": "no", "type": 3, "question_id": "v_1QIUV7WYKXg_3"}

The clip is v_1QIUV7WYKXg.mp4, the name that ActivityNet's own files have, or the same without "v_".
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.evaluation.annotations import DataFolder
from valley.evaluation.benchmark import DataFile, DataSource, Item, JudgedBenchmark
from valley.evaluation.benchmarks._open_answer import OpenAnswerBenchmark, open_item, question_answer_rows

# dataset/README.md and evaluation/eval.py of the authors' repository
TYPES = (
    "motion",
    "spatial_relation",
    "temporal_relation",
    "yes_no",
    "color",
    "object",
    "location",
    "number",
    "other",
)


def _read(data: DataFolder, split: str) -> Iterator[Item]:
    data.file(f"{split}_q.json")
    for asked, told in question_answer_rows(data, split) or ():
        name = asked.text("video_name").removeprefix("v_")
        clip = data.medium("videos", f"v_{name}", name)
        task = TYPES[told.place("type", len(TYPES))] if told.has("type") else "other"
        question = asked.text("question")
        yield open_item(asked.text("question_id"), clip, question, told.text("answer"), task=task)


BENCHMARK: JudgedBenchmark = OpenAnswerBenchmark(
    "activitynet_qa",
    DataSource(
        title="ActivityNet-QA",
        homepage="https://github.com/MILVLG/activitynet-qa",
        citation="Z. Yu et al., ActivityNet-QA: A Dataset for Understanding Complex Web Videos via Question "
        "Answering, AAAI 2019",
        licence="MIT (the repository with the questions); the clips are YouTube videos",
        files=(
            DataFile(
                "test_q.json",
                "https://github.com/MILVLG/activitynet-qa/tree/master/dataset",
                "questions (dataset/README.md)",
                8_000,
            ),
            DataFile(
                "test_a.json",
                "https://github.com/MILVLG/activitynet-qa/tree/master/dataset",
                "answers with their types (dataset/README.md)",
                8_000,
            ),
            DataFile(
                "videos",
                "http://activity-net.org/download.html",
                "the videos that the questions name, as v_1QIUV7WYKXg.mp4 (dataset/README.md)",
                800,
            ),
        ),
    ),
    _read,
)
