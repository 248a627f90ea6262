"""Captions judged alone and together: everything comes back, once, and always the same."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from caption_grammar import GRAMMARS, captions
from pydantic import ValidationError

from valley.collection.caption_filter import Caption, CaptionSettings
from valley.collection.caption_judging import BATCH, Judged, judge
from valley.collection.duplicate_captions import find_duplicates
from valley.collection.phrases import phrases_of
from valley.errors import UnknownNameError

CHUNKS = CaptionSettings(phrases="chunks", balance=True, most=10)


def by_id(judged: list[Judged]) -> dict[str, Judged]:
    return {j.caption.id: j for j in judged}


def test_every_caption_comes_back_once_in_order_with_its_own_text() -> None:
    given = [Caption("b", "A dog\u0000 runs over the grass"), Caption("a", "dog"), Caption("b", "A dog runs")]
    judged = list(judge(given, CaptionSettings(phrases="chunks")))
    assert [j.caption for j in judged] == given[:2]
    assert judged[0].refusal is None
    assert judged[0].language == "en"
    assert judged[1].refusal is not None
    assert judged[1].refusal.reason == "too_short"


def test_the_order_of_captions_says_nothing() -> None:
    given = list(captions(1200, seed=2))
    shuffled = given[:]
    random.Random(1).shuffle(shuffled)
    one, other = by_id(list(judge(given, CHUNKS))), by_id(list(judge(shuffled, CHUNKS)))
    assert one == other
    assert any(j.refusal and j.refusal.reason == "balanced_out" for j in one.values())


@pytest.mark.slow
def test_workers_say_the_same() -> None:
    given = list(captions(2 * BATCH + 100, seed=2))
    assert list(judge(given, CHUNKS, num_workers=2)) == list(judge(given, CHUNKS))


@pytest.mark.parametrize("with_tagger", [True, False])
@pytest.mark.parametrize("language", GRAMMARS)
def test_things_are_found_in_every_language(language: str, with_tagger: bool) -> None:
    if with_tagger:
        pytest.importorskip("HanTa", reason="the extra `phrases` is not installed")
    nouns = [noun.casefold() for noun in GRAMMARS[language].nouns]
    texts = [c.text for c in captions(80, languages=(language,), seed=4)]
    found = [phrases_of(text, language, with_tagger=with_tagger) for text in texts]
    named = sum(any(noun in p or p in noun for p in phrases for noun in nouns) for phrases in found)
    assert named >= 70, found[:3]
    assert all(len(p) >= 2 and p == p.lower() for phrases in found for p in phrases)


def test_a_tagger_leaves_verbs_out_and_gives_the_lemma() -> None:
    pytest.importorskip("HanTa", reason="the extra `phrases` is not installed")
    text = "A small red car drives slowly past an old house, while two children are playing football"
    assert phrases_of(text, "en") == ("small red car", "old house", "child", "football")
    assert phrases_of("Ein kleiner roter Hund läuft über die grüne Wiese", "de") == (
        "kleiner roter hund",
        "grüne wiese",
    )


def test_balancing_covers_every_language() -> None:
    judged = list(judge(captions(1200, seed=3), CHUNKS))
    assert {j.language for j in judged if j.refusal is None} == set(GRAMMARS)
    assert sum(j.refusal is None for j in judged) < len(judged)
    for judgement in judged:
        if judgement.refusal is not None and judgement.refusal.reason == "balanced_out":
            assert judgement.refusal.number > 10


def test_equal_words_about_a_stretch_are_merged_and_about_others_not() -> None:
    given = [
        Caption("a", "A dog runs.", "en", "clip-1"),
        Caption("b", "a dog  runs", "en", "clip-1"),
        Caption("c", "A dog runs.", "en", "clip-2"),
        Caption("d", "A dog runs.", "en"),
    ]
    found = find_duplicates(given, CaptionSettings(near_duplicates="off"))
    assert {i: (r.reason, r.number, r.detail) for i, r in found.items()} == {
        1: ("duplicate_text", 1.0, "of a")
    }
    everywhere = find_duplicates(given, CaptionSettings(near_duplicates="everywhere"))
    assert sorted(everywhere) == [1, 2, 3]


def test_near_texts_about_a_stretch_are_merged_into_the_longest() -> None:
    long = "a small brown dog runs over the green grass of a large park in the evening sun"
    given = [
        Caption("a", long[: -len(" sun")], "en", "clip-1"),
        Caption("b", long, "en", "clip-1"),
        Caption("c", "two children play football behind a house", "en", "clip-1"),
        Caption("d", long + " light", "en", "clip-2"),
    ]
    found = find_duplicates(given, CaptionSettings())
    assert list(found) == [0]
    assert found[0].detail == "of b"
    assert 0.8 <= found[0].number < 1
    assert not find_duplicates(given, CaptionSettings(near_duplicates="off"))


def test_among_many_the_near_ones_are_found_wherever_they_are() -> None:
    rng = random.Random(6)
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ar", "el", "in", "om", "us")]
    texts = [" ".join(rng.choices(words, k=14)) for _ in range(300)]
    given = [Caption(f"a{i:03d}", text) for i, text in enumerate(texts)]
    given += [Caption(f"b{i:03d}", text + " ok") for i, text in enumerate(texts)]
    found = find_duplicates(given, CaptionSettings(near_duplicates="everywhere"))
    assert {given[i].id for i in found} == {f"a{i:03d}" for i in range(300)}
    assert all(r.detail == f"of b{given[i].id[1:]}" for i, r in found.items())


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="balance counts phrases"):
        CaptionSettings(balance=True, phrases="off")
    with pytest.raises(ValidationError, match="fewest <= most"):
        CaptionSettings(fewest=5, most=4)
    with pytest.raises(UnknownNameError, match="length"):
        list(judge([Caption("a", "a dog")], CaptionSettings(filters=("lenght",))))


ALONE = """
import logging, socket, sys
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
sys.modules["HanTa"] = None
def no_network(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
from valley.collection.caption_filter import Caption, CaptionSettings
from valley.collection.caption_judging import judge
texts = [f"a small red car drives past {n} old houses" for n in ("two", "three", "many", "some")]
settings = CaptionSettings(near_duplicates="everywhere", balance=True)
found = list(judge([Caption(t, t) for t in texts], settings))
print([j.language for j in found], found[0].phrases, "torch" in sys.modules)
"""


def test_without_a_tagger_it_says_so_once_and_takes_chunks_without_torch_or_network() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=True, timeout=120
    )
    warning, result = done.stdout.splitlines()
    assert warning.startswith("WARNING en: phrases are chunks between stop words")
    phrases = ("small red", "red car", "car drives", "old houses")
    assert result == f"{['en'] * 4} {phrases} False"
