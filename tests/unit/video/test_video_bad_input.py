import dataclasses
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from valley.errors import (
    DamagedError,
    DecodeTimeoutError,
    EmptyMediaError,
    MediaError,
    MediaNotFoundError,
    NotAVideoError,
    NoVideoStreamError,
    SamplingError,
    TooLargeError,
    TooLongError,
    TruncatedError,
)
from valley.video.decoding import UNTRUSTED, DecodeLimits, probe, read_frames, read_image
from valley.video.isolation import call_child
from valley.video.sampling import FrameSampling


@pytest.fixture
def bad_file(tmp_path: Path, long_groups_clip: Path, audio_only: Path):
    data = long_groups_clip.read_bytes()
    contents = {
        "no_moov.mp4": data[: data.rindex(b"moov") - 4],
        "cut_header.mp4": data[:20],
        "empty.mp4": b"",
        "text.mp4": b"These are the words of a letter, not a video.\n" * 50,
        "subtitles.mp4": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 5,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "audio.mp4": audio_only.read_bytes(),
        "noise.mp4": np.random.default_rng(0).bytes(5000),
    }

    def make(name: str) -> Path:
        (tmp_path / name).write_bytes(contents[name])
        return tmp_path / name

    return make


KINDS = {
    "no_moov.mp4": TruncatedError,
    "cut_header.mp4": TruncatedError,
    "empty.mp4": EmptyMediaError,
    "text.mp4": NotAVideoError,
    "subtitles.mp4": (NotAVideoError, NoVideoStreamError),
    "playlist.mp4": NotAVideoError,
    "concat.mp4": NotAVideoError,
    "audio.mp4": NoVideoStreamError,
    "noise.mp4": NotAVideoError,
}


@pytest.mark.parametrize("name", KINDS)
def test_bad_files_raise_their_kind_with_the_path(bad_file, name):
    path = bad_file(name)
    for call in (read_frames, probe):
        with pytest.raises(KINDS[name]) as caught:
            call(path)
        assert str(path) in str(caught.value)
        assert caught.value.reason
        assert caught.value.cure


def test_absent_and_empty_sources(tmp_path):
    with pytest.raises(MediaNotFoundError, match=r"absent\.mp4"):
        read_frames(tmp_path / "absent.mp4")
    with pytest.raises(MediaNotFoundError):
        read_frames("http://127.0.0.1:9/a.mp4")  # an address is only a name here
    with pytest.raises(MediaNotFoundError):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(EmptyMediaError):
        read_frames(b"")
    with pytest.raises(EmptyMediaError):
        read_frames([])
    with pytest.raises(EmptyMediaError):
        read_frames(tmp_path)


LIMITS = {
    "max_size_bytes": (1000, TooLargeError),
    "max_pixels": (96 * 64 - 1, TooLargeError),
    "max_memory_bytes": (8 * 96 * 64 * 3 - 1, TooLargeError),
    "max_duration_s": (3.0, TooLongError),
    "max_frames_walked": (119, TooLongError),
    "timeout_s": (1e-6, DecodeTimeoutError),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(long_groups_clip, name):
    value, kind = LIMITS[name]
    with pytest.raises(kind, match=r"groups\.mp4"):
        read_frames(long_groups_clip, limits=dataclasses.replace(DecodeLimits(), **{name: value}))


def test_damaged_in_the_middle_raises_or_gives_the_others(damaged_clip, long_groups_clip, caplog):
    sampling = FrameSampling(times_s=(0.5, 1.0, 1.5, 3.5))  # frames 15, 30 (sound), 45 (damaged), 105
    with pytest.raises(DamagedError, match=r"1 of 4 wanted frames cannot be decoded \(at 1\.500 s\)"):
        read_frames(damaged_clip, sampling)
    with caplog.at_level(logging.WARNING):
        frames = read_frames(damaged_clip, sampling, on_damage="warn")
    assert frames.missing_s == (1.5,)
    assert frames.shown_at_s.tolist() == [0.5, 1.0, 3.5]
    assert "1.500 s" in caplog.text
    assert str(damaged_clip) in caplog.text
    sound = read_frames(long_groups_clip, FrameSampling(times_s=(0.5, 1.0, 3.5)))
    np.testing.assert_array_equal(frames.pixels, sound.pixels)


def test_damage_that_no_wanted_frame_leans_on_is_no_error(damaged_clip):
    assert len(read_frames(damaged_clip, FrameSampling(times_s=(0.2, 2.5)))) == 2


def test_an_index_that_promises_more_than_the_file_holds(long_groups_clip, tmp_path):
    # The index comes first, as on the web; then the download broke off.
    whole = tmp_path / "whole.mp4"
    import av

    with (
        av.open(str(long_groups_clip)) as source,
        av.open(str(whole), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(TruncatedError, match="ends early"):
        read_frames(cut)
    frames = read_frames(cut, on_damage="warn")
    assert len(frames) + len(frames.missing_s) == 8
    assert max(frames.shown_at_s) < min(frames.missing_s)
    assert probe(cut).num_lost_frames > 0


def test_everything_damaged_is_an_error_even_when_warned(damaged_clip):
    with pytest.raises(DamagedError):
        read_frames(damaged_clip, FrameSampling(times_s=(1.5,)), on_damage="warn")


def test_isolated_gives_the_same(long_groups_clip):
    here = read_frames(long_groups_clip, size_px=32)
    there = read_frames(long_groups_clip.read_bytes(), size_px=32, isolated=True, limits=UNTRUSTED)
    np.testing.assert_array_equal(here.pixels, there.pixels)
    np.testing.assert_array_equal(here.shown_at_s, there.shown_at_s)
    assert here.frame_numbers.tolist() == there.frame_numbers.tolist()
    assert here.end_s == there.end_s


def test_isolated_probe(long_groups_clip):
    assert probe(long_groups_clip, isolated=True) == probe(long_groups_clip)


def test_isolated_errors_and_warnings_cross_over(bad_file, damaged_clip, caplog):
    path = bad_file("no_moov.mp4")
    with pytest.raises(TruncatedError) as caught:
        read_frames(path, isolated=True)
    assert str(path) in str(caught.value)
    with pytest.raises(SamplingError, match="outside the clip"):
        read_frames(damaged_clip, FrameSampling(start_s=99.0), isolated=True)
    frames = read_frames(damaged_clip, FrameSampling(times_s=(0.5, 1.5)), isolated=True, on_damage="warn")
    assert frames.missing_s == (1.5,)
    assert "1.500 s" in caplog.text


CHILDREN = {
    "never answers": (
        "import sys, time; sys.stdout.write('R'); sys.stdout.flush(); time.sleep(600)",
        DecodeTimeoutError,
    ),
    "crashes": ("import os; os.write(1, b'R'); os.abort()", DamagedError),
    "says nonsense": ("import os; os.write(1, b'R' + bytes(8) + b'xx')", DamagedError),
    "says too much": ("import os; os.write(1, b'R' + bytes([255] * 8))", DamagedError),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_a_child_that_misbehaves_is_an_error_and_not_a_hang(name):
    code, kind = CHILDREN[name]
    started = time.monotonic()
    with pytest.raises(kind, match=r"stranger\.mp4"):
        call_child(
            {},
            b"x" * 1_000_000,
            "stranger.mp4",
            DecodeLimits(timeout_s=0.2),
            command=[sys.executable, "-c", code],
        )
    assert time.monotonic() - started < 60


def test_the_child_cannot_use_more_memory_than_allowed():
    code = (
        "from valley.video.isolated_child import limit_resources\n"
        "from valley.video.limits import DecodeLimits\n"
        "limit_resources(DecodeLimits(max_memory_bytes=2**20))\n"
        "try:\n    bytearray(2**31)\nexcept MemoryError:\n    print('refused')"
    )
    if sys.platform != "linux":
        pytest.skip("only Linux bounds the address space of a process")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"


def test_only_one_module_opens_videos():
    import valley.video

    folder = Path(valley.video.__file__).parent
    openers = {p.name for p in folder.parent.rglob("*.py") if "av.open(" in p.read_text(encoding="utf-8")}
    assert openers == {"opening.py", "encoding.py"}


@pytest.mark.parametrize("isolated", [False, True])
def test_errors_are_all_of_one_kind(bad_file, isolated):
    with pytest.raises(MediaError):
        read_frames(bad_file("noise.mp4"), isolated=isolated)


def test_a_folder_is_no_video_file(tmp_path):
    with pytest.raises(NotAVideoError, match="is a folder, not a video file"):
        probe(tmp_path)
