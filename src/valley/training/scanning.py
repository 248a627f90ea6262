"""Read a little of every medium of a data set before a run, each in a process of its own, many at once.

What is done is noted at once in a file beside the result, one JSON object a line, so that a scan that was
killed goes on where it was::

    {"use": {"kind": "video", "path": "a.mp4", "start_s": null, "end_s": null, "subtitles": "off"},
     "size_bytes": 4711, "mtime_ns": 1700000000000000000, "error": "", "reason": ""}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from valley.conversation import Image, Video, read_jsonl
from valley.errors import MediaError, MediaNotFoundError, SamplingError
from valley.training.quarantine import quarantine_record
from valley.video.decoding import UNTRUSTED, read_frames
from valley.video.sampling import FrameSampling
from valley.video.subtitles import read_subtitles
from valley.whole_files import write_whole

# Pixels are thrown away: small ones cross the pipe from the child sooner. Decoding is the same.
_SIZE_PX = 64


@dataclass(frozen=True)
class MediaUse:
    """One way in which a data set uses a medium; uses that are equal are read once."""

    kind: Literal["image", "video"]
    path: str
    start_s: float | int | None = None
    end_s: float | int | None = None
    subtitles: str = "off"


@dataclass(frozen=True)
class Verdict:
    """What reading said: the error's class and reason, both empty where the medium is fine."""

    use: MediaUse
    error: str = ""
    reason: str = ""


Check: TypeAlias = Callable[[MediaUse], Verdict]


def media_uses(path: Path, *, media_root: Path | None = None) -> dict[MediaUse, list[str]]:
    """List how a file of conversations uses media, each with the ids of the conversations.

    Raises:
        ConversationError: a line is no conversation.
    """
    uses: dict[MediaUse, list[str]] = {}
    for conversation in read_jsonl(path, media_root=media_root):
        for part in conversation.media:
            uses.setdefault(_use(part), []).append(conversation.id)
    return uses


def _use(part: Image | Video) -> MediaUse:
    assert not isinstance(part.source, bytes)  # a line of JSON holds paths alone
    if isinstance(part, Image):
        return MediaUse("image", str(part.source))
    return MediaUse("video", str(part.source), part.start_s, part.end_s, str(part.subtitles))


def check_medium(use: MediaUse) -> Verdict:
    """Read a few frames of a medium in a child process with the limits for files of strangers.

    A clip's packets are all indexed, and the frames that a run takes by default are decoded: as many, spread
    in the same way over the same window. Subtitles are read where they are wanted, once the clip is sound.
    """
    if not Path(use.path).exists():
        return Verdict(use, MediaNotFoundError.__name__, "there is no such file")
    try:
        if use.kind == "image":
            read_frames([use.path], size_px=_SIZE_PX, limits=UNTRUSTED, isolated=True)
        else:
            sampling = FrameSampling(start_s=use.start_s, end_s=use.end_s)
            read_frames(use.path, sampling, size_px=_SIZE_PX, limits=UNTRUSTED, isolated=True)
            read_subtitles(use.path, use.subtitles, limits=UNTRUSTED)
    except MediaError as error:
        return Verdict(use, type(error).__name__, error.reason)
    except (SamplingError, OSError) as error:
        return Verdict(use, type(error).__name__, str(error))
    return Verdict(use)


def scan(
    uses: Iterable[MediaUse],
    notes_path: Path,
    *,
    num_workers: int,
    check: Check = check_medium,
    on_done: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """Check all uses, those that the notes have and whose files are unchanged excepted.

    Args:
        uses: what to read.
        notes_path: where is noted what is done; it is read first and then continued.
        num_workers: how many are read at once.
        check: reads one.
        on_done: is told after each how many are done.

    Returns:
        One verdict a use, in their order.
    """
    uses = list(uses)
    known = _read_notes(notes_path)
    states = {use: _state(use) for use in uses}
    done = {use: known[use][1] for use in uses if use in known and known[use][0] == states[use]}
    todo = [use for use in uses if use not in done]
    with _open_notes(notes_path) as notes:
        for verdict in _checked(todo, check, num_workers):
            state = states[verdict.use]
            if state is not None:  # a missing file is looked for again
                _note(notes, verdict, state)
            done[verdict.use] = verdict
            if on_done is not None:
                on_done(len(done))
    return [done[use] for use in uses]


def _checked(uses: list[MediaUse], check: Check, num_workers: int) -> Iterator[Verdict]:
    """Yield verdicts as they come; only a few uses wait at a time."""
    executor = ThreadPoolExecutor(num_workers)
    waiting: set[Future[Verdict]] = set()
    try:
        for use in uses:
            waiting.add(executor.submit(check, use))
            if len(waiting) >= 2 * num_workers:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ready)
    finally:
        executor.shutdown(cancel_futures=True)


_State: TypeAlias = tuple[int, int]


def _state(use: MediaUse) -> _State | None:
    """Give size and time of change of a file, or of a folder of frames; None where there is none."""
    path = Path(use.path)
    if path.is_dir():
        stats = [p.stat() for p in path.iterdir() if p.is_file()]
        newest_ns = max((s.st_mtime_ns for s in stats), default=0)
        return sum(s.st_size for s in stats), max(newest_ns, path.stat().st_mtime_ns)
    if not path.exists():
        return None
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _read_notes(path: Path) -> dict[MediaUse, tuple[_State, Verdict]]:
    """Read what earlier scans noted; the last note of a use holds, a line that a kill tore is none."""
    notes: dict[MediaUse, tuple[_State, Verdict]] = {}
    if not path.exists():
        return notes
    data = path.read_bytes()
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        note = _parse_note(line)
        if note is not None:
            notes[note[1].use] = note
    return notes


def _parse_note(line: bytes) -> tuple[_State, Verdict] | None:
    try:
        note: dict[str, Any] = json.loads(line)
        verdict = Verdict(MediaUse(**note["use"]), note["error"], note["reason"])
        return (note["size_bytes"], note["mtime_ns"]), verdict
    except (ValueError, KeyError, TypeError):
        return None


def _open_notes(path: Path) -> IO[bytes]:
    """Open for appending, behind the last whole line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            os.truncate(path, data.rfind(b"\n") + 1)
    return path.open("ab", buffering=0)


def _note(notes: IO[bytes], verdict: Verdict, state: _State) -> None:
    size_bytes, mtime_ns = state
    record = {
        "use": asdict(verdict.use),
        "size_bytes": size_bytes,
        "mtime_ns": mtime_ns,
        "error": verdict.error,
        "reason": verdict.reason,
    }
    notes.write((json.dumps(record, ensure_ascii=False) + "\n").encode())


def write_quarantine(path: Path, verdicts: Iterable[Verdict], uses: Mapping[MediaUse, Iterable[str]]) -> int:
    """Write one line for every use of a bad medium by a conversation, as a run does; return how many.

    The file appears whole, and is empty where all is well.
    """
    records = [
        quarantine_record(verdict.use.path, verdict.error, verdict.reason, sample_id=sample_id)
        for verdict in verdicts
        if verdict.error
        for sample_id in uses[verdict.use]
    ]
    write_whole(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
    return len(records)
