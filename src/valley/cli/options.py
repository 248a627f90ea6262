"""Options that several commands share: one spelling, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

Media: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(help="Videos, pictures, or folders of frames, in the order the model meets them."),
]
Model: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="An embedded name, a folder, or a Hugging Face hub id.")
]
AnyModel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="An embedded name, a folder, or a Hugging Face hub id (valley-mini unless given); "
        "with --base-url its name at the server (the only one there unless given).",
    ),
]
BaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        help="Ask an OpenAI-compatible server, such as http://localhost:8000/v1; its key is read from "
        "VALLEY_API_KEY, else OPENAI_API_KEY.",
    ),
]
Fps: TypeAlias = Annotated[
    float | None, typer.Option("--fps", help="Frames taken per second; --num-frames then caps them.")
]
NumFrames: TypeAlias = Annotated[
    int | None, typer.Option("--num-frames", min=1, help="Frames taken from each video, first to last.")
]
Start: TypeAlias = Annotated[
    float | None, typer.Option("--start", help="Only from this second on (0 is the first frame).")
]
End: TypeAlias = Annotated[float | None, typer.Option("--end", help="Only up to this second.")]
Subtitles: TypeAlias = Annotated[
    str,
    typer.Option(
        "--subtitles", help="Give the model the timed text: off, auto (beside or in the file), or a file."
    ),
]
Isolated: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--isolated", help="Decode in a process of its own, with limits: for files you do not trust."
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
Dtype: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="float32, bfloat16, float16; int8 or int4: quantise the language model. "
        "Unless given: float32 on a CPU, else as stored.",
    ),
]
Device: TypeAlias = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps; the GPU where there is one.")
]
OnDamage: TypeAlias = Annotated[
    Literal["raise", "warn"],
    typer.Option("--on-damage", help="Frames that cannot be decoded: raise an error, or warn and go on."),
]
