"""From answers to numbers: by task, language and tag, each with its interval; a table and a plot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from valley.errors import ConfigError, MissingExtraError
from valley.evaluation.benchmark import Metric
from valley.evaluation.metrics import bootstrap_interval, cluster_means, percent, wilson_interval
from valley.evaluation.records import AnswerRecord

_SAME_MEAN = 1e-9  # what rounding makes of equal means


def make_report(answers: Sequence[AnswerRecord], metric: Metric | None = None) -> dict[str, Any]:
    """Group the values of one metric.

    Args:
        answers: to one benchmark; those without a value of the metric are left out.
        metric: which; the first that the answers have unless given, as a share.

    Returns:
        `overall`, `tasks`, `languages`, `task_languages` and `tags` of the normal questions, and the same
        under the name of each control ("blind"); `refused_own` and `refused_real`, how often the model said
        that it does not know such footage, of the normal questions and of those about recorded videos.
        Every leaf is {"score": percent or mean, "count": n, "interval": [low, high]}; see `leaf_of`.
    """
    metric = metric or Metric(headline_of(answers))
    counted = [a for a in answers if metric.name in a.scores]
    tables = _Tables(metric, is_right_or_wrong=all(a.scores[metric.name] in (0, 1) for a in counted))
    normal = [a for a in counted if a.variant == "normal"]
    controls = sorted({a.variant for a in counted} - {"normal", "real"})
    real = [a for a in answers if a.variant == "real"]
    return {
        **tables.groups(normal),
        **{name: tables.groups([a for a in counted if a.variant == name]) for name in controls},
        "refused_own": share_of(normal, lambda a: a.refused),
        "refused_real": share_of(real, lambda a: a.refused),
    }


def headline_of(answers: Iterable[AnswerRecord]) -> str:
    """Name the first metric that any answer has a value of."""
    return next((name for a in answers for name in a.scores), "accuracy")


def share_of(answers: Sequence[AnswerRecord], holds: Callable[[AnswerRecord], bool]) -> dict[str, Any]:
    """Make a leaf: in how many of a hundred answers something holds."""
    return leaf_of([float(holds(a)) for a in answers], [cluster_of(a) for a in answers])


def cluster_of(answer: AnswerRecord) -> str:
    """Name the clip that an answer is about, or the question where it stands alone."""
    return answer.clip or answer.id


def leaf_of(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    is_share: bool = True,
    is_right_or_wrong: bool = True,
) -> dict[str, Any]:
    """Make a leaf of values and of what they belong to: a share in percent, or a mean in its own unit.

    The interval is a bootstrap over clusters. Where all of them have the same mean, that has no width: then
    it is Wilson's for values that are right or wrong, and None for others, of which it cannot be told.
    """
    if not values:
        return {"score": None, "count": 0, "interval": None}
    interval = _interval(values, clusters, is_counted=is_share and is_right_or_wrong)
    if is_share:
        bounds = interval and [round(100 * bound, 1) for bound in interval]
        return {"score": percent(values), "count": len(values), "interval": bounds}
    score = round(sum(values) / len(values), 3)
    return {"score": score, "count": len(values), "interval": interval and [round(b, 3) for b in interval]}


def _interval(
    values: Sequence[float], clusters: Sequence[str], *, is_counted: bool
) -> tuple[float, float] | None:
    means = cluster_means(values, clusters)
    if max(means) - min(means) > _SAME_MEAN:
        return bootstrap_interval(values, clusters)
    if not is_counted:
        return None
    low, high = wilson_interval(means)
    return low / 100, high / 100


class _Tables:
    """The tables of one metric."""

    def __init__(self, metric: Metric, *, is_right_or_wrong: bool) -> None:
        self.metric = metric
        self._is_right_or_wrong = is_right_or_wrong

    def groups(self, answers: Sequence[AnswerRecord]) -> dict[str, Any]:
        tags = sorted({t for a in answers for t in a.tags})
        return {
            "overall": self.leaf(answers),
            "tasks": self.split(answers, lambda a: a.task),
            "languages": self.split(answers, lambda a: a.language),
            "task_languages": self.split(answers, lambda a: f"{a.task}/{a.language}"),
            "tags": {tag: self.tagged([a for a in answers if tag in a.tags]) for tag in tags},
        }

    def tagged(self, answers: Sequence[AnswerRecord]) -> dict[str, Any]:
        return {"overall": self.leaf(answers), "tasks": self.split(answers, lambda a: a.task)}

    def leaf(self, answers: Sequence[AnswerRecord]) -> dict[str, Any]:
        values = [float(a.scores[self.metric.name]) for a in answers]
        return leaf_of(
            values,
            [cluster_of(a) for a in answers],
            is_share=self.metric.is_share,
            is_right_or_wrong=self._is_right_or_wrong,
        )

    def split(self, answers: Sequence[AnswerRecord], name: Callable[[AnswerRecord], str]) -> dict[str, Any]:
        groups: dict[str, list[AnswerRecord]] = {}
        for one in answers:
            groups.setdefault(name(one), []).append(one)
        return {key: self.leaf(group) for key, group in groups.items()}


CONTROL_TITLES = {"blind": "black frames", "one_frame": "one frame", "swapped": "other clip"}


def as_table(report: Mapping[str, Any]) -> str:
    """Write the report as a Markdown table: a row a task, a column a language and a control."""
    languages = list(report["languages"])
    controls = [c for c in CONTROL_TITLES if c in report]
    head = ["task", *languages, "all", "95 %", "questions", *(CONTROL_TITLES[c] for c in controls)]
    rows = [
        [
            task,
            *(_score(report["task_languages"].get(f"{task}/{one}")) for one in languages),
            *_summary(leaf),
            *(_score(report[c]["tasks"].get(task)) for c in controls),
        ]
        for task, leaf in report["tasks"].items()
    ]
    last = ["**all**", *(_score(report["languages"][one]) for one in languages), *_summary(report["overall"])]
    rows.append(last + [_score(report[c]["overall"]) for c in controls])
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    asks_strange_clips = report["refused_real"]["count"] > 0
    refused = [
        f"{_score(report[name])} % of {report[name]['count']} {what}"
        for name, what in (
            ("refused_own", "questions about its own world"),
            ("refused_real", "about real clips"),
        )
        if report[name]["score"] or asks_strange_clips
    ]
    return f"{table}\n\nRefused as another world: {', '.join(refused)}." if refused else table


def _score(leaf: Mapping[str, Any] | None) -> str:
    return "" if leaf is None or leaf["score"] is None else f"{leaf['score']:.1f}"


def _summary(leaf: Mapping[str, Any]) -> list[str]:
    bounds = "" if leaf["interval"] is None else "{:.0f}-{:.0f}".format(*leaf["interval"])
    return [_score(leaf), bounds, str(leaf["count"])]


def check_can_draw(path: Path) -> None:
    """Refuse a plot that could not be written.

    Raises:
        MissingExtraError: matplotlib is absent.
        ConfigError: its suffix is no picture format.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ModuleNotFoundError as error:
        raise MissingExtraError(wanted_by="drawing a report", package="matplotlib", extra="eval") from error
    if path.suffix.lower()[1:] not in FigureCanvasBase.get_supported_filetypes():
        raise ConfigError(f"{path}: want a picture, such as scores.png")


def draw_report(report: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Draw the score of each task with its interval beside that on black frames.

    Raises:
        MissingExtraError: matplotlib is absent.
        ConfigError: its suffix is no picture format.
    """
    check_can_draw(path)
    from matplotlib.figure import Figure

    tasks = list(report["tasks"])
    figure = Figure(figsize=(1.1 * len(tasks) + 2, 4), layout="constrained")
    axes = figure.subplots()
    series = [("clip", report["tasks"], -0.2, "#2f6fb3")]
    if "blind" in report:
        series.append(("black frames", report["blind"]["tasks"], 0.2, "#9a9a9a"))
    for label, leaves, shift, color in series:
        known = [(place, leaves[task]) for place, task in enumerate(tasks) if task in leaves]
        scores = [leaf["score"] for _, leaf in known]
        bounds = [leaf["interval"] or (leaf["score"], leaf["score"]) for _, leaf in known]
        below = [score - low for score, (low, _) in zip(scores, bounds, strict=True)]
        above = [high - score for score, (_, high) in zip(scores, bounds, strict=True)]
        places = [place + shift for place, _ in known]
        error = [[max(0, b) for b in below], [max(0, a) for a in above]]
        axes.bar(places, scores, 0.38, yerr=error, capsize=3, color=color, label=label)
    axes.set_xticks(range(len(tasks)), [t.replace("_", "\n") for t in tasks])
    axes.set_ylim(0, 105)
    axes.set_ylabel("right answers, %")
    axes.set_title(title)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=110)
