"""What stands in a file of conversations and in its quarantine, counted in one pass over each.

Languages are told by `valley.language_id` alone, which is not how the check of languages does it: the share
of answers in the language asked for is measured here, not repeated.
"""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, read_jsonl
from valley.errors import ConfigError
from valley.instruct.corpus_checks import verdict_of
from valley.instruct.given_up import GivenUp, read_given_up
from valley.instruct.languages import num_words
from valley.instruct.places import quarantine_path, store_path
from valley.language_id import are_close, most_likely, normalised, primary
from valley.reporting.histogram import NUM_WORDS_EDGES, bin_of

LEAST_SHARE_IN_LANGUAGE = 0.99
MOST_SAMPLES = 2
"""Of each task, and of each reason."""

UNSURE = "und"
_NOT_SAID = "not said"


@dataclass
class LanguageCount:
    """The answers of conversations in one language.

    Attributes:
        num_conversations: accepted ones that are said to be in it.
        num_answers: in these.
        num_right: of these, answers that are told to be in it.
        others: what the others are told to be in; "und": too short to tell.
    """

    num_conversations: int = 0
    num_answers: int = 0
    num_right: int = 0
    others: Counter[str] = field(default_factory=Counter)

    @property
    def num_told(self) -> int:
        """How many answers are long enough to tell."""
        return self.num_answers - self.others[UNSURE]

    @property
    def share(self) -> float | None:
        """Of the answers that can be told, those in the language; None where none can."""
        return self.num_right / self.num_told if self.num_told else None


@dataclass
class ReasonCount:
    """One reason of one check.

    Attributes:
        num_conversations: given up for it.
        num_replies: refused for it, in conversations that were given up for this or another reason.
        numbers: behind the replies' refusals.
        example: what was said of the first.
    """

    num_conversations: int = 0
    num_replies: int = 0
    numbers: list[float] = field(default_factory=list)
    example: str = ""

    @property
    def spread(self) -> tuple[float, float, float] | None:
        """The least, the middle and the most of the numbers."""
        if not self.numbers:
            return None
        return min(self.numbers), statistics.median(self.numbers), max(self.numbers)


@dataclass
class Stats:
    """What was counted.

    Attributes:
        accepted: conversations by (task, language).
        given_up: the same of the quarantine.
        languages: by the language asked for.
        reasons: by (check, reason).
        num_turns: of the accepted ones.
        tries: replies that an accepted conversation took -> how many did.
        num_mended: accepted ones whose JSON had to be mended.
        cost_usd: of all replies, also of those that were given up.
        tokens: of prompts and replies; None where the store of raw replies is not there.
        lengths: words of answers by task, counted in the bins of `NUM_WORDS_EDGES`.
        num_words: by task, all words of answers.
        verdicts: by language, answers that begin with yes and with no.
        sources: accepted ones by source.
        licences: accepted ones by licence and where that is written.
        samples: a few accepted ones of each task.
        refused: a few of each reason.
    """

    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    given_up: Counter[tuple[str, str]] = field(default_factory=Counter)
    languages: dict[str, LanguageCount] = field(default_factory=lambda: defaultdict(LanguageCount))
    reasons: dict[tuple[str, str], ReasonCount] = field(default_factory=lambda: defaultdict(ReasonCount))
    num_turns: int = 0
    tries: Counter[int] = field(default_factory=Counter)
    num_mended: int = 0
    cost_usd: float = 0.0
    tokens: tuple[int, int] | None = None
    lengths: dict[str, list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0] * len(NUM_WORDS_EDGES))
    )
    num_words: Counter[str] = field(default_factory=Counter)
    verdicts: dict[str, Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))
    sources: Counter[str] = field(default_factory=Counter)
    licences: Counter[tuple[str, str]] = field(default_factory=Counter)
    samples: list[Conversation] = field(default_factory=list)
    refused: list[GivenUp] = field(default_factory=list)

    @property
    def share_in_language(self) -> float | None:
        """Over all languages; see `LanguageCount.share`."""
        told = sum(count.num_told for count in self.languages.values())
        return sum(count.num_right for count in self.languages.values()) / told if told else None

    def to_record(self) -> dict[str, Any]:
        """Give the counts as a JSON-ready object, without the samples."""
        tasks = sorted({task for task, _ in (*self.accepted, *self.given_up)})
        tokens = dict(zip(("prompt", "reply"), self.tokens, strict=True)) if self.tokens else None
        return {
            "num_conversations": self.accepted.total(),
            "num_given_up": self.given_up.total(),
            "num_turns": self.num_turns,
            "tasks": {task: self._task_record(task) for task in tasks},
            "share_in_language": self.share_in_language,
            "languages": {tag: _language_record(n) for tag, n in sorted(self.languages.items())},
            "reasons": {f"{c}: {r}": _reason_record(n) for (c, r), n in sorted(self.reasons.items())},
            "tries": {str(number): count for number, count in sorted(self.tries.items())},
            "num_mended": self.num_mended,
            "cost_usd": round(self.cost_usd, 12),
            "tokens": tokens,
            "yes_no": {tag: {"yes": n[True], "no": n[False]} for tag, n in sorted(self.verdicts.items())},
            "sources": dict(sorted(self.sources.items())),
            "licences": [
                {"licence": licence, "evidence": evidence, "num_conversations": count}
                for (licence, evidence), count in sorted(self.licences.items())
            ],
        }

    def _task_record(self, task: str) -> dict[str, Any]:
        num_answers = sum(self.lengths[task])
        return {
            "accepted": {tag: n for (name, tag), n in sorted(self.accepted.items()) if name == task},
            "given_up": {tag: n for (name, tag), n in sorted(self.given_up.items()) if name == task},
            "num_answers": num_answers,
            "mean_words": self.num_words[task] / num_answers if num_answers else None,
            "words": dict(zip(map(str, NUM_WORDS_EDGES), self.lengths[task], strict=True)),
        }


def _language_record(count: LanguageCount) -> dict[str, Any]:
    return {**vars(count), "others": dict(count.others), "num_told": count.num_told, "share": count.share}


def _reason_record(count: ReasonCount) -> dict[str, Any]:
    spread = count.spread and dict(zip(("least", "middle", "most"), count.spread, strict=True))
    numbers = {"num_conversations": count.num_conversations, "num_replies": count.num_replies}
    return {**numbers, "numbers": spread, "example": count.example}


def stats_of(conversations: Path) -> Stats:
    """Count a file of conversations, its quarantine, and the tokens of its store where that is there.

    Raises:
        ConfigError: there is no such file.
        ConversationError: a line does not fit.
    """
    if not conversations.is_file():
        raise ConfigError(f"{conversations}: want a file of conversations, there is none")
    stats, keys = Stats(), set[str]()
    samples: dict[str, list[Conversation]] = defaultdict(list)
    for conversation in read_jsonl(conversations):
        _count_accepted(stats, conversation)
        keys.update(conversation.metadata.get("request_keys", ()))
        _keep_few(samples[_task_of(conversation)], conversation)
    refused: dict[tuple[str, str], list[GivenUp]] = defaultdict(list)
    for one in read_given_up(quarantine_path(conversations)):
        _count_given_up(stats, one)
        keys.update(tried.key for tried in one.tries)
        _keep_few(refused[one.check, one.reason], one)
    stats.samples = [one for task in sorted(samples) for one in samples[task]]
    stats.refused = [one for reason in sorted(refused) for one in refused[reason]]
    stats.tokens = _tokens(store_path(conversations), keys)
    return stats


def _task_of(conversation: Conversation) -> str:
    return str(conversation.metadata.get("task", _NOT_SAID))


def _keep_few(kept: list[Any], one: Conversation | GivenUp) -> None:
    """Keep those whose name has the smallest hash: the same ones whatever the order."""
    kept[:] = nsmallest(MOST_SAMPLES, [*kept, one], key=lambda c: hashlib.sha256(c.id.encode()).digest())


def _count_accepted(stats: Stats, conversation: Conversation) -> None:
    facts, tag, task = conversation.metadata, conversation.language, _task_of(conversation)
    answers = [message.text for message in conversation.messages if message.role == "assistant"]
    stats.accepted[task, tag] += 1
    stats.num_turns += len(answers)
    stats.tries[int(facts.get("num_tries", 1))] += 1
    stats.num_mended += bool(facts.get("mended"))
    stats.cost_usd += float(facts.get("cost_usd", 0.0))
    stats.sources[str(facts.get("source") or _NOT_SAID)] += 1
    stats.licences[str(facts.get("licence") or _NOT_SAID), str(facts.get("licence_evidence") or "")] += 1
    _count_languages(stats.languages[tag], tag, answers)
    for answer in answers:
        words = num_words(answer, tag)
        stats.lengths[task][bin_of(words, NUM_WORDS_EDGES)] += 1
        stats.num_words[task] += words
        verdict = verdict_of(answer, tag)
        if verdict is not None:
            stats.verdicts[tag][verdict] += 1


def _count_languages(count: LanguageCount, tag: str, answers: Iterable[str]) -> None:
    count.num_conversations += 1
    for answer in answers:
        count.num_answers += 1
        found = language_of(answer)
        if found != UNSURE and are_close(found, tag):
            count.num_right += 1
        else:
            count.others[found] += 1


def language_of(text: str) -> str:
    """Tell the language of a text; "und" where it is too short to tell.

    A short Chinese sentence often has the same characters as a Japanese one and is taken for it; what has no
    kana at all is no Japanese sentence.
    """
    found = most_likely(normalised(text)).language
    if primary(found) == "ja" and not any("\u3040" <= letter <= "\u30ff" for letter in text):
        return "zh"
    return found


def _count_given_up(stats: Stats, one: GivenUp) -> None:
    stats.given_up[one.task, one.language] += 1
    stats.cost_usd += one.cost_usd
    own = stats.reasons[one.check, one.reason]
    own.num_conversations += 1
    own.example = own.example or one.detail
    for tried in one.tries:
        reason = stats.reasons[tried.check, tried.reason]
        reason.num_replies += 1
        reason.numbers.append(tried.number)
        reason.example = reason.example or tried.detail


def _tokens(store: Path, keys: Iterable[str]) -> tuple[int, int] | None:
    """Add up the tokens of the replies; one that several conversations share is one."""
    if not store.is_dir():
        return None
    from valley.instruct.gateway.calls import Calls

    calls, prompt, reply = Calls(store), 0, 0
    for key in keys:
        found = calls.reply(key)
        if found is not None:
            prompt, reply = prompt + found["tokens"][0], reply + found["tokens"][1]
    calls.close()
    return prompt, reply
