"""Turn token ids, one by one, into text that never ends within a character or within a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

_HALF = "\N{REPLACEMENT CHARACTER}"


@runtime_checkable
class _Tokenizer(Protocol):
    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, **kwargs: object) -> str | list[str]:
        """Turn ids into text."""
        ...


class Detokenizer:
    """Text of a growing list of tokens.

    The words already given out are never taken back: text is held while its last character is incomplete
    (byte-level BPE splits characters, SentencePiece drops a leading space unless it sees its neighbour)
    and while it could be the beginning of a stop text. With `prefixes`, what an answer may say before it
    begins (such as "Assistant:"), and white space around it, are left out.

    Attributes:
        stopped: a stop text was met; nothing follows.
    """

    def __init__(
        self, tokenizer: _Tokenizer, *, stop: Sequence[str] = (), prefixes: Sequence[str] = ()
    ) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._prefixes = tuple(prefixes)
        self._beginning: str | None = "" if prefixes else None  # None: the answer has begun
        self._spaces = ""
        self._ids: list[int] = []
        self._context = 0  # ids from here are decoded again, so that the new ones see their neighbours
        self._read = 0  # ids before here have been turned into text
        self._held = ""
        self.stopped = False

    def push(self, token_id: int) -> str:
        """Add one token; return the text that is now certain, often a word, sometimes nothing."""
        self._ids.append(token_id)
        before = self._decode(self._ids[self._context : self._read])
        after = self._decode(self._ids[self._context :])
        if after.endswith(_HALF) or len(after) <= len(before):
            return ""
        self._context, self._read = self._read, len(self._ids)
        return self._without_prefix(self._certain(self._held + after[len(before) :]))

    def finish(self) -> str:
        """Return what was held back; a character that was never completed is dropped."""
        before = self._decode(self._ids[self._context : self._read])
        rest = self._decode(self._ids[self._context :])[len(before) :].rstrip(_HALF)
        self._context = self._read = len(self._ids)
        text = self._certain(self._held + rest)
        if not self.stopped:
            text, self._held = text + self._held, ""
        return self._without_prefix(text, is_last=True)

    def _without_prefix(self, text: str, *, is_last: bool = False) -> str:
        """Leave out prefixes, repeated ones too, and white space around the answer."""
        if not self._prefixes:
            return text
        if self._beginning is not None:
            text = (self._beginning + text).lstrip()
            while found := next((p for p in self._prefixes if text.startswith(p)), None):
                text = text[len(found) :].lstrip()
            if not is_last and (not text or any(p.startswith(text) for p in self._prefixes)):
                self._beginning = text
                return ""
            self._beginning = None
        text = self._spaces + text
        said = text.rstrip()
        self._spaces = text[len(said) :]
        return said

    def _decode(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text if isinstance(text, str) else "".join(text)

    def _certain(self, text: str) -> str:
        """Cut at the first stop text, or hold the longest end that could become one."""
        found = [i for i in (text.find(stop) for stop in self._stop) if i >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
