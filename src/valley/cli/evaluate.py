"""`valley eval`: how good a model is, by benchmark."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from valley.cli import text
from valley.cli.options import AsJson, Device, Dtype, Model

REAL_CLIPS = Path("../shared/clips")
"""Where real clips lie beside a checkout."""


def evaluate(
    benchmark: Annotated[str, typer.Argument(help="The benchmark, such as synthetic.")],
    model: Model = "valley-mini",
    num_clips: Annotated[int, typer.Option("--num-clips", min=1, help="How many clips.")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Which clips; the same seed gives the same ones.")] = 0,
    level: Annotated[
        str | None, typer.Option("--level", help="How hard, such as core or rich; the benchmark's first.")
    ] = None,
    controls: Annotated[
        bool,
        typer.Option("--controls/--no-controls", help="Also ask with black, still and other frames."),
    ] = True,
    real_clips: Annotated[
        Path | None,
        typer.Option(
            "--real-clips",
            help="A folder of recorded videos, which a model of a small world should refuse; "
            f"{REAL_CLIPS} by default, where it exists.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep clips and answers here; a run cut short goes on.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the scores, such as scores.png.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model: accuracy by task and language."""
    from valley.evaluation.benchmark import BENCHMARKS, Selection
    from valley.evaluation.report import as_table, check_can_draw, draw_report, make_report
    from valley.evaluation.run import evaluate as run
    from valley.inference.resolving import resolve
    from valley.inference.valley import Valley
    from valley.inference.weights import fingerprint

    asked = BENCHMARKS.get(benchmark)
    if real_clips is None and REAL_CLIPS.is_dir():
        real_clips = REAL_CLIPS
    if plot is not None:
        check_can_draw(plot)  # before minutes are spent on answers
        plot.parent.mkdir(parents=True, exist_ok=True)
    weights = fingerprint(resolve(model))
    valley = Valley.from_pretrained(model, dtype=dtype, device=device)
    with tempfile.TemporaryDirectory(prefix="valley-eval-") as folder:
        scored = run(
            asked,
            valley.backend,
            out or Path(folder),
            Selection(num_clips, seed, level, controls, real_clips),
            model_fingerprint=weights,
            on_answer=_say_progress if sys.stderr.isatty() else None,
        )
    report: dict[str, Any] = make_report(scored)
    if plot is not None:
        draw_report(
            report, plot, title=f"{valley.name} on {benchmark}, {level or asked.levels[0]}, {num_clips} clips"
        )
    if as_json:
        settings = {
            "benchmark": benchmark,
            "level": level or asked.levels[0],
            "model": valley.name,
            "num_clips": num_clips,
            "seed": seed,
        }
        text.print_json({**settings, **report})
    else:
        print(as_table(report))


def _say_progress(done: int, of_all: int) -> None:
    text.say_progress(of_all, done, what="answers")
