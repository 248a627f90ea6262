"""Fetch a conversation's media where the samples are made, and keep count of what cannot be read."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from valley.conversation import Conversation, Image, Video
from valley.errors import MediaError, SamplingError, ValleyError
from valley.training.config import MediaSettings
from valley.training.feature_cache import FeatureCache, SeenMedium
from valley.training.quarantine import append_record, quarantine_record
from valley.video.decoding import read_frames, read_image
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling
from valley.video.subtitles import as_prompt, read_subtitles

Medium: TypeAlias = Frames | NDArray[np.uint8] | SeenMedium

# A fraction of fewer media than this says nothing about the set.
MIN_MEDIA_FOR_FRACTION = 20


class BadMediaError(ValleyError):
    """So many media of a data set cannot be read that the run is stopped."""


@dataclass(frozen=True)
class Sample:
    """One conversation with its media, in the order in which the conversation names them.

    A clip is `Frames`, a picture u8[H, W, 3]; either is a `SeenMedium` where its features are kept.
    `subtitles` has the timed text of each medium as it goes into the prompt, empty where there is none; the
    whole is empty where nobody asked. `unreadable` says why the sample must not be learned from.
    """

    conversation: Conversation
    media: tuple[Medium, ...] = ()
    subtitles: tuple[str, ...] = ()
    unreadable: str = ""


def _new_counts() -> Any:  # noqa: ANN401
    return multiprocessing.Array("q", 2)


@dataclass
class MediaTally:
    """Count media over all loader processes of this rank; write the bad ones down; stop a hopeless run."""

    settings: MediaSettings
    quarantine_path: Path | None = None
    # Where all media so far are bad, so many are enough to stop: a set may have fewer than 20.
    hopeless_after: int = MIN_MEDIA_FOR_FRACTION
    counts: Any = field(default_factory=_new_counts)  # shared by the loader processes: read, unreadable

    @property
    def num_read(self) -> int:
        """Media asked for so far, readable or not."""
        return int(self.counts[0])

    @property
    def num_bad(self) -> int:
        """Media that could not be read so far."""
        return int(self.counts[1])

    def good(self) -> None:
        """Count one medium that could be read."""
        with self.counts.get_lock():
            self.counts[0] += 1

    def bad(self, error: MediaError | SamplingError, *, sample_id: str, source: str = "") -> None:
        """Count one medium that could not be read, and act as the settings say.

        Args:
            error: why.
            sample_id: the conversation's id.
            source: the medium, for a SamplingError (a window outside the clip), which does not know it.

        Raises:
            MediaError: the medium's own error, with `on_bad_media: raise`; or the SamplingError.
            BadMediaError: more than `max_bad_fraction` of all media so far are bad.
        """
        told = error if isinstance(error, MediaError) else SamplingError(f"{source}: {error}")
        if self.settings.on_bad_media == "raise":
            raise told
        with self.counts.get_lock():
            self.counts[0] += 1
            self.counts[1] += 1
            num_read, num_bad = int(self.counts[0]), int(self.counts[1])
        if self.settings.on_bad_media == "quarantine" and self.quarantine_path is not None:
            reason = error.reason if isinstance(error, MediaError) else str(error)
            where = error.source if isinstance(error, MediaError) else source
            record = quarantine_record(where, type(error).__name__, reason, sample_id=sample_id)
            append_record(self.quarantine_path, record)
        limit = self.settings.max_bad_fraction
        enough = self.hopeless_after if num_bad == num_read else MIN_MEDIA_FOR_FRACTION
        if num_read >= enough and num_bad > limit * num_read:
            raise BadMediaError(
                f"{num_bad} of {num_read} media cannot be read, more than max_bad_fraction={limit}; "
                f"the last one: {told}"
            )


def load_media(
    conversation: Conversation,
    *,
    settings: MediaSettings,
    default_num_frames: int,
    tally: MediaTally,
    cache: FeatureCache | None = None,
) -> Sample:
    """Read every medium of a conversation, or look up what the tower saw of it.

    Raises:
        MediaError: a medium cannot be read and `on_bad_media` is "raise".
        SamplingError: likewise, and its window lies outside the clip.
        BadMediaError: too many could not be read.
    """
    media: list[Medium] = []
    subtitles: list[str] = []
    for part in conversation.media:
        try:
            seen = None if cache is None else cache.get(part)
            media.append(read_medium(part, settings, default_num_frames) if seen is None else seen)
            subtitles.append(_read_subtitles(part))
        except (MediaError, SamplingError) as error:
            tally.bad(error, sample_id=conversation.id, source=str(part.source))
            return Sample(conversation, unreadable=str(error))
        tally.good()
    return Sample(conversation, tuple(media), tuple(subtitles))


def read_medium(
    part: Image | Video, settings: MediaSettings, default_num_frames: int
) -> Frames | NDArray[np.uint8]:
    """Read one medium: the frames of a clip that the settings ask for, or a picture.

    Raises:
        MediaError: it cannot be read.
        SamplingError: its window lies outside the clip.
    """
    if isinstance(part, Image):
        return read_image(part.source)
    num_frames = settings.num_frames
    if num_frames is None and settings.fps is None:
        num_frames = default_num_frames
    sampling = FrameSampling(num_frames=num_frames, fps=settings.fps, start_s=part.start_s, end_s=part.end_s)
    return read_frames(part.source, sampling)


def _read_subtitles(part: Image | Video) -> str:
    if isinstance(part, Image) or part.subtitles == "off" or isinstance(part.source, bytes):
        return ""
    return as_prompt(read_subtitles(part.source, part.subtitles), part.start_s, part.end_s)
