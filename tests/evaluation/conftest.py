"""An engine that says what a test tells it to, and a file of questions about clips that are there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from valley.conversation import Conversation, Image, Video
from valley.inference.backend import (
    Capabilities,
    Finish,
    GenerationParams,
    MediaUse,
    Piece,
    Timing,
    Usage,
)
from valley.inference.media import MediaReader
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling


class Told:
    """Reads media like any engine, and answers with what a function says."""

    def __init__(self, say: Callable[[Conversation, GenerationParams], str], **identity: Any) -> None:
        self.say = say
        self.asked: list[str] = []
        self.seen: list[tuple[GenerationParams, list[Frames]]] = []
        sampling = FrameSampling(num_frames=4)
        self.capabilities = Capabilities("told", ("image", "video"), None, sampling, max_concurrency=2)
        self._reader = MediaReader(sampling)
        self._lock = threading.Lock()
        self._identity = {"engine": "told", "model": "told", **identity}

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        return self._reader.read(medium, sampling=params.sampling).frames

    def identity(self) -> dict[str, Any]:
        return dict(self._identity)

    def close(self) -> None:
        pass

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        seen = [self._reader.read(m, sampling=params.sampling) for m in conversation.media]
        answer = self.say(conversation, params)
        with self._lock:
            self.asked.append(conversation.messages[-1].text)
            self.seen.append((params, [s.frames for s in seen]))
        uses: tuple[MediaUse, ...] = tuple(s.use for s in seen)
        yield Piece(answer)
        yield Piece("", Finish("stop", Usage(9, 4, 2), Timing(0.0, 0.0, 0.0), uses, (1, 7, 7, 7, 7, 2)))


@pytest.fixture
def told() -> type[Told]:
    return Told


@pytest.fixture
def questions(clip_files: Path, tmp_path: Path) -> Callable[[Sequence[dict[str, Any]]], Path]:
    """Write rows into a file beside the clips (a.mp4, b.mp4, photo.png)."""

    def write(rows: Sequence[dict[str, Any]], name: str = "own.jsonl") -> Path:
        for clip in clip_files.iterdir():
            if not (tmp_path / clip.name).exists():
                (tmp_path / clip.name).symlink_to(clip)
        file = tmp_path / name
        file.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
        return file

    return write
