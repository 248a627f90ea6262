"""Checks over all conversations: nothing twice, yes and no in balance, choices out of other clips."""

from typing import Any

from instruct.cards import card, draft
from valley.instruct.corpus_checks import check_all, verdict_of
from valley.instruct.evidence import Evidence
from valley.instruct.planning import Wanted
from valley.instruct.run import checks_of
from valley.instruct.task import TASKS, Draft
from valley.instruct.writing import Try, Written


def accepted(number: int, told: Draft, *, evidence: Evidence | None = None, draw: int = 0) -> Written:
    """Make an accepted conversation about clip `number`."""
    about = evidence or card("A cook cuts onions.")
    clip = about.clip
    named = Evidence(type(clip)(**{**vars(clip), "id": f"clip {number}"}), about.duration_s, about.facts)
    wanted = Wanted(named, TASKS.get(told.task), told.language, draw)
    return Written(wanted, told, (Try(f"key {number}", "raw"),))


def sort(*written: Written) -> Any:
    return check_all(written, checks_of(["all"]))


LONG = (
    "The cook in the white apron takes two onions out of the basket, peels them with a small knife, cuts "
    "both into thin slices on the wooden board, and puts the slices into the pan on the stove behind him."
)


def test_a_question_is_asked_once_about_a_clip() -> None:
    one = accepted(1, draft(("What does he do?", "He cuts onions."), task="counting"))
    again = accepted(1, draft(("what does he do", "He is cutting."), task="counting"))
    other = accepted(2, draft(("What does he do?", "He cuts onions."), task="counting"))
    found = sort(one, again, other)
    assert len(found.kept) == 2
    assert [w.tries[-1].reason for w in found.refused] == ["question_again"]


def test_a_long_answer_is_given_once_across_clips() -> None:
    one = accepted(1, draft(("Describe it.", LONG), task="long_description"))
    near = accepted(
        2,
        draft(("Describe this.", LONG.replace("behind him.", "behind her.")), task="long_description"),
    )
    other = accepted(3, draft(("Describe that.", " ".join(reversed(LONG.split()))), task="long_description"))
    found = sort(one, near, other)
    assert len(found.kept) == 2
    assert [w.tries[-1].reason for w in found.refused] == ["near_duplicate"]
    assert 0.5 < found.refused[0].tries[-1].number <= 1.0


def test_the_order_of_arrival_does_not_matter() -> None:
    many = [accepted(n, draft(("Describe it.", LONG), task="long_description")) for n in range(6)]
    one, other = sort(*many), sort(*reversed(many))
    assert [w.wanted.id for w in one.kept] == [w.wanted.id for w in other.kept]
    assert len(one.kept) == 1


def test_yes_and_no_are_in_balance_in_each_language() -> None:
    yes = [accepted(n, draft((f"Is it number {n}?", "Yes, it is."), task="dialogue")) for n in range(20)]
    no = [accepted(n, draft((f"Is it the {n}th?", "No, it is not."), task="dialogue")) for n in range(20, 30)]
    spanish = accepted(40, draft(("¿Es rojo?", "Sí, es rojo."), task="dialogue", language="es"))
    found = sort(*yes, *no, spanish)
    kept = [verdict_of(w.draft.turns[0].answer, w.draft.language) for w in found.kept]
    assert kept.count(False) == 10
    assert kept.count(True) == 12 + 1
    assert {w.tries[-1].check for w in found.refused} == {"yes_no_balance"}
    assert verdict_of("¡Sí!", "es") is verdict_of("是的，对。", "zh") is verdict_of("Ja, klar.", "de") is True
    assert verdict_of("不是，是蓝色的。", "zh") is verdict_of("No, no lo es.", "es") is False
    for unsure, tag in (
        ("不清楚。", "zh"),
        ("对不起。", "zh"),
        ("No se puede saber.", "es"),
        ("No one knows.", "en"),
    ):
        assert verdict_of(unsure, tag) is None
    assert verdict_of("Nothing moves.", "en") is verdict_of("Yesterday it rained.", "en") is None


def test_every_second_action_has_four_choices_out_of_other_clips() -> None:
    actions = ["runs away", "jumps up", "sings a song", "eats an apple", "cuts onions"]
    told = [
        accepted(
            n,
            draft(
                ("What does he do?", f"He {action}."), task="action_recognition", details={"action": action}
            ),
            draw=draw,
        )
        for n, action in enumerate(actions)
        for draw in (n + 1,)
    ]
    found = sort(*told)
    chosen = [w for w in found.kept if w.draft.choices]
    assert len(found.kept) == 5
    assert len(chosen) == 3
    for one in chosen:
        made = one.draft
        assert len(set(made.choices)) == 4
        assert made.choices[made.right_choice] == made.details["action"]
        assert set(made.choices) <= set(actions)
        own = made.details["action"] == "cuts onions"
        assert own or "cuts onions" not in made.choices, "that is true of every clip here"
        assert made.turns[0].answer == f"{'ABCD'[made.right_choice]}. {made.details['action']}"
        assert made.turns[0].question.count("\n") == 4
    assert sort(*told).kept == found.kept


def test_too_few_others_make_no_choices() -> None:
    told = draft(("What does he do?", "He runs."), task="action_recognition", details={"action": "runs"})
    assert [w.draft.choices for w in sort(accepted(1, told, draw=1)).kept] == [()]
