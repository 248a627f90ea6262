"""Fetching against a real server that fails in all the ways in which servers fail."""

import errno
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from collection.fault_server import (
    PUBLIC,
    FaultServer,
    broken,
    chunked,
    raw,
    redirect,
    serve,
    stalling,
    status,
    until,
)
from collection.fetching_kit import Clock, Network, fetch, fetch_one, files_in, make_fetcher
from valley.collection.downloading.asking import FetchRequest
from valley.collection.downloading.partial import Notes, Partial

CLIP = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + random.Random(7).randbytes(300_000)
SUM = hashlib.sha256(CLIP).hexdigest()
BLOB = f"blobs/{SUM[:2]}/{SUM}.mp4"
URL = "http://media.test/a"
JOURNAL = "partial/fetched.jsonl"


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


def assert_whole(corpus, outcome, data=CLIP):
    assert outcome.reason == ""
    assert outcome.record["sha256"] == hashlib.sha256(data).hexdigest()
    assert outcome.record["size_bytes"] == len(data)
    assert (corpus / outcome.record["path"]).read_bytes() == data
    assert files_in(corpus) == sorted([outcome.record["path"], JOURNAL])


def part_of(corpus, key=URL):
    with Partial(corpus / "partial", key) as part:
        return part


def test_a_medium_lies_under_its_hash_and_a_suffix_told_from_its_bytes(server, tmp_path):
    server.replies["/a.php?id=3"] = [serve(CLIP, Content_Type="application/octet-stream")]
    outcome = fetch_one(tmp_path, server, "http://media.test/a.php?id=3")
    assert outcome.record == {
        "sha256": SUM,
        "path": BLOB,
        "size_bytes": len(CLIP),
        "content_type": "application/octet-stream",
        "final_url": "http://media.test/a.php?id=3",
    }
    assert outcome.attempts == 1
    assert_whole(tmp_path, outcome)
    [headers] = server.asked("/a.php?id=3")
    assert headers["host"] == "media.test"
    assert headers["accept-encoding"] == "identity"
    assert "range" not in headers


@pytest.mark.parametrize(("value", "wanted_s"), [("7", 7), ("100000", 300), ("nonsense", 0.5)])
def test_a_host_that_asks_for_a_pause_gets_it_up_to_a_bound(server, tmp_path, value, wanted_s):
    server.replies["/a"] = [status(429, Retry_After=value), serve(CLIP)]
    clock = Clock()
    outcome = fetch_one(tmp_path, server, URL, clock=clock)
    assert outcome.attempts == 2
    assert sum(clock.waits_s) == pytest.approx(wanted_s, abs=0.01)
    assert_whole(tmp_path, outcome)


def test_a_pause_may_be_a_date_by_the_clock_of_the_host(server, tmp_path):
    theirs = datetime(2001, 1, 1, tzinfo=timezone.utc)
    until_date = format_datetime(theirs + timedelta(seconds=42), usegmt=True)
    server.replies["/a"] = [
        status(503, Retry_After=until_date, Date=format_datetime(theirs, usegmt=True)),
        serve(CLIP),
    ]
    clock = Clock()
    assert fetch_one(tmp_path, server, URL, clock=clock).attempts == 2
    assert sum(clock.waits_s) == pytest.approx(42, abs=0.01)


def test_a_pause_holds_for_the_whole_host_and_for_no_other(server, tmp_path):
    server.replies["/a"] = [status(429, Retry_After="30"), serve(CLIP)]
    server.replies["/b"] = [serve(CLIP + b"b")]
    server.replies["/c"] = [serve(CLIP + b"c")]
    clock = Clock()
    urls = [URL, "http://media.test/b", "http://other.test/c"]
    order = [
        outcome.key
        for outcome in make_fetcher(tmp_path, server, clock=clock, num_connections_per_host=1).fetch_all(
            FetchRequest(url, url) for url in urls
        )
    ]
    assert order[0] == "http://other.test/c"
    assert set(order[1:]) == {URL, "http://media.test/b"}
    assert sum(clock.waits_s) == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize(
    ("code", "reason", "num_asked"),
    [
        (404, "not_found", 1),
        (410, "gone", 1),
        (401, "forbidden", 1),
        (403, "forbidden", 1),
        (451, "forbidden", 1),
        (418, "http_error", 1),
        (204, "http_error", 1),
        (304, "http_error", 1),
        (429, "rate_limited", 5),
        (500, "server_error", 5),
        (503, "server_error", 5),
    ],
)
def test_a_status_is_a_reason_with_its_number(server, tmp_path, code, reason, num_asked):
    server.replies["/a"] = (
        [status(code)] if code not in (204, 304) else [raw(b"HTTP/1.1 %d no\r\n\r\n" % code)]
    )
    clock = Clock()
    outcome = fetch_one(tmp_path, server, URL, clock=clock)
    assert (outcome.record, outcome.reason, outcome.number) == (None, reason, code)
    assert outcome.attempts == len(server.asked("/a")) == num_asked
    assert clock.waits_s == pytest.approx([0.5, 1, 2, 4][: num_asked - 1], abs=0.01)
    assert not (tmp_path / "blobs").exists()


def test_the_rest_of_a_body_that_ended_too_soon_is_asked_for(server, tmp_path):
    server.replies["/a"] = [broken(CLIP, 100_000), serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL)
    assert_whole(tmp_path, outcome)
    assert outcome.attempts == 2
    headers = server.asked("/a")[1]
    assert headers["range"] == "bytes=100000-"
    assert headers["if-range"] == '"1"'
    assert server.sent_bytes["/a"] == len(CLIP)


def test_the_rest_of_a_body_whose_connection_was_reset_is_asked_for(server, tmp_path):
    some = list((tmp_path / "partial").glob("*.part"))

    def has_come():
        some[:] = (tmp_path / "partial").glob("*.part")
        return bool(some) and some[0].stat().st_size >= 100_000

    server.replies["/a"] = [broken(CLIP, 150_000, resets=True, when=has_come), serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL)
    assert_whole(tmp_path, outcome)
    start = int(server.asked("/a")[1]["range"].removeprefix("bytes=").removesuffix("-"))
    assert 100_000 <= start <= 150_000
    assert server.sent_bytes["/a"] == 150_000 + len(CLIP) - start


def test_a_body_that_never_comes_whole_has_the_wrong_length(server, tmp_path):
    server.replies["/a"] = [broken(CLIP, 1000, etag="")]
    outcome = fetch_one(tmp_path, server, URL)
    assert (outcome.reason, outcome.number, outcome.attempts) == ("wrong_length", 1000, 5)
    assert all("range" not in headers for headers in server.asked("/a"))


def test_a_host_that_knows_no_ranges_begins_anew(server, tmp_path):
    server.replies["/a"] = [broken(CLIP, 100_000), serve(CLIP, knows_ranges=False)]
    assert_whole(tmp_path, fetch_one(tmp_path, server, URL))
    assert server.sent_bytes["/a"] == 100_000 + len(CLIP)


def test_two_versions_are_never_mixed(server, tmp_path):
    newer = CLIP[::-1]
    server.replies["/a"] = [broken(CLIP, 100_000), serve(newer, etag='"2"', Content_Type="video/x")]
    assert_whole(tmp_path, fetch_one(tmp_path, server, URL), newer)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 206 so\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nwrong",
        b"HTTP/1.1 206 so\r\nContent-Length: 5\r\n\r\nwrong",
        b"HTTP/1.1 206 so\r\nContent-Range: bytes 100000-100004/100005\r\nContent-Length: 5\r\n\r\nwrong",
        b"HTTP/1.1 416 so\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_another_part_than_was_asked_for_is_thrown_away(server, tmp_path, answer):
    server.replies["/a"] = [broken(CLIP, 100_000), raw(answer), serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL)
    assert outcome.attempts == 3
    assert "range" not in server.asked("/a")[2]
    assert_whole(tmp_path, outcome)


@pytest.mark.parametrize("etag", ['W/"1"', '"ü"', ""])
def test_what_does_not_tell_versions_apart_is_not_relied_on(server, tmp_path, etag):
    server.replies["/a"] = [broken(CLIP, 100_000, etag=etag), serve(CLIP)]
    assert_whole(tmp_path, fetch_one(tmp_path, server, URL))
    assert "range" not in server.asked("/a")[1]


def test_a_drip_is_stopped(server, tmp_path):
    server.replies["/a"] = [chunked([CLIP[i : i + 1] for i in range(3000)])]
    clock = Clock(tick_s=0.5)
    outcome = fetch_one(tmp_path, server, URL, clock=clock, timeout_s=1e6)
    assert outcome.reason == "too_slow"
    assert 0 < outcome.number < 1024
    assert outcome.attempts == 3


def test_a_try_has_an_end(server, tmp_path):
    server.replies["/a"] = [chunked([CLIP[i : i + 1] for i in range(3000)])]
    clock = Clock(tick_s=0.5)
    outcome = fetch_one(tmp_path, server, URL, clock=clock, timeout_s=30, least_bytes_per_s=0, max_attempts=2)
    assert (outcome.reason, outcome.attempts) == ("timeout", 2)


def test_a_drip_of_headers_is_stopped_too(server, tmp_path):
    server.replies["/a"] = [raw(b"HTTP/1.1 200 so\r\n", *[b"x"] * 5000, pause_s=0.001)]
    clock = Clock(tick_s=1.0)
    outcome = fetch_one(tmp_path, server, URL, clock=clock, timeout_s=50, max_attempts=1)
    assert outcome.reason == "timeout"


def test_silence_is_a_timeout(server, tmp_path):
    server.replies["/a"] = [stalling(CLIP, 70_000)]
    outcome = fetch_one(tmp_path, server, URL, read_timeout_s=0.1, max_attempts=1)
    assert (outcome.reason, outcome.number) == ("timeout", 70_000)


def test_redirects_are_followed_and_the_last_address_is_noted(server, tmp_path):
    server.replies["/a"] = [redirect("/b?x=1", 301)]
    server.replies["/b?x=1"] = [redirect("//other.test/c", 308)]
    server.replies["/c"] = [serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL)
    assert outcome.record["final_url"] == "http://other.test/c"
    assert server.asked("/c")[0]["host"] == "other.test"
    assert_whole(tmp_path, outcome)


def test_a_loop_of_redirects_ends(server, tmp_path):
    server.replies["/a"] = [redirect("/b")]
    server.replies["/b"] = [redirect("/a")]
    outcome = fetch_one(tmp_path, server, URL)
    assert (outcome.reason, outcome.number, outcome.attempts) == ("too_many_redirects", 10, 1)
    assert len(server.requests) == 11


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"\xef\xbb\xbf\n <!DOCTYPE html><title>Not found</title>" + b" " * 5000, "video/mp4", "HTML"),
        (b"<html><body>gone", "text/html", "HTML"),
        (b'{"error": "quota"}', "application/json; charset=utf-8", "JSON"),
        (b"<?xml version='1.0'?><Error/>", "application/xml", "XML"),
        (b"try later", "text/plain", "text"),
    ],
)
def test_a_page_is_no_medium_whatever_the_status_says(server, tmp_path, body, content_type, kind):
    server.replies["/a"] = [serve(body, Content_Type=content_type)]
    outcome = fetch_one(tmp_path, server, URL)
    assert (outcome.reason, outcome.attempts) == ("html", 1)
    assert kind in outcome.detail
    assert files_in(tmp_path) == []


def test_a_clip_that_is_declared_as_a_page_is_a_clip(server, tmp_path):
    server.replies["/a"] = [serve(CLIP, Content_Type="text/html")]
    assert_whole(tmp_path, fetch_one(tmp_path, server, URL))


def test_compressed_bodies_are_refused(server, tmp_path):
    server.replies["/a"] = [serve(b"\x1f\x8b" + b"\0" * 1000, Content_Encoding="gzip")]
    outcome = fetch_one(tmp_path, server, URL)
    assert (outcome.reason, outcome.record) == ("content_encoding", None)
    assert files_in(tmp_path) == []


def test_nothing_is_no_medium(server, tmp_path):
    server.replies["/a"] = [serve(b"")]
    assert fetch_one(tmp_path, server, URL).reason == "empty"


def test_what_is_too_large_is_not_fetched(server, tmp_path):
    server.replies["/a"] = [serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL, max_bytes=200_000)
    assert (outcome.reason, outcome.number) == ("too_large", len(CLIP))
    server.replies["/b"] = [chunked([CLIP] * 100)]
    outcome = fetch_one(tmp_path, server, "http://media.test/b", max_bytes=1_000_000)
    assert outcome.reason == "too_large"
    assert 1_000_000 < outcome.number < 1_400_000
    assert files_in(tmp_path) == []


def one(tmp_path, server, **expected):
    return next(iter(make_fetcher(tmp_path, server).fetch_all([FetchRequest(URL, URL, **expected)])))


def test_what_the_caller_knows_is_checked_and_tried_once_more(server, tmp_path):
    server.replies["/a"] = [serve(CLIP[:-1]), serve(CLIP)]
    assert_whole(tmp_path, one(tmp_path, server, expected_sha256=SUM.upper()))
    shutil.rmtree(tmp_path / "partial")
    outcome = one(tmp_path, server, expected_sha256="0" * 64)
    assert (outcome.reason, outcome.attempts) == ("wrong_hash", 2)
    outcome = one(tmp_path, server, expected_bytes=5)
    assert (outcome.reason, outcome.number, outcome.attempts) == ("wrong_length", len(CLIP), 2)


def test_a_length_that_nobody_promised_is_checked_at_the_end(server, tmp_path):
    server.replies["/a"] = [chunked([CLIP[:-1]]), chunked([CLIP])]
    assert_whole(tmp_path, one(tmp_path, server, expected_bytes=len(CLIP)))


def test_equal_bytes_are_kept_once(server, tmp_path):
    server.replies["/a"] = server.replies["/b"] = [serve(CLIP)]
    made = fetch(tmp_path, server, URL, "http://other.test/b")
    assert {outcome.record["path"] for outcome in made.values()} == {BLOB}
    assert files_in(tmp_path) == [BLOB, JOURNAL]


def test_bytes_that_say_nothing_are_named_as_their_address_is(server, tmp_path):
    odd = bytes(range(1, 200)) * 10
    server.replies["/a.DV"] = server.replies["/b"] = [serve(odd)]
    first = fetch_one(tmp_path, server, "http://media.test/a.DV").record["path"]
    assert first.endswith(".dv")
    assert fetch_one(tmp_path, server, "http://media.test/b").record["path"] == first


def test_an_outcome_that_nobody_wrote_down_costs_no_second_request(server, tmp_path):
    server.replies["/a"] = [serve(CLIP)]
    before = fetch_one(tmp_path, server, URL).record
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"name": "torn')
    assert fetch_one(tmp_path, server, URL).record == before
    assert fetch_one(tmp_path, server, URL).record == before
    assert len(server.requests) == 1
    (tmp_path / before["path"]).unlink()
    assert_whole(tmp_path, fetch_one(tmp_path, server, URL))
    assert len(server.requests) == 2


def test_a_part_that_is_whole_costs_no_second_request(server, tmp_path):
    with Partial(tmp_path / "partial", URL) as part:
        part.begin(Notes('"1"', len(CLIP), "video/mp4", URL))
        part.append(CLIP)
    outcome = fetch_one(tmp_path, server, URL)
    assert_whole(tmp_path, outcome)
    assert outcome.record["content_type"] == "video/mp4"
    assert server.requests == []


@pytest.mark.parametrize("notes", ["", '{"valid', "[]", '{"length": "9"}', '{"other": 1}', None])
def test_a_part_without_sound_notes_is_worth_nothing(server, tmp_path, notes):
    with Partial(tmp_path / "partial", URL) as part:
        part.begin(Notes('"1"', len(CLIP)))
        part.append(CLIP[:1000])
    [path] = (tmp_path / "partial").glob("*.json")
    path.write_text(notes) if notes is not None else path.unlink()
    server.replies["/a"] = [serve(CLIP)]
    assert_whole(tmp_path, fetch_one(tmp_path, server, URL))
    assert "range" not in server.asked("/a")[0]


KILLED = """
import sys
from pathlib import Path
from valley.collection.fetching import Fetcher, FetchLimits, FetchRequest
limits = FetchLimits(allow_private_addresses=True, keep_free_bytes=0)
[outcome] = Fetcher(Path(sys.argv[1]), limits).fetch_all([FetchRequest("a", sys.argv[2])])
print(outcome.record["sha256"])
"""


def test_a_kill_in_the_middle_of_a_body_costs_no_byte(server, tmp_path):
    """The process is killed for good; another one fetches the rest, and nothing comes twice."""
    server.replies["/a"] = [stalling(CLIP, 180_000), serve(CLIP)]
    command = [sys.executable, "-c", KILLED, str(tmp_path), f"http://127.0.0.1:{server.port}/a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: sum(p.stat().st_size for p in tmp_path.glob("partial/*.part")) > 120_000)
        process.send_signal(signal.SIGKILL)
    size = next(tmp_path.glob("partial/*.part")).stat().st_size
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == SUM
    assert server.asked("/a")[1]["range"] == f"bytes={size}-"
    assert server.sent_bytes["/a"] == 180_000 + len(CLIP) - size
    assert files_in(tmp_path) == [BLOB, JOURNAL]


def test_a_fetcher_that_is_stopped_ends_at_once_and_keeps_what_came(server, tmp_path):
    server.replies["/a"] = [stalling(CLIP, 70_000)]
    fetcher = make_fetcher(tmp_path, server, read_timeout_s=1000.0)

    def stop():
        until(lambda: any(p.stat().st_size >= 65_536 for p in tmp_path.glob("partial/*.part")))
        fetcher.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    assert list(fetcher.fetch_all([FetchRequest(URL, URL)])) == []
    thread.join()
    assert not [t for t in threading.enumerate() if t.name.startswith("fetch")]
    assert part_of(tmp_path).num_bytes == 70_000
    assert list(fetcher.fetch_all([FetchRequest(URL, URL)])) == []


def test_closing_the_iterator_ends_all_threads(server, tmp_path):
    server.replies["/a"] = [stalling(CLIP, 10)]
    server.replies["/b"] = [serve(CLIP)]
    made = make_fetcher(tmp_path, server, read_timeout_s=1000.0).fetch_all(
        [FetchRequest(URL, URL), FetchRequest("b", "http://media.test/b")]
    )
    assert next(made).key == "b"
    made.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("fetch")]


def test_a_full_disk_stops_everything_and_is_no_fault_of_a_medium(server, tmp_path):
    server.replies["/a"] = [serve(CLIP)]
    with pytest.raises(OSError, match="disk is full") as caught:
        fetch_one(tmp_path, server, URL, keep_free_bytes=2**60)
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "blobs").exists()


def test_few_connections_go_to_one_host(server, tmp_path):
    urls = [f"http://{host}.test/{n}" for n in range(20) for host in ("media", "other")]
    for n in range(20):
        server.replies[f"/{n}"] = [serve(CLIP + bytes([n]))]
    made = fetch(tmp_path, server, *urls, num_connections=8, num_connections_per_host=2)
    assert all(outcome.record for outcome in made.values())
    assert 1 <= server.most_active["media.test"] <= 2
    assert 1 <= server.most_active["other.test"] <= 2


def test_requests_are_taken_as_they_are_needed(server, tmp_path):
    server.replies["/a"] = [serve(CLIP)]
    taken = 0

    def requests():
        nonlocal taken
        for n in range(100_000):
            taken += 1
            yield FetchRequest(str(n), URL)

    made = make_fetcher(tmp_path, server).fetch_all(requests())
    next(made)
    assert taken <= 5000
    made.close()


def test_a_key_that_is_asked_for_twice_has_one_outcome(server, tmp_path):
    server.replies["/a"] = [serve(CLIP)]
    made = list(make_fetcher(tmp_path, server).fetch_all([FetchRequest(URL, URL)] * 3))
    assert len(made) == len(server.requests) == 1


def test_a_host_that_is_not_there(server, tmp_path):
    outcome = fetch_one(tmp_path, server, "http://nowhere.test/a")
    assert (outcome.reason, outcome.attempts) == ("unresolvable", 2)
    server.replies["/a"] = [raw()]
    assert fetch_one(tmp_path, server, URL).reason == "connection_lost"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://media.test/a", "unsupported_scheme"),
        ("file:///etc/passwd", "unsupported_scheme"),
        ("a.mp4", "unsupported_scheme"),
        ("http:///a", "bad_url"),
        ("http://user:se/cret@media.test:x/", "bad_url"),
        ("http://media.test:99999/", "bad_url"),
        ("http://\ud800/", "bad_url"),
        ("", "unsupported_scheme"),
    ],
)
def test_what_is_no_web_address_is_refused_before_anything_is_asked(server, tmp_path, url, reason):
    outcome = fetch_one(tmp_path, server, url)
    assert outcome.reason == reason
    assert "cret" not in outcome.detail
    assert server.requests == []


def test_a_password_goes_to_its_own_host_and_is_written_nowhere(server, tmp_path):
    server.replies["/a"] = [redirect("/b")]
    server.replies["/b"] = [redirect("http://other.test/c")]
    server.replies["/c"] = [status(404), serve(CLIP)]
    url = "http://ann:s%20cret@media.test/a"
    assert "cret" not in json.dumps(fetch_one(tmp_path, server, url).to_record())
    outcome = fetch_one(tmp_path, server, url)
    assert server.asked("/a")[0]["authorization"] == "Basic YW5uOnMgY3JldA=="
    assert server.asked("/b")[0]["authorization"] == "Basic YW5uOnMgY3JldA=="
    assert "authorization" not in server.asked("/c")[0]
    assert outcome.record["final_url"] == "http://other.test/c"
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".mp4")
    assert b"cret" not in written


def test_the_address_that_is_asked_is_the_one_that_was_checked(server, tmp_path):
    """A name that leads elsewhere a moment later (DNS rebinding) leads nowhere."""
    network = Network(server)
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    network.resolve = lambda host, port: next(answers)
    server.replies["/a"] = [raw(b"HTTP/1.1 302 so\r\nLocation: /b\r\nConnection: close\r\n\r\n")]
    server.replies["/b"] = [serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL, network=network)
    assert outcome.reason == "private_address"
    assert network.connected == [PUBLIC]
    assert server.asked("/b") == []


def test_one_private_address_among_others_is_enough_to_refuse(server, tmp_path):
    network = Network(server, {"media.test": [PUBLIC, "10.0.0.7"]})
    assert fetch_one(tmp_path, server, URL, network=network).reason == "private_address"
    assert network.connected == []
    server.replies["/a"] = [serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL, network=network, allow_private_addresses=True)
    assert_whole(tmp_path, outcome)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::808:808]",
        "[2002:7f00:1::]",
        "[2001:0:808:808::1]",
        "[fe80::1]",
        "[fd00::1]",
        "localhost",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "192.168.0.1",
        "224.0.0.1",
        "240.0.0.1",
    ],
)
def test_a_redirect_into_the_own_network_is_refused(server, tmp_path, host):
    network = Network(server)
    server.replies["/a"] = [redirect(f"http://{host}:{server.port}/b")]
    server.replies["/b"] = [serve(CLIP)]
    outcome = fetch_one(tmp_path, server, URL, network=network)
    assert (outcome.reason, outcome.attempts) == ("private_address", 1)
    assert network.connected == [PUBLIC]
    assert server.asked("/b") == []


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "gopher://media.test/", "ytdlp:0.000-1.000:http://x/"]
)
def test_a_redirect_out_of_the_web_is_refused(server, tmp_path, target):
    server.replies["/a"] = [redirect(target)]
    assert fetch_one(tmp_path, server, URL).reason == "unsupported_scheme"
