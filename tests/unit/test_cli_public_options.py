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
        "--base-url",
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
        "--fps",
        "--num-frames",
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
        "--upstream",
        "--store",
        "--port",
        "--price",
        "--max-usd",
        "--max-tokens",
        "--rpm",
        "--tpm",
        "--concurrency",
        "--timeout",
        "--offline",
    },
    "data export": {"file", "out", "--to", "--media-root", "--allow-unknown-licence", "--json"},
    "instruct": set(),
    "instruct stats": {"conversations", "-o", "--json"},
    "instruct audit": {"corpus", "conversations", "--json"},
    "instruct review": {"conversations", "--port", "--by", "--apply", "-o", "--json"},
    "instruct run": {
        "what",
        "overrides",
        "-o",
        "--tasks",
        "--languages",
        "--base-url",
        "--model",
        "--per-clip",
        "--limit",
        "--num-frames",
        "--max-usd",
        "--max-tokens",
        "--price",
        "--concurrency",
        "--rpm",
        "--seed",
        "--allow-unknown-licence",
        "--dry-run",
        "--offline",
        "--json",
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
    "eval": set(),
    "convert": {"paths", "--delta", "--adapter", "--base", "--keep-adapter", "--vision-tower", "--legacy"},
    "doctor": {"--model", "--json"},
    "demo": {"--model", "--examples"},
    "batch": {
        "source",
        "out",
        "--model",
        "--base-url",
        "--media-root",
        "--concurrency",
        "--limit",
        "--retry-failed",
        "--isolated",
        "--dtype",
        "--device",
    },
    "report": {"runs", "-o", "--samples", "--json"},
    "serve": {
        "--model",
        "--base-url",
        "--dtype",
        "--device",
        "--host",
        "--port",
        "--api-keys",
        "--insecure",
        "--allowed-host",
        "--cors-origin",
        "--allow-host",
        "--allow-any-public-host",
        "--media-root",
        "--spool",
        "--page",
        "--batch-size",
        "--cache-mib",
        "--queue-size",
        "--request-timeout",
        "--grace",
        "--max-tokens",
        "--default-max-tokens",
        "--max-messages",
        "--max-characters",
        "--max-media",
        "--max-frames",
        "--max-clip-seconds",
        "--max-pixels",
        "--max-decodes",
        "--decode-timeout",
        "--decode-mib",
        "--body-mib",
        "--all-bodies-mib",
        "--body-timeout",
        "--upload-timeout",
        "--image-mib",
        "--video-mib",
        "--spool-mib",
        "--fetch-timeout",
        "--max-redirects",
    },
    "ui": {"--base-url", "--model", "--host", "--port", "--api-key-env", "--allowed-host", "--insecure"},
    "data fetch-list": {"names", "--data", "--json"},
    "eval run": {
        "benchmarks",
        "--model",
        "--base-url",
        "--judge",
        "--judge-cache",
        "--out",
        "--data",
        "--level",
        "--limit",
        "--num-clips",
        "--seed",
        "--controls",
        "--control-limit",
        "--real-clips",
        "--batch-size",
        "--processes",
        "--num-frames",
        "--fps",
        "--max-new-tokens",
        "--dry-run",
        "--plot",
        "--dtype",
        "--device",
        "--json",
    },
    "eval diff": {"first", "second", "--json"},
    "eval list": {"--json"},
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
