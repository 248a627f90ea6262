"""Damaged clips by the thousand: each gives frames or an error of its kind, within limits, and no leak."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from serving.fuzzing import ManyJobs, mutated, num_open_files, seeds
from serving.serving_kit import about, serve, video
from valley import errors
from valley.errors import MediaError
from valley.serving.media import MediaSettings

KINDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, MediaError | errors.SamplingError)
}


@pytest.fixture(scope="module")
def sound():
    return seeds()


def test_the_sound_ones_are_sound(sound):
    """Otherwise their changes would show nothing."""
    with ManyJobs() as child:
        for name, data in sound.items():
            assert child.decode(data, on_damage="raise") == "frames", name


@pytest.mark.parametrize("num", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_changed_media(sound, num):
    rng = np.random.default_rng(num)
    names = list(sound)
    with ManyJobs() as child:
        for number in range(num):
            name = names[number % len(names)]
            data = mutated(sound[name], sound[names[int(rng.integers(len(names)))]], rng)
            outcome = child.decode(data, on_damage="warn" if number % 2 else "raise")
            assert outcome == "frames" or outcome in KINDS, f"{name}, number {number}: {outcome}"
    assert child.outcomes["frames"] > num // 20
    assert len(child.outcomes) > 3


@pytest.mark.parametrize("num", [14, pytest.param(280, marks=pytest.mark.slow)])
def test_changed_media_through_the_server(engine, sound, tmp_path, num):
    rng = np.random.default_rng(num + 1)
    names = list(sound)
    media = MediaSettings(keep_free_bytes=0, spool_bytes=4_000_000, max_video_bytes=2_000_000)
    with serve(engine, tmp_path / "spool", media=media) as server:
        statuses = []
        open_files = 0
        for number in range(num):
            data = mutated(sound[names[number % len(names)]], sound[names[0]], rng)
            url = f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
            response = server.post({"messages": about(video(url))})
            statuses.append(response.status_code)
            assert response.status_code in (200, 400), response.text
            assert str(tmp_path) not in response.text
            if number == num // 2:
                open_files = num_open_files()
        assert num_open_files() <= open_files + 4
        assert set(statuses) == {200, 400}
        folder = next(p for p in (tmp_path / "spool").iterdir() if p.is_dir())
        assert list(folder.glob("draft-*")) == []
        assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= 4_000_000
    assert list((tmp_path / "spool").iterdir()) == []
