"""Copies are found whatever was done to them; strangers are not, and neither are films of trailers."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from valley.collection.near_duplicates import NearDuplicate, find_near_duplicates, set_distance
from valley.video.encoding import write_video
from valley.video.looking import look
from valley.video.perceptual_hash import EMPTY, mirrored


def stranger(seed: int, length: int = 8) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(64) for _ in range(length)]


def changed(hashes: list[int], num_bits: int, *, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [h ^ sum(1 << bit for bit in rng.sample(range(64), num_bits)) for h in hashes]


@pytest.mark.parametrize("num_bits", range(8))
def test_a_copy_that_differs_in_up_to_seven_bits_is_always_found(num_bits: int) -> None:
    media = {f"own {i}": stranger(i) for i in range(40)}
    media |= {f"copy {i}": changed(stranger(i), num_bits, seed=i) for i in range(40)}
    found = find_near_duplicates(media)
    assert found == [NearDuplicate(f"copy {i}", f"own {i}", float(num_bits)) for i in range(40)]


def test_a_mirrored_copy_is_found() -> None:
    own = stranger(1)
    found = find_near_duplicates({"a": own, "b": [mirrored(h) for h in changed(own, 3)]})
    assert found == [NearDuplicate("b", "a", 3.0)]


def test_a_copy_of_a_copy_is_a_copy_of_the_first() -> None:
    own = stranger(1)
    found = find_near_duplicates({"a": own, "b": own, "c": changed(own, 2)})
    assert [(f.later, f.earlier) for f in found] == [("b", "a"), ("c", "a")]


def test_the_earlier_of_two_is_kept_whichever_it_is() -> None:
    own = stranger(1)
    assert find_near_duplicates({"b": changed(own, 2), "a": own}) == [NearDuplicate("a", "b", 2.0)]


def test_strangers_are_none() -> None:
    assert find_near_duplicates({str(i): stranger(i, 20) for i in range(300)}) == []


def test_a_shared_title_makes_no_copy() -> None:
    title = stranger(99, 3)
    media = {str(i): title + stranger(i, 5) for i in range(20)}
    assert find_near_duplicates(media) == []
    assert set_distance(media["0"], media["1"]) == math.inf


def test_a_copy_with_a_title_put_before_it_is_found() -> None:
    own = stranger(1)
    found = find_near_duplicates({"a": own, "b": stranger(2, 2) + changed(own, 2)})
    assert [(f.later, f.earlier) for f in found] == [("b", "a")]


def test_an_excerpt_is_a_copy_and_what_holds_it_is_not() -> None:
    film = stranger(1, 40)
    assert [f.later for f in find_near_duplicates({"film": film, "trailer": film[10:16]})] == ["trailer"]
    assert find_near_duplicates({"trailer": film[10:16], "film": film}) == []


def test_empty_pictures_say_nothing() -> None:
    black = [EMPTY] * 10
    media = {"a": black, "b": black, "c": [], "d": [*black, *stranger(1)], "e": [*black, *stranger(2)]}
    assert find_near_duplicates(media) == []
    assert set_distance(black, black) == math.inf


def test_pictures_must_be_nearer() -> None:
    own = stranger(1, 1)
    assert [f.distance for f in find_near_duplicates({"a": own, "b": changed(own, 7)})] == [7.0]
    assert find_near_duplicates({"a": own, "b": changed(own, 9)}) == []
    assert find_near_duplicates({"a": own, "b": changed(own, 7)}, most_distance=6) == []


def test_many_copies_are_all_copies_of_the_first() -> None:
    own = stranger(1, 20)
    media = {str(i): changed(own, 2, seed=i) for i in range(400)}
    found = find_near_duplicates(media)
    assert [f.later for f in found] == [str(i) for i in range(1, 400)]
    assert {f.earlier for f in found} == {"0"}


def test_edited_clips_are_found_by_their_pictures(tmp_path) -> None:
    def frames(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:96, 0:128] / 128
        waves = [(rng.normal(0, 4, 3), rng.uniform(0, 6.3), rng.uniform(20, 50)) for _ in range(8)]
        pictures = [
            sum(h * np.sin(2 * np.pi * (a * x + b * y + 0.05 * c * t) + p) for (a, b, c), p, h in waves)
            for t in np.arange(20) / 10
        ]
        return np.clip(128 + np.stack(pictures)[..., None] * (1.0, 0.8, 0.6), 0, 255).astype(np.uint8)

    def hashes(pixels: np.ndarray, crf: int) -> list[int]:
        return list(look(write_video(tmp_path / "a.mp4", pixels, fps=10, crf=crf)).hashes)

    own = frames(1)
    media = {
        "own": hashes(own, 20),
        "other": hashes(frames(2), 20),
        "half": hashes(own[:, ::2, ::2], 32),
        "cropped": hashes(own[:, 2:-2, 4:-4], 25),
        "brighter": hashes(np.clip(own * 1.2 + 10, 0, 255).astype(np.uint8), 25),
        "mirrored": hashes(own[:, :, ::-1], 25),
    }
    found = find_near_duplicates(media)
    assert {(f.later, f.earlier) for f in found} == {
        (name, "own") for name in ("half", "cropped", "brighter", "mirrored")
    }
