"""A server says whose answers it gives, and nothing of where that lies."""

from __future__ import annotations

import json
import shutil
import threading

import httpx
import pytest

from serving.serving_kit import DEADLINE_S, Counting, serve, until, words
from valley.errors import BackendError
from valley.evaluation.judge import revision_of
from valley.inference.backends.openai import OpenAIBackend
from valley.inference.opening import open_backend
from valley.serving.identity import without_places


class Slow(Counting):
    """Takes its time to say who it is, and may fail to."""

    def __init__(self) -> None:
        super().__init__()
        self.num_asked = 0
        self.told = threading.Event()
        self.fault: Exception | None = None

    def identity(self):
        self.num_asked += 1
        assert self.told.wait(DEADLINE_S)
        if self.fault is not None:
            raise self.fault
        return {**super().identity(), "weights": ["1c"], "place": "/srv/models/secret/it.bin"}


def listed(server):
    return httpx.get(f"{server.base_url}/models", timeout=DEADLINE_S).json()["data"][0]


def described(server):
    return httpx.get(f"{server.base_url}/models/counting", timeout=DEADLINE_S).json()


def test_it_is_asked_once_and_nobody_waits_who_only_lists(tmp_path, monkeypatch):
    monkeypatch.setattr("valley.serving.routes.LISTED_WITHIN_S", 0.05)
    engine = Slow()
    with serve(engine, tmp_path / "spool") as server:
        try:
            assert listed(server)["identity"] is None
            assert server.post(words()).status_code == 200
        finally:
            engine.told.set()
        until(lambda: listed(server)["identity"] is not None)
        known = {"engine": "counting", "model": "counting", "weights": ["1c"], "place": "it.bin"}
        assert listed(server)["identity"] == described(server)["identity"] == known
    assert engine.num_asked == 1


def test_who_describes_waits(tmp_path):
    engine = Slow()
    with serve(engine, tmp_path / "spool") as server:
        found = []
        asking = threading.Thread(target=lambda: found.append(described(server)["identity"]["weights"]))
        asking.start()
        until(lambda: engine.num_asked == 1)
        assert not found
        engine.told.set()
        asking.join(DEADLINE_S)
        assert found == [["1c"]]


@pytest.mark.parametrize("fault", [BackendError("away"), FileNotFoundError("gone")])
def test_an_engine_that_cannot_say_is_asked_again(tmp_path, fault):
    engine = Slow()
    engine.told.set()
    engine.fault = fault
    with serve(engine, tmp_path / "spool") as server:
        assert described(server)["identity"] is None
        engine.fault = None
        assert described(server)["identity"]["weights"] == ["1c"]


def test_a_client_is_told_the_weights_and_no_path(tmp_path, tiny_checkpoint):
    folder = tmp_path / "hidden" / "tiny"
    shutil.copytree(tiny_checkpoint, folder)
    here = open_backend(str(folder))
    with serve(here, tmp_path / "spool") as server:
        there = OpenAIBackend.connect(server.base_url)
        told = there.identity()
        there.close()
    mine = here.identity()
    assert told["server_identity"] == json.loads(json.dumps(mine))
    assert "hidden" not in json.dumps(told)
    assert revision_of(told) == revision_of(mine)


def test_a_server_behind_the_server_is_not_named(tmp_path):
    engine = Slow()
    engine.told.set()
    with serve(engine, tmp_path / "a") as behind:
        middle = OpenAIBackend.connect(behind.base_url)
        with serve(middle, tmp_path / "b") as front:
            told = described(front)["identity"]
        assert told["server_identity"]["weights"] == ["1c"]
        assert behind.url not in json.dumps(told)


def test_paths_are_cut_to_their_names():
    said = {"a": "/srv/x/y", "b": ["~/m", "file:///z/q.bin"], "c": {"d": "C:\\models\\w.bin", "server": "u"}}
    assert without_places(said) == {"a": "y", "b": ["m", "q.bin"], "c": {"d": "w.bin"}}
    kept = {"a": "owner/name", "b": "/", "c": 1, "d": None, "e": "words with a / in them"}
    assert without_places(kept) == kept
