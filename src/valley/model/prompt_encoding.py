"""From a rendered prompt to token ids: user text stays text, media stay whole, the rest is counted.

A special token in user text is broken by a mark, a character that occurs nowhere else in the prompt, put
behind its first character. The prompt is then encoded in one piece, by the tokenizer's own rules, and the
marks' own tokens are taken out again: no id of a special token comes from user text, and no text is lost.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors_valley import PromptError, PromptTooLongError

# Private use characters: no tokenizer joins them with their neighbours, no text has all of them.
_MARKS = tuple(chr(code) for code in range(0xE000, 0xE010))


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt.

    Attributes:
        text: control tokens and words; special tokens in user text are broken by `mark`.
        mark: the character that breaks them.
        assistant_spans: characters, from and to, that the assistant says.
    """

    text: str
    mark: str = _MARKS[0]
    assistant_spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Replacement:
    """One medium's placeholder in the prompt and what it became.

    Attributes:
        end: where the placeholder ended, in characters of the prompt before.
        new_start: where its expansion begins, in characters of the prompt after.
        new_end: where its expansion ends.
        kind: 1 for a picture, 2 for a clip.
    """

    end: int
    new_start: int
    new_end: int
    kind: int


@dataclass
class EncodedPrompt:
    """Token by token: the id, the kind of medium it stands for, and what else is known of it.

    Attributes:
        input_ids: ids.
        mm_token_type_ids: 0 word, 1 placeholder of a picture, 2 of a clip.
        assistant_mask: 1 where the assistant speaks, its closing token included.
        protected: True for control tokens and everything that belongs to a medium; never cut.
    """

    input_ids: list[int]
    mm_token_type_ids: list[int]
    assistant_mask: list[int]
    protected: list[bool] = field(repr=False)

    def truncated(self, max_length: int, *, side: str) -> EncodedPrompt:
        """Cut words, from one side, until the prompt fits; media and control tokens stay.

        Raises:
            PromptTooLongError: what may not be cut is longer than `max_length` already.
        """
        excess = len(self.input_ids) - max_length
        if excess <= 0:
            return self
        words = [i for i, kept in enumerate(self.protected) if not kept]
        if len(words) < excess:
            raise PromptTooLongError(
                f"want a prompt of at most {max_length} tokens, got {len(self.input_ids)}, of which media "
                f"and turns take {len(self.input_ids) - len(words)}: raise max_length, or show fewer frames"
            )
        cut = set(words[-excess:] if side == "right" else words[:excess])
        kept = [i for i in range(len(self.input_ids)) if i not in cut]
        return EncodedPrompt(
            [self.input_ids[i] for i in kept],
            [self.mm_token_type_ids[i] for i in kept],
            [self.assistant_mask[i] for i in kept],
            [self.protected[i] for i in kept],
        )


def control_pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    """Match any of these tokens, the longest first; single characters cannot be broken and are left out."""
    longest_first = sorted({t for t in tokens if len(t) > 1}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def choose_mark(texts: Iterable[str]) -> str:
    """Give a character that occurs in none of the texts.

    Raises:
        PromptError: every candidate occurs.
    """
    used = set().union(*map(set, texts))
    for mark in _MARKS:
        if mark not in used:
            return mark
    raise PromptError("the text uses every private character that could keep its special tokens apart")


def neutralise(text: str, control: re.Pattern[str], mark: str) -> str:
    """Break every special token in a user's text, also those that are left when a longer one is broken."""
    while control.search(text):
        text = control.sub(lambda found: found[0][0] + mark + found[0][1:], text)
    return text


def encode(
    tokenizer: Any,  # noqa: ANN401
    prompt: Prompt,
    replacements: Sequence[Replacement],
    *,
    placeholder_ids: Sequence[int],
    add_special_tokens: bool,
) -> EncodedPrompt:
    """Encode a prompt whose media have been expanded already.

    Raises:
        PromptError: the tokenizer cannot tell where its tokens lie, or makes a special token of user text.
    """
    encoding = tokenizer(
        prompt.text,
        add_special_tokens=add_special_tokens,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
    if prompt.mark in prompt.text:
        ids, offsets = _without_marks(ids, offsets, prompt)
    return _described(ids, offsets, prompt, replacements, placeholder_ids, set(special_ids(tokenizer)))


def special_ids(tokenizer: Any) -> list[int]:  # noqa: ANN401
    """List the ids of all special tokens, added by anybody."""
    added = tokenizer.added_tokens_decoder
    return [i for i, token in added.items() if token.special] + list(tokenizer.all_special_ids)


def _without_marks(
    ids: Sequence[int], offsets: Sequence[tuple[int, int]], prompt: Prompt
) -> tuple[list[int], list[tuple[int, int]]]:
    kept_ids, kept_offsets = [], []
    for i, (start, end) in zip(ids, offsets, strict=True):
        covered = prompt.text[start:end]
        if covered == prompt.mark:
            continue
        if prompt.mark in covered:
            raise PromptError(
                f"the tokenizer joins {covered!r}, so a special token in the text cannot be kept apart"
            )
        kept_ids.append(i)
        kept_offsets.append((start, end))
    return kept_ids, kept_offsets


def _described(
    ids: Sequence[int],
    offsets: Sequence[tuple[int, int]],
    prompt: Prompt,
    replacements: Sequence[Replacement],
    placeholder_ids: Sequence[int],
    special: set[int],
) -> EncodedPrompt:
    starts = [r.new_start for r in replacements]
    said = _shifted(prompt.assistant_spans, replacements)
    types, mask, protected = [], [], []
    for i, (start, end) in zip(ids, offsets, strict=True):
        place = bisect.bisect_right(starts, start) - 1
        medium = (
            replacements[place] if place >= 0 and end <= replacements[place].new_end and end > start else None
        )
        types.append(medium.kind if medium is not None and i in placeholder_ids else 0)
        mask.append(int(any(start < stop and end > begin for begin, stop in said)))
        protected.append(medium is not None or i in special)
    return EncodedPrompt(list(ids), types, mask, protected)


def _shifted(spans: Sequence[tuple[int, int]], replacements: Sequence[Replacement]) -> list[tuple[int, int]]:
    """Move spans of the prompt before expansion to where they are after it."""
    ends = [r.end for r in replacements]
    gained = [0] + [r.new_end - r.end for r in replacements]

    def moved(char: int) -> int:
        return char + gained[bisect.bisect_right(ends, char)]

    return [(moved(start), moved(end)) for start, end in spans]


def pad(
    samples: Sequence[EncodedPrompt], *, pad_token_id: int, side: str, length: int
) -> dict[str, list[list[int]]]:
    """Lay samples out as rows of one length; the attention mask is 0 in the padding."""
    rows: dict[str, list[list[int]]] = {
        "input_ids": [],
        "attention_mask": [],
        "mm_token_type_ids": [],
        "assistant_masks": [],
    }
    for sample in samples:
        missing = length - len(sample.input_ids)
        for name, values, fill in (
            ("input_ids", sample.input_ids, pad_token_id),
            ("attention_mask", [1] * len(sample.input_ids), 0),
            ("mm_token_type_ids", sample.mm_token_type_ids, 0),
            ("assistant_masks", sample.assistant_mask, 0),
        ):
            padding = [fill] * missing
            rows[name].append(padding + values if side == "left" else values + padding)
    return rows


def padded_length(lengths: Sequence[int], *, at_least: int = 0, multiple_of: int | None = None) -> int:
    """Give the common length of a batch."""
    longest = max([*lengths, at_least])
    return longest if multiple_of is None else int(np.ceil(longest / multiple_of)) * multiple_of
