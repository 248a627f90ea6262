"""What cannot be read: a fifth of a data set costs that fifth alone, a whole set ends the run at once."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from valley.conversation import Conversation, Image, Video, assistant, user, write_jsonl
from valley.training.config import make_config
from valley.training.dataset import SampleError
from valley.training.run import train
from valley.training.scanning import check_medium, media_uses, scan, write_quarantine

BAD = {
    "empty": (Video("empty.mp4"), "EmptyMediaError"),
    "torn": (Video("torn.mp4"), "TruncatedError"),
    "words": (Video("words.mp4"), "NotAVideoError"),
    "lost": (Image("lost.png"), "MediaNotFoundError"),
    "late": (Video("a.mp4", 50.0, 60.0), "SamplingError"),
}


@pytest.fixture
def folder(tmp_path: Path, clip_files: Path) -> Path:
    """A sound clip, and all that can be wrong with one."""
    shutil.copy(clip_files / "a.mp4", tmp_path / "a.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "torn.mp4").write_bytes((clip_files / "a.mp4").read_bytes()[:300])
    (tmp_path / "words.mp4").write_bytes(b"this is no clip " * 9)
    return tmp_path


def write(path: Path, media: dict[str, Video | Image]) -> Path:
    chats = [Conversation((user(m, "Which way?"), assistant("Right.")), id=name) for name, m in media.items()]
    write_jsonl(path, chats)
    return path


@pytest.fixture
def config(base: Path, folder: Path):
    def make(data: Path, trainer: dict | None = None, **media):
        return make_config(
            {
                "stage": "align",
                "model": {"checkpoint": str(base)},
                "data": {"path": str(data)},
                "media": {"on_bad_media": "quarantine", **media},
                "output_dir": str(folder / "out"),
                "index_dir": str(folder / "index"),
                "feature_cache": {"use": "never"},
                "report": False,
                "trainer": {"per_device_train_batch_size": 5, "num_train_epochs": 1, "report_to": "none"}
                | (trainer or {}),
            }
        )

    return make


@pytest.mark.parametrize("settings", [{}, {"num_train_epochs": 2, "dataloader_num_workers": 2}])
def test_a_fifth_that_is_bad_is_exactly_what_is_put_aside(settings: dict, config, folder: Path) -> None:
    media = {f"good-{n}": Video("a.mp4") for n in range(20)} | {name: m for name, (m, _) in BAD.items()}
    data = write(folder / "data.jsonl", media)
    run = config(data, settings, max_bad_fraction=0.5)
    epochs = settings.get("num_train_epochs", 1)
    result = train(run)
    assert result.num_steps == epochs * len(media) // 5
    assert result.num_bad_media == epochs * len(BAD)
    lines = (run.output_dir / "quarantine.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert {r["sample"]: r["kind"] for r in records} == {name: kind for name, (_, kind) in BAD.items()}
    assert len(lines) == len(BAD)
    uses = media_uses(data)  # a scan beforehand says the same
    write_quarantine(
        folder / "q.jsonl", scan(uses, folder / "notes", num_workers=1, check=check_medium), uses
    )
    scanned = [json.loads(line) for line in (folder / "q.jsonl").read_text().splitlines()]
    assert sorted(map(str, scanned)) == sorted(map(str, records))


@pytest.mark.parametrize("num_samples", [5, 60])
def test_a_set_that_is_wholly_bad_ends_the_run_at_once(num_samples: int, config, folder: Path) -> None:
    kinds = list(BAD.values())
    data = write(folder / "data.jsonl", {str(n): kinds[n % 5][0] for n in range(num_samples)})
    started_s = time.monotonic()
    with pytest.raises(SampleError, match=r"of \d+ media cannot be read, more than max_bad_fraction=0\.05"):
        train(config(data, {"num_train_epochs": 50}))
    assert time.monotonic() - started_s < 10
    assert not (folder / "out").exists()


@pytest.mark.parametrize("on_bad_media", ["raise", "skip"])
def test_a_window_outside_the_clip_is_a_bad_medium(on_bad_media: str, config, folder: Path) -> None:
    data = write(folder / "data.jsonl", {"late": BAD["late"][0], "good": Video("a.mp4")})
    run = config(data, on_bad_media=on_bad_media)
    if on_bad_media == "raise":
        with pytest.raises(SampleError, match=r"sample 0: \S*a\.mp4: start_s 50 lies outside the clip"):
            train(run)
        return
    assert train(run).num_bad_media == 1
    assert not (run.output_dir / "quarantine.jsonl").exists()
