"""Time to the first token of the first and of the second question about the same video, in one run.

The second question decodes nothing, runs no vision tower, and finds the keys and values of the first in the
cache. Rounds of (first, second) alternate and forget everything before, so that both see the same machine.

    python benchmarks/chat.py [--model valley-mini] [--clip a.mp4] [--rounds 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np

from valley import Valley, Video
from valley.inference.backends.transformers import TransformersBackend
from valley.video.encoding import write_video

QUESTIONS = ("Which way does the object move?", "What colour is it?")
TARGET = 3.0


def measure(valley: Valley, clip: Path, rounds: int) -> list[dict[str, float]]:
    """Ask two questions a round; the first round warms up and is thrown away."""
    backend = valley.backend
    assert isinstance(backend, TransformersBackend)
    times = []
    for _ in range(rounds + 1):
        backend.forget()
        chat = valley.chat(Video(str(clip)), max_new_tokens=8)
        row: dict[str, float] = {}
        for name, question in zip(("first", "second"), QUESTIONS, strict=True):
            list(chat.ask(question))
            assert chat.last is not None
            timing = chat.last.timing_s
            row[f"{name}_s"] = timing.first_token
            row[f"{name}_without_reading_s"] = timing.first_token - timing.prepare
        times.append(row)
    return times[1:]


def summarise(times: list[dict[str, float]]) -> dict[str, float]:
    """Take the median of every time, and of the ratio within each round."""
    medians = {name: statistics.median(row[name] for row in times) for name in times[0]}
    ratio = statistics.median(row["first_s"] / row["second_s"] for row in times)
    without = statistics.median(
        row["first_without_reading_s"] / row["second_without_reading_s"] for row in times
    )
    return {**medians, "ratio": ratio, "ratio_without_reading": without, "target": TARGET}


def make_clip(path: Path) -> None:
    """Write four seconds of a moving square, as large as the clips that valley-mini was trained on."""
    pixels = np.full((96, 128, 128, 3), 60, np.uint8)
    for number, frame in enumerate(pixels):
        frame[48:80, number : number + 32] = (220, 40, 40)
    write_video(path, pixels, fps=24)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="valley-mini")
    parser.add_argument("--clip", type=Path, help="a video; a rendered one of four seconds unless given")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    valley = Valley.from_pretrained(options.model)
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or Path(folder) / "clip.mp4"
        if options.clip is None:
            make_clip(clip)
        result = summarise(measure(valley, clip, options.rounds))
    if options.json:
        print(json.dumps({"model": valley.name, "rounds": options.rounds, **result}, indent=2))
        return
    print(f"{valley.name}, {options.rounds} rounds, median time to the first token")
    for name in ("first", "second"):
        whole, part = result[f"{name}_s"], result[f"{name}_without_reading_s"]
        print(
            f"  {name:6} question {1000 * whole:8.1f} ms   ({1000 * part:.1f} ms without reading and prompt)"
        )
    print(f"  ratio           {result['ratio']:8.1f}      (to reach: {TARGET})")


if __name__ == "__main__":
    main()
