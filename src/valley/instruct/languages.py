"""What languages are called in a prompt, and which ones are written without spaces."""

from __future__ import annotations

from collections.abc import Mapping

from valley.language_id import primary

NAMES: Mapping[str, str] = {
    "ar": "Arabic",
    "bn": "Bengali",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "sw": "Swahili",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "zh": "Chinese",
}

UNSPACED = frozenset(("zh", "ja", "th", "lo", "my", "km"))
"""Written without spaces between words: lengths are counted in characters, three to two words."""


def name_of(tag: str) -> str:
    """Name a language for a prompt: "Chinese (zh-Hant)"."""
    name = NAMES.get(primary(tag))
    return f"{name} ({tag})" if name else tag


def num_words(text: str, tag: str) -> int:
    """Count words, or in a language without spaces between words two for every three letters."""
    if primary(tag) in UNSPACED:
        return (2 * sum(c.isalnum() for c in text) + 2) // 3
    return len(text.split())
