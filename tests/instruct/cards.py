"""Clips with evidence, made by hand or from scenes whose truth is known; and collections of them on disk."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valley.instruct.evidence import Evidence, evidence_of
from valley.instruct.task import Draft, Turn
from valley.manifest import Clip, ClipText, Shot, as_us, clip_id, split_of, text_id, write_table
from valley.synthetic.dataset import scene_number
from valley.synthetic.narration import caption, event_sentence
from valley.synthetic.truth import Truth, truth_of

LANGUAGES = ("en", "zh", "es")
LICENCE = "CC0-1.0"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def card(*texts: str | tuple[str, float, float], language: str = "en", **more: Any) -> Evidence:
    """Make evidence: captions of the whole clip, and (text, start_s, end_s) of parts of it."""
    duration_s, kind = more.pop("duration_s", 10.0), more.pop("kind", "video")
    shots = tuple(Shot(float(a), float(b), "cut") for a, b in more.pop("shots", ()))
    text_kind = more.pop("text_kind", "caption")
    end_s = 0.0 if kind == "image" else duration_s
    placed = [(t, 0.0, end_s) if isinstance(t, str) else t for t in texts]
    named = tuple(
        ClipText(f"t{n}", text_kind, language, text, float(a), float(b))
        for n, (text, a, b) in enumerate(placed)
    )
    clip = Clip(
        "c", "m", kind, Path("a.mp4"), 0.0, end_s, "made", "a", LICENCE, "said", texts=named, shots=shots
    )
    return evidence_of(clip, **more)


def draft(*turns: tuple[str, str], task: str = "dialogue", language: str = "en", **more: Any) -> Draft:
    """Make a draft of questions and answers."""
    return Draft(task, language, tuple(Turn(q, a, ("F1",)) for q, a in turns), **more)


def truth_number(number: int, *, level: str = "core") -> Truth:
    """Give the truth of a scene."""
    return truth_of(scene_number(0, number, level=level))  # type: ignore[arg-type]


def said_of(truth: Truth, languages: Sequence[str] = LANGUAGES) -> list[tuple[str, str, float, float]]:
    """Give what the synthetic source says about a clip: (language, text, start_s, end_s)."""
    whole = [(tag, caption(truth, tag), 0.0, truth.shots[-1].end_s) for tag in languages]
    parts = [
        (tag, event_sentence(item, tag), item.start_s, max(item.end_s or 0.0, item.start_s + 0.1))
        for item in truth.objects
        if item.start_s is not None
        for tag in languages
    ]
    return [*whole, *parts]


def scene_evidence(number: int, languages: Sequence[str] = LANGUAGES) -> tuple[Truth, Evidence]:
    """Give a scene's truth, and the card that its collection would make of it."""
    truth = truth_number(number)
    texts = tuple(
        ClipText(f"t{n}", "caption", tag, text, start_s, end_s, "machine")
        for n, (tag, text, start_s, end_s) in enumerate(said_of(truth, languages))
    )
    shots = tuple(Shot(s.start_s, s.end_s, "cut") for s in truth.shots)
    end_s = truth.shots[-1].end_s
    clip = Clip(
        f"c{number}",
        f"m{number}",
        "video",
        Path(f"{number}.mp4"),
        0.0,
        end_s,
        "synthetic",
        f"0-core/{number:06d}",
        LICENCE,
        "rendered",
        texts=texts,
        shots=shots,
    )
    return truth, evidence_of(clip)


def write_corpus(corpus: Path, scenes: Iterable[int]) -> Path:
    """Write the manifest of a collection of scenes; there are no files of the clips."""
    tables: dict[str, list[dict[str, Any]]] = {"media": [], "clip": [], "text": [], "quarantine": []}
    for number in scenes:
        truth = truth_number(number)
        end_us = as_us(truth.shots[-1].end_s)
        media = hashlib.sha256(f"scene {number}".encode()).hexdigest()
        name = clip_id(media, 0, end_us)
        place = {"source": "synthetic", "source_item_id": f"0-core/{number:06d}"}
        tables["media"].append(
            {
                "media_id": media,
                "kind": "video",
                "uri": f"blobs/{number}.mp4",
                "size_bytes": 1,
                "licence": LICENCE,
                "licence_evidence": "rendered",
                "collected_at": STARTED,
                "tool_versions": "",
                **place,
            }
        )
        stretch = {"media_id": media, "split": split_of(media)}
        tables["clip"].append(
            {"clip_id": name, "start_us": 0, "end_us": end_us, "level": "stretch", **stretch}
        )
        for shot in truth.shots:
            a, b = as_us(shot.start_s), as_us(shot.end_s)
            shown = {"clip_id": clip_id(media, a, b), "start_us": a, "end_us": b, "level": "shot"}
            tables["clip"].append({**shown, **stretch, "transition": "cut"})
        for tag, text, start_s, end_s in said_of(truth):
            a, b = as_us(start_s), min(as_us(end_s), end_us)
            tables["text"].append(
                {
                    "text_id": text_id(clip_id(media, a, b), "caption", tag, text),
                    "media_id": media,
                    "clip_id": name,
                    "start_us": a,
                    "end_us": b,
                    "kind": "caption",
                    "language": tag,
                    "text": text,
                    "origin": "machine",
                    "kept": True,
                    **place,
                }
            )
    for table, rows in tables.items():
        write_table(corpus, table, rows)  # type: ignore[arg-type]
    return corpus
