"""`valley collect` as a user types it."""

import json
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from collection.collected import digests, make_clips, same_time
from valley.cli import run
from valley.cli.collecting import progress_line
from valley.collection.pipeline import Progress

FREE = (
    "triage.fewest_pixels=null",
    "triage.most_static_ratio=null",
    "keep_free_mb=0",
    "captions.phrases=chunks",
)
PLAIN = (*FREE, "near_duplicate_distance=null", "--executor", "inline")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return make_clips(tmp_path_factory.mktemp("videos") / "clips", 4)


@pytest.fixture(scope="module")
def corpus(clips, tmp_path_factory) -> Path:
    corpus = tmp_path_factory.mktemp("made") / "corpus"
    assert run(["collect", "folder", str(clips), "-o", str(corpus), "--licence", "CC0-1.0", *PLAIN]) == 0
    return corpus


def said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_plan_counts_and_writes_nothing(clips, tmp_path, capsys):
    (clips / "gone.txt").write_text("words without a clip")
    words = ["collect", "folder", str(clips), "--plan", "--licence", "CC0-1.0", "-o", str(tmp_path / "no")]
    assert run([*words, "--json", *FREE]) == 0
    plan = said(capsys)
    assert (plan["num_items"], plan["num_media"], plan["num_urls"], plan["num_done"]) == (4, 4, 0, 0)
    assert plan["size_bytes"] == sum(path.stat().st_size for path in clips.glob("*.mp4"))
    assert plan["licences"] == {"CC0-1.0": 4}
    assert plan["languages"] == {"en": 4}
    assert not (tmp_path / "no").exists()
    assert run([*words, *FREE]) == 0
    assert "nothing was fetched or written" in capsys.readouterr().out
    (clips / "gone.txt").unlink()


def test_a_plan_downloads_nothing(tmp_path, capsys):
    table = "url,caption,licence\nhttps://clips.invalid/a.mp4,A dog runs over a field.,CC0-1.0\n"
    (tmp_path / "links.csv").write_text(table)
    assert run(["collect", "urls", str(tmp_path / "links.csv"), "--plan", "--json"]) == 0
    plan = said(capsys)
    assert (plan["num_items"], plan["num_urls"], plan["licences"]) == (1, 1, {"CC0-1.0": 1})


def test_a_plan_says_what_would_be_refused_and_why(clips, corpus, tmp_path, capsys):
    rows = ["0000.mp4,www.example.org", "none.mp4,A dog runs over a field."]
    (tmp_path / "table.csv").write_text("path,caption\n" + "\n".join(rows) + "\n")
    table = ["folder", str(tmp_path / "table.csv"), "--media-root", str(clips)]
    assert run(["collect", *table, "--plan", "--json"]) == 0
    plan = said(capsys)
    assert sum(plan["refused_items"].values()) == 1
    assert sum(plan["refused_texts"].values()) == 1
    words = [
        "collect",
        "folder",
        str(clips),
        "--plan",
        "-o",
        str(corpus),
        "--json",
        "triage.fewest_pixels=96",
    ]
    assert run(words) == 0
    plan = said(capsys)
    assert plan["refused_items"] == {"too_few_pixels": 4}  # an earlier run has seen how large they are


def test_refused_media_are_exit_code_2(clips, tmp_path, capsys):
    words = ["collect", "folder", str(clips), "-o", str(tmp_path), "--executor", "inline", "keep_free_mb=0"]
    assert run([*words, "--json"]) == 2
    assert said(capsys)["quarantined"] == {"too_few_pixels": 4}


def test_the_commands_about_a_collection(clips, corpus, tmp_path, capsys):
    assert run(["collect", "verify", str(corpus), "--json"]) == 0
    assert said(capsys)["findings"] == []
    assert run(["collect", "report", str(corpus), "-o", str(tmp_path / "report.html")]) == 0
    assert "CC0-1.0" in (tmp_path / "report.html").read_text()
    assert run(["collect", "export", str(corpus), "--to", "jsonl", "-o", str(tmp_path / "out.jsonl")]) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    assert run(["collect", "retry", str(corpus), "--reason", "timeout"]) == 1
    assert "no fault has the reason timeout; there are: none at all" in capsys.readouterr().err


def test_verify_lists_what_is_wrong(clips, tmp_path, capsys):
    corpus = tmp_path / "corpus"
    assert run(["collect", "folder", str(clips), "-o", str(corpus), "--copy", *PLAIN]) == 0
    capsys.readouterr()
    next((corpus / "blobs").rglob("*.mp4")).unlink()
    assert run(["collect", "verify", str(corpus)]) == 1
    assert "missing: there is no such file" in capsys.readouterr().out


def test_what_is_allowed_is_recorded_and_holds_for_exports(clips, tmp_path, capsys):
    corpus, out = tmp_path / "corpus", tmp_path / "out.jsonl"
    words = ["collect", "folder", str(clips), "-o", str(corpus), *PLAIN]
    assert run(words) == 0
    assert "4 media have no known licence" in capsys.readouterr().out
    assert run(["collect", "export", str(corpus), "--to", "jsonl", "-o", str(out)]) == 0
    assert out.read_text() == ""
    assert run([*words, "--allow-unknown-licence"]) == 0
    assert run(["collect", "export", str(corpus), "--to", "jsonl", "-o", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 4


def test_a_recipe(clips, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"sources: [{{source: folder, path: {clips}, licence: CC0-1.0}}]\nout: {tmp_path}/corpus\n"
    )
    assert run(["collect", str(recipe), *PLAIN, "--json"]) == 0
    assert said(capsys)["num_media"] == 4
    assert run(["collect", str(recipe), "--licence", "MIT"]) == 1
    assert "give sources.0.licence=... instead" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["foldr", "x"], "did you mean 'folder'"),
        (["reprot", "x"], "did you mean 'report'"),
        (["nothing.yaml"], "there is no such recipe"),
        (["folder"], "want a file or folder for the source folder"),
        (["folder", "."], "want a folder to collect into"),
        (["folder", ".", "-o", "x", "--shard", "2/2"], "want a shard i/n with 0 <= i < n, got 2/2"),
        (["folder", ".", "-o", "x", "--shard", "one"], "want i/n such as 0/4, got 'one'"),
        (["folder", ".", "-o", "x", "--set", "table"], "--set: want name=value, got 'table'"),
        (["folder", ".", "-o", "x", "--executor", "pol"], "did you mean 'pool'"),
        (["folder", ".", "-o", "x", "--address", "auto"], "take the executor ray"),
        (["folder", ".", "-o", "x", "captions.balnce=true"], "captions.balnce"),
        (["folder", ".", "-o", "x", "--licence-evidence", "a page"], "want a licence as well"),
        (["verify", "."], "want a collection with collection.json"),
        (["retry", "."], "want a collection with collection.json"),
    ],
)
def test_a_wrong_word_says_what_was_wanted(words, error, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["collect", *words]) == 1
    assert error in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def host(clips):
    """Serve the clips from this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(clips))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_urls_are_fetched_from_where_it_is_allowed(host, tmp_path, capsys):
    rows = "".join(f"{host}/{n:04d}.mp4,A dog runs over a field.,CC0-1.0\n" for n in (0, 1, 7))
    (tmp_path / "links.csv").write_text("url,caption,licence\n" + rows)
    words = ["collect", "urls", str(tmp_path / "links.csv"), *PLAIN, "fetch.max_attempts=1", "--json"]
    assert run([*words, "-o", str(tmp_path / "refused")]) == 2
    assert said(capsys)["quarantined"] == {"private_address": 3}
    allowed = [*words, "-o", str(tmp_path / "corpus"), "--allow-private-addresses"]
    assert run(allowed) == 2
    made = said(capsys)
    assert (made["num_media"], made["num_fetched"], made["quarantined"]) == (2, 3, {"not_found": 1})
    assert run(allowed) == 2
    again = said(capsys)
    assert (again["num_media"], again["num_fetched"], again["num_known"]) == (2, 0, 3)
    assert run(["collect", "verify", str(tmp_path / "corpus")]) == 0


def test_progress_tells_rate_refusals_and_time_left():
    progress = Progress(num_known=10, num_done=20, num_fetched=4, reasons=Counter(timeout=2))
    line = progress_line(progress, 60, 4.0)
    assert line == "30/60 media  4 fetched  2 refused  5.0/s  0:06.0 left"
    assert progress_line(progress, None, 4.0) == "30 media  4 fetched  2 refused  5.0/s"


@pytest.mark.slow
def test_ray_pool_and_inline_write_the_same_bytes(clips, tmp_path):
    pytest.importorskip("ray")
    made = {}
    for executor in ("inline", "pool", "ray"):
        corpus = tmp_path / executor
        if made:
            same_time(tmp_path / "inline", corpus)
        words = ["collect", "folder", str(clips), "-o", str(corpus), *PLAIN[:-1], executor, "--workers", "2"]
        command = [sys.executable, "-m", "valley", *words]  # Ray warns, and a process of its own may
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        made[executor] = digests(corpus)
    assert made["ray"] == made["pool"] == made["inline"]


GUARDED = """
import socket, sys
def refuse(*words, **named):
    raise AssertionError("the network is used")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from valley.cli import run
code = run(sys.argv[1:])
print("models:", *sorted({"torch", "transformers"} & set(sys.modules)))
sys.exit(code)
"""


def test_collecting_imports_no_model_stack_and_uses_no_network(clips, tmp_path):
    words = ["collect", "folder", str(clips), "-o", str(tmp_path / "corpus"), *FREE, "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", GUARDED, *words], capture_output=True, text=True)
    assert done.returncode in (0, 2), done.stderr
    assert done.stdout.splitlines()[-1] == "models:"
