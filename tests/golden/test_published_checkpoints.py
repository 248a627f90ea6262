"""The checkpoints of 2023, converted, against what the published code computed with them."""

from __future__ import annotations

import json
from pathlib import Path

import parity
import pytest

from valley.cli import run

ROOT = Path(__file__).parents[2]
GOLDEN, CLIPS = (ROOT.parent / "shared" / name for name in ("golden", "clips"))
pytestmark = pytest.mark.skipif(
    not (GOLDEN.is_dir() and CLIPS.is_dir()),
    reason="../shared/golden and ../shared/clips are not beside this checkout",
)
IDENTICAL = ("frame numbers", "video pixels", "image pixels", "token ids", "labels", "greedy ids")
TOLERANCES = {parity.HALF: parity.HALF_TOLERANCE, **dict.fromkeys(IDENTICAL, 0)}


def assert_published(worst, *, at_least: int) -> None:
    wrong = {
        quantity: error
        for quantity, error in worst.errors.items()
        if error > TOLERANCES.get(quantity, parity.TOLERANCE)
    }
    assert not wrong
    assert sum(worst.counts.values()) >= at_least


def test_frames_and_pixels_are_bit_identical() -> None:
    assert_published(parity.compare_pixels(GOLDEN, CLIPS), at_least=26)


@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("v1_mean", 150),
        ("v2_importance", 150),
        ("v3_transformer", 150),
        ("chinese", 100),
        ("delta", 24),
        ("lora/final", 24),
        ("lora/steps", 24),
    ],
)
def test_legacy_reproduces_everything(name: str, at_least: int, tmp_path: Path) -> None:
    golden = parity.Golden(name, GOLDEN, CLIPS)
    assert_published(parity.compare_set(golden, tmp_path, legacy=True), at_least=at_least)


@pytest.mark.parametrize(
    "name",
    [
        "v3_transformer",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("v1_mean", "v2_importance", "chinese", "delta")),
    ],
)
def test_the_default_reproduces_what_no_quirk_touches(name: str, tmp_path: Path) -> None:
    golden = parity.Golden(name, GOLDEN, CLIPS)
    assert_published(parity.compare_set(golden, tmp_path, legacy=False), at_least=16)


@pytest.mark.parametrize(
    ("name", "clip", "question", "case"),
    [
        ("v1_mean", "valley_a.mp4", "Describe this video concisely.", "inf_video_A_en"),
        ("chinese", "valley_d.mp4", "请描述这个视频。", "inf_video_B_zh"),
    ],
)
def test_the_plain_command_gives_the_published_answer(
    name: str, clip: str, question: str, case: str, tmp_path: Path, capsys
) -> None:
    golden = parity.Golden(name, GOLDEN, CLIPS)
    folder = golden.converted(tmp_path, legacy=False)
    asked = ["--model", str(folder), "-q", question, "--temperature", "0", "--max-new-tokens", "16", "--json"]
    assert run(["chat", str(CLIPS / clip), *asked]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == golden.record["cases"][case]["response"]
