"""The ladder: ask, ask again with the reason, draw afresh, give up; and what a model says of a sample."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from instruct.cards import card
from valley.errors import BackendError
from valley.instruct.gateway.budget import BudgetSpentError
from valley.instruct.gateway.client import NotStoredError, RejectedError, Reply
from valley.instruct.planning import Wanted
from valley.instruct.recipe import InstructSettings, WriterSettings
from valley.instruct.replies import read_reply
from valley.instruct.run import checks_of
from valley.instruct.second_opinions import likeness, second_opinions
from valley.instruct.settled import settled
from valley.instruct.task import TASKS, ReplyError
from valley.instruct.writing import Writer, Written

EVIDENCE = card("A red circle moves to the right.")
WANTED = Wanted(EVIDENCE, TASKS.get("short_caption"), "en", 0)
GOOD = {"question": "Could you caption this?", "answer": "A red circle moves to the right.", "facts": ["F1"]}
GREEN = {**GOOD, "answer": "A green circle moves to the right."}


def said(*turns: Mapping[str, Any]) -> str:
    return json.dumps({"turns": list(turns)})


@dataclass
class Server:
    """Answers by a function of the request's body and sample; remembers what it was asked."""

    answer: Callable[[Mapping[str, Any], int], Reply | Exception]
    asked: list[tuple[Mapping[str, Any], int, bool]] = field(default_factory=list)

    async def complete(self, body: Mapping[str, Any], *, sample: int = 0, stored_only: bool = False) -> Reply:
        self.asked.append((body, sample, stored_only))
        await asyncio.sleep(0)
        answer = self.answer(body, sample)
        if isinstance(answer, Exception):
            raise answer
        return answer


def reply(content: str, finish_reason: str = "stop", **more: Any) -> Reply:
    return Reply("key", content, finish_reason, model="m", billed=True, cost_pico=5, **more)


def in_turn(*replies: Reply | Exception) -> Server:
    waiting = iter(replies)
    return Server(lambda body, sample: next(waiting))


def write(server: Server, **more: Any) -> Written:
    return asyncio.run(Writer(server, "m", checks_of(["all"]), **more).write(WANTED))


def test_a_good_reply_is_enough() -> None:
    server = in_turn(reply(said(GOOD)))
    written = write(server)
    assert written.draft is not None
    assert written.draft.turns[0].answer == GOOD["answer"]
    assert (len(written.tries), written.num_billed, written.cost_pico, written.mended) == (1, 1, 5, False)
    assert server.asked[0][0]["response_format"]["json_schema"]["strict"] is True


def test_what_is_wrong_is_sent_back_once_and_then_drawn_afresh() -> None:
    server = in_turn(reply(said(GREEN)), reply(said(GREEN)), reply(said(GOOD)))
    written = write(server, seed=7)
    assert [t.reason for t in written.tries] == ["ungrounded_thing", "ungrounded_thing", ""]
    first, second, third = (body for body, _, _ in server.asked)
    assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][2]["content"] == said(GREEN)
    assert "no fact tells of a green circle" in second["messages"][3]["content"]
    assert third["messages"] == first["messages"]
    assert [body["seed"] for body in (first, second, third)] == [7, 8, 9]
    assert [sample for _, sample, _ in server.asked] == [0, 1, 2]


def test_what_is_no_reply_is_not_sent_back() -> None:
    server = in_turn(
        reply(said(GOOD)[:20], "length"),
        reply("", refusal="no"),
        reply("Sorry, I cannot help with that."),
        reply("nothing"),
    )
    written = write(server)
    assert written.draft is None
    assert [t.reason for t in written.tries] == ["truncated", "refused", "refused", "not_json"]
    assert all(len(body["messages"]) == 2 for body, _, _ in server.asked)
    tokens = [body["max_tokens"] for body, _, _ in server.asked]
    assert tokens == [tokens[0], *[2 * tokens[0]] * 3]
    assert written.tries[0].content == said(GOOD)[:20], "the raw reply is kept"


@pytest.mark.parametrize(
    "content",
    [
        f"```json\n{said(GOOD)}\n```",
        f"Here it is: {said(GOOD)} I hope it helps.",
        said(GOOD)[:-2],
        said(GOOD).replace('"facts"', "'facts'"),
        said(GOOD).replace("}]", "},]"),
    ],
)
def test_small_damage_is_mended(content: str) -> None:
    written = write(in_turn(reply(content)))
    assert written.draft is not None
    assert written.draft.turns[0].answer == GOOD["answer"]
    assert written.mended


def test_the_last_turn_is_not_lost_with_the_last_braces() -> None:
    content = "Sure!\n```json\n" + said(GOOD, GREEN)[:-4] + "\n```"
    value, mended = read_reply(reply(content))
    assert mended
    assert value == {"turns": [GOOD, GREEN]}


def test_thoughts_are_no_damage() -> None:
    written = write(in_turn(reply(f"<think>what to say {{}}</think>\n{said(GOOD)}")))
    assert written.draft is not None
    assert not written.mended


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (reply("null"), "not_json"),
        (reply("hello"), "not_json"),
        (reply("{"), "not_json"),
        (reply("抱歉，我无法提供帮助。"), "refused"),
        (Reply("key", "", "unreadable"), "unreadable"),
    ],
)
def test_what_cannot_be_mended_is_named(given: Reply, reason: str) -> None:
    with pytest.raises(ReplyError) as caught:
        read_reply(given)
    assert caught.value.reason == reason


@pytest.mark.parametrize("mode", ["json_schema", "tools", "prompt"])
def test_the_strictest_form_that_the_server_takes_is_found_out(mode: str) -> None:
    """Many at once find it out together, and none goes further down than it must."""

    def answer(body: Mapping[str, Any], sample: int) -> Reply | Exception:
        form = "json_schema" if "response_format" in body else "tools" if "tools" in body else "prompt"
        return reply(said(GOOD)) if form == mode else RejectedError(400, f"no {form}")

    async def write_many() -> Writer:
        writer = Writer(Server(answer), "m", [])
        await asyncio.gather(*(writer.write(WANTED) for _ in range(8)))
        return writer

    assert asyncio.run(write_many()).mode == mode


def test_one_request_that_is_rejected_lowers_nothing_for_the_others() -> None:
    server = Server(lambda body, sample: RejectedError(400, "too long a context"))
    writer = Writer(server, "m", [])
    with pytest.raises(BackendError, match="too long a context"):
        asyncio.run(writer.write(WANTED))
    assert writer.mode == "json_schema"
    assert "Answer with one JSON object" in server.asked[-1][0]["messages"][0]["content"]


def test_a_settled_conversation_is_not_paid_for_again() -> None:
    def answer(body: Mapping[str, Any], sample: int) -> Reply | Exception:
        return reply(said(GREEN)) if sample == 0 else NotStoredError("none may be paid for")

    server = Server(answer)
    written = write(server, settled={WANTED.id: "key"})
    assert [t.reason for t in written.tries] == ["ungrounded_thing"]
    assert {stored_only for _, _, stored_only in server.asked} == {False, True}
    other = Server(lambda body, sample: reply(said(GREEN)))
    assert len(write(other, settled={WANTED.id: "the key of another prompt"}).tries) == 3
    assert not any(stored_only for _, _, stored_only in other.asked)


def test_the_first_reply_must_be_in_an_offline_store() -> None:
    with pytest.raises(NotStoredError):
        write(Server(lambda body, sample: NotStoredError("offline")))


def test_what_is_settled_stands_in_the_files(tmp_path: Path) -> None:
    out = tmp_path / "c.jsonl"
    assert settled(out) == {}
    out.write_text(json.dumps({"id": "a", "metadata": {"request_keys": ["k1", "k2"]}}) + "\n")
    lines = [{"id": "b", "tries": [{"key": "k3"}]}, {"id": "c", "tries": [], "reason": "no_reply"}]
    (tmp_path / "c.quarantine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert settled(out) == {"a": "k1", "b": "k3"}


# ------------------------------------------------------------------------------------- second opinions


def opinions(server: Server, **shares: float) -> Any:
    written = write(in_turn(reply(said(GOOD))))
    told = InstructSettings(
        corpus=Path("c"),
        out=Path("o"),
        writer=WriterSettings(base_url="x", model="m"),
        tasks={"short_caption": 1.0},
        **shares,  # type: ignore[arg-type]
    )
    return asyncio.run(second_opinions(told, [written] * 3, server, Writer(server, "m", [])))


@pytest.mark.parametrize(
    ("content", "kept"),
    [('{"score": 5, "why": "fine"}', True), ('{"score": 1, "why": "made up"}', False), ("no idea", True)],
)
def test_a_judge_refuses_what_is_bad(content: str, kept: bool) -> None:
    found = opinions(Server(lambda body, sample: reply(content)), judge_share=1.0)
    assert [w.draft is not None for w in found.written] == [kept] * 3
    assert all((w.num_billed, w.cost_pico) == (2, 10) for w in found.written)
    if not kept:
        assert found.written[0].tries[-1].check == "judge"
        assert found.written[0].tries[-1].content == said(GOOD)


def test_what_is_guessed_without_the_video_is_refused() -> None:
    guessed = opinions(
        Server(lambda body, sample: reply("A red circle moves to the right!")), blind_share=1.0
    )
    assert {w.tries[-1].reason for w in guessed.written} == {"answered_without_video"}
    unknown = opinions(Server(lambda body, sample: reply("UNKNOWN")), blind_share=1.0)
    assert all(w.draft is not None for w in unknown.written)
    assert likeness("", "") == 0.0


def test_when_the_money_is_spent_the_rest_stays_unjudged() -> None:
    found = opinions(Server(lambda body, sample: BudgetSpentError("the cap is $1")), judge_share=1.0)
    assert found.stopped == "the cap is $1"
    assert all(w.draft is not None for w in found.written)


def test_shares_are_kept_by_hashes() -> None:
    server = Server(lambda body, sample: reply("{}"))
    opinions(server, judge_share=0.0, blind_share=0.0)
    assert server.asked == []
