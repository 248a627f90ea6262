"""What every benchmark keeps: it reads its published form, and its scores are what its metrics say."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest

from valley.conversation import Conversation, Image, Video
from valley.errors import ConfigError, ConversationError
from valley.evaluation.benchmark import BENCHMARKS, Benchmark, JudgedBenchmark, Selection

SAMPLES = Path(__file__).parent.parent / "evaluation" / "samples"
NONSENSE = "zzyzx qqq"
FORMS = sorted(path.name for path in SAMPLES.iterdir())
"""A folder a published form: `tgif_qa`, and `tgif_qa-pairs` for a second form of the same benchmark."""

ALL = [*FORMS, "synthetic"]
JUDGED = [form for form in FORMS if BENCHMARKS.get(form.partition("-")[0]).needs_judge]
BY_RULE = [form for form in ALL if form not in JUDGED]


def _benchmark(form: str) -> Benchmark:
    return BENCHMARKS.get(form.partition("-")[0])


def _selection(form: str, **more: object) -> Selection:
    data = None if form == "synthetic" else SAMPLES / form
    return Selection(**{"num_clips": 1, "controls": False, "data": data, **more})


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> Path:
    """A folder for benchmarks that render their clips; the same for all tests, so that they do it once."""
    return tmp_path_factory.mktemp("rendered")


def _items(form: str, folder: Path, **more: object):
    return _benchmark(form).items(folder, _selection(form, **more))


def test_each_benchmark_has_a_sample():
    assert {form.partition("-")[0] for form in ALL} == set(BENCHMARKS.names())


@pytest.mark.parametrize("form", ALL)
def test_says_what_it_is(form):
    benchmark = _benchmark(form)
    assert isinstance(benchmark, JudgedBenchmark if benchmark.needs_judge else Benchmark)
    assert benchmark.levels
    names = [metric.name for metric in benchmark.metrics]
    assert names
    assert len(set(names)) == len(names)
    assert all(metric.low < metric.high for metric in benchmark.metrics)
    assert all(metric.high == 1 for metric in benchmark.metrics if metric.is_share)


@pytest.mark.parametrize("form", FORMS)
def test_says_where_its_data_come_from(form):
    source = _benchmark(form).source
    assert source is not None
    assert all((source.title, source.homepage, source.citation, source.licence, source.files))
    paths = [file.path for file in source.files]
    assert len(set(paths)) == len(paths)
    for file in source.files:
        assert file.url.startswith(("https://", "http://"))
        assert file.contains
        assert file.num_entries is None or file.num_entries > 0
        for path in (file.path, *file.instead):
            assert not Path(path).is_absolute()
            assert ".." not in Path(path).parts


@pytest.mark.parametrize("form", ALL)
def test_its_ids_are_unique_and_stay(form, rendered):
    ids = [item.id for item in _items(form, rendered)]
    assert ids
    assert len(set(ids)) == len(ids)
    assert [item.id for item in _items(form, rendered)] == ids


@pytest.mark.parametrize("form", ALL)
def test_its_items_are_whole(form, rendered):
    for item in _items(form, rendered):
        assert item.variant == "normal"
        assert all((item.task, item.clip, item.reference))
        assert isinstance(item.conversation, Conversation)
        assert item.conversation.messages[-1].role == "user"
        assert item.conversation.messages[-1].text.strip()
        assert item.conversation.language == item.language
        assert not item.references or item.references[0] == item.reference
        if item.choices:
            assert item.reference in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(item.choices)]


@pytest.mark.parametrize("form", ALL)
def test_items_of_one_clip_are_side_by_side(form, rendered):
    clips = [item.clip for item in _items(form, rendered)]
    changes = sum(one != other for one, other in pairwise(clips))
    assert changes == len(set(clips)) - 1


@pytest.mark.parametrize("form", FORMS)
def test_its_media_lie_in_its_folder(form, tmp_path):
    for item in _items(form, tmp_path):
        assert item.conversation.media
        for medium in item.conversation.media:
            assert isinstance(medium, Image | Video)
            assert isinstance(medium.source, Path)
            assert medium.source.is_relative_to(SAMPLES / form)
            assert medium.source.suffix or isinstance(medium, Video)


@pytest.mark.parametrize("form", FORMS)
def test_each_level_gives_items(form, tmp_path):
    for level in _benchmark(form).levels:
        if level == "val":  # the samples hold the split that is reported
            with pytest.raises(ConfigError, match=r"val.*fetch-list"):
                _items(form, tmp_path, level=level)
        else:
            assert _items(form, tmp_path, level=level)


@pytest.mark.parametrize("form", ALL)
def test_an_unknown_level_is_refused(form, tmp_path):
    with pytest.raises(ConfigError, match=_benchmark(form).levels[0]):
        _items(form, tmp_path, level="impossible")


@pytest.mark.parametrize("form", FORMS)
def test_the_limit_takes_the_first(form, tmp_path):
    all_ids = [item.id for item in _items(form, tmp_path)]
    assert [item.id for item in _items(form, tmp_path, limit=2)] == all_ids[:2]
    assert len(_items(form, tmp_path, limit=1000)) == len(all_ids)


@pytest.mark.parametrize("form", FORMS)
def test_absent_annotations_name_the_file_and_the_way_to_get_it(form, tmp_path):
    name = form.partition("-")[0]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=rf"empty/.*valley data fetch-list {name}`"):
        _items(form, tmp_path, data=empty)
    with pytest.raises(ConfigError, match=rf"--data.*valley data fetch-list {name}`"):
        _items(form, tmp_path, data=None)
    with pytest.raises(ConfigError, match=rf"absent.*valley data fetch-list {name}`"):
        _items(form, tmp_path, data=tmp_path / "absent")


@pytest.mark.parametrize("form", FORMS)
def test_each_of_its_files_broken_is_a_config_error(form, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(SAMPLES / form, copy)
    for path in sorted(p for p in copy.rglob("*") if p.suffix in (".json", ".csv")):
        whole = path.read_bytes()
        for text in ('{"broken": ', '[{"other": "form"}]', "[1, 2]", "null", ""):
            path.write_text(text, encoding="utf-8")
            with pytest.raises(ConfigError, match=path.stem):
                _items(form, tmp_path, data=copy)
        path.write_bytes(whole)


@pytest.mark.parametrize("form", FORMS)
def test_the_folder_of_its_name_within_the_data_is_found(form, tmp_path):
    name = form.partition("-")[0]
    shutil.copytree(SAMPLES / form, tmp_path / name)
    found = _items(form, tmp_path, data=tmp_path)
    assert [item.id for item in found] == [item.id for item in _items(form, tmp_path)]
    assert all(Path(m.source).is_relative_to(tmp_path / name) for i in found for m in i.conversation.media)


@pytest.mark.parametrize("form", BY_RULE)
def test_the_reference_scores_best_and_nonsense_worst(form, rendered):
    benchmark = _benchmark(form)
    for item in _items(form, rendered):
        best = benchmark.score(item, item.reference)
        worst = benchmark.score(item, NONSENSE)
        assert set(best) == set(worst) == {metric.name for metric in benchmark.metrics}
        for metric in benchmark.metrics:
            assert best[metric.name] == pytest.approx(metric.high)
            assert worst[metric.name] == metric.low


@pytest.mark.parametrize("form", BY_RULE)
@pytest.mark.parametrize(
    "answer", ["", " ", "A", "b", "(C)", "A B C", "the", "\x00", "yes" * 500, "答案是 D"]
)
def test_any_answer_scores_within_the_bounds(form, rendered, answer):
    benchmark = _benchmark(form)
    for item in _items(form, rendered):
        for metric in benchmark.metrics:
            assert metric.low <= benchmark.score(item, answer)[metric.name] <= metric.high
        assert benchmark.has_refused(item, answer) is False


def _requests(form: str, folder: Path):
    benchmark = _benchmark(form)
    items = _items(form, folder)
    return benchmark, items, benchmark.judge_requests([(item, f"answer to {item.id}") for item in items])


@pytest.mark.parametrize("form", JUDGED)
def test_a_judged_benchmark_scores_nothing_by_rule(form, tmp_path):
    benchmark = _benchmark(form)
    for item in _items(form, tmp_path):
        assert benchmark.score(item, item.reference) == {}
        assert benchmark.has_refused(item, "I do not know.") is False


@pytest.mark.parametrize("form", JUDGED)
def test_its_requests_are_about_all_answers(form, tmp_path):
    _, items, requests = _requests(form, tmp_path)
    assert len({request.id for request in requests}) == len(requests)
    assert {name for request in requests for name in request.item_ids} == {item.id for item in items}
    for request in requests:
        jsonschema.Draft202012Validator.check_schema(dict(request.schema))
        assert request.schema["type"] == "object"
        assert request.conversation.messages[-1].role == "user"
        assert not request.conversation.media
        words = request.conversation.messages[-1].text
        about = [item for item in items if item.id in request.item_ids]
        assert all(f"answer to {item.id}" in words and item.reference in words for item in about)
        assert all(item.conversation.messages[-1].text in words for item in about)


@pytest.mark.parametrize("form", JUDGED)
def test_it_reads_good_verdicts(form, tmp_path):
    benchmark, _, requests = _requests(form, tmp_path)
    bounds = {metric.name: metric for metric in benchmark.metrics}
    seen = set()
    for request in requests:
        for reply in ({"pred": "yes", "score": 5}, {"pred": "no", "score": 0}, {"pred": "Yes", "score": "4"}):
            used = {key: value for key, value in reply.items() if key in request.schema["properties"]}
            values = benchmark.read_verdict(request, used)
            assert set(values) == set(request.metrics or bounds)
            assert all(bounds[name].low <= value <= bounds[name].high for name, value in values.items())
            seen |= set(values)
        for best in (True, False):
            reply = {"pred": "yes" if best else "no", "score": 5 if best else 0}
            values = benchmark.read_verdict(request, reply)
            wanted = {name: getattr(bounds[name], "high" if best else "low") for name in values}
            assert values == wanted
    assert seen == set(bounds)


@pytest.mark.parametrize("form", JUDGED)
@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"pred": "yes"},
        {"score": None, "pred": "yes"},
        {"score": 6, "pred": "yes"},
        {"score": -1, "pred": "no"},
        {"score": "five", "pred": "yes"},
        {"score": True, "pred": "yes"},
        {"score": float("nan"), "pred": "yes"},
        {"score": 10**400, "pred": "yes"},
        {"score": [4], "pred": "yes"},
    ],
)
def test_it_refuses_bad_verdicts(form, tmp_path, reply):
    benchmark, _, requests = _requests(form, tmp_path)
    for request in requests:
        with pytest.raises(ConversationError, match=r"score|pred"):
            benchmark.read_verdict(request, reply)
