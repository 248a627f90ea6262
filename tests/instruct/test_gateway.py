"""The gateway over HTTP, against a server that fails as real ones do: nothing is paid for twice."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from instruct.fake_writer import FakeWriter, Running, known_truths
from valley.errors import ConfigError, ValleyError
from valley.instruct.gateway.budget import Budget, BudgetSpentError, Price
from valley.instruct.gateway.client import GatewayClient, NotStoredError, RejectedError
from valley.instruct.gateway.governor import Governor, retry_after_s
from valley.instruct.gateway.relay import usage_of
from valley.instruct.gateway.requests import canonical, estimated_tokens, request_key
from valley.instruct.gateway.server import FILE_NAME, GatewaySettings
from valley.instruct.gateway.starting import ask, ensure, find, stop

TRUTHS = known_truths(12)
CARD = "The video lasts 3.0 seconds.\nFacts:\nF1 [caption, en] {}"
SYSTEM = "Write every question and answer in English (en).\nTask: one turn. A short caption of the video."


def body(number: int, **more: object) -> dict[str, object]:
    caption = list(TRUTHS)[number % len(TRUTHS)]
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": CARD.format(caption) + f"\n({number})"},
    ]
    return {
        "model": "writer",
        "messages": messages,
        "max_tokens": 200,
        "response_format": {"type": "json"},
        **more,
    }


def settings(store: Path, upstream: str, **more: object) -> GatewaySettings:
    return GatewaySettings(store=store, upstream=upstream, idle_s=30.0, **more)  # type: ignore[arg-type]


async def ask_all(
    told: GatewaySettings, bodies: list[dict[str, object]], concurrency: int = 8
) -> list[object]:
    gate = asyncio.Semaphore(concurrency)
    async with GatewayClient(lambda: ensure(told)) as client:

        async def one(asked: dict[str, object]) -> object:
            async with gate:
                return await outcome(client.complete(asked))

        return await asyncio.gather(*map(one, bodies))


async def outcome(asking: Awaitable[object]) -> object:
    try:
        return await asking
    except ValleyError as error:
        return error


@pytest.fixture
def store(tmp_path: Path):
    yield tmp_path / "calls"
    found = find(tmp_path / "calls")
    if found is not None:
        stop(tmp_path / "calls", found)


def test_an_answer_is_paid_for_once(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS))
    with running as writer:
        told = settings(store, running.base_url, prices={"*": Price.of("0.15", "0.6")})
        first = asyncio.run(ask_all(told, [body(n) for n in range(10)]))
        again = asyncio.run(ask_all(told, [body(n) for n in range(11)]))
        stats = ask(find(store), "GET", "/stats")  # type: ignore[arg-type]
    assert [r.billed for r in first] == [True] * 10
    assert [r.billed for r in again] == [False] * 10 + [True]
    assert [r.content for r in again[:10]] == [r.content for r in first]
    assert sum(writer.books.billed.values()) == 11 == stats["billed"]  # type: ignore[index]
    price = Price.of("0.15", "0.6")
    cost = sum(price.cost(*r.tokens) for r in again)
    assert stats["spent_pico"] == cost > 0  # type: ignore[index]
    assert sum(r.tokens[0] for r in again) == writer.books.prompt_tokens
    assert stats["unknown_outcomes"] == []  # type: ignore[index]


def test_who_asks_for_the_same_at_once_shares_one_call(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS, delay_s=0.2))
    with running as writer:
        replies = asyncio.run(ask_all(settings(store, running.base_url), [body(0)] * 8))
    assert sum(writer.books.billed.values()) == 1
    assert len({r.content for r in replies}) == 1


def test_samples_are_different_calls_and_other_headers_are_not(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS))
    with running as writer:

        async def draw() -> None:
            async with GatewayClient(lambda: ensure(settings(store, running.base_url))) as client:
                await client.complete(body(0))
                await client.complete({**body(0), "user": "somebody", "metadata": {"a": 1}})
                await client.complete(body(0), sample=1)

        asyncio.run(draw())
    assert sum(writer.books.billed.values()) == 2


def test_faults_are_waited_out_and_every_reply_is_kept(store: Path) -> None:
    faults = {"429": 0.15, "500": 0.08, "reset": 0.08, "wrong_usage": 0.1}
    running = Running(FakeWriter(TRUTHS, faults=faults, seed=4))
    with running as writer:
        told = settings(store, running.base_url, prices={"*": Price.of("1", "2")})
        replies = asyncio.run(ask_all(told, [body(n) for n in range(30)]))
        stats = ask(find(store), "GET", "/stats")  # type: ignore[arg-type]
    assert not [r for r in replies if isinstance(r, Exception)]
    assert min(writer.books.faults[f] for f in faults) > 0
    assert stats["refused_by_rate"] >= writer.books.faults["429"]  # type: ignore[index]
    # What a reset took was billed all the same: it is listed, and counts against the cap.
    assert len(stats["unknown_outcomes"]) == writer.books.faults["reset"]  # type: ignore[index]
    assert stats["unknown_outcomes_pico"] > 0  # type: ignore[index]


def test_a_worker_may_be_killed(store: Path) -> None:
    """The call that is under way when its asker dies is finished, and the next asker gets its reply."""
    running = Running(FakeWriter(TRUTHS, delay_s=0.3))
    script = (
        "import sys, json, asyncio; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; import instruct.test_gateway as t;"
        "told = t.settings(Path(sys.argv[2]), sys.argv[3]);"
        "asyncio.run(t.ask_all(told, [t.body(n) for n in range(16)], 16))"
    )
    with running as writer:
        told = settings(store, running.base_url)
        ensure(told)
        command = [sys.executable, "-c", script, str(Path(__file__).parents[1]), str(store), running.base_url]
        for _ in range(3):
            worker = subprocess.Popen(command)
            until = time.monotonic() + 30
            while writer.books.now == 0 and time.monotonic() < until and worker.poll() is None:
                time.sleep(0.02)
            worker.kill()
            worker.wait()
        replies = asyncio.run(ask_all(told, [body(n) for n in range(16)], 16))
    assert len(replies) == 16
    assert max(writer.books.billed.values()) == 1
    assert sum(writer.books.billed.values()) == 16


def test_a_gateway_that_is_stopped_finishes_what_is_under_way(store: Path) -> None:
    """Whoever asked is gone; the call is paid for, and the next gateway has the reply."""
    running = Running(FakeWriter(TRUTHS, delay_s=0.5))
    with running as writer:
        told = settings(store, running.base_url)

        async def leave() -> None:
            async with GatewayClient(lambda: ensure(told)) as client:
                asking = [asyncio.create_task(client.complete(body(n))) for n in range(3)]
                while writer.books.now < 3:
                    await asyncio.sleep(0.02)
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)

        asyncio.run(leave())
        other = settings(store, running.base_url, concurrency=3)
        replies = asyncio.run(ask_all(other, [body(n) for n in range(3)]))
        stats = ask(find(store), "GET", "/stats")  # type: ignore[arg-type]
    assert [r.billed for r in replies] == [False] * 3  # type: ignore[attr-defined]
    assert sum(writer.books.billed.values()) == 3
    assert stats["unknown_outcomes"] == []  # type: ignore[index]


def test_several_who_want_a_gateway_at_once_share_one(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS))
    with running, ThreadPoolExecutor(4) as pool:
        told = settings(store, running.base_url)
        addresses = list(pool.map(lambda _: ensure(told), range(4)))
    assert len(set(addresses)) == 1


def test_a_killed_gateway_lists_what_was_under_way(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS, delay_s=1.0))
    with running as writer:
        told = settings(store, running.base_url, prices={"*": Price.of("1", "1")})
        address = ensure(told)
        pid = json.loads((store / FILE_NAME).read_text())["pid"]

        async def lose() -> None:
            async with GatewayClient(lambda: ensure(told)) as client:
                asking = [asyncio.create_task(client.complete(body(n))) for n in range(4)]
                while writer.books.now < 4:
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(subprocess.run, ["kill", "-9", str(pid)], check=True)
                for reply in await asyncio.gather(
                    *asking
                ):  # the client starts another gateway and asks again
                    assert reply.content

        asyncio.run(lose())
        stats = ask(find(store), "GET", "/stats")  # type: ignore[arg-type]
    assert find(store) != address
    assert len(stats["unknown_outcomes"]) == 4  # type: ignore[index]
    assert sum(writer.books.billed.values()) == 8


def test_the_cap_holds_and_is_exact(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS))
    with running as writer:
        told = settings(store, running.base_url, prices={"*": Price.of("10", "10")}, max_usd="0.02")

        async def spend() -> int:
            async with GatewayClient(lambda: ensure(told)) as client:
                for n in range(50):
                    reply = await outcome(client.complete(body(n)))
                    if isinstance(reply, BudgetSpentError):
                        assert "$0.0200" in str(reply)
                        return n
                raise AssertionError("the cap did not hold")

        done = asyncio.run(spend())
        stats = ask(find(store), "GET", "/stats")  # type: ignore[arg-type]
    assert done == sum(writer.books.billed.values()) > 0
    assert 0 < stats["spent_pico"] <= 0.02e12  # type: ignore[index]


def test_offline_only_the_store_answers(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS))
    with running:
        asyncio.run(ask_all(settings(store, running.base_url), [body(0)]))
    told = GatewaySettings(store=store, offline=True, idle_s=30.0)

    async def ask_stored() -> str:
        async with GatewayClient(lambda: ensure(told)) as client:
            known = await client.complete(body(0))
            with pytest.raises(NotStoredError, match="offline"):
                await client.complete(body(1))
            return known.content

    assert "turns" in asyncio.run(ask_stored())


def test_who_has_no_token_gets_nothing_and_nonsense_is_named(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS))
    with running as writer:
        address = ensure(settings(store, running.base_url))
        url = address.base_url + "/chat/completions"
        key = {"authorization": f"Bearer {address.token}"}
        assert httpx.post(url, json=body(0)).status_code == 401
        for wrong in (
            {"stream": True, **body(0)},
            {"n": 2, **body(0)},
            {"surprise": 1, **body(0)},
            {"model": "writer"},
            [1],
        ):
            response = httpx.post(url, json=wrong, headers=key)
            assert response.status_code == 400, response.text
            assert "want" in response.json()["error"]["message"]
        assert httpx.post(url, content=b"{", headers=key).status_code == 400
        assert httpx.get(address.base_url + "/models", headers=key).json()["data"][0]["id"] == "writer"
    assert (store / FILE_NAME).stat().st_mode & 0o077 == 0
    assert not writer.books.billed


def test_a_rejected_request_is_not_paid_for(store: Path) -> None:
    running = Running(FakeWriter(TRUTHS, modes=("prompt",)))
    with running as writer:

        async def reject() -> None:
            async with GatewayClient(lambda: ensure(settings(store, running.base_url))) as client:
                with pytest.raises(RejectedError, match="not supported"):
                    await client.complete(body(0))

        asyncio.run(reject())
    assert not writer.books.billed


def test_a_key_is_what_changes_the_answer() -> None:
    one = canonical(
        {"model": "m", "messages": [{"role": "user", "content": "é"}], "temperature": 0.5, "user": "a"}
    )
    same = canonical({"temperature": 0.5, "messages": [{"content": "e\u0301", "role": "user"}], "model": "m"})
    assert request_key(one) == request_key(same)
    assert request_key(one) != request_key(one, sample=1)
    assert request_key(one) != request_key({**one, "temperature": 0.6})
    with pytest.raises(ConfigError, match="want the fields"):
        canonical({"model": "m", "messages": [1], "unheard_of": 1})
    picture = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + "A" * 100_000}}
    assert estimated_tokens({"messages": [{"role": "user", "content": [picture]}]}) < 2000


def test_money_is_whole_numbers() -> None:
    price = Price.of("0.15", "0.6")
    assert price.cost(1_000_000, 0) == 150_000_000_000
    assert sum(price.cost(1, 0) for _ in range(10**4)) == price.cost(10**4, 0)
    budget = Budget({"*": price}, max_usd="0.000001")
    held = budget.reserve("m", 2, 1)
    with pytest.raises(BudgetSpentError, match="the cap is"):
        budget.reserve("m", 2, 1)
    budget.release(held, 3)
    budget.spend(price.cost(1, 0), 1)
    budget.reserve("m", 2, 0)
    with pytest.raises(ConfigError, match="needs prices"):
        Budget({}, max_usd="1")
    with pytest.raises(ConfigError, match="not below 0"):
        Price.of("-1", "0")
    with pytest.raises(BudgetSpentError, match="tokens"):
        Budget({}, max_tokens=5).reserve("m", 3, 3)


def test_the_rate_is_kept_and_a_refusal_slows_all_down() -> None:
    now, waits = [0.0], []

    async def wait(delay_s: float) -> None:
        waits.append(delay_s)
        now[0] += delay_s

    async def run() -> None:
        governor = Governor(requests_per_minute=60.0, concurrency=4, clock=lambda: now[0], wait=wait)
        for _ in range(10):
            await governor.acquire(100)
            await governor.done()
        assert now[0] == pytest.approx(9.0)
        await governor.acquire(1)
        await governor.done(too_much=True, pause_s=7.0)
        assert governor.limit < 4
        before = now[0]
        await governor.acquire(1)
        assert now[0] - before >= 7.0
        await governor.done()

    asyncio.run(run())
    assert retry_after_s("3") == 3.0
    assert retry_after_s("Thu, 01 Jan 1970 00:01:40 GMT", now=lambda: 40.0) == 60.0
    assert retry_after_s("soon") is None


def test_usage_that_makes_no_sense_is_no_usage() -> None:
    assert usage_of('{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}') == (3, 4)
    for nonsense in (
        "{}",
        "[]",
        "x",
        '{"usage": null}',
        '{"usage": {"prompt_tokens": -1, "completion_tokens": 4}}',
    ):
        assert usage_of(nonsense) is None
