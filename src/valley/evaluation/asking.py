"""One question to an engine, and the record of its answer."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from valley.conversation import Image, Video, to_record, with_sources
from valley.errors import BackendError
from valley.evaluation.benchmark import Item
from valley.evaluation.controls import Control, Prepared, make_media
from valley.evaluation.records import AnswerRecord, MediumRecord, packed
from valley.evaluation.redacting import without_secrets
from valley.inference.backend import Backend, Finish, GenerationParams, Usage


@dataclass(frozen=True)
class Question:
    """A question of a run.

    Attributes:
        benchmark: its name, as it was asked for.
        item: what is asked.
        control: what its media are made of, where they are made.
    """

    benchmark: str
    item: Item
    control: Control | None = None

    @property
    def key(self) -> str:
        """Hash what makes it this question, wherever its media lie."""
        item = self.item
        said = [[m.role, m.text, [_window(medium) for medium in m.media]] for m in item.conversation.messages]
        words = json.dumps([self.benchmark, item.variant, item.id, said, item.reference], ensure_ascii=False)
        return hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()[:24]


def _window(medium: Image | Video) -> list[Any]:
    return [medium.start_s, medium.end_s] if isinstance(medium, Video) else []


class Hashes:
    """SHA-256 of files, each read once as long as it does not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> str | None:
        """Hash a file, or the names and content of a folder's files; None where there is none."""
        if path.is_dir():
            digest = hashlib.sha256()
            for file in sorted(p for p in path.iterdir() if p.is_file()):
                digest.update(f"{file.name}\0{self.of(file)}\0".encode())
            return digest.hexdigest()
        if not path.is_file():
            return None
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = sha256_of(path)
            with self._lock:
                self._known[key] = known
        return known


def sha256_of(path: Path) -> str:
    """Hash a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()


class Asker:
    """Asks an engine, and writes nothing."""

    def __init__(self, backend: Backend, folder: Path, params: GenerationParams) -> None:
        """Take who answers, the run's folder (paths are written relative to it), and how to generate."""
        self.backend = backend
        self.params = params
        self._folder = folder
        self._hashes = Hashes()

    def ask(self, question: Question) -> AnswerRecord:
        """Ask one question.

        Raises:
            MediaError: a medium cannot be read.
            BackendError: the engine cannot answer it.
        """
        asked = Prepared(question.item.conversation, self.params)
        if question.control is not None:
            asked = make_media(question.control, self.backend, self.params)
        words: list[str] = []
        finish = None
        with closing(self.backend.stream(asked.conversation, asked.params)) as pieces:
            for piece in pieces:
                words.append(piece.text)
                finish = piece.finish or finish
        if finish is None:
            raise BackendError(
                f"{self.backend.capabilities.model}: the engine ended without saying how; report this"
            )
        ids = finish.prompt_ids
        return replace(
            self.blank(question),
            media=self._media(question.item, finish),
            prompt_ids=None if ids is None else packed(ids),
            prompt_sha256=None if ids is None else hash_of_ids(ids),
            generation=generation_record(asked.params),
            answer="".join(words).strip(),
            finish=finish.reason,
            usage=_usage(finish.usage),
        )

    def failed(self, question: Question, error: Exception) -> AnswerRecord:
        """Make the record of a question that could not be answered."""
        reason = " ".join(str(error).split()) or type(error).__name__
        blank = self.blank(question)
        media = tuple(self._medium(m) for m in question.item.conversation.media)
        return replace(blank, media=media, error=without_secrets(f"{type(error).__name__}: {reason}"))

    def blank(self, question: Question) -> AnswerRecord:
        """Make the record of a question before it is asked."""
        item = question.item
        written = with_sources(item.conversation, lambda source: self._relative(source))
        return AnswerRecord(
            key=question.key,
            benchmark=question.benchmark,
            id=item.id,
            variant=item.variant,
            task=item.task,
            language=item.language,
            tags=item.tags,
            clip=item.clip,
            messages=tuple(_writable(to_record(_without_bytes(written))["messages"])),
            reference=item.reference,
            references=item.references,
            choices=item.choices,
            generation=generation_record(self.params),
        )

    def _media(self, item: Item, finish: Finish) -> tuple[MediumRecord, ...]:
        """Join the media of the conversation with what the engine says of them."""
        media = item.conversation.media
        if len(finish.media) != len(media):  # a server that says nothing of them
            return tuple(self._medium(m) for m in media)
        return tuple(
            replace(
                self._medium(medium),
                duration_s=use.duration_s,
                timestamps_s=tuple(use.timestamps_s),
                missing_s=tuple(use.missing_s),
            )
            for medium, use in zip(media, finish.media, strict=True)
        )

    def _medium(self, medium: Image | Video) -> MediumRecord:
        kind = "image" if isinstance(medium, Image) else "video"
        if isinstance(medium.source, bytes):
            digest = hashlib.sha256(medium.source).hexdigest()
            return MediumRecord(f"{len(medium.source)} bytes", kind, digest)
        return MediumRecord(str(self._relative(medium.source)), kind, self._hashes.of(Path(medium.source)))

    def _relative(self, source: str | Path) -> str:
        """Name a file from the run's folder on, where it lies there or its name was relative."""
        path = Path(source)
        if path.is_absolute() and not path.is_relative_to(self._folder.absolute()):
            return str(path)
        return Path(os.path.relpath(path, self._folder)).as_posix()


def _without_bytes(conversation: Any) -> Any:  # noqa: ANN401
    """Put a name where the bytes of a medium are: a record holds no bytes."""
    messages = tuple(
        replace(
            m,
            parts=tuple(
                replace(p, source=f"{len(p.source)} bytes")
                if isinstance(p, Image | Video) and isinstance(p.source, bytes)
                else p
                for p in m.parts
            ),
        )
        for m in conversation.messages
    )
    return replace(conversation, messages=messages)


def _writable(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Take credentials out of the addresses of media; words stay as they are."""
    return [
        {
            **m,
            "content": [
                {**p, "path": without_secrets(p["path"])} if "path" in p else p for p in m["content"]
            ],
        }
        for m in messages
    ]


def _usage(usage: Usage) -> dict[str, int]:
    """Count tokens, but not those that an engine had kept: they depend on what it was asked before."""
    return {"prompt": usage.prompt, "visual": usage.visual, "completion": usage.completion}


def hash_of_ids(ids: Sequence[int]) -> str:
    """Hash the tokens of a prompt."""
    return hashlib.sha256(json.dumps(list(ids), separators=(",", ":")).encode()).hexdigest()


def generation_record(params: GenerationParams) -> dict[str, Any]:
    """Say how answers are made, without what is unset."""
    given = {
        "max_new_tokens": params.max_new_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "seed": params.seed,
        "stop": list(params.stop),
        "answer_language": params.answer_language,
        "sampling": None if params.sampling is None else _sampling_record(params),
    }
    return {name: value for name, value in given.items() if value not in (None, [])}


def _sampling_record(params: GenerationParams) -> dict[str, Any]:
    assert params.sampling is not None
    fields = asdict(params.sampling)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items() if v not in (None, False)}
