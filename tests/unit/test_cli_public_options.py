"""The public options are a decision: a new, lost or renamed one shows up here. And help is quick."""

import resource
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from valley.cli.app import app

PUBLIC = {
    "": {"--debug", "--version", "--help"},
    "version": set(),
    "chat": {
        "media",
        "--question",
        "--model",
        "--num-frames",
        "--fps",
        "--start",
        "--end",
        "--subtitles",
        "--system",
        "--language",
        "--temperature",
        "--max-new-tokens",
        "--seed",
        "--on-damage",
        "--isolated",
        "--dtype",
        "--device",
        "--json",
    },
    "plan": {
        "media",
        "--model",
        "--num-frames",
        "--fps",
        "--start",
        "--end",
        "--subtitles",
        "--max-new-tokens",
        "--dtype",
        "--device",
        "--json",
    },
    "probe": {"media", "--json"},
    "shots": {"media", "--json", "--out", "--detector"},
    "synth": set(),
    "synth dataset": {"out", "--num-clips", "--seed", "--level"},
    "synth draw": {"out", "--num-scenes", "--seed", "--level"},
    "synth render": {"scene", "out"},
    "synth schema": set(),
    "synth show": {"scene", "--output", "--num-frames"},
    "merge": {"adapter", "out", "--base", "--dtype"},
    "gateway": {
        "--concurrency",
        "--max-tokens",
        "--max-usd",
        "--offline",
        "--port",
        "--price",
        "--rpm",
        "--store",
        "--timeout",
        "--tpm",
        "--upstream",
    },
    "data export": {"--allow-unknown-licence", "--json", "--media-root", "--to", "file", "out"},
    "instruct": set(),
    "instruct stats": {"--json", "-o", "conversations"},
    "instruct audit": {"--json", "conversations", "corpus"},
    "instruct review": {"--apply", "--by", "--json", "--port", "-o", "conversations"},
    "instruct run": {
        "--allow-unknown-licence",
        "--base-url",
        "--concurrency",
        "--dry-run",
        "--json",
        "--languages",
        "--limit",
        "--max-tokens",
        "--max-usd",
        "--model",
        "--num-frames",
        "--offline",
        "--per-clip",
        "--price",
        "--rpm",
        "--seed",
        "--tasks",
        "-o",
        "overrides",
        "what",
    },
    "instruct tasks": set(),
    "collect": set(),
    "collect run": {
        "what",
        "rest",
        "-o",
        "--plan",
        "--media-root",
        "--licence",
        "--licence-evidence",
        "--attribution",
        "--language",
        "--set",
        "--copy",
        "--allow-unknown-licence",
        "--allow-private-addresses",
        "--executor",
        "--address",
        "--workers",
        "--shard",
        "--json",
    },
    "collect retry": {"corpus", "--reason", "--executor", "--address", "--workers", "--json"},
    "collect verify": {"corpus", "--workers", "--json"},
    "collect report": {"corpus", "-o"},
    "collect export": {"corpus", "--to", "-o", "--split", "--allow-unknown-licence"},
    "data": set(),
    "data convert": {
        "source",
        "out",
        "--from",
        "--media-root",
        "--language",
        "--keep",
        "--video-suffix",
        "--image-prefix",
        "--media-out",
        "--skip-bad",
    },
    "data validate": {"file", "--media-root", "--all", "--json"},
    "data scan": {"file", "--media-root", "--workers", "--out", "--json"},
    "train": {"recipe", "overrides", "--resume", "--plan", "--json"},
    "eval": {
        "benchmark",
        "--model",
        "--num-clips",
        "--level",
        "--controls",
        "--real-clips",
        "--seed",
        "--out",
        "--plot",
        "--dtype",
        "--device",
        "--json",
    },
    "convert": {"paths", "--delta", "--adapter", "--keep-adapter", "--base", "--vision-tower", "--legacy"},
    "doctor": {"--model", "--json"},
    "demo": {"--model", "--examples"},
}


def options_of(command, name=""):
    """Give every command's options by their first spelling, arguments by their name."""
    own = {p.opts[0] for p in command.params if p.name != "help"}
    found = {name: own | ({"--help"} if not name else set())}
    for child_name, child in getattr(command, "commands", {}).items():
        found |= options_of(child, f"{name} {child_name}".strip())
    return found


def test_the_public_options_are_these():
    assert options_of(get_command(app)) == PUBLIC


def test_every_option_is_explained():
    def check(command):
        assert command.help
        for parameter in command.params:
            if parameter.opts[0].startswith("-"):
                assert parameter.help, parameter.opts
        for child in getattr(command, "commands", {}).values():
            check(child)

    check(get_command(app))


def test_help_is_quick_and_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from valley.cli import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'numpy', 'av', 'PIL', 'pydantic', 'rich'} & set(sys.modules)\n"
        "print('heavy:', *sorted(heavy))\n"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stdout.splitlines()[-1] == "heavy:"
    # 0.12 s where this was written; the promise is 0.5 s. The processor's time is counted, not the clock's,
    # because what else the machine does is not this command's fault.
    assert min(seconds) < 0.5


def test_the_script_is_installed():
    assert (Path(sys.executable).parent / "valley").exists() or sys.platform == "win32"
