"""A model for lmms-eval: its chat messages become conversations, any engine of Valley answers them.

A clip goes to the engine as the file it is, with the window that the task names, and not as pictures that
somebody else has chosen: frames and times are those that every other command takes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from lmms_eval.api.instance import GenerationResult, TokenCounts  # pyright: ignore[reportMissingImports]
from lmms_eval.api.model import lmms  # pyright: ignore[reportMissingImports]
from lmms_eval.protocol import ChatMessages  # pyright: ignore[reportMissingImports]

from valley.conversation import Conversation, Image, Message, Part, Text, Video
from valley.errors import ConfigError
from valley.inference.backend import Finish, GenerationParams
from valley.inference.opening import open_backend
from valley.inference.options import sampling_from

_MAX_NEW_TOKENS = 1024  # what the harness takes for tasks that name no limit


class ValleyModel(lmms):
    """Any model that Valley opens: a Valley checkpoint, another video model, or a server."""

    is_simple = False

    def __init__(
        self,
        pretrained: str = "valley-mini",
        *,
        base_url: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        num_frames: int | str | None = None,
        fps: float | int | str | None = None,
        batch_size: int | str = 1,
        max_batch_size: object = None,
    ) -> None:
        """Open the model; the arguments are those of `--model_args`, `--batch_size` and `--device`.

        Args:
            pretrained: an embedded name, a folder, a hub id, or a server's name for its model.
            base_url: of an OpenAI-compatible server.
            device: as for `valley chat`; of several processes each takes a GPU of its own.
            dtype: likewise.
            num_frames: of each clip; the model's own rule unless given.
            fps: frames a second, `num_frames` then caps them.
            batch_size: how many questions are asked at once.
            max_batch_size: what the harness hands on besides; an engine has its own.

        Raises:
            ConfigError: there is no such model, or a setting is no number.
        """
        super().__init__()
        del max_batch_size
        self._rank, self._world_size, device = _place(device)
        self._batch_size = _whole("batch_size", batch_size)
        self._sampling = sampling_from(
            num_frames=None if num_frames is None else _whole("num_frames", num_frames),
            fps=None if fps is None else float(fps),
        )
        self._backend = open_backend(
            pretrained, base_url=base_url, device=None if base_url else device, dtype=dtype
        )

    @property
    def batch_size(self) -> int:
        """How many questions are asked at once."""
        return self._batch_size

    @property
    def rank(self) -> int:
        """Which of the processes this is."""
        return self._rank

    @property
    def world_size(self) -> int:
        """How many processes share the questions."""
        return self._world_size

    def generate_until(self, requests: Sequence[Any]) -> list[GenerationResult]:
        """Answer each request; see `lmms.generate_until`."""
        from tqdm import tqdm

        with ThreadPoolExecutor(self._batch_size) as threads:
            answers = threads.map(self._answer, (r.args for r in requests))
            return list(tqdm(answers, total=len(requests), disable=self._rank != 0, desc="answers"))

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Refuse: the engines give words and no probabilities."""
        raise NotImplementedError("valley answers in words: choose tasks of the kind generate_until")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Refuse: the harness has no chat form of it."""
        raise NotImplementedError("valley takes chat messages: choose tasks of the kind generate_until")

    def _answer(self, arguments: tuple[Any, ...]) -> GenerationResult:
        context, to_messages, wishes, document_id, task, split = arguments
        told = ChatMessages(messages=to_messages(self.task_dict[task][split][document_id]))
        params = params_from(wishes, self._sampling)
        finish: Finish | None = None
        words: list[str] = []
        with closing(self._backend.stream(conversation_from(told.messages), params)) as pieces:
            for piece in pieces:
                words.append(piece.text)
                finish = piece.finish or finish
        text = "".join(words)
        self.cache_hook.add_partial("generate_until", (context, wishes), text)
        if finish is None:
            return GenerationResult(text)
        return GenerationResult(text, TokenCounts(finish.usage.prompt, finish.usage.completion))


def conversation_from(messages: Iterable[Any]) -> Conversation:
    """Turn the harness's messages into a conversation.

    Raises:
        ConfigError: a part is sound, or a medium is neither a file, bytes nor a picture.
    """
    return Conversation(tuple(Message(m.role, tuple(map(_part, m.content))) for m in messages))


def _part(content: Any) -> Part:  # noqa: ANN401
    if content.type == "text":
        return Text(content.text)
    if content.type == "image":
        return Image(_source(content.url))
    if content.type == "video":
        return Video(_source(content.url), content.start_time, content.end_time)
    raise ConfigError(f"valley takes text, images and videos, the task has a part of type {content.type!r}")


def _source(medium: Any) -> str | bytes:  # noqa: ANN401
    if isinstance(medium, (str, bytes)):
        return medium
    if not hasattr(medium, "save"):
        raise ConfigError(f"want a path, bytes or a picture, the task gives {type(medium).__name__}")
    encoded = io.BytesIO()
    medium.convert("RGB").save(encoded, "PNG")  # without loss: what the task shows is what is seen
    return encoded.getvalue()


def params_from(wishes: Mapping[str, Any], sampling: Any) -> GenerationParams:  # noqa: ANN401
    """Read what a task wants of its answers.

    Raises:
        ConfigError: it wants a search over several answers, which the engines do not do.
    """
    if int(wishes.get("num_beams") or 1) > 1:
        raise ConfigError(f"num_beams: want 1, the task has {wishes['num_beams']}")
    temperature = float(wishes.get("temperature") or 0)
    until = wishes.get("until") or ()
    return GenerationParams(
        max_new_tokens=int(wishes.get("max_new_tokens") or _MAX_NEW_TOKENS),
        temperature=temperature if wishes.get("do_sample", True) else 0.0,
        top_p=float(wishes.get("top_p") or 1),
        seed=0,
        stop=tuple(s for s in ([until] if isinstance(until, str) else until) if s),
        sampling=sampling,
    )


def _place(device: str | None) -> tuple[int, int, str | None]:
    """Say which process this is, of how many, and which device it takes."""
    from accelerate import PartialState

    state = PartialState()
    if state.num_processes > 1 and device in (None, "cuda"):
        device = str(state.device)
    return state.process_index, state.num_processes, None if device == "cuda" else device


def _whole(name: str, given: int | str) -> int:
    if not str(given).isdecimal() or int(given) < 1:
        raise ConfigError(f"{name}: want a whole number from 1, got {given!r}")
    return int(given)
