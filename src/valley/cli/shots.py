"""`valley shots`: where the shots of a clip begin and end, as a table, JSON or a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valley.cli import text
from valley.cli.options import AsJson

if TYPE_CHECKING:
    from valley.video.frames import Frames
    from valley.video.shots import Shot

_SHARES = (0.1, 0.5, 0.9)  # of a shot: where its tiles are from
_HEADER = ("shot", "from", "to", "begins with", "score")


def shots(
    media: Annotated[list[Path], typer.Argument(help="Video files.")],
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Draw three frames of each shot into this picture.")
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            "--detector", help="valley, valley_full (every frame is decoded), scenedetect_adaptive ..."
        ),
    ] = "valley",
) -> None:
    """Find the shots of a video, and how each begins."""
    from valley.cli.contact_sheet import write_contact_sheet
    from valley.video.looking import look

    strips: list[tuple[str, Frames]] = []
    for number, path in enumerate(media):
        found = look(path, detector=detector).shots
        if as_json:
            _print_json(path, found, is_only=len(media) == 1)
        else:
            print(("\n" if number else "") + f"{path}\n" + text.table(_rows(found), header=_HEADER))
        strips += _strips(path, found) if out else []
    if out:
        write_contact_sheet(out, strips)


def _rows(found: tuple[Shot, ...]) -> list[tuple[str, ...]]:
    return [
        (str(number), _time(s.start_s), _time(s.end_s), _beginning(s), f"{s.score:.2f}")
        for number, s in enumerate(found, start=1)
    ]


def _time(seconds: float) -> str:
    return f"{seconds:.2f}"


def _beginning(shot: Shot) -> str:
    lasts = f" ({shot.transition_s:.2f} s)" if shot.transition == "gradual" else ""
    return shot.transition + lasts


def _print_json(path: Path, found: tuple[Shot, ...], *, is_only: bool) -> None:
    import dataclasses

    listed = [
        {name: round(v, 6) if isinstance(v, float) else v for name, v in dataclasses.asdict(s).items()}
        for s in found
    ]
    text.print_json({"path": str(path), "shots": listed}, indent=2 if is_only else None)


def _strips(path: Path, found: tuple[Shot, ...]) -> list[tuple[str, Frames]]:
    """Read three frames of each shot; a shot is a row of the sheet."""
    from valley.video.decoding import read_frames
    from valley.video.sampling import FrameSampling

    times_s = [s.start_s + share * (s.end_s - s.start_s) for s in found for share in _SHARES]
    frames = read_frames(path, FrameSampling(times_s=tuple(times_s)), size_px=240)
    return [
        (
            f"{path.name}, shot {number + 1} ({s.transition}), {s.start_s:.2f} s to {s.end_s:.2f} s",
            frames.take(list(range(number * len(_SHARES), (number + 1) * len(_SHARES)))),
        )
        for number, s in enumerate(found)
    ]
