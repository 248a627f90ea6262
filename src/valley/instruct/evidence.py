"""What is known about a clip before anybody writes about it: facts, each with a name, an origin and times.

The writer sees the facts and nothing else, the checks hold what it wrote against them, and the record keeps
which of them it used::

    F1 [caption, en] A cook cuts onions.
    F2 [subtitle, en, 0.4-2.1 s] First we need two onions.
    F3 [shot, 0.0-3.2 s]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from valley.manifest import Clip

FactKind: TypeAlias = Literal["caption", "sentence", "subtitle", "description", "shot", "metadata"]

_KINDS: dict[str, FactKind] = {
    "caption": "caption",
    "description": "description",
    "subtitle": "subtitle",
    "title": "metadata",
    "tag": "metadata",
    "question_answer": "description",
}


@dataclass(frozen=True)
class Fact:
    """Something known about a clip.

    Attributes:
        id: "F1", "F2", ...; the writer names facts by it.
        kind: what it is.
        text: the words; empty for a shot, which is a stretch of time.
        language: BCP-47 tag of the words.
        start_s: where the stretch begins that it is about, in seconds from the clip's beginning; None: the
            whole clip.
        end_s: where it ends.
        origin: "human", "machine", or what found it.
        source_id: the manifest's name of the text, or "".
    """

    id: str
    kind: FactKind
    text: str
    language: str = "und"
    start_s: float | None = None
    end_s: float | None = None
    origin: str = "human"
    source_id: str = ""

    @property
    def line(self) -> str:
        """The fact as the writer sees it."""
        about = [self.kind]
        if self.text:
            about.append(self.language)
        if self.start_s is not None and self.end_s is not None:
            about.append(f"{self.start_s:.1f}-{self.end_s:.1f} s")
        return f"{self.id} [{', '.join(about)}] {self.text}".rstrip()


@dataclass(frozen=True)
class Evidence:
    """A clip and what is known about it.

    Attributes:
        clip: what the conversation will be about.
        duration_s: how long the stretch lasts; 0 for a picture.
        facts: in the order in which they are shown.
        frames: data URLs of pictures of the clip, for writers that can see.
        frame_times_s: when each is shown, from the clip's beginning.
    """

    clip: Clip
    duration_s: float
    facts: tuple[Fact, ...]
    frames: tuple[str, ...] = ()
    frame_times_s: tuple[float, ...] = ()

    @property
    def card(self) -> str:
        """All facts, one a line."""
        return "\n".join(fact.line for fact in self.facts)

    def of_kind(self, *kinds: FactKind) -> tuple[Fact, ...]:
        """Give the facts of some kinds."""
        return tuple(fact for fact in self.facts if fact.kind in kinds)


def evidence_of(clip: Clip, *, frames: Sequence[str] = (), frame_times_s: Sequence[float] = ()) -> Evidence:
    """Make the card of a clip: words about all of it, words about stretches in order, shots.

    A caption about a part of the clip is a `sentence`: several of them tell what happens when.
    """
    duration_s = clip.end_s - clip.start_s
    whole, timed = [], []
    for text in clip.texts:
        covers = text.start_s <= clip.start_s and text.end_s >= clip.end_s
        kind = _KINDS.get(text.kind, "caption")
        if not covers and kind in ("caption", "description"):
            kind = "sentence"
        place = (None, None) if covers else _within(clip, text.start_s, text.end_s)
        (whole if covers else timed).append(
            Fact("", kind, text.text, text.language, *place, text.origin, text.id)
        )
    timed.sort(key=lambda f: (f.start_s or 0.0, f.end_s or 0.0, f.text))
    shots = [
        Fact("", "shot", "", "und", *_within(clip, shot.start_s, shot.end_s), "detector")
        for shot in clip.shots
        if clip.kind == "video"
    ]
    facts = tuple(
        Fact(f"F{n}", f.kind, f.text, f.language, f.start_s, f.end_s, f.origin, f.source_id)
        for n, f in enumerate([*whole, *timed, *shots], 1)
    )
    return Evidence(clip, duration_s, facts, tuple(frames), tuple(frame_times_s))


def _within(clip: Clip, start_s: float, end_s: float) -> tuple[float, float]:
    begin_s = max(start_s, clip.start_s) - clip.start_s
    return begin_s, min(end_s, clip.end_s) - clip.start_s
