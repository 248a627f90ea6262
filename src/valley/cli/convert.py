"""`valley convert`: the checkpoints of 2023 in today's format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from valley.errors import ConfigError


def convert(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="[SOURCE] OUT", help="The published checkpoint, folder or hub id; a new folder."
        ),
    ],
    delta: Annotated[
        str | None,
        typer.Option("--delta", help="A checkpoint of differences, in place of SOURCE; needs --base."),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", help="A LoRA adapter, in place of SOURCE, merged into --base."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", help="What the differences (a language model) or the adapter (a Valley) belong to."
        ),
    ] = None,
    keep_adapter: Annotated[
        bool,
        typer.Option("--keep-adapter", help="Leave the adapter unmerged, in OUT/adapter, as PEFT reads it."),
    ] = False,
    vision_tower: Annotated[
        str | None,
        typer.Option(
            "--vision-tower",
            help="Folder with config.json and preprocessor_config.json of the tower that the checkpoint "
            "names, where the hub cannot be reached.",
        ),
    ] = None,
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Reproduce the published quirks too, see docs/parity.md.")
    ] = False,
) -> None:
    """Convert a checkpoint of 2023 (Valley, Valley2, Chinese-Valley) into today's format.

    Weights are read shard by shard. OUT appears when everything is written.
    """
    given = [name for name, value in (("--delta", delta), ("--adapter", adapter)) if value is not None]
    if len(given) > 1 or bool(given) != (base is not None):
        raise ConfigError("--base goes with --delta or with --adapter: give both or neither")
    if len(paths) != 2 - len(given):
        what = f"OUT alone beside {given[0]}" if given else "SOURCE and OUT"
        raise ConfigError(f"want {what}, got {len(paths)} paths: {' '.join(paths)}")
    if keep_adapter and adapter is None:
        raise ConfigError("--keep-adapter goes with --adapter: give both or neither")
    source = delta or (base if adapter is not None else None) or paths[0]

    from tqdm import tqdm

    from valley.model.convert_valley_weights import convert as convert_weights

    with tqdm(unit=" weights", file=sys.stderr, disable=None, leave=False) as bar:

        def watch(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        made = convert_weights(
            source,
            Path(paths[-1]),
            base=None if delta is None else base,
            adapter=adapter,
            keep_adapter=keep_adapter,
            vision_tower=vision_tower,
            legacy=legacy,
            on_weight=watch,
        )
    config = made.config
    print(
        f"{made.folder}: {made.num_weights} weights, {config.temporal_pooling} pooling, "
        f"{config.text_config.num_hidden_layers} layers of {config.text_config.hidden_size}, "
        f"{config.vision_config.model_type}; {len(made.unread)} that nothing reads left out"
    )
    if made.note:
        print(f"note: {made.note}")
    print(f'valley chat CLIP --model {made.folder} -q "Describe this video concisely."')
