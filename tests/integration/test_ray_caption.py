"""`examples/ray_caption.py` describes a folder of clips, and goes on where it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from valley.conversation import Video
from valley.inference.valley import Valley

pytestmark = pytest.mark.slow
pytest.importorskip("ray", reason="needs Ray: pip install 'valley-vl[ray]'")

SCRIPT = Path(__file__).parents[2] / "examples" / "ray_caption.py"


def _run(*words: object) -> str:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _rows(out: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return [row for file in sorted(out.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_a_folder_is_described_once(clip_files: Path, tmp_path: Path) -> None:
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    shutil.copy(clip_files / "a.mp4", clips)
    (clips / "bad.mp4").write_text("these are only words")
    _run(clips, out, "--features", "--max-new-tokens", 16)
    rows = {Path(row["path"]).name: row for row in _rows(out)}
    assert rows.keys() == {"a.mp4", "bad.mp4"}
    assert "bad.mp4" in rows["bad.mp4"]["error"]
    answer = Valley.from_pretrained("valley-mini").answer(
        [Video(str(clips / "a.mp4")), "Describe the video."], max_new_tokens=16
    )
    described = rows["a.mp4"]
    assert (described["answer"], described["error"]) == (str(answer), "")
    assert tuple(described["timestamps_s"]) == answer.media[0].timestamps_s
    assert len(described["features"]) == answer.usage.visual
    shutil.copy(clip_files / "b.mp4", clips)
    (clips / "bad.mp4").unlink()
    assert "1 clips to describe, 1 done before" in _run(clips, out, "--features", "--max-new-tokens", 16)
    assert sorted(Path(row["path"]).name for row in _rows(out)) == ["a.mp4", "b.mp4", "bad.mp4"]
