"""Leakage: words that give away that a text was written about texts, by a model, from a template.

The phrases are those that published data of this kind are full of, in the languages we can read; longer
pieces of the prompt itself are found in any language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.tasks._written import RULES
from valley.instruct.versions import content_version
from valley.language_id import primary

PHRASES: Mapping[str, tuple[str, ...]] = {
    "en": (
        r"\bas an ai\b",
        r"\blanguage model\b",
        r"\b(?:based on|according to|from|in|per) the (?:given |provided |above )?"
        r"(?:captions?|facts?|descriptions?|text|transcripts?|subtitles?|metadata|information|context|evidence)\b",
        r"\bthe (?:captions?|facts?|transcripts?|subtitles?|metadata)\b",
        r"\b(?:provided|given) (?:captions?|facts?|descriptions?|text|information|context)\b",
        r"\bfacts? (?:f?\d+|ids?)\b",
        r"\bi (?:cannot|can't|can not) (?:see|watch|view) (?:the )?(?:video|image|picture)s?\b",
    ),
    "zh": (
        r"作为.{0,4}(?:人工智能|AI|语言模型)",
        r"(?:根据|按照|基于).{0,6}(?:字幕|描述|文本|事实|说明|标题|信息)",
        r"语言模型",
    ),
    "es": (
        r"\bcomo (?:una? )?(?:ia|inteligencia artificial|modelo de lenguaje)\b",
        r"\bseg[uú]n (?:el|la|los|las) (?:subt[ií]tulos?|descripci[oó]n|texto|hechos?|informaci[oó]n)\b",
    ),
    "de": (
        r"\bals (?:eine? )?(?:ki|sprachmodell|künstliche intelligenz)\b",
        r"\b(?:laut|gemäß|nach) (?:der|den|dem) (?:beschreibung|untertiteln?|text|fakten|angaben)\b",
    ),
    "fr": (
        r"\ben tant qu['’](?:ia|intelligence artificielle|modèle)",
        r"\b(?:selon|d['’]après) (?:la|le|les) (?:description|sous-titres?|texte|faits|légende)\b",
    ),
    "pt": (
        r"\bcomo (?:uma? )?(?:ia|modelo de linguagem)\b",
        r"\bde acordo com (?:a|o|as|os) (?:legendas?|descriç|text)",
    ),
    "ar": (r"نموذج لغوي", r"(?:وفق[اً]*|بناءً? على|حسب) (?:ال|لل|ل)?(?:نص|وصف|ترجمة|حقائق)"),
    "ru": (r"языков\w+ модел", r"(?:согласно|судя по) (?:описани|субтитр|текст|факт)"),
    "ja": (r"言語モデル", r"(?:字幕|説明文|テキスト|キャプション)によ(?:ると|れば)"),
    "hi": (r"भाषा मॉडल",),
}

EVERYWHERE = (
    r"\[?\bF\d{1,3}\b\]?",
    r"```",
    r"<(?:image|video)>",
    r"\{\w+\}",
    r"\"turns\"",
    r"\bassistant:|\bhuman:|\buser:",
)
"""In every language: names of facts, marks of formats, places of a template."""

PIECE = 30
"""So many letters in a row of the prompt's rules are no chance."""


class Leakage:
    """See the module's first lines."""

    name = "leakage"
    help = "nothing that speaks of captions, models or templates"
    version = content_version(Path(__file__))
    cost = 3
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        known = " ".join(fact.text for fact in evidence.facts).casefold()
        for turn in draft.turns:
            for text in (turn.question, turn.answer):
                found = leak_in(text, draft.language)
                if found and found.casefold() not in known:
                    return Refusal(
                        self.name, "leak", f"want no word about how this was made, got {found!r}", 1
                    )
        return None


def leak_in(text: str, language: str) -> str | None:
    """Give the first phrase that gives the making away."""
    for pattern in (*PHRASES.get(primary(language), ()), *PHRASES["en"], *EVERYWHERE):
        if found := re.search(pattern, text, re.IGNORECASE):
            return found[0]
    low = " ".join(text.split())
    for start in range(0, max(1, len(low) - PIECE + 1), 5):
        piece = low[start : start + PIECE]
        if len(piece) == PIECE and piece in _RULES:
            return piece
    return None


_RULES = " ".join(RULES.split())
CHECK = Leakage()
