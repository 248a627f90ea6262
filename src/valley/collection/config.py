"""What a collection is told: one frozen, strict record, read from a YAML recipe and `a.b=v` overrides.

Paths are taken from the folder in which the command runs, as on any command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from valley.collection.caption_filter import CaptionSettings
from valley.collection.source import UNKNOWN_LANGUAGE, SourceOptions
from valley.manifest import UNKNOWN_LICENCE
from valley.recipe import StrictSettings, checked, override, read_recipe

SAID_BY_THE_USER = "said by the user"


class SourceSettings(StrictSettings):
    """One source and what is said about it; see `valley.collection.source.SourceOptions`."""

    source: str
    path: Path
    media_root: Path | None = None
    licence: str = Field(default=UNKNOWN_LICENCE, min_length=1)
    licence_evidence: str = ""
    attribution: str = ""
    language: str = UNKNOWN_LANGUAGE
    settings: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _evidence_of_something(self) -> SourceSettings:
        if self.licence_evidence and self.licence == UNKNOWN_LICENCE:
            raise ValueError("licence_evidence: want a licence as well, which it is evidence of")
        return self

    @property
    def options(self) -> SourceOptions:
        """The same for the source itself; a licence without evidence was said by the user."""
        known = self.licence != UNKNOWN_LICENCE
        return SourceOptions(
            path=self.path.expanduser().absolute(),
            media_root=self.media_root and self.media_root.expanduser().absolute(),
            licence=self.licence,
            licence_evidence=self.licence_evidence or (SAID_BY_THE_USER if known else ""),
            attribution=self.attribution,
            language=self.language,
            settings=self.settings,
        )


class TriageSettings(StrictSettings):
    """Which media are refused by what a look at them said; a bound that is null refuses none."""

    # A clip that shows something for a tenth of its time is worth keeping; one that does not is a fade.
    most_black_ratio: float | None = Field(default=0.9, ge=0, le=1)
    # Slides and photographs with music: nothing moves in them.
    most_static_ratio: float | None = Field(default=0.98, ge=0, le=1)
    fewest_seconds: NonNegativeFloat | None = 0.5
    most_seconds: PositiveFloat | None = None
    # Of the shorter side: less than half of what the smallest usual vision tower sees.
    fewest_pixels: PositiveInt | None = 96


class LookSettings(StrictSettings):
    """What reading one medium may cost before it is stopped."""

    timeout_s: PositiveFloat = 60.0
    # An hour of 480p has some 500 MB, and is looked at in six minutes or less; this allows half an hour.
    timeout_s_per_mb: NonNegativeFloat = 4.0
    max_memory_gb: PositiveFloat = 4.0


class SplitSettings(StrictSettings):
    """Shares of the splits; the rest is for training."""

    validation: float = Field(default=0.01, ge=0, le=1)
    test: float = Field(default=0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _leaves_some(self) -> SplitSettings:
        if self.validation + self.test > 1:
            raise ValueError(f"want shares of at most 1 together, got {self.validation + self.test:g}")
        return self


class FetchSettings(StrictSettings):
    """How media are fetched; the bounds hold for each."""

    num_connections: PositiveInt = 16
    # A host that sees more of one visitor at once takes it for an attack.
    num_connections_per_host: PositiveInt = 4
    most_starts_per_s: PositiveFloat = 10.0
    max_gb: PositiveFloat = 2.0
    timeout_s: PositiveFloat = 600.0
    max_attempts: PositiveInt = 5
    first_backoff_s: NonNegativeFloat = 1.0
    allow_private_addresses: bool = False


class CollectConfig(StrictSettings):
    """A whole collection; see recipes/collect/mixed.yaml for an example with comments."""

    sources: tuple[SourceSettings, ...] = Field(min_length=1)
    out: Path | None = None
    # Local media are copied into the collection; otherwise they stay where they are and are referred to.
    copy_media: bool = False
    # Recorded in what is written; media of unknown licence are collected in any case.
    allow_unknown_licence: bool = False
    fetch: FetchSettings = FetchSettings()
    look: LookSettings = LookSettings()
    triage: TriageSettings = TriageSettings()
    # Mean number of bits, of 64, in which the pictures of two media differ; null keeps all.
    near_duplicate_distance: PositiveFloat | None = 12.0
    captions: CaptionSettings = CaptionSettings()
    splits: SplitSettings = SplitSettings()
    # The run stops before the disk has less than this.
    keep_free_mb: NonNegativeInt = 1000

    def anchored(self) -> CollectConfig:
        """Give the same with absolute paths, and without the folder it goes to: good from anywhere."""
        sources = [
            settings.model_copy(update={"path": options.path, "media_root": options.media_root})
            for settings in self.sources
            for options in (settings.options,)
        ]
        return self.model_copy(update={"sources": tuple(sources), "out": None})


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> CollectConfig:
    """Read a recipe and apply overrides such as ``captions.balance=true`` or ``sources.0.licence=CC0-1.0``.

    Raises:
        ConfigError: the file is absent or no YAML, or a setting is unknown, missing or contradicts another.
    """
    fields = read_recipe(path)
    for words in overrides:
        override(fields, words)
    return checked(CollectConfig, fields, where=str(path))
