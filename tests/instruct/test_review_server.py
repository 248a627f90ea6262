"""The page's server over HTTP: who gets in, what is sent, what is kept."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from instruct.review_kit import CLOCK, TOKEN, Served, write_talks
from valley.cli import run
from valley.instruct.places import decisions_path
from valley.instruct.reviewing import Decisions
from valley.instruct.reviewing_server import MOST_BODY_BYTES

ODD = 6  # the conversation about odd files


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_talks(tmp_path_factory.mktemp("talks"))


@pytest.fixture
def served(shared: Path) -> Iterator[Served]:
    """The page of a file about which nothing is decided."""
    decisions_path(shared).unlink(missing_ok=True)
    with Served(shared) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, trust_env=False, timeout=20) as client:
        yield client


def decide(client: httpx.Client, number: int, state: str, *, seen: int = 0, **more: object) -> httpx.Response:
    return client.post(f"api/items/{number}/decision", json={"state": state, "seen": seen, **more})


# ---- who gets in ----


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/wrong/",
        "/wrong/api/items",
        f"/{TOKEN[:-1]}/api/items",
        f"/{TOKEN}x/media/0/0",
        "/é/api/items",
        "//api/items",
        "/docs",
        "/openapi.json",
    ],
)
def test_without_the_token_there_is_nothing(path: str, served: Served):
    assert httpx.get(served.root + path, trust_env=False).status_code == 404


def test_the_page_runs_its_own_script_alone_and_tells_nobody_its_address(client: httpx.Client):
    pages = [client.get("") for _ in range(2)]
    nonces = [page.text.partition('script nonce="')[2].partition('"')[0] for page in pages]
    assert len(set(nonces)) == 2
    policy = pages[0].headers["content-security-policy"]
    assert f"script-src 'nonce-{nonces[0]}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert pages[0].headers["referrer-policy"] == "no-referrer"
    assert "{nonce}" not in pages[0].text
    assert "http://" not in pages[0].text.replace("http://www.w3.org", "")
    assert "https://" not in pages[0].text


# ---- what is shown ----


def test_the_list_and_a_conversation_are_shown_with_what_was_known(client: httpx.Client):
    listed = client.get("api/items").json()
    assert (listed["file"], listed["by"], len(listed["items"])) == ("talks.jsonl", "ann", 7)
    assert listed["items"][1] == {
        "id": "talk-1",
        "task": "counting",
        "language": "en",
        "state": "open",
        "edited": False,
    }
    item = client.get("api/items/1").json()
    assert item["turns"][1] == {"question": "And then?", "answer": "It moves to the left."}
    assert item["media"] == [{"kind": "video", "name": "a.mp4", "start_s": 0.0, "end_s": 2.0}]
    assert [line["used"] for line in item["evidence"]] == [False, True]
    assert item["facts"] == {"source": "made", "licence": "CC0-1.0"}
    assert item["decision"]["state"] == "open"


@pytest.mark.parametrize(
    "path", ["api/items/7", "api/items/99999999999999999999", "api/items/-1", "api/items/x"]
)
def test_a_conversation_that_there_is_not(path: str, client: httpx.Client):
    assert client.get(path).status_code == 404
    assert client.post(path + "/decision", json={"state": "open", "seen": 0}).status_code == 404


# ---- media ----


def test_a_clip_is_sent_whole_and_in_parts(client: httpx.Client, shared: Path):
    content = (shared.parent / "a.mp4").read_bytes()
    whole = client.get("media/0/0")
    assert whole.content == content
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-security-policy"] == "default-src 'none'; sandbox"
    part = client.get("media/0/0", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    tail = client.get("media/0/0", headers={"range": "bytes=-5"})
    assert (tail.status_code, tail.content) == (206, content[-5:])
    beyond = client.get("media/0/0", headers={"range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416
    head = client.head("media/0/0")
    assert (int(head.headers["content-length"]), head.content) == (len(content), b"")


@pytest.mark.parametrize(
    ("which", "status"),
    [(0, 404), (1, 415), (2, 404), (3, 200), (4, 404)],
    ids=["gone", "no medium by its name", "a folder", "a picture", "one too many"],
)
def test_only_files_that_are_media_by_their_names_are_sent(which: int, status: int, client: httpx.Client):
    assert client.get(f"media/{ODD}/{which}").status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "media/0/notes.txt",
        "media/0/..%2f..%2fnotes.txt",
        "media/../notes.txt",
        "media/%2e%2e/%2e%2e/etc/passwd",
        "media/0/%2fetc%2fpasswd",
        "media//etc/passwd",
        "media/0/0/../../../notes.txt",
        "talks.jsonl",
        "..%2ftalks.jsonl",
    ],
)
def test_no_path_leads_to_a_file(path: str, served: Served):
    request = f"GET /{TOKEN}/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    host, port = served.root.removeprefix("http://").split(":")
    # as it stands: clients tidy paths up
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(request.encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]


# ---- decisions ----


def test_decisions_are_on_the_disk_when_they_are_answered(client: httpx.Client, shared: Path):
    answer = decide(client, 0, "accepted").json()
    assert answer["decision"] == {
        "state": "accepted",
        "reason": "",
        "by": "ann",
        "at": CLOCK,
        "edited": False,
        "number": 1,
    }
    assert decide(client, 1, "refused", reason=" not seen ").json()["decision"]["reason"] == "not seen"
    assert Decisions(decisions_path(shared)).number("talk-1") == 1
    assert [one["state"] for one in client.get("api/items").json()["items"][:3]] == [
        "accepted",
        "refused",
        "open",
    ]
    assert decide(client, 1, "open", seen=1).json()["decision"]["state"] == "open"


def test_mended_words_are_kept_and_shown_beside_those_that_were_written(client: httpx.Client):
    turns = [{"question": "Q", "answer": "A"}, {"question": "  And then? ", "answer": "It stays."}]
    assert decide(client, 0, "accepted", turns=turns).json()["decision"]["edited"]
    item = client.get("api/items/0").json()
    assert item["turns"] == [
        {"question": "Q", "answer": "A"},
        {"question": "And then?", "answer": "It stays."},
    ]
    assert item["written"][0]["question"] == "What is seen? (0)"
    back = decide(client, 0, "accepted", seen=1, turns=item["written"])
    assert not back.json()["decision"]["edited"]


def test_one_who_has_not_seen_the_last_decision_is_told_what_it_is(client: httpx.Client):
    decide(client, 0, "accepted")
    late = decide(client, 0, "refused", reason="x")
    assert late.status_code == 409
    assert late.json()["decision"]["state"] == "accepted"
    assert client.get("api/items/0").json()["decision"]["number"] == 1


def test_many_at_once_lose_nothing_and_one_of_those_about_the_same_wins(client: httpx.Client, shared: Path):
    def both(number: int) -> tuple[int, int]:
        own = decide(client, number % 6, "accepted").status_code
        return own, decide(client, ODD, "refused", reason=str(number)).status_code

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(both, range(24)))
    assert sorted(own for own, _ in answers) == [200] * 6 + [409] * 18
    assert sorted(other for _, other in answers) == [200] + [409] * 23
    kept = [json.loads(line) for line in decisions_path(shared).read_text(encoding="utf-8").splitlines()]
    assert len(kept) == 7
    winner = next(one for one in kept if one["state"] == "refused")
    assert client.get(f"api/items/{ODD}").json()["decision"]["reason"] == winner["reason"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "want a JSON object"),
        ({"state": "maybe", "seen": 0}, "state: want one of open, accepted, refused"),
        ({"state": ["accepted"], "seen": 0}, "state: want one of"),
        ({"state": "accepted"}, "seen: want"),
        ({"state": "accepted", "seen": True}, "seen: want"),
        ({"state": "refused", "seen": 0}, "why it is refused"),
        ({"state": "refused", "seen": 0, "reason": 5}, "reason: want words"),
        ({"state": "refused", "seen": 0, "reason": "x" * 20_001}, "reason: want words"),
        (
            {"state": "accepted", "seen": 0, "turns": [{"question": "Q", "answer": "A"}]},
            "turns: want a list of 2",
        ),
        ({"state": "accepted", "seen": 0, "turns": [{"question": "Q", "answer": " "}] * 2}, "every answer"),
        ({"state": "accepted", "seen": 0, "turns": ["Q", "A"]}, "every question"),
    ],
)
def test_what_is_no_decision_is_refused_and_not_kept(
    told: object, said: str, client: httpx.Client, shared: Path
):
    answer = client.post("api/items/0/decision", json=told)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert not decisions_path(shared).exists()


def test_a_body_that_is_no_json_or_too_large(client: httpx.Client):
    assert client.post("api/items/0/decision", content=b"{").status_code == 400
    assert client.post("api/items/0/decision", content=b"[" * 100_000).status_code == 400
    large = b'{"reason": "' + b"x" * MOST_BODY_BYTES + b'"}'
    assert client.post("api/items/0/decision", content=large).status_code == 413


def test_a_full_disk_is_told_and_decides_nothing(tmp_path: Path):
    talks = write_talks(tmp_path / "full", 1)
    decisions_path(talks).mkdir()  # nothing can be written there
    with Served(talks) as served, httpx.Client(base_url=served.address, trust_env=False) as client:
        answer = decide(client, 0, "accepted")
        assert answer.status_code == 507
        assert "could not be kept" in answer.json()["error"]
        assert client.get("api/items/0").json()["decision"]["state"] == "open"


# ---- valley instruct review ----


class Started:
    """The command in a process of its own."""

    def __init__(self, talks: Path, *more: str) -> None:
        words = [sys.executable, "-m", "valley", "instruct", "review", str(talks), "--by", "ann", *more]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = self.process.stdout.readline().strip()

    def end(self, with_signal: int) -> int:
        self.process.send_signal(with_signal)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_what_was_decided_outlives_kill_9_and_only_one_page_is_open_on_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    talks = write_talks(tmp_path / "killed")
    first = Started(talks)
    with httpx.Client(base_url=first.address, trust_env=False) as client:
        for number in range(5):
            assert decide(client, number, "accepted").status_code == 200
        assert run(["instruct", "review", str(talks)]) == 1
        assert "another page is open on this file" in capsys.readouterr().err
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    again = Started(talks)
    assert again.said == "7 conversations, 5 decided\n"
    assert first.address != again.address
    assert again.end(signal.SIGINT) in (0, 130)


def test_a_port_that_is_taken_is_told(served: Served, shared: Path, capsys: pytest.CaptureFixture[str]):
    port = served.root.rpartition(":")[2]
    assert run(["instruct", "review", str(shared), "--port", port]) == 1
    assert f"port {port}" in capsys.readouterr().err
