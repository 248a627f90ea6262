"""The commands, by name. Importing this imports no command's machinery, so that `valley --help` is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from valley.cli import (
    batch,
    chat,
    collect,
    convert,
    data,
    demo,
    doctor,
    evaluate,
    gateway,
    instruct,
    merge,
    plan,
    probe,
    report,
    serve,
    shots,
    synth,
    train,
    ui,
)

app = typer.Typer(
    name="valley",
    help="Ask questions about videos, and train the model that answers them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: quicker, and the same in a pipe, a log and the documentation
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> bool:
    if value:
        from valley import __version__

        print(f"valley {__version__}")
        raise typer.Exit
    return value


@app.callback()
def _everywhere(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works behind any command.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Take the options that hold for every command; `main` has acted on --debug already."""
    del debug, version


@app.command("version")
def version() -> None:
    """Say the version."""
    _print_version(True)


app.command("chat")(chat.chat)
app.command("plan")(plan.plan)
app.command("probe")(probe.probe)
app.command("shots")(shots.shots)
app.add_typer(synth.app, name="synth")
app.add_typer(data.app, name="data")
app.add_typer(instruct.app, name="instruct")
app.command("gateway")(gateway.gateway)
app.add_typer(collect.app, name="collect")
app.command("batch")(batch.batch)
app.command("train")(train.train)
app.command("merge")(merge.merge)
app.command("convert")(convert.convert)
app.add_typer(evaluate.app, name="eval")
app.command("report")(report.report)
app.command("serve")(serve.serve)
app.command("ui")(ui.ui)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
