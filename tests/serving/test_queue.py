"""Many at once: a bounded queue, clients that leave, answers that take too long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from serving.serving_kit import DEADLINE_S, ENDLESS, Counting, about, data_url, serve, until, video, words


def test_who_finds_no_place_is_told_when_to_come_back(tmp_path):
    engine = Counting(max_concurrency=2)
    engine.go.clear()
    with serve(engine, tmp_path / "spool", queue_size=3) as server, ThreadPoolExecutor(12) as pool:
        line = server.service.chat().line
        asked = [pool.submit(server.post, words()) for _ in range(5)]
        until(lambda: line.inside == 5)
        until(lambda: engine.running == 2)
        assert (line.running, line.waiting) == (2, 3)
        refused = [pool.submit(server.post, words()).result() for _ in range(4)]
        assert [r.status_code for r in refused] == [429] * 4
        assert all(1 <= int(r.headers["retry-after"]) <= 60 for r in refused)
        assert refused[0].json()["error"]["type"] == "rate_limit_error"
        engine.go.set()
        assert [a.result().status_code for a in asked] == [200] * 5
        assert line.inside == 0
        assert engine.most_running == 2
        assert server.metric("valley_refusals_total") == 4


def test_streams_that_come_together_run_together(tmp_path):
    engine = Counting(max_concurrency=4)
    engine.go.clear()
    with serve(engine, tmp_path / "spool") as server, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.post, words(stream=True)) for _ in range(4)]
        until(lambda: engine.running == 4)
        engine.go.set()
        assert all(a.result().text.endswith("data: [DONE]\n\n") for a in asked)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_stops_its_answer(server, engine, streamed):
    engine.num_words = ENDLESS
    body = words(stream=streamed, max_tokens=4000)

    def ask_and_leave():
        with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body, timeout=DEADLINE_S) as r:
            next(r.iter_lines())

    if streamed:
        ask_and_leave()
    else:
        engine.go.clear()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.base_url}/chat/completions", json=body, timeout=0.5)
        engine.go.set()
    until(lambda: engine.num_closed_early == 1)
    assert engine.num_ended == 0
    until(lambda: server.service.chat().line.inside == 0)
    until(lambda: server.metric("valley_cancelled_total") == 1)
    engine.num_words = 5
    assert server.post(words()).status_code == 200


def test_a_client_that_leaves_the_queue_gives_its_place_back(server, engine):
    engine.go.clear()
    line = server.service.chat().line
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, words())
        until(lambda: engine.running == 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.base_url}/chat/completions", json=words(), timeout=0.5)
        until(lambda: line.inside == 1)
        engine.go.set()
        assert first.result().status_code == 200
    assert len(engine.asked) == 1


def test_an_answer_that_takes_too_long_ends(tmp_path):
    engine = Counting(num_words=ENDLESS)
    engine.go.clear()
    with serve(engine, tmp_path / "spool", request_timeout_s=1) as server:
        response = server.post(words())
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
        assert server.service.chat().line.running == 1  # the engine has not let go
        engine.go.set()
        until(lambda: server.service.chat().line.inside == 0)
        waited = threading.Event()
        with httpx.stream(
            "POST", f"{server.base_url}/chat/completions", json=words(stream=True, max_tokens=4000)
        ) as stream:
            lines = stream.iter_lines()
            next(lines)
            engine.go.clear()
            waited.set()
            assert any("timeout" in line for line in lines)
        engine.go.set()


def test_the_engine_is_told_to_decode_apart_and_within_limits(server, engine, clip_files):
    response = server.post({"messages": about(video(data_url(clip_files / "a.mp4"))), "fps": 2})
    assert response.status_code == 200
    ((conversation, params),) = engine.asked
    assert params.isolated
    assert params.limits == server.service.settings.decode
    assert params.sampling.cap == server.service.settings.max_frames
    assert len(conversation.media) == 1


def test_sixty_four_clients_each_get_an_answer_or_are_refused(tmp_path):
    engine = Counting(max_concurrency=2)
    with serve(engine, tmp_path / "spool", queue_size=8) as server, ThreadPoolExecutor(64) as pool:
        statuses = [f.result().status_code for f in [pool.submit(server.post, words()) for _ in range(64)]]
        assert set(statuses) <= {200, 429}
        assert statuses.count(200) >= 10
        assert server.service.chat().line.inside == 0
        assert server.service.held.now == 0
