"""The choice that an answer takes, in the ways in which models say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valley.evaluation.choosing import choice_of, letters

COLOURS = ("blue", "red", "dark red", "a green one")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        (" B. ", "B"),
        ("(B)", "B"),
        ("[b]", "B"),
        ("**B**", "B"),
        ("（B）", "B"),
        ("Option B", "B"),
        ("B. red", "B"),
        ("B: red", "B"),
        ("(B) red", "B"),
        ("B) It is the red one, because it moves.", "B"),
        ("B - red", "B"),
        ("Answer: B", "B"),
        ("The answer is B.", "B"),
        ("answer: b", "B"),
        ("The best option is (B), not (A).", "B"),
        ("The correct answer is option B", "B"),
        ("Best option:(B", "B"),
        ("The answer is not blue. The answer is: B", "B"),
        ("I would choose B because of the colour", "B"),
        ("red", "B"),
        ("Red!", "B"),
        ("I think it is the red one", "B"),
        ("It is dark red.", "C"),
        ("dark red", "C"),
        ("a green one", "D"),
        ("A green one", "D"),
        ("The answer is a green one", "D"),
        ("答案是B", "B"),
        ("答案是A。", "A"),
        ("I think it must be A", "A"),
        ("I believe that (B) fits best", "B"),
        ("It is C, I am sure", "C"),
        ("", None),
        ("yellow", None),
        ("E", None),
        ("It is either (A) or (B)", None),
        ("blue or a green one", None),
        ("A man walks", None),
        ("I do not know", None),
        ("The answer is unclear", None),
    ],
)
def test_the_choice_that_an_answer_takes(answer, letter):
    assert choice_of(answer, COLOURS) == letter


def test_choices_without_spaces_between_words():
    assert choice_of("圆是红色的", ("蓝色", "红色")) == "B"
    assert choice_of("我不知道", ("蓝色", "红色")) is None


def test_choices_that_are_numbers_are_whole_words():
    assert choice_of("There are 12 of them", ("2", "12", "1")) == "B"
    assert choice_of("There are three of them", ("two", "three")) == "B"


def test_the_same_choice_twice_is_not_guessed():
    assert choice_of("red", ("red", "red")) is None


def test_an_answer_that_is_a_sentence_of_the_choice_with_a_full_stop():
    assert choice_of("Put down the cup/glass/bottle", ("Ate it.", "Put down the cup/glass/bottle.")) == "B"


def test_too_many_choices_are_refused():
    assert letters(3) == "ABC"
    with pytest.raises(ValueError, match="26"):
        letters(27)


@given(st.text(max_size=60), st.lists(st.text(max_size=12), max_size=6))
def test_any_text_gives_a_letter_of_a_choice_or_none(answer, choices):
    assert choice_of(answer, choices) in {*letters(len(choices)), None}


@given(st.integers(0, 4), st.sampled_from(["{}", "({})", "{}.", "Answer: {}", "The answer is {}."]))
def test_each_letter_is_read_in_each_form(number, form):
    letter = letters(5)[number]
    assert choice_of(form.format(letter), ("one", "two", "three", "four", "five")) == letter
