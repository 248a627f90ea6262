"""Videos with known content, written by PyAV: frame i of `numbered` is a plain gray that tells i."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from valley.video.encoding import write_video

settings.register_profile("no deadline", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("no deadline")

STEP = 9  # gray levels between two frames: far above what a codec changes
WriteClip = Callable[..., Path]


def numbered(num_frames: int, *, width_px: int = 64, height_px: int = 48) -> Iterator[NDArray[np.uint8]]:
    for number in range(num_frames):
        yield np.full((height_px, width_px, 3), 10 + STEP * (number % 25), dtype=np.uint8)


def textured(num_frames: int, *, width_px: int = 96, height_px: int = 64) -> Iterator[NDArray[np.uint8]]:
    """Moving noise: every frame differs from the others everywhere, so that wrong references show."""
    texture = np.random.default_rng(5).integers(0, 256, (height_px, width_px * 2, 3), dtype=np.uint8)
    smooth = (texture.astype(np.uint16) + np.roll(texture, 1, 0) + np.roll(texture, 1, 1)) // 3
    for number in range(num_frames):
        yield np.roll(smooth, number * 3, axis=1)[:, :width_px].astype(np.uint8)


@pytest.fixture(scope="session")
def frame_numbers_seen() -> Callable[[NDArray[np.uint8]], list[int]]:
    def read(pixels: NDArray[np.uint8]) -> list[int]:
        middle = pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2].astype(float).mean(axis=-1)
        return np.round((middle - 10) / STEP).astype(int).tolist()

    return read


@pytest.fixture(scope="session")
def write_clip(tmp_path_factory: pytest.TempPathFactory) -> WriteClip:
    folder = tmp_path_factory.mktemp("clips")

    def write(name: str, num_frames: int = 20, *, texture: bool = False, **options: object) -> Path:
        """Write a clip, once a name: every test that names it asks for the same."""
        if (folder / name).exists():
            return folder / name
        size = {k: options.pop(k) for k in ("width_px", "height_px") if k in options}
        pictures = (textured if texture else numbered)(num_frames, **size)
        if "shown_at_s" not in options:
            options.setdefault("fps", 10)
        return write_video(folder / name, pictures, **options)

    return write


@pytest.fixture(scope="session")
def good_clip(write_clip: WriteClip) -> Path:
    return write_clip("good.mp4")


@pytest.fixture(scope="session")
def long_groups_clip(write_clip: WriteClip) -> Path:
    """Four groups of 30 frames with B-frames."""
    return write_clip("groups.mp4", 120, texture=True, fps=30, options={"g": "30", "bf": "3"})


@pytest.fixture(scope="session")
def rotated_clip(good_clip: Path) -> Path:
    """Frames stored lying, with the display matrix phones write."""
    path = good_clip.with_name("rotated.mp4")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)
        for number in range(5):
            picture = np.zeros((48, 64, 3), dtype=np.uint8)
            picture[:, 32:] = 255  # the right half is bright as stored
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def audio_only(good_clip: Path) -> Path:
    path = good_clip.with_name("audio.mp4")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for block in range(8):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 16000, block * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def late_clip(good_clip: Path) -> Path:
    """A stream whose first frame has the time 7 s."""
    path = good_clip.with_name("late.mkv")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, picture in enumerate(numbered(20)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 70 + number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def damaged_clip(long_groups_clip: Path) -> Path:
    """Packets 35 to 50 of 120 hold nonsense; the other groups of pictures are sound."""
    path = long_groups_clip.with_name("damaged.mp4")
    with av.open(str(long_groups_clip)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(long_groups_clip.read_bytes())
    for position, size in packets[35:50]:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    return path


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    folder = Path(__file__).parents[3].parent / "shared"
    if not folder.is_dir():
        pytest.skip("the shared clips and golden data are not beside this checkout")
    return folder
