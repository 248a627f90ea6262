"""Sources of conversations behind one map-style dataset: sample i is the same in every run and epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from valley.conversation import Conversation, Image, Video
from valley.errors import ConfigError, MediaError, SamplingError, ValleyError
from valley.model.processing_valley import ValleyProcessor
from valley.synthetic.stream import SampleStream
from valley.training.config import DataSource, MediaSettings, SyntheticSettings
from valley.training.conversation_store import ConversationStore, open_store
from valley.training.feature_cache import FeatureCache
from valley.training.labelling import encode
from valley.training.media import MediaTally, Sample, load_media


class SampleError(ValleyError):
    """A sample cannot be made. It has one argument, so that it crosses from a loader process as itself."""

    @classmethod
    def without_traceback(cls, error: SampleError) -> SampleError:
        """Take the one sentence out of the traceback as which a loader process hands an error on."""
        last_line = str(error).strip().splitlines()[-1]
        return cls(last_line.partition(f"{cls.__name__}: ")[2] or last_line)


@runtime_checkable
class Source(Protocol):
    """Numbered samples; `sample` is called in the loader's worker processes."""

    def __len__(self) -> int:
        """How many samples there are."""
        ...

    def sample(self, index: int) -> Sample:
        """Make sample `index`, always the same one."""
        ...

    def fingerprint(self) -> str:
        """A hash that changes when the samples do."""
        ...


@dataclass(frozen=True)
class ConversationFiles:
    """Conversations of JSONL files; their media are read when a sample is asked for."""

    stores: tuple[ConversationStore, ...]
    settings: MediaSettings
    default_num_frames: int
    tally: MediaTally
    cache: FeatureCache | None = None

    def __len__(self) -> int:
        """How many conversations the files hold."""
        return sum(len(store) for store in self.stores)

    def conversation(self, index: int) -> Conversation:
        """Look conversation `index` up; its media are not read."""
        for store in self.stores:
            if index < len(store):
                return store[index]
            index -= len(store)
        raise IndexError(f"want a conversation below {len(self)}")

    def sample(self, index: int) -> Sample:
        """Read the media of conversation `index`."""
        return load_media(
            self.conversation(index),
            settings=self.settings,
            default_num_frames=self.default_num_frames,
            tally=self.tally,
            cache=self.cache,
        )

    def media(self) -> Iterator[Image | Video]:
        """List the media of all conversations, as often as they occur."""
        for index in range(len(self)):
            yield from self.conversation(index).media

    def fingerprint(self) -> str:
        """Hash the files' bytes; the media are not read."""
        return hashlib.sha256("".join(store.sha256() for store in self.stores).encode()).hexdigest()


@dataclass(frozen=True)
class RenderedSamples:
    """Clips rendered while training, with what is said about them."""

    settings: SyntheticSettings
    stream: SampleStream

    def __len__(self) -> int:
        """How many of the endless samples make one pass."""
        return self.settings.num_samples

    def sample(self, index: int) -> Sample:
        """Render sample `index`."""
        made = self.stream.sample(index)
        if made.frames is None:
            return Sample(made.conversation)
        (part,) = made.conversation.media
        return Sample(made.conversation, (made.frames.pixels[0] if isinstance(part, Image) else made.frames,))

    def fingerprint(self) -> str:
        """Hash the settings, which decide every sample."""
        return hashlib.sha256(self.settings.model_dump_json().encode()).hexdigest()


class TrainingDataset(torch.utils.data.Dataset[dict[str, Tensor]]):
    """A weighted mixture of sources as encoded rows.

    With weight w, a source of n samples takes round(w * n) places: each sample floor(w) or ceil(w) times. The
    trainer's sampler, seeded by the run, decides the order.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Source, float]],
        processor: ValleyProcessor,
        *,
        max_length: int | None = None,
        max_tokens: Sequence[int | None] = (),
        seed: int = 0,
    ) -> None:
        self.sources = tuple(source for source, _ in sources)
        self.processor = processor
        self.max_length = max_length
        self._ends: list[int] = []
        self._chosen: list[list[int] | None] = []
        for number, (source, weight) in enumerate(sources):
            budget = max_tokens[number] if number < len(max_tokens) else None
            chosen = None if budget is None else self._within(source, budget, seed=seed + number)
            self._chosen.append(chosen)
            places = round(weight * (len(source) if chosen is None else len(chosen)))
            self._ends.append((self._ends[-1] if self._ends else 0) + places)
        if not self._ends or self._ends[-1] == 0:
            raise ConfigError("want at least one sample to train on, got none: the data sources are empty")

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Encode sample `index`; see `labelling.encode` for the tensors.

        Raises:
            SampleError: a medium cannot be read, or the conversation does not fit.
        """
        try:
            row = encode(self.processor, self.sample(index), max_length=self.max_length)
            return row | {"sample_number": torch.tensor(index)}
        except ValleyError as error:
            raise SampleError(f"sample {index}: {error}") from error

    def sample(self, index: int) -> Sample:
        """Make sample `index` without encoding it."""
        which, number = self.place(index)
        return self.sources[which].sample(number)

    def place(self, index: int) -> tuple[int, int]:
        """Say where sample `index` comes from: the number of the source, and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"want a sample from 0 to {len(self) - 1}, got {index}")
        which = next(i for i, end in enumerate(self._ends) if index < end)
        number = index - (self._ends[which - 1] if which else 0)
        chosen = self._chosen[which]
        if chosen is None:
            return which, number % len(self.sources[which])
        return which, chosen[number % len(chosen)]

    def _within(self, source: Source, budget: int, *, seed: int) -> list[int]:
        """Choose samples at random, without replacement, until the next one would exceed the tokens."""
        chosen, used, source = [], 0, uncounted(source)
        for number in np.random.default_rng(seed).permutation(len(source)).tolist():
            try:
                row = encode(self.processor, source.sample(number), max_length=self.max_length)
            except (MediaError, SamplingError):
                continue
            used += len(row["input_ids"])
            if used > budget:
                break
            chosen.append(number)
        if not chosen:
            raise ConfigError(f"max_tokens {budget}: not one sample is as short as that")
        return chosen

    def fingerprint(self) -> str:
        """A hash over all sources and their shares."""
        digest = hashlib.sha256(repr((self._ends, self._chosen)).encode())
        for source in self.sources:
            digest.update(source.fingerprint().encode())
        return digest.hexdigest()


def uncounted(source: Source) -> Source:
    """Give the same samples without counting their media; one that cannot be read raises."""
    if not isinstance(source, ConversationFiles):
        return source
    settings = source.settings.model_copy(update={"on_bad_media": "raise"})
    return replace(source, tally=MediaTally(settings))


def make_source(
    source: DataSource,
    *,
    settings: MediaSettings,
    default_num_frames: int,
    tally: MediaTally,
    index_dir: Path,
) -> Source:
    """Open one source of a recipe.

    Raises:
        ConfigError: a file is absent.
        ConversationError: a line is no conversation; the message names file and line.
    """
    if source.synthetic is not None:
        return RenderedSamples(source.synthetic, _open_stream(source.synthetic))
    stores = tuple(open_store(path, index_dir) for path in source.path or ())
    return ConversationFiles(stores, settings, default_num_frames, tally)


def _open_stream(settings: SyntheticSettings) -> SampleStream:
    return SampleStream(
        kind=settings.kind,
        seed=settings.seed,
        languages=settings.languages,
        size_px=settings.size_px,
        num_frames=settings.num_frames,
        max_rounds=settings.max_rounds,
        rich_share=settings.rich_share,
        foreign_share=settings.foreign_share,
        blank=settings.blank,
    )
