"""Timed text: sidecar .srt and .vtt files and embedded subtitle streams, as cues and as words for a prompt.

A cue of an .srt file looks like this::

    2
    00:00:12,000 --> 00:00:14,500
    Where were you?
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.subtitles.subtitle import AssSubtitle

from valley.errors import MediaError, MediaNotFoundError, NotAVideoError, TooLargeError
from valley.video.limits import DecodeLimits, Guard
from valley.video.opening import open_media, video_stream
from valley.video.pictures import name_of
from valley.video.probing import subtitle_streams

SIDECAR_SUFFIXES = (".srt", ".vtt")
MOST_SIDECAR_BYTES = 16 * 2**20  # a day of speech is about 1 MB
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_ARROW = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_MARKUP = re.compile(r"<[^<>\n]*>|\{\\[^{}\n]*\}")


@dataclass(frozen=True)
class Cue:
    """Words shown from `start_s` to `end_s`, seconds from the first shown frame."""

    start_s: float | int
    end_s: float | int
    text: str


def read_subtitles(
    source: str | Path | bytes, which: str | Path = "auto", *, limits: DecodeLimits | None = None
) -> list[Cue]:
    """Read the timed text of a clip, in order of time.

    Args:
        source: the video.
        which: "off"; "auto": the file of the same name beside it (a.srt, a.vtt, a.en.srt), else the first
            embedded text stream, else nothing; or the path of an .srt or .vtt file.
        limits: on bytes and time.

    Raises:
        MediaNotFoundError: the named file is absent.
        MediaError: it is no .srt or .vtt, or the video cannot be read.
    """
    if str(which) == "off":
        return []
    guard = Guard(name_of(source), limits or DecodeLimits())
    if str(which) != "auto":
        return _read_sidecar(Path(which))
    if not isinstance(source, bytes):
        beside = find_sidecar(Path(source))
        if beside is not None:
            return _read_sidecar(beside)
        if Path(source).is_dir():
            return []
    with open_media(source, guard) as container:
        texts = [s.number for s in subtitle_streams(container) if s.is_text]
        return _read_embedded(container, texts[0], guard) if texts else []


def find_sidecar(video: Path) -> Path | None:
    """Find a.srt, a.vtt or one with a language (a.en.srt) beside a.mp4; the plain name first."""
    for suffix in SIDECAR_SUFFIXES:
        if video.with_suffix(suffix).is_file():
            return video.with_suffix(suffix)
    if not video.parent.is_dir():
        return None
    stem = f"{video.stem}."
    with_language = [
        p for p in video.parent.iterdir() if p.name.startswith(stem) and p.suffix.lower() in SIDECAR_SUFFIXES
    ]
    return min(with_language, default=None)


def _read_sidecar(path: Path) -> list[Cue]:
    if not path.is_file():
        raise MediaNotFoundError(path, "there is no such subtitle file", "check the path, or use auto or off")
    if path.suffix.lower() not in SIDECAR_SUFFIXES:
        raise NotAVideoError(path, f"subtitles {path.suffix!r} are not known", "give an .srt or .vtt file")
    if path.stat().st_size > MOST_SIDECAR_BYTES:
        raise TooLargeError(path, f"has more than {MOST_SIDECAR_BYTES} bytes", "give the subtitles alone")
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError:
        # Old .srt files: Windows' western code page knows every byte but five, those are marked.
        text = data.decode("cp1252", errors="replace")
    cues = parse_cues(text)
    if not cues and text.strip() not in {"", "WEBVTT"}:
        raise MediaError(
            path, "holds no line like 00:00:12,000 --> 00:00:14,500", "give an .srt or .vtt file"
        )
    return cues


def parse_cues(text: str) -> list[Cue]:
    """Read the cues of .srt or .vtt text; notes, styles and broken times are passed over."""
    cues: list[Cue] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    number = 0
    while number < len(lines):
        arrow = _ARROW.match(lines[number])
        number += 1
        if arrow is None:
            continue
        words: list[str] = []
        while number < len(lines) and lines[number].strip() and not _ARROW.match(lines[number]):
            words.append(lines[number])
            number += 1
        start_s, end_s = _seconds(*arrow.groups()[:4]), _seconds(*arrow.groups()[4:])
        plain = _plain("\n".join(words))
        if plain and end_s >= start_s:
            cues.append(Cue(start_s, end_s, plain))
    return sorted(cues, key=_by_time)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + int((fraction or "0").ljust(3, "0")) / 1000


def _plain(text: str) -> str:
    """Words without markup, on one line."""
    return " ".join(html.unescape(_MARKUP.sub("", text)).replace("\\N", " ").split())


def _read_embedded(container: InputContainer, number: int, guard: Guard) -> list[Cue]:
    video = video_stream(container, guard)
    start_s = float((video.start_time or 0) * (video.time_base or 0))
    cues: list[Cue] = []
    try:
        for packet in container.demux(container.streams.subtitles[number]):
            guard.tick()
            if not packet.size or packet.pts is None:
                continue
            # The generic Packet.decode answers for every kind of stream; a text stream gives text.
            lines = [
                s.dialogue.decode("utf-8", "replace") for s in packet.decode() if isinstance(s, AssSubtitle)
            ]
            words = _plain(" ".join(lines))
            shown_s = float(packet.pts * packet.time_base) - start_s
            length_s = float((packet.duration or 0) * packet.time_base)
            if words and shown_s + length_s >= 0:
                cues.append(Cue(max(0.0, shown_s), shown_s + length_s, words))
            guard.count(len(cues))
    except FFmpegError as error:
        reason = f"its subtitles cannot be read: {error.strerror}"
        raise MediaError(guard.source, reason, "turn subtitles off") from error
    return sorted(cues, key=_by_time)


def _by_time(cue: Cue) -> tuple[float | int, float | int]:
    return cue.start_s, cue.end_s


def as_prompt(
    cues: Iterable[Cue], start_s: float | int | None = None, end_s: float | int | None = None
) -> str:
    """Write the cues that are shown within a window as words for a prompt, one line a cue.

    Returns:
        Lines such as "[0:12.0-0:14.5] Where were you?"; empty where nothing is said.
    """
    first_s = 0.0 if start_s is None else start_s
    last_s = float("inf") if end_s is None else end_s
    inside = [c for c in cues if c.end_s >= first_s and c.start_s <= last_s]
    return "\n".join(f"[{_clock(c.start_s)}-{_clock(c.end_s)}] {c.text}" for c in inside)


def _clock(time_s: float | int) -> str:
    """Write 72.04 as 1:12.0, and 3672 as 1:01:12.0."""
    tenths = round(time_s * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"
