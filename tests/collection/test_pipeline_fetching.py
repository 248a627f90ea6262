"""Media that are fetched: looked at while others come, once each, and their faults told."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from collection.collected import digests, make_clips, rows, run, same_time, settings
from collection.pipeline_tasks import glance
from valley.collection.executor import EXECUTORS, Outcome
from valley.collection.fetching import FetchRequest
from valley.collection.looking import hash_file
from valley.collection.pipeline import Running, collect, retry
from valley.errors import ConfigError
from valley.manifest import read_clips

URL = "https://clips.example/"


class LocalFetcher:
    """Takes files from a folder instead of the network; what is not there is not found."""

    def __init__(self, clips: Path, corpus: Path, asked: list[str]) -> None:
        self.clips, self.corpus, self.asked = clips, corpus, asked

    def fetch_all(self, requests) -> Iterator[Outcome]:
        for request in requests:
            self.asked.append(request.url)
            yield self._fetch(request)

    def _fetch(self, request: FetchRequest) -> Outcome:
        file = self.clips / request.url.removeprefix(URL)
        if not file.exists():
            return Outcome(request.key, None, "not_found", "the host has no such medium", 404)
        size_bytes = file.stat().st_size
        sha256 = hash_file(str(file), size_bytes=size_bytes)
        blob = self.corpus / "blobs" / sha256[:2] / f"{sha256}.mp4"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(file.read_bytes())
        uri = blob.relative_to(self.corpus).as_posix()
        found = {
            "found": {"title": "A title", "licence": "CC BY 4.0", "uploader": "Somebody", "page_url": URL}
        }
        record = {"sha256": sha256, "path": uri, "size_bytes": size_bytes}
        return Outcome(request.key, record | (found if file.stem == "0002" else {}))

    def stop(self) -> None:
        return None


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    folder = make_clips(tmp_path_factory.mktemp("videos") / "clips", 3)
    (folder / "again.mp4").write_bytes((folder / "0000.mp4").read_bytes())
    return folder


@pytest.fixture
def links(tmp_path) -> Path:
    names = ("0000", "0001", "0002", "again", "missing", "0001")
    lines = [f"{URL}{name}.mp4,A dog runs over field {n}.\n" for n, name in enumerate(names)]
    path = tmp_path / "links.csv"
    path.write_text("url,caption\n" + "".join(lines))
    return path


def asking(links: Path):
    return settings(links, about={"source": "urls", "licence": "unknown"})


def running(clips: Path, asked: list[str], **more) -> Running:
    def make_fetcher(corpus, limits):
        return LocalFetcher(clips, corpus, asked)

    task = "collection.pipeline_tasks:glance"
    return Running(EXECUTORS.get("inline"), task=task, make_fetcher=make_fetcher, **more)


def test_urls_become_media_and_missing_ones_faults(clips, links, tmp_path):
    asked: list[str] = []
    result = collect(asking(links), tmp_path / "corpus", running(clips, asked))
    assert sorted(asked) == [f"{URL}{name}.mp4" for name in ("0000", "0001", "0002", "again", "missing")]
    assert result.summary is not None
    assert result.summary.num_items == 6
    assert result.summary.num_media == 3  # "again" has the bytes of another
    assert result.progress.num_done == 3
    (fault,) = rows(tmp_path / "corpus", "quarantine")
    assert (fault["stage"], fault["key"], fault["reason"]) == ("fetch", f"{URL}missing.mp4", "not_found")
    assert fault["number"] == 404
    words = {row["text"] for row in rows(tmp_path / "corpus", "text") if row["kind"] == "caption"}
    assert words == {f"A dog runs over field {n}." for n in (0, 1, 2, 3, 5)}


def test_what_a_site_says_goes_with_the_medium(clips, links, tmp_path):
    collect(asking(links), tmp_path / "corpus", running(clips, []))
    (clip,) = read_clips(tmp_path / "corpus")  # the others have no licence
    assert (clip.licence, clip.licence_evidence, clip.attribution) == ("CC-BY-4.0", URL, "Somebody")
    assert {text.kind: text.text for text in clip.texts}["title"] == "A title"


def test_nothing_is_fetched_twice_and_a_retry_asks_for_what_failed(clips, links, tmp_path):
    asked: list[str] = []
    corpus = tmp_path / "corpus"
    collect(asking(links), corpus, running(clips, asked))
    before = digests(corpus)
    asked.clear()
    collect(asking(links), corpus, running(clips, asked))
    assert asked == []
    assert digests(corpus) == before
    retry(corpus, running(clips, asked, retry_reasons=frozenset({"not_found"})))
    assert asked == [f"{URL}missing.mp4"]


def test_fetched_and_not_looked_at_is_looked_at_later(clips, links, tmp_path):
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    collect(asking(links), through, running(clips, []))
    same_time(through, stopped)

    class StopError(Exception):
        pass

    def stop_after_one(progress):
        if progress.num_done:
            raise StopError

    with pytest.raises(StopError):
        collect(asking(links), stopped, running(clips, [], on_progress=stop_after_one))
    asked: list[str] = []
    collect(asking(links), stopped, running(clips, asked))
    assert digests(stopped) == digests(through)


def test_the_first_look_does_not_wait_for_the_last_fetch(clips, links, tmp_path):
    first_look = threading.Event()

    class Waiting(LocalFetcher):
        def fetch_all(self, requests):
            for outcome in super().fetch_all(requests):
                yield outcome
                if len(self.asked) == 2:
                    assert first_look.wait(30), "nothing was looked at while the rest is being fetched"

    class Telling:
        name = "telling"

        def run(self, task, jobs, *, num_workers):
            for job in jobs:
                record = glance(**job.arguments)
                first_look.set()
                yield Outcome(job.key, record)

        def configured(self, *, address="", max_memory_bytes=0):
            return self

    way = Running(Telling(), make_fetcher=lambda corpus, limits: Waiting(clips, corpus, []))
    result = collect(asking(links), tmp_path / "corpus", way)
    assert result.summary is not None
    assert result.summary.num_media == 3


def test_an_error_of_a_source_ends_the_run(clips, tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        run(settings(tmp_path / "nowhere.csv"), tmp_path / "corpus")
