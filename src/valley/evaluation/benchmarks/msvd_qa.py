"""MSVD-QA: open questions about short clips, made from their captions; judged.

Two published forms are read. That of its authors, `test_qa.json`, with the clip's number::

    {"answer": "man", "id": 30934, "question": "who pours liquid into a bag?", "video_id": 1301}

which is vid1301.avi, or the file that `youtube_mapping.txt` names ("Ffv7fhL1EDY_177_184 vid1301").
And that of Video-ChatGPT and Video-LLaVA, `test_q.json` beside `test_a.json`::

    {"video_name": "Ffv7fhL1EDY_177_184", "question": "who pours liquid into a bag?", "question_id": "v_1"}
    {"answer": "man", "question_id": "v_1"}
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

MAPPING = "youtube_mapping.txt"


def _read(data: DataFolder, split: str) -> Iterator[Item]:
    pairs = question_answer_rows(data, split)
    if pairs is not None:
        for asked, told in pairs:
            clip = data.medium("videos", asked.text("video_name"))
            question = asked.text("question")
            task = kind_of_question(question)
            yield open_item(asked.text("question_id"), clip, question, told.text("answer"), task=task)
        return
    names = _names(data)
    for row in data.rows(f"{split}_qa.json", f"{split}_q.json"):
        number = row.text("video_id")
        clip = data.medium("videos", f"vid{number}", *names.get(f"vid{number}", ()))
        question = row.text("question")
        yield open_item(row.text("id"), clip, question, row.text("answer"), task=kind_of_question(question))


def _names(data: DataFolder) -> dict[str, tuple[str, ...]]:
    """Read which YouTube clip each number is."""
    path = data.find(MAPPING)
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    return {words[1]: (words[0],) for words in map(str.split, lines) if len(words) == 2}


BENCHMARK: JudgedBenchmark = OpenAnswerBenchmark(
    "msvd_qa",
    DataSource(
        title="MSVD-QA",
        homepage="https://github.com/xudejing/video-question-answering",
        citation="D. Xu et al., Video Question Answering via Gradually Refined Attention over Appearance and "
        "Motion, ACM Multimedia 2017",
        licence="not stated by the authors for questions and clips; the clips are YouTube videos",
        files=(
            DataFile(
                "test_qa.json",
                "https://data.mendeley.com/datasets/h5j7cpwnvn",
                "questions with answers (paper, table 1); or test_q.json and test_a.json of Video-LLaVA "
                "(its TRAIN_AND_VALIDATE.md)",
                13_157,
                instead=("test_q.json",),
            ),
            DataFile(
                MAPPING,
                "https://www.cs.utexas.edu/users/ml/clamp/videoDescription/",
                "which YouTube clip each number is; only for test_qa.json with clips named by YouTube id",
                1_970,
                is_optional=True,
            ),
            DataFile(
                "videos",
                "https://www.cs.utexas.edu/users/ml/clamp/videoDescription/",
                "the clips of MSVD, all splits (YouTubeClips.tar)",
                1_970,
            ),
        ),
    ),
    _read,
)
