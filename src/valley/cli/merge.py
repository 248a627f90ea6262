"""`valley merge`: an adapter goes into the weights of its base, and a standard checkpoint comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from valley.cli.options import Dtype


def merge(
    adapter: Annotated[Path, typer.Argument(help="A folder that a LoRA or QLoRA run left.")],
    out: Annotated[Path, typer.Argument(help="The new checkpoint's folder; must not exist.")],
    base: Annotated[
        str | None,
        typer.Option("--base", help="The checkpoint the adapter belongs to, if it lies elsewhere now."),
    ] = None,
    dtype: Dtype = "float32",
) -> None:
    """Merge an adapter into its base: a checkpoint like any other."""
    from valley.training.merging import merge as run

    run(adapter, out, base=base, dtype=str(dtype))
    print(f"{out}: {adapter} merged")
