"""The invariants of balancing: what is rare is covered, what is frequent is cut, the order says nothing."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valley.collection.balancing import BALANCED_OUT, NO_COMMON_PHRASE, PhraseIndex

Texts = list[tuple[str, tuple[str, ...]]]


def index_of(texts: Texts, *, seed: int = 0) -> PhraseIndex:
    index = PhraseIndex(seed=seed)
    for name, phrases in texts:
        index.add(name, "en", phrases)
    return index


def kept_ids(texts: Texts, *, seed: int = 0, fewest: int = 3, most: int = 100) -> set[str]:
    kept = index_of(texts, seed=seed).balance(fewest=fewest, most=most).kept
    return {name for (name, _), keep in zip(texts, kept, strict=True) if keep}


def zipf_texts(number: int, *, seed: int) -> Texts:
    rng = random.Random(seed)
    names = [f"thing {i}" for i in range(400)]
    weights = [1 / (i + 1) for i in range(400)]
    return [(f"c{i}", tuple(dict.fromkeys(rng.choices(names, weights, k=3)))) for i in range(number)]


def test_every_phrase_that_counts_is_covered() -> None:
    texts = zipf_texts(5000, seed=1)
    counts = Counter(p for _, phrases in texts for p in phrases)
    kept = kept_ids(texts)
    covered = {p for name, phrases in texts if name in kept for p in phrases}
    assert {p for p, f in counts.items() if f >= 3} <= covered
    assert 0 < len(kept) < len(texts)


def test_all_captions_of_a_phrase_that_is_not_frequent_are_kept() -> None:
    texts = zipf_texts(5000, seed=2)
    counts = Counter(p for _, phrases in texts for p in phrases)
    kept = kept_ids(texts)
    assert all(name in kept for name, phrases in texts if any(3 <= counts[p] <= 100 for p in phrases))


def test_a_frequent_phrase_brings_exactly_as_many_as_allowed_by_itself() -> None:
    texts: Texts = [(f"a{i}", ("red car",)) for i in range(450)] + [
        (f"b{i}", ("old dog",)) for i in range(101)
    ]
    kept = kept_ids(texts)
    assert Counter(name[0] for name in kept) == {"a": 100, "b": 100}


def test_no_frequent_phrase_brings_more_than_allowed_by_itself() -> None:
    texts = zipf_texts(6000, seed=4)
    counts = Counter(p for _, phrases in texts for p in phrases)
    kept = kept_ids(texts)
    by_itself: dict[str, int] = defaultdict(int)
    for name, phrases in texts:
        if name in kept and len(phrases) == 1:
            by_itself[phrases[0]] += 1
    assert max(counts[p] for p in by_itself) > 100
    assert all(n <= 100 for p, n in by_itself.items() if counts[p] > 100)


def test_rare_phrases_alone_bring_nothing() -> None:
    texts: Texts = [
        ("a", ("one",)),
        ("b", ("two",)),
        ("c", ("two",)),
        ("d", ()),
        *[(f"e{i}", ("x",)) for i in range(3)],
    ]
    assert kept_ids(texts) == {"e0", "e1", "e2"}


def test_the_order_of_captions_says_nothing_and_the_seed_does() -> None:
    texts = zipf_texts(4000, seed=5)
    shuffled = texts[:]
    random.Random(9).shuffle(shuffled)
    assert kept_ids(texts, seed=7) == kept_ids(shuffled, seed=7)
    assert kept_ids(texts, seed=7) != kept_ids(texts, seed=8)


def test_what_one_phrase_brings_does_not_depend_on_other_captions() -> None:
    red: Texts = [(f"r{i}", ("red car",)) for i in range(300)]
    blue: Texts = [(f"b{i}", ("blue car",)) for i in range(300)]
    assert kept_ids(red) == {name for name in kept_ids(blue + red) if name.startswith("r")}


def test_a_phrase_belongs_to_its_language() -> None:
    index = PhraseIndex()
    for i, language in enumerate(["en", "en", "de", "de"]):
        index.add(str(i), language, ["hut"])
    assert not index.balance(fewest=3).kept.any()


def test_a_refusal_says_the_count_that_decided() -> None:
    texts: Texts = [(f"a{i}", ("car",)) for i in range(8)] + [("b", ("dog",)), ("c", ())]
    refusals = index_of(texts).refusals(fewest=3, most=5, without={})
    assert Counter((r.reason, r.number) for r in refusals.values()) == {
        (BALANCED_OUT, 8): 3,
        (NO_COMMON_PHRASE, 1): 1,
        (NO_COMMON_PHRASE, 0): 1,
    }


def test_captions_that_are_refused_already_do_not_count() -> None:
    index = index_of([(f"a{i}", ("car",)) for i in range(4)])
    assert index.balance(fewest=3, without={0, 1}).kept.tolist() == [False] * 4
    assert index.balance(fewest=3, without={0}).kept.tolist() == [False, True, True, True]


def test_phrases_come_back_once_each() -> None:
    index = PhraseIndex()
    index.add("a", "en", ["red car", "dog", "red car"])
    index.add("b", "de", [])
    assert (index.phrases(0), index.phrases(1)) == (("red car", "dog"), ())


@pytest.mark.parametrize("most", [1, 2, 5])
@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcdefg"), max_size=4, unique=True), max_size=40),
    seed=st.integers(0, 5),
)
def test_the_result_is_that_of_the_paper_read_aloud(texts: list[list[str]], seed: int, most: int) -> None:
    """From rare to frequent, add all captions of a phrase, or as many as allowed."""
    named: Texts = [(f"c{i}", tuple(t)) for i, t in enumerate(texts)]
    counts = Counter(p for t in texts for p in t)
    kept = kept_ids(named, seed=seed, fewest=2, most=most)
    pool: set[str] = set()
    for phrase, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        holders = [(name, phrases) for name, phrases in named if phrase in phrases]
        if count < 2:
            continue
        alone = [(name, (phrase,)) for name, _ in holders]
        chosen = kept_ids(alone, seed=seed, fewest=2, most=most)
        assert len(chosen) == min(count, most) if count > most else len(chosen) == count
        pool |= chosen
    assert kept == pool
