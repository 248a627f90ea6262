"""A run: from a collection to checked conversations, many at once, in an order of its own.

Nothing of a run is kept but the raw replies. What was asked before comes out of the store, so a run that
was killed begins anew and pays for the rest.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from valley.conversation import write_jsonl
from valley.errors import ConfigError
from valley.importers.placing import place_media
from valley.instruct.check import CHECKS, Check
from valley.instruct.corpus_checks import check_all
from valley.instruct.evidence import Evidence, evidence_of
from valley.instruct.gateway.budget import Price
from valley.instruct.gateway.client import GatewayClient
from valley.instruct.gateway.server import GatewaySettings
from valley.instruct.gateway.starting import Address, ensure
from valley.instruct.pictures import pictures_of
from valley.instruct.planning import Wanted, plan
from valley.instruct.recipe import InstructSettings
from valley.instruct.records import quarantined, require_provenance, to_conversation
from valley.instruct.second_opinions import second_opinions
from valley.instruct.settled import settled
from valley.instruct.several import Outcomes, Progress, several
from valley.instruct.writing import Writer, Written
from valley.locking import locked
from valley.manifest import read_clips
from valley.whole_files import write_whole

IDLE_S = 120.0


OnProgress = Callable[[Progress], None]


@dataclass
class Result:
    """What a run came to.

    Attributes:
        num_wanted: conversations that were planned.
        num_accepted: those that were written to the file.
        num_billed: calls that were paid for in this run.
        num_calls: replies that were used, paid for now or before.
        cost_pico: what all of them cost when they were made.
        reasons: why conversations were given up, by check and reason.
        by_task: wanted and accepted, by task.
        by_language: the same, by language.
        stopped: why the run ended before its end; empty: it did not.
    """

    num_wanted: int = 0
    num_accepted: int = 0
    num_billed: int = 0
    num_calls: int = 0
    cost_pico: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    by_task: dict[str, list[int]] = field(default_factory=dict)
    by_language: dict[str, list[int]] = field(default_factory=dict)
    stopped: str = ""


def evidence_in(settings: InstructSettings) -> Iterator[Evidence]:
    """Yield the cards of the collection's clips.

    Raises:
        ConfigError: the folder is no finished collection.
        MediaError: pictures of a clip are wanted and it cannot be read.
    """
    clips = read_clips(settings.corpus, allow_unknown_licence=settings.allow_unknown_licence)
    chosen = (clip for clip in clips if clip.split in settings.splits)
    for clip in islice(chosen, settings.limit):
        times_s, urls = pictures_of(clip, settings.writer.num_frames)
        yield evidence_of(clip, frames=urls, frame_times_s=times_s)


def wanted_of(settings: InstructSettings) -> list[Wanted]:
    """Plan a run.

    Raises:
        ConfigError: nothing is to be written: there are no clips, no facts, or no licences.
    """
    found = list(
        plan(
            evidence_in(settings),
            settings.tasks,
            settings.languages,
            per_clip=settings.per_clip,
            seed=settings.seed,
        )
    )
    if not found:
        raise ConfigError(
            f"{settings.corpus}: there is nothing to write about: want clips with words about them and "
            "a known licence (or --allow-unknown-licence)"
        )
    return found


def checks_of(names: Sequence[str]) -> list[Check]:
    """Give the checks of a list, the cheap ones first; "all" stands for all there are.

    Raises:
        UnknownNameError: there is no such check.
    """
    wanted = CHECKS.names() if "all" in names else list(dict.fromkeys(names))
    return sorted((CHECKS.get(name) for name in wanted), key=lambda check: (check.cost, check.name))


def gateway_settings(settings: InstructSettings, *, api_key: str, offline: bool) -> GatewaySettings:
    """Say what gateway a run needs."""
    writer = settings.writer
    price = writer.price
    prices = {"*": Price.of(price.prompt_usd, price.completion_usd)} if price else {}
    return GatewaySettings(
        store=settings.store,
        upstream="" if offline else writer.base_url,
        api_key=api_key,
        prices=prices,
        max_usd=None if writer.max_usd is None else str(writer.max_usd),
        max_tokens=writer.max_tokens,
        requests_per_minute=writer.requests_per_minute,
        tokens_per_minute=writer.tokens_per_minute,
        concurrency=writer.concurrency,
        timeout_s=writer.timeout_s,
        offline=offline,
        idle_s=IDLE_S,
    )


def instruct(
    settings: InstructSettings,
    *,
    api_key: str = "",
    offline: bool = False,
    on_progress: OnProgress | None = None,
    on_plan: Callable[[int], None] | None = None,
) -> Result:
    """Write the conversations of a run, what was given up beside them, and a report.

    Args:
        settings: what is wanted.
        api_key: for the writer's server; it is handed to the gateway and kept in memory alone.
        offline: take replies from the store alone.
        on_progress: is told after each conversation.
        on_plan: is told how many are wanted.

    Raises:
        ConfigError: nothing is to be written, a setting is wrong, or another run writes the same file.
        NotStoredError: offline, and the store lacks the first reply to a request.
        BackendError: the gateway does not start, or the server gave no replies.
    """
    wanted = wanted_of(settings)
    checks = checks_of(settings.checks)
    if on_plan is not None:
        on_plan(len(wanted))
    started = gateway_settings(settings, api_key=api_key, offline=offline)

    def find() -> Address:
        return ensure(started)

    taken = f"{settings.out}: another run writes this file; wait for it, or give another -o"
    with locked(settings.store / "run.lock", taken=taken):
        found = asyncio.run(_write_all(settings, wanted, checks, find, on_progress))
        sorted_out = check_all([w for w in found.written if w.draft is not None], checks, seed=settings.seed)
        given_up = [w for w in found.written if w.draft is None] + sorted_out.refused
        _save(settings, sorted_out.kept, given_up, found.lost, checks)
    result = Result(num_wanted=len(wanted), stopped=found.stopped)
    _tally(result, sorted_out.kept, given_up, found.lost)
    _write_report(settings, result)
    return result


async def _write_all(
    settings: InstructSettings,
    wanted: Sequence[Wanted],
    checks: Sequence[Check],
    find: Callable[[], Address],
    on_progress: OnProgress | None,
) -> Outcomes:
    found = Outcomes()
    told = settings.writer
    async with GatewayClient(find, concurrency=told.concurrency) as client:
        writer = Writer(
            client,
            told.model,
            checks,
            seed=told.seed,
            mode="json_schema" if told.reply_form == "auto" else told.reply_form,
            most_tries=told.most_tries,
            settled={} if told.ask_again else settled(settings.out),
        )
        outcomes = several(writer, wanted, told.concurrency, is_stopped=lambda: bool(found.stopped))
        async with aclosing(outcomes):
            async for one, outcome in outcomes:
                found.note(one, outcome)
                if on_progress is not None:
                    on_progress(found.progress)
        if not found.stopped:
            opinions = await second_opinions(settings, found.written, client, writer)
            found.written, found.stopped = opinions.written, opinions.stopped
    return found


def _save(
    settings: InstructSettings,
    kept: Sequence[Written],
    given_up: Sequence[Written],
    lost: Sequence[Mapping[str, Any]],
    checks: Sequence[Check],
) -> None:
    out = settings.out
    out.parent.mkdir(parents=True, exist_ok=True)
    made = [to_conversation(w, checks) for w in sorted(kept, key=lambda w: w.wanted.id)]
    require_provenance(made)
    write_jsonl(out, place_media(made, media_root=Path.cwd(), folder=out.parent))
    lines = [
        *map(quarantined, sorted(given_up, key=lambda w: w.wanted.id)),
        *sorted(lost, key=lambda r: r["id"]),
    ]
    write_whole(settings.quarantine, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _tally(
    result: Result, kept: Sequence[Written], given_up: Sequence[Written], lost: Sequence[Mapping[str, Any]]
) -> None:
    result.num_accepted = len(kept)
    result.num_billed = sum(w.num_billed for w in (*kept, *given_up))
    result.num_calls = sum(len(w.tries) for w in (*kept, *given_up))
    result.cost_pico = sum(w.cost_pico for w in (*kept, *given_up))
    for one in (*kept, *given_up):
        for table, name in (
            (result.by_task, one.wanted.task.name),
            (result.by_language, one.wanted.language),
        ):
            counts = table.setdefault(name, [0, 0])
            counts[0] += 1
            counts[1] += one.draft is not None
    for one in given_up:
        result.reasons[f"{one.tries[-1].check}: {one.tries[-1].reason}"] += 1
    if lost:
        result.reasons["server: no_reply"] += len(lost)


def _write_report(settings: InstructSettings, result: Result) -> None:
    path = settings.out.with_name(settings.out.stem + ".report.json")
    said = {**vars(result), "reasons": dict(result.reasons), "settings": settings.model_dump(mode="json")}
    write_whole(path, json.dumps(said, indent=2, ensure_ascii=False))
