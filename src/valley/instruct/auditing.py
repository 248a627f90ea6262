"""How many false facts pass the checks: measured on rendered clips, whose scenes are known.

What was accepted, what was given up, and what was refused on the way to an accepted conversation (where the
store of raw replies is there) is held against the truth in the collection's clip table.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, read_jsonl
from valley.errors import ConfigError
from valley.instruct.gateway.calls import Calls
from valley.instruct.gateway.client import Reply, content_of
from valley.instruct.given_up import read_given_up
from valley.instruct.places import quarantine_path, store_path
from valley.instruct.records import words_of
from valley.instruct.replies import read_reply
from valley.instruct.scene_claims import KINDS, Claim, ClaimKind, claims_in, count_claim
from valley.instruct.task import ReplyError
from valley.manifest import read_table
from valley.synthetic.truth import ObjectTruth, ShotTruth, Truth

ON_THE_WAY = "asked again"
"""Stands for the check of a reply that was refused before another one was accepted: nobody noted which."""

ACCEPTED = "accepted"
MOST_EXAMPLES = 20


@dataclass
class Tally:
    """Claims of one kind.

    Attributes:
        num_claims: how many.
        num_false: of these.
    """

    num_claims: int = 0
    num_false: int = 0

    @property
    def share(self) -> float | None:
        """The share of false ones; None where there are none at all."""
        return self.num_false / self.num_claims if self.num_claims else None

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready object."""
        return {**vars(self), "share": self.share}


@dataclass
class Replies:
    """Replies that met the same end.

    Attributes:
        num_replies: that could be read.
        num_false: of these, with a false claim at least.
        num_unreadable: that could not be read.
        kinds: their claims.
    """

    num_replies: int = 0
    num_false: int = 0
    num_unreadable: int = 0
    kinds: dict[ClaimKind, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})

    def add(self, found: Iterable[Claim]) -> None:
        """Count a reply's claims."""
        said = list(found)
        self.num_replies += 1
        self.num_false += any(claim.is_false for claim in said)
        for claim in said:
            self.kinds[claim.kind].num_claims += 1
            self.kinds[claim.kind].num_false += claim.is_false

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready object."""
        return {**vars(self), "kinds": {kind: tally.to_record() for kind, tally in self.kinds.items()}}


@dataclass
class Audit:
    """What was measured.

    Attributes:
        accepted: replies that became conversations.
        refused: all others that are known.
        by_check: those, by the check that refused them.
        num_unknown: conversations about clips whose truth is not known.
        examples: false claims that were accepted: (conversation, kind, what was said).
    """

    accepted: Replies = field(default_factory=Replies)
    refused: Replies = field(default_factory=Replies)
    by_check: dict[str, Replies] = field(default_factory=lambda: defaultdict(Replies))
    num_unknown: int = 0
    examples: list[tuple[str, ClaimKind, str]] = field(default_factory=list)

    @property
    def share_refused(self) -> float | None:
        """Of the replies with a false claim, those that were refused."""
        total = self.accepted.num_false + self.refused.num_false
        return self.refused.num_false / total if total else None

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready object."""
        return {
            "accepted": self.accepted.to_record(),
            "refused": self.refused.to_record(),
            "by_check": {check: found.to_record() for check, found in sorted(self.by_check.items())},
            "share_of_false_refused": self.share_refused,
            "num_unknown": self.num_unknown,
            "examples": [list(example) for example in self.examples],
        }


def audit(corpus: Path, conversations: Path) -> Audit:
    """Hold what was written about a collection of rendered clips against their scenes.

    Args:
        corpus: the collection; its source is `synthetic`.
        conversations: what `valley instruct` wrote about it; the quarantine and the store lie beside it.

    Raises:
        ConfigError: the collection knows no truth, or there are no conversations.
        ConversationError: a line does not fit.
    """
    truths = read_truths(corpus)
    if not conversations.is_file():
        raise ConfigError(f"{conversations}: want a file of conversations, there is none")
    done = Audit()
    for conversation, earlier in _with_earlier_replies(conversations):
        truth = truths.get(str(conversation.metadata.get("clip_id")))
        if truth is None:
            done.num_unknown += 1
            continue
        _hold_accepted(done, conversation, truth)
        for content in earlier:
            _hold_refused(done, ON_THE_WAY, content, conversation.language, truth)
    for one in read_given_up(quarantine_path(conversations)):
        truth = truths.get(one.clip_id)
        if truth is None:
            done.num_unknown += 1
            continue
        for tried in one.tries:
            _hold_refused(done, tried.check, tried.content, one.language, truth)
    return done


def _with_earlier_replies(path: Path) -> Iterator[tuple[Conversation, list[str]]]:
    """Yield the conversations, each with the replies that were refused before, as far as they are stored."""
    store = store_path(path)
    with ExitStack() as stack:
        calls = stack.enter_context(closing(Calls(store))) if store.is_dir() else None
        for conversation in read_jsonl(path):
            keys = conversation.metadata.get("request_keys", ())[:-1]
            records = [calls.reply(key) for key in keys] if calls is not None else []
            yield conversation, [_content(record) for record in records if record is not None]


def _hold_accepted(done: Audit, conversation: Conversation, truth: Truth) -> None:
    count = conversation.metadata.get("details", {}).get("count")
    turns = words_of(conversation)
    if "choices" in conversation.metadata:  # what the wrong ones name is not what is asked about
        turns = [(question.partition("\n")[0], answer) for question, answer in turns]
    found = list(_claims(turns, count, conversation.language, truth))
    done.accepted.add(found)
    for claim in found:
        if claim.is_false and len(done.examples) < MOST_EXAMPLES:
            done.examples.append((conversation.id, claim.kind, claim.said))


def _hold_refused(done: Audit, check: str, content: str, language: str, truth: Truth) -> None:
    turns, count = _read(content)
    for replies in (done.refused, done.by_check[check]):
        if turns:
            replies.add(_claims(turns, count, language, truth))
        else:
            replies.num_unreadable += 1


def _claims(turns: Iterable[tuple[str, str]], count: object, language: str, truth: Truth) -> Iterator[Claim]:
    """Yield the claims of all answers; the number beside them only where none of them says one."""
    found = [claim for question, answer in turns for claim in claims_in(question, answer, language, truth)]
    yield from found
    if isinstance(count, int) and not any(claim.kind == "count" for claim in found):
        claim = count_claim(count, " ".join(question for question, _ in turns), language, truth)
        if claim is not None:
            yield claim


def _read(content: str) -> tuple[list[tuple[str, str]], object]:
    """Give the questions and answers of a raw reply, as far as they can be read, and its count."""
    try:
        value, _ = read_reply(Reply("", content, "stop"))
    except ReplyError:
        return [], None
    if not isinstance(value, dict) or not isinstance(value.get("turns"), list):
        return [], None
    turns = [(str(t["question"]), str(t["answer"])) for t in value["turns"] if _is_turn(t)]
    return turns, value.get("count")


def _is_turn(value: object) -> bool:
    return isinstance(value, dict) and {"question", "answer"} <= value.keys()


def _content(record: Mapping[str, Any]) -> str:
    try:
        return content_of(json.loads(record["raw"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return ""


def read_truths(corpus: Path) -> dict[str, Truth]:
    """Give the truth of every clip that knows it, by the clip's id.

    Raises:
        ConfigError: none does, or the folder is no finished collection.
    """
    rows = read_table(corpus, "clip", columns=["clip_id", "metadata"]).to_pylist()
    truths: dict[str, Truth] = {}
    for row in rows:
        said = json.loads(row["metadata"]) if row["metadata"] else {}
        found = [of["truth"] for of in said.values() if isinstance(of, dict) and "truth" in of]
        if found:
            truths[row["clip_id"]] = _truth(found[0])
    if not truths:
        raise ConfigError(
            f"{corpus}: want a collection of the source synthetic, whose clips know what is true of them: "
            "`valley collect synthetic CLIPS -o CORPUS`"
        )
    return truths


def _truth(record: Mapping[str, Any]) -> Truth:
    shots = [
        ShotTruth(shot["start_s"], shot["end_s"], tuple(map(_object, shot["objects"])))
        for shot in record["shots"]
    ]
    return Truth(tuple(shots), record["is_image"], record["foreign"])


def _object(record: Mapping[str, Any]) -> ObjectTruth:
    partner = record["partner"]
    return ObjectTruth(**{**record, "partner": None if partner is None else (partner[0], partner[1])})
