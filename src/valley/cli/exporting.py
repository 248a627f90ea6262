"""`valley data export`: our conversations as other programs read them."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valley.cli import text
from valley.cli.options import AsJson
from valley.errors import ConfigError

if TYPE_CHECKING:
    from valley.conversation import Conversation, Video


def export(
    file: Annotated[Path, typer.Argument(help="Conversations, one JSON object a line.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, such as out.json.")],
    to: Annotated[
        str | None, typer.Option("--to", help="The format to write; without it, they are listed.")
    ] = None,
    media_root: Annotated[
        Path | None,
        typer.Option("--media-root", help="Where relative paths of media begin; else the file's folder."),
    ] = None,
    allow_unknown_licence: Annotated[
        bool, typer.Option("--allow-unknown-licence", help="Also write what nobody stated the licence of.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write conversations in the format of another project: LLaVA's list, or ShareGPT for LLaMA-Factory.

    Paths of media are written as seen from OUT. Neither format has a place for a part of a clip: a window
    that leaves nothing out is dropped, for which the clip is looked at; a conversation about a part is left
    out. What `valley instruct` wrote must say where it comes from. A name that ends in .jsonl gets one object
    a line.
    """
    from valley.conversation import read_jsonl
    from valley.importers import exporting
    from valley.importers.placing import place_media

    if to is None:
        raise ConfigError(f"want --to with a format: {', '.join(exporting.EXPORTS)}")
    if file.resolve() == out.resolve():
        raise ConfigError(f"{out}: is the file that is read: give another name to write to")
    out.parent.mkdir(parents=True, exist_ok=True)
    unknown: Counter[str] = Counter()
    found = read_jsonl(file, media_root=Path())  # as they stand there
    allowed = _allowed(found, unknown, everything=allow_unknown_licence)
    placed = place_media(allowed, media_root=media_root or file.parent, folder=out.parent)

    def is_whole(video: Video) -> bool:
        if exporting.has_no_window(video):
            return True
        duration_s, frame_s = _length(str(out.parent / str(video.source)))
        # the last frame is shown to the end of the clip: a window that reaches into it has it
        return (video.start_s or 0.0) <= 0 and (video.end_s is None or video.end_s >= duration_s - frame_s)

    done = exporting.export(placed, out, to=to, is_whole=is_whole)
    left_out = done.left_out + unknown
    if as_json:
        text.print_json({"file": str(out), "num_written": done.num_written, "left_out": dict(left_out)})
        return
    print(f"{out}: {done.num_written} conversations")
    for reason, count in left_out.most_common():
        print(f"left out, {reason}: {count}", file=sys.stderr)


def _allowed(
    conversations: Iterable[Conversation], unknown: Counter[str], *, everything: bool
) -> Iterator[Conversation]:
    """Yield what may be let out, and count the rest."""
    from valley.instruct.records import require_provenance
    from valley.manifest import UNKNOWN_LICENCE

    for conversation in conversations:
        if conversation.metadata.get("licence") == UNKNOWN_LICENCE and not everything:
            unknown["nobody stated the licence (--allow-unknown-licence)"] += 1
            continue
        if "writer" in conversation.metadata:
            require_provenance([conversation])
        yield conversation


@functools.lru_cache(maxsize=4096)
def _length(path: str) -> tuple[float, float]:
    """Say how long a clip lasts, and how long a frame of it."""
    from valley.video.probing import probe

    info = probe(path)
    return info.duration_s, 1 / info.fps if info.fps else 0.0
