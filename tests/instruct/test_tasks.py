"""The contract of tasks: all ask in the target language, and read nothing but right replies."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruct.cards import LANGUAGES, card, scene_evidence
from instruct.fake_writer import compose
from valley.conversation import from_record, to_record
from valley.instruct.planning import Wanted, plan
from valley.instruct.records import require_provenance, to_conversation
from valley.instruct.task import TASKS, Draft, ReplyError, Task
from valley.instruct.tasks import _written
from valley.instruct.versions import content_version
from valley.instruct.writing import Try, Written

NAMES = TASKS.names()
ALL: dict[str, Task] = {name: TASKS.get(name) for name in NAMES}
SCENES = [scene_evidence(n) for n in range(24)]
SUITED = {name: next(e for _, e in SCENES if ALL[name].suits(e)) for name in NAMES}
LANGUAGE_NAMES = {
    "en": "English (en)",
    "zh": "Chinese (zh)",
    "es": "Spanish (es)",
    "ar": "Arabic (ar)",
    "tlh": "tlh",
}
DRAWS = (0, 1, 7, 12345)


@pytest.fixture(params=NAMES)
def task(request) -> Task:
    return ALL[request.param]


def texts_of(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def right_reply(task: Task, number: int, language: str, draw: int) -> Any:
    truth, evidence = SCENES[number]
    system = task.prompt(evidence, language, draw=draw).messages[0]["content"]
    rounds = re.search(r"exactly (\d+) turns", system)
    raw = compose(
        truth,
        language,
        system,
        int(rounds[1]) if rounds else 1,
        random.Random(draw),
        lies=0.0,
        fact="F1",
        note=print,
    )
    return json.loads(raw)


def right_replies(task: Task, language: str) -> list[tuple[int, int, Any]]:
    """Give scenes, draws and replies; small scenes have not enough to tell for a long dialogue."""
    made = [(n, d, right_reply(task, n, language, d)) for n in range(len(SCENES)) for d in DRAWS[:2]]
    return [
        m
        for m in made
        if task.suits(SCENES[m[0]][1])
        and len(m[2]["turns"]) == len_wanted(task.prompt(SCENES[m[0]][1], language, draw=m[1]).schema)
    ]


def len_wanted(schema: Any) -> int:
    return schema["properties"]["turns"]["minItems"]


def test_what_the_issue_names_is_there() -> None:
    assert set(NAMES) >= {
        "multi_shot_caption",
        "long_description",
        "short_caption",
        "action_recognition",
        "causal_inference",
        "order_of_events",
        "counting",
        "unanswerable",
        "complex_reasoning",
        "dialogue",
        "time_grounding",
        "summary_with_chapters",
    }
    for name in NAMES:
        found = ALL[name]
        assert isinstance(found, Task)
        assert found.name == name
        assert found.help
        assert re.fullmatch(r"[0-9a-f]{12}", found.version)


@pytest.mark.parametrize("language", LANGUAGE_NAMES)
def test_a_prompt_has_the_card_and_the_language(task: Task, language: str) -> None:
    evidence = SUITED[task.name]
    for draw in DRAWS:
        prompt = task.prompt(evidence, language, draw=draw)
        said = "\n".join(texts_of(m["content"]) for m in prompt.messages)
        assert evidence.card in said
        assert f"in {LANGUAGE_NAMES[language]}" in said
        assert f"{evidence.duration_s:.1f} seconds" in said
        assert not re.search(r"\{\w*\}", said), "a place was left open"
        assert json.loads(json.dumps(prompt.messages)) == list(prompt.messages)
        assert 0 < prompt.max_tokens <= 4096
        assert prompt == task.prompt(evidence, language, draw=draw)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_prompt_never_has_an_answer_word_for_word(task: Task, language: str) -> None:
    replies = right_replies(task, language)
    assert replies
    for number, draw, reply in replies:
        prompt = task.prompt(SCENES[number][1], language, draw=draw)
        told = "\n".join(texts_of(m["content"]) for m in prompt.messages)
        system = texts_of(prompt.messages[0]["content"])
        captions = {f.text for f in SCENES[number][1].facts}
        for turn in reply["turns"]:
            assert turn["question"] not in told
            assert turn["answer"] in captions or turn["answer"] not in told
            assert turn["answer"] not in system


def test_pictures_go_to_writers_that_see(task: Task) -> None:
    evidence = replace(
        SUITED[task.name],
        frames=("data:image/jpeg;base64,AA", "data:image/jpeg;base64,BB"),
        frame_times_s=(0.5, 1.5),
    )
    content = task.prompt(evidence, "en", draw=0).messages[-1]["content"]
    if task.sees_frames:
        assert [part["image_url"]["url"] for part in content[1:]] == list(evidence.frames)
        assert "at 0.5, 1.5 s" in content[0]["text"]
    else:
        assert isinstance(content, str)


def test_a_schema_is_one_and_strict(task: Task) -> None:
    for draw in DRAWS:
        schema = task.prompt(SUITED[task.name], "en", draw=draw).schema
        jsonschema.Draft202012Validator.check_schema(dict(schema))
        for part in _objects(schema):
            assert part["additionalProperties"] is False
            assert set(part["required"]) == set(part["properties"]), "strict servers want all of them"


def _objects(schema: Any) -> list[Any]:
    if isinstance(schema, dict):
        found = [schema] if schema.get("type") == "object" else []
        return found + [o for value in schema.values() for o in _objects(value)]
    return [o for value in schema for o in _objects(value)] if isinstance(schema, list) else []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_right_reply_makes_a_conversation(task: Task, language: str) -> None:
    for number, draw, reply in right_replies(task, language):
        evidence = SCENES[number][1]
        jsonschema.validate(reply, dict(task.prompt(evidence, language, draw=draw).schema))
        draft = task.parse(reply, evidence, language, draw=draw)
        assert [(t.question, t.answer) for t in draft.turns] == [
            (t["question"].strip(), t["answer"].strip()) for t in reply["turns"]
        ]
        assert draft.language == language
        assert draft.facts_used == ("F1",)
        wanted = Wanted(evidence, task, language, draw)
        made = to_conversation(Written(wanted, draft, (Try("key", "raw"),), "m"), [])
        require_provenance([made])
        record = json.loads(json.dumps(to_record(made)))
        assert to_record(from_record(record)) == record
        assert made.language == language
        assert len(made.messages) == 2 * len(draft.turns)


KEYS = ["turns", "question", "answer", "facts", "count", "action"]
KEYS += ["cause_s", "effect_s", "start_s", "end_s", "other"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["F1", "[F2]", "", " ", "F999", "\ud800", "3"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "turns",
                    "question",
                    "answer",
                    "facts",
                    "count",
                    "action",
                    "cause_s",
                    "effect_s",
                    "start_s",
                    "end_s",
                    "other",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=JSON)
def test_rubbish_is_a_reply_error_and_nothing_else(value: Any) -> None:
    for name in NAMES:
        read_or_refuse(ALL[name], value)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=JSON, place=st.sampled_from(["turns", "question", "answer", "facts", "rest"]))
def test_a_right_reply_with_rubbish_in_it_is_read_or_refused(value: Any, place: str) -> None:
    for name in NAMES:
        task = ALL[name]
        turn = {"question": "What?", "answer": "That.", "facts": ["F1"]}
        if place in turn:
            turn[place] = value
        rounds = task.num_rounds(0) if hasattr(task, "num_rounds") else 1
        rest: Any = dict.fromkeys(("count", "action", "cause_s", "effect_s", "start_s", "end_s"), value)
        if place != "rest":
            rest = {"count": 1, "action": "runs", "cause_s": 0.1, "effect_s": 0.2, "start_s": 0, "end_s": 0.5}
        read_or_refuse(task, {"turns": value if place == "turns" else [turn] * rounds, **rest})


def read_or_refuse(task: Task, value: Any) -> None:
    evidence = SUITED[task.name]
    refused = None
    try:
        draft = task.parse(value, evidence, "en", draw=0)
    except ReplyError as error:
        refused = error
    if refused is not None:
        assert re.fullmatch(r"[a-z_]+", refused.reason)
        assert refused.detail
        json.dumps(refused.detail)
        return
    assert isinstance(draft, Draft)
    assert draft.turns
    assert set(draft.facts_used) <= {fact.id for fact in evidence.facts}
    json.dumps(dict(draft.details), allow_nan=False)


def test_a_reply_says_what_is_wrong_with_it() -> None:
    task, evidence = ALL["counting"], SUITED["counting"]
    turn = {"question": "How many?", "answer": "Two.", "facts": ["F1"]}
    for reply, reason in (
        ([], "schema"),
        ({"turns": [turn, turn], "count": 2}, "num_turns"),
        ({"turns": [{**turn, "answer": " "}], "count": 2}, "empty"),
        ({"turns": [{**turn, "facts": ["F77"]}], "count": 2}, "unknown_fact"),
        ({"turns": [turn], "count": 2.5}, "schema"),
        ({"turns": [turn], "count": float("inf")}, "schema"),
        ({"turns": [turn]}, "schema"),
    ):
        with pytest.raises(ReplyError) as caught:
            task.parse(reply, evidence, "en", draw=0)
        assert caught.value.reason == reason, reply
    time = {"turns": [turn], "start_s": 1.0, "end_s": 99.0}
    with pytest.raises(ReplyError, match="want 0 <= start_s"):
        ALL["time_grounding"].parse(time, SUITED["time_grounding"], "en", draw=0)


def test_a_version_is_a_hash_of_the_file_and_of_nothing_else(tmp_path: Path) -> None:
    task = ALL["counting"]
    assert task.version == content_version(Path(task.file), Path(_written.__file__))
    copy = tmp_path / "counting.py"
    copy.write_bytes(Path(task.file).read_bytes().replace(b"\n", b"\r\n"))
    moved = replace(task, file=str(copy))
    assert moved.version == task.version
    copy.write_bytes(Path(task.file).read_bytes() + b"\n")
    assert moved.version != task.version


def test_a_task_suits_what_it_can_be_asked_about() -> None:
    words = card("A cook cuts onions.")
    silent = card(shots=((0, 5), (5, 10)))
    shots = card("A cook cuts onions.", shots=((0, 5), (5, 10)))
    timed = card(("A cook cuts onions.", 0, 2), ("He cries.", 3, 4), ("He laughs.", 5, 6))
    one = card(("A cook cuts onions.", 0, 2))
    picture = card("A cook.", kind="image")
    seen = card(frames=("data:image/jpeg;base64,AA",))
    suited = {
        name: [ALL[name].suits(e) for e in (words, silent, shots, timed, one, picture, seen)]
        for name in NAMES
    }
    yes, no = True, False
    anywhere = [yes, no, yes, yes, yes, yes, yes]
    in_videos = [yes, no, yes, yes, yes, no, yes]
    assert suited == {
        "action_recognition": in_videos,
        "causal_inference": in_videos,
        "complex_reasoning": anywhere,
        "counting": anywhere,
        "dialogue": anywhere,
        "long_description": anywhere,
        "multi_shot_caption": [no, no, yes, no, no, no, no],
        "order_of_events": [no, no, no, yes, no, no, no],
        "short_caption": anywhere,
        "summary_with_chapters": [no, no, no, yes, no, no, no],
        "time_grounding": [no, no, no, yes, yes, no, no],
        "unanswerable": anywhere,
    }


def test_more_clips_change_nothing_about_the_others() -> None:
    weights = {"dialogue": 5.0, "complex_reasoning": 3.0, "long_description": 2.0}

    def planned(numbers: range) -> list[tuple[str, str, str, int]]:
        cards = (SCENES[n][1] for n in numbers)
        return [
            (w.id, w.task.name, w.language, w.draw)
            for w in plan(cards, weights, LANGUAGES, per_clip=1, seed=3)
        ]

    assert planned(range(8)) == planned(range(24))[:8]
    drawn = [name for _, name, _, _ in planned(range(24))]
    assert len(drawn) == 24
    assert drawn.count("dialogue") > drawn.count("long_description")
    assert len({tag for _, _, tag, _ in planned(range(24))}) == 3


def test_a_task_of_a_package_elsewhere_is_one_of_them(tmp_path: Path, monkeypatch) -> None:
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[valley.instruct.tasks]\nwhat_is_funny = what_is_funny:TASK\n")
    (tmp_path / "what_is_funny.py").write_text(
        "from valley.instruct.tasks._written import WrittenTask, is_video_with_words\n"
        "TASK = WrittenTask(__file__, 'what is funny', 'one turn. What is funny in the {medium}?',"
        " is_video_with_words)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "what_is_funny" in TASKS.names()
    task = TASKS.get("what_is_funny")
    assert task.name == "what_is_funny"
    said = task.prompt(SUITED["dialogue"], "es", draw=0).messages[0]["content"]
    assert "Spanish (es)" in said
    assert said.endswith("What is funny in the video?")
    wanted = list(plan([SUITED["dialogue"]], {"what_is_funny": 1.0}, ["es"]))
    assert [w.task for w in wanted] == [task]
