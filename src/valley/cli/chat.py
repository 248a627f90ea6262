"""`valley chat`: ask about videos, one question or a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from valley.cli import media as cli_media
from valley.cli.conversing import answer, converse
from valley.cli.opening import open_model
from valley.cli.options import (
    AnyModel,
    AsJson,
    BaseUrl,
    Device,
    Dtype,
    End,
    Fps,
    Isolated,
    Media,
    NumFrames,
    OnDamage,
    Start,
    Subtitles,
)

if TYPE_CHECKING:
    from valley.inference.options import Options


def chat(
    media: Media = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="Ask this and exit; without it, converse.")
    ] = None,
    model: AnyModel = None,
    base_url: BaseUrl = None,
    num_frames: NumFrames = None,
    fps: Fps = None,
    start: Start = None,
    end: End = None,
    subtitles: Subtitles = "off",
    system: Annotated[str | None, typer.Option("--system", help="Put this before the conversation.")] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Ask for answers in this language: en, zh, es ...")
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.0, help="0: always the likeliest word, repeatable.")
    ] = 0.0,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, help="The longest answer, in tokens.")
    ] = 256,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Repeat the same random choices (above temperature 0).")
    ] = None,
    on_damage: OnDamage = "raise",
    isolated: Isolated = False,
    dtype: Dtype = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Ask about videos and pictures.

    The answer is written word by word. Without --question this converses: one line a question, /help for the
    commands.
    """
    options: Options = {
        "num_frames": num_frames,
        "fps": fps,
        "system": system,
        "language": language,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "isolated": isolated,
        "on_damage": on_damage,
    }
    parts = cli_media.parts(media or [], start_s=start, end_s=end, subtitles=subtitles)

    from valley.inference.valley import Valley

    session = Valley(open_model(model, base_url, dtype, device)).chat(*parts, **options)
    if question is not None:
        answer(session, question, as_json=as_json)
    else:
        converse(session, as_json=as_json)
