import shutil
import subprocess

import pytest

from valley.errors import MediaError, MediaNotFoundError
from valley.video.decoding import probe
from valley.video.subtitles import Cue, as_prompt, parse_cues, read_subtitles

SRT = """1
00:00:00,500 --> 00:00:01,000
Where <i>were</i> you?

2
00:00:01,200 --> 00:00:01,900
At home,
with {\\an8}Ana &amp; Li.
"""
VTT = """WEBVTT - a title

NOTE nobody sees this

00:01.200 --> 00:01.900 align:start
<v Ana>At home.</v>

intro
00:00:00.500 --> 00:00:01.000
Where were you?
"""
CUES = [Cue(0.5, 1.0, "Where were you?"), Cue(1.2, 1.9, "At home, with Ana & Li.")]


def test_srt_and_vtt_are_read():
    assert parse_cues(SRT) == CUES
    assert parse_cues(SRT.replace("\n", "\r\n")) == CUES
    assert parse_cues(VTT) == [Cue(0.5, 1.0, "Where were you?"), Cue(1.2, 1.9, "At home.")]


def test_sidecars_are_found(tmp_path, good_clip):
    clip = tmp_path / "a.mp4"
    shutil.copy(good_clip, clip)
    assert read_subtitles(clip) == []
    (tmp_path / "a.es.srt").write_text(SRT.replace("Where", "Dónde"), encoding="latin-1")
    assert read_subtitles(clip)[0].text == "Dónde were you?"
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-16")
    assert read_subtitles(clip) == CUES
    assert read_subtitles(clip, "off") == []
    (tmp_path / "other.vtt").write_text(VTT, encoding="utf-8")
    assert read_subtitles(clip, tmp_path / "other.vtt")[1].text == "At home."


def test_bad_sidecars_are_errors(tmp_path, good_clip):
    with pytest.raises(MediaNotFoundError, match=r"absent\.srt"):
        read_subtitles(good_clip, tmp_path / "absent.srt")
    (tmp_path / "letter.srt").write_text("Dear Ana,")
    with pytest.raises(MediaError, match="holds no line like"):
        read_subtitles(good_clip, tmp_path / "letter.srt")
    (tmp_path / "a.txt").write_text(SRT)
    with pytest.raises(MediaError, match="are not known"):
        read_subtitles(good_clip, tmp_path / "a.txt")


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mov_text"), ("mkv", "srt"), ("mkv", "ass")])
def test_embedded_streams_are_read(tmp_path, good_clip, suffix, codec):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg, which puts the stream into the fixture, is not installed")
    (tmp_path / "words.srt").write_text(SRT)
    clip = tmp_path / f"clip.{suffix}"
    command = ["ffmpeg", "-v", "error", "-i", str(good_clip), "-i", str(tmp_path / "words.srt"), "-c", "copy"]
    subprocess.run([*command, "-c:s", codec, "-metadata:s:s:0", "language=eng", str(clip)], check=True)
    assert [(s.language, s.is_text) for s in probe(clip).subtitles] == [("eng", True)]
    cues = read_subtitles(clip)
    assert [(c.start_s, c.end_s) for c in cues] == [(0.5, 1.0), (1.2, 1.9)]
    assert [c.text.replace("&amp;", "&") for c in cues] == [c.text for c in CUES]


def test_the_words_for_a_prompt_keep_to_the_window():
    cues = [Cue(0.5, 1.0, "one"), Cue(12, 14.5, "two"), Cue(3672, 3673, "three")]
    assert as_prompt(cues) == "[0:00.5-0:01.0] one\n[0:12.0-0:14.5] two\n[1:01:12.0-1:01:13.0] three"
    assert as_prompt(cues, 13, 20) == "[0:12.0-0:14.5] two"
    assert as_prompt(cues, 20, 30) == ""
