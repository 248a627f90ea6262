"""The embedded model on clips it never saw, read from real files: as good as README says, and it looks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import valley
from valley.conversation import Video, user
from valley.evaluation.benchmark import BENCHMARKS, Selection
from valley.evaluation.report import make_report
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Task
from valley.inference.valley import Valley
from valley.synthetic import wording
from valley.synthetic.foreign import FOREIGN_SHARES, draw_foreign
from valley.video.encoding import write_video

ROOT = Path(__file__).parents[2]
ASSETS = Path(valley.__file__).parent / "assets" / "valley-mini"
SEED, NUM_CLIPS = 5, 24
"""The fixed split; `docs/make_card.py` writes its score into README."""

FARTHEST_OFF = 3.0
"""Points by which the score may differ from README's: arithmetic differs a little between machines."""


@pytest.fixture(scope="module")
def mini() -> Valley:
    return Valley.from_pretrained("valley-mini")


@pytest.fixture(scope="module")
def report(mini: Valley, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mini")
    task = Task("synthetic", BENCHMARKS.get("synthetic"), Selection(NUM_CLIPS, SEED))
    return make_report(evaluate([task], mini.backend, folder).answers)


def test_its_score_is_the_one_in_the_readme(report: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.search(rf"--num-clips {NUM_CLIPS} --seed {SEED}[^:]*: ([0-9.]+) %", readme)
    assert told, "README does not tell the score of the fixed split"
    assert report["overall"]["count"] > 250
    assert report["overall"]["score"] == pytest.approx(float(told[1]), abs=FARTHEST_OFF)


def test_black_frames_tell_it_nothing(report: dict[str, Any]) -> None:
    assert report["blind"]["overall"]["score"] <= 35


def test_one_frame_does_not_tell_what_moves(report: dict[str, Any]) -> None:
    whole, still = report["tasks"]["direction"], report["one_frame"]["tasks"]["direction"]
    assert whole["count"] > 12
    assert whole["score"] - still["score"] >= 20


def test_its_answer_follows_the_frames(report: dict[str, Any]) -> None:
    swapped = report["swapped"]["overall"]
    assert swapped["count"] > 50
    assert swapped["score"] >= 35  # who answers from the question alone is never right here


def test_it_seldom_refuses_its_own_world(report: dict[str, Any]) -> None:
    assert report["refused_own"]["score"] <= 2


def test_it_says_so_when_the_footage_is_of_another_world(mini: Valley, tmp_path: Path) -> None:
    refused = []
    for number, kind in enumerate(FOREIGN_SHARES):
        clip = tmp_path / f"{kind}.mp4"
        pixels = draw_foreign(np.random.default_rng([77, number]), 24, 96, kind=kind)
        write_video(clip, iter(pixels), fps=8)
        answer = "".join(mini.chat().ask(*user(Video(clip), "What is happening here?").parts)).strip()
        refused.append(answer == wording.REFUSAL["en"])
    assert sum(refused) >= 0.8 * len(refused), dict(zip(FOREIGN_SHARES, refused, strict=True))


def test_it_is_small_and_names_no_folder() -> None:
    assert sum(f.stat().st_size for f in ASSETS.iterdir()) < 25e6
    config = json.loads((ASSETS / "config.json").read_text(encoding="utf-8"))
    for part in (config, config["vision_config"], config["text_config"]):
        assert "/" not in part.get("_name_or_path", "")
