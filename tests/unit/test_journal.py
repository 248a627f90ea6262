"""What a stage found out is there after a kill at any byte, and nothing is there that was not written."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from valley.journal import Journal, decode_key, encode_line

RECORDS = {f"key-{n}": {"number": n, "words": "größer 更大\n"} for n in range(3)}
FAULT = {"fault": {"reason": "timeout", "detail": "", "number": 1.0, "attempts": 2}}


def fill(folder: Path, records: dict[str, dict]) -> Path:
    """Write records by a writer of its own; give its file."""
    with Journal(folder, "look", 1) as store:
        before = set(store.folder.glob("*"))
        for key, record in records.items():
            store.append(key, record)
        (segment,) = set(store.folder.glob("*")) - before
    return segment


def read(folder: Path) -> tuple[dict[str, dict], Journal]:
    with Journal(folder, "look", 1) as store:
        records = dict(store.items())
        assert set(store.keys()) == set(records)
        assert all(store.get(key) == record for key, record in records.items())
    return records, store


def test_what_is_written_is_read(tmp_path: Path):
    fill(tmp_path, RECORDS)
    records, store = read(tmp_path)
    assert records == RECORDS
    assert (store.num_torn, store.conflicts) == (0, ())
    assert "key-1" in store
    assert len(store) == 3
    assert store.get("nothing") is None


def test_a_line_is_a_sum_a_key_and_json():
    line = encode_line("key", {"a": 1})
    checksum, rest = line.split(b" ", 1)
    assert rest == b'key {"a":1}\n'
    assert int(checksum, 16) == zlib.crc32(b'key {"a":1}')


@pytest.mark.parametrize(
    "key", ["a", "a b.mp4", "https://x.org/a%20b?c=%d", "line\nbreak", "größe/大小", "\udcff.mp4", "%", " "]
)
def test_any_key_comes_back(key: str, tmp_path: Path):
    fill(tmp_path, {key: {"name": key}})
    assert read(tmp_path)[0] == {key: {"name": key}}
    assert len(encode_line(key, {"name": key}).splitlines()) == 1


def test_bad_keys_and_records_are_refused(tmp_path: Path):
    with Journal(tmp_path, "look", 1) as store:
        with pytest.raises(ValueError, match="want a key"):
            store.append("", {})
        with pytest.raises(ValueError, match="JSON"):
            store.append("a", {"ratio": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_record_is_there_before_the_writer_is_closed(tmp_path: Path):
    with Journal(tmp_path, "look", 1) as writer:
        for key, record in RECORDS.items():
            writer.append(key, record)
            assert writer.get(key) == record
            assert read(tmp_path)[0][key] == record
        assert dict(writer.items()) == RECORDS


def test_a_cut_at_every_byte_of_the_last_record_costs_that_record(tmp_path: Path):
    segment = fill(tmp_path, RECORDS)
    data = segment.read_bytes()
    start = data[:-1].rindex(b"\n") + 1
    first_two = {key: RECORDS[key] for key in ("key-0", "key-1")}
    for size in range(start, len(data)):
        segment.write_bytes(data[:size])
        records, store = read(tmp_path)
        assert records == first_two
        assert store.num_torn == (size > start)
        again = fill(tmp_path, {"key-2": RECORDS["key-2"]})
        assert read(tmp_path)[0] == RECORDS
        again.unlink()


def test_a_flipped_bit_costs_the_lines_it_touches_and_invents_none(tmp_path: Path):
    short: dict[str, dict] = {f"key-{n}": {"n": n} for n in range(3)}
    segment = fill(tmp_path, short)
    data = segment.read_bytes()
    starts = [0, *(n + 1 for n, byte in enumerate(data) if byte == ord("\n"))]
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            segment.write_bytes(damaged)
            records, store = read(tmp_path)
            touched = sum(start <= position for start in starts) - 1
            # A line that loses its end loses the next one too.
            lost = {f"key-{touched}"} | ({f"key-{touched + 1}"} if data[position] == ord("\n") else set())
            assert records == {key: record for key, record in short.items() if key not in lost}
            assert store.num_torn >= 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.dictionaries(
        st.text(st.characters(exclude_categories=()), min_size=1),
        st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=3),
        min_size=1,
        max_size=4,
    ),
    cut=st.floats(0, 1),
)
def test_a_cut_anywhere_leaves_a_beginning(records: dict[str, dict], cut: float):
    lines = [encode_line(key, record) for key, record in records.items()]
    data = b"".join(lines)
    left = data[: round(cut * len(data))].splitlines(keepends=True)
    keys = [key for line in left if (key := decode_key(line)) is not None]
    assert keys == list(records)[: len(keys)]
    assert len(keys) >= len(left) - 1


def test_two_writers_on_one_folder_do_not_meet(tmp_path: Path):
    with Journal(tmp_path, "look", 1) as one, Journal(tmp_path, "look", 1) as two:
        for number in range(40):
            (one, two)[number % 2].append(str(number), {"number": number})
        one.append("both", {"same": True})
        two.append("both", {"same": True})
        one.append("differ", {"writer": 1})
        two.append("differ", {"writer": 2})
        assert len(list(one.folder.iterdir())) == 2
    records, store = read(tmp_path)
    assert len(records) == 42
    assert records["differ"] == {"writer": 1}
    assert store.conflicts == ("differ",)
    assert store.num_torn == 0


def test_a_result_mends_a_fault_and_a_fault_spoils_no_result(tmp_path: Path):
    worse = {"fault": {"reason": "crashed", "detail": "", "number": -11, "attempts": 2}}
    fill(tmp_path, {"a": FAULT, "b": {"width": 1}, "c": FAULT})
    fill(tmp_path, {"a": {"width": 2}, "b": FAULT, "c": worse})
    records, store = read(tmp_path)
    assert records == {"a": {"width": 2}, "b": {"width": 1}, "c": worse}
    assert store.fault_keys() == {"c"}
    assert store.conflicts == ()


def test_another_version_begins_anew(tmp_path: Path):
    fill(tmp_path, RECORDS)
    with Journal(tmp_path, "look", 2) as store:
        assert not store.keys()
        store.append("key-0", {"number": 7})
    assert read(tmp_path)[0] == RECORDS
    assert sorted(p.name for p in tmp_path.iterdir()) == ["look@1", "look@2"]


def test_a_full_disk_is_said_and_the_next_line_begins_a_new_file(tmp_path: Path):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Journal(tmp_path, "look", 1) as store:
        store.append("a", {"number": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))
        try:
            with pytest.raises(OSError, match=r"want|large"):
                store.append("b", {"text": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
        store.append("c", {"number": 3})
    records, store = read(tmp_path)
    assert records == {"a": {"number": 1}, "c": {"number": 3}}
    assert store.num_torn == 1


def test_keys_are_read_without_their_json(tmp_path: Path):
    segment = fill(tmp_path, {"a": {"number": 1}})
    body = b"b this is no JSON"
    with segment.open("ab") as file:
        file.write(b"%08x %s\n" % (zlib.crc32(body), body))
    with Journal(tmp_path, "look", 1) as store:
        assert set(store.keys()) == {"a", "b"}
        with pytest.raises(json.JSONDecodeError):
            store.get("b")
