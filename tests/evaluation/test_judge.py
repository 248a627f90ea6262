"""A judge is asked once, its rubbish is counted, its death ends the run; nothing of the network is needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from valley.cli import run as command
from valley.errors import BackendError, ConversationError
from valley.evaluation.benchmark import Selection
from valley.evaluation.judge import Judge, read_object, revision_of
from valley.evaluation.own_questions import OwnQuestions
from valley.evaluation.records import open_run
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Task

Write = Callable[[Sequence[dict[str, Any]]], Path]
GOOD = '{"correct": true, "score": 5}'


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Let me see {{not this}}.\n<think>{{'score': 1}}</think>\nVerdict: {GOOD} So it is.",
        "{'correct': True, 'score': 5}",
    ],
)
def test_a_verdict_is_found_whatever_stands_around_it(reply: str) -> None:
    assert read_object(reply) == {"correct": True, "score": 5}


@pytest.mark.parametrize(
    "reply", ["", "yes", "{", "[1, 2]", '{"correct": tru', "{" * 5000, "{'a': __import__('os')}"]
)
def test_where_there_is_none_it_is_said(reply: str) -> None:
    with pytest.raises(ConversationError, match="want a JSON object"):
        read_object(reply)


def test_the_revision_is_the_weights_or_what_the_server_says() -> None:
    assert revision_of({"weights": ["ab"]}) != revision_of({"weights": ["cd"]})
    assert revision_of({"server_version": "vllm 0.32"}) == "vllm-0.32"
    assert revision_of({}) == "unknown"


@pytest.fixture
def judge_of(tmp_path: Path) -> Iterator[Callable[..., Judge]]:
    """Make a judge of an engine, with a cache in the test's folder."""
    made: list[Judge] = []

    def make(backend: Any, cache: str = "cache") -> Judge:
        made.append(Judge(backend, tmp_path / cache))
        return made[-1]

    yield make
    for judge in made:
        judge.close()


def own(questions: Write, num: int = 3) -> Task:
    rows = [{"video": "a.mp4", "question": f"{n}?", "answer": f"right {n}"} for n in range(num)]
    return Task("own", OwnQuestions(questions(rows), is_judged=True), Selection(controls=False))


def test_values_carry_the_judges_name(told: Any, judge_of: Any, questions: Write, tmp_path: Path) -> None:
    asked = []

    def judge_says(conversation: Any, params: Any) -> str:
        text = conversation.messages[-1].text
        asked.append((text, params.response_schema))
        return (
            GOOD
            if "\nright 1\n" in text.partition("Answer to grade:")[2]
            else '{"correct": false, "score": 1}'
        )

    judge = judge_of(told(judge_says, weights="w1"))
    run = evaluate([own(questions)], told(lambda *_: "right 1"), tmp_path / "run", judge=judge)
    metric = f"accuracy[told@{judge.revision}]"
    assert all(set(a.scores) == {metric, f"score[told@{judge.revision}]"} for a in run.answers)
    assert [a.scores[metric] for a in run.answers] == [1.0, 1.0, 1.0]
    scores = run.scores["benchmarks"]["own"]
    assert scores["headline"] == metric
    assert scores["metrics"][metric]["judge"] == judge.label
    assert scores["metrics"][f"score[told@{judge.revision}]"]["overall"]["score"] == 5.0
    assert [j.replies for j in run.judgements] == [(GOOD,)] * 3
    assert run.about["judge"]["name"] == "told"
    assert asked[0][1]["required"] == ["correct", "score"]
    assert "right 0" in asked[0][0]


def test_rubbish_is_asked_for_again_once_counted_and_the_worst(
    told: Any, judge_of: Any, questions: Write, tmp_path: Path
) -> None:
    temperatures = []

    def judge_says(conversation: Any, params: Any) -> str:
        temperatures.append(params.temperature)
        text = conversation.messages[-1].text
        if "Question:\n0?" in text:
            return "I would rather not say"
        return GOOD if params.temperature or "Question:\n1?" not in text else '{"correct": "maybe"}'

    judge = judge_of(told(judge_says))
    run = evaluate([own(questions)], told(lambda *_: "x"), tmp_path / "run", judge=judge)
    assert [a.scores[judge.metric("accuracy")] for a in run.answers] == [0, 1.0, 1.0]
    assert run.scores["benchmarks"]["own"]["counts"]["unparsable"] == 1
    assert [len(j.replies) for j in run.judgements] == [2, 2, 1]
    assert [j.is_unparsable for j in run.judgements] == [True, False, False]
    assert "I would rather not say" in run.judgements[0].reason
    assert sorted(temperatures) == [0, 0, 0, 0.7, 0.7]


def test_nothing_is_paid_for_twice(told: Any, judge_of: Any, questions: Write, tmp_path: Path) -> None:
    for number, cache in enumerate(("cache", "cache", "other")):
        backend = told(lambda *_: GOOD)
        with_cache = judge_of(backend, cache)
        evaluate([own(questions)], told(lambda *_: "x"), tmp_path / f"run{number}", judge=with_cache)
        assert len(backend.asked) == (0 if number == 1 else 3)
    other_judge = told(lambda *_: GOOD, weights="other")
    evaluate(
        [own(questions)],
        told(lambda *_: "x"),
        tmp_path / "run3",
        judge=judge_of(other_judge),
    )
    assert len(other_judge.asked) == 3


def test_a_dead_judge_ends_the_run_and_the_next_one_goes_on(
    told: Any, judge_of: Any, questions: Write, tmp_path: Path
) -> None:
    def dies(conversation: Any, _: Any) -> str:
        if "Question:\n2?" in conversation.messages[-1].text:
            raise BackendError("no route to host")
        return GOOD

    answering = told(lambda *_: "x")
    with pytest.raises(BackendError, match=r"the judge told@unknown fails.*no route to host"):
        evaluate([own(questions)], answering, tmp_path / "run", judge=judge_of(told(dies)))
    assert not open_run(tmp_path / "run").about["finished"]
    assert len(open_run(tmp_path / "run").answers) == 3
    alive = told(lambda *_: GOOD)
    run = evaluate([own(questions)], answering, tmp_path / "run", judge=judge_of(alive))
    assert len(answering.asked) == 3
    assert len(alive.asked) == 1
    assert run.about["finished"]


def test_a_failed_question_is_not_judged_and_the_worst(
    told: Any, judge_of: Any, questions: Write, tmp_path: Path
) -> None:
    rows = [{"video": "gone.mp4", "question": "?", "answer": "x"}]
    task = Task("own", OwnQuestions(questions(rows), is_judged=True), Selection(controls=False))
    backend = told(lambda *_: GOOD)
    judge = judge_of(backend)
    run = evaluate([task], told(lambda *_: "x"), tmp_path / "run", judge=judge)
    assert backend.asked == []
    assert dict(run.answers[0].scores) == {judge.metric("accuracy"): 0, judge.metric("score"): 0}
    assert run.scores["benchmarks"]["own"]["counts"] == {
        "questions": 1,
        "errors": 1,
        "cut": 0,
        "unparsable": 0,
    }


class _Stub(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that answers each call with the next of `script`, then with the last."""

    script: list[object]
    calls: list[dict[str, Any]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": "stub-judge", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.calls.append({"body": body, "key": self.headers.get("Authorization")})
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, int):
            self._send(step, {"error": {"message": "not now", "type": "busy"}}, {"Retry-After": "0"})
        elif body.get("stream"):
            self._stream(str(step))
        else:
            message = {"role": "assistant", "content": step}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._send(200, {"id": "1", "object": "chat.completion", "choices": [choice]})

    def _stream(self, words: str) -> None:
        head = {"id": "1", "object": "chat.completion.chunk"}
        events = [
            {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": words}}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        lines = [f"data: {json.dumps(e)}\n\n" for e in events] + ["data: [DONE]\n\n"]
        self._write(200, "".join(lines).encode(), "text/event-stream", {})

    def _send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        self._write(status, json.dumps(value).encode(), "application/json", headers or {})

    def _write(self, status: int, data: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Callable[[list[object]], tuple[str, list[dict[str, Any]]]]]:
    servers = []

    def start(script: list[object]) -> tuple[str, list[dict[str, Any]]]:
        calls: list[dict[str, Any]] = []
        handler = type("Handler", (_Stub,), {"script": script, "calls": calls})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/v1", calls

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def words_for(questions: Write, out: Path, judge: str) -> list[str]:
    rows = [{"video": "a.mp4", "question": f"{n}?", "answer": "right"} for n in range(2)]
    return ["eval", str(questions(rows)), "--out", str(out), "--judge", judge, "--no-controls"]


def test_a_busy_and_a_failing_server_are_asked_again(
    stub: Any, questions: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VALLEY_JUDGE_API_KEY", "sekret-of-the-judge")
    address, calls = stub([429, 500, GOOD])
    assert command(words_for(questions, tmp_path / "run", f"{address}#stub-judge")) == 0
    assert len(calls) == 4
    assert {c["key"] for c in calls} == {"Bearer sekret-of-the-judge"}
    run = open_run(tmp_path / "run")
    assert [j.values for j in run.judgements] == [{"accuracy": 1.0, "score": 5.0}] * 2
    assert run.judgements[0].judge.startswith("stub-judge@")
    for path in (p for p in (tmp_path / "run").rglob("*") if p.is_file()):
        assert b"sekret" not in path.read_bytes()


@pytest.mark.parametrize("reply", ["I cannot judge this.", ""])
def test_nonsense_and_nothing_are_counted(
    stub: Any, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], reply: str
) -> None:
    address, calls = stub([reply])
    assert command(words_for(questions, tmp_path / "run", f"{address}#stub-judge")) == 2
    assert len(calls) == 4
    assert "2 replies of the judge that could not be read" in capsys.readouterr().out
    scores = open_run(tmp_path / "run").scores["benchmarks"]["own.jsonl"]
    assert scores["counts"]["unparsable"] == 2
    assert scores["metrics"][scores["headline"]]["overall"]["score"] == 0.0


def test_a_judge_that_refuses_everything_ends_the_run(
    stub: Any, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, _ = stub([401])
    words = words_for(questions, tmp_path / "run", f"{address}#stub-judge")
    assert command(words) == 1
    assert "the judge stub-judge@" in capsys.readouterr().err
    address, calls = stub([GOOD])
    assert command([f"{address}#stub-judge" if "127.0.0.1" in w else w for w in words]) == 0
    assert len(calls) == 2
    assert len(open_run(tmp_path / "run").judgements) == 2
