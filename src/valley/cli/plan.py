"""`valley plan`: what a question about these media will cost, before any weight is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from valley.cli import media as cli_media
from valley.cli import text
from valley.cli.options import AsJson, Device, Dtype, End, Fps, Media, Model, NumFrames, Start, Subtitles

if TYPE_CHECKING:
    from valley.inference.planning import Plan


def plan(
    media: Media = None,
    model: Model = "valley-mini",
    fps: Fps = None,
    num_frames: NumFrames = None,
    start: Start = None,
    end: End = None,
    subtitles: Subtitles = "off",
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, help="Room for the answer.")
    ] = 256,
    dtype: Dtype = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Say frames, tokens and memory before loading."""
    parts = cli_media.parts(media or [], start_s=start, end_s=end, subtitles=subtitles)

    from valley.inference.options import sampling_from
    from valley.inference.planning import make_plan

    sampling = sampling_from(fps=fps, num_frames=num_frames)
    result = make_plan(
        model, parts, sampling=sampling, max_new_tokens=max_new_tokens, dtype=dtype, device=device
    )
    if as_json:
        text.print_json(result.to_dict())
    else:
        print(_describe(result))


def _describe(plan: Plan) -> str:
    media = [
        (
            m.path,
            len(m.timestamps_s),
            m.visual_tokens,
            ", ".join(f"{t:.2f}" for t in m.timestamps_s[:8]) + _more(m.timestamps_s),
        )
        for m in plan.media
    ]
    sums = [
        ("model", plan.model),
        ("visual tokens", str(plan.visual_tokens)),
        ("prompt tokens", f"{plan.prompt_tokens} without the question's words"),
        ("context", _context(plan)),
        ("KV cache", f"{text.size(plan.kv_cache_bytes)} at the end of the answer ({plan.dtype})"),
        ("weights", text.size(plan.weights_bytes)),
        ("working memory", f"about {text.size(plan.activation_bytes)}"),
        ("together", f"about {text.size(plan.total_bytes)}"),
    ]
    head = text.table(media, header=("medium", "frames", "tokens", "at seconds")) + "\n\n" if media else ""
    return head + text.table(sums)


def _more(times_s: tuple[float, ...]) -> str:
    return ", ..." if len(times_s) > 8 else ""


def _context(plan: Plan) -> str:
    if plan.max_context_tokens is None:
        return "no limit known"
    if plan.fits_context:
        return f"fits into {plan.max_context_tokens} with {plan.max_new_tokens} for the answer"
    return f"DOES NOT FIT into {plan.max_context_tokens}: {plan.cure}"
