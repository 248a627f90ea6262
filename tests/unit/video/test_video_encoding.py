import numpy as np
import pytest

from valley.errors import MediaError
from valley.video.decoding import read_frames
from valley.video.encoding import write_video

PICTURES = [np.full((48, 64, 3), 20 * i, dtype=np.uint8) for i in range(6)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_the_same_frames_give_the_same_bytes(tmp_path, name):
    (tmp_path / "again").mkdir()
    first = write_video(tmp_path / name, PICTURES, fps=24, crf=18)
    second = write_video(tmp_path / "again" / name, PICTURES, fps=24, crf=18)
    assert first.read_bytes() == second.read_bytes()


def test_a_failure_leaves_no_file(tmp_path):
    for pictures in ([], [*PICTURES, np.zeros((24, 64, 3), dtype=np.uint8)]):
        with pytest.raises(MediaError):
            write_video(tmp_path / "a.mp4", pictures, fps=24)
    with pytest.raises(MediaError, match="fewer times"):
        write_video(tmp_path / "a.mp4", PICTURES, shown_at_s=[0.0, 1.0])
    with pytest.raises(MediaError, match="either fps or shown_at_s"):
        write_video(tmp_path / "a.mp4", PICTURES)
    assert list(tmp_path.iterdir()) == []


def test_times_are_kept(tmp_path):
    times = [0.0, 0.04, 0.5, 0.75, 2.0, 2.1]
    path = write_video(tmp_path / "a.mp4", PICTURES, shown_at_s=times)
    np.testing.assert_allclose(read_frames(path).shown_at_s, times, atol=1e-4)


def test_what_cannot_be_written_is_said_with_its_name(tmp_path):
    for name, reason in (("a.xyz", "no container '.xyz'"), ("a", "no container ''")):
        with pytest.raises(MediaError, match=reason):
            write_video(tmp_path / name, PICTURES, fps=24)
    with pytest.raises(MediaError, match=r"nowhere/a\.mp4: cannot be written: no such file"):
        write_video(tmp_path / "nowhere" / "a.mp4", PICTURES, fps=24)
    assert list(tmp_path.iterdir()) == []
