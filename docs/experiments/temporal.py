"""What is temporal pooling worth? Trains both stages with each pooling at equal budget; fills temporal.md.

    make mini                                    # or any folder with a taught vision tower and language model
    OMP_NUM_THREADS=1 python docs/experiments/temporal.py --parts out/mini-2h --out out/temporal --jobs 2

Every variant starts from the same tower and the same language model, sees the same clips in the same order,
and is trained for the same number of steps; only what is between them differs. Finished runs are not run
again, an interrupted one goes on. Questions are about fresh clips of held-back seeds; an answer counts if
every word is right (the most likely word at every place, which is what greedy decoding would say).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from valley.conversation import Conversation, Video, assistant, user
from valley.evaluation.metrics import percent, wilson_interval
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.synthetic import questions
from valley.synthetic.dataset import scene_number
from valley.synthetic.stream import Drawn, SampleStream
from valley.synthetic.timing import sampled_times
from valley.synthetic.truth import truth_of
from valley.synthetic.world import LANGUAGES
from valley.training.collator import Collator
from valley.training.config import make_config, read_fields
from valley.training.labelling import IGNORED_LABEL, encode
from valley.training.media import Sample
from valley.training.progress import TrainingEvent
from valley.training.run import train
from valley.video.frames import Frames

HERE = Path(__file__).parent
RECIPES = HERE.parents[1] / "recipes" / "mini"
TEST_SEED = 2_000_003
PAGE = """# What temporal pooling is worth

<!-- budget -->
<!-- /budget -->

![Right answers by pooling and task](temporal.svg)

<!-- poolings -->
<!-- /poolings -->

## Visual tokens against accuracy

![Right answers over the number of visual tokens](tokens.svg)

<!-- tokens -->
<!-- /tokens -->
"""
"""The page before anybody has written words around its tables."""


@dataclass(frozen=True)
class Variant:
    """One way from frames to visual tokens."""

    name: str
    pooling: str = "mean"
    options: Mapping[str, Any] = field(default_factory=dict)
    num_frames: int = 8
    blank: bool = False


POOLINGS = (
    Variant("mean"),
    Variant("importance", "importance"),
    Variant("transformer", "transformer", {"num_heads": 4, "feed_forward_dim": 256}),
    Variant("chunk", "chunk", {"frames_per_chunk": 4}),
    Variant("one frame", num_frames=1),
    Variant("blind", blank=True),
)
TOKENS = tuple(
    Variant(f"{frames} frames, chunks of {k}", "chunk", {"frames_per_chunk": k}, num_frames=frames)
    for frames, chunks in ((4, (2, 4)), (8, (2, 8)), (16, (16,)))
    for k in chunks
)
CHUNK = next(v for v in POOLINGS if v.pooling == "chunk")
BY_TOKENS = (*TOKENS[:3], CHUNK, *TOKENS[3:])
"""What is compared by its number of visual tokens; of the poolings the chunks of four are one more point."""


def main() -> None:
    """Train what is not trained yet, measure, and write the page and its plots."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=Path, default=Path("out/mini-2h"), help="holds vision/ and language/")
    parser.add_argument("--out", type=Path, default=Path("out/temporal"), help="runs and results")
    parser.add_argument("--align-steps", type=int, default=150)
    parser.add_argument("--steps", type=int, default=350, help="of stage 2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--clips", type=int, default=150, help="to ask about")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    asked = parser.parse_args()
    wanted = [(v, s) for v in POOLINGS + TOKENS for s in (asked.seeds if v in POOLINGS else asked.seeds[:1])]
    # A process for each run: what a run leaves in memory (kernels of every shape it met) goes with it.
    with ProcessPoolExecutor(asked.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        results = list(pool.map(_result, *zip(*wanted, strict=True), [asked] * len(wanted)))
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    budget = f"{asked.align_steps} steps of stage 1 and {asked.steps} of stage 2, 16 clips each"
    once = [result for result in results if result["seed"] == asked.seeds[0]]
    write_page(results, once, HERE / "temporal.md", budget=budget, num_clips=asked.clips)
    draw_poolings(results, HERE / "temporal.svg")
    draw_tokens(once, HERE / "tokens.svg")


def _result(variant: Variant, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    folder = run(variant, seed, asked)
    measured = measure(variant, folder, asked.clips)
    return {"variant": variant.name, "seed": seed, "tokens": _num_tokens(folder), **measured}


def run(variant: Variant, seed: int, asked: argparse.Namespace) -> Path:
    """Train both stages of a variant; return the folder of the second."""
    folder = asked.out / f"{variant.name.replace(' ', '-').replace(',', '')}-{seed}"
    align, instruct = folder / "align", folder / "instruct"
    for recipe, output_dir, steps in (
        ("align", align, asked.align_steps),
        ("instruct", instruct, asked.steps),
    ):
        if output_dir.exists():
            continue
        fields = read_fields(RECIPES / f"{recipe}.yaml")
        for source in fields["data"]:
            source["synthetic"] |= {
                "rich_share": 0.0,
                "foreign_share": 0.0,
                "num_frames": variant.num_frames,
                "blank": variant.blank,
                "seed": source["synthetic"]["seed"] + 1000 * seed,
            }
        if recipe == "align":
            fields["model"] |= {
                "vision_tower": str(asked.parts / "vision"),
                "language_model": str(asked.parts / "language"),
                "temporal_pooling": variant.pooling,
                "temporal_pooling_config": dict(variant.options),
                "num_frames": variant.num_frames,
                "temporal_pooling_weights": None,  # every pooling begins anew, and so does the projector
                "projector_from_lessons": False,
            }
        else:
            fields["model"] = {"checkpoint": str(align)}
            fields["learning_rates"]["temporal_pooling"] = 1e-3
        fields["trainer"] |= {"max_steps": steps, "warmup_steps": 20}
        fields |= {"output_dir": str(output_dir), "seed": seed}
        train(make_config(fields), on_event=partial(_say, f"{variant.name}, seed {seed}, {recipe}"))
    return instruct


def _say(name: str, event: TrainingEvent) -> None:
    if event.kind == "logged":
        left = "" if event.remaining_s is None else f", {event.remaining_s:.0f} s left"
        print(f"{name}: step {event.step}/{event.max_steps}, loss {event.loss:.3f}{left}", file=sys.stderr)


def _num_tokens(folder: Path) -> int:
    processor = ValleyProcessor.from_pretrained(folder)
    return processor.num_visual_tokens(processor.sampling["num_frames"])


@torch.inference_mode()
def measure(variant: Variant, folder: Path, num_clips: int) -> dict[str, Any]:
    """Ask every task once a clip; return how many answers of each task are right, and of how many."""
    known = folder / "measured.json"
    if known.exists():
        return json.loads(known.read_text(encoding="utf-8"))
    model = ValleyForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    processor = ValleyProcessor.from_pretrained(folder)
    collate = Collator(processor.tokenizer.pad_token_id)
    tally: dict[str, list[int]] = {}
    for frames, asked in _clips(variant, num_clips):
        rows = [
            encode(
                processor,
                Sample(Conversation((user(Video(""), q.text), assistant(q.answer)), q.language), (frames,)),
            )
            for q in asked
        ]
        batch = collate(rows)
        labels = batch.pop("labels")[:, 1:]
        said = model(**batch).logits.argmax(-1)[:, :-1]
        right = ((said == labels) | (labels == IGNORED_LABEL)).all(1).tolist()
        for question, is_right in zip(asked, right, strict=True):
            tally.setdefault(question.task, []).append(int(is_right))
    measured = {
        "right": {t: sum(v) for t, v in tally.items()},
        "asked": {t: len(v) for t, v in tally.items()},
    }
    known.write_text(json.dumps(measured) + "\n", encoding="utf-8")
    return measured


def _clips(variant: Variant, num_clips: int) -> Iterator[tuple[Frames, list[questions.Question]]]:
    stream = SampleStream("instructions", blank=variant.blank)
    for index in range(num_clips):
        scene = scene_number(TEST_SEED, index)
        times_s = sampled_times(scene.num_frames, scene.fps, variant.num_frames)
        if variant.num_frames == 1:
            times_s = [scene.num_frames // 2 / scene.fps]
        truth = truth_of(scene)
        pixels = stream.pixels(Drawn(scene, tuple(times_s), truth))
        asked = [
            questions.ask(
                truth,
                task,
                LANGUAGES[(index + k) % 3],
                np.random.default_rng([index, k]),
                snap=_snap(times_s),
            )
            for k, task in enumerate(questions.VIDEO_TASKS)
        ]
        yield Frames(pixels, np.asarray(times_s, np.float64)), [q for q in asked if q]


def _snap(times_s: Sequence[float]) -> Any:  # noqa: ANN401
    return lambda time_s: min(times_s, key=lambda seen_s: abs(seen_s - time_s))


def pooled(results: Sequence[dict[str, Any]], variant: str, task: str | None = None) -> list[float]:
    """Give 1 or 0 for every answer of a variant, of all its seeds; of one task or of all."""
    right = asked = 0
    for one in (r for r in results if r["variant"] == variant):
        right += sum(n for t, n in one["right"].items() if task in (None, t))
        asked += sum(n for t, n in one["asked"].items() if task in (None, t))
    return [1.0] * right + [0.0] * (asked - right)


def by_seed(results: Sequence[dict[str, Any]], variant: str) -> list[float]:
    """Give the overall percentage of each seed."""
    return [
        round(100 * sum(r["right"].values()) / sum(r["asked"].values()), 1)
        for r in results
        if r["variant"] == variant
    ]


def write_page(
    results: Sequence[dict[str, Any]],
    once: Sequence[dict[str, Any]],
    path: Path,
    *,
    budget: str,
    num_clips: int,
) -> None:
    """Fill the tables of the page between its markers; the words around them are written by hand."""
    text = path.read_text(encoding="utf-8") if path.exists() else PAGE
    tables = {
        "poolings": _poolings_table(results),
        "tokens": _tokens_table(once),
        "budget": f"Budget of every run: {budget}. Asked about {num_clips} clips a run, once a task.",
    }
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _poolings_table(results: Sequence[dict[str, Any]]) -> str:
    names = [v.name for v in POOLINGS]
    rows = [["task", *names], ["---", *["---:"] * len(names)]]
    rows += [[task, *(_cell(pooled(results, n, task)) for n in names)] for task in questions.VIDEO_TASKS]
    rows.append(["**all**", *(_cell(pooled(results, n)) for n in names)])
    rows.append(["each seed", *(" / ".join(map(str, by_seed(results, n))) for n in names)])
    rows.append(["visual tokens", *(str(_tokens_of(results, n)) for n in names)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(scores: Sequence[float]) -> str:
    if not scores:
        return ""  # so few clips that the task was never asked
    low, high = wilson_interval(scores)
    return f"{percent(scores):.1f} ({low:.0f}-{high:.0f})"


def _tokens_of(results: Sequence[dict[str, Any]], name: str) -> int:
    return next(r["tokens"] for r in results if r["variant"] == name)


def _tokens_table(results: Sequence[dict[str, Any]]) -> str:
    rows = [["frames and chunks", "visual tokens", "right answers, %"], ["---", "---:", "---:"]]
    rows += [
        [_chunks(v), str(_tokens_of(results, v.name)), _cell(pooled(results, v.name))] for v in BY_TOKENS
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _chunks(variant: Variant) -> str:
    return f"{variant.num_frames} frames, chunks of {variant.options['frames_per_chunk']}"


def draw_poolings(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the score of each pooling on each task, with intervals."""
    from matplotlib.figure import Figure

    tasks = [*questions.VIDEO_TASKS, "all"]
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(POOLINGS)
    for number, variant in enumerate(POOLINGS):
        answers = [pooled(results, variant.name, None if t == "all" else t) or [0.0] for t in tasks]
        heights = [percent(a) for a in answers]
        intervals = [wilson_interval(a) for a in answers]
        error = [
            [max(0.0, h - low) for h, (low, _) in zip(heights, intervals, strict=True)],
            [max(0.0, high - h) for h, (_, high) in zip(heights, intervals, strict=True)],
        ]
        places = [i + (number - (len(POOLINGS) - 1) / 2) * width for i in range(len(tasks))]
        axes.bar(places, heights, width, yerr=error, label=variant.name, error_kw={"lw": 0.7})
    axes.set_xticks(range(len(tasks)), tasks, rotation=25, ha="right")
    axes.set_ylim(0, 105)
    axes.set_ylabel("right answers, % (95 % interval)")
    figure.legend(loc="outside right upper")
    figure.savefig(path)


def draw_tokens(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw accuracy over the number of visual tokens, one line a frame count."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for frames in sorted({v.num_frames for v in BY_TOKENS}):
        points = sorted(
            (_tokens_of(results, v.name), percent(pooled(results, v.name)), v.options["frames_per_chunk"])
            for v in BY_TOKENS
            if v.num_frames == frames
        )
        axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", label=f"{frames} frames")
        for tokens, score, k in points:
            axes.annotate(f"k={k}", (tokens, score), textcoords="offset points", xytext=(4, 5), fontsize=8)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("visual tokens")
    axes.set_ylabel("right answers, %")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
