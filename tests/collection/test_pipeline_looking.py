"""With the look that users get: pictures and clips, copies that were encoded again, what is no medium."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collection.collected import rows, run, settings
from valley.collection.looking import TASK, examine
from valley.video.encoding import write_video
from valley.video.perceptual_hash import hash_distance


def picture(seed: int, shift: int = 0) -> np.ndarray:
    """Make blocks of colour, and the same moved."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    return np.roll(np.kron(blocks, np.ones((24, 24, 1), dtype=np.uint8)), shift, axis=1)


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("media") / "mine"
    folder.mkdir()
    frames = [picture(1, shift) for shift in range(0, 72, 3)] + [
        picture(2, shift) for shift in range(0, 72, 3)
    ]
    write_video(folder / "two_shots.mp4", frames, fps=24, options={"preset": "ultrafast"})
    write_video(folder / "two_shots_again.mp4", frames, fps=24, crf=38, options={"preset": "ultrafast"})
    write_video(folder / "black.mp4", [np.zeros((144, 240, 3), np.uint8)] * 48, fps=24)
    Image.fromarray(picture(3)).save(folder / "photo.png")
    Image.fromarray(picture(3)).save(folder / "photo_again.jpg", quality=60)
    (folder / "page.mp4").write_text("<html>not found</html>")
    return folder


def test_what_a_look_says_goes_into_the_manifest(media, tmp_path):
    config = settings(media, triage={}, near_duplicate_distance=12.0)
    result = run(config, tmp_path, task=TASK)
    assert result.summary is not None
    by_name = {Path(row["uri"]).name: row for row in rows(tmp_path, "media")}
    assert set(by_name) == {"two_shots.mp4", "photo.png"}
    clip, photo = by_name["two_shots.mp4"], by_name["photo.png"]
    assert (clip["kind"], clip["width_px"], clip["height_px"], clip["duration_s"]) == ("video", 240, 144, 2.0)
    assert (clip["num_frames"], clip["video_codec"], clip["is_variable_rate"]) == (48, "h264", False)
    assert len(clip["hashes"]) == 4
    assert (photo["kind"], photo["container"], photo["duration_s"]) == ("image", "png", None)
    shots = [row for row in rows(tmp_path, "clip") if row["level"] == "shot"]
    assert [(row["start_us"], row["end_us"], row["transition"]) for row in shots] == [
        (0, 1_000_000, "start"),
        (1_000_000, 2_000_000, "cut"),
    ]
    refused = {row["source_item_id"]: row for row in rows(tmp_path, "quarantine")}
    assert {name: (row["stage"], row["reason"]) for name, row in refused.items()} == {
        "two_shots_again.mp4": ("near_duplicates", "near_duplicate"),
        "photo_again.jpg": ("near_duplicates", "near_duplicate"),
        "black.mp4": ("triage", "black"),
        "page.mp4": ("look", "not_a_video"),
    }
    assert refused["black.mp4"]["number"] == 1.0
    assert refused["two_shots_again.mp4"]["number"] < 12
    assert refused["two_shots_again.mp4"]["detail"] == f"like {clip['media_id']}"


def test_a_picture_has_the_hash_of_a_frame_that_shows_it(tmp_path):
    Image.fromarray(picture(5)).save(tmp_path / "photo.png")
    write_video(tmp_path / "still.mp4", [picture(5)] * 12, fps=12)
    hashes = [
        examine(path=str(path), size_bytes=path.stat().st_size, sha256="")["found"]["look"]["hashes"][0]
        for path in (tmp_path / "photo.png", tmp_path / "still.mp4")
    ]
    assert hash_distance(*hashes) <= 4
