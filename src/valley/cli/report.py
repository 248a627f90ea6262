"""`valley report`: runs of `valley eval` side by side, as one page of HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valley.cli import text
from valley.cli.options import AsJson

if TYPE_CHECKING:
    from valley.evaluation.reporting.summary import Summary

NUM_SAMPLES = 2


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUNS...", help="Folders of runs, as --out named them.")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A page of HTML to write, such as report.html.")
    ] = None,
    samples: Annotated[
        int,
        typer.Option("--samples", min=0, help="Questions with frames and answers in the page, of each kind."),
    ] = NUM_SAMPLES,
    as_json: AsJson = False,
) -> None:
    """Put runs side by side: scores, intervals, controls, differences, sample answers, what made them.

    The first run is what the others are compared with, on the questions that both answered. Scores of
    different judges are never put into one row.
    """
    from valley.evaluation.reporting.naming import open_runs
    from valley.evaluation.reporting.page import write_report
    from valley.evaluation.reporting.summary import summarise

    found = summarise(open_runs(runs), num_samples=samples if out is not None else 0)
    page = write_report(found, out) if out is not None else None
    if as_json:
        text.print_json(found.to_dict())
        return
    _say(found)
    if page is not None:
        print(f"\n{page}")


def _say(found: Summary) -> None:
    from valley.evaluation.reporting.honesty_tables import comparison_table, controls_table
    from valley.evaluation.reporting.score_tables import headline_table

    headlines = headline_table(found.runs, {one.name: one.metrics for one in found.benchmarks})
    print(text.table(headlines.rows, header=headlines.head))
    for one in found.benchmarks:
        tables = [t for t in (controls_table(one), comparison_table(one)) if t.rows]
        print("\n" + "\n\n".join([one.name, *(text.table(t.rows, header=t.head) for t in tables)]))
        for line in (*one.notes, *(f"not compared: {c.refused}" for c in one.comparisons if c.refused)):
            print(f"note: {line}")
