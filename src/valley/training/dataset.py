"""Sources of conversations behind one map-style dataset: sample i is the same in every run and epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from valley.conversation import Conversation, Image, read_jsonl
from valley.errors import ConfigError, ValleyError
from valley.model.processing_valley import ValleyProcessor
from valley.synthetic.stream import SampleStream
from valley.training.config import DataSource, MediaSettings, SyntheticSettings
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

    paths: tuple[Path, ...]
    conversations: tuple[Conversation, ...]
    settings: MediaSettings
    default_num_frames: int
    tally: MediaTally

    def __len__(self) -> int:
        """How many conversations the files hold."""
        return len(self.conversations)

    def sample(self, index: int) -> Sample:
        """Read the media of conversation `index`."""
        return load_media(
            self.conversations[index],
            settings=self.settings,
            default_num_frames=self.default_num_frames,
            tally=self.tally,
        )

    def fingerprint(self) -> str:
        """Hash the files' bytes; the media are not read."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(path.read_bytes())
        return digest.hexdigest()


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
    ) -> None:
        self.sources = tuple(source for source, _ in sources)
        self.processor = processor
        self.max_length = max_length
        self._ends: list[int] = []
        for source, weight in sources:
            places = round(weight * len(source))
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
            return encode(self.processor, self.sample(index), max_length=self.max_length)
        except ValleyError as error:
            raise SampleError(f"sample {index}: {error}") from error

    def sample(self, index: int) -> Sample:
        """Make sample `index` without encoding it."""
        if not 0 <= index < len(self):
            raise IndexError(f"want a sample from 0 to {len(self) - 1}, got {index}")
        which = next(i for i, end in enumerate(self._ends) if index < end)
        source = self.sources[which]
        first = self._ends[which - 1] if which else 0
        return source.sample((index - first) % len(source))

    def fingerprint(self) -> str:
        """A hash over all sources and their shares."""
        digest = hashlib.sha256(repr(self._ends).encode())
        for source in self.sources:
            digest.update(source.fingerprint().encode())
        return digest.hexdigest()


def make_source(
    source: DataSource, *, settings: MediaSettings, default_num_frames: int, tally: MediaTally
) -> Source:
    """Open one source of a recipe.

    Raises:
        ConfigError: a file is absent.
        ConversationError: a line is no conversation; the message names file and line.
    """
    if source.synthetic is not None:
        return RenderedSamples(source.synthetic, _open_stream(source.synthetic))
    paths = source.path or ()
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file of conversations")
    conversations = tuple(c for path in paths for c in read_jsonl(path))
    return ConversationFiles(paths, conversations, settings, default_num_frames, tally)


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
