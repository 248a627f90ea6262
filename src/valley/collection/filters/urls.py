"""Refuse captions that are addresses more than words: URLs, e-mail addresses, handles, hashtags.

A link at the end of a description is nothing; "@me #fun #4k www.example.com" is no description.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from valley.collection.caption_filter import Caption, CaptionSettings, Refusal

# Each part begins where no word is going on, and takes one run without spaces: linear in the text.
_ADDRESS = re.compile(
    r"""(?ix)
    (?<!\w) (?: (?:https?|ftp)://\S+ | www\.\S+ )
    | (?<![\w.+-]) [\w.+-]{1,64} @ [\w-]{1,63} (?: \.[\w-]{1,63} )+
    | (?<![\w@]) @ \w[\w.]*
    | (?<![\w\#&]) \# \w+
    | (?<![\w.-]) (?: [a-z0-9-]{1,63}\. )+ (?: com|net|org|info|tv|io|co|de|fr|ru|cn|jp|uk|br )
      (?: /\S* )? (?![\w-])
    """
)


@dataclass(frozen=True)
class UrlFilter:
    """Reason: "addresses"; the number is their share of the characters, spaces left aside."""

    settings: CaptionSettings = field(default_factory=CaptionSettings)
    name: str = "urls"

    def configured(self, settings: CaptionSettings) -> UrlFilter:
        """Give the filter with these settings."""
        return UrlFilter(settings)

    def check(self, caption: Caption) -> Refusal | None:
        """Count the characters in addresses."""
        found = [match.group() for match in _ADDRESS.finditer(caption.text)]
        share = sum(map(len, found)) / max(1, len(caption.text.replace(" ", "")))
        if share <= self.settings.most_address_share:
            return None
        return Refusal("addresses", round(share, 4), f"{len(found)}, beginning with {found[0][:40]!r}")


FILTER = UrlFilter()
