"""A report on written conversations: one page of HTML that needs nothing beside it.

What was accepted and given up, for which reasons and by which numbers, in which languages the answers really
are, what it cost, how long answers are, under which licences, and samples of both with what was known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from valley.conversation import Conversation
from valley.instruct.given_up import GivenUp
from valley.instruct.stats import LEAST_SHARE_IN_LANGUAGE, UNSURE, ReasonCount, Stats
from valley.manifest import UNKNOWN_LICENCE
from valley.reporting.histogram import NUM_WORDS_EDGES, draw_histogram, short_number
from valley.reporting.page import write_page
from valley.reporting.tables import Table, count, cut_table, share, shortened, spread

_TEMPLATE = "report.html.jinja"
MOST_REPLY = 4000
"""Letters of a raw reply that are shown."""


def write_report(stats: Stats, out: Path, *, name: str) -> Path:
    """Write the page; it appears whole or not at all.

    Args:
        stats: what was counted.
        out: the page.
        name: what the file of conversations is called.

    Raises:
        MissingExtraError: Jinja2 is absent.
    """
    return write_page(out, "valley.instruct", _TEMPLATE, _contents(stats, name), filters={"count": count})


def _contents(stats: Stats, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "tiles": _tiles(stats),
        "tasks": _tasks(stats),
        "languages": _languages(stats),
        "least_share": f"{LEAST_SHARE_IN_LANGUAGE:.0%}",
        "is_in_language": (stats.share_in_language or 1.0) >= LEAST_SHARE_IN_LANGUAGE,
        "reasons": _reasons(stats),
        "tries": _tries(stats),
        "lengths": _lengths(stats),
        "verdicts": _verdicts(stats),
        "sources": cut_table(
            "Conversations by source",
            ["source", "conversations"],
            [[source, count(n)] for source, n in stats.sources.most_common()],
        ),
        "licences": _licences(stats),
        "samples": [_sample(one) for one in stats.samples],
        "refused": [_refused(one) for one in stats.refused],
    }


def _tiles(stats: Stats) -> list[tuple[str, str]]:
    accepted, given_up = stats.accepted.total(), stats.given_up.total()
    tiles = [
        (count(accepted), "conversations"),
        (count(stats.num_turns), "questions and answers"),
        (count(given_up), "given up"),
        (share(accepted, accepted + given_up) or "none", "accepted"),
        (f"{stats.share_in_language:.1%}" if stats.share_in_language is not None else "?", "in the language"),
        (f"${stats.cost_usd:,.4f}", "for all replies"),
    ]
    if stats.tokens is not None:
        tiles.append((count(sum(stats.tokens)), "tokens"))
    return tiles


def _tasks(stats: Stats) -> Table:
    tags = sorted(tag for tag in stats.languages)
    cells = []
    for task in sorted({task for task, _ in (*stats.accepted, *stats.given_up)}):
        accepted = [stats.accepted[task, tag] for tag in tags]
        given_up = sum(n for (name, _), n in stats.given_up.items() if name == task)
        total = sum(accepted)
        cells.append(
            [
                *(task, *map(count, accepted), count(total)),
                *(count(given_up), share(total, total + given_up)),
            ]
        )
    head = ["task", *tags, "all", "given up", "accepted"]
    return cut_table("Conversations by task and language", head, cells)


def _languages(stats: Stats) -> Table:
    cells, marked = [], set()
    for number, (tag, found) in enumerate(sorted(stats.languages.items())):
        others = ", ".join(f"{o} {n}" for o, n in found.others.most_common() if o != UNSURE)
        if found.share is not None and found.share < LEAST_SHARE_IN_LANGUAGE:
            marked.add(number)
        cells.append(
            [
                *(tag, count(found.num_conversations), count(found.num_answers)),
                *(count(found.num_right), share(found.num_right, found.num_told) or "?"),
                *(count(found.others[UNSURE]), others),
            ]
        )
    head = ["asked for", "conversations", "answers", "in it", "share", "too short to tell", "in others"]
    caption = "Answers by language; the share is of those that are long enough to tell"
    return cut_table(caption, head, cells, words={0, 6}, marked=marked)


def _reasons(stats: Stats) -> Table:
    def weight(row: tuple[tuple[str, str], ReasonCount]) -> tuple[int, int]:
        return -row[1].num_conversations, -row[1].num_replies

    cells = [
        [
            *(check, reason, count(found.num_conversations), count(found.num_replies)),
            *(spread(*(found.spread or (None, None, None))), shortened(found.example)),
        ]
        for (check, reason), found in sorted(stats.reasons.items(), key=weight)
    ]
    head = ["check", "reason", "given up", "replies", "least, middle, most number", "for example"]
    caption = "Why conversations were given up, and all replies of these that were refused"
    return cut_table(caption, head, cells, words={0, 1, 5})


def _tries(stats: Stats) -> Table:
    total = stats.accepted.total()
    cells = [[str(tries), count(n), share(n, total)] for tries, n in sorted(stats.tries.items())]
    cells.append(["mended", count(stats.num_mended), share(stats.num_mended, total)])
    return cut_table(
        "Replies that an accepted conversation took", ["replies", "conversations", "share"], cells
    )


def _lengths(stats: Stats) -> list[dict[str, str]]:
    drawn = []
    for task, counts in sorted(stats.lengths.items()):
        if not sum(counts):
            continue
        said = f"{count(sum(counts))} answers, {stats.num_words[task] / sum(counts):.1f} words on average"
        drawing = draw_histogram(
            counts, edges=NUM_WORDS_EDGES, title=f"{task} by words. {said}", label=short_number
        )
        drawn.append({"name": task, "said": said, "drawing": drawing})
    return drawn


def _verdicts(stats: Stats) -> Table:
    cells = [
        [tag, count(n[True]), count(n[False]), share(n[True], n.total())]
        for tag, n in sorted(stats.verdicts.items())
    ]
    return cut_table("Answers that begin with yes or no", ["language", "yes", "no", "share of yes"], cells)


def _licences(stats: Stats) -> Table:
    rows = stats.licences.most_common()
    cells = [[licence, evidence or "none", count(n)] for (licence, evidence), n in rows]
    unknown = {number for number, ((licence, _), _) in enumerate(rows) if licence == UNKNOWN_LICENCE}
    head = ["licence", "where that is written", "conversations"]
    return cut_table("Conversations by licence and evidence", head, cells, words={0, 1}, marked=unknown)


def _sample(one: Conversation) -> dict[str, Any]:
    facts = one.metadata
    used = set(facts.get("facts_used", ()))
    evidence = [str(line) for line in facts.get("evidence", ())]
    return {
        "id": one.id,
        "language": one.language,
        "task": facts.get("task", ""),
        "about": facts.get("source_item_id", ""),
        "source": facts.get("source", ""),
        "licence": facts.get("licence", ""),
        "turns": [(message.role, message.text) for message in one.messages],
        "evidence": [(line, line.partition(" ")[0] in used) for line in evidence],
    }


def _refused(one: GivenUp) -> dict[str, Any]:
    last = one.tries[-1] if one.tries else None
    content = last.content if last else ""
    left = len(content) - MOST_REPLY
    return {
        "language": one.language,
        "task": one.task,
        "check": one.check,
        "reason": one.reason,
        "detail": one.detail,
        "num_tries": len(one.tries),
        "reply": content[:MOST_REPLY] + (f"… and {left} more letters" if left > 0 else ""),
        "evidence": one.evidence,
    }
