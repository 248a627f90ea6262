"""Footage that is not of the synthetic world: repeatable, varied, and never the world's own clips."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from valley.synthetic.foreign import FOREIGN_SHARES, draw_foreign, draw_kind, write_foreign_video
from valley.synthetic.world import COLORS
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling

PHOTOS = ("surfaces", "terrain", "landscape", "people", "night")


def draws(count: int, kind: str | None = None, num_frames: int = 4) -> list[np.ndarray]:
    return [draw_foreign(np.random.default_rng([5, i]), num_frames, 32, kind=kind) for i in range(count)]


@pytest.mark.parametrize("kind", FOREIGN_SHARES)
def test_the_same_generator_state_gives_the_same_clip_and_another_state_another(kind: str) -> None:
    first, again, other = (draw_foreign(np.random.default_rng(n), 3, 48, kind=kind) for n in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", FOREIGN_SHARES)
@pytest.mark.parametrize(("num_frames", "size_px"), [(1, 64), (2, 33), (7, 32), (8, 64), (12, 128)])
def test_any_number_of_frames_and_any_size(kind: str, num_frames: int, size_px: int) -> None:
    for seed in range(2):
        clip = draw_foreign(np.random.default_rng(seed), num_frames, size_px, kind=kind)
        assert clip.dtype == np.uint8
        assert clip.shape == (num_frames, size_px, size_px, 3)


def test_the_shares_are_what_is_drawn_and_mostly_like_photographs() -> None:
    assert sum(FOREIGN_SHARES.values()) == pytest.approx(1)
    assert 0.65 < sum(FOREIGN_SHARES[kind] for kind in PHOTOS) < 0.75
    rng = np.random.default_rng(0)
    counts = Counter(draw_kind(rng) for _ in range(3000))
    assert {kind: counts[kind] / 3000 for kind in FOREIGN_SHARES} == pytest.approx(FOREIGN_SHARES, abs=0.03)


def test_a_draw_without_a_kind_draws_the_kind_first() -> None:
    rng = np.random.default_rng(3)
    kind = draw_kind(rng)
    expected = draw_foreign(rng, 2, 32, kind=kind)
    assert np.array_equal(draw_foreign(np.random.default_rng(3), 2, 32), expected)


def test_photographs_are_dark_and_bright_dull_and_colourful_flat_and_full_of_contrast() -> None:
    clips = np.stack([clip for kind in PHOTOS for clip in draws(40, kind)]) / 255
    grey = clips.mean(-1)
    chroma = np.ptp(clips, axis=-1).mean(axis=(1, 2, 3))
    brightness, contrast = grey.mean(axis=(1, 2, 3)), grey.std(axis=(2, 3)).mean(1)
    assert np.quantile(brightness, 0.1) < 0.15 < 0.55 < np.quantile(brightness, 0.9)
    assert np.quantile(contrast, 0.1) < 0.1 < 0.2 < np.quantile(contrast, 0.9)
    assert np.quantile(chroma, 0.1) < 0.05 < 0.2 < np.quantile(chroma, 0.9)


def test_most_photographs_move_and_a_good_part_hardly_does() -> None:
    clips = np.stack([clip for kind in PHOTOS for clip in draws(40, kind)]).astype(float)
    change = np.abs(np.diff(clips.mean(-1), axis=1)).mean(axis=(1, 2, 3))
    assert 0.2 < (change < 5).mean() < 0.6


def test_nothing_of_the_world_is_on_empty_pictures() -> None:
    clips = np.stack(draws(60, "empty")).astype(int)
    assert len({int(clip.mean()) // 16 for clip in clips}) > 6
    dull = [clip for clip in clips if clip.max() < 150]
    assert len(dull) > 20
    for color in COLORS.values():
        assert all((np.abs(clip - np.array(color)).sum(-1) > 60).all() for clip in dull)


def test_nights_are_dark_but_have_lights() -> None:
    clips = np.stack(draws(40, "night"))
    assert np.median(clips.mean(axis=(1, 2, 3, 4))) < 70
    assert np.median(clips.max(axis=(1, 2, 3, 4))) > 120


def test_a_written_clip_reads_back(tmp_path: Path) -> None:
    path = write_foreign_video(
        np.random.default_rng(1), tmp_path / "a.mp4", num_frames=12, fps=12.0, size_px=64
    )
    frames = read_frames(path, FrameSampling(num_frames=4))
    drawn = draw_foreign(np.random.default_rng(1), 12, 64)
    assert frames.pixels.shape == (4, 64, 64, 3)
    assert np.abs(frames.pixels[0].astype(float) - drawn[0]).mean() < 20


@pytest.mark.parametrize(("num_frames", "size_px", "kind"), [(0, 64, None), (4, 8, None), (4, 64, "opera")])
def test_what_cannot_be_drawn_is_refused(num_frames: int, size_px: int, kind: str | None) -> None:
    with pytest.raises(ValueError, match="want 1 or more frames"):
        draw_foreign(np.random.default_rng(0), num_frames, size_px, kind=kind)
