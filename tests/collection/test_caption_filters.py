"""Each filter refuses what it is for, with the number behind it, and lets twelve languages pass."""

from __future__ import annotations

import time

import pytest
from caption_grammar import GRAMMARS, captions

from valley.collection.caption_filter import FILTERS, Caption, CaptionFilter, CaptionSettings, Refusal
from valley.collection.filters.repetition import repeated_share
from valley.language_id import identify, is_spaceless, most_likely, normalised, units, words

SETTINGS = CaptionSettings()


def check(name: str, text: str, language: str = "en", **settings: object) -> Refusal | None:
    chosen: CaptionFilter = FILTERS.get(name).configured(CaptionSettings(**settings))
    return chosen.check(Caption("x", text, language))


def test_the_registry_holds_the_filters_of_the_settings() -> None:
    assert set(SETTINGS.filters) == set(FILTERS.names())
    for name in FILTERS.names():
        assert isinstance(FILTERS.get(name), CaptionFilter)
        assert FILTERS.get(name).name == name


@pytest.mark.parametrize(
    ("name", "text", "reason", "number"),
    [
        ("length", "...!", "empty", 0),
        ("length", "dog", "too_short", 1),
        ("length", "小狗", "too_short", 2),
        ("length", "word " * 501, "too_long", 501),
        ("length", "字" * 1501, "too_long", 1501),
        ("urls", "#fun #cat @me www.example.com", "addresses", 1.0),
        ("urls", "buy at shop.example.com/a?b now", "addresses", 0.7143),
        ("urls", "write me: ann.lee@example.org", "addresses", 0.7037),
        ("boilerplate", "Royalty free stock footage", "boilerplate", 1.0),
        ("boilerplate", "Please subscribe to my channel!", "boilerplate", 1.0),
        ("boilerplate", "Abonnez-vous à la chaîne", "boilerplate", 1.0),
        ("boilerplate", "请订阅我的频道", "boilerplate", 1.0),
        ("boilerplate", "IMG_2034.MOV", "template", 1.0),
        ("boilerplate", "no description available", "template", 1.0),
        ("boilerplate", "holiday 2019.mp4", "template", 1.0),
        ("repetition", "the man the man the man the man goes", "repeated_runs", 0.6667),
        ("repetition", "dogs here dogs there dogs up dogs down", "repeated_word", 0.5),
        ("repetition", "wow!!!!!!!!!!!!!!!!!!!!", "repeated_character", 0.8696),
        ("repetition", "一个男人在走路一个男人在走路一个男人在走路", "repeated_runs", 0.6667),
    ],
)
def test_a_filter_refuses_and_says_the_number(name: str, text: str, reason: str, number: float) -> None:
    refusal = check(name, normalised(text))
    assert refusal is not None
    assert refusal.reason == reason
    assert refusal.number == pytest.approx(number, abs=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "a dog",
        "Royalty free stock footage of a brown dog that runs along a beach at sunset with its owner",
        "A man climbs a tall tree in the garden behind the old house. More: https://example.com/1",
        "He walks, she walks, and then both of them walk home together",
        "A video of a cat that sits on an image of another cat",
        "Node.js is written on the screen of a laptop beside the window",
    ],
)
def test_a_caption_that_says_something_passes(text: str) -> None:
    assert [check(name, text) for name in SETTINGS.filters] == [None] * len(SETTINGS.filters)


@pytest.mark.parametrize("language", GRAMMARS)
def test_captions_of_every_language_pass_all_filters(language: str) -> None:
    filters = [FILTERS.get(name) for name in SETTINGS.filters]
    for caption in captions(60, languages=(language,), seed=3):
        clean = Caption("x", normalised(caption.text), language)
        assert [f.check(clean) for f in filters] == [None] * len(filters), clean.text


def test_an_unwanted_language_is_refused_and_its_variants_are_wanted() -> None:
    german = "Ein kleiner Hund läuft über die grüne Wiese hinter dem Haus"
    refusal = check("language", german, "de", languages=("en", "zh"))
    assert refusal is not None
    assert refusal.reason == "unwanted_language"
    assert refusal.number > 0.9
    assert check("language", "一只小狗在草地上奔跑", "zh-Hans", languages=("en", "zh")) is None
    assert check("language", "a dog", "und", languages=("de",)) is None


def test_a_text_surely_in_another_language_than_its_source_says_is_refused() -> None:
    german = "Ein kleiner Hund läuft über die grüne Wiese hinter dem Haus"
    refusal = check("language", german, "en")
    assert refusal is not None
    assert (refusal.reason, refusal.detail) == ("other_language", "the source says en, the text is de")
    assert check("language", "ein Hund", "en") is None  # too short to know better than the source


@pytest.mark.parametrize("language", GRAMMARS)
def test_the_language_of_a_sentence_is_found(language: str) -> None:
    found = [identify(normalised(c.text)).language for c in captions(60, languages=(language,), seed=5)]
    assert found.count(language) >= 54  # a made-up name, or a short sentence, may hide it


@pytest.mark.parametrize("text", ["", "12:30", "ok", "Paris", "!?"])
def test_what_is_too_short_to_tell_is_und(text: str) -> None:
    assert most_likely(text).language == "und"


def test_the_score_is_that_of_the_expected_language() -> None:
    text = "a small dog runs over the green grass behind the house"
    assert identify(text, expected="en-GB").language == "en-GB"
    assert identify(text, expected="en").score > 0.8
    assert identify(text, expected="ja").score < 0.1


def test_judged_text_is_nfc_without_controls() -> None:
    assert normalised("cafe\u0301 \x00\x07 \u200bbar\n\ufeffbaz\u2028") == "café bar baz"
    assert normalised("می\u200cخواهم") == "می\u200cخواهم"


def test_words_keep_marks_and_apostrophes() -> None:
    assert words("Don't — l’herbe, हिन्दी भाषा!") == ["don't", "l’herbe", "हिन्दी", "भाषा"]
    assert units("Tom看见了一只cat") == ["tom", "看", "见", "了", "一", "只", "cat"]
    assert is_spaceless("Kalominota与小汽车走路")
    assert not is_spaceless("The sign says 出口 in the hall")


def test_repeated_share_counts_words_in_runs_that_were_there() -> None:
    assert repeated_share(list("abcabc"), 3) == 0.5
    assert repeated_share(list("abcdef"), 3) == 0


@pytest.mark.parametrize(
    "text", ["a" * 300_000, "a." * 150_000, "@" * 300_000, "x@y." * 75_000, "- " * 150_000]
)
def test_a_hostile_text_takes_no_time(text: str) -> None:
    start = time.process_time()
    for name in SETTINGS.filters:
        check(name, text)
    assert time.process_time() - start < 3
