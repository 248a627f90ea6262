"""MVBench: twenty tasks that need more than one frame, each with choices; by rule.

One file a task, such as `json/action_sequence.json`; five of them ask about a stretch of the clip::

    {"video": "ZS9XR.mp4", "question": "What happened after the person took the food?",
     "candidates": ["Ate the medicine.", "Took the box."], "answer": "Ate the medicine.",
     "start": 11.1, "end": 19.6}

The words are those of video_chat2/mvbench.ipynb in https://github.com/OpenGVLab/Ask-Anything, which also
begins the answer for the model ("Best option:("); a conversation cannot do that, and the rule needs no such
help. Where the stretches were cut out already, as the later release has them (star/Charades_segment), those
are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from valley.conversation import Video, system
from valley.evaluation.annotations import DataFolder, Row
from valley.evaluation.benchmark import Benchmark, DataFile, DataSource, Item, Selection
from valley.evaluation.benchmarks._choice import ChoiceBenchmark, choice_item, lettered

SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and "
    "movement "
    "of objects, and the action and pose of persons. Based on your observations, select the best option that "
    "accurately addresses the question.\n"
)
LAST_LINE = "\nOnly give the best option."
TVQA_FPS = 3
"""How many pictures a second its folders of frames hold; their times are not told otherwise."""


@dataclass(frozen=True)
class Place:
    """Where the clips of a task lie below `video/`.

    Attributes:
        folder: of the whole clips.
        cut_out: of the stretches, in the release where they are files of their own; empty where the task
            asks about whole clips.
        is_frames: a clip is a folder of pictures.
    """

    folder: str
    cut_out: str = ""
    is_frames: bool = False


_STAR = Place("star/Charades_v1_480", "star/Charades_segment")
_CLEVRER = Place("clevrer/video_validation")
_PERCEPTION = Place("perception/videos")

TASKS: dict[str, Place] = {
    "action_sequence": _STAR,
    "action_prediction": _STAR,
    "action_antonym": Place("ssv2_video"),
    "fine_grained_action": Place("Moments_in_Time_Raw/videos"),
    "unexpected_action": Place("FunQA_test/test"),
    "object_existence": _CLEVRER,
    "object_interaction": _STAR,
    "object_shuffle": _PERCEPTION,
    "moving_direction": _CLEVRER,
    "action_localization": Place("sta/sta_video", "sta/sta_video_segment"),
    "scene_transition": Place("scene_qa/video"),
    "action_count": _PERCEPTION,
    "moving_count": _CLEVRER,
    "moving_attribute": _CLEVRER,
    "state_change": _PERCEPTION,
    "fine_grained_pose": Place("nturgbd"),
    "character_order": _PERCEPTION,
    "egocentric_navigation": Place("vlnqa"),
    "episodic_reasoning": Place("tvqa/frames_fps3_hq", "tvqa/video_fps3_hq_segment", is_frames=True),
    "counterfactual_inference": _CLEVRER,
}


def _read(data: DataFolder, selection: Selection, level: str) -> Iterator[Item]:
    del selection
    for task in TASKS if level == "all" else (level,):
        for number, row in enumerate(data.rows(f"json/{task}.json", f"{task}.json")):
            yield _item(data, task, number, row)


def _item(data: DataFolder, task: str, number: int, row: Row) -> Item:
    choices, answer = row.texts("candidates"), row.text("answer")
    if answer not in choices:
        row.fail(f"want 'answer' to be one of the candidates, got {answer!r}")
    question = f"Question: {row.text('question')}\nOptions:\n{lettered(choices, '({letter}) {choice}')}"
    item = choice_item(
        f"{task}-{number:03d}",
        _clip(data, TASKS[task], row),
        SYSTEM + question + LAST_LINE,
        right=choices.index(answer),
        choices=choices,
        task=task,
        clip=f"{TASKS[task].folder}/{row.text('video')}",
    )
    first = system(SYSTEM.strip())
    return replace(
        item, conversation=replace(item.conversation, messages=(first, *item.conversation.messages))
    )


def _clip(data: DataFolder, place: Place, row: Row) -> Video:
    name = row.text("video")
    if not place.cut_out:
        return Video(data.medium(f"video/{place.folder}", name))
    cut_out = data.medium(f"video/{place.cut_out}", name)
    if cut_out.is_file():
        return Video(cut_out)
    start_s, end_s = row.number("start"), row.number("end")
    if not place.is_frames:
        return Video(data.medium(f"video/{place.folder}", name), start_s, end_s)
    folder = data.medium(f"video/{place.folder}", name, suffixes=("",))
    # Pictures without told times count as one a second.
    per_second = 1 if any((folder / f"timestamps.{s}").is_file() for s in ("txt", "json")) else TVQA_FPS
    return Video(folder, start_s * per_second, end_s * per_second)


BENCHMARK: Benchmark = ChoiceBenchmark(
    "mvbench",
    DataSource(
        title="MVBench",
        homepage="https://github.com/OpenGVLab/Ask-Anything/blob/main/video_chat2/MVBENCH.md",
        citation="K. Li et al., MVBench: A Comprehensive Multi-modal Video Understanding Benchmark, "
        "CVPR 2024",
        licence="MIT (the questions); the clips belong to their owners and are for academic research alone",
        files=(
            *(
                DataFile(
                    f"json/{task}.json",
                    "https://huggingface.co/datasets/OpenGVLab/MVBench/tree/main/json",
                    "questions with choices (paper, section 3.2)",
                    200,
                    instead=(f"{task}.json",),
                )
                for task in TASKS
            ),
            *(
                DataFile(
                    f"video/{folder}",
                    "https://huggingface.co/datasets/OpenGVLab/MVBench/tree/main/video",
                    "clips, unpacked; those of NTU RGB+D are asked for at https://rose1.ntu.edu.sg"
                    if folder == "nturgbd"
                    else "clips, unpacked",
                    instead=(f"video/{cut_out}",) if cut_out else (),
                )
                for folder, cut_out in dict.fromkeys((p.folder, p.cut_out) for p in TASKS.values())
            ),
        ),
    ),
    _read,
    levels=("all", *TASKS),
)
