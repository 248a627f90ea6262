"""`valley instruct stats`, `audit` and `review`: what was written, looked at by rule and by people."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from valley.cli import text
from valley.cli.options import AsJson
from valley.errors import ConfigError

if TYPE_CHECKING:
    from valley.instruct.auditing import Audit
    from valley.instruct.stats import Stats

Conversations: TypeAlias = Annotated[
    Path, typer.Argument(metavar="CONVERSATIONS", help="What `valley instruct` wrote.")
]
_NOBODY = "somebody"


def register(app: typer.Typer) -> None:
    """Add the commands to those of `valley instruct`."""
    app.command("stats")(stats)
    app.command("audit")(audit)
    app.command("review")(review)


def stats(
    conversations: Conversations,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A page of HTML to write, such as report.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count what was written and what was given up: tasks, languages, reasons, cost, lengths, licences.

    The quarantine and the store of raw replies are looked for beside the file.
    """
    from valley.instruct.report import write_report
    from valley.instruct.stats import stats_of

    found = stats_of(conversations)
    page = write_report(found, out, name=conversations.name) if out is not None else None
    if as_json:
        text.print_json(found.to_record())
        return
    _print_stats(found)
    if page is not None:
        print(page)


def _print_stats(found: Stats) -> None:
    tasks = sorted({task for task, _ in (*found.accepted, *found.given_up)})
    rows = [
        (
            task,
            sum(n for (name, _), n in found.accepted.items() if name == task),
            sum(n for (name, _), n in found.given_up.items() if name == task),
        )
        for task in tasks
    ]
    print(text.table(rows, header=("task", "accepted", "given up")))
    languages = [
        (tag, n.num_conversations, n.num_answers, "?" if n.share is None else f"{n.share:.1%}")
        for tag, n in sorted(found.languages.items())
    ]
    print()
    print(text.table(languages, header=("language", "accepted", "answers", "in it")))
    reasons = sorted(found.reasons.items(), key=lambda row: (-row[1].num_conversations, row[0]))
    if reasons:
        lines = [(c, r, n.num_conversations, n.num_replies) for (c, r), n in reasons]
        print()
        print(text.table(lines, header=("check", "reason", "given up", "replies")))
    tokens = "" if found.tokens is None else f"; {sum(found.tokens)} tokens"
    print(f"\n{found.accepted.total()} conversations, ${found.cost_usd:.4f} for all replies{tokens}")


def audit(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A collection of the source synthetic.")],
    conversations: Conversations,
    as_json: AsJson = False,
) -> None:
    """Measure what share of false facts passes the checks, on clips whose scenes are known.

    What is accepted, and what was refused, is held against the scenes: colours, shapes, counts, directions,
    orders, causes. A share of 0 does not say that all is true: what the words of a language are not known for
    is not read.
    """
    from valley.instruct.auditing import audit as measure

    found = measure(corpus, conversations)
    if as_json:
        text.print_json(found.to_record())
    else:
        _print_audit(found)


def _print_audit(found: Audit) -> None:
    rows = []
    for kind, passed in found.accepted.kinds.items():
        caught = found.refused.kinds[kind]
        rows.append(
            [
                *(kind, passed.num_claims, passed.num_false, _share(passed.share)),
                *(caught.num_claims, caught.num_false, _share(caught.share)),
            ]
        )
    header = ("claims", "accepted", "false", "share", "refused", "false", "share")
    print(text.table(rows, header=header))
    checks = [(c, n.num_replies, n.num_false, n.num_unreadable) for c, n in sorted(found.by_check.items())]
    if checks:
        print()
        print(text.table(checks, header=("refused by", "replies", "with false facts", "unreadable")))
    passed = found.accepted
    print(f"\n{passed.num_replies} conversations accepted, {passed.num_false} of them with a false fact")
    if found.share_refused is not None:
        print(f"{found.share_refused:.1%} of the replies with a false fact were refused")
    if found.num_unknown:
        print(f"{found.num_unknown} conversations are about clips whose scene is not known", file=sys.stderr)
    for name, kind, said in found.examples:
        print(f"  {name} {kind}: {said}")


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def review(
    conversations: Conversations,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    by: Annotated[
        str | None, typer.Option("--by", help="Who looks; the name you are logged in under by default.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write what was accepted into --out, and show no page.")
    ] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="With --apply: the file to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show each conversation with its clip and what was known, to accept, refuse or mend it.

    The page is for this machine alone, under an address that nobody can guess. Every decision is kept in
    CONVERSATIONS.review.jsonl before the page goes on; the last one holds. Stop it with Ctrl-C and go on
    whenever you like.
    """
    if apply != (out is not None):
        raise ConfigError("want --apply and -o with the file to write, or neither")
    if out is not None:
        _apply(conversations, out, as_json=as_json)
        return
    from valley.instruct.reviewing_server import serve

    serve(conversations, by=by or _who(), port=port, on_ready=_say_ready)


def _apply(conversations: Path, out: Path, *, as_json: bool) -> None:
    from valley.instruct.reviewing_applied import write_reviewed

    done = write_reviewed(conversations, out)
    if as_json:
        text.print_json({"out": str(out), **vars(done)})
        return
    print(f"{out}: {done.num_written} conversations, {done.num_edited} of them edited")
    print(f"left out: {done.num_refused} refused, {done.num_open} not decided")
    if done.num_stale:
        print(f"{done.num_stale} decisions are about words that have changed since", file=sys.stderr)


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return _NOBODY


def _say_ready(address: str, num_conversations: int, num_decided: int) -> None:
    print(
        f"{num_conversations} conversations, {num_decided} decided\n{address}\nstop it with Ctrl-C",
        flush=True,
    )
