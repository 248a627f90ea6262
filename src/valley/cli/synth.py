"""`valley synth`: clips with known content, rendered here."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from valley.cli import text
from valley.cli.groups import group_with_default

_Level: TypeAlias = Annotated[
    Literal["core", "rich"],
    typer.Option("--level", help="core is what valley-mini can learn; rich has more of everything."),
]


app = typer.Typer(
    cls=group_with_default("dataset"),
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Render clips with known content. `valley synth OUT` is short for `valley synth dataset OUT`.",
)


@app.command("dataset")
def dataset(
    out: Annotated[Path, typer.Argument(help="A folder to write clips, truth and questions to.")],
    num_clips: Annotated[int, typer.Option("--num-clips", min=1, help="How many clips.")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same files.")] = 0,
    level: _Level = "core",
) -> None:
    """Write clips with ground truth, captions and questions in several languages."""
    from valley.synthetic.dataset import write_dataset

    watch = functools.partial(text.say_progress, num_clips, what="clips") if sys.stderr.isatty() else None
    write_dataset(out, num_clips, seed, level=level, on_clip=watch)
    print(f"{num_clips} clips in {out}")


@app.command("draw")
def draw(
    out: Annotated[Path, typer.Argument(help="A folder to write scene documents to.")],
    num_scenes: Annotated[int, typer.Option("--num-scenes", min=1, help="How many scenes.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same scenes.")] = 0,
    level: _Level = "core",
) -> None:
    """Write scene documents only, to be read, changed and rendered."""
    from valley.synthetic.dataset import scene_number
    from valley.synthetic.scene import write_scene

    out.mkdir(parents=True, exist_ok=True)
    for index in range(num_scenes):
        write_scene(out / f"{index:06d}.json", scene_number(seed, index, level=level))
    print(f"{num_scenes} scenes in {out}")


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of scene documents."""
    from valley.synthetic.scene import scene_schema

    print(json.dumps(scene_schema(), indent=1))


@app.command("render")
def render(
    scene: Annotated[Path, typer.Argument(help="A scene document (JSON).")],
    out: Annotated[Path, typer.Argument(help="The video to write, such as out.mp4.")],
) -> None:
    """Render one scene document as a video."""
    from valley.synthetic.render import render_video
    from valley.synthetic.scene import read_scene

    document = read_scene(scene)
    out.parent.mkdir(parents=True, exist_ok=True)
    render_video(document, out)
    print(f"{out}: {document.num_frames} frames, {text.clock(document.duration_s)}")


@app.command("show")
def show(
    scene: Annotated[Path, typer.Argument(help="A scene document (JSON).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("sheet.png"),
    num_frames: Annotated[int, typer.Option("--num-frames", min=1, help="How many moments to draw.")] = 8,
) -> None:
    """Draw sampled frames of a scene with its ground truth beside them; print the truth as JSON."""
    from valley.cli.contact_sheet import write_scene_sheet
    from valley.synthetic.render import render_frames
    from valley.synthetic.scene import read_scene
    from valley.synthetic.timing import sampled_times
    from valley.synthetic.truth import truth_of

    document = read_scene(scene)
    times_s = sampled_times(document.num_frames, document.fps, num_frames)
    truth = truth_of(document)
    write_scene_sheet(output, str(scene), render_frames(document, times_s), truth)
    text.print_json(truth.to_record())
    print(f"drawn: {output}", file=sys.stderr)
