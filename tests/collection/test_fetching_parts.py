"""The parts of fetching that need no network: whose turn it is, pauses, what bytes are, and the journal."""

import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from valley.collection.downloading.journal import MOST_LINES, Journal
from valley.collection.downloading.lanes import Lanes
from valley.collection.downloading.limits import FetchLimits
from valley.collection.downloading.retrying import AgainError, pause_s, retry_after_s
from valley.errors import ConfigError
from valley.fetching.addresses import (
    checked_addresses,
    is_public,
    literal_address,
    without_credentials,
)
from valley.fetching.content import page_kind, suffix_in, suffix_of
from valley.fetching.errors import NoAddressError
from valley.video.encoding import write_video


def test_lanes_keep_a_gap_and_a_bound_for_each_host():
    lanes = Lanes(most_active=2, gap_s=1.0)
    for n in range(4):
        lanes.add(f"a{n}", "a")
    lanes.add("b0", "b")
    assert {lanes.take(0.0), lanes.take(0.0)} == {"a0", "b0"}
    assert lanes.take(0.9) is None
    assert lanes.next_s() == 1.0
    assert lanes.take(1.0) == "a1"
    assert lanes.take(5.0) is None  # two are being served
    assert lanes.next_s() is None
    lanes.done("a", now_s=5.0)
    assert lanes.take(5.0) == "a2"
    assert lanes.num_waiting == 1


def test_a_pause_and_a_later_turn_hold_up_nobody_else():
    lanes = Lanes(most_active=9, gap_s=0.0)
    lanes.pause("a", 10.0)
    lanes.add("a0", "a")
    lanes.add("b later", "b", not_before_s=4.0)
    lanes.add("b now", "b")
    assert lanes.take(1.0) == "b now"
    assert lanes.take(1.0) is None
    assert lanes.next_s() == 4.0
    assert lanes.take(4.0) == "b later"
    assert lanes.next_s() == 10.0
    assert lanes.take(10.0) == "a0"


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 20)), max_size=60),
    st.integers(1, 3),
    st.floats(0, 2),
    st.randoms(use_true_random=False),
)
def test_lanes_serve_everybody_within_their_bounds(tasks, most_active, gap_s, rng):
    lanes = Lanes(most_active=most_active, gap_s=gap_s)
    for number, (host, not_before_s) in enumerate(tasks):
        lanes.add((number, host, not_before_s), str(host), not_before_s=not_before_s)
    now_s, active, served, last_start = 0.0, [], [], {}
    while lanes.num_waiting or active:
        task = lanes.take(now_s)
        if task is not None:
            number, host, not_before_s = task
            assert not_before_s <= now_s
            assert last_start.get(host, -9.0) + gap_s <= now_s
            last_start[host] = now_s
            active.append(host)
            served.append(number)
            assert active.count(host) <= most_active
        elif active and (rng.random() < 0.5 or lanes.next_s() is None):
            lanes.done(str(active.pop(rng.randrange(len(active)))), now_s=now_s)
        else:
            assert lanes.next_s() > now_s
            now_s = lanes.next_s()
    assert sorted(served) == list(range(len(tasks)))


def test_few_of_many_hosts_are_remembered():
    lanes = Lanes(most_active=1, gap_s=0.0)
    for n in range(5000):
        lanes.add(n, f"host{n}")
        assert lanes.take(float(n)) == n
        lanes.done(f"host{n}", now_s=float(n))
    assert len(lanes._lanes) < 1100


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
def test_pauses_grow_and_are_bounded(attempts, jitter, after_s):
    limits = FetchLimits()
    pause = pause_s(attempts, AgainError("x", after_s=after_s), limits, jitter=jitter)
    assert 0.5 <= pause <= 300
    assert pause >= min(after_s, 300)
    without = pause_s(attempts, AgainError("x"), limits, jitter=jitter)
    assert min(60, 2.0 ** min(attempts - 1, 9)) / 2 <= without <= min(60, 2.0 ** min(attempts - 1, 9))


@pytest.mark.parametrize(
    ("value", "wanted_s"),
    [
        ("0", 0),
        (" 12 ", 12),
        ("9" * 400, 999_999_999_999),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Mon, 01 Jan 2001 00:00:09 GMT", 9),
        ("Sun, 31 Dec 2000 23:00:00 GMT", 0),
        ("Mon, 01 Jan 2001 01:00:09 +0100", 9),
        ("Mon, 99 Jan 2001 00:00:09 GMT", None),
    ],
)
def test_what_a_host_asks_for(value, wanted_s):
    assert retry_after_s(value, date="Mon, 01 Jan 2001 00:00:00 GMT") == wanted_s


def test_a_date_without_the_clock_of_the_host_is_by_ours():
    soon = format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)
    assert retry_after_s(soon) == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    "name", ["num_connections", "num_connections_per_host", "most_starts_per_s", "max_attempts"]
)
def test_limits_under_which_nothing_can_be_fetched_are_refused(name):
    with pytest.raises(ConfigError, match=name):
        FetchLimits(**{name: 0})


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_written_videos_are_told_by_their_bytes(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_video(path, [np.zeros((32, 32, 3), np.uint8)] * 3, fps=10)
    head = path.read_bytes()[:1024]
    assert suffix_of(head) == suffix
    assert page_kind(head, "text/html") == ""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".tiff"])
def test_written_pictures_are_told_by_their_bytes(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 8)).save(path)
    assert suffix_of(path.read_bytes()[:1024]) == suffix


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm", ".webm"),
        ((b"\x47" + b"\0" * 187) * 4, ".ts"),
        (b"\x47" + b"\0" * 700, ""),
        (b"RIFF\0\0\0\0WAVE", ""),
        (b"\0\0\0\x08wide\0\0\0\0mdat", ".mov"),
        (b"\0\0\0\x1cftypavif", ".avif"),
        (b"", ""),
    ],
)
def test_other_beginnings(head, suffix):
    assert suffix_of(head) == suffix


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("/a.MP4", ".mp4"),
        ("/a", ".bin"),
        ("/a.b/c", ".bin"),
        ("/a.%2e/", ".bin"),
        ("/a.toolong", ".bin"),
        ("/..", ".bin"),
    ],
)
def test_suffixes_of_addresses_are_ones_that_a_file_can_have(path, suffix):
    assert suffix_in(path) == suffix


@given(st.binary(max_size=2000), st.text(max_size=30))
def test_any_bytes_can_be_looked_at(head, content_type):
    assert page_kind(head, content_type) in ("", "HTML", "XML", "JSON", "text")
    assert suffix_of(head) == "" or suffix_of(head).startswith(".")


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address", ["nonsense", "", "127.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "ff02::1"]
)
def test_other_addresses(address):
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_an_address_as_one_number_is_the_same_address(number):
    dotted = literal_address(str(number))
    assert int(dotted) == number
    assert literal_address(hex(number)) == dotted
    assert literal_address(str(dotted)) == dotted
    assert literal_address(f"[::ffff:{dotted}]").ipv4_mapped == dotted


@pytest.mark.parametrize(
    "host", ["media.test", "a.1.example", "1.2.3.4.5", "0x7f.example", "99999999999999", "dead.beef"]
)
def test_names_are_no_addresses(host):
    assert literal_address(host) is None


def test_a_name_whose_labels_are_too_long_has_no_address():
    def resolver(host, port):
        return [host.encode("idna").decode()]

    with pytest.raises(NoAddressError, match="unresolvable"):
        checked_addresses("a" * 70, 80, resolver=resolver)
    with pytest.raises(NoAddressError, match="unresolvable"):
        checked_addresses("a", 80, resolver=lambda host, port: [])


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("http://a:b@c/d@e", "http://c/d@e"),
        ("http://c/d@e", "http://c/d@e"),
        ("see http://a@b/ and https://c:d@e/", "see http://b/ and https://e/"),
    ],
)
def test_passwords_are_left_out_of_texts(text, bare):
    assert without_credentials(text) == bare


def record(number):
    return {"path": f"blobs/{number}", "size_bytes": number}


def test_a_journal_keeps_the_last_lines(tmp_path):
    path = tmp_path / "fetched.jsonl"
    line = json.dumps({"name": "old", "record": record(0)}) + "\n"
    path.write_text(line * (2 * MOST_LINES))
    journal = Journal(path)
    journal.append("new", record(1))
    assert len(path.read_bytes().splitlines()) == 2 * MOST_LINES + 1
    assert Journal(path).get("new") == record(1)
    assert len(path.read_bytes().splitlines()) == MOST_LINES


def test_a_journal_torn_anywhere_keeps_its_other_lines(tmp_path):
    path = tmp_path / "fetched.jsonl"
    journal = Journal(path)
    for number in range(3):
        journal.append(f"n{number}", record(number))
    data = path.read_bytes()
    whole = data.rindex(b"\n", 0, -1) + 1
    for end in range(whole, len(data)):
        path.write_bytes(data[:end])
        torn = Journal(path)
        assert (torn.get("n1"), torn.get("n2")) == (record(1), None)
        torn.append("n3", record(3))
        assert Journal(path).get("n3") == record(3)


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"name": 1, "record": {}}', '{"name": "a", "record": {"path": 1}}', "\xff"]
)
def test_strange_lines_of_a_journal_are_none(tmp_path, line):
    path = tmp_path / "fetched.jsonl"
    path.write_bytes(line.encode("latin-1") + b"\n")
    assert Journal(path).get("a") is None
