"""What the server counts, for Prometheus; every application has a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from valley.inference.backend import Finish, KeepsWork

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_RATES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Counters, gauges and histograms of one server."""

    def __init__(self, queue: Callable[[], tuple[int, int]]) -> None:
        """Make them; `queue` says how many answers run, and how many requests wait."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"valley_{name}", words, labels, registry=registry)

        def histogram(name: str, words: str, buckets: tuple[float | int, ...] = _SECONDS) -> Histogram:
            return Histogram(f"valley_{name}", words, buckets=buckets, registry=registry)

        self.requests = counter("requests", "HTTP requests answered", "path", "status")
        self.refusals = counter("refusals", "Requests refused, by reason", "reason")
        self.cancelled = counter("cancelled", "Answers whose client went away")
        self.queued_s = histogram("queue_seconds", "Between a request's media and its turn")
        self.first_token_s = histogram("time_to_first_token_seconds", "From the request to the first words")
        self.request_s = histogram("request_seconds", "From the request to the end of its answer")
        self.tokens_per_s = histogram(
            "answer_tokens_per_second", "Of one answer, from its first token", _RATES
        )
        self.prompt_tokens = counter("prompt_tokens", "Tokens of prompts")
        self.cached_tokens = counter("cached_tokens", "Tokens of prompts whose keys and values were kept")
        self.visual_tokens = counter("visual_tokens", "Tokens of prompts that stand for pictures")
        self.completion_tokens = counter("completion_tokens", "Tokens of answers")
        self.media = counter("media", "Pictures and clips that were shown to the model", "kind")
        self.media_seconds = counter("media_seconds", "Seconds of clips that were shown to the model")
        self.decode_s = histogram("decode_seconds", "Reading one medium, from a cache or the file")
        for name, words, read in (
            ("requests_running", "Answers being made", lambda: queue()[0]),
            ("requests_waiting", "Requests that wait for their turn", lambda: queue()[1]),
        ):
            Gauge(f"valley_{name}", words, registry=registry).set_function(read)

    def answered(self, finish: Finish, *, first_s: float | int, total_s: float | int) -> None:
        """Count an answer that has ended."""
        usage = finish.usage
        self.prompt_tokens.inc(usage.prompt)
        self.visual_tokens.inc(usage.visual)
        self.cached_tokens.inc(usage.cached)
        self.completion_tokens.inc(usage.completion)
        self.request_s.observe(total_s)
        if usage.completion > 1 and total_s > first_s:
            self.tokens_per_s.observe((usage.completion - 1) / (total_s - first_s))
        for use in finish.media:
            self.media.labels(use.kind).inc()
            self.media_seconds.inc(use.duration_s)

    def watch_caches(self, backend: object) -> None:
        """Report an engine's caches, if it counts them."""
        if isinstance(backend, KeepsWork):
            self.registry.register(_Caches(backend))

    def text(self) -> bytes:
        """Give all of them as Prometheus reads them."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


class _Caches:
    """Reads an engine's counts whenever somebody asks."""

    def __init__(self, backend: KeepsWork) -> None:
        self._backend = backend

    def collect(self) -> Iterator[Metric]:
        """Yield hits, misses and bytes by cache."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        hits = CounterMetricFamily("valley_cache_hits", "What was kept and used again", labels=["cache"])
        misses = CounterMetricFamily("valley_cache_misses", "What was not kept", labels=["cache"])
        held = GaugeMetricFamily("valley_cache_bytes", "Memory of what is kept", labels=["cache"])
        for name, count in vars(self._backend.cache_stats()).items():
            hits.add_metric([name], count.hits)
            misses.add_metric([name], count.misses)
            held.add_metric([name], count.num_bytes)
        yield from (hits, misses, held)
