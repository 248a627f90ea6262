"""`valley probe`: what a file is, before anything is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valley.cli import text
from valley.cli.options import AsJson

if TYPE_CHECKING:
    from valley.video.decoding import VideoInfo


def probe(
    media: Annotated[list[Path], typer.Argument(help="Video files.")],
    as_json: AsJson = False,
) -> None:
    """Say what a video file is: frames, rate, codec ..."""
    from valley.video import decoding

    for number, path in enumerate(media):
        info = decoding.probe(path)
        if as_json:
            text.print_json(info.to_dict(), indent=2 if len(media) == 1 else None)
        else:
            print(("\n" if number else "") + text.table(_rows(info)))


def _rows(info: VideoInfo) -> list[tuple[str, str]]:
    rate = "variable, on average" if info.is_variable_frame_rate else "constant"
    rows = [
        ("file", info.path),
        ("size", text.size(info.size_bytes)),
        ("container", info.container),
        ("codec", _join(info.codec, info.pixel_format, f"{info.bit_depth} bit")),
        ("picture", f"{info.width_px} x {info.height_px}" + _picture_notes(info)),
        ("duration", f"{text.clock(info.duration_s)} ({info.duration_s:.3f} s)"),
        ("frames", f"{info.num_frames}" + _lost(info.num_lost_frames)),
        ("frame rate", f"{info.fps:.3f} per second ({rate})"),
        ("starts at", f"{info.start_s:.3f} s"),
        ("keyframes", _keyframes(info.keyframe_times_s)),
        ("audio", (info.audio_codec or "yes") if info.has_audio else "none"),
        ("subtitles", _join(*(str(s) for s in info.subtitles)) or "none"),
    ]
    return [(name, value) for name, value in rows if value]


def _lost(num_frames: int) -> str:
    return f" ({num_frames} of them cannot be read: the file ends early)" if num_frames else ""


def _picture_notes(info: VideoInfo) -> str:
    notes = [f"rotated by {info.rotation_deg} degrees"] if info.rotation_deg else []
    notes += ["with alpha"] if info.has_alpha else []
    notes += ["interlaced"] if info.is_interlaced else []
    return f" ({', '.join(notes)})" if notes else ""


def _keyframes(times_s: tuple[float, ...]) -> str:
    shown = ", ".join(f"{t:.2f}" for t in times_s[:6])
    return f"{len(times_s)} (at {shown}{', ...' if len(times_s) > 6 else ''} s)" if times_s else ""


def _join(*words: str | None) -> str:
    return ", ".join(w for w in words if w)
