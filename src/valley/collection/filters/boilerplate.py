"""Refuse captions that are mostly stock phrases: what sites write beside everything, whatever it shows.

The list is short and each entry says where it was met. A caption that says something besides is kept: what
counts is which share of its characters the phrases take.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from valley.collection.caption_filter import Caption, CaptionSettings, Refusal

# Anywhere in a text; matched without regard to case.
PHRASES: Mapping[str, tuple[str, ...]] = {
    # stock footage sites: WebVid's captions are their titles
    "stock": (
        r"royalty[- ]free( stock)?( (footage|videos?|photos?|images?|clips?))?",
        r"\b(stock (footage|video|photo|image|clip|vector)s?|(footage|video|photo) (for sale|download))\b",
        r"\b((full )?hd|uhd|4k|8k) (stock )?(footage|video|resolution|clip)\b",
        r"\b(alpha channel|seamless(ly)? loop(able|ed|ing)?|(high quality )?3d render(ing)?)\b",
    ),
    # video sites: what stands under uploads
    "call": (
        r"\b(please |don'?t forget to )?(like|share)?,? ?(and |& )?(subscribe|hit the (like|bell))"
        r"( (to|for) (my|our|the|this|more)( \w+)?)?( channel)?\b",
        r"\b(click (here|the link|below)|link in (the )?(bio|description)|follow (me|us) on( \w+)?)\b",
        r"\b(thanks|thank you) for watching\b",
        r"\babonniert?( meinen kanal| den kanal)?\b|\babonnez[- ]vous( à (la|ma) chaîne)?\b",
        r"\bsuscr[ií]bete( (a|al) (mi|nuestro)? ?canal)?\b|\binscreva-se( no (canal|nosso canal))?\b",
        r"\biscriviti( al (mio )?canale)?\b|подпи(шитесь|сывайтесь)( на (мой |наш )?канал)?",
        r"请?(点赞|订阅)(我的|我们的|本)?(频道)?|チャンネル登録(を?お願(い|いた)します)?",
        r"구독(과 좋아요)?( 부탁드립니다)?",
    ),
    # news and picture agencies: CC3M's alternative texts
    "rights": (
        r"(©|\(c\)|copyright)( ?\d{4})?( by)?( all rights reserved)?|\ball rights reserved\b",
        r"\b(photo|image|picture|video|footage) (by|courtesy of|credit:?)\b",
        r"\bgetty images\b|\bshutterstock\b",
    ),
}

# The whole text is a template: what software writes where a person wrote nothing.
TEMPLATES: Mapping[str, str] = {
    "camera": r"(img|dsc|dscn|mov|vid|mvi|gopr|pxl|video|image|clip|screen ?shot)[ _-]?\d[\w .:-]*",
    "file": r"[\w .-]+\.(mp4|mov|avi|mkv|webm|jpe?g|png|gif|webp)",
    "none": r"untitled|(no )?(title|description|caption)( available| provided)?|n/?a|null|none|nan|undefined"
    r"|unknown|test|todo|placeholder|lorem ipsum.*",
    "gone": r"(deleted|private|unavailable|removed) (video|image|photo)"
    r"|(video|image) (not found|unavailable)",
    "frame": r"(an? |the )?(image|picture|photo|video)( of| shows| showing)?",
}

_PHRASES = re.compile("|".join(f"(?:{p})" for patterns in PHRASES.values() for p in patterns), re.IGNORECASE)
_TEMPLATES = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in TEMPLATES.items()}


@dataclass(frozen=True)
class BoilerplateFilter:
    """Reasons: "template" (all of it), "boilerplate"; the number is the share of characters, spaces aside."""

    settings: CaptionSettings = field(default_factory=CaptionSettings)
    name: str = "boilerplate"

    def configured(self, settings: CaptionSettings) -> BoilerplateFilter:
        """Give the filter with these settings."""
        return BoilerplateFilter(settings)

    def check(self, caption: Caption) -> Refusal | None:
        """Count the characters in stock phrases."""
        text = caption.text.strip(" .!…\"'[](){}")
        for kind, pattern in _TEMPLATES.items():
            if len(text) <= 200 and pattern.fullmatch(text):
                return Refusal("template", 1.0, f"{kind}: {text[:60]!r}")
        found = [match.group() for match in _PHRASES.finditer(text)]
        share = sum(len(f.replace(" ", "")) for f in found) / max(1, len(text.replace(" ", "")))
        if share <= self.settings.most_boilerplate_share:
            return None
        return Refusal("boilerplate", round(share, 4), ", ".join(repr(f.strip()) for f in found[:3]))


FILTER = BoilerplateFilter()
