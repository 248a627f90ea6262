"""NExT-QA: why, how, when and what in videos of daily life, with five choices; by rule.

`test.csv` and `val.csv`, as its authors publish them::

    video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
    4010069381,369,640,480,how do the two man play the instrument,0,6,CH,roll the handle,tap their feet,...

The clip is 4010069381.mp4, or where `map_vid_vidorID.json` ({"4010069381": "1164/4010069381"}) says.
The authors publish no words for language models: the question has the form that lmms-eval gives it.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.conversation import Video
from valley.evaluation.annotations import DataFolder
from valley.evaluation.benchmark import Benchmark, DataFile, DataSource, Item, Selection
from valley.evaluation.benchmarks._choice import LETTER_ONLY, ChoiceBenchmark, choice_item, lettered

MAPPING = "map_vid_vidorID.json"
# eval_mc.py of the authors' repository, which counts TP with TN
TYPES = {
    "CW": "causal_why",
    "CH": "causal_how",
    "TN": "temporal_before_after",
    "TP": "temporal_before_after",
    "TC": "temporal_when",
    "DC": "descriptive_count",
    "DL": "descriptive_location",
    "DO": "descriptive_other",
}
NUM_CHOICES = 5


def _read(data: DataFolder, selection: Selection, split: str) -> Iterator[Item]:
    del selection
    places = data.table(MAPPING) if data.find(MAPPING) else {}
    for row in data.rows(f"{split}.csv"):
        video, question = row.text("video"), row.text("question")
        choices = tuple(row.text(f"a{number}") for number in range(NUM_CHOICES))
        if row.text("type") not in TYPES:
            row.fail(f"want 'type' to be one of {', '.join(TYPES)}, got {row.text('type')!r}")
        task = TYPES[row.text("type")]
        names = (video, str(places[video])) if video in places else (video,)
        yield choice_item(
            f"{video}_{row.text('qid')}",
            Video(data.medium("videos", *names)),
            f"{question[:1].upper()}{question[1:].rstrip('?')}?\n{lettered(choices)}\n{LETTER_ONLY}",
            right=row.place("answer", NUM_CHOICES),
            choices=choices,
            task=task,
            clip=video,
            tags=(task.partition("_")[0],),
        )


BENCHMARK: Benchmark = ChoiceBenchmark(
    "next_qa",
    DataSource(
        title="NExT-QA, multiple choice",
        homepage="https://github.com/doc-doc/NExT-QA",
        citation="J. Xiao et al., NExT-QA: Next Phase of Question-Answering to Explaining Temporal Actions, "
        "CVPR 2021",
        licence="MIT (the repository with the questions); the clips are from VidOR (YFCC100M)",
        files=(
            DataFile(
                "test.csv",
                "https://github.com/doc-doc/NExT-QA/tree/main/dataset/nextqa",
                "questions with choices (paper, table 2)",
                8_564,
            ),
            DataFile(
                MAPPING,
                "https://github.com/doc-doc/NExT-QA/tree/main/dataset/nextqa",
                "where VidOR keeps each clip; not needed where clips are named by their number",
                is_optional=True,
            ),
            DataFile(
                "videos",
                "https://xdshang.github.io/docs/vidor.html",
                "the clips that the questions name (paper, table 2)",
                1_000,
            ),
        ),
    ),
    _read,
    levels=("test", "val"),
)
