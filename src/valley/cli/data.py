"""`valley data`: other projects' conversations in our format, and a look at a file before a run."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from valley.cli import exporting, fetch_list, text
from valley.cli.options import AsJson
from valley.errors import ConfigError, ConversationError

if TYPE_CHECKING:
    from valley.conversation import Conversation
    from valley.importers.importer import Importer
    from valley.training.validating import Finding, Summary

MOST_FAULTS = 50  # more of them mostly say the same; --all prints them

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Convert, check and read over conversations to train on; what benchmarks need.",
)

File: TypeAlias = Annotated[Path, typer.Argument(help="Conversations, one JSON object a line.")]
MediaRoot: TypeAlias = Annotated[
    Path | None,
    typer.Option("--media-root", help="Where relative paths of media begin; else the file's folder."),
]


@app.command("convert")
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The file or folder to read.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, such as out.jsonl.")],
    from_format: Annotated[
        str | None, typer.Option("--from", help="The format to read; without it, they are listed.")
    ] = None,
    media_root: MediaRoot = None,
    language: Annotated[
        str, typer.Option("--language", help="BCP-47 tag of conversations that do not say theirs.")
    ] = "en",
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help="A field the format does not know, for the metadata; repeatable."),
    ] = None,
    video_suffix: Annotated[
        str | None,
        typer.Option("--video-suffix", help="Put behind a video's name that has none; .mp4 by default."),
    ] = None,
    image_prefix: Annotated[
        str | None,
        typer.Option("--image-prefix", help="Put before a picture's name, such as COCO_train2014_."),
    ] = None,
    media_out: Annotated[
        Path | None,
        typer.Option("--media-out", help="Where media out of archives are written; else OUT_media."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out items that do not fit, and name each on stderr.")
    ] = False,
) -> None:
    """Write the conversations of another project's file in our format.

    Paths of media are written as seen from OUT. Whether the media are there is not looked up: that is what
    `valley data validate` does.
    """
    from valley.conversation import is_language_tag, write_jsonl
    from valley.importers.importer import IMPORTERS, ImportOptions
    from valley.importers.placing import place_media, unique_ids

    if from_format is None:
        raise ConfigError(f"want --from with a format: {', '.join(IMPORTERS.names())}")
    if not is_language_tag(language):
        raise ConfigError(f"--language: want a BCP-47 tag such as en or zh-Hans, got {language!r}")
    importer: Importer = IMPORTERS.get(from_format)
    own = {"video_suffix": video_suffix, "image_prefix": image_prefix, "media_out": media_out}
    given = {name: value for name, value in own.items() if value is not None}
    for name in given.keys() - set(importer.options):
        raise ConfigError(
            f"--{name.replace('_', '-')} means nothing to the format {from_format}: leave it out"
        )
    if source.resolve() == out.resolve():
        raise ConfigError(f"{out}: is the file that is read: give another name to write to")
    given.setdefault("media_out", out.with_name(f"{out.stem}_media"))
    options = ImportOptions(language=language, keep=tuple(keep or ()), **given)
    skipped: list[ConversationError] = []

    def skip(error: ConversationError) -> None:
        skipped.append(error)
        print(f"left out: {text.sentence(error)}", file=sys.stderr)

    root = media_root or (source if source.is_dir() else source.parent)
    found = importer.read(source, options, on_bad=skip if skip_bad else None)
    placed = place_media(found, media_root=root, folder=out.parent)
    out.parent.mkdir(parents=True, exist_ok=True)
    count = write_jsonl(out, _counted(unique_ids(placed)))
    print(f"{out}: {count} conversations" + (f", {len(skipped)} items left out" if skipped else ""))


app.command("export")(exporting.export)
app.command("fetch-list")(fetch_list.fetch_list)


def _counted(conversations: Iterable[Conversation]) -> Iterator[Conversation]:
    """Say now and then on a terminal how many there are so far."""
    count = 0
    for count, conversation in enumerate(conversations, 1):
        yield conversation
        if count % 1000 == 0 and sys.stderr.isatty():
            text.say_count(count, what="conversations")
    if count >= 1000 and sys.stderr.isatty():
        text.say_count(count, what="conversations", is_last=True)


@app.command("validate")
def validate(
    file: File,
    media_root: MediaRoot = None,
    everything: Annotated[
        bool, typer.Option("--all", help=f"Print all, not only the first {MOST_FAULTS} faults and warnings.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a whole file of conversations: print every fault with its line and what mends it.

    Exit code 1 where there is a fault. Media are looked for, not opened: see `valley data scan`.
    """
    from valley.training.validating import validate as check

    shown: list[Finding] = []

    def tell(finding: Finding) -> None:
        if everything or sum(f.is_fault == finding.is_fault for f in shown) < MOST_FAULTS:
            shown.append(finding)
            if not as_json:
                print(finding)

    summary = check(file, tell, media_root=media_root)
    if as_json:
        report = summary.to_dict() | {"findings": [vars(finding) for finding in shown]}
        text.print_json({"file": str(file), **report})
    else:
        _print_summary(file, summary, num_shown=len(shown))
    if summary.num_faults:
        raise typer.Exit(1)


def _print_summary(file: Path, summary: Summary, *, num_shown: int) -> None:
    hidden = summary.num_faults + summary.num_warnings - num_shown
    if hidden:
        print(f"... and {hidden} more (--all prints them)")
    rows = [
        ("conversations", summary.num_conversations),
        ("turns", summary.num_turns),
        ("pictures", summary.num_images),
        ("clips", summary.num_videos),
        ("languages", ", ".join(f"{tag} {n}" for tag, n in summary.languages.most_common()) or "none"),
    ]
    print(text.table([(name, str(value)) for name, value in rows]))
    print(f"{file}: {summary.num_faults} faults, {summary.num_warnings} warnings")


@app.command("scan")
def scan(
    file: File,
    media_root: MediaRoot = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Media read at once; as many as processors by default."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where bad media are listed; else FILE's name with .quarantine.jsonl."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a few frames of every medium, each in a process of its own, and list what cannot be read.

    What is done is noted in OUT.scanned: a scan that was interrupted goes on, and a later one reads only
    files that changed. Exit code 1 where a medium is bad.
    """
    from valley.training import scanning

    target = out or file.with_name(f"{file.stem}.quarantine.jsonl")
    target.parent.mkdir(parents=True, exist_ok=True)
    uses = scanning.media_uses(file, media_root=media_root)
    watch = functools.partial(text.say_progress, len(uses), what="media") if sys.stderr.isatty() else None
    verdicts = scanning.scan(
        uses,
        target.with_name(target.name + ".scanned"),
        num_workers=workers or os.cpu_count() or 1,
        on_done=watch,
    )
    num_lines = scanning.write_quarantine(target, verdicts, uses)
    bad = Counter(verdict.error for verdict in verdicts if verdict.error)
    report: dict[str, Any] = {
        "file": str(file),
        "num_media": len(verdicts),
        "num_bad": bad.total(),
        "reasons": dict(bad.most_common()),
        "quarantine": str(target),
    }
    if as_json:
        text.print_json(report)
    else:
        if bad:
            print(text.table(bad.most_common()))
        print(f"{file}: {len(verdicts)} media, {bad.total()} bad; {target} has {num_lines} lines")
    if bad:
        raise typer.Exit(1)
