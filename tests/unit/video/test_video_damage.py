"""Damage that mutated clips have brought to light: each was no media error, or read what it must not."""

import io

import av
import numpy as np
import PIL.Image
import pytest

from valley.errors import EmptyMediaError, MediaError, NoVideoStreamError, TooLargeError
from valley.video.decoding import probe, read_frames, read_image


def test_no_bytes_are_no_clip_and_not_the_current_folder(tmp_path, monkeypatch):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    monkeypatch.chdir(tmp_path)
    for isolated in (False, True):
        with pytest.raises(EmptyMediaError):
            read_frames(b"", isolated=isolated)


def test_titles_may_be_in_any_encoding(tmp_path):
    path = tmp_path / "titled.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "HERE IS A TITLE"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert b"HERE IS A TITLE" in data
    path.write_bytes(data.replace(b"HERE IS A TITLE", "ÉÈÀ à l'été ÿÿÿ".encode("latin-1")))
    assert len(read_frames(path)) == 4
    assert probe(path).num_frames == 4


def test_an_unknown_codec_is_told(good_clip):
    data = good_clip.read_bytes()
    assert data.count(b"avc1") >= 2
    with pytest.raises(NoVideoStreamError, match="its codec is unknown"):
        read_frames(data.replace(b"avc1", b"zzz9"))


def test_a_tiff_without_a_size():
    out = io.BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(out, "TIFF")
    data = out.getvalue()
    width = b"\x00\x01\x04\x00\x01\x00\x00\x00\x08"  # tag 256
    assert width in data or b"\x00\x01\x03\x00\x01\x00\x00\x00\x08" in data
    for tag in (width, b"\x00\x01\x03\x00\x01\x00\x00\x00\x08"):
        data = data.replace(tag, b"\x77\x77" + tag[2:])
    for call in (read_frames, read_image):
        with pytest.raises(MediaError):
            call(data)


def test_a_picture_of_more_pixels_than_pillow_takes():
    out = io.BytesIO()
    PIL.Image.new("1", (20_000, 20_000)).save(out, "PNG")
    for call in (read_frames, read_image):
        with pytest.raises(TooLargeError):
            call(out.getvalue())
