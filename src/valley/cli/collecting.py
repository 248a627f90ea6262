"""What `valley collect` is told, how it says how far it is, and what it says at the end."""

from __future__ import annotations

import dataclasses
import difflib
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valley.cli import text
from valley.collection.config import CollectConfig, read_config
from valley.collection.corpus import Shard
from valley.collection.pipeline import Progress, Result, Running, collect, retry
from valley.collection.planning import Plan
from valley.collection.source import SOURCES
from valley.collection.walking import is_in, walk
from valley.errors import ConfigError, UnknownNameError
from valley.manifest import UNKNOWN_LICENCE
from valley.recipe import checked, override

_COMMANDS = ("report", "verify", "retry", "export")
_SAY_EVERY_S = 0.2


def read(what: str, rest: Sequence[str], said: dict[str, Any], flags: Sequence[str]) -> CollectConfig:
    """Read what is to be collected.

    Args:
        what: the name of a source, or a recipe.
        rest: what the source reads; and overrides.
        said: about the source, on the command line.
        flags: names of settings that are true.

    Raises:
        UnknownNameError: `what` is neither.
        ConfigError: something does not fit.
    """
    on = [f"{name}=true" for name in flags]
    if Path(what).suffix in (".yaml", ".yml"):
        for name in said:
            raise ConfigError(
                f"--{_option(name)}: each source of a recipe has its own: give sources.0.{name}=... instead"
            )
        return read_config(what, [*rest, *on])
    names = SOURCES.names()
    if what not in names:
        near = difflib.get_close_matches(what, [*names, *_COMMANDS], n=1)
        hint = f"; did you mean {near[0]!r}" if near else ""
        raise UnknownNameError(
            f"{what!r} is no source, no recipe (*.yaml) and no command of `valley collect`{hint}; there are "
            f"the sources {', '.join(names)}"
        )
    if not rest:
        raise ConfigError(f"want a file or folder for the source {what}: valley collect {what} PATH -o OUT")
    path, *overrides = rest
    fields: dict[str, Any] = {"sources": [{"source": what, "path": path, **said}]}
    for words in (*overrides, *on):
        override(fields, words)
    return checked(CollectConfig, fields, where=f"valley collect {what}")


def _option(name: str) -> str:
    return "set" if name == "settings" else name.replace("_", "-")


def as_settings(words: Sequence[str]) -> dict[str, str]:
    """Read ``--set name=value``.

    Raises:
        ConfigError: there is no "=".
    """
    settings: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set: want name=value, got {word!r}")
        settings[name] = value
    return settings


def read_shard(words: str | None) -> Shard:
    """Read ``--shard i/n``.

    Raises:
        ConfigError: it is something else.
    """
    if words is None:
        return Shard()
    number, slash, num_shards = words.partition("/")
    if not (slash and number.isdigit() and num_shards.isdigit()):
        raise ConfigError(f"--shard: want i/n such as 0/4, got {words!r}")
    return Shard(int(number), int(num_shards))


def out_folder(out: Path | None, config: CollectConfig) -> Path:
    """Give the folder to collect into.

    Raises:
        ConfigError: nobody said one.
    """
    folder = out or config.out
    if folder is None:
        raise ConfigError("want a folder to collect into: -o corpus/")
    return folder.expanduser()


def watched(config: CollectConfig, corpus: Path, running: Running, *, is_quiet: bool) -> Result:
    """Collect, or try faults again; say how far it is where somebody watches. A signal to end is a Ctrl-C."""
    last = Progress()

    def remember(progress: Progress) -> None:
        nonlocal last
        last = progress
        if line is not None:
            line.on_progress(progress)

    line = None if is_quiet or not sys.stderr.isatty() else _ProgressLine(config, running.shard)
    running = dataclasses.replace(
        running, on_progress=remember, on_phase=line.on_phase if line else lambda phase: None
    )
    try:
        with _end_is_interrupt():
            return (
                collect(config, corpus, running) if running.retry_reasons is None else retry(corpus, running)
            )
    except KeyboardInterrupt:
        print(
            f"\nstopped: {last.num_done} media were looked at and {last.num_fetched} fetched; what is "
            "done is kept, and the same command goes on from there",
            file=sys.stderr,
        )
        raise
    finally:
        if line is not None:
            line.end()


@contextmanager
def _end_is_interrupt() -> Iterator[None]:
    """Treat SIGTERM as a Ctrl-C: the stores are closed, the children ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _ProgressLine:
    """One line that is written over: media of all, refusals, rate, time left; of all is counted beside."""

    def __init__(self, config: CollectConfig, shard: Shard) -> None:
        self._started_s = time.monotonic()
        self._said_s = 0.0
        self._of_all: int | None = None
        self._ended = threading.Event()
        self._counter = threading.Thread(target=self._count, args=(config, shard), daemon=True)
        self._counter.start()

    def on_progress(self, progress: Progress) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            self._say(progress_line(progress, self._of_all, now_s - self._started_s))

    def on_phase(self, phase: str) -> None:
        self._say(f"{phase} ...")

    def end(self) -> None:
        self._ended.set()
        self._say("")

    def _say(self, words: str) -> None:
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    def _count(self, config: CollectConfig, shard: Shard) -> None:
        """Count the media: sources are read once more, which is quick beside looking at media."""
        places: set[str] = set()
        for named in walk(config):
            if self._ended.is_set():
                return
            if is_in(shard, named.place):
                places.add(named.place)
        self._of_all = len(places)


def progress_line(progress: Progress, of_all: int | None, elapsed_s: float) -> str:
    """Say how far a run is, such as ``312/1000 media  4 refused  5.2/s  2:12.3 left``."""
    num_done = progress.num_known + progress.num_done
    rate = progress.num_done / elapsed_s if elapsed_s > 0 else 0.0
    parts = [f"{num_done}/{of_all} media" if of_all is not None else f"{num_done} media"]
    if progress.num_fetched:
        parts.append(f"{progress.num_fetched} fetched")
    if progress.num_refused:
        parts.append(f"{progress.num_refused} refused")
    parts.append(f"{rate:.1f}/s")
    if of_all is not None and rate > 0:
        parts.append(f"{text.clock(max(0, of_all - num_done) / rate)} left")
    return "  ".join(parts)


def describe(result: Result, corpus: Path) -> str:
    """Say what a run has come to."""
    summary, progress = result.summary, result.progress
    if summary is None:
        rows = [("looked at", str(progress.num_done)), ("done before", str(progress.num_known))]
        rows += _counted("refused", progress.reasons)
        after = "when all shards are done, the same command without --shard writes the manifest"
        return f"{text.table(rows)}\n{corpus}: {after}"
    media = f"{summary.num_media}, {text.clock(summary.duration_s)} long together"
    rows = [
        ("items", str(summary.num_items)),
        ("media", media + (f", {summary.num_pictures} pictures" if summary.num_pictures else "")),
        ("stretches", str(summary.num_clips)),
        ("shots", str(summary.num_shots)),
        ("texts", str(summary.num_texts)),
        *_counted("licences", summary.licences),
        *_counted("captions refused", summary.refused_texts),
        *_counted("quarantined", summary.quarantined),
    ]
    if summary.num_torn:
        rows.append(("torn lines", f"{summary.num_torn}, passed over"))
    unknown = summary.licences[UNKNOWN_LICENCE]
    note = (
        f"\n{unknown} media have no known licence: they stay out of what is made of this collection unless "
        "--allow-unknown-licence is given there"
        if unknown
        else ""
    )
    return f"{text.table(rows)}\n{corpus}: done{note}"


def _counted(name: str, counts: Counter[str]) -> list[tuple[str, str]]:
    return [(name, ", ".join(f"{word} {n}" for word, n in counts.most_common()))] if counts else []


def result_dict(result: Result, corpus: Path) -> dict[str, Any]:
    """Give what a run has come to as plain values for JSON."""
    progress = result.progress
    run = {
        "corpus": str(corpus),
        "num_known": progress.num_known,
        "num_done": progress.num_done,
        "num_fetched": progress.num_fetched,
        "faults": dict(progress.reasons.most_common()),
    }
    return run | (result.summary.to_dict() if result.summary is not None else {})


def describe_plan(plan: Plan) -> str:
    """Say what a collection would be."""
    rows = [
        (name, p.num_items, p.num_media, p.num_urls, p.num_done, text.size(p.size_bytes), p.num_texts)
        for name, p in plan.sources.items()
    ]
    header = ("source", "items", "media", "to fetch", "done", "local bytes", "texts")
    counted = [
        *_counted("licences", plan.licences),
        *_counted("languages", plan.languages),
        *_counted("refused", plan.refused_items),
        *_counted("captions refused", plan.refused_texts),
    ]
    tail = "\n\n" + text.table(counted) if counted else ""
    return text.table(rows, header=header) + tail + "\nnothing was fetched or written"
