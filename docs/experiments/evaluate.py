"""An evaluation from questions to report, on the embedded model. Fills evaluate.md and draws its pictures.

    OMP_NUM_THREADS=1 python docs/experiments/evaluate.py --out out/evaluate

Runs `valley eval` on rendered clips and on questions of our own about the examples' clips: with eight frames,
with eight frames once more, one question at once (is it the same?), and with two frames (where do the runs
part, and what does it cost?). Then `valley eval diff` and `valley report`. A judge is asked only where one is
named: the embedded model cannot be one. What is finished is not run again.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from valley.conversation import read_jsonl
from valley.evaluation.reporting.naming import NamedRun, open_runs
from valley.evaluation.reporting.score_tables import draw_groups
from valley.evaluation.reporting.tables import metrics_of
from valley.whole_files import write_whole

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
PAGE = HERE / "evaluate.md"
OWN = "own.jsonl"
DIFFER = (0, 1)
"""Exit codes of `valley eval diff`."""

JUDGED = (0, 2)
"""Exit codes of `valley eval`; 2 says that some of the judge's replies could not be read."""

STYLE = """
svg { background: #fff; } text { font: 11px sans-serif; fill: #1d2430; }
.edge { fill: #5a6474; text-anchor: middle; } .grid { stroke: #dde2e9; }
.interval { stroke-width: 2.5; stroke-linecap: round; opacity: .55; }
.run-0 .interval, .run-0 .control { stroke: #0072b2; } .run-0 .score { fill: #0072b2; }
.run-1 .interval, .run-1 .control { stroke: #c04f00; } .run-1 .score { fill: #c04f00; }
.control { fill: none; stroke-width: 1.4; }
"""


def valley(out: Path, *words: object, ok: Sequence[int] = (0,)) -> tuple[str, int]:
    """Run a command as a user would, in the folder, so that paths in the records are short."""
    told = [sys.executable, "-m", "valley", *map(str, words)]
    done = subprocess.run(told, check=False, cwd=out, stdout=subprocess.PIPE, text=True)
    if done.returncode not in ok:
        raise SystemExit(f"valley {' '.join(map(str, words))} ended with {done.returncode}")
    return done.stdout, done.returncode


def write_own_questions(out: Path) -> None:
    """Make questions of our own of the examples: a row a question, in three languages."""
    shutil.copytree(EXAMPLES / "clips", out / "clips", dirs_exist_ok=True)
    rows = []
    for one in read_jsonl(EXAMPLES / "questions.jsonl"):
        turns = list(zip(one.messages[::2], one.messages[1::2], strict=True))
        for number, (asked, answered) in enumerate(turns):
            clip = Path(str(one.media[0].source)).name
            row = {"id": f"{one.id}-{number}", "video": f"clips/{clip}", "language": one.language}
            rows.append(row | {"question": asked.text, "answer": answered.text})
    write_whole(out / OWN, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def run(out: Path, name: str, *options: object) -> float | None:
    """Evaluate into a folder; give the seconds of a core it took, None where it was there already."""
    if (out / name / "scores.json").is_file():
        return None
    started_s = _core_seconds()
    valley(out, "eval", "synthetic", OWN, "--out", name, *options)
    return _core_seconds() - started_s


def _core_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def judged(out: Path, judge: str) -> str:
    """Have a judge read the answers to our own questions; say what came of it."""
    valley(out, "eval", OWN, "--judge", judge, "--no-controls", "--out", "judged", ok=JUDGED)
    scores = json.loads((out / "judged" / "scores.json").read_text(encoding="utf-8"))["benchmarks"][OWN]
    leaf = scores["metrics"][scores["headline"]]["overall"]
    unread = scores["counts"]["unparsable"]
    return (
        f"`{scores['headline']}` of the {leaf['count']} questions of our own: {leaf['score']:.1f} %; "
        f"{unread} replies of the judge could not be read."
    )


def say_scores(told: Mapping[str, Any]) -> str:
    """Make the table of scores and controls: a row a benchmark and run."""
    head = [
        "benchmark",
        "run",
        "right, %",
        "black frames",
        "one frame",
        "another clip",
        "yes / should",
        "its language",
    ]
    rows = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for one in told["benchmarks"]:
        metric = one["metrics"][0]
        for name, leaf in metric["overall"].items():
            changes = {c["control"]: c["change"] for c in one["controls"] if c["run"] == name}
            rows.append([one["name"], name, _leaf(leaf), *_controls(changes), *_honesty(one, name)])
    return _table(rows)


def _controls(changes: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    found = (changes.get(control) for control in ("blind", "one_frame", "swapped"))
    return ["" if c is None else f"{c['difference']:+.1f} ({_span(c['interval'])})" for c in found]


def _honesty(one: Mapping[str, Any], run: str) -> list[str]:
    yes = one["yes_bias"][run]["overall"]
    language = (one["language_consistency"][run] or {}).get("overall", {"score": None})
    said = yes["answers"]["score"]
    return [
        "" if said is None else f"{said:.0f} / {yes['references']['score']:.0f} %",
        "" if language["score"] is None else f"{language['score']:.0f} %",
    ]


def say_comparison(told: Mapping[str, Any]) -> str:
    """Make the table of runs held against each other."""
    rows = [["benchmark", "runs", "difference", "questions", "became right", "became wrong", "other words"]]
    rows.append(["---", "---", *["---:"] * 5])
    for one in told["benchmarks"]:
        for c in one["comparisons"]:
            change = c["overall"]
            numbers = [change[n] for n in ("count", "num_better", "num_worse", "num_other_words")]
            said = f"{change['difference']:+.1f} ({_span(change['interval'])})"
            rows.append([one["name"], f"{c['second']} against {c['first']}", said, *map(str, numbers)])
    return _table(rows)


def say_diffs(out: Path) -> str:
    """Say where the runs part."""
    lines = []
    for second in ("again", "two-frames"):
        said, code = valley(out, "eval", "diff", "eight-frames", second, "--json", ok=DIFFER)
        found = json.loads(said)
        counts = ", ".join(f"{stage} {n}" for stage, n in found["counts"].items() if n)
        verdict = (
            "equal from media to scores" if found["equal"] else f"parts at **{found['stage']}** ({counts})"
        )
        command = f"`valley eval diff eight-frames {second}`"
        lines.append(f"- {command}: exit code {code}, {found['num_questions']} questions, {verdict}.")
    return "\n".join(lines)


def _leaf(leaf: Mapping[str, Any]) -> str:
    return f"{leaf['score']:.1f} ({_span(leaf['interval'])})"


def _span(interval: Sequence[float]) -> str:
    return f"{interval[0]:.0f} to {interval[1]:.0f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def draw(runs: Sequence[NamedRun]) -> None:
    """Draw the report's own pictures of the synthetic benchmark as files."""
    metric = metrics_of(runs, "synthetic")[0]
    for kind in ("tasks", "languages"):
        drawing = draw_groups([run.name for run in runs], metric, kind)
        head, _, rest = drawing.partition(">")
        named = f'{head} xmlns="http://www.w3.org/2000/svg" width="720"><style>{STYLE}</style>{rest}\n'
        write_whole(HERE / f"evaluate-{kind}.svg", named)


def fill(parts: Mapping[str, str]) -> None:
    """Put texts between their marks in the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name, said in parts.items():
        filled = f"<!-- {name} -->\n\n{said}\n\n<!-- /{name} -->"
        text, count = re.subn(
            rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _, f=filled: f, text, flags=re.DOTALL
        )
        if not count:
            raise SystemExit(f"{PAGE}: there are no marks {name}")
    write_whole(PAGE, text)


def main() -> None:
    """Run what is not finished, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/evaluate"))
    parser.add_argument("--num-clips", type=int, default=16, help="rendered clips")
    parser.add_argument(
        "--judge", help="URL#MODEL, or a model's name, to read the answers to our own questions"
    )
    told = parser.parse_args()
    out: Path = told.out
    out.mkdir(parents=True, exist_ok=True)
    write_own_questions(out)
    clips = ("--num-clips", told.num_clips)
    seconds = [
        run(out, "eight-frames", *clips),
        run(out, "again", *clips, "--batch-size", 1),
        run(out, "two-frames", *clips, "--num-frames", 2),
    ]
    names = ["eight-frames", "two-frames"]
    parts = {"diff": say_diffs(out)}
    if told.judge:
        parts["judge"] = judged(out, told.judge)
    said, _ = valley(out, "report", *names, "--json")
    valley(out, "report", *names, *(["judged"] if told.judge else []), "-o", "report.html")
    found = json.loads(said)
    parts |= {"scores": say_scores(found), "comparison": say_comparison(found)}
    if all(seconds):
        each = ", ".join(f"{s:.0f} s" for s in seconds if s)
        num = sum(len(r.record.answers) for r in open_runs([out / n for n in (*names, "again")]))
        told_clips = (
            f"{told.num_clips} rendered clips, {len(list((out / 'clips').iterdir()))} of the examples"
        )
        parts["budget"] = f"{told_clips}; {num} answers in three runs, which took {each} of one core."
    draw(open_runs([out / name for name in names]))
    fill(parts)
    print("\n\n".join(parts.values()))


if __name__ == "__main__":
    main()
