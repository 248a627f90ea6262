"""`valley eval`: how good a model is, as a record that can be traced, made again and compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from valley.cli import text
from valley.cli.groups import group_with_default
from valley.cli.options import AnyModel, AsJson, BaseUrl, Device, Dtype, Fps, NumFrames

if TYPE_CHECKING:
    from valley.evaluation.diff import RunDiff

_RUN = "run"
_MOST_LEVELS, _FIRST_LEVELS = 6, 3

app = typer.Typer(
    cls=group_with_default(_RUN),
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure a model, and compare runs: `valley eval synthetic --out runs/a`.",
)

RunFolder: TypeAlias = Annotated[Path, typer.Argument(help="The folder of a run, as --out named it.")]


@app.command(_RUN)
def run(
    benchmarks: Annotated[
        list[str],
        typer.Argument(help="Names, such as synthetic or synthetic:rich; files of questions (.jsonl, .csv)."),
    ],
    model: AnyModel = None,
    base_url: BaseUrl = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="Who scores open answers: URL#MODEL, or a model's name or folder."),
    ] = None,
    judge_cache: Annotated[
        Path | None,
        typer.Option("--judge-cache", help="Keep the judge's replies here, for other runs too; else in OUT."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The run's folder; a run that was cut short goes on.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Where annotations and media lie, a folder a benchmark.")
    ] = None,
    level: Annotated[
        str | None, typer.Option("--level", help="Which part, or how hard, such as rich; else the first.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first questions of each benchmark.")
    ] = None,
    num_clips: Annotated[
        int, typer.Option("--num-clips", min=1, help="How many clips, where they are rendered.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Which clips, where they are rendered.")] = 0,
    controls: Annotated[
        bool,
        typer.Option("--controls/--no-controls", help="Also ask with black, still and other frames."),
    ] = True,
    control_limit: Annotated[
        int | None,
        typer.Option("--control-limit", min=1, help="At most so many of each such control; 200."),
    ] = None,
    real_clips: Annotated[
        Path | None,
        typer.Option(
            "--real-clips", help="A folder of recorded videos, which a model of a small world should refuse."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, help="Questions at once; as many as the engine takes together."),
    ] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Processes, each with the model.")] = 1,
    num_frames: NumFrames = None,
    fps: Fps = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="The most tokens of an answer; 200.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say questions, tokens, judge's calls, missing media; ask nothing."),
    ] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the scores, such as scores.png.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model; the word run may be left out.

    Keys for servers are read from VALLEY_API_KEY, else OPENAI_API_KEY; the judge's from VALLEY_JUDGE_API_KEY
    first. Exit code 1: an error, such as a judge that does not answer; the same command goes on. 2: done, but
    some questions failed, or replies of the judge could not be read.
    """
    from valley.cli import evaluating

    ask = evaluating.Asked(
        benchmarks=tuple(benchmarks),
        model=model,
        base_url=base_url,
        judge=judge,
        judge_cache=judge_cache,
        out=out,
        data=data,
        level=level,
        limit=limit,
        num_clips=num_clips,
        seed=seed,
        controls=controls,
        control_limit=control_limit,
        real_clips=real_clips,
        batch_size=batch_size,
        processes=processes,
        num_frames=num_frames,
        fps=fps,
        max_new_tokens=max_new_tokens,
        plot=plot,
        dtype=dtype,
        device=device,
        as_json=as_json,
    )
    code = evaluating.plan(ask) if dry_run else evaluating.run(ask)
    if code:
        raise typer.Exit(code)


@app.command("diff")
def diff(first: RunFolder, second: RunFolder, as_json: AsJson = False) -> None:
    """Say whether two runs are equal, and else where they part: exit code 0 or 1.

    Looked at in this order: questions, media, frames, prompt, generation, scoring.
    """
    from valley.evaluation.diff import compare
    from valley.evaluation.records import open_run

    found = compare(open_run(first), open_run(second))
    if as_json:
        text.print_json(found.to_dict())
    else:
        _say_diff(found)
    if not found.is_equal:
        raise typer.Exit(1)


def _say_diff(found: RunDiff) -> None:
    if found.is_equal:
        print(f"equal: {found.num_questions} questions, from media to scores")
    else:
        print(text.table(found.counts.items(), header=("stage", "differ")))
        print(f"\nof {found.num_questions} questions; the runs part at: {found.stage}")
    if found.example is not None:
        one = found.example
        print(f"\nfirst: {one.benchmark}, {one.variant}, {one.id}")
        print(f"  a: {_line(one.first)}\n  b: {_line(one.second)}")
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)


def _line(value: object) -> str:
    import json

    return "absent" if value is None else json.dumps(value, ensure_ascii=False)


def _few(names: list[str]) -> str:
    """Name all where they are few, else the first ones: mvbench has a level for each of its twenty tasks."""
    if len(names) <= _MOST_LEVELS:
        return ", ".join(names)
    return ", ".join([*names[:_FIRST_LEVELS], f"... {len(names) - _FIRST_LEVELS} more (--json)"])


@app.command("list")
def list_benchmarks(as_json: AsJson = False) -> None:
    """List the benchmarks: levels, metrics, who scores, and whether data are needed."""
    from valley.evaluation.benchmark import BENCHMARKS

    rows = []
    for name in BENCHMARKS.names():
        one = BENCHMARKS.get(name)
        rows.append(
            {
                "name": name,
                "levels": list(one.levels),
                "metrics": [m.name for m in one.metrics],
                "scored_by": "a judge" if one.needs_judge else "rule",
                "needs_data": one.source is not None,
            }
        )
    if as_json:
        text.print_json(rows)
        return
    cells = (
        (
            r["name"],
            _few(r["levels"]),
            ", ".join(r["metrics"]),
            r["scored_by"],
            "yes" if r["needs_data"] else "no",
        )
        for r in rows
    )
    print(text.table(cells, header=("benchmark", "levels", "metrics", "scored by", "data")))
