"""Batches of samples that are about equally long, so that little padding is computed. No medium is opened.

Lengths are estimated: words from the index of the files, visual tokens from the number of frames. What is
known only once a clip is open (frames at a rate in a whole clip, subtitles) is not counted.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from transformers.trainer_pt_utils import get_length_grouped_indices

from valley.conversation import Conversation, Image, Video
from valley.errors import ConversationError
from valley.model.processing_valley import ValleyProcessor
from valley.training.config import MediaSettings
from valley.training.dataset import ConversationFiles, Source, TrainingDataset
from valley.training.labelling import encode
from valley.training.media import Sample

# Samples that are encoded to learn how many tokens a byte of text takes, and a turn.
_NUM_ENCODED = 64
# Samples that are rendered to learn how long such samples are.
_NUM_RENDERED = 4


class GroupedByLength(Dataset[dict[str, Tensor]]):
    """The same samples in the order in which they are trained on: another one each epoch, by the seed alone.

    The order is that of transformers' `group_by_length`. That setting itself reads every sample before the
    first step, and draws from a generator that differs between processes and after an interruption.
    """

    def __init__(
        self, dataset: Dataset[dict[str, Tensor]], lengths: Sequence[int], *, group_size: int, seed: int
    ) -> None:
        """Remember what decides the order.

        Args:
            dataset: the samples.
            lengths: of each sample, estimated.
            group_size: samples of a step, over all processes and accumulated batches.
            seed: the run's.
        """
        self.dataset, self.group_size, self.seed = dataset, group_size, seed
        self._lengths = np.asarray(lengths, dtype=np.int64)
        self._epoch = multiprocessing.Value("q", 0)  # loader processes that stay alive see it too
        self._known: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Encode the sample that comes at this place in this epoch; see `TrainingDataset`."""
        return self.dataset[int(self.order(self._epoch.value)[index])]

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; the trainer's loader calls this."""
        self._epoch.value = epoch

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Give the numbers of the samples in the order of an epoch."""
        if self._known is None or self._known[0] != epoch:
            words = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint32)
            generator = torch.Generator().manual_seed(int(words[0]))
            order = get_length_grouped_indices(
                self._lengths.tolist(), min(self.group_size, len(self)), generator=generator
            )
            self._known = (epoch, np.asarray(order, dtype=np.int64))
        return self._known[1]


def estimate_lengths(
    dataset: TrainingDataset, settings: MediaSettings, *, default_num_frames: int
) -> NDArray[np.int64]:
    """Estimate the tokens of every sample, in the order of the data set."""
    by_source = [
        _of_files(source, dataset.processor, settings, default_num_frames)
        if isinstance(source, ConversationFiles)
        else _of_rendered(source, dataset.processor)
        for source in dataset.sources
    ]
    places = (dataset.place(index) for index in range(len(dataset)))
    lengths = np.fromiter((by_source[which][number] for which, number in places), np.int64, len(dataset))
    return lengths if dataset.max_length is None else np.minimum(lengths, dataset.max_length)


def _of_files(
    source: ConversationFiles, processor: ValleyProcessor, settings: MediaSettings, default_num_frames: int
) -> NDArray[np.int64]:
    @lru_cache
    def of_frames(num_frames: int) -> int:
        return processor.num_clip_tokens(np.arange(num_frames, dtype=np.float64))

    sizes = np.zeros((len(source), 2))
    visual = np.zeros(len(source))
    for index in range(len(source)):
        conversation = source.conversation(index)
        sizes[index] = _size(conversation)
        visual[index] = sum(
            of_frames(_num_frames(part, settings, default_num_frames)) for part in conversation.media
        )
    return np.maximum(1, np.rint(sizes @ _tokens_per_size(source, processor, sizes) + visual)).astype(
        np.int64
    )


def _size(conversation: Conversation) -> tuple[int, int]:
    """Give the bytes of a conversation's words, and its turns."""
    return sum(len(m.text.encode()) for m in conversation.messages), len(conversation.messages)


def _tokens_per_size(
    source: ConversationFiles, processor: ValleyProcessor, sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Encode the words of a few conversations, and fit tokens to bytes and turns."""
    chosen, tokens = [], []
    step = max(1, len(source) // _NUM_ENCODED)
    for index in range(0, len(source), step)[:_NUM_ENCODED]:
        words = Sample(source.conversation(index), unreadable="only its words are asked for")
        try:
            tokens.append(len(encode(processor, words)["input_ids"]))
        except ConversationError:  # it says nothing to learn: the run will name it
            continue
        chosen.append(index)
    if not chosen:
        return np.ones(2)
    fitted: Any = np.linalg.lstsq(sizes[chosen], np.asarray(tokens, dtype=np.float64), rcond=None)
    return fitted[0]


def _num_frames(part: Image | Video, settings: MediaSettings, default_num_frames: int) -> int:
    """Say how many frames a medium gives, as far as that is known before it is opened."""
    if isinstance(part, Image):
        return 1
    if settings.fps is None or part.end_s is None:
        return settings.num_frames or default_num_frames
    at_rate = max(1, int((part.end_s - (part.start_s or 0.0)) * settings.fps) + 1)
    return at_rate if settings.num_frames is None else min(at_rate, settings.num_frames)


def _of_rendered(source: Source, processor: ValleyProcessor) -> NDArray[np.int64]:
    """Take samples of which nothing is known beforehand for equally long."""
    few = range(min(_NUM_RENDERED, len(source)))
    lengths = [len(encode(processor, source.sample(index))["input_ids"]) for index in few]
    return np.full(len(source), round(float(np.mean(lengths))) if lengths else 1, np.int64)
