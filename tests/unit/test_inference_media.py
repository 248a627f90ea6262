"""Each medium is decoded once, however often it is asked about, and again when its file changes."""

import shutil
import threading

import numpy as np
import pytest

import valley.inference.media as media_module
from valley.conversation import Image, Video
from valley.errors import MediaNotFoundError, SamplingError, ValleyError
from valley.inference.media import MediaReader
from valley.video.sampling import FrameSampling


@pytest.fixture
def decoded(monkeypatch):
    """Count what is really read."""
    calls = []
    original = media_module.read_frames

    def counted(source, *args, **kwargs):
        calls.append(source)
        return original(source, *args, **kwargs)

    monkeypatch.setattr(media_module, "read_frames", counted)
    return calls


def reader(**kwargs):
    return MediaReader(FrameSampling(num_frames=4), **kwargs)


def test_a_clip_is_decoded_once(clip_files, decoded):
    media = reader()
    first = media.read(Video(str(clip_files / "a.mp4")))
    assert media.read(Video(clip_files / "a.mp4")) is first
    assert len(decoded) == 1
    assert first.use.timestamps_s == tuple(np.round(first.frames.shown_at_s, 6))
    assert first.use.duration_s == pytest.approx(3.0)
    assert len(first.frames) == 4


def test_another_wish_is_another_medium(clip_files, decoded):
    media = reader()
    path = str(clip_files / "a.mp4")
    seen = [
        media.read(Video(path)),
        media.read(Video(path), sampling=FrameSampling(fps=2.0)),
        media.read(Video(path, start_s=1.0)),
        media.read(Video(path), on_damage="warn"),
    ]
    assert len({s.key for s in seen}) == len(decoded) == 4
    assert seen[2].use.timestamps_s[0] >= 1.0


def test_a_changed_file_is_read_again(clip_files, decoded, tmp_path):
    path = tmp_path / "clip.mp4"
    media = reader()
    shutil.copy(clip_files / "a.mp4", path)
    before = media.read(Video(str(path)))
    shutil.copy(clip_files / "b.mp4", path)
    after = media.read(Video(str(path)))
    assert len(decoded) == 2
    assert before.key != after.key
    assert not np.array_equal(before.frames.pixels, after.frames.pixels)


def test_the_memory_is_bounded(clip_files, decoded):
    media = reader(cache_bytes=1)
    for name in ("a.mp4", "b.mp4", "a.mp4"):
        media.read(Video(str(clip_files / name)))
    assert len(decoded) == 3


def test_bytes_are_known_by_their_content(clip_files, decoded):
    media = reader()
    data = (clip_files / "a.mp4").read_bytes()
    seen = media.read(Video(data))
    assert media.read(Video(bytes(bytearray(data)))) is seen
    assert seen.use.path == f"{len(data)} bytes"


def test_an_image_is_one_frame(clip_files):
    seen = reader().read(Image(str(clip_files / "photo.png")))
    assert (len(seen.frames), seen.use.kind, seen.use.timestamps_s) == (1, "image", (0.0,))


def test_a_glance_tells_the_same_times_without_decoding(clip_files, decoded):
    media = reader()
    for wish in (None, FrameSampling(fps=3.0), FrameSampling(num_frames=100)):
        for medium in (Video(str(clip_files / "a.mp4")), Video(str(clip_files / "b.mp4"), 0.5, 2.0)):
            glance = media.glance(medium, sampling=wish)
            assert decoded == []
            assert glance.use == media.read(medium, sampling=wish).use
            decoded.clear()


def test_errors_name_the_file(clip_files):
    with pytest.raises(SamplingError, match=r"a\.mp4.*outside"):
        reader().read(Video(str(clip_files / "a.mp4"), start_s=90.0))
    with pytest.raises(MediaNotFoundError, match=r"none\.mp4"):
        reader().read(Video("none.mp4"))


def test_subtitles_come_with_the_clip(clip_files, tmp_path):
    words = tmp_path / "a.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,500\nhello there\n")
    seen = reader().read(Video(str(clip_files / "a.mp4"), subtitles=str(words)))
    assert "hello there" in seen.subtitles
    assert reader().read(Video(str(clip_files / "a.mp4"))).subtitles == ""


def test_a_checkpoint_may_count_frames_by_number(clip_files):
    media = MediaReader(FrameSampling(num_frames=8, rule="frame-number"))
    clip = Video(str(clip_files / "a.mp4"))
    assert media.wish(clip, None).rule == "frame-number"
    assert media.wish(clip, FrameSampling(num_frames=4)) == FrameSampling(num_frames=4, rule="frame-number")
    # What such a rule cannot do goes by time.
    assert media.wish(clip, FrameSampling(fps=2.0)).rule == "time"
    window = Video(str(clip_files / "a.mp4"), start_s=1.0, end_s=2.0)
    assert media.wish(window, None) == FrameSampling(num_frames=8, start_s=1.0, end_s=2.0)
    assert len(media.read(window).frames) == 8


class Gate:
    """Holds every decode until it is opened, and counts how many are inside at once."""

    def __init__(self, monkeypatch, error=None):
        self.opened, self.entered = threading.Event(), threading.Semaphore(0)
        self.inside, self.most, self.calls, self.error = 0, 0, 0, error
        self._lock = threading.Lock()
        self._original = media_module.read_frames
        monkeypatch.setattr(media_module, "read_frames", self.read)

    def read(self, source, *args, **kwargs):
        with self._lock:
            self.inside, self.calls = self.inside + 1, self.calls + 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        assert self.opened.wait(20)
        with self._lock:
            self.inside -= 1
        if self.error is not None:
            raise self.error
        return self._original(source, *args, **kwargs)


def read_at_once(media, clips, gate, *, decodes):
    """Read in a thread each; open the gate when `decodes` of them have come to it."""
    got = {}

    def run(number):
        try:
            got[number] = media.read(clips[number])
        except ValleyError as error:
            got[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(clips))]
    for thread in threads:
        thread.start()
    for _ in range(decodes):
        assert gate.entered.acquire(timeout=20)
    gate.opened.set()
    for thread in threads:
        thread.join(20)
    return [got[n] for n in range(len(clips))]


def test_two_who_ask_at_once_share_one_decode(clip_files, monkeypatch):
    gate = Gate(monkeypatch)
    seen = read_at_once(reader(), [Video(str(clip_files / "a.mp4"))] * 4, gate, decodes=1)
    assert gate.calls == 1
    assert all(s is seen[0] for s in seen)


def test_two_who_ask_at_once_share_the_error(clip_files, monkeypatch):
    gate = Gate(monkeypatch, MediaNotFoundError("a.mp4", "is gone"))
    media = reader()
    got = read_at_once(media, [Video(str(clip_files / "a.mp4"))] * 3, gate, decodes=1)
    assert all(isinstance(g, MediaNotFoundError) for g in got)
    gate.error = None
    assert len(media.read(Video(str(clip_files / "a.mp4"))).frames) == 4  # an error is not kept


@pytest.mark.parametrize("most", [1, 2])
def test_so_many_are_decoded_at_once_and_no_more(clip_files, monkeypatch, most):
    gate = Gate(monkeypatch)
    clips = [Video(str(clip_files / "a.mp4"), start_s=s) for s in (0.0, 0.5, 1.0, 1.5)]
    seen = read_at_once(reader(max_decodes=most), clips, gate, decodes=most)
    assert (gate.calls, gate.most) == (4, most)
    assert all(len(s.frames) == 4 for s in seen)


def test_nothing_is_shared_between_scopes(clip_files, decoded):
    media = reader()
    first, second = (media.read(Video(str(clip_files / "a.mp4")), scope=s) for s in ("a", "b"))
    assert len(decoded) == 2
    assert first.key != second.key
