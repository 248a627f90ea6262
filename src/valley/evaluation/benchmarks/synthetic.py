"""Questions about rendered clips never seen in training, scored by exact answer; needs no download.

Clips of a seed that training streams never use are rendered as real H.264 files and read back like any
video. Each task is asked once a clip in a language that changes from clip to clip; half of the questions
are worded as training never words them. The control "blind" asks the same about a black clip of the same
length.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from valley.conversation import Conversation, Video, user
from valley.evaluation.benchmark import Benchmark, Item
from valley.synthetic import questions
from valley.synthetic.dataset import scene_number
from valley.synthetic.render import render_video
from valley.synthetic.scene import Scene
from valley.synthetic.truth import truth_of
from valley.synthetic.world import LANGUAGES
from valley.video.encoding import write_video

TEST_SEED_OFFSET = 1_000_003
"""Keeps the test scenes' seeds apart from any seed a recipe is likely to name."""


class Synthetic:
    """The benchmark; see the module's first lines."""

    def items(self, folder: Path, *, num_clips: int, seed: int) -> list[Item]:
        """Render the clips that are absent and list the questions."""
        folder.mkdir(parents=True, exist_ok=True)
        return [item for i in range(num_clips) for item in self._about_clip(folder, seed, i)]

    def score(self, item: Item, answer: str) -> float:
        """Give 1 for exactly the reference, apart from space around it and the case of letters."""
        return float(answer.strip().casefold() == item.reference.strip().casefold())

    def _about_clip(self, folder: Path, seed: int, index: int) -> list[Item]:
        scene = scene_number(TEST_SEED_OFFSET + seed, index)
        clip, black = folder / f"{seed}-{index:05d}.mp4", folder / f"{seed}-{index:05d}-black.mp4"
        if not clip.exists():
            render_video(scene, clip)
        if not black.exists():
            _write_black(scene, black)
        truth, found = truth_of(scene), []
        for number, task in enumerate(questions.VIDEO_TASKS):
            rng = np.random.default_rng([seed, index, number, 2])
            language, unseen = LANGUAGES[(index + number) % len(LANGUAGES)], bool(index % 2)
            asked = questions.ask(truth, task, language, rng, unseen=unseen)
            if asked is not None:
                tags = (
                    "one_object" if len(truth.objects) == 1 else "two_objects",
                    "unseen_phrasing" if unseen else "seen_phrasing",
                )
                found.append((asked, tags))
        return [
            Item(
                f"{variant}-{seed}-{index}-{asked.task}",
                variant,
                asked.task,
                asked.language,
                tags,
                Conversation((user(Video(medium), asked.text),), asked.language),
                asked.answer,
            )
            for variant, medium in (("normal", clip), ("blind", black))
            for asked, tags in found
        ]


def _write_black(scene: Scene, path: Path) -> None:
    frame = np.zeros((scene.height_px, scene.width_px, 3), np.uint8)
    write_video(path, (frame for _ in range(scene.num_frames)), fps=scene.fps)


BENCHMARK: Benchmark = Synthetic()
