"""Truth known: a writer lies in a fifth of its conversations; the checks see the card alone."""

import pytest

from instruct.cards import LANGUAGES
from instruct.fake_writer import LIES
from instruct.lying import TRUE, judge

LEAST_CAUGHT, MOST_TRUE_REFUSED = 0.90, 0.05


def test_lies_are_caught_and_truths_are_not() -> None:
    counts = judge(24, lies=0.2, first=24)
    assert set(counts.unread) <= {"num_turns"}
    assert counts.share(TRUE) <= MOST_TRUE_REFUSED, counts.reasons
    for kind in LIES:
        assert counts.all[kind] > 0, counts.all
        assert counts.share(kind) >= LEAST_CAUGHT, (kind, counts.reasons)
    for tag in LANGUAGES:
        assert counts.share(f"lie {tag}") >= LEAST_CAUGHT, (tag, counts.reasons)
        assert counts.share(f"{TRUE} {tag}") <= MOST_TRUE_REFUSED, (tag, counts.reasons)


@pytest.mark.slow
@pytest.mark.parametrize("facts_in", [LANGUAGES, ("en",), ("zh",), ("es",)], ids=",".join)
def test_so_it_is_in_each_language_by_kind(facts_in: tuple[str, ...]) -> None:
    """Many scenes; also where the facts are in one language and the conversations in three."""
    counts = judge(300, lies=0.2, first=1000, facts_in=facts_in)
    shares = {kind: (counts.all[kind], round(counts.share(kind), 3)) for kind in sorted(counts.all)}
    for kind in LIES:
        assert counts.share(kind) >= LEAST_CAUGHT, (kind, shares)
        for tag in LANGUAGES:
            assert counts.share(f"{kind} {tag}") >= LEAST_CAUGHT, (kind, tag, shares)
    for tag in LANGUAGES:
        assert counts.share(f"{TRUE} {tag}") <= MOST_TRUE_REFUSED, (tag, shares)
