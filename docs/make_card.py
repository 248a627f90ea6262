"""Fill the scores and the ten examples of docs/model-card.md (and the scores of README.md) from measurements.

    valley eval synthetic --num-clips 150 --out out/core --json > out/core.json
    valley eval synthetic --num-clips 150 --level rich --no-controls --out out/rich --json > out/rich.json
    valley eval synthetic --num-clips 24 --seed 5 --no-controls --json > out/fixed.json
    python docs/make_card.py out/core out/core.json out/rich.json out/fixed.json

Nothing between the markers is written by hand. The examples are the first clips of the measured run, a task
each, whether right or wrong, and the first wrong answers about clips after those.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from valley.evaluation.report import as_table
from valley.synthetic.questions import VIDEO_TASKS
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling

ROOT = Path(__file__).parents[1]
CARD, README = ROOT / "docs" / "model-card.md", ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "card.png"
NUM_EXAMPLES, NUM_WRONG = 10, 3
HALF = 0.5
"""Captions below this score tell more that is wrong or missing than what is right."""
TILE_PX, GAP_PX = 72, 4


def main() -> None:
    """Fill both pages and draw the strips."""
    answers, *measured = (Path(argument) for argument in sys.argv[1:5])
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in measured]
    scores = _scores(*reports)
    _fill(README, "scores", scores)
    _fill(CARD, "scores", scores)
    examples = _examples(answers / "answers.jsonl")
    _fill(CARD, "examples", _example_table(examples))
    _draw([answers / _clip(e) for e in examples])


def _fill(page: Path, name: str, words: str) -> None:
    text = page.read_text(encoding="utf-8")
    block = f"<!-- {name} -->\n{words}\n<!-- /{name} -->"
    filled, found = re.subn(f"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, text, flags=re.DOTALL)
    if found != 1:
        raise SystemExit(f"{page}: want one block {name}, found {found}")
    page.write_text(filled, encoding="utf-8")


def _scores(core: dict[str, Any], rich: dict[str, Any], fixed: dict[str, Any]) -> str:
    def told(report: dict[str, Any], tag: str) -> str:
        return f"{report['tags'][tag]['overall']['score']:.1f}"

    unseen = f"{told(core, 'unseen_phrasing')} (worded as in training: {told(core, 'seen_phrasing')})"
    new = f"{told(core, 'unseen_combination')} (all of them known: {told(core, 'seen_combination')})"
    command = "valley eval synthetic --num-clips"
    return "\n\n".join(
        [
            f"Level core, `{command} {core['num_clips']}`:",
            as_table(core),
            f"Questions worded as training never words them: {unseen}. Clips with a colour, shape and"
            f" event that training never shows together: {new}.",
            f"Level rich, `{command} {rich['num_clips']} --level rich --no-controls`:",
            as_table(rich),
            f"Measured again by the tests, `{command} {fixed['num_clips']} --seed {fixed['seed']}`:"
            f" {fixed['overall']['score']} %.",
        ]
    )


def _examples(path: Path) -> list[dict[str, Any]]:
    """Give the answer about clip k to task k, for the first clips that were asked it."""
    lines = [json.loads(line) for line in path.open(encoding="utf-8")]
    normal = [line for line in lines if line["variant"] == "normal"]
    clips = list(dict.fromkeys(_clip(line) for line in normal))
    found = []
    for number, clip in enumerate(clips):
        about = {line["task"]: line for line in normal if _clip(line) == clip}
        order = VIDEO_TASKS[number % len(VIDEO_TASKS) :] + VIDEO_TASKS[: number % len(VIDEO_TASKS)]
        found.append(next(about[task] for task in order if task in about))
    right_or_wrong = found[: NUM_EXAMPLES - NUM_WRONG]
    shown = {_clip(line) for line in right_or_wrong}
    wrong = {
        _clip(line): line for line in reversed(normal) if _score(line) < HALF and _clip(line) not in shown
    }
    return right_or_wrong + [wrong[clip] for clip in clips if clip in wrong][:NUM_WRONG]


def _clip(line: dict[str, Any]) -> str:
    return line["messages"][-1]["content"][0]["path"]


def _score(line: dict[str, Any]) -> float:
    return line["scores"]["accuracy"]


def _example_table(examples: list[dict[str, Any]]) -> str:
    rows = ["| clip | question | answer | right? |", "| ---: | --- | --- | --- |"]
    for number, one in enumerate(examples, 1):
        question = one["messages"][-1]["content"][-1]["text"]
        verdict = "yes" if _score(one) == 1 else f"no: {one['reference']}"
        rows.append(f"| {number} | {question} | {one['answer']} | {verdict} |")
    return "\n".join(rows)


def _draw(clips: list[Path]) -> None:
    """Draw the frames of each clip in a row, the first clip on top."""
    width = 8 * (TILE_PX + GAP_PX) - GAP_PX
    sheet = Image.new("RGB", (width, len(clips) * (TILE_PX + GAP_PX) - GAP_PX), "white")
    for row, clip in enumerate(clips):
        for column, pixels in enumerate(read_frames(clip, FrameSampling(num_frames=8)).pixels):
            tile = Image.fromarray(pixels).resize((TILE_PX, TILE_PX))
            sheet.paste(tile, (column * (TILE_PX + GAP_PX), row * (TILE_PX + GAP_PX)))
    sheet.quantize(256, method=Image.Quantize.FASTOCTREE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
