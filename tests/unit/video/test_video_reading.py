import io
import json
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from valley.errors import MediaError, TooLongError
from valley.video import indexing
from valley.video.decoding import DecodeLimits, is_image, probe, read_frames, read_image
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling

ALL = FrameSampling(num_frames=1000)
FORMATS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.mov": {},
    "h264.ts": {},
    "h264.avi": {},  # its packets carry no usable times
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "qmin": "1", "qmax": "2"}},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "ten_bit.mp4": {"codec": "libx264", "pixel_format": "yuv420p10le"},
    "ffv1.mkv": {"codec": "ffv1", "pixel_format": "yuv444p"},
    "odd.mp4": {"pixel_format": "yuv444p", "width_px": 63, "height_px": 47},
}


@pytest.fixture(params=FORMATS)
def any_clip(request, write_clip):
    return write_clip(request.param, **FORMATS[request.param])


def test_every_container_and_codec_gives_the_right_frames_at_the_right_times(any_clip, frame_numbers_seen):
    frames = read_frames(any_clip, ALL)
    assert frame_numbers_seen(frames.pixels) == list(range(20))
    np.testing.assert_allclose(
        frames.shown_at_s, np.arange(20) / 10, atol=1e-3
    )  # Matroska counts milliseconds
    some = read_frames(any_clip, FrameSampling(num_frames=4))
    assert frame_numbers_seen(some.pixels) == [0, 6, 12, 19]
    assert some.frame_numbers.tolist() == [0, 6, 12, 19]


def test_every_container_and_codec_is_probed(any_clip):
    info = probe(any_clip)
    assert (info.num_frames, info.is_variable_frame_rate, info.rotation_deg) == (20, False, 0)
    assert info.duration_s == pytest.approx(2.0, abs=0.02)
    assert info.fps == pytest.approx(10, rel=0.01)
    assert (info.width_px, info.height_px) == ((63, 47) if any_clip.name == "odd.mp4" else (64, 48))
    assert info.bit_depth == (10 if any_clip.name in {"prores.mov", "ten_bit.mp4"} else 8)
    assert json.loads(json.dumps(info.to_dict()))["codec"] in any_clip.name.replace(
        "ten_bit", "h264"
    ).replace("odd", "h264")


def test_bytes_give_the_same(good_clip):
    by_name, by_bytes = read_frames(good_clip), read_frames(good_clip.read_bytes())
    np.testing.assert_array_equal(by_name.pixels, by_bytes.pixels)
    np.testing.assert_array_equal(by_name.shown_at_s, by_bytes.shown_at_s)


@pytest.fixture(scope="session")
def variable_clip(write_clip):
    times = np.concatenate([np.arange(90) / 30, 3 + np.arange(15) / 5])
    return write_clip("vfr.mp4", 105, shown_at_s=times.tolist())


def test_variable_rate_30_then_5(variable_clip):
    info = probe(variable_clip)
    assert info.is_variable_frame_rate
    assert info.duration_s == pytest.approx(6.0, abs=0.21)
    frames = read_frames(variable_clip, FrameSampling(num_frames=7))
    np.testing.assert_allclose(frames.shown_at_s, np.linspace(0, 5.8, 7), atol=0.2)
    each_second = read_frames(variable_clip, FrameSampling(fps=1))
    np.testing.assert_allclose(each_second.shown_at_s, np.arange(6), atol=1e-4)


@pytest.mark.parametrize("name", ["vfr", "late", "groups", "rotated", "one"])
def test_times_are_those_of_ffprobe(
    name, variable_clip, late_clip, long_groups_clip, rotated_clip, write_clip
):
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    one = write_clip("one_frame.mp4", 1)
    path = {
        "vfr": variable_clip,
        "late": late_clip,
        "groups": long_groups_clip,
        "rotated": rotated_clip,
        "one": one,
    }[name]
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json", "-show_entries"]
    told = subprocess.run(
        [*command, "frame=best_effort_timestamp_time", str(path)], capture_output=True, check=True
    )
    times = np.array([float(f["best_effort_timestamp_time"]) for f in json.loads(told.stdout)["frames"]])
    frames = read_frames(path, ALL)
    np.testing.assert_allclose(frames.shown_at_s, times - times[0], atol=1e-6)  # ffprobe prints six digits


def test_a_late_start_counts_from_its_first_frame(late_clip, frame_numbers_seen):
    assert probe(late_clip).start_s == pytest.approx(7.0)
    frames = read_frames(late_clip, FrameSampling(times_s=(0.0, 0.5, 1.94)))
    np.testing.assert_allclose(frames.shown_at_s, [0.0, 0.5, 1.9], atol=1e-3)
    assert frame_numbers_seen(frames.pixels) == [0, 5, 19]


@pytest.mark.parametrize("num_frames", [1, 6])
def test_short_clips_give_what_they_have(write_clip, frame_numbers_seen, num_frames):
    frames = read_frames(write_clip(f"short{num_frames}.mp4", num_frames))
    assert frame_numbers_seen(frames.pixels) == list(range(num_frames))
    repeated = read_frames(
        write_clip(f"short{num_frames}.mp4", num_frames), FrameSampling(rule="valley-2023")
    )
    assert frame_numbers_seen(repeated.pixels) == [int(x) for x in np.linspace(0, num_frames - 1, 8)]


def test_gif(write_clip):
    path = write_clip("moving.gif", codec="gif", pixel_format="rgb8")
    assert probe(path).num_frames == 20
    assert not is_image(path)
    frames = read_frames(path)
    assert len(frames) == 8
    brightness = frames.pixels.mean(axis=(1, 2, 3))  # its palette is coarse and dithered
    assert brightness.tolist() == sorted(brightness.tolist())


def test_rotation_is_honoured(rotated_clip):
    info = probe(rotated_clip)
    assert (info.width_px, info.height_px, info.rotation_deg) == (48, 64, 90)
    frames = read_frames(rotated_clip)
    assert frames.pixels.shape[1:3] == (64, 48)
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(rotated_clip),
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-pix_fmt",
    ]
    raw = subprocess.run([*command, "rgb24", "-"], capture_output=True, check=True).stdout
    upright = np.frombuffer(raw, dtype=np.uint8).reshape(64, 48, 3)
    assert np.abs(upright.astype(int) - frames.pixels[0]).mean() < 2  # its chroma filter differs


def test_alpha_is_laid_over_white(tmp_path):
    from valley.video.encoding import write_video

    half = np.zeros((48, 64, 4), dtype=np.uint8)
    half[:, 32:, 3] = 255
    path = write_video(tmp_path / "alpha.mov", [half] * 3, fps=5, codec="qtrle", pixel_format="argb")
    assert probe(path).has_alpha
    picture = read_frames(path).pixels[0]
    assert picture[10, 10].tolist() == [255, 255, 255]
    assert picture[10, 50].tolist() == [0, 0, 0]


def test_interlaced_is_told_and_read(write_clip, frame_numbers_seen):
    path = write_clip("interlaced.mp4", options={"flags": "+ildct+ilme", "x264-params": "tff=1"})
    assert probe(path).is_interlaced
    assert frame_numbers_seen(read_frames(path, ALL).pixels) == list(range(20))


def test_an_hour_at_a_low_rate(write_clip, frame_numbers_seen):
    path = write_clip("hour.mp4", 361, shown_at_s=[10.0 * i for i in range(361)])
    assert probe(path).duration_s == pytest.approx(3610, abs=10)
    frames = read_frames(path, FrameSampling(num_frames=7))
    assert frames.shown_at_s.tolist() == [0, 600, 1200, 1800, 2400, 3000, 3600]
    assert frame_numbers_seen(frames.pixels) == [(60 * i) % 25 for i in range(7)]
    # A window between two frames has the frame on display.
    assert read_frames(path, FrameSampling(start_s=12, end_s=14)).shown_at_s.tolist() == [10]


@pytest.mark.parametrize("held_bytes", [0, indexing.HELD_BYTES])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_planned_decoding_equals_decoding_everything(write_clip, monkeypatch, held_bytes, suffix):
    monkeypatch.setattr(indexing, "HELD_BYTES", held_bytes)  # 0: read again and seek, as in large files
    options = {"g": "24", "bf": "3", "x264-params": "open-gop=1:b-pyramid=2"}
    path = write_clip(f"open_groups.{suffix}", 100, texture=True, options=options)
    with av.open(str(path)) as container:
        everything = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    for wanted in ([0, 3, 99], [22, 23, 24, 25, 26], [47], list(range(0, 100, 7))):
        frames = read_frames(path, FrameSampling(times_s=tuple(w / 10 for w in wanted)))
        assert frames.frame_numbers.tolist() == wanted
        np.testing.assert_array_equal(frames.pixels, np.stack([everything[w] for w in wanted]))


@pytest.mark.parametrize(("size_px", "expected"), [(24, (24, 32)), (100, (48, 64)), ((20, 30), (30, 20))])
def test_size(good_clip, size_px, expected):
    assert read_frames(good_clip, size_px=size_px).pixels.shape[1:3] == expected


def test_a_folder_of_frames_with_times(tmp_path, caplog):
    for number in range(12):
        PIL.Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    assert read_frames(tmp_path, ALL).pixels[:, 0, 0, 0].tolist() == list(range(12))  # 10 after 9
    assert "no timestamps" in caplog.text
    (tmp_path / "timestamps.txt").write_text("\n".join(str(5 + i / 4) for i in range(12)))
    frames = read_frames(tmp_path, FrameSampling(start_s=1, end_s=2))
    assert frames.shown_at_s.tolist() == [1, 1.25, 1.5, 1.75, 2]
    clip_s = [2 + i / 4 for i in range(12)]
    (tmp_path / "timestamps.txt").unlink()
    (tmp_path / "timestamps.json").write_text(json.dumps({"shown_at_s": clip_s}))
    assert read_frames(tmp_path, ALL).shown_at_s.tolist() == clip_s  # as the clip has them
    (tmp_path / "timestamps.json").write_text(json.dumps(clip_s))
    assert read_frames(tmp_path, ALL).shown_at_s.tolist() == [i / 4 for i in range(12)]
    for broken in ({"shown_at_s": [-1.0, *clip_s[1:]]}, {"times": clip_s}, {"shown_at_s": clip_s[:3]}):
        (tmp_path / "timestamps.json").write_text(json.dumps(broken))
        with pytest.raises(MediaError, match=r"want|no list of seconds"):
            read_frames(tmp_path)
    (tmp_path / "timestamps.txt").write_text("1 2 3")
    with pytest.raises(MediaError, match="want 12 times"):
        read_frames(tmp_path)


def test_lists_and_frames(good_clip):
    pictures = [np.full((6, 8, 3), i, dtype=np.uint8) for i in range(3)]
    frames = Frames.from_arrays(pictures, [0, 0.5, 3])
    assert read_frames(frames, FrameSampling(times_s=(0.7,))).pixels[0, 0, 0, 0] == 1
    assert len(read_frames([PIL.Image.fromarray(p) for p in pictures])) == 3
    with pytest.raises(TooLongError):
        read_frames(pictures, limits=DecodeLimits(max_frames_walked=2))
    with pytest.raises(MediaError, match="of one size"):
        Frames.from_arrays([pictures[0], pictures[1][:3]], [0, 1])
    with pytest.raises(MediaError, match="never decrease"):
        Frames.from_arrays(pictures, [0, 2, 1])
    with pytest.raises(MediaError, match="times of 3 frames"):
        Frames.from_arrays(pictures, [0, 2])


def test_a_picture_is_a_clip_of_one_frame(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn a quarter to the right
    PIL.Image.new("RGB", (8, 6), (200, 0, 0)).save(tmp_path / "photo.mp4", format="jpeg", exif=exif)
    assert is_image(tmp_path / "photo.mp4")  # by content
    assert read_image(tmp_path / "photo.mp4").shape == (8, 6, 3)
    assert read_frames(tmp_path / "photo.mp4").shown_at_s.tolist() == [0.0]
    buffer = io.BytesIO()
    PIL.Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(buffer, format="png")
    assert read_image(buffer.getvalue()).min() == 255


def test_recorded_frame_of_the_published_code(shared_folder: Path):
    safetensors = pytest.importorskip("safetensors.numpy")
    recorded = safetensors.load_file(shared_folder / "golden/common/golden.safetensors")
    sampling = FrameSampling(rule="valley-2023")
    frames = read_frames(shared_folder / "clips/valley_a.mp4", sampling)
    np.testing.assert_array_equal(frames.pixels[4], recorded["video_A/raw_frame_4"])
    short = read_frames(shared_folder / "golden/common/media/synth_b.mp4", sampling)
    np.testing.assert_array_equal(
        short.pixels, recorded["synth_b.mp4/raw_unique_frames"][[0, 0, 1, 1, 2, 2, 3, 4]]
    )
