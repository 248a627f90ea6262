"""Captions in the form of dialogues: the answers are the words about a medium, the questions are prompts."""

from __future__ import annotations

from valley.collection.records import Record, UnfitError
from valley.collection.source import SourceText
from valley.errors import ConversationError
from valley.importers.turns import read_turns


def answer_texts(record: Record, *, language: str) -> tuple[SourceText, ...]:
    """Take the field `conversations` of LLaVA's form, and give its answers.

    Raises:
        UnfitError: it is absent, or holds something else.
    """
    try:
        turns = read_turns(record.listed("conversations"), record.where, role="from", words="value")
    except ConversationError as error:
        raise UnfitError("bad_field", str(error)) from error
    answers = [words.strip() for role, words in turns if role == "assistant"]
    return tuple(SourceText(words, language=language) for words in answers if words)


def dialogue_text(question: str, answer: str, *, language: str, model: str | None) -> SourceText | None:
    """Make one text of a question and its answer, a line each; None where one of them has no words."""
    asked = question.replace("<video>", "").replace("<image>", "").strip()
    if not asked or not answer.strip():
        return None
    return SourceText(
        f"{asked}\n{answer.strip()}", "question_answer", language, origin="machine", model=model
    )
