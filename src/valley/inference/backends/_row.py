"""One answer that is being made: what is asked, what has been said, and who listens."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from valley.inference.backend import FinishReason
from valley.inference.backends._next_token import NextToken
from valley.inference.detokenizing import Detokenizer
from valley.inference.prefix import Key
from valley.inference.prompting import BuiltPrompt, PromptMedium


@dataclass(frozen=True)
class Ended:
    """How an answer ended.

    Attributes:
        text: the last words.
        reason: as in `Finish`.
        completion: tokens of the answer.
        cached: tokens of the prompt that were computed before.
        first_s: clock at the first token.
        ended_s: clock at the end.
    """

    text: str
    reason: FinishReason
    completion: int
    cached: int
    first_s: float
    ended_s: float


@dataclass(eq=False)
class RowMedium:
    """A medium of a prompt on its way through the vision tower.

    Attributes:
        medium: frames, and where its tokens stand.
        pixels: f32[frame 3 height width], ready for the tower; None where its tokens were known.
        tokens: f[token dim], its visual tokens, once they are known.
    """

    medium: PromptMedium
    pixels: NDArray[np.float32] | None = None
    tokens: Tensor | None = None


@dataclass(eq=False)
class Row:
    """One answer.

    Attributes:
        prompt: the question.
        scope: for whom work is kept.
        room: the most tokens of the answer.
        choose: takes the next token.
        words: turns tokens into text, and knows the stop texts.
        stop_ids: tokens that end the answer.
        media: of the prompt.
        token_ids: the answer so far.
        cached: tokens of the prompt that were computed before.
        is_last_try: memory ran out once already; the second time is an error.
        reader: the thread that took a piece last.
        is_cancelled: nobody listens any more.
    """

    prompt: BuiltPrompt
    scope: str
    room: int
    choose: NextToken
    words: Detokenizer
    stop_ids: frozenset[int]
    media: list[RowMedium]
    token_ids: list[int] = field(default_factory=list)
    cached: int = 0
    is_last_try: bool = False
    reader: threading.Thread = field(default_factory=threading.current_thread)
    is_cancelled: bool = False
    _first_s: float = 0.0
    _ended: Ended | None = None
    _pieces: SimpleQueue[str | Ended | BaseException] = field(default_factory=SimpleQueue)

    @property
    def keys(self) -> list[Key]:
        """Keys of all tokens, as `valley.inference.prefix` compares them."""
        return [*self.prompt.keys, *self.token_ids]

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to compute."""
        return self._ended is not None or self.is_cancelled

    def push(self, token_id: int) -> None:
        """Take the next token of the answer."""
        self.token_ids.append(token_id)
        if len(self.token_ids) == 1:
            self._first_s = time.perf_counter()
        is_stop = token_id in self.stop_ids
        text = "" if is_stop else self.words.push(token_id)
        if text:
            self._pieces.put(text)
        if is_stop or self.words.stopped:
            self._end("stop")
        elif len(self.token_ids) >= self.room:
            self._end("length")

    def tell(self) -> None:
        """Hand on that the answer has ended, if it has."""
        if self._ended is not None:
            self._pieces.put(self._ended)

    def fail(self, error: BaseException) -> None:
        """Hand on what went wrong."""
        self._pieces.put(error)

    def take(self) -> str | Ended:
        """Wait for the next piece.

        Raises:
            BaseException: what went wrong.
        """
        self.reader = threading.current_thread()
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def _end(self, reason: FinishReason) -> None:
        num_tokens, now_s = len(self.token_ids), time.perf_counter()
        self._ended = Ended(self.words.finish(), reason, num_tokens, self.cached, self._first_s, now_s)
