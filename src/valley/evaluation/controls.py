"""The same questions with other frames: black ones, one all the time, another clip's.

What is shown instead is made when it is first asked about, of the very frames that the model would be shown,
as a small file with the same times and the same size. Media of earlier turns (examples) stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valley.conversation import Conversation, Image, Message, Part, Text, Video
from valley.evaluation.benchmark import Item
from valley.inference.backend import Backend, GenerationParams
from valley.inference.media import MediaReader
from valley.video.encoding import write_video
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling
from valley.video.subtitles import Cue, read_subtitles
from valley.whole_files import write_whole

CONTROLS = ("blind", "one_frame", "swapped")

SAME_TIME_S = 1e-4
"""A file's clock ticks 90 000 times a second."""

_QUALITY = {"blind": 30, "one_frame": 10}
"""x264's crf: black needs none; the still frame should look as it did."""


@dataclass(frozen=True)
class Control:
    """A question with other frames, and the one it was made of."""

    item: Item
    original: Item


def plan_controls(items: Sequence[Item], folder: Path, *, limit: int | None = None) -> list[Control]:
    """List the control questions of the normal ones; nothing is made yet.

    Args:
        items: of a benchmark without controls of its own.
        folder: where their media will lie.
        limit: at most so many of each control.
    """
    normal = [i for i in items if i.variant == "normal" and i.conversation.messages[-1].media]
    others = _other_clips(normal)
    found = []
    for name in CONTROLS:
        made = [_controlled(item, name, folder, others) for item in normal[:limit]]
        found += [Control(item, original) for item, original in zip(made, normal, strict=False) if item]
    return found


def _controlled(item: Item, name: str, folder: Path, others: dict[str, Item]) -> Item | None:
    last = item.conversation.messages[-1]
    if name == "swapped":
        other = others.get(_clip_of(item))
        if other is None:
            return None
        stand_ins = list(other.conversation.messages[-1].media)
    elif name == "one_frame" and not any(isinstance(m, Video) for m in last.media):
        return None
    else:
        stand_ins = [_stand_in(m, name, folder) for m in last.media]
    remaining = iter(stand_ins)
    parts: tuple[Part, ...] = tuple(p if isinstance(p, Text) else next(remaining) for p in last.parts)
    messages = (*item.conversation.messages[:-1], Message(last.role, parts))
    return replace(item, variant=name, conversation=replace(item.conversation, messages=messages))


def _clip_of(item: Item) -> str:
    return item.clip or item.id


def _other_clips(items: Sequence[Item]) -> dict[str, Item]:
    """Give for each clip a question about the next one with media of the same kinds."""
    firsts: dict[tuple[type, ...], dict[str, Item]] = {}
    for item in items:
        kinds = tuple(type(m) for m in item.conversation.messages[-1].media)
        firsts.setdefault(kinds, {}).setdefault(_clip_of(item), item)
    found = {}
    for clips in firsts.values():
        names = list(clips)
        if len(names) > 1:
            found |= {name: clips[other] for name, other in zip(names, names[1:] + names[:1], strict=True)}
    return found


def _stand_in(medium: Image | Video, name: str, folder: Path) -> Image | Video:
    if isinstance(medium, Image) and name == "one_frame":
        return medium
    what = medium.source if isinstance(medium.source, bytes) else str(medium.source).encode()
    window = f"{medium.start_s} {medium.end_s}" if isinstance(medium, Video) else ""
    digest = hashlib.sha256(what + window.encode()).hexdigest()[:12]
    if isinstance(medium, Image):
        return Image(folder / f"{digest}-{name}.png")
    subtitles = "off" if str(medium.subtitles) == "off" else "auto"
    return Video(folder / f"{digest}-{name}.mp4", medium.start_s, medium.end_s, subtitles)


@dataclass(frozen=True)
class Prepared:
    """What the engine is given: the conversation with the media that were made, and how to ask about them."""

    conversation: Conversation
    params: GenerationParams


def make_media(control: Control, backend: Backend, params: GenerationParams) -> Prepared:
    """Write the media of a control that are absent, and say how to ask about them.

    Conversation and parameters are those of the question, except where the rule for frames would choose other
    times of the small file than of the clip: then the times themselves are asked for.

    Raises:
        MediaError: the original cannot be read.
    """
    conversation = control.item.conversation
    if control.item.variant == "swapped":
        return Prepared(conversation, params)
    made = conversation.messages[-1].media
    originals = control.original.conversation.messages[-1].media
    for medium, original in zip(made, originals, strict=True):
        path = Path(str(medium.source))
        if medium != original and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, backend.look(original, params), original, control.item.variant)
    if len(made) == 1 and isinstance(made[0], Video):
        times_s = _times_to_ask_for(made[0], originals[0], backend, params)
        if times_s is not None:
            return Prepared(
                _without_window(conversation), replace(params, sampling=FrameSampling(times_s=times_s))
            )
    return Prepared(conversation, params)


def _times_to_ask_for(
    made: Image | Video, original: Image | Video, backend: Backend, params: GenerationParams
) -> tuple[float, ...] | None:
    """Give the original's times where the rule would choose others of the small file."""
    reader = MediaReader(backend.capabilities.default_sampling)
    wanted, got = (reader.glance(m, sampling=params.sampling).frames.shown_at_s for m in (original, made))
    if len(wanted) == len(got) and np.abs(wanted - got).max(initial=0.0) < SAME_TIME_S:
        return None
    # A clock's tick later, so that a time that was rounded up is on display already.
    return tuple(float(t) + SAME_TIME_S / 2 for t in np.unique(wanted))


def _without_window(conversation: Conversation) -> Conversation:
    last = conversation.messages[-1]
    parts = tuple(replace(p, start_s=None, end_s=None) if isinstance(p, Video) else p for p in last.parts)
    return replace(conversation, messages=(*conversation.messages[:-1], Message(last.role, parts)))


def _write(path: Path, frames: Frames, original: Image | Video, name: str) -> None:
    pixels, times = frames.pixels, frames.shown_at_s
    if isinstance(original, Image):
        _write_picture(path, np.zeros_like(pixels[0]))
        return
    if str(original.subtitles) != "off":
        cues = read_subtitles(original.source, original.subtitles)
        _write_cues(path.with_suffix(".srt"), [c for c in cues if _is_within(c, original)])
    still = np.zeros_like(pixels[0]) if name == "blind" else pixels[len(pixels) // 2]
    still = still[: still.shape[0] // 2 * 2, : still.shape[1] // 2 * 2]  # the pixel format wants even sides
    shown = np.unique(times)
    if shown[0] > SAME_TIME_S:  # a clip begins at 0 s: so does this one, before the window
        shown = np.insert(shown, 0, 0.0)
    write_video(
        path,
        (still for _ in shown),
        shown_at_s=[float(t) for t in shown],
        crf=_QUALITY[name],
        options={"preset": "veryfast"},
    )


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    import PIL.Image

    held = BytesIO()
    PIL.Image.fromarray(pixels).save(held, format="PNG")
    write_whole(path, held.getvalue())


def _write_cues(path: Path, cues: Sequence[Cue]) -> None:
    blocks = [f"{n}\n{_clock(c.start_s)} --> {_clock(c.end_s)}\n{c.text}\n" for n, c in enumerate(cues, 1)]
    write_whole(path, "\n".join(blocks))


def _is_within(cue: Cue, window: Video) -> bool:
    starts_s = 0.0 if window.start_s is None else window.start_s
    return cue.end_s >= starts_s and (window.end_s is None or cue.start_s <= window.end_s)


def _clock(time_s: float | int) -> str:
    hours, rest = divmod(round(time_s * 1000), 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"
