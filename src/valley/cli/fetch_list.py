"""`valley data fetch-list`: what a benchmark needs on disk, where it is found, and what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valley.cli import text
from valley.cli.options import AsJson

if TYPE_CHECKING:
    from valley.evaluation.benchmark import DataSource
    from valley.evaluation.data_on_disk import Found


def fetch_list(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAMES]...", help="Benchmarks; all of them by default.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Say what of it is there, in a folder a benchmark below this one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what to download for a benchmark: from where, under which licence, how much, and where to put it.

    Nothing is downloaded. With --data, exit code 1 where something is missing.
    """
    from valley.evaluation.benchmark import BENCHMARKS
    from valley.evaluation.data_on_disk import look

    wanted = {name: BENCHMARKS.get(name).source for name in names or BENCHMARKS.names()}
    found: dict[str, list[Found]] = {}
    for name, source in wanted.items():
        if data is not None and source is not None:
            is_own = not (data / name).is_dir() and len(wanted) == 1
            found[name] = look(source, data if is_own else data / name)
    if as_json:
        text.print_json([_record(name, source, found.get(name)) for name, source in wanted.items()])
    else:
        parts = (_written(name, source, found.get(name), data) for name, source in wanted.items())
        print("\n\n".join(parts))
    if any(one.is_missing for files in found.values() for one in files):
        raise typer.Exit(1)


def _record(name: str, source: DataSource | None, found: list[Found] | None) -> dict[str, Any]:
    if source is None:
        return {"name": name, "files": []}
    files: list[dict[str, Any]] = [
        {
            "path": file.path,
            "instead": list(file.instead),
            "url": file.url,
            "contains": file.contains,
            "num_entries": file.num_entries,
            "is_optional": file.is_optional,
        }
        for file in source.files
    ]
    for file, one in zip(files, found or (), strict=False):
        file |= {"is_there": one.is_there, "found_at": str(one.path), "num_found": one.num_entries}
    about = {key: getattr(source, key) for key in ("title", "homepage", "citation", "licence")}
    return {"name": name, **about, "files": files}


def _written(name: str, source: DataSource | None, found: list[Found] | None, data: Path | None) -> str:
    if source is None:
        return f"{name}: makes its own clips; there is nothing to download"
    head = [
        f"{name}: {source.title}",
        f"  cite     {source.citation}",
        f"  page     {source.homepage}",
        f"  licence  {source.licence}",
        f"  into     {data or 'DATA'}/{name}/",
    ]
    lines: list[str] = []
    for number, file in enumerate(source.files):
        count = "" if file.num_entries is None else f" ({file.num_entries:,})"
        state = f"  [{_state(found[number])}]" if found else ""
        lines += [f"    {file.path}{count}: {file.contains}{state}", f"      {file.url}"]
    return "\n".join([*head, *lines])


def _state(one: Found) -> str:
    if not one.is_there:
        return "missing" if one.is_missing else "absent, not always wanted"
    if one.num_entries is None:
        return "there"
    if one.file.num_entries is None:
        return f"there: {one.num_entries:,}"
    return f"{'only ' if one.is_short else 'there: '}{one.num_entries:,} of {one.file.num_entries:,}"
