"""`valley batch`: answer a file of requests, offline and resumable."""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from valley.cli import text
from valley.cli.opening import open_model
from valley.cli.options import AnyModel, BaseUrl, Device, Dtype, Isolated

_SOME_FAILED = 2


def batch(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN.jsonl", help="Requests as OpenAI's batches have them, or conversations, one a line."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="The results, one a line.")],
    model: AnyModel = None,
    base_url: BaseUrl = None,
    media_root: Annotated[
        Path | None,
        typer.Option("--media-root", help="Where paths begin; the folder of IN.jsonl unless given."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Rows at once; as many as the engine takes.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many rows.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask rows again whose result is an error.")
    ] = False,
    isolated: Isolated = False,
    dtype: Dtype = None,
    device: Device = None,
) -> None:
    """Answer every row of a file; a row that cannot be answered becomes an error and stops nothing.

    Results are kept as they come, and stand in the order of the rows at the end. A run that was interrupted,
    in whatever way, goes on with the same command. Exit code 2: some rows failed.
    """
    from valley.serving.batch import BatchSettings, run_batch

    settings = BatchSettings(
        concurrency=concurrency,
        limit=limit,
        retry_failed=retry_failed,
        media_root=media_root,
        isolated=isolated,
        stop_when_unavailable=base_url is not None,
    )
    with (
        source.open("rb"),  # a file that is not there is found before seconds are spent on a model
        closing(open_model(model, base_url, dtype, device)) as backend,
        tempfile.TemporaryDirectory(prefix="valley-batch-") as spool,
    ):
        done = run_batch(
            backend,
            source,
            out,
            Path(spool),
            settings,
            on_progress=_say_progress if sys.stderr.isatty() else None,
        )
    if done.torn_bytes:
        print(f"cut off {done.torn_bytes} bytes that an interrupted run had left", file=sys.stderr)
    kept = f", {done.kept} done before" if done.kept else ""
    print(f"{done.rows} rows: {done.answered} answered, {done.failed} failed{kept}; {out}", file=sys.stderr)
    if done.failed_in_all:
        print(f"{done.failed_in_all} results are errors; --retry-failed asks again", file=sys.stderr)
        raise typer.Exit(_SOME_FAILED)


def _say_progress(done: int, of_all: int) -> None:
    text.say_progress(of_all, done, what="rows")
