"""The embedded model on clips it never saw, read from real files: it sees; without sight it guesses."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest

import valley
from valley.evaluation.benchmark import BENCHMARKS, Item
from valley.inference.backend import GenerationParams
from valley.inference.valley import Valley

SEED = 5  # not the seed of the scores in README
NUM_CLIPS = 60
# (task, at least, at most on black frames): a quarter of the directions, about a quarter of the shapes and a
# sixth of the colours are right by chance; the slack is what about 50 questions need to hold by luck alone.
WANTED = [("color", 0.90, 0.35), ("shape", 0.90, 0.45), ("direction", 0.80, 0.48)]
ASSETS = Path(valley.__file__).parent / "assets" / "valley-mini"


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[float]]:
    benchmark = BENCHMARKS.get("synthetic")
    items = benchmark.items(tmp_path_factory.mktemp("clips"), num_clips=NUM_CLIPS, seed=SEED)
    model = Valley.from_pretrained("valley-mini")
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for item in items:
        if "one_object" in item.tags and item.task in {task for task, _, _ in WANTED}:
            found[item.task, item.variant].append(benchmark.score(item, answer(model, item)))
    return found


def answer(model: Valley, item: Item) -> str:
    params = GenerationParams(max_new_tokens=32)
    with closing(model.backend.stream(item.conversation, params)) as pieces:
        return "".join(p.text for p in pieces)


@pytest.mark.parametrize(("task", "at_least", "blind_at_most"), WANTED, ids=[task for task, _, _ in WANTED])
def test_it_sees(
    scores: dict[tuple[str, str], list[float]], task: str, at_least: float, blind_at_most: float
) -> None:
    seen, blind = scores[task, "normal"], scores[task, "blind"]
    assert len(seen) == len(blind) > 25
    assert sum(seen) / len(seen) >= at_least
    assert sum(blind) / len(blind) <= blind_at_most


def test_it_is_small_and_names_no_folder() -> None:
    assert sum(f.stat().st_size for f in ASSETS.iterdir()) < 25e6
    config = json.loads((ASSETS / "config.json").read_text(encoding="utf-8"))
    for part in (config, config["vision_config"], config["text_config"]):
        assert "/" not in part.get("_name_or_path", "")
