"""Whether an answer says yes or no, in the languages whose words are listed here."""

from __future__ import annotations

from valley.language_id import primary, segments

_WORDS: dict[str, tuple[str, str]] = {
    "ar": ("نعم أجل", "لا كلا"),
    "bn": ("হ্যাঁ", "না"),
    "de": ("ja", "nein"),
    "en": ("yes yeah yep true", "no nope false"),
    "es": ("sí si", "no"),
    "fa": ("بله آری", "نه خیر"),
    "fr": ("oui", "non"),
    "hi": ("हाँ हां", "नहीं"),
    "id": ("ya", "tidak bukan"),
    "it": ("sì si", "no"),
    "ja": ("はい ええ", "いいえ いえ"),
    "ko": ("네 예", "아니요 아니오 아니"),
    "nl": ("ja", "nee"),
    "pl": ("tak", "nie"),
    "pt": ("sim", "não nao"),
    "ru": ("да", "нет"),
    "sv": ("ja", "nej"),
    "th": ("ใช่ ใช่ครับ ใช่ค่ะ", "ไม่ ไม่ใช่"),
    "tr": ("evet", "hayır"),
    "uk": ("так", "ні"),
    "vi": ("có vâng", "không"),
    "zh": ("是 是的 对 对的 有 会 能 可以", "不 不是 没有 否 不对 不会 不能 没"),
}

LANGUAGES = tuple(_WORDS)


def verdict_of(text: str, language: str = "en") -> bool | None:
    """Say whether a text means yes (True) or no (False); None where it says neither.

    A clause that is the word alone decides ("There is a red circle. Yes."), the first of such; else the first
    word of all ("Yes it does"). A language without a list is looked at as English.

    Args:
        text: an answer.
        language: BCP-47 tag.
    """
    yes, no = (set(words.split()) for words in _WORDS.get(primary(language), _WORDS["en"]))
    clauses = [[w.casefold() for w in clause] for clause in segments(text)]
    alone = [clause[0] for clause in clauses if len(clause) == 1]
    first = [clauses[0][0]] if clauses else []
    for word in (*alone, *first):
        if word in yes:
            return True
        if word in no:
            return False
    return None
