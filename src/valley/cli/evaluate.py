"""`valley eval`: how good a model is, by benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from valley.cli.options import AsJson, Model


def evaluate(
    benchmark: Annotated[str, typer.Argument(help="The benchmark, such as synthetic.")],
    model: Model = "valley-mini",
    num_clips: Annotated[int, typer.Option("--num-clips", min=1, help="How many clips.")] = 200,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the scores to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model: accuracy for each task and language."""
    from valley.evaluation.run import evaluate as run
    from valley.inference.valley import Valley

    del run, Valley, benchmark, model, num_clips, plot, as_json, text
