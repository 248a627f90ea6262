"""Refuse captions that say the same again and again: a model that got stuck, a list of keywords, "!!!!!!!!".

After the repetition rules for pages in Rae et al. 2021, "Scaling Language Models" (Gopher), arXiv 2112.11446,
table A1; here for texts of one to a few sentences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from valley.collection.caption_filter import Caption, CaptionSettings, Refusal
from valley.language_id import is_spaceless, units

FEWEST_UNITS = 8
"""Of shorter texts nothing is said: "a dog and a dog" is one."""

# A few words each: of words, of Han and kana, of letters without spaces between words.
_RUN_OF_WORDS, _RUN_OF_HAN, _RUN_OF_LETTERS = 3, 12, 20
_HAN_OR_KANA = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_SHORT_WORD = 3  # "a", "the" and "und" may be everywhere
_SAME_CHARACTER = re.compile(r"(\S)\1{7,}")


@dataclass(frozen=True)
class RepetitionFilter:
    """Reasons: "repeated_runs", "repeated_word", "repeated_character"; the number is the share."""

    settings: CaptionSettings = field(default_factory=CaptionSettings)
    name: str = "repetition"

    def configured(self, settings: CaptionSettings) -> RepetitionFilter:
        """Give the filter with these settings."""
        return RepetitionFilter(settings)

    def check(self, caption: Caption) -> Refusal | None:
        """Look for runs that were there before, for one word everywhere, for one character in a row."""
        most = self.settings.most_repeated_share
        same = sum(len(m.group()) for m in _SAME_CHARACTER.finditer(caption.text)) / max(1, len(caption.text))
        if same > most:
            return Refusal("repeated_character", round(same, 4), "one character in a row")
        found = units(caption.text)
        if len(found) < FEWEST_UNITS:
            return None
        spaceless = is_spaceless(caption.text)
        share = repeated_share(found, _run_length(caption.text) if spaceless else _RUN_OF_WORDS)
        if share > most:
            return Refusal("repeated_runs", round(share, 4), "runs of words that were there before")
        (word, count), *_ = Counter(found).most_common(1)
        if not spaceless and count / len(found) > most and len(word) > _SHORT_WORD:
            return Refusal("repeated_word", round(count / len(found), 4), f"{word[:40]!r} {count} times")
        return None


def _run_length(text: str) -> int:
    return _RUN_OF_HAN if _HAN_OR_KANA.search(text) else _RUN_OF_LETTERS


def repeated_share(found: Sequence[str], length: int) -> float:
    """Say which share of the units lies in runs of this length that were there before.

    >>> repeated_share("a b c a b c".split(), 3)
    0.5
    """
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for start in range(len(found) - length + 1):
        run = tuple(found[start : start + length])
        if run in seen:
            covered.update(range(start, start + length))
        seen.add(run)
    return len(covered) / max(1, len(found))


FILTER = RepetitionFilter()
