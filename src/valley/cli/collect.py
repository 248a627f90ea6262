"""`valley collect`: media, words and licences from many sources into one folder, and what to do with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from valley.cli import text
from valley.cli.groups import group_with_default
from valley.cli.options import AsJson

if TYPE_CHECKING:
    from valley.collection.config import CollectConfig
    from valley.collection.corpus import Shard
    from valley.collection.pipeline import Running

_RUN = "run"


app = typer.Typer(
    cls=group_with_default(_RUN),
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Collect media with words and licences: `valley collect folder ~/Videos -o corpus/`.",
)

Corpus: TypeAlias = Annotated[Path, typer.Argument(help="The folder of a collection.")]
Executor: TypeAlias = Annotated[
    str, typer.Option("--executor", help="What runs the looks: pool (children here), inline, or ray.")
]
Address: TypeAlias = Annotated[
    str, typer.Option("--address", help="Of a Ray cluster: auto, or ray://host:10001; else this machine.")
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Media looked at at once; as many as processors by default."),
]
AllowUnknown: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--allow-unknown-licence",
        help="Let media of unknown licence into what is made of the collection; it is recorded there.",
    ),
]


@app.command(_RUN)
def run(
    what: Annotated[str, typer.Argument(help="The name of a source, such as folder; or a recipe.")],
    rest: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH] [NAME=VALUE]...",
            help="What the source reads; and settings, such as captions.balance=true.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The folder of the collection.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how many, how large, which licences; fetch and write nothing.")
    ] = False,
    media_root: Annotated[
        Path | None, typer.Option("--media-root", help="Where relative paths of media begin.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="SPDX id for items that do not say their licence.")
    ] = None,
    licence_evidence: Annotated[
        str | None, typer.Option("--licence-evidence", help="Where that licence is written.")
    ] = None,
    attribution: Annotated[
        str | None, typer.Option("--attribution", help="Whom to name for items that do not say.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="BCP-47 tag of words whose language nobody said.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the source itself; repeatable."),
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy local media into the collection; else they are referred to.")
    ] = False,
    allow_unknown_licence: AllowUnknown = False,
    allow_private_addresses: Annotated[
        bool, typer.Option("--allow-private-addresses", help="Fetch from this machine and its network too.")
    ] = False,
    executor: Executor = "pool",
    address: Address = "",
    workers: Workers = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Only part I of N, from 0; the rest on other machines."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Collect from one source, or from several as a recipe says; the word run may be left out.

    Stopped or killed, the same command goes on. Exit code 2 where something is in quarantine.
    """
    from valley.cli import collecting

    said = {
        "media_root": media_root,
        "licence": licence,
        "licence_evidence": licence_evidence,
        "attribution": attribution,
        "language": language,
        "settings": collecting.as_settings(set_ or []) if set_ else None,
    }
    flags = {
        "copy_media": copy,
        "allow_unknown_licence": allow_unknown_licence,
        "fetch.allow_private_addresses": allow_private_addresses,
    }
    config = collecting.read(
        what,
        rest or [],
        {name: value for name, value in said.items() if value is not None},
        [name for name, is_said in flags.items() if is_said],
    )
    part = collecting.read_shard(shard)
    if plan:
        _plan(config, out or config.out, part, workers, as_json=as_json)
        return
    corpus = collecting.out_folder(out, config)
    running = _running(config, executor, address, workers, part)
    _finish(collecting.watched(config, corpus, running, is_quiet=as_json), corpus, as_json=as_json)


def _plan(
    config: CollectConfig, out: Path | None, shard: Shard, workers: int | None, *, as_json: bool
) -> None:
    from valley.cli import collecting
    from valley.collection.planning import make_plan

    made = make_plan(config, out, shard=shard, num_workers=workers or os.cpu_count() or 1)
    if as_json:
        text.print_json(made.to_dict())
    else:
        print(collecting.describe_plan(made))


def _running(
    config: CollectConfig,
    executor: str,
    address: str,
    workers: int | None,
    shard: Shard,
    retry_reasons: frozenset[str] | None = None,
) -> Running:
    from valley.collection.executor import EXECUTORS
    from valley.collection.pipeline import Running

    memory = int(config.look.max_memory_gb * 2**30)
    chosen = EXECUTORS.get(executor).configured(address=address, max_memory_bytes=memory)
    num_workers = workers or os.cpu_count() or 1
    return Running(chosen, num_workers, shard=shard, retry_reasons=retry_reasons)


def _finish(result: Any, corpus: Path, *, as_json: bool) -> None:  # noqa: ANN401 (pipeline.Result, lazily)
    from valley.cli import collecting

    if as_json:
        text.print_json(collecting.result_dict(result, corpus))
    else:
        print(collecting.describe(result, corpus))
    if result.has_refused:
        raise typer.Exit(2)


@app.command("retry")
def retry(
    corpus: Corpus,
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", help="Only faults with this reason, such as timeout; repeatable."),
    ] = None,
    executor: Executor = "pool",
    address: Address = "",
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Try what failed once more: all faults of fetching and reading, or those with a reason."""
    from valley.cli import collecting
    from valley.collection.corpus import Shard, read_asked

    config = read_asked(corpus).config
    running = _running(config, executor, address, workers, Shard(), frozenset(reason or ()))
    _finish(collecting.watched(config, corpus, running, is_quiet=as_json), corpus, as_json=as_json)


@app.command("verify")
def verify(corpus: Corpus, workers: Workers = None, as_json: AsJson = False) -> None:
    """Check that every medium is there with its hash, and the manifest in itself; exit code 1 where not."""
    from collections import Counter

    from valley.collection.verifying import verify as check

    num_checked = 0

    def on_checked(count: int) -> None:
        nonlocal num_checked
        num_checked = count
        if sys.stderr.isatty() and count % 64 == 0:
            text.say_count(count, what="media checked")

    found = []
    for finding in check(corpus, num_workers=workers or os.cpu_count() or 1, on_checked=on_checked):
        found.append(finding)
        if not as_json:
            print(finding)
    if as_json:
        findings = [vars(finding) for finding in found]
        text.print_json({"corpus": str(corpus), "num_media": num_checked, "findings": findings})
    else:
        reasons = Counter(finding.reason for finding in found)
        counts = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
        print(f"{corpus}: {num_checked} media, {len(found)} faults" + (f": {counts}" if counts else ""))
    if found:
        raise typer.Exit(1)


@app.command("report")
def report(
    corpus: Corpus,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The page to write; CORPUS/report.html by default.")
    ] = None,
) -> None:
    """Write one page about a collection: counts, reasons, languages, licences, a sheet of shots."""
    from valley.collection.report import write_report

    print(write_report(corpus, out or corpus / "report.html"))


@app.command("export")
def export(
    corpus: Corpus,
    to: Annotated[Literal["jsonl", "llava", "webdataset"], typer.Option("--to", help="The form.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write; a folder for webdataset.")],
    split: Annotated[
        Literal["all", "train", "validation", "test"], typer.Option("--split", help="Only media of this one.")
    ] = "all",
    allow_unknown_licence: AllowUnknown = False,
) -> None:
    """Write a collection as other programs read it.

    jsonl is what `valley train` takes.
    """
    from valley.collection.corpus import read_asked
    from valley.collection.exporting import export as write

    def on_done(count: int) -> None:
        if sys.stderr.isatty():
            text.say_count(count, what="written")

    allowed = allow_unknown_licence or read_asked(corpus).config.allow_unknown_licence
    count = write(corpus, out, to=to, allow_unknown_licence=allowed, split=split, on_done=on_done)
    print(f"{out}: {count} {'media' if to == 'webdataset' else 'conversations'}")
