"""The one object a user needs: load a model, ask about videos.

Example::

    valley = Valley.from_pretrained("valley-mini")
    for piece in valley.stream([Video("push.mp4"), "Which way does the red circle move?"]):
        print(piece, end="", flush=True)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from typing_extensions import Unpack

from valley.conversation import Conversation, Image, Message, Text, Video, assistant, system, user
from valley.errors import BackendError
from valley.inference.backend import (
    Backend,
    Finish,
    GenerationParams,
    MediaUse,
    Piece,
    Timing,
    Usage,
)
from valley.inference.opening import open_backend
from valley.inference.options import Options, request_from
from valley.video.frames import Frames

Parts = Sequence[Text | Image | Video | str]


@dataclass(frozen=True)
class Answer:
    """A finished answer and how it came about.

    Attributes:
        answer: the words.
        model: who answered.
        media: what was seen: path, duration_s and the sampled timestamps_s of each medium, in order.
        usage: tokens of the prompt, of them visual, and of the answer.
        timing_s: seconds.
        finish_reason: "stop" where the model ended by itself, "length" where max_new_tokens did.
    """

    answer: str
    model: str
    media: tuple[MediaUse, ...]
    usage: Usage
    timing_s: Timing
    finish_reason: str

    def __str__(self) -> str:
        return self.answer

    def to_dict(self) -> dict[str, Any]:
        """Return what `valley chat --json` prints."""
        return asdict(self)


class Valley:
    """A model that answers questions about videos and pictures in streamed words."""

    def __init__(self, backend: Backend) -> None:
        """Wrap an engine; see `from_pretrained` for the usual way."""
        self.backend = backend

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | None = None,
        *,
        dtype: object = None,
        device: object = None,
        backend: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
    ) -> Valley:
        """Load a model by embedded name, folder, or Hugging Face hub id, or ask one at a server.

        Args:
            name_or_path: such as "valley-mini" (None stands for it), "out/instruct" or "someone/valley-7b": a
                Valley, or any image-text-to-text model of transformers that takes video. With `base_url`
                the model's name there; None takes the only one that the server lists.
            dtype: a torch dtype or its name, such as "bfloat16"; None takes float32 on a CPU and the stored
                type on a GPU.
            device: a torch device or its name, such as "cuda:0"; None takes the GPU where there is one.
            backend: the engine, a name of `valley.inference.backends`; None takes the one that fits.
            base_url: of an OpenAI-compatible server, such as "http://localhost:8000/v1".
            api_key: for that server.

        Raises:
            UnknownNameError: there is no such engine.
            ConfigError: there is no such model, or the engine cannot run it.
            BackendError: the server does not answer.
        """
        name = name_or_path if name_or_path is not None or base_url is not None else "valley-mini"
        opened = open_backend(
            name, base_url=base_url, api_key=api_key, engine=backend, dtype=dtype, device=device
        )
        return cls(opened)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.backend.capabilities.model

    def stream(
        self, question: str | Parts | Conversation, **options: Unpack[Options]
    ) -> Generator[str, None, None]:
        """Yield the answer word by word; closing the generator stops the work.

        Args:
            question: a text, a list of parts such as ``[Video("a.mp4"), "what happens?"]``, or a conversation
                that ends with a user's turn.
            **options: see `Options`.
        """
        conversation, params = self._prepare(question, options)
        pieces = self.backend.stream(conversation, params)
        try:
            for piece in pieces:
                if piece.text:
                    yield piece.text
        finally:
            pieces.close()

    def answer(self, question: str | Parts | Conversation, **options: Unpack[Options]) -> Answer:
        """Return the whole answer, with what was seen and what it cost; arguments as for `stream`."""
        conversation, params = self._prepare(question, options)
        return self._collect(list(self.backend.stream(conversation, params)))

    def chat(self, *media: Image | Video, **options: Unpack[Options]) -> ChatSession:
        """Begin a conversation of several turns about these media; the options hold for every turn."""
        return ChatSession(self, media, options)

    def _prepare(
        self, question: str | Parts | Conversation, options: Options
    ) -> tuple[Conversation, GenerationParams]:
        request = request_from(options)
        if isinstance(question, Conversation):
            conversation = question
        else:
            conversation = Conversation((user(*([question] if isinstance(question, str) else question)),))
        if request.system is not None:
            turns = (m for m in conversation.messages if m.role != "system")
            conversation = replace(conversation, messages=(system(request.system), *turns))
        return conversation, request.params

    def _collect(self, pieces: list[Piece]) -> Answer:
        return self._finished("".join(p.text for p in pieces), pieces[-1].finish)

    def _finished(self, text: str, finish: Finish | None) -> Answer:
        if finish is None:
            raise BackendError(f"{self.name}: the engine ended without saying how")
        return Answer(text, self.name, finish.media, finish.usage, finish.timing_s, finish.reason)


class ChatSession:
    """A conversation of several turns. A later question about the same video runs no second vision pass.

    Attributes:
        turns: what was said so far.
        pending: media that go with the next question.
        last: the newest finished answer.
    """

    def __init__(self, valley: Valley, media: Sequence[Image | Video], options: Options) -> None:
        self.turns: list[Message] = []
        self.pending: list[Image | Video] = list(media)
        self.last: Answer | None = None
        self._valley = valley
        self._options = options

    @property
    def media(self) -> list[Image | Video]:
        """Every medium of the conversation, also those that wait for the next question."""
        return [m for turn in self.turns for m in turn.media] + self.pending

    def add(self, medium: Image | Video) -> None:
        """Attach a medium to the next question."""
        self.pending.append(medium)

    def look(self, medium: Image | Video) -> Frames:
        """Give the frames that the model is shown of a medium."""
        return self._valley.backend.look(medium, request_from(self._options).params)

    def reset(self) -> None:
        """Forget what was said; the media stay for the next question."""
        self.pending, self.turns, self.last = self.media, [], None

    def ask(self, *question: Text | Image | Video | str) -> Generator[str, None, None]:
        """Yield the answer word by word.

        A stream closed early keeps its question and the words so far as turns; a question that failed, or was
        stopped before its first word, leaves the conversation as it was.
        """
        parts: list[Text | Image | Video | str] = [*self.pending, *question]
        if self.pending and self._valley.backend.capabilities.question_first:
            parts = [*question, "\n", *self.pending]
        turn = user(*parts)
        conversation, params = self._valley._prepare(Conversation((*self.turns, turn)), self._options)
        words: list[str] = []
        pieces = self._valley.backend.stream(conversation, params)
        try:
            for piece in pieces:
                words.append(piece.text)
                if piece.finish is not None:
                    self.last = self._valley._finished("".join(words), piece.finish)
                if piece.text:
                    yield piece.text
        except (GeneratorExit, KeyboardInterrupt):
            self._remember(turn, words)
            raise
        finally:
            pieces.close()
        self._remember(turn, words)

    def _remember(self, turn: Message, words: list[str]) -> None:
        if "".join(words):
            self.turns += [turn, assistant("".join(words))]
            self.pending = []
