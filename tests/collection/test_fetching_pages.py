"""Sections of videos on pages: yt-dlp is a small program here that does what its name says in the address."""

import json
import shutil
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest

from collection.fault_server import FaultServer, until
from collection.fetching_kit import fetch_one, files_in, make_fetcher
from valley.collection.downloading.asking import FetchRequest
from valley.collection.downloading.page_video import parse_section, section_url
from valley.collection.executor import RefusedError
from valley.errors import ConfigError, MissingExtraError

FAKE = """#!{python}
import json, os, subprocess, sys, time
from pathlib import Path
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + chr(10))
if "--version" in arguments:
    print({version!r})
    sys.exit()
page = arguments[-1]
assert arguments[-2] == "--"
out = Path(arguments[arguments.index("--output") + 1].replace("%(ext)s", "mp4"))
assert not list(out.parent.glob("medium.*"))
if "hang" in page:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path({log!r} + ".pids").write_text(f"{{os.getpid()}} {{child.pid}}")
    time.sleep(600)
if "large" in page:
    with out.open("wb") as file:
        while True:
            file.write(bytes(100_000))
            file.flush()
            time.sleep(0.001)
if "fail" in page:
    print("WARNING: ignored")
    words = page.partition("fail=")[2].replace("+", " ")
    print(f"ERROR: [site] 17: {{words}} http://ann:cret@h/", file=sys.stderr)
    sys.exit(1)
if "nothing" not in page:
    out.write_bytes(b"\\0\\0\\0\\x18ftypisom" + bytes(1000))
out.with_name("medium.mp4.part").write_bytes(b"left over")
info = {{"title": " A cat" + chr(0xD83D), "upload_date": " ", "license": "CC BY", "formats": [1]}}
info |= {{"uploader": "Ann", "webpage_url": page}}
out.with_name("medium.info.json").write_text("{{torn" if "torn" in page else json.dumps(info))
"""


class Program:
    def __init__(self, folder, version="2025.12.08"):
        folder.mkdir()
        self.path = folder / "yt-dlp"
        self.log = folder / "log"
        self.path.write_text(FAKE.format(python=sys.executable, log=str(self.log), version=version))
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def calls(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if "--version" not in line]


@pytest.fixture
def program(tmp_path, monkeypatch):
    made = Program(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(made.path.parent))
    return made


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def corpus(tmp_path):
    return tmp_path / "corpus"


def page(words=""):
    return section_url(f"https://media.test/watch?v=17{words}", 12.5, 20)


def test_a_section_is_fetched_and_what_the_site_says_comes_with_it(program, server, corpus):
    outcome = fetch_one(corpus, server, page())
    record = outcome.record
    assert record["path"].endswith(".mp4")
    assert record["final_url"] == "https://media.test/watch?v=17"
    assert record["found"] == {
        "title": "A cat?",
        "licence": "CC BY",
        "uploader": "Ann",
        "page_url": "https://media.test/watch?v=17",
        "fetched_by": "yt-dlp 2025.12.08",
    }
    assert files_in(corpus) == [record["path"], "partial/fetched.jsonl"]
    [arguments] = program.calls()
    assert arguments[arguments.index("--download-sections") + 1] == "*12.500-20.000"
    assert {"--ignore-config", "--no-plugin-dirs", "--no-playlist", "--force-keyframes-at-cuts"} < set(
        arguments
    )
    assert fetch_one(corpus, server, page()).record == record
    assert len(program.calls()) == 1


def test_words_that_look_like_options_or_commands_stay_words(program, server, corpus, tmp_path):
    evil = section_url("https://media.test/;touch${IFS}x$(touch y)`touch z`", 0, 1)
    assert fetch_one(corpus, server, evil).record
    assert program.calls()[0][-2:] == ["--", "https://media.test/;touch${IFS}x$(touch y)`touch z`"]
    assert not {"x", "y", "z"} & {p.name for p in tmp_path.rglob("*")}


@pytest.mark.parametrize(
    ("words", "reason", "attempts"),
    [
        ("Video+unavailable", "gone", 1),
        ("Private+video.+Sign+in+if", "forbidden", 1),
        ("Unsupported+URL:", "unsupported_page", 1),
        ("HTTP+Error+429:+Too+Many", "rate_limited", 5),
        ("Unable+to+download+webpage", "unreachable", 5),
        ("something+new", "ytdlp_failed", 2),
    ],
)
def test_what_it_says_is_a_reason(program, server, corpus, words, reason, attempts):
    outcome = fetch_one(corpus, server, page(f"&fail={words}"))
    assert (outcome.reason, outcome.attempts, outcome.number) == (reason, attempts, 1)
    assert len(program.calls()) == attempts
    assert words.replace("+", " ") in outcome.detail
    assert "cret" not in outcome.detail
    assert files_in(corpus) in ([], ["partial/fetched.jsonl"])


def test_no_file_is_a_fault_and_a_torn_note_is_none(program, server, corpus):
    assert fetch_one(corpus, server, page("nothing")).reason == "ytdlp_failed"
    assert fetch_one(corpus, server, page("torn")).record["found"] == {"fetched_by": "yt-dlp 2025.12.08"}


def test_one_that_takes_too_long_is_ended_with_what_it_started(program, server, corpus):
    outcome = fetch_one(corpus, server, page("hang"), timeout_s=1.0, max_attempts=1)
    assert (outcome.reason, outcome.number) == ("timeout", 1.0)
    pids = program.log.with_name("log.pids").read_text().split()
    assert len(pids) == 2
    until(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_that_fills_the_disk_is_ended(program, server, corpus):
    outcome = fetch_one(corpus, server, page("large"), max_bytes=300_000)
    assert (outcome.reason, outcome.attempts) == ("too_large", 1)
    assert outcome.number > 600_000
    assert files_in(corpus) == []


def test_one_that_is_under_way_ends_when_the_fetcher_is_stopped(program, server, corpus):
    fetcher = make_fetcher(corpus, server)

    def stop():
        until(lambda: program.log.with_name("log.pids").exists())
        fetcher.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    assert list(fetcher.fetch_all([FetchRequest("a", page("hang"))])) == []
    thread.join()


def test_a_page_in_the_own_network_is_not_handed_on(program, server, corpus):
    outcome = fetch_one(corpus, server, section_url("http://localhost/watch", 0, 1))
    assert outcome.reason == "private_address"
    assert program.calls() == []


@pytest.mark.parametrize(
    "url",
    [
        "ytdlp:",
        "ytdlp:1-2:http://a/",
        "ytdlp:2.000-1.000:http://a/",
        "ytdlp:0.000-1.000:",
        "ytdlp:0.000-1.000:-exec",
    ],
)
def test_other_words_are_no_section(program, server, corpus, url):
    assert fetch_one(corpus, server, url).reason in ("bad_url", "unsupported_scheme")
    assert program.calls() == []


def test_an_old_or_absent_program_stops_everything(server, corpus, tmp_path, monkeypatch):
    old = Program(tmp_path / "old", version="2025.11.11")
    with pytest.raises(ConfigError, match=r"want yt-dlp 2025\.11\.12 or later, got 2025\.11\.11"):
        fetch_one(corpus, server, page(), ytdlp=str(old.path))
    with pytest.raises(MissingExtraError, match=r"valley-vl\[ytdlp\]"):
        fetch_one(corpus, server, page(), ytdlp="yt-dlp-that-is-not-there")


def test_the_program_itself_understands_what_it_is_told(corpus, server):
    if shutil.which("yt-dlp", path=Path(sys.executable).parent) is None:
        pytest.skip("wants the extra ytdlp")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = section_url(f"http://127.0.0.1:{port}/a", 1, 2)
    outcome = fetch_one(corpus, server, url, allow_private_addresses=True, max_attempts=1)
    assert outcome.reason == "unreachable", outcome.detail


def test_a_section_has_a_name_that_can_be_read_again():
    url = section_url("https://a.example/v?x=1#t=5", 0, 3600)
    assert url == "ytdlp:0.000-3600.000:https://a.example/v?x=1#t=5"
    assert parse_section(url).page == "https://a.example/v?x=1#t=5"
    with pytest.raises(RefusedError) as caught:
        parse_section("ytdlp:x:http://ann:cret@a/")
    assert "cret" not in str(caught.value)
