"""Keep few captions of what is named often, and all of what is named seldom.

The noun-phrase filter of LLaVA (Liu et al. 2023, "Visual Instruction Tuning", arXiv 2304.08485, appendix
on CC3M), which Valley (arXiv 2306.07207) took for its clips: phrases are counted over the corpus; those that
fewer than 3 captions name are skipped; from the rarest on every caption that names the phrase is added; of a
phrase that more than 100 name, a random 100. A caption may be added by several phrases, so that more than 100
may remain that name a frequent one.

Which 100 is said by a hash of seed, phrase and the caption's id. So what one phrase adds does not depend on
what others added, the result not on the order of captions, and it need not go from rare to frequent at all.

Memory: 16 bytes a caption, 4 bytes a phrase of it, and each different phrase once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valley.collection.caption_filter import Refusal

NO_COMMON_PHRASE = "no_common_phrase"
BALANCED_OUT = "balanced_out"


@dataclass(frozen=True)
class Balance:
    """What balancing says.

    Attributes:
        kept: of each caption.
        counts: of each caption the count that decides: of its rarest phrase that counts, else that of its
            most frequent phrase; 0 where it has none.
        num_phrases: how many different phrases there are among the captions.
        num_counted: how many of them count.
    """

    kept: NDArray[np.bool_]
    counts: NDArray[np.int64]
    num_phrases: int
    num_counted: int


class PhraseIndex:
    """Which caption names which phrases, as numbers.

    A phrase belongs to its language: the German "Rock" is no English one.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Begin without captions.

        Args:
            seed: of the choice among captions of a frequent phrase.
        """
        self._salt = seed.to_bytes(16, "little", signed=True)
        self._numbers: dict[str, dict[str, int]] = {}
        self._names: list[str] = []
        self._languages: list[str] = []
        self._starts = array("Q", [0])
        self._phrases = array("I")
        self._hashes = array("Q")

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, caption_id: str, language: str, phrases: Iterable[str]) -> None:
        """Add a caption; a phrase that it names twice counts once."""
        known = self._numbers.setdefault(language, {})
        for phrase in dict.fromkeys(phrases):
            number = known.get(phrase)
            if number is None:
                number = known[phrase] = len(self._names)
                self._names.append(phrase)
                self._languages.append(language)
            self._phrases.append(number)
        self._starts.append(len(self._phrases))
        self._hashes.append(self._hash(caption_id))

    def phrases(self, number: int) -> tuple[str, ...]:
        """Give back the phrases of a caption."""
        return tuple(self._names[p] for p in self._phrases[self._starts[number] : self._starts[number + 1]])

    def _hash(self, text: str) -> int:
        data = text.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=self._salt).digest(), "little")

    def balance(self, *, fewest: int = 3, most: int = 100, without: Container[int] = ()) -> Balance:
        """Choose the captions to keep.

        Args:
            fewest: phrases named by fewer captions do not count.
            most: so many captions a phrase adds at most.
            without: numbers of captions that are not there.
        """
        there = np.array([i not in without for i in range(len(self))], dtype=np.bool_)
        captions = np.repeat(np.arange(len(self), dtype=np.int64), np.diff(np.array(self._starts, np.int64)))
        phrases = np.array(self._phrases, dtype=np.int64)
        named = there[captions]
        captions, phrases = captions[named], phrases[named]
        totals = np.bincount(phrases, minlength=len(self._names))
        count = totals[phrases]
        kept = np.zeros(len(self), dtype=np.bool_)
        kept[captions[(count >= fewest) & (count <= most)]] = True
        frequent = count > max(most, fewest - 1)
        kept[self._sample(captions[frequent], phrases[frequent], most)] = True
        counts = _deciding(captions, count, fewest, len(self))
        return Balance(kept, counts, int((totals > 0).sum()), int((totals >= fewest).sum()))

    def _sample(
        self, captions: NDArray[np.int64], phrases: NDArray[np.int64], most: int
    ) -> NDArray[np.int64]:
        """Of the captions of each phrase, take those whose mixed hash is lowest."""
        different, place = np.unique(phrases, return_inverse=True)
        of_phrase = [self._hash(f"{self._languages[p]}\0{self._names[p]}") for p in different.tolist()]
        key = _mixed(np.array(self._hashes, np.uint64)[captions] ^ np.array(of_phrase, np.uint64)[place])
        order = np.lexsort((key, place))
        place = place[order]
        rank = np.arange(len(place)) - np.searchsorted(place, place)
        return captions[order][rank < most]

    def refusals(
        self, *, fewest: int = 3, most: int = 100, without: Mapping[int, Refusal]
    ) -> dict[int, Refusal]:
        """Balance, and say of each caption that is not kept why, by its number."""
        balance = self.balance(fewest=fewest, most=most, without=without)
        lost = [i for i in np.flatnonzero(~balance.kept).tolist() if i not in without]
        return {i: _refusal(int(balance.counts[i]), fewest, most) for i in lost}


def _refusal(count: int, fewest: int, most: int) -> Refusal:
    if count < fewest:
        return Refusal(NO_COMMON_PHRASE, count, f"its most frequent phrase: fewer than {fewest} captions")
    return Refusal(BALANCED_OUT, count, f"captions that name its rarest phrase; {most} are kept")


def _deciding(
    captions: NDArray[np.int64], count: NDArray[np.int64], fewest: int, num_captions: int
) -> NDArray[np.int64]:
    none = np.iinfo(np.int64).max
    rarest = np.full(num_captions, none, dtype=np.int64)
    counts = count >= fewest
    np.minimum.at(rarest, captions[counts], count[counts])
    highest = np.zeros(num_captions, dtype=np.int64)
    np.maximum.at(highest, captions, count)
    return np.where(rarest == none, highest, rarest)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits of each value: the last step of splitmix64 (Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
