"""`valley train`: one recipe, one stage."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valley.cli import text
from valley.cli.options import AsJson
from valley.errors import MissingExtraError

if TYPE_CHECKING:
    from valley.training.progress import TrainingEvent


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/align.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Settings, such as trainer.max_steps=10."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--restart",
            help="Go on after an interruption (the default), or throw away what is there.",
        ),
    ] = True,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Try three steps; say what the run would take, and write nothing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train one stage as a recipe says.

    An interrupted run goes on when it is started again.
    """
    from valley.training.config import read_fields

    fields = read_fields(recipe, overrides or [])
    if plan:
        _say_plan(recipe, fields, as_json=as_json)
        return
    watch = _JsonLines() if as_json else _ProgressLine(sys.stderr.isatty())
    run, config = _stage(recipe, fields)
    try:
        result = run(config, watch.on_event, restart=not resume)
    except KeyboardInterrupt as stop:  # a run that could save says where it stands
        if str(stop):
            print(f"\n{stop}", file=sys.stderr)
        raise
    if not as_json:
        print(
            f"{result.output_dir}: {result.num_steps} steps in {text.clock(result.seconds)}, "
            f"loss {_loss(result.first_loss)} -> {_loss(result.last_loss)}"
            + (f", {result.num_bad_media} media could not be read" if result.num_bad_media else "")
        )


def _say_plan(recipe: Path, fields: dict[str, Any], *, as_json: bool) -> None:
    from valley.errors import ConfigError
    from valley.training.config import make_config

    if fields.get("stage") in _PRETRAINING:
        raise ConfigError(f"{recipe}: --plan is for the stages align and instruct, not for {fields['stage']}")
    config = make_config(fields, where=str(recipe))
    _need_accelerate()
    from valley.training.planning import make_plan

    made = make_plan(config)
    if as_json:
        text.print_json(made.to_dict())
        return
    parts = [
        (part, f"{made.parameters[part]:,}", f"{made.trainable.get(part, 0):,}") for part in made.parameters
    ]
    print(text.table(parts, header=("part", "parameters", "trainable")))
    visual = f", {made.visual_tokens_per_step} of them visual" if made.visual_tokens_per_step else ""
    memory = ", ".join(
        f"{name} {text.size(value)}"
        for name, value in (
            ("weights", made.weights_bytes),
            ("gradients", made.gradients_bytes),
            ("optimizer", made.optimizer_bytes),
            ("activations about", made.activations_bytes),
        )
    )
    print(f"samples   {made.num_samples} an epoch")
    print(f"batch     {made.tokens_per_step} tokens a step{visual}")
    print(f"memory    {text.size(made.total_bytes)} a process: {memory}")
    print(
        f"steps     {made.num_steps}, {made.seconds_per_step:.2f} s each: {text.clock(made.total_s)} in all"
    )


# The embedded model's parts are taught before they are put together: stage -> module, settings, function.
_PRETRAINING = {
    "vision": ("valley.training.vision_pretraining", "VisionConfig", "train_vision"),
    "language": ("valley.training.language_pretraining", "LanguageConfig", "train_language"),
}


def _stage(recipe: Path, fields: dict[str, Any]) -> tuple[Callable[..., Any], Any]:
    """Find what runs the recipe's stage, and check its settings."""
    from valley.training.config import checked, make_config

    if fields.get("stage") in _PRETRAINING:
        module_name, schema, function = _PRETRAINING[fields["stage"]]
        module = importlib.import_module(module_name)
        return getattr(module, function), checked(getattr(module, schema), fields, where=str(recipe))
    config = make_config(fields, where=str(recipe))
    _need_accelerate()
    from valley.training.run import train as run

    return run, config


def _need_accelerate() -> None:
    """Say the pip line before anything is read; the trainer would say it later and longer."""
    if importlib.util.find_spec("accelerate") is None:
        raise MissingExtraError(wanted_by="training", package="accelerate", extra="train")


def _loss(loss: float | None) -> str:
    return "unknown" if loss is None else f"{loss:.4f}"


class _JsonLines:
    """Every event but the single steps as one JSON line."""

    def on_event(self, event: TrainingEvent) -> None:
        from valley.training.progress import event_record

        if event.kind != "step":
            text.print_json(event_record(event), indent=None)


class _ProgressLine:
    """One line that is written over on a terminal; in a log, one line for each fresh loss."""

    def __init__(self, on_terminal: bool) -> None:
        self._on_terminal = on_terminal

    def on_event(self, event: TrainingEvent) -> None:
        if event.kind == "step" and not self._on_terminal:
            return
        line = event.message or self._progress(event)
        if self._on_terminal:
            end = "" if event.kind in ("step", "logged") else "\n"
            print(f"\r\x1b[K{line}", end=end, file=sys.stderr, flush=True)
        else:
            print(f"{event.kind}: {line}", file=sys.stderr, flush=True)

    def _progress(self, event: TrainingEvent) -> str:
        left = "" if event.remaining_s is None else f"  {text.clock(event.remaining_s)} left"
        loss = "" if event.loss is None else f"  loss {event.loss:.4f}"
        speed = "" if event.tokens_per_s is None else f"  {event.tokens_per_s:.0f} tokens/s"
        if event.visual_tokens_per_s:
            speed += f" ({event.visual_tokens_per_s:.0f} visual)"
        return f"step {event.step}/{event.max_steps}{loss}{speed}{left}"
