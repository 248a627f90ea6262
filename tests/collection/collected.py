"""Small clips, settings and looks into manifests for the tests of collecting."""

import hashlib
from pathlib import Path

import numpy as np

from valley.collection.config import CollectConfig
from valley.collection.executor import EXECUTORS
from valley.collection.pipeline import Result, Running, collect
from valley.manifest import TABLES, read_table, table_path
from valley.video.encoding import write_video

GLANCE = "collection.pipeline_tasks:glance"


def make_clips(folder: Path, number: int, *, num_frames: int = 4, first: int = 0) -> Path:
    """Write clips of a second, all different, each with a caption beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"preset": "ultrafast"}
    for index in range(first, first + number):
        generator = np.random.default_rng(index)
        pixels = generator.integers(0, 256, (num_frames, 32, 32, 3), dtype=np.uint8)
        write_video(folder / f"{index:04d}.mp4", pixels, fps=num_frames, options=options)
        (folder / f"{index:04d}.txt").write_text(f"A dog number {index} runs over a green field.")
    return folder


def settings(folder: Path, **more: object) -> CollectConfig:
    """Ask for a folder; nothing is refused for being small."""
    source = {"source": "folder", "path": str(folder), "licence": "CC0-1.0", **more.pop("about", {})}
    fields = {
        "sources": [source],
        "triage": {"fewest_pixels": None, "fewest_seconds": None},
        "near_duplicate_distance": None,
        "keep_free_mb": 0,
        "captions": {"phrases": "chunks"},
        **more,
    }
    return CollectConfig.model_validate(fields)


def run(
    config: CollectConfig, corpus: Path, *, executor: str = "inline", task: str = GLANCE, **more: object
) -> Result:
    """Collect by a quick look."""
    return collect(config, corpus, Running(EXECUTORS.get(executor), task=task, **more))


def rows(corpus: Path, table: str) -> list[dict]:
    """Read a table."""
    return read_table(corpus, table).to_pylist()


def digests(corpus: Path) -> dict[str, str]:
    """Hash the manifest."""
    return {table: hashlib.sha256(table_path(corpus, table).read_bytes()).hexdigest() for table in TABLES}


def same_time(*corpora: Path) -> None:
    """Give begun collections one time, as if they were one that is run in different ways."""
    words = (corpora[0] / "collection.json").read_text()
    for corpus in corpora[1:]:
        corpus.mkdir(exist_ok=True)
        (corpus / "collection.json").write_text(words)
