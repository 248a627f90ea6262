"""A section of a video on a page, fetched by yt-dlp in a process of its own.

Such a section has an address of our own, `ytdlp:12.500-20.000:https://...`, so that it can be named, waited
for and kept like any other. yt-dlp is a program that runs code for each site; it gets no shell, none of the
user's settings and plug-ins, and a folder of its own. It resolves names itself: that a page lies on the
public network is checked beforehand, and not that all it refers to does.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.collection.downloading.limits import FetchLimits
from valley.collection.downloading.retrying import AgainError, as_outcomes
from valley.collection.executor import RefusedError
from valley.errors import ConfigError, MissingExtraError
from valley.fetching.addresses import (
    Resolver,
    checked_addresses,
    host_of,
    parse_url,
    without_credentials,
)

SCHEME = "ytdlp:"
OLDEST_VERSION = (2025, 11, 12)
"""Since then the site it is mostly used for wants a JavaScript runtime; older ones fetch nothing there."""

_SECTION = re.compile(r"ytdlp:(\d{1,9}\.\d{3})-(\d{1,9}\.\d{3}):(.+)", re.S)
_POLL_S = 0.2
_VERSION_TIMEOUT_S = 60.0
_MOST_INFO_BYTES = 2**25
_MOST_SAID_BYTES = 2**16
_MOST_WORDS_CHARS = 1000
# Towers see 224 to 448 px: more than 720 lines cost bytes alone.
_FORMATS = "res:720"
# Words of its error messages, lower case: (reason, may pass).
_FAULTS: tuple[tuple[str, str, bool], ...] = (
    ("http error 429", "rate_limited", True),
    ("http error 404", "not_found", False),
    ("http error 410", "gone", False),
    ("http error 403", "forbidden", True),
    ("private video", "forbidden", False),
    ("sign in", "forbidden", False),
    ("log in", "forbidden", False),
    ("login required", "forbidden", False),
    ("unavailable", "gone", False),
    ("has been removed", "gone", False),
    ("unsupported url", "unsupported_page", False),
    ("timed out", "timeout", True),
    ("http error 5", "server_error", True),
    ("unable to download", "unreachable", True),
)


@dataclass(frozen=True)
class Section:
    """A stretch of the video on a page, in seconds."""

    page: str
    start_s: float | int
    end_s: float | int


@dataclass(frozen=True)
class FetchedSection:
    """What came.

    Attributes:
        file: in the folder that was given.
        page_says: what the site says: "title", "licence", "uploader", "page_url" and the like; as it stands.
    """

    file: Path
    page_says: Mapping[str, str]


def section_url(page: str, start_s: float | int, end_s: float | int) -> str:
    """Name a section.

    Example:
        ``section_url("https://a.example/v", 1.5, 4) == "ytdlp:1.500-4.000:https://a.example/v"``
    """
    return f"{SCHEME}{start_s:.3f}-{end_s:.3f}:{page}"


def parse_section(url: str) -> Section:
    """Read what `section_url` wrote.

    Raises:
        RefusedError: it is something else.
    """
    found = _SECTION.fullmatch(url)
    if found is None or float(found[2]) <= float(found[1]):
        raise RefusedError(
            "bad_url", f"want {SCHEME}START-END:https://..., got {without_credentials(url)[:80]}"
        )
    return Section(found[3], float(found[1]), float(found[2]))


class PageVideos:
    """Fetches sections; one object serves all threads."""

    def __init__(
        self, program: str, limits: FetchLimits, *, resolver: Resolver, is_stopped: Callable[[], bool]
    ) -> None:
        """Find yt-dlp.

        Args:
            program: its name, looked for on the search path and beside this interpreter, or its path.
            limits: the bounds.
            resolver: knows names.
            is_stopped: is asked now and then; where it says so, the process is ended.

        Raises:
            MissingExtraError: it is absent.
            ConfigError: it is too old.
        """
        self._program = _found_program(program)
        self._limits = limits
        self._resolver = resolver
        self._is_stopped = is_stopped
        self.version = _checked_version(self._program)

    def fetch(self, url: str, folder: Path) -> FetchedSection:
        """Fetch a section into a folder, which is emptied first.

        Raises:
            RefusedError: there is nothing to be had.
            AgainError: it may be had another time.
        """
        section = parse_section(url)
        allow_private = self._limits.allow_private_addresses
        with as_outcomes():
            page = parse_url(section.page)
            port = page.port or (443 if page.scheme == "https" else 80)
            checked_addresses(host_of(page), port, resolver=self._resolver, allow_private=allow_private)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        said = folder / "said.txt"
        with said.open("wb") as file:
            exit_code = self._run(self._command(section, folder), folder, file.fileno())
        media = [p for p in folder.glob("medium.*") if p.suffix not in (".json", ".part", ".ytdl", ".temp")]
        if exit_code or len(media) != 1:
            raise _fault(_last_words(said), exit_code)
        return FetchedSection(media[0], _page_says(folder / "medium.info.json", self.version))

    def _command(self, section: Section, folder: Path) -> list[str]:
        # Cut where it was asked for: at key frames alone, words would be about seconds that they do not mean.
        return [
            *self._program,
            *("--ignore-config", "--no-plugin-dirs", "--no-cache-dir", "--no-playlist", "--no-progress"),
            *("--no-mtime", "--write-info-json", "--force-keyframes-at-cuts"),
            *("--format-sort", _FORMATS),
            *("--socket-timeout", f"{self._limits.read_timeout_s:g}"),
            *("--download-sections", f"*{section.start_s:.3f}-{section.end_s:.3f}"),
            *("--output", str(folder / "medium.%(ext)s")),
            "--",
            section.page,
        ]

    def _run(self, command: list[str], folder: Path, output: int) -> int:
        """Run it to its end, or until it takes too much; what it started goes with it."""
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        until_s = time.monotonic() + self._limits.timeout_s
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(_POLL_S)
                self._refuse_excess(folder, until_s)
        finally:
            _end(process)

    def _refuse_excess(self, folder: Path, until_s: float) -> None:
        if self._is_stopped():
            raise AgainError("stopped")
        if time.monotonic() > until_s:
            raise AgainError(
                "timeout", f"not there after {self._limits.timeout_s:g} s", self._limits.timeout_s
            )
        num_bytes = 0
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # a part that was renamed in this moment
                num_bytes += path.stat().st_size
        if num_bytes > 2 * self._limits.max_bytes:  # pictures and sound, and both put together
            raise RefusedError("too_large", f"want at most {self._limits.max_bytes} bytes", num_bytes)


def _found_program(program: str) -> list[str]:
    beside = Path(sys.executable).parent / program
    found = shutil.which(program) or shutil.which(str(beside))
    if found is None:
        raise MissingExtraError(wanted_by="the source ytdlp", package="yt-dlp", extra="ytdlp")
    return [found]


def _checked_version(program: list[str]) -> str:
    try:
        said = subprocess.run(
            [*program, "--ignore-config", "--version"],
            capture_output=True,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=_VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{program[0]}: want yt-dlp, it does not say its version: {error}") from error
    version = said.stdout.decode("utf-8", "replace").strip()[:40]
    numbers = tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])
    if numbers < OLDEST_VERSION:
        oldest = ".".join(f"{part:02}" for part in OLDEST_VERSION)
        raise ConfigError(
            f"{program[0]}: want yt-dlp {oldest} or later, got {version or 'nothing'}: "
            "pip install -U 'valley-vl[ytdlp]'"
        )
    return version


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, where the system knows groups of processes."""
    if sys.platform == "win32":
        process.kill()
    else:
        import os

        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MOST_SAID_BYTES))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    words = " ".join((errors or lines or ["it said nothing"])[-1].split())
    return without_credentials(words)[:300]


def _fault(words: str, exit_code: int) -> RefusedError:
    for sign, reason, may_pass in _FAULTS:
        if sign in words.lower():
            kind = AgainError if may_pass else RefusedError
            return kind(reason, f"yt-dlp: {words}", exit_code)
    return AgainError("ytdlp_failed", f"yt-dlp: {words}", exit_code, most_attempts=2)


def _page_says(path: Path, version: str) -> dict[str, str]:
    """Read what the site says about the video."""
    said: dict[str, Any] = {}
    with suppress(FileNotFoundError, ValueError), path.open("rb") as file:
        read = json.loads(file.read(_MOST_INFO_BYTES))
        said = read if isinstance(read, dict) else {}
    names = {
        "title": "title",
        "license": "licence",
        "uploader": "uploader",
        "webpage_url": "page_url",
        "upload_date": "upload_date",
        "extractor_key": "site",
    }
    found = {
        ours: _clean(said[theirs]) for theirs, ours in names.items() if isinstance(said.get(theirs), str)
    }
    return {**{name: words for name, words in found.items() if words}, "fetched_by": f"yt-dlp {version}"}


def _clean(words: str) -> str:
    """Shorten what a stranger wrote; half a character, which no file can hold, becomes a question mark."""
    return words.strip()[:_MOST_WORDS_CHARS].encode("utf-8", "replace").decode("utf-8")
