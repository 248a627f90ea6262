"""Refuse captions that are too short to say something, or so long that they are pages.

Words are counted; characters where a script does not part words: Chinese, Japanese, Thai, Khmer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from valley.collection.caption_filter import Caption, CaptionSettings, Refusal
from valley.language_id import is_spaceless, units


@dataclass(frozen=True)
class LengthFilter:
    """Reasons: "empty", "too_short", "too_long"; the number is that of words or characters."""

    settings: CaptionSettings = field(default_factory=CaptionSettings)
    name: str = "length"

    def configured(self, settings: CaptionSettings) -> LengthFilter:
        """Give the filter with these settings."""
        return LengthFilter(settings)

    def check(self, caption: Caption) -> Refusal | None:
        """Count what the text has."""
        spaceless = is_spaceless(caption.text)
        number, what = len(units(caption.text)), "characters" if spaceless else "words"
        fewest = self.settings.fewest_characters if spaceless else self.settings.fewest_words
        most = self.settings.most_characters if spaceless else self.settings.most_words
        if not number:
            return Refusal("empty", 0, "no letter and no digit")
        if number < fewest:
            return Refusal("too_short", number, f"want {fewest} {what} or more, got {number}")
        if number > most:
            return Refusal("too_long", number, f"want {most} {what} or fewer, got {number}")
        return None


FILTER = LengthFilter()
