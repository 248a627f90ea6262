"""`valley instruct`: conversations about a collection, written by a model, checked, paid for once."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from valley.cli import instruct_looking, text
from valley.cli.groups import group_with_default
from valley.cli.options import AsJson
from valley.cli.serving_here import HERE, model_here, reachable
from valley.errors import ConfigError

if TYPE_CHECKING:
    from valley.instruct.planning import Wanted
    from valley.instruct.recipe import InstructSettings
    from valley.instruct.run import Progress, Result

_RUN = "run"
_NUM_SHOWN = 3
_QUARANTINED, _BUDGET_SPENT = 2, 3


app = typer.Typer(
    cls=group_with_default(_RUN),
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Write conversations about a collection with any OpenAI-compatible server.",
)

instruct_looking.register(app)


@app.command(_RUN)
def run(
    what: Annotated[
        Path, typer.Argument(metavar="CORPUS|RECIPE", help="A collection's folder, or a recipe.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Settings, such as writer.concurrency=32."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The file to write, one JSON a line.")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", help="Names, comma between them, or all; NAME:3 is wanted more often."),
    ] = None,
    languages: Annotated[
        str | None, typer.Option("--languages", help="BCP-47 tags, comma between them, such as en,zh,es.")
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url",
            help="Of the server, such as http://localhost:8000/v1; without it --model runs here.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Its name at the server; or an embedded name, a folder, a hub id."
        ),
    ] = None,
    per_clip: Annotated[
        int | None, typer.Option("--per-clip", min=1, help="Conversations a clip; else one of every task.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many clips.")] = None,
    num_frames: Annotated[
        int | None, typer.Option("--num-frames", min=0, help="Pictures of each clip, for writers that see.")
    ] = None,
    max_usd: Annotated[float | None, typer.Option("--max-usd", help="Never spend more; exit code 3.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Never use more tokens.")] = None,
    price: Annotated[
        str | None,
        typer.Option("--price", help="Dollars for a million tokens: prompt,reply, such as 0.15,0.6."),
    ] = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Calls at once.")] = None,
    rpm: Annotated[
        float | None, typer.Option("--rpm", help="Requests a minute that the server allows.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Another one draws other tasks.")] = None,
    allow_unknown_licence: Annotated[
        bool, typer.Option("--allow-unknown-licence", help="Also write about clips of unknown licence.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say calls, tokens and cost, and show three prompts; send nothing."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take replies from the store alone; send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write conversations about the clips of a collection.

    The key for the server is read from VALLEY_API_KEY, else from OPENAI_API_KEY. Raw replies are kept in
    OUT_calls and never paid for again; what was given up is in OUT.quarantine.jsonl. Exit code 2: some were
    given up; 3: the money is spent.
    """
    from valley.instruct.run import instruct, wanted_of

    writer = {
        "base_url": base_url,
        "model": model,
        "num_frames": num_frames,
        "max_usd": max_usd,
        "max_tokens": max_tokens,
        "price": None if price is None else _price(price),
        "concurrency": concurrency,
        "requests_per_minute": rpm,
    }
    given = {
        "out": out,
        "tasks": None if tasks is None else _weights(tasks),
        "languages": None if languages is None else [tag.strip() for tag in languages.split(",")],
        "per_clip": per_clip,
        "limit": limit,
        "seed": seed,
        "allow_unknown_licence": allow_unknown_licence or None,
    }
    settings = _settings(what, given, writer, overrides or [])
    if dry_run:
        _say_plan(settings, wanted_of(settings), as_json=as_json)
        return
    bar = _Bar(quiet=as_json)
    key = os.environ.get("VALLEY_API_KEY") or os.environ.get("OPENAI_API_KEY", "")
    try:
        with reachable(settings, offline=offline) as reached:
            result = instruct(
                reached, api_key=key, offline=offline, on_progress=bar.update, on_plan=bar.begin
            )
    finally:
        bar.close()
    _say_result(settings, result, as_json=as_json)
    if result.stopped:
        raise typer.Exit(_BUDGET_SPENT)
    if result.reasons:
        raise typer.Exit(_QUARANTINED)


def _settings(
    what: Path, given: dict[str, Any], writer: dict[str, Any], overrides: list[str]
) -> InstructSettings:
    from valley.instruct.planning import chosen_tasks
    from valley.instruct.recipe import InstructSettings
    from valley.recipe import checked, override, read_recipe

    is_recipe = what.suffix in (".yaml", ".yml")
    fields: dict[str, Any] = (
        read_recipe(what) if is_recipe else {"corpus": str(what), "tasks": _weights("all")}
    )
    for words in overrides:
        override(fields, words)
    fields.update({name: value for name, value in given.items() if value is not None})
    told = {name: value for name, value in writer.items() if value is not None}
    fields["writer"] = {**(fields.get("writer") or {}), **told}
    lacking = [] if fields.get("out") else ["-o"]
    lacking += [] if fields["writer"].get("model") else ["--model"]
    if lacking:
        raise ConfigError(f"want {' and '.join(lacking)}: `valley instruct --help` says what they are")
    if not fields["writer"].get("base_url"):
        fields["writer"] |= {"base_url": HERE, "model": model_here(fields["writer"]["model"])}
    settings = checked(InstructSettings, fields, where=str(what) if is_recipe else "valley instruct")
    chosen_tasks(list(settings.tasks))
    return settings


def _weights(words: str) -> dict[str, float]:
    """Read "dialogue:3,counting" or "all".

    Raises:
        ConfigError: a weight is no number.
        UnknownNameError: there is no such task.
    """
    from valley.instruct.planning import chosen_tasks

    weights: dict[str, float] = {}
    for part in words.split(","):
        name, _, weight = part.strip().partition(":")
        try:
            number = float(weight) if weight else 1.0
        except ValueError as error:
            raise ConfigError(f"--tasks: want a number behind {name}:, got {weight!r}") from error
        weights.update(dict.fromkeys(chosen_tasks([name]), number))
    return weights


def _price(words: str) -> dict[str, float]:
    try:
        prompt, reply = (float(part) for part in words.split(","))
    except ValueError as error:
        raise ConfigError(f"--price: want two numbers such as 0.15,0.6, got {words!r}") from error
    return {"prompt_usd": prompt, "completion_usd": reply}


def _say_plan(settings: InstructSettings, wanted: list[Wanted], *, as_json: bool) -> None:
    """Print what a run would send, and three prompts in full."""
    from valley.instruct.gateway.budget import PICO, Budget, Price
    from valley.instruct.gateway.requests import estimated_tokens

    price = settings.writer.price
    budget = Budget({"*": Price.of(price.prompt_usd, price.completion_usd)} if price else {})
    rows: dict[str, list[float]] = {}
    for one in wanted:
        prompt = one.task.prompt(one.evidence, one.language, draw=one.draw)
        tokens = estimated_tokens(
            {"messages": [dict(m) for m in prompt.messages], "tools": [dict(prompt.schema)]}
        )
        row = rows.setdefault(one.task.name, [0, 0, 0, 0.0])
        row[0] += 1
        row[1] += tokens
        row[2] += prompt.max_tokens
        row[3] += budget.cost(settings.writer.model, tokens, prompt.max_tokens) / PICO
    total = ["all", *(sum(row[k] for row in rows.values()) for k in range(4))]
    shown = wanted[:: max(1, len(wanted) // _NUM_SHOWN)][:_NUM_SHOWN]
    prompts = [one.task.prompt(one.evidence, one.language, draw=one.draw) for one in shown]
    languages = Counter(one.language for one in wanted)
    if as_json:
        names = ("calls", "prompt_tokens", "most_reply_tokens", "most_usd")
        tasks = {task: dict(zip(names, row, strict=True)) for task, row in sorted(rows.items())}
        messages = [[dict(m) for m in prompt.messages] for prompt in prompts]
        text.print_json({"tasks": tasks, "languages": dict(languages), "prompts": messages})
        return
    header = ("task", "calls", "prompt tokens", "reply tokens at most", "dollars at most")
    lines = [(name, *row) for name, row in sorted(rows.items())] + [tuple(total)]
    table = [(n, int(a), int(b), int(c), f"{d:.4f}" if price else "?") for n, a, b, c, d in lines]
    print(text.table(table, header=header))
    print("languages: " + ", ".join(f"{tag} {n}" for tag, n in sorted(languages.items())))
    if not price:
        print("no price is known: --price PROMPT,REPLY in dollars for a million tokens")
    for number, (one, prompt) in enumerate(zip(shown, prompts, strict=True), 1):
        print(f"\n--- prompt {number} of {len(shown)}: {one.task.name}, {one.language}")
        for message in prompt.messages:
            print(f"[{message['role']}]\n{_shown(message['content'])}")


def _shown(content: Any) -> str:  # noqa: ANN401
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or "(a picture)" for part in content)


def _say_result(settings: InstructSettings, result: Result, *, as_json: bool) -> None:
    from valley.instruct.gateway.budget import dollars

    if as_json:
        text.print_json({**vars(result), "reasons": dict(result.reasons), "out": str(settings.out)})
        return
    rows = [(name, *counts) for name, counts in sorted(result.by_task.items())]
    print(text.table(rows, header=("task", "written", "accepted")))
    print(
        f"{settings.out}: {result.num_accepted} of {result.num_wanted} conversations; "
        f"{result.num_calls} replies, {result.num_billed} paid for now; {dollars(result.cost_pico)} in all"
    )
    for reason, count in result.reasons.most_common():
        print(f"  given up, {reason}: {count}")
    if result.reasons:
        print(f"  with their replies in {settings.quarantine}")
    if result.stopped:
        print(f"stopped: {result.stopped}", file=sys.stderr)


class _Bar:
    """A progress bar on a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None

    def begin(self, total: int) -> None:
        if not self._quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="conversation", dynamic_ncols=True)

    def update(self, progress: Progress) -> None:
        if self._bar is None:
            return
        from valley.instruct.gateway.budget import dollars

        refused = ", ".join(f"{reason} {n}" for reason, n in progress.reasons.most_common(3))
        said = f"accepted {progress.accepted}, paid {progress.num_billed} ({dollars(progress.cost_pico)})"
        self._bar.set_postfix_str(said + (f"; {refused}" if refused else ""), refresh=False)
        self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@app.command("tasks")
def list_tasks() -> None:
    """List the tasks and the checks."""
    from valley.instruct.check import CHECKS
    from valley.instruct.task import TASKS

    for title, registry in (("tasks", TASKS), ("checks", CHECKS)):
        things = [registry.get(name) for name in registry.names()]
        print(text.table([(t.name, t.version, t.help) for t in things], header=(title, "version", "")))
