"""The numbers for Prometheus are those of what happened."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.serving_kit import Counting, about, data_url, serve, until, video, words
from valley.inference.backend import CacheStats, CacheUse


def samples(server) -> dict:
    text = httpx.get(f"{server.url}/metrics").text
    return {
        (s.name, *sorted(s.labels.values())): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_requests_tokens_times_and_media_are_counted(server, clip_files):
    server.post(words())
    server.post(words(stream=True))
    server.post({"messages": about(video(data_url(clip_files / "a.mp4")))})
    server.post(words(tools=[{}]))
    server.post(words(max_tokens=10**6))
    httpx.get(f"{server.url}/v1/nothing")
    httpx.get(f"{server.url}/some/page")
    found = samples(server)
    assert server.metric("valley_completion_tokens_total") == 15
    assert server.metric("valley_prompt_tokens_total") == 30
    assert server.metric("valley_visual_tokens_total") == 12
    assert found["valley_media_total", "video"] == 1
    assert found["valley_media_seconds_total",] == pytest.approx(3.0, abs=0.01)
    assert found["valley_refusals_total", "unsupported"] == 1
    assert found["valley_refusals_total", "limit_exceeded"] == 1
    assert found["valley_refusals_total", "not_found"] == 2
    for name in (
        "time_to_first_token_seconds",
        "request_seconds",
        "answer_tokens_per_second",
        "queue_seconds",
    ):
        assert found[f"valley_{name}_count",] == 3, name
    assert found["valley_decode_seconds_count",] == 1
    assert found["valley_requests_running",] == found["valley_requests_waiting",] == 0
    assert found["process_resident_memory_bytes",] > 2**20


def test_requests_are_counted_by_address_and_status(server):
    server.post(words())
    server.post(words(n=3))
    httpx.get(f"{server.url}/v1/files/file-0011")
    httpx.get(f"{server.url}/what/ever/{'x' * 50}")
    text = httpx.get(f"{server.url}/metrics").text
    assert 'valley_requests_total{path="/v1/chat/completions",status="200"} 1.0' in text
    assert 'valley_requests_total{path="/v1/chat/completions",status="400"} 1.0' in text
    assert 'valley_requests_total{path="/v1/files/{id}",status="404"} 1.0' in text
    assert "xxxx" not in text


def test_running_and_waiting_are_told_while_they_are(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    engine = Counting()
    engine.go.clear()
    with serve(engine, tmp_path / "spool") as server, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(server.post, words()) for _ in range(3)]
        until(lambda: server.metric("valley_requests_waiting") == 2)
        assert server.metric("valley_requests_running") == 1
        engine.go.set()
        assert all(a.result().status_code == 200 for a in asked)
        assert server.metric("valley_requests_waiting") == 0


def test_caches_of_an_engine_that_counts_them_are_told(tmp_path):
    class Keeping(Counting):
        def cache_stats(self):
            return CacheStats(CacheUse(1, 2, 3), CacheUse(4, 5, 6), CacheUse(7, 8, 9))

    with serve(Keeping(), tmp_path / "spool") as server:
        found = samples(server)
    assert found["valley_cache_hits_total", "features"] == 4
    assert found["valley_cache_misses_total", "frames"] == 2
    assert found["valley_cache_bytes", "prefixes"] == 9
