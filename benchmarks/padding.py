"""What grouping by length saves: the share of padding in batches in random order, and grouped.

    python benchmarks/padding.py

512 conversations, a third of them long, about a clip, a picture or nothing, as valley-mini's processor takes
them. No network is run: what is padded is counted. Also how far the estimated lengths are off.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from valley.conversation import Conversation, Image, Video, assistant, user, write_jsonl
from valley.model.processing_valley import ValleyProcessor
from valley.training.config import MediaSettings
from valley.training.conversation_store import open_store
from valley.training.dataset import ConversationFiles, TrainingDataset
from valley.training.length_grouping import GroupedByLength, estimate_lengths
from valley.training.media import MediaTally
from valley.video.encoding import write_video

MINI = Path(__file__).parents[1] / "src/valley/assets/valley-mini"
WORDS = ("the", "red", "circle", "moves", "slowly", "to", "right", "and", "then", "turns")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=16)
    asked = parser.parse_args()
    processor = ValleyProcessor.from_pretrained(MINI)
    with tempfile.TemporaryDirectory() as work:
        write_samples(Path(work), asked.samples)
        settings = MediaSettings()
        store = open_store(Path(work) / "data.jsonl", Path(work) / "index")
        dataset = TrainingDataset(
            [(ConversationFiles((store,), settings, 8, MediaTally(settings)), 1.0)], processor
        )
        estimated = estimate_lengths(dataset, settings, default_num_frames=8)
        true = np.array([len(dataset[index]["input_ids"]) for index in range(len(dataset))])
    grouped = GroupedByLength(dataset, estimated.tolist(), group_size=asked.batch_size, seed=0)
    random = np.random.default_rng(0).permutation(len(true))
    print(f"{len(true)} samples of {true.min()} to {true.max()} tokens, batches of {asked.batch_size}")
    print(f"estimate off by    {np.abs(estimated / true - 1).mean():.1%} in the mean")
    print(f"padding, random    {padding_share(true[random], asked.batch_size):.1%}")
    print(f"padding, grouped   {padding_share(true[grouped.order(0)], asked.batch_size):.1%}")


def write_samples(folder: Path, num_samples: int, seed: int = 0) -> None:
    """Write conversations about a clip, a picture, or nothing; of three answers one is long."""
    write_video(folder / "a.mp4", np.zeros((16, 64, 64, 3), np.uint8), fps=8)
    Picture.new("RGB", (64, 64)).save(folder / "a.png")
    random = np.random.default_rng(seed)
    kinds = [(Video("a.mp4"),), (Image("a.png"),), ()]
    chats = []
    for number in range(num_samples):
        length = int(random.integers(80, 240) if number % 3 == 0 else random.integers(2, 24))
        said = " ".join(random.choice(WORDS, length))
        asked = user(*kinds[int(random.integers(3))], "What happens?")
        chats.append(Conversation((asked, assistant(said)), id=str(number)))
    write_jsonl(folder / "data.jsonl", chats)


def padding_share(lengths: np.ndarray, batch_size: int) -> float:
    """Say how much of all batches is padding."""
    batches = [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]
    return 1 - lengths.sum() / sum(batch.max() * len(batch) for batch in batches)


if __name__ == "__main__":
    main()
