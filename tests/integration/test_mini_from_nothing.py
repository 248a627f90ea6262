"""The four recipes of the embedded model, from nothing, in about ten minutes on two cores.

Whatever breaks on the way from scenes to answers (labels, times, pooling, template, label mask, rates) leaves
direction at chance, which is one in four.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from valley.cli import run
from valley.evaluation.benchmark import BENCHMARKS, Selection
from valley.evaluation.report import make_report
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Task
from valley.inference.valley import Valley

RECIPES = Path(__file__).parents[2] / "recipes" / "mini"
CHANCE, MARGIN = 25, 20


@pytest.mark.slow
def test_ten_minutes_of_training_tell_directions_apart(tmp_path: Path) -> None:
    vision, language, align, instruct = (tmp_path / n for n in ("vision", "language", "align", "instruct"))
    for recipe, out, steps, more in (
        ("vision", vision, 1800, ()),
        ("language", language, 900, ("english_until=0.0", "rich_from=1.0")),
        (
            "align",
            align,
            150,
            (
                f"model.vision_tower={vision}",
                f"model.language_model={language}",
                f"model.temporal_pooling_weights={language}",
            ),
        ),
        ("instruct", instruct, 150, (f"base={align}",)),
    ):
        arguments = [str(RECIPES / f"{recipe}.yaml"), f"out={out}", f"max_steps={steps}", *more]
        assert run(["train", *arguments]) == 0
    mini = Valley.from_pretrained(instruct)
    task = Task("synthetic", BENCHMARKS.get("synthetic"), Selection(60, controls=False))
    report = make_report(evaluate([task], mini.backend, tmp_path / "scores").answers)
    direction = report["tasks"]["direction"]
    assert direction["count"] >= 40
    assert direction["score"] >= CHANCE + MARGIN
