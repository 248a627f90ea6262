"""A finished collection of five media, made by hand: what `valley collect` would have written."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from valley.manifest import as_us, clip_id, text_id, write_table
from valley.video.encoding import write_video

LICENCES = {
    "film": "CC-BY-4.0",
    "strange": "unknown",
    "picture": "CC0-1.0",
    "silent": "CC-BY-4.0",
    "mute": "CC-BY-SA-4.0",
}
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@dataclass(frozen=True)
class SmallCorpus:
    """Where it lies, and its media by name."""

    path: Path
    media: Mapping[str, str]


def make_corpus(root: Path) -> SmallCorpus:
    """Write media and tables.

    `film` has two shots, words in four languages, one about a part and two that were refused; `strange` has
    no licence; `picture` is one; `silent` lies outside and has no words; those of `mute` were refused.
    """
    corpus, outside = root / "corpus", root / "mine"
    corpus.mkdir(parents=True)
    outside.mkdir()
    tables: dict[str, list[dict[str, Any]]] = {"media": [], "clip": [], "text": [], "quarantine": []}
    ids = {}
    for number, (name, licence) in enumerate(LICENCES.items()):
        file = outside / f"{name}.mp4" if name == "silent" else root / f"{name}.part"
        _write_medium(file, number, is_picture=name == "picture")
        ids[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        if name != "silent":
            suffix = "png" if name == "picture" else "mp4"
            blob = corpus / "blobs" / ids[name][:2] / f"{ids[name]}.{suffix}"
            blob.parent.mkdir(parents=True, exist_ok=True)
            file = file.rename(blob)
        tables["media"].append(_medium(name, ids[name], file, corpus, licence))
    for name, of_medium in ids.items():
        end_s = 0.0 if name == "picture" else 4.0
        tables["clip"].append(_clip(of_medium, 0.0, end_s, level="stretch"))
    for start_s, end_s, transition in ((0.0, 2.0, "start"), (2.0, 4.0, "cut")):
        shot = _clip(ids["film"], start_s, end_s, level="shot")
        tables["clip"].append(shot | {"transition": transition, "shot_index": int(start_s > 0)})
    tables["clip"].append(_clip(ids["film"], 1.0, 2.0, level="stretch"))
    film = ids["film"]
    tables["text"] += [
        _text(film, "A red field that turns blue.", "en"),
        _text(film, "红色的画面变成蓝色。", "zh-Hans"),
        _text(film, "Ein rotes Feld, <video> und danach ein blaues.", "de", kind="description"),
        _text(film, "Only red.", "en", start_s=1.0, end_s=2.0),
        _text(film, "red", "en", kind="tag"),
        _text(film, "red", "en", refusal=("too_few_words", 1.0)),
        _text(film, "<b>buy now</b> www.example.org", "en", refusal=("address", 1.0)),
        _text(ids["strange"], "Une surface grise.", "fr"),
        _text(ids["picture"], "سطح أخضر.", "ar", end_s=0.0),
        _text(ids["mute"], "x", "und", refusal=("too_few_words", 1.0)),
    ]
    for number, (reason, attempts) in enumerate([("truncated", 1), ("timeout", 2), ("truncated", 1)]):
        tables["quarantine"].append(
            {
                "stage": "look",
                "key": f"{number:064d}",
                "source": "folder",
                "source_item_id": f"bad-{number}.mp4",
                "place": f"clips/bad-{number}.mp4",
                "reason": reason,
                "detail": f"the file <{number}> ends before its index",
                "number": 60.0 if reason == "timeout" else None,
                "attempts": attempts,
            }
        )
    for table, rows in tables.items():
        write_table(corpus, table, rows)
    return SmallCorpus(corpus, ids)


def _write_medium(path: Path, number: int, *, is_picture: bool) -> None:
    pixels = np.zeros((40, 48, 24, 3), dtype=np.uint8)
    pixels[:24, ..., 0], pixels[24:, ..., 2] = 200, 200
    pixels[..., 1] = 40 * number
    if is_picture:
        Image.fromarray(pixels[0]).save(path, "PNG")
    else:
        target = path.with_suffix(".mp4")
        write_video(target, list(pixels[::4]), fps=2.5)
        target.rename(path)


def _medium(name: str, of_medium: str, file: Path, corpus: Path, licence: str) -> dict[str, Any]:
    is_picture = name == "picture"
    return {
        "media_id": of_medium,
        "kind": "image" if is_picture else "video",
        "uri": file.relative_to(corpus).as_posix() if file.is_relative_to(corpus) else str(file),
        "size_bytes": file.stat().st_size,
        "video_codec": None if is_picture else "h264",
        "width_px": 24,
        "height_px": 48,
        "fps": None if is_picture else 2.5,
        "num_frames": 1 if is_picture else 10,
        "duration_s": None if is_picture else 4.0,
        "source": "folder",
        "source_item_id": f"{name}.mp4",
        "licence": licence,
        "licence_evidence": "" if licence == "unknown" else "clips/LICENCE.txt",
        "attribution": "A & B",
        "collected_at": STARTED,
        "tool_versions": '{"valley": "0"}',
    }


def _clip(of_medium: str, start_s: float, end_s: float, *, level: str) -> dict[str, Any]:
    start_us, end_us = as_us(start_s), as_us(end_s)
    return {
        "clip_id": clip_id(of_medium, start_us, end_us),
        "media_id": of_medium,
        "start_us": start_us,
        "end_us": end_us,
        "level": level,
        "split": "train",
    }


def _text(
    of_medium: str,
    text: str,
    language: str,
    *,
    kind: str = "caption",
    start_s: float = 0.0,
    end_s: float = 4.0,
    refusal: tuple[str, float] | None = None,
) -> dict[str, Any]:
    clip = _clip(of_medium, start_s, end_s, level="stretch")
    return {
        "text_id": text_id(clip["clip_id"], kind, language, text),
        **{name: clip[name] for name in ("clip_id", "media_id", "start_us", "end_us")},
        "kind": kind,
        "language": language,
        "text": text,
        "origin": "human",
        "source": "folder",
        "source_item_id": "film.mp4",
        "kept": refusal is None,
        "reason": refusal[0] if refusal else None,
        "number": refusal[1] if refusal else None,
    }
