"""Whole runs over HTTP: nothing is paid for twice and nothing is lost, whatever fails or is killed."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from instruct.cards import LANGUAGES, write_corpus
from instruct.fake_writer import FAULTS, FakeWriter, Running, known_truths
from valley.cli import run
from valley.conversation import read_jsonl
from valley.errors import BackendError, ConfigError
from valley.instruct.gateway.budget import Price
from valley.instruct.gateway.client import GatewayClient
from valley.instruct.gateway.server import FILE_NAME
from valley.instruct.gateway.starting import ask, ensure, find, stop
from valley.instruct.recipe import InstructSettings, PriceSettings, WriterSettings
from valley.instruct.records import require_provenance
from valley.instruct.run import Result, checks_of, gateway_settings, instruct, wanted_of
from valley.instruct.task import TASKS
from valley.instruct.writing import Writer
from valley.locking import locked

TRUTHS = known_truths(80)
TASK_WEIGHTS = dict.fromkeys(TASKS.names(), 1.0)
CONCURRENCY = 16
PRICE = PriceSettings(prompt_usd=0.15, completion_usd=0.6)


def told(corpus: Path, out: Path, base_url: str, **more: Any) -> InstructSettings:
    """Say what is wanted. The writer has a seed: fresh draws of a request differ in their bytes."""
    fields = {"seed": 1, "concurrency": CONCURRENCY, "price": PRICE, **more.pop("writer", {})}
    wanted: dict[str, Any] = {"tasks": TASK_WEIGHTS, "languages": LANGUAGES, **more}
    return InstructSettings(
        corpus=corpus, out=out, writer=WriterSettings(base_url=base_url, model="writer", **fields), **wanted
    )


def stop_gateway(store: Path) -> dict[str, Any]:
    """End the gateway of a store; give what it counted."""
    found = find(store)
    assert found is not None
    stats = ask(found, "GET", "/stats")
    stop(store, found)
    assert stats is not None
    return stats


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def both(settings: InstructSettings) -> tuple[bytes, bytes]:
    return settings.out.read_bytes(), settings.quarantine.read_bytes()


def num_billed(writer: FakeWriter) -> int:
    return sum(writer.books.billed.values())


def num_repeated(writer: FakeWriter) -> int:
    return sum(n - 1 for n in writer.books.billed.values())


def check_whole(settings: InstructSettings, result: Result) -> None:
    """Every wanted conversation is written, or given up with a reason and the raw replies."""
    kept, given_up = records(settings.out), records(settings.quarantine)
    wanted = {w.id for w in wanted_of(settings)}
    assert {r["id"] for r in kept} | {r["id"] for r in given_up} == wanted
    assert len(kept) + len(given_up) == len(wanted) == result.num_wanted
    assert sum(result.reasons.values()) == len(given_up)
    for line in given_up:
        assert line["reason"]
        assert line["check"]
        assert line["tries"] or line["reason"] == "no_reply"
        assert all(tried["key"] for tried in line["tries"])
    require_provenance(list(read_jsonl(settings.out)))


@dataclass(frozen=True)
class Finished:
    """A run that is done, and what the server's books said."""

    folder: Path
    result: Result
    billed: int

    def copied(self, to: Path) -> Path:
        """Copy it; the gateway that made it is not running any more."""
        shutil.copytree(self.folder, to, dirs_exist_ok=True)
        return to


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    write_corpus(folder / "corpus", range(6))
    running = Running(FakeWriter(TRUTHS))
    with running as writer:
        settings = told(folder / "corpus", folder / "c.jsonl", running.base_url)
        result = instruct(settings)
        stop_gateway(settings.store)
        check_whole(settings, result)
        assert result.num_billed == num_billed(writer)
        return Finished(folder, result, num_billed(writer))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Give a maker of servers; gateways that were left are ended."""
    yield lambda **more: Running(FakeWriter(TRUTHS, **more))
    for file in tmp_path.rglob(FILE_NAME):
        if (found := find(file.parent)) is not None:
            stop(file.parent, found)


def test_nothing_is_lost_under_all_faults(tmp_path: Path, serve: Callable[..., Running]) -> None:
    write_corpus(tmp_path / "corpus", range(16))
    faults = {**FAULTS, "wrong_language": 0.03, "hang": 0.005}
    running = serve(faults=faults, seed=2)
    with running as writer:
        writing = {"concurrency": 32, "timeout_s": 2.0}
        settings = told(tmp_path / "corpus", tmp_path / "c.jsonl", running.base_url, writer=writing)
        result = instruct(settings)
        stats = stop_gateway(settings.store)
    check_whole(settings, result)
    books = writer.books
    assert min(books.faults[f] for f in FAULTS) > 0
    assert result.num_billed == num_billed(writer) - books.faults["reset"]
    assert num_billed(writer) <= 1.4 * result.num_wanted
    unreadable = [r for r in records(settings.quarantine) if r["check"] in ("reply", "server")]
    assert len(unreadable) <= max(1, 0.005 * result.num_wanted), unreadable
    # What is reported is what the server's books say; what a reset took is listed, and not hidden in it.
    lost = books.lost_tokens
    price = Price.of(PRICE.prompt_usd, PRICE.completion_usd)
    billed = price.cost(books.prompt_tokens - lost[0], books.completion_tokens - lost[1])
    assert 0 <= result.cost_pico - billed < result.num_billed, "every call is rounded up to a picodollar"
    assert len(stats["unknown_outcomes"]) == books.faults["reset"] + books.faults["hang"]


def test_a_second_run_pays_nothing(finished: Finished, tmp_path: Path, serve: Callable[..., Running]) -> None:
    folder = finished.copied(tmp_path)
    running = serve()
    with running as writer:
        settings = told(folder / "corpus", folder / "c.jsonl", running.base_url)
        before = both(settings)
        result = instruct(settings)
        again = told(folder / "corpus", folder / "c.jsonl", running.base_url, writer={"concurrency": 3})
        instruct(again)
    assert result.num_billed == writer.books.asked == 0
    assert result.cost_pico == finished.result.cost_pico
    assert both(settings) == before


def test_one_more_clip_pays_for_its_rows(
    finished: Finished, tmp_path: Path, serve: Callable[..., Running]
) -> None:
    folder = finished.copied(tmp_path)
    write_corpus(folder / "corpus", [*range(6), 7])
    running = serve()
    with running as writer:
        settings = told(folder / "corpus", folder / "c.jsonl", running.base_url)
        result = instruct(settings)
    check_whole(settings, result)
    old = {w.evidence.clip.id for w in wanted_of(told(finished.folder / "corpus", settings.out, "x"))}
    lines = [*records(settings.out), *records(settings.quarantine)]
    new = [r for r in lines if (r.get("metadata") or r)["clip_id"] not in old]
    keys = [k for r in new for k in (r["metadata"]["request_keys"] if "metadata" in r else _keys(r))]
    assert result.num_wanted - finished.result.num_wanted == len(new) > 5
    assert result.num_billed == num_billed(writer) == len(set(keys))


def _keys(line: dict[str, Any]) -> list[str]:
    return [tried["key"] for tried in line["tries"]]


def test_another_order_of_names_and_another_address_pay_nothing(
    finished: Finished, tmp_path: Path, serve: Callable[..., Running]
) -> None:
    folder = finished.copied(tmp_path)
    running = serve()
    with running as writer:
        settings = told(
            folder / "corpus",
            folder / "c.jsonl",
            running.base_url,
            tasks=dict(reversed(TASK_WEIGHTS.items())),
        )
        assert instruct(settings).num_billed == writer.books.asked == 0


def test_another_check_pays_nothing(
    finished: Finished, tmp_path: Path, serve: Callable[..., Running]
) -> None:
    """Fewer checks, then all again: what is refused now is given up and not asked for once more."""
    folder = finished.copied(tmp_path)
    running = serve()
    with running as writer:
        loose = told(folder / "corpus", folder / "c.jsonl", running.base_url, checks=("turns",))
        fewer = instruct(loose)
        assert fewer.num_accepted > finished.result.num_accepted
        strict = told(folder / "corpus", folder / "c.jsonl", running.base_url)
        result = instruct(strict)
        assert writer.books.asked == result.num_billed == 0
    check_whole(strict, result)


def test_a_stricter_check_pays_only_when_told_to(tmp_path: Path, serve: Callable[..., Running]) -> None:
    write_corpus(tmp_path / "corpus", range(3))
    running = serve(lies=0.5)
    with running as writer:
        settings = told(tmp_path / "corpus", tmp_path / "c.jsonl", running.base_url, checks=("turns",))
        paid = instruct(settings).num_billed
        strict = settings.model_copy(update={"checks": ("all",)})
        result = instruct(strict)
        assert num_billed(writer) == paid
        assert result.num_accepted < result.num_wanted
        check_whole(strict, result)
        again = settings.writer.model_copy(update={"ask_again": True})
        mended = instruct(strict.model_copy(update={"writer": again}))
    assert mended.num_billed == num_billed(writer) - paid > 0
    assert mended.num_accepted > result.num_accepted


def test_a_changed_prompt_pays_for_its_task(
    finished: Finished, tmp_path: Path, serve: Callable[..., Running]
) -> None:
    folder = finished.copied(tmp_path)
    counting = TASKS.get("counting")
    changed = replace(counting, wants=counting.wants + " Be brief.")
    running = serve()
    with running as writer:
        settings = told(folder / "corpus", folder / "c.jsonl", running.base_url)
        wanted = [replace(w, task=changed) if w.task.name == "counting" else w for w in wanted_of(settings)]
        begun = gateway_settings(settings, api_key="", offline=False)

        async def write_all() -> int:
            async with GatewayClient(lambda: ensure(begun)) as client:
                asks = Writer(client, "writer", checks_of(["all"]), seed=1)
                written = [await asks.write(one) for one in wanted]
            for one in written:
                assert one.num_billed == (len(one.tries) if one.wanted.task is changed else 0)
            return sum(one.num_billed for one in written)

        billed = asyncio.run(write_all())
    assert billed == num_billed(writer) >= 6


def test_offline_the_store_writes_the_same(finished: Finished, tmp_path: Path) -> None:
    folder = finished.copied(tmp_path)
    settings = told(folder / "corpus", folder / "c.jsonl", "http://127.0.0.1:9/v1")
    before = both(settings)
    settings.out.unlink()
    settings.quarantine.unlink()
    result = instruct(settings, offline=True)
    assert both(settings) == before
    assert result.num_billed == 0
    write_corpus(folder / "corpus", range(7))
    with pytest.raises(BackendError, match="offline"):
        instruct(settings, offline=True)
    stop_gateway(settings.store)


def test_offline_a_server_that_knows_no_schema_is_no_other_store(
    tmp_path: Path, serve: Callable[..., Running]
) -> None:
    write_corpus(tmp_path / "corpus", range(2))
    running = serve(modes=("tools", "prompt"))
    with running as writer:
        settings = told(tmp_path / "corpus", tmp_path / "c.jsonl", running.base_url)
        result = instruct(settings)
        before = both(settings)
        stop_gateway(settings.store)
    assert result.num_accepted > 0
    assert num_repeated(writer) == 0
    assert instruct(settings, offline=True).num_billed == 0
    assert both(settings) == before
    stop_gateway(settings.store)


def test_a_spent_budget_is_exit_code_3_and_more_money_goes_on(
    tmp_path: Path, serve: Callable[..., Running], capsys
) -> None:
    write_corpus(tmp_path / "corpus", range(4))
    out = tmp_path / "c.jsonl"
    running = serve()
    with running as writer:
        words = ["instruct", str(tmp_path / "corpus"), "-o", str(out), "--base-url", running.base_url]
        words += ["-m", "writer", "--languages", "en,zh,es", "writer.seed=1"]
        assert run([*words, "--max-tokens", "12000"]) == 3
        spent = writer.books.prompt_tokens + writer.books.completion_tokens
        assert 0 < spent <= 12_000
        assert "the cap is 12000 tokens" in capsys.readouterr().err
        some = len(records(out))
        assert some > 5, "a promise to others is waited for: the cap is used"
        first = num_billed(writer)
        code = run([*words, "--max-tokens", "3000000", "--json"])
        said = json.loads(capsys.readouterr().out)
    assert code in (0, 2)
    assert said["num_billed"] == num_billed(writer) - first > 0
    assert num_repeated(writer) == 0
    assert len(records(out)) > some


def test_dollars_are_not_spent_without_a_price(tmp_path: Path, capsys) -> None:
    write_corpus(tmp_path / "corpus", range(1))
    words = ["instruct", str(tmp_path / "corpus"), "-o", str(tmp_path / "c.jsonl")]
    words += ["--base-url", "http://127.0.0.1:9/v1", "-m", "writer", "--max-usd", "1"]
    assert run(words) == 1
    assert "needs prices" in capsys.readouterr().err


def test_one_run_writes_a_file(finished: Finished, tmp_path: Path) -> None:
    folder = finished.copied(tmp_path)
    settings = told(folder / "corpus", folder / "c.jsonl", "http://127.0.0.1:9/v1")
    with locked(settings.store / "run.lock", taken="taken"), pytest.raises(ConfigError, match="another run"):
        instruct(settings, offline=True)


# ------------------------------------------------------------------------------------------------- kills

WORKER = "from valley.cli import main; main()"


def command(corpus: Path, out: Path, base_url: str) -> list[str]:
    words = ["instruct", str(corpus), "-o", str(out), "--base-url", base_url, "--model", "writer"]
    words += ["--languages", ",".join(LANGUAGES), "--concurrency", str(CONCURRENCY), "writer.seed=1"]
    return [sys.executable, "-c", WORKER, *words]


def wait_until(condition: Callable[[], bool], worker: subprocess.Popen[bytes]) -> bool:
    until_s = time.monotonic() + 60
    while not condition() and worker.poll() is None and time.monotonic() < until_s:
        time.sleep(0.002)
    return worker.poll() is None


def kill_workers(tmp_path: Path, serve: Callable[..., Running], *, num_kills: int, num_clips: int) -> None:
    """Kill workers at random moments, let one finish, and compare with an undisturbed run."""
    write_corpus(tmp_path / "corpus", range(num_clips))
    rng = random.Random(num_kills)
    running = serve(faults={"reset": 0.03, "malformed": 0.05, "refusal": 0.03}, delay_s=0.1, seed=4)
    killed = tmp_path / "killed" / "c.jsonl"
    with running as writer:
        words = command(tmp_path / "corpus", killed, running.base_url)
        step = num_clips * len(TASKS.names()) // (num_kills + 2)
        num_died = 0
        for _ in range(num_kills):
            at = writer.books.asked + rng.randrange(1, step)
            worker = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if wait_until(lambda at=at: writer.books.asked >= at, worker):
                worker.kill()
            num_died += worker.wait() == -signal.SIGKILL
            assert not killed.exists()
        assert num_died == num_kills
        assert subprocess.run(words, stdout=subprocess.DEVNULL).returncode in (0, 2)
        assert num_repeated(writer) <= writer.books.faults["reset"]
        stats = stop_gateway(killed.with_name("c_calls"))
        assert len(stats["unknown_outcomes"]) == writer.books.faults["reset"]
        assert writer.books.most_at_once <= CONCURRENCY
        paid = num_billed(writer)
    calm = serve(faults={"reset": 0.03, "malformed": 0.05, "refusal": 0.03}, seed=4)
    undisturbed = tmp_path / "calm" / "c.jsonl"
    with calm as writer:
        settings = told(tmp_path / "corpus", undisturbed, calm.base_url, writer={"price": None})
        result = instruct(settings)
    check_whole(settings, result)
    assert num_billed(writer) == paid
    assert both(settings) == (killed.read_bytes(), killed.with_name("c.quarantine.jsonl").read_bytes())


def test_killed_workers_cost_nothing(tmp_path: Path, serve: Callable[..., Running]) -> None:
    kill_workers(tmp_path, serve, num_kills=2, num_clips=6)


@pytest.mark.slow
def test_ten_killed_workers_cost_nothing(tmp_path: Path, serve: Callable[..., Running]) -> None:
    kill_workers(tmp_path, serve, num_kills=10, num_clips=30)


def test_a_killed_gateway_costs_what_was_under_way(tmp_path: Path, serve: Callable[..., Running]) -> None:
    write_corpus(tmp_path / "corpus", range(4))
    out = tmp_path / "c.jsonl"
    running = serve(delay_s=0.15)
    with running as writer:
        words = command(tmp_path / "corpus", out, running.base_url)
        worker = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        store = out.with_name("c_calls")
        assert wait_until(lambda: len(writer.books.billed) > 10 and writer.books.now >= 4, worker)
        os.kill(json.loads((store / FILE_NAME).read_text())["pid"], signal.SIGKILL)
        assert worker.wait(timeout=60) in (0, 2)
        stats = stop_gateway(store)
    assert 0 < len(stats["unknown_outcomes"]) <= CONCURRENCY
    assert num_repeated(writer) <= len(stats["unknown_outcomes"])
    settings = told(tmp_path / "corpus", out, "x")
    kept, given_up = records(out), records(settings.quarantine)
    assert len(kept) + len(given_up) == len(wanted_of(settings))
    assert not [r for r in given_up if r["reason"] == "no_reply"]


def test_no_model_stack_is_imported(finished: Finished, tmp_path: Path) -> None:
    folder = finished.copied(tmp_path)
    script = (
        "import sys; from valley.cli import run; code = run(sys.argv[1:]);"
        "sys.exit(9 if {'torch', 'transformers'} & set(sys.modules) else code)"
    )
    words = command(folder / "corpus", folder / "c.jsonl", "http://127.0.0.1:9/v1")[3:]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--offline"], capture_output=True, check=False
    )
    assert done.returncode in (0, 2), done.stderr.decode()
    assert records(folder / "c.jsonl")
    stop_gateway(folder / "c_calls")


def test_a_model_without_a_server_writes_here(tmp_path):
    """The embedded model cannot write JSON: what matters is that it was asked, and nothing was accepted."""
    corpus, out = tmp_path / "corpus", tmp_path / "own.jsonl"
    write_corpus(corpus, range(1))
    told = ["instruct", str(corpus), "-o", str(out), "--tasks", "short_caption", "--languages", "en"]
    assert run([*told, "--model", "valley-mini"]) == 2
    report = json.loads((tmp_path / "own.report.json").read_text(encoding="utf-8"))
    assert report["num_accepted"] == 0
    assert report["num_billed"] > 0
    assert run([*told, "--model", "valley-mini", "--offline"]) == 2
    again = json.loads((tmp_path / "own.report.json").read_text(encoding="utf-8"))
    assert again["num_accepted"] == again["num_billed"] == 0
    stop_gateway(tmp_path / "own_calls")


def test_a_model_that_is_nowhere_is_asked_for_with_a_server(tmp_path, capsys):
    write_corpus(tmp_path / "corpus", range(1))
    assert run(["instruct", str(tmp_path / "corpus"), "-o", str(tmp_path / "a.jsonl"), "-m", "writer"]) == 1
    assert "or name the server that has it with --base-url" in capsys.readouterr().err
