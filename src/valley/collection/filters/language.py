"""Refuse captions in a language that is not wanted, or surely not in the one that their source says.

Text too short to tell is in the language "und", and passes: nothing is known against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from valley.collection.caption_filter import Caption, CaptionSettings, Refusal
from valley.collection.source import UNKNOWN_LANGUAGE
from valley.language_id import are_close, is_spaceless, matches, most_likely

_ENOUGH_CHARACTERS, _ENOUGH_SPACELESS = 24, 6  # letters, before the model is believed against the source


@dataclass(frozen=True)
class LanguageFilter:
    """Reasons: "unwanted_language", "other_language" (than the source says); the number is the score."""

    settings: CaptionSettings = field(default_factory=CaptionSettings)
    name: str = "language"

    def configured(self, settings: CaptionSettings) -> LanguageFilter:
        """Give the filter with these settings."""
        return LanguageFilter(settings)

    def check(self, caption: Caption) -> Refusal | None:
        """Compare the language with the wanted ones, and with what the model says."""
        if caption.language == UNKNOWN_LANGUAGE:
            return None
        guess = most_likely(caption.text)
        enough = _ENOUGH_SPACELESS if is_spaceless(caption.text) else _ENOUGH_CHARACTERS
        sure = guess.score >= self.settings.sure_language_score and guess.language != UNKNOWN_LANGUAGE
        if (
            sure
            and sum(c.isalpha() for c in caption.text) >= enough
            and not are_close(guess.language, caption.language)
        ):
            detail = f"the source says {caption.language}, the text is {guess.language}"
            return Refusal("other_language", round(guess.score, 4), detail)
        if self.settings.languages and not matches(caption.language, self.settings.languages):
            wanted = ", ".join(self.settings.languages)
            return Refusal(
                "unwanted_language", round(guess.score, 4), f"want {wanted}, got {caption.language}"
            )
        return None


FILTER = LanguageFilter()
