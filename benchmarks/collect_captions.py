"""Judge and balance captions from a grammar in twelve languages: time, memory, and what balancing does.

    python benchmarks/collect_captions.py --captions 595000 --workers 2
    python benchmarks/collect_captions.py --captions 60000 --language en --phrases chunks

CPU seconds are of this process and its workers together, and hold on a busy machine too; on two free cores
the time is about half of them. The captions are made before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter

from caption_grammar import GRAMMARS, captions

from valley.collection.caption_filter import CaptionSettings
from valley.collection.caption_judging import Judged, judge


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captions", type=int, default=60_000)
    parser.add_argument("--language", default="all", help="one of " + ", ".join(GRAMMARS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--phrases", choices=("auto", "chunks"), default="auto")
    parser.add_argument("--near-duplicates", choices=("off", "stretch", "everywhere"), default="stretch")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    languages = tuple(GRAMMARS) if options.language == "all" else (options.language,)
    settings = CaptionSettings(balance=True, phrases=options.phrases, near_duplicates=options.near_duplicates)
    row = measure(options.captions, languages, settings, options.workers)
    if options.json:
        print(json.dumps(row))
        return
    for name, value in row.items():
        print(f"{name:34} {value:,.4g}" if isinstance(value, float) else f"{name:34} {value:,}")


def measure(
    number: int, languages: tuple[str, ...], settings: CaptionSettings, num_workers: int
) -> dict[str, float | int]:
    """Judge as many captions and say what it took."""
    given = list(captions(number, languages=languages))
    before_mb = _peak_mb(resource.RUSAGE_SELF)
    cpu_s, start_s = _cpu_s(), time.monotonic()
    counts: Counter[str] = Counter()
    named: Counter[tuple[str, str]] = Counter()
    covered: set[tuple[str, str]] = set()
    for judged in judge(given, settings, num_workers=num_workers):
        reason = judged.refusal.reason if judged.refusal else ""
        counts[reason] += 1
        _count_phrases(judged, named, covered)
    wanted = {phrase for phrase, count in named.items() if count >= settings.fewest}
    cpu_s, wall_s = _cpu_s() - cpu_s, time.monotonic() - start_s
    return {
        "captions": number,
        "languages": len(languages),
        "workers": num_workers,
        "CPU seconds": cpu_s,
        "wall seconds": wall_s,
        "captions a CPU second": number / cpu_s,
        "peak memory before, MB": before_mb,
        "peak memory, MB": _peak_mb(resource.RUSAGE_SELF),
        "peak memory of a worker, MB": _peak_mb(resource.RUSAGE_CHILDREN),
        "kept": counts.pop("", 0),
        **{f"refused, {reason}": count for reason, count in sorted(counts.items())},
        "different phrases": len(named),
        "phrases that count": len(wanted),
        "of them covered": len(wanted & covered) / max(1, len(wanted)),
    }


def _count_phrases(judged: Judged, named: Counter[tuple[str, str]], covered: set[tuple[str, str]]) -> None:
    """Count phrases of what balancing saw, by our own reading of it."""
    if judged.refusal is None or judged.refusal.reason in {"balanced_out", "no_common_phrase"}:
        phrases = [(judged.language, phrase) for phrase in judged.phrases]
        named.update(phrases)
        if judged.refusal is None:
            covered.update(phrases)


def _cpu_s() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _peak_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


if __name__ == "__main__":
    main()
