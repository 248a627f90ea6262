"""What people decide: what is kept of it, and what is written in the end."""

import contextlib
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from instruct.review_kit import talk
from valley.cli import run
from valley.conversation import Conversation, Video, assistant, read_jsonl, system, user, write_jsonl
from valley.errors import ConfigError, ConversationError
from valley.instruct.places import decisions_path
from valley.instruct.reviewing import (
    DecidedMeanwhileError,
    Decision,
    Decisions,
    fingerprint,
    turns_of,
    with_turns,
)
from valley.instruct.reviewing_applied import write_reviewed
from valley.instruct.reviewing_items import ReviewItems

TURNS = (("What is seen? (1)", "A blue circle."), ("And then?", "It stays."))


def decision(number: int, state: str = "accepted", **more: object) -> Decision:
    made = talk(number)
    return Decision(made.id, fingerprint(made), state, by="ann", at="now", **more)  # type: ignore[arg-type]


# ---- the file of decisions ----


def test_the_last_decision_about_a_conversation_holds_and_outlives_the_process(tmp_path: Path):
    path = tmp_path / "d.jsonl"
    first = Decisions(path)
    first.add(decision(1), seen=0)
    first.add(decision(2, "refused", reason="not seen"), seen=0)
    first.add(decision(1, "refused", reason="a wrong fact"), seen=1)
    again = Decisions(path)  # the first one was never closed
    words = fingerprint(talk(1))
    assert again.about("talk-1", words) == replace(decision(1, "refused", reason="a wrong fact"), number=2)
    assert again.number("talk-1") == 2
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3
    first.close()


def test_what_was_decided_about_other_words_does_not_hold(tmp_path: Path):
    decisions = Decisions(tmp_path / "d.jsonl")
    decisions.add(decision(1), seen=0)
    assert decisions.about("talk-1", "other words") is None
    assert decisions.stale("talk-1", "other words")
    assert not decisions.stale("talk-1", fingerprint(talk(1)))
    decisions.close()


def test_a_decision_by_one_who_has_not_seen_the_last_one_is_not_taken(tmp_path: Path):
    decisions = Decisions(tmp_path / "d.jsonl")
    decisions.add(decision(1), seen=0)
    with pytest.raises(DecidedMeanwhileError, match="want one who saw 1 decisions, got 0"):
        decisions.add(decision(1, "refused", reason="x"), seen=0)
    assert decisions.number("talk-1") == 1
    decisions.close()


def test_a_line_that_was_torn_at_any_byte_loses_itself_alone(tmp_path: Path):
    whole = tmp_path / "whole.jsonl"
    decisions = Decisions(whole)
    decisions.add(decision(1, turns=(("é?", "切洋葱"),)), seen=0)
    kept = whole.stat().st_size
    decisions.add(decision(2), seen=0)
    decisions.close()
    content = whole.read_bytes()
    for end in range(kept, len(content)):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(content[:end])
        again = Decisions(torn)
        assert again.num_torn == (end not in (kept, len(content) - 1))
        assert again.number("talk-1") == 1
        again.add(decision(3), seen=0)
        again.close()
        last = Decisions(torn)
        assert (last.number("talk-1"), last.number("talk-3")) == (1, 1)


@pytest.mark.parametrize("line", ["[]", "{}", "nonsense", '{"id": "a", "state": "maybe"}', "[" * 5000])
def test_a_line_that_is_no_decision_is_passed_over_and_counted(line: str, tmp_path: Path):
    path = tmp_path / "d.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    decisions = Decisions(path)
    assert decisions.num_torn == 1
    decisions.add(decision(1), seen=0)
    decisions.close()
    assert Decisions(path).number("talk-1") == 1


def test_many_threads_lose_nothing_and_none_decides_twice(tmp_path: Path):
    path = tmp_path / "d.jsonl"
    decisions = Decisions(path)
    taken: list[int] = []

    def decide(number: int) -> None:
        decisions.add(decision(number), seen=0)
        with contextlib.suppress(DecidedMeanwhileError):
            taken.append(decisions.add(replace(decision(0), id="shared"), seen=0).number)

    threads = [threading.Thread(target=decide, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decisions.close()
    again = Decisions(path)
    assert again.num_torn == 0
    assert all(again.number(f"talk-{n}") == 1 for n in range(20))
    assert taken == [1]


# ---- words put in the place of others ----


def test_mended_words_leave_media_system_words_and_the_rest_as_they_were():
    made = Conversation(
        (system("Be brief."), user("Look: ", Video("a.mp4", 1.0), "who?"), assistant("A cook.")), "en", "x"
    )
    assert turns_of(made) == (("Look: who?", "A cook."),)
    same = with_turns(made, turns_of(made))
    assert same == made
    mended = with_turns(made, (("Who is it?", "A smith."),))
    assert turns_of(mended) == (("Who is it?", "A smith."),)
    assert mended.media == made.media
    assert mended.messages[0] == made.messages[0]


@pytest.mark.parametrize("messages", [(), (user("a"),), (assistant("a"), user("b")), (user("a"), user("b"))])
def test_what_is_no_question_and_answer_is_not_reviewed(messages: tuple, tmp_path: Path):
    write_jsonl(tmp_path / "t.jsonl", [Conversation(messages, "en", "x")])
    with pytest.raises(ConversationError, match="want questions and answers by turns"):
        ReviewItems(tmp_path / "t.jsonl")


def test_an_id_occurs_once_and_a_file_has_something_in_it(tmp_path: Path):
    write_jsonl(tmp_path / "t.jsonl", [talk(1), talk(1)])
    with pytest.raises(ConversationError, match=r"t.jsonl:2: want an id that occurs once, got 'talk-1'"):
        ReviewItems(tmp_path / "t.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="there is no conversation in it"):
        ReviewItems(tmp_path / "empty.jsonl")
    with pytest.raises(ConfigError, match="there is none"):
        ReviewItems(tmp_path / "gone.jsonl")


def test_what_is_read_is_the_file_as_it_was_opened(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    write_jsonl(path, [talk(1), talk(2)])
    items = ReviewItems(path)
    write_jsonl(path, [talk(7)])  # a new file under the old name
    assert items.read(1).id == "talk-2"
    items.close()


# ---- --apply ----


@pytest.fixture
def decided(tmp_path: Path) -> Path:
    """Five conversations: accepted, mended, refused, taken back, never looked at."""
    path = tmp_path / "in" / "talks.jsonl"
    path.parent.mkdir()
    write_jsonl(path, [talk(n) for n in range(5)])
    decisions = Decisions(decisions_path(path))
    decisions.add(decision(0), seen=0)
    decisions.add(decision(1, turns=TURNS), seen=0)
    decisions.add(decision(2, "refused", reason="x"), seen=0)
    decisions.add(decision(3), seen=0)
    decisions.add(decision(3, "open"), seen=1)
    decisions.close()
    return path


def test_accepted_ones_are_written_as_mended_and_say_who_looked(decided: Path, tmp_path: Path):
    out = tmp_path / "out" / "reviewed.jsonl"
    done = write_reviewed(decided, out)
    assert vars(done) == {"num_written": 2, "num_edited": 1, "num_refused": 1, "num_open": 2, "num_stale": 0}
    as_written, mended = read_jsonl(out, media_root=Path())
    assert as_written.metadata == {
        **talk(0).metadata,
        "review": {"by": "ann", "at": "now", "edited": False},
    }
    assert turns_of(as_written) == turns_of(talk(0))
    assert turns_of(mended) == TURNS
    assert mended.metadata["review"]["edited"] is True
    assert mended.media == (Video("../in/a.mp4", 0.0, 2.0),)


def test_decisions_about_words_that_changed_are_counted_and_not_applied(decided: Path, tmp_path: Path):
    changed = [with_turns(talk(0), TURNS), *(talk(n) for n in range(1, 5))]
    write_jsonl(decided, changed)
    done = write_reviewed(decided, tmp_path / "out.jsonl")
    assert (done.num_written, done.num_open, done.num_stale) == (1, 3, 1)


def test_the_command_applies_and_says_what_is_left_out(
    decided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out.jsonl"
    assert run(["instruct", "review", "--apply", str(decided), "-o", str(out)]) == 0
    assert "2 conversations, 1 of them edited" in capsys.readouterr().out
    assert run(["instruct", "review", str(decided), "--apply", "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_refused"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--apply"], "want --apply and -o"),
        (["-o", "x.jsonl"], "want --apply and -o"),
        (["--apply", "-o", "{talks}"], "is the file that is read"),
    ],
)
def test_the_command_says_what_it_wants(
    words: list[str], said: str, decided: Path, capsys: pytest.CaptureFixture[str]
):
    given = [word.format(talks=decided) for word in words]
    assert run(["instruct", "review", str(decided), *given]) == 1
    assert said in capsys.readouterr().err


def test_nothing_decided_is_nothing_to_apply(tmp_path: Path):
    write_jsonl(tmp_path / "t.jsonl", [talk(1)])
    with pytest.raises(ConfigError, match="nothing has been decided"):
        write_reviewed(tmp_path / "t.jsonl", tmp_path / "out.jsonl")
