"""Answers several requests in one batch of `generate`, each streamed, stopped and drawn on its own.

Knows tensors and rows, no conversations. A request that comes while a batch runs waits for its end: the
networks of other families keep state of their own between steps, so rows do not join in the middle.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

import torch
from torch import Tensor

from valley.errors import EngineUnavailableError
from valley.inference.backends._next_token import NextToken
from valley.inference.detokenizing import Detokenizer

# How long a batch waits for requests whose media are still being read; one that is alone never waits.
GATHER_S = 0.05

# Tensors with one number a token, which are padded on the left; all others have a row, a picture, a clip or a
# patch along their first axis, and are put one behind the other.
_PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")


@dataclass(eq=False)
class Row:
    """One request in a batch.

    Attributes:
        inputs: what `generate` takes, one row.
        choose: takes the next token.
        words: turns tokens into text, and knows the stop texts.
        room: the most tokens of the answer.
        said: pieces of text; then None, or what went wrong.
        num_tokens: of the answer so far.
        reason: why it ended.
        is_done: nothing more is to be said, because it ended or because nobody listens.
        first_s: clock at the first token.
    """

    inputs: dict[str, Tensor]
    choose: NextToken
    words: Detokenizer
    room: int
    said: SimpleQueue[str | BaseException | None] = field(default_factory=SimpleQueue)
    num_tokens: int = 0
    reason: Literal["stop", "length"] = "length"
    is_done: bool = False
    first_s: float | None = None

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for rows that can be put into one batch: the same tensors, of like shape and type."""
        return tuple(
            (name, value.dtype, () if name in _PER_TOKEN else tuple(value.shape[1:]))
            for name, value in sorted(self.inputs.items())
        )

    def take(self, token_id: int, stop_ids: frozenset[int]) -> None:
        """Add a token of the answer, and say the words that are now certain."""
        self.num_tokens += 1
        self.first_s = self.first_s or time.perf_counter()
        text = "" if token_id in stop_ids else self.words.push(token_id)
        if text:
            self.said.put(text)
        if token_id in stop_ids or self.words.stopped:
            self.reason, self.is_done = "stop", True
        elif self.num_tokens >= self.room:
            self.is_done = True

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing follows, or why."""
        self.is_done = True
        self.said.put(error)


class Together:
    """Batches of one model, made by a thread that lives while there is something to answer."""

    def __init__(self, model: Any, *, pad_id: int, stop_ids: frozenset[int], max_batch_size: int) -> None:  # noqa: ANN401
        self.max_batch_size = max_batch_size
        self._model = model
        self._pad_id = pad_id
        self._stop_ids = stop_ids
        self._changed = threading.Condition()
        self._waiting: list[Row] = []
        self._running: list[Row] = []
        self._coming = 0
        self._is_running = False
        self._is_closed = False

    def announce(self) -> None:
        """Say that a request is being made ready; `submit` or `withdraw` follows."""
        with self._changed:
            self._coming += 1

    def withdraw(self) -> None:
        """Say that an announced request does not come."""
        with self._changed:
            self._coming -= 1
            self._changed.notify_all()

    def submit(self, row: Row) -> None:
        """Answer an announced request in one of the next batches.

        Raises:
            EngineUnavailableError: `close` was called.
        """
        with self._changed:
            self._coming -= 1
            self._changed.notify_all()
            if self._is_closed:
                raise EngineUnavailableError("this model was closed; open it again")
            self._waiting.append(row)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="valley-batches").start()

    def close(self) -> None:
        """Stop what runs at its next token; what waits is refused."""
        with self._changed:
            self._is_closed = True
            waiting, self._waiting = self._waiting, []
            for row in self._running:
                row.is_done = True
            for row in waiting + self._running:
                row.end(EngineUnavailableError("this model was closed while it answered"))

    def _run(self) -> None:
        while rows := self._next_batch():
            self._answer(rows)

    def _next_batch(self) -> list[Row]:
        """Take requests of one kind, the oldest first; none where nothing waits."""
        with self._changed:
            self._changed.wait_for(self._is_full, GATHER_S)
            self._waiting = [row for row in self._waiting if not row.is_done]
            kinds = [row.kind for row in self._waiting[:1]]
            rows = [row for row in self._waiting if row.kind in kinds][: self.max_batch_size]
            self._waiting = [row for row in self._waiting if row not in rows]
            self._running, self._is_running = rows, bool(rows)
            return rows

    def _is_full(self) -> bool:
        return not self._coming or len(self._waiting) >= self.max_batch_size

    def _answer(self, rows: Sequence[Row]) -> None:
        """Answer a batch; if it fails before its first word, try its halves, so that one row fails alone."""
        try:
            self._generate(rows)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it belongs to those who asked
            if len(rows) == 1 or any(row.num_tokens for row in rows):
                self._end(rows, error)
                return
        else:
            self._end(rows)
            return
        middle = len(rows) // 2
        self._answer(rows[:middle])
        self._answer(rows[middle:])

    def _end(self, rows: Sequence[Row], error: BaseException | None = None) -> None:
        with self._changed:
            for row in rows:
                if not self._is_closed:
                    row.end(error)

    @torch.inference_mode()
    def _generate(self, rows: Sequence[Row]) -> None:
        inputs = collate([row.inputs for row in rows], pad_id=self._pad_id)
        step = _Step(rows, self._stop_ids)
        self._model.generate(
            **{name: value.to(self._model.device) for name, value in self._typed(inputs).items()},
            generation_config=self._settings(max(row.room for row in rows)),
            logits_processor=[step.choose],
            stopping_criteria=[step.ended],
        )

    def _typed(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        dtype = self._model.dtype
        return {k: v.to(dtype) if k.startswith("pixel_values") else v for k, v in inputs.items()}

    def _settings(self, max_new_tokens: int) -> Any:  # noqa: ANN401
        """Take the checkpoint's settings (what it must not repeat or say), and none of its draws."""
        settings = copy.deepcopy(self._model.generation_config)
        settings.update(
            max_new_tokens=max_new_tokens,
            max_length=None,
            min_length=0,
            do_sample=False,
            num_beams=1,
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            eos_token_id=sorted(self._stop_ids) or None,
            pad_token_id=self._pad_id,
            return_dict_in_generate=False,
            output_scores=False,
        )
        return settings


class _Step:
    """What happens at each step of `generate`: every row takes a token, and says whether it goes on."""

    def __init__(self, rows: Sequence[Row], stop_ids: frozenset[int]) -> None:
        self._rows = rows
        self._stop_ids = stop_ids

    def choose(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Leave each row of scores f[batch vocabulary] one token with a chance."""
        del input_ids
        chosen = torch.full_like(scores, -torch.inf)
        for number, row in enumerate(self._rows):
            token_id = 0
            if not row.is_done:
                token_id = row.choose(scores[number])
                row.take(token_id, self._stop_ids)
            chosen[number, token_id] = 0.0
        return chosen

    def ended(self, input_ids: Tensor, scores: object, **kwargs: object) -> Tensor:
        """Say which rows have ended, bool[batch]."""
        del scores, kwargs
        return torch.tensor([row.is_done for row in self._rows], device=input_ids.device)


def collate(inputs: Sequence[dict[str, Tensor]], *, pad_id: int) -> dict[str, Tensor]:
    """Make one batch of rows of one `Row.kind`; what has a number a token is padded on the left."""
    longest = max(row["input_ids"].shape[1] for row in inputs)
    fill = {"input_ids": pad_id}
    batch: dict[str, Tensor] = {}
    for name in inputs[0]:
        values = [row[name] for row in inputs]
        if name in _PER_TOKEN:
            values = [_padded(value, longest, fill.get(name, 0)) for value in values]
        batch[name] = torch.cat(values)
    return batch


def _padded(value: Tensor, length: int, fill: int) -> Tensor:
    return torch.nn.functional.pad(value, (length - value.shape[1], 0), value=fill)
