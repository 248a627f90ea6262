"""One look at a clip: hashes, triage, bad files, records."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from unit.video.moving import scene
from valley.errors import (
    DamagedError,
    EmptyMediaError,
    MediaNotFoundError,
    NotAVideoError,
    NoVideoStreamError,
    TooLongError,
    TruncatedError,
    UnknownNameError,
)
from valley.video.encoding import write_video
from valley.video.limits import DecodeLimits
from valley.video.looking import Look, look
from valley.video.perceptual_hash import EMPTY, hash_distance, mirrored, perceptual_hash
from valley.video.small_frames import SAMPLE_HEIGHT_PX, SAMPLE_WIDTH_PX, Sample
from valley.video.triage import TriageCounter

FPS = 20
NEAR_BITS = 8  # of 64; pictures that have nothing to do with each other differ in about 32


def luma(seed: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(scene(seed)(0)).convert("L").resize((SAMPLE_WIDTH_PX, SAMPLE_HEIGHT_PX))
    return np.asarray(picture)


def moving(seed: int, num_frames: int = 60) -> list[NDArray[np.uint8]]:
    show = scene(seed)
    return [show(i) for i in range(num_frames)]


def test_a_hash_outlives_exposure_size_and_noise():
    picture = luma(1)
    random = np.random.default_rng(0)
    small = np.asarray(Image.fromarray(picture).resize((128, 80)))
    for changed in (
        (picture * 0.6).astype(np.uint8),
        np.clip(picture + 20.0, 0, 255).astype(np.uint8),
        small,
        np.clip(picture + random.normal(0, 8, picture.shape), 0, 255).astype(np.uint8),
    ):
        assert hash_distance(perceptual_hash(picture), perceptual_hash(changed)) <= NEAR_BITS


def test_hashes_of_other_pictures_are_far():
    hashes = [perceptual_hash(luma(seed)) for seed in range(12)]
    distances = [hash_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 2 * NEAR_BITS
    assert np.mean(distances) == pytest.approx(32, abs=3)


@pytest.mark.parametrize("seed", range(5))
def test_the_hash_of_a_mirrored_picture_needs_no_picture(seed):
    value = perceptual_hash(luma(seed))
    assert mirrored(value) == perceptual_hash(np.ascontiguousarray(luma(seed)[:, ::-1]))
    assert mirrored(mirrored(value)) == value
    assert hash_distance(value, mirrored(value)) > 2 * NEAR_BITS


def test_an_empty_picture_says_nothing():
    assert perceptual_hash(np.full((64, 64), 128, dtype=np.uint8)) == EMPTY == mirrored(EMPTY)
    with pytest.raises(ValueError, match="want at least 32 x 32 pixels, got 64 x 20"):
        perceptual_hash(np.zeros((20, 64), dtype=np.uint8))


def test_hashes_outlive_another_encoder_rate_and_size(tmp_path):
    pictures = moving(3)
    first = write_video(tmp_path / "a.mp4", pictures, fps=FPS, crf=20)
    half = [np.asarray(Image.fromarray(p).resize((96, 64))) for p in pictures]
    second = write_video(tmp_path / "b.mkv", half, fps=FPS, codec="mpeg4", options={"b": "200000"})
    a, b = look(first).hashes, look(second).hashes
    assert len(a) == len(b) == 6  # three seconds, one every half
    assert max(hash_distance(x, y) for x, y in zip(a, b, strict=True)) <= NEAR_BITS


def test_hashes_are_of_the_picture_as_shown(tmp_path):
    shown = moving(9, 5)
    upright = write_video(tmp_path / "up.mp4", shown, fps=10)
    path = tmp_path / "lying.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = shown[0].shape[1], shown[0].shape[0], "yuv420p"
        stream.set_display_rotation(90)  # as phones write it
        for number, picture in enumerate(shown):
            stored = np.ascontiguousarray(np.rot90(picture, -1))
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert hash_distance(look(path).hashes[0], look(upright).hashes[0]) <= NEAR_BITS


def test_proposing_hashes_nearly_the_same(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving(4), fps=FPS, options={"bf": "3"})
    full, fewer = look(path, detector="valley_full").hashes, look(path).hashes
    assert max(hash_distance(x, y) for x, y in zip(full, fewer, strict=True)) <= NEAR_BITS


def test_triage_tells_black_frozen_and_blurred_clips(tmp_path):
    sharp = moving(5, 40)
    black = [np.zeros_like(sharp[0])] * 40
    soft = [np.asarray(Image.fromarray(p).resize((12, 8)).resize((192, 128))) for p in sharp]
    looks = {
        name: look(write_video(tmp_path / f"{name}.mp4", pictures, fps=FPS))
        for name, pictures in {
            "sharp": sharp,
            "half black": black[:20] + sharp[20:],
            "frozen": sharp[:1] * 40,
            "soft": soft,
            "dark": [p // 3 for p in sharp],
        }.items()
    }
    assert looks["sharp"].black_ratio == 0
    assert looks["half black"].black_ratio == 0.5
    assert looks["frozen"].static_ratio == 1
    assert looks["frozen"].motion < 0.005
    assert looks["sharp"].static_ratio == 0
    assert looks["sharp"].motion > 0.01
    assert looks["soft"].sharpness < 0.5 * looks["sharp"].sharpness
    assert looks["dark"].brightness == pytest.approx(looks["sharp"].brightness / 3, abs=0.03)


def test_the_scale_of_brightness_is_that_of_film():
    for level, wanted in ((16, 0), (235, 1), (126, 0.5)):
        counter = TriageCounter()
        counter.see(Sample(0.0, np.full((SAMPLE_HEIGHT_PX, SAMPLE_WIDTH_PX), level, dtype=np.uint8)))
        assert counter.result().brightness == pytest.approx(wanted, abs=0.01)
        assert counter.result().black_ratio == (level == 16)


@pytest.mark.parametrize("detector", ["valley", "valley_full"])
def test_bad_files_raise_their_kind(tmp_path, good_clip, audio_only, damaged_clip, detector):
    picture, empty, cut = tmp_path / "still.mp4", tmp_path / "empty.mp4", tmp_path / "cut.mp4"
    Image.new("RGB", (64, 48), "red").save(picture, format="png")
    empty.write_bytes(b"")
    data = good_clip.read_bytes()
    cut.write_bytes(data[: data.rindex(b"moov") - 4])
    for path, kind in {
        picture: NotAVideoError,
        empty: EmptyMediaError,
        cut: TruncatedError,
        tmp_path: NotAVideoError,
        audio_only: NoVideoStreamError,
        damaged_clip: DamagedError,
        tmp_path / "absent.mp4": MediaNotFoundError,
    }.items():
        with pytest.raises(kind) as caught:
            look(path, detector=detector)
        assert str(path) in str(caught.value)


def test_frames_that_the_header_promises_and_the_file_lacks(tmp_path):
    whole, index_first = write_video(tmp_path / "a.mp4", moving(6), fps=FPS), tmp_path / "b.mp4"
    with (
        av.open(str(whole)) as read,
        av.open(str(index_first), "w", options={"movflags": "faststart"}) as write,
    ):
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                write.mux(packet)
    assert look(index_first).num_frames == 60
    data = index_first.read_bytes()
    index_first.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(TruncatedError, match=r"of 60 frames are missing"):
        look(index_first)


def test_limits_hold(good_clip):
    with pytest.raises(TooLongError):
        look(good_clip, limits=DecodeLimits(max_frames_walked=5))
    with pytest.raises(UnknownNameError, match="did you mean 'valley'"):
        look(good_clip, detector="vally")


def test_a_record_is_json_and_back(good_clip):
    found = look(good_clip)
    assert Look.from_record(json.loads(json.dumps(found.to_record()))) == found
    assert all(0 <= h < 2**64 for h in found.hashes)


def run_cli(*arguments: str | Path) -> str:
    program = "import sys; from valley.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def two_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "two.mp4"
    return write_video(path, moving(7, 30) + moving(8, 30), fps=FPS)


def test_the_command_prints_json(two_shots):
    said = json.loads(run_cli("shots", two_shots, "--json"))
    assert [(s["start_s"], s["end_s"], s["transition"]) for s in said["shots"]] == [
        (0, 1.5, "start"),
        (1.5, 3, "cut"),
    ]


def test_the_command_draws_a_sheet(two_shots, tmp_path):
    sheet = tmp_path / "sheet.png"
    said = run_cli("shots", two_shots, "-o", sheet)
    assert "1.50" in said
    assert "cut" in said
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 200
        assert picture.height > 2 * 100
