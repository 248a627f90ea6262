"""What a caption is, what a filter of captions is, and the settings by which captions are judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_validator

from valley.collection.source import UNKNOWN_LANGUAGE
from valley.registry import Registry

FILTERS = Registry("valley.collection.filters", attribute="FILTER", kind="caption filter")


@dataclass(frozen=True)
class Caption:
    """Words to be judged.

    Attributes:
        id: captions of equal id are one.
        text: as it stands in the source.
        language: BCP-47 tag, "und" where nobody said.
        about: the stretch of a medium that it is about; equal or near texts about the same stretch are
            merged. Empty: about something of its own.
    """

    id: str
    text: str
    language: str = UNKNOWN_LANGUAGE
    about: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a caption is not kept: a short word for counting, the number behind it, and what was found."""

    reason: str
    number: float | int
    detail: str = ""


class CaptionSettings(BaseModel):
    """How captions are judged.

    Attributes:
        filters: names of filters, in this order; the first refusal counts.
        languages: wanted tags; none: all. Text too short to tell passes.
        fewest_words: of a language with spaces. Two, "a dog", say something.
        most_words: longer ones are articles, or pages.
        fewest_characters: of a language without spaces.
        most_characters: the same.
        most_address_share: of a text's characters in URLs, e-mail addresses, handles and hashtags.
        most_boilerplate_share: of a text's characters in stock phrases.
        most_repeated_share: of words in runs that were there before (Rae et al. 2021, table A1, has 0.2 to
            0.3 for pages).
        sure_language_score: a text that its source says is in one language is refused where the model is as
            sure as this of another.
        phrases: "auto" takes the tagger HanTa for en, de, nl where it is installed and chunks elsewhere;
            "chunks" takes chunks everywhere: faster, in little memory (Dutch needs 0.8 GB a
            worker with the tagger), with verbs among the phrases.
        balance: keep few captions of what is named often.
        seed: of the choice.
        fewest: phrases named by fewer captions do not count.
        most: so many captions are kept for a phrase that more of them name.
        near_duplicates: merge texts that are nearly equal about the same "stretch", "everywhere", or not.
        least_similarity: from here on two texts are nearly equal: shared words and pairs of words by all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: tuple[str, ...] = ("length", "urls", "boilerplate", "repetition", "language")
    languages: tuple[str, ...] = ()
    fewest_words: int = Field(default=2, ge=0)
    most_words: int = Field(default=500, ge=1)
    fewest_characters: int = Field(default=3, ge=0)
    most_characters: int = Field(default=1500, ge=1)
    most_address_share: float = Field(default=0.3, ge=0, le=1)
    most_boilerplate_share: float = Field(default=0.4, ge=0, le=1)
    most_repeated_share: float = Field(default=0.3, ge=0, le=1)
    sure_language_score: float = Field(default=0.9, gt=0, le=1)
    phrases: Literal["auto", "chunks", "off"] = "auto"
    balance: bool = False
    seed: int = 0
    fewest: int = Field(default=3, ge=1)
    most: int = Field(default=100, ge=1)
    near_duplicates: Literal["off", "stretch", "everywhere"] = "stretch"
    least_similarity: float = Field(default=0.8, gt=0, le=1)

    @model_validator(mode="after")
    def _fits(self) -> CaptionSettings:
        if self.balance and self.phrases == "off":
            raise ValueError("balance counts phrases: want phrases auto or chunks, got off")
        if self.fewest > self.most:
            raise ValueError(f"want fewest <= most, got {self.fewest} > {self.most}")
        return self


@runtime_checkable
class CaptionFilter(Protocol):
    """One rule about captions; one module in `valley/collection/filters` each, called as the filter."""

    @property
    def name(self) -> str:
        """The module's name."""
        ...

    def configured(self, settings: CaptionSettings) -> CaptionFilter:
        """Give the filter with these settings."""
        ...

    def check(self, caption: Caption) -> Refusal | None:
        """Say why a caption is refused; None where it is fine. Pure.

        Args:
            caption: with its text normalised.
        """
        ...
