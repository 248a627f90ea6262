"""What is particular to each published benchmark: its forms, where its media lie, and its words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from valley.conversation import Image, Video
from valley.errors import ConfigError
from valley.evaluation.benchmark import BENCHMARKS, Item, Selection

SAMPLES = Path(__file__).parent / "samples"


def _copy(form: str, tmp_path: Path) -> Path:
    shutil.copytree(SAMPLES / form, tmp_path / form)
    return tmp_path / form


def _items(name: str, data: Path, **more) -> list[Item]:
    return BENCHMARKS.get(name).items(data / "made", Selection(data=data, **more))


def _medium(item: Item) -> Image | Video:
    (medium,) = item.conversation.messages[-1].media
    return medium


def _words(item: Item) -> str:
    return item.conversation.messages[-1].text


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def _rewrite(path: Path, change) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(value)), encoding="utf-8")


# Media


def test_media_are_found_by_their_name_with_any_suffix(tmp_path):
    data = _copy("activitynet_qa", tmp_path)
    own = _touch(data / "videos" / "v_aBcDeFgHiJk.MKV")
    bare = _touch(data / "videos" / "-XyZ_0123ab.webm")
    found = {item.clip: _medium(item).source for item in _items("activitynet_qa", data)}
    assert set(found.values()) == {own, bare}


def test_absent_media_keep_the_path_that_was_expected(tmp_path):
    data = _copy("activitynet_qa", tmp_path)
    paths = {_medium(item).source for item in _items("activitynet_qa", data)}
    assert paths == {data / "videos" / "v_aBcDeFgHiJk.mp4", data / "videos" / "v_-XyZ_0123ab.mp4"}


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "", "..", "a\0b"])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    data = _copy("video_chatgpt", tmp_path)
    _rewrite(data / "generic_qa.json", lambda rows: [{**row, "video_name": name} for row in rows])
    with pytest.raises(ConfigError, match="names no file in this folder"):
        _items("video_chatgpt", data)


def test_a_name_with_a_suffix_is_taken_as_it_stands_first(tmp_path):
    data = _copy("mvbench", tmp_path)
    wanted = _touch(data / "video" / "ssv2_video" / "166583.webm")
    _touch(data / "video" / "ssv2_video" / "166583.mp4")
    (item,) = _items("mvbench", data, level="action_antonym")
    assert _medium(item).source == wanted


def test_the_same_id_twice_gets_a_number(tmp_path):
    data = _copy("msvd_qa", tmp_path)
    _rewrite(data / "test_qa.json", lambda rows: [{**row, "id": 7} for row in rows])
    assert [item.id for item in _items("msvd_qa", data)] == ["7", "7-2", "7-3", "7-4"]


# Open questions


def test_msvd_clips_have_numbers_or_the_names_of_the_mapping(tmp_path):
    data = _copy("msvd_qa", tmp_path)
    by_number = _touch(data / "videos" / "vid1301.avi")
    by_name = _touch(data / "videos" / "-bbbbbbbbbb_205_208.avi")
    found = [_medium(item).source for item in _items("msvd_qa", data)]
    assert found == [by_number, by_number, by_name, data / "videos" / "vid1303.mp4"]


def test_kinds_of_questions_are_those_of_the_paper(tmp_path):
    tasks = [item.task for item in _items("msvd_qa", SAMPLES / "msvd_qa")]
    assert tasks == ["who", "where", "what", "how"]
    data = _copy("msrvtt_qa", tmp_path)
    _rewrite(data / "test_qa.json", lambda rows: [{**rows[0], "question": "is it a dog?"}])
    assert [item.task for item in _items("msrvtt_qa", data)] == ["other"]


def test_both_forms_ask_the_same():
    for name in ("msvd_qa", "msrvtt_qa", "tgif_qa"):
        one = {(_words(i), i.reference) for i in _items(name, SAMPLES / name)}
        other = {(_words(i), i.reference) for i in _items(name, SAMPLES / f"{name}-pairs")}
        assert other < one


def test_answers_belong_to_their_question_whatever_their_order(tmp_path):
    data = _copy("activitynet_qa", tmp_path)
    before = [(item.id, item.reference, item.task) for item in _items("activitynet_qa", data)]
    _rewrite(data / "test_a.json", lambda rows: rows[::-1])
    assert [(i.id, i.reference, i.task) for i in _items("activitynet_qa", data)] == before


def test_answers_without_ids_belong_by_their_place(tmp_path):
    data = _copy("tgif_qa-pairs", tmp_path)
    _rewrite(data / "test_a.json", lambda rows: [{"answer": row["answer"]} for row in rows])
    assert [item.reference for item in _items("tgif_qa", data)] == ["tyre", "three"]


def test_questions_without_an_answer_are_refused(tmp_path):
    data = _copy("activitynet_qa", tmp_path)
    _rewrite(data / "test_a.json", lambda rows: rows[1:])
    with pytest.raises(ConfigError, match=r"test_q\.json, row 1.*both files of one release"):
        _items("activitynet_qa", data)


def test_activitynet_types_are_tasks():
    tasks = [item.task for item in _items("activitynet_qa", SAMPLES / "activitynet_qa")]
    assert tasks == ["yes_no", "color", "temporal_relation", "spatial_relation"]


def test_tgif_reads_its_table_with_its_tabs_and_quotes(tmp_path):
    data = _copy("tgif_qa", tmp_path)
    gif = _touch(data / "videos" / "tumblr_aaa2_400.gif")
    items = _items("tgif_qa", data)
    assert [item.id for item in items] == ["FRAMEQA11", "FRAMEQA12", "FRAMEQA14", "FRAMEQA13"]
    assert [item.task for item in items] == ["object", "number", "location", "color"]
    assert _medium(items[1]).source == gif


def test_the_judge_is_asked_in_the_published_words():
    benchmark = BENCHMARKS.get("msrvtt_qa")
    item = _items("msrvtt_qa", SAMPLES / "msrvtt_qa")[0]
    (request,) = benchmark.judge_requests([(item, "They sit on {a} sofa.")])
    rules, asked = (message.text for message in request.conversation.messages)
    assert rules.startswith("You are an intelligent chatbot designed for evaluating the correctness of")
    assert "------##INSTRUCTIONS: - Focus on the meaningful match" in rules
    assert (
        "Question: what are two people sitting on?\nCorrect Answer: bench\n"
        "Predicted Answer: They sit on {a} sofa.\n\nProvide your evaluation only as a yes/no and score"
        in asked
    )
    assert asked.endswith("your response should look like this: {'pred': 'yes', 'score': 4.8}.")
    assert benchmark.read_verdict(request, {"pred": "yes", "score": 4.8}) == {"accuracy": 1, "score": 4}


# Video-ChatGPT


def test_each_dimension_has_its_own_request():
    benchmark = BENCHMARKS.get("video_chatgpt")
    items = _items("video_chatgpt", SAMPLES / "video_chatgpt")
    requests = benchmark.judge_requests([(item, "yes") for item in items])
    assert len(items) == 2 + 1 + 4
    about = sorted(name for request in requests for name in request.metrics)
    assert about == sorted(2 * ["correctness", "detail", "context"] + ["temporal"] + 2 * ["consistency"])
    for request in requests:
        assert benchmark.read_verdict(request, {"score": 3}) == dict.fromkeys(request.metrics, 3)
        assert len(request.item_ids) == (2 if request.metrics == ("consistency",) else 1)


def test_a_level_is_one_dimension():
    benchmark = BENCHMARKS.get("video_chatgpt")
    for level in benchmark.levels[1:]:
        items = _items("video_chatgpt", SAMPLES / "video_chatgpt", level=level)
        requests = benchmark.judge_requests([(item, "yes") for item in items])
        assert {request.metrics for request in requests} == {(level,)}


def test_two_answers_of_a_pair_are_judged_together_with_both_questions():
    benchmark = BENCHMARKS.get("video_chatgpt")
    items = _items("video_chatgpt", SAMPLES / "video_chatgpt", level="consistency")
    (request, _) = benchmark.judge_requests([(item, f"[{item.id}]") for item in items])
    assert (
        "Question 1: What is the woman making?\nQuestion 2: What kind of food does the woman prepare?\n"
        "Correct Answer: She makes biscuits.\nPredicted Answer to Question 1: [consistency-0000-1]\n"
        "Predicted Answer to Question 2: [consistency-0000-2]\n\nProvide your evaluation only as a "
        "consistency "
        "score where the consistency score is an integer value" in request.conversation.messages[-1].text
    )
    swapped = [(item, f"[{item.id}]") for item in items[1::-1]]
    assert benchmark.judge_requests(swapped)[0].conversation == request.conversation


def test_half_a_pair_is_judged_with_an_empty_answer_and_never_asked():
    benchmark = BENCHMARKS.get("video_chatgpt")
    items = _items("video_chatgpt", SAMPLES / "video_chatgpt", level="consistency")
    (request,) = benchmark.judge_requests([(items[1], "biscuits")])
    assert "Predicted Answer to Question 1: \n" in request.conversation.messages[-1].text
    limited = _items("video_chatgpt", SAMPLES / "video_chatgpt", level="consistency", limit=3)
    assert [item.id for item in limited] == [item.id for item in items[:2]]


@pytest.mark.parametrize(
    ("level", "rules", "form"),
    [
        (
            "correctness",
            "evaluating the factual accuracy of generative outputs for video-based question-answer pairs. "
            "Your "
            "task is to compare the predicted answer with the correct answer and determine if they are "
            "factually "
            "consistent. Here's how you can accomplish the task:------##INSTRUCTIONS: - Focus on the factual",
            "Provide your evaluation only as a factual accuracy score where the factual accuracy score is an "
            "integer value between 0 and 5, with 5 indicating the highest level of factual consistency. "
            "Please "
            "generate the response in the form of a Python dictionary string with keys 'score', where its "
            "value is the factual accuracy score in INTEGER, not STRING.DO NOT PROVIDE ANY OTHER",
        ),
        (
            "context",
            "determine if the generated response aligns with the overall context of the video content. "
            "Here's",
            "with 5 indicating the highest level of contextual understanding. Please generate the response "
            "in the "
            "form of a Python dictionary string with keys 'score', where its value is contextual "
            "understanding score in INTEGER, not STRING.",
        ),
        (
            "temporal",
            "evaluating the temporal understanding of generative outputs for video-based",
            "the temporal accuracy score is an integer value between 0 and 5, with 5 indicating the "
            "highest level of temporal consistency.",
        ),
    ],
)
def test_the_dimensions_are_told_in_the_published_words(level, rules, form):
    items = _items("video_chatgpt", SAMPLES / "video_chatgpt", level=level)
    request = BENCHMARKS.get("video_chatgpt").judge_requests([(items[0], "yes")])[0]
    told, asked = (message.text for message in request.conversation.messages)
    assert rules in told
    assert form in asked
    assert asked.endswith("your response should look like this: {''score': 4.8}.")


# Choices


def test_mvbench_asks_in_the_published_words():
    item = _items("mvbench", SAMPLES / "mvbench", level="action_sequence")[0]
    assert [message.role for message in item.conversation.messages] == ["system", "user"]
    assert _words(item) == (
        "Carefully watch the video and pay attention to the cause and sequence of events, the detail and "
        "movement of objects, and the action and pose of persons. Based on your observations, select the "
        "best option that accurately addresses the question.\n"
        "Question: What happened after the person opened the door?\nOptions:\n(A) Sat down.\n"
        "(B) Took the bag.\n(C) Closed the box.\n(D) Threw the towel.\nOnly give the best option."
    )
    assert item.reference == "B"


def test_mvbench_takes_a_stretch_or_the_file_that_is_cut_out(tmp_path):
    data = _copy("mvbench", tmp_path)
    (item,) = _items("mvbench", data, level="object_interaction")
    assert _medium(item) == Video(data / "video/star/Charades_v1_480/AAA3.mp4", 2.0, 9.9)
    cut_out = _touch(data / "video/star/Charades_segment/AAA3.mp4")
    (item,) = _items("mvbench", data, level="object_interaction")
    assert _medium(item) == Video(cut_out)
    (item,) = _items("mvbench", data, level="moving_count")
    assert _medium(item) == Video(data / "video/clevrer/video_validation/video_10003.mp4")


def test_mvbench_frames_without_times_are_three_a_second(tmp_path):
    from PIL import Image as Picture

    from valley.video.decoding import read_frames
    from valley.video.sampling import FrameSampling

    data = _copy("mvbench", tmp_path)
    folder = data / "video/tvqa/frames_fps3_hq/friends_s01e01_seg01_clip_00"
    folder.mkdir(parents=True)
    for number in range(1, 16):  # five seconds, as bright as they are late
        Picture.new("RGB", (8, 8), (number * 10,) * 3).save(folder / f"{number:05d}.png")
    seen = []
    for has_times in (False, True):
        if has_times:
            (folder / "timestamps.txt").write_text("\n".join(str(n / 3) for n in range(15)), encoding="utf-8")
        (item,) = _items("mvbench", data, level="episodic_reasoning")
        clip = _medium(item)
        window = FrameSampling(num_frames=20, start_s=clip.start_s, end_s=clip.end_s)
        seen.append([int(frame[0, 0, 0]) for frame in read_frames(clip.source, window).pixels])
    assert seen[0] == seen[1] == [70, 80, 90, 100, 110, 120, 130]  # 2 s to 4 s


def test_mvbench_refuses_an_answer_that_is_no_candidate(tmp_path):
    data = _copy("mvbench", tmp_path)
    _rewrite(data / "json/moving_count.json", lambda rows: [{**rows[0], "answer": "9"}])
    with pytest.raises(ConfigError, match=r"moving_count\.json, row 1.*candidates.*'9'"):
        _items("mvbench", data, level="moving_count")


def test_next_qa_clips_lie_where_vidor_keeps_them(tmp_path):
    data = _copy("next_qa", tmp_path)
    kept = _touch(data / "videos/1164/4010069381.mp4")
    items = _items("next_qa", data)
    assert _medium(items[0]).source == kept
    flat = _touch(data / "videos/4010069381.mp4")
    assert _medium(_items("next_qa", data)[0]).source == flat


def test_next_qa_groups_and_words():
    items = {item.id: item for item in _items("next_qa", SAMPLES / "next_qa")}
    assert [item.task for item in items.values()] == [
        "causal_how",
        "causal_why",
        "temporal_before_after",
        "temporal_before_after",
        "descriptive_count",
    ]
    one = items["2622868812_2"]
    assert one.tags == ("temporal",)
    assert _words(one) == (
        "What does the girl do after she waves?\nA. sits down\nB. claps, then bows\nC. sleeps\nD. cries\n"
        "E. runs away\nAnswer with the option's letter from the given choices directly."
    )
    assert one.reference == "E"


@pytest.mark.parametrize(("field", "value"), [("answer", "5"), ("answer", "x"), ("type", "ZZ"), ("a3", None)])
def test_next_qa_refuses_what_is_no_row_of_it(tmp_path, field, value):
    data = _copy("next_qa", tmp_path)
    head, first, *_ = (data / "test.csv").read_text(encoding="utf-8").splitlines()
    names, cells = head.split(","), first.split(",")
    if value is None:
        names[names.index(field)] = "other"
    else:
        cells[names.index(field)] = value
    (data / "test.csv").write_text(f"{','.join(names)}\n{','.join(cells)}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"test\.csv, row 1.*'{field}'"):
        _items("next_qa", data)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"video,question\n1,2,3,4\n", r"row 1: want a text"),
        (b"video,question\n\xff\xfe", "no table"),
        (b"video,question\n", "no rows"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, content, reason):
    data = _copy("next_qa", tmp_path)
    (data / "test.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"test\.csv.*{reason}"):
        _items("next_qa", data)


def test_video_mme_asks_in_the_published_words():
    item = _items("video_mme", SAMPLES / "video_mme")[0]
    assert _words(item) == (
        "Select the best answer to the following multiple-choice question based on the video. Respond with "
        "only "
        "the letter (A, B, C, or D) of the correct option.\nHow many boats pass the bridge?\nA. 2.\nB. 3.\n"
        "C. 4.\nD. 5.\nThe best answer is:"
    )
    assert item.choices == ("2.", "3.", "4.", "5.")
    assert (item.task, item.tags) == ("Counting Problem", ("short", "Knowledge", "Geography"))
    assert _medium(item).source == SAMPLES / "video_mme/data/aaaaaaaaaaa.mp4"


def test_video_mme_puts_subtitles_first_where_there_are_some():
    items = _items("video_mme", SAMPLES / "video_mme", level="with_subtitles")
    assert _words(items[0]).startswith(
        "This video's subtitles are listed below:\nHere comes the first boat.\n"
        "And there the last one, a green one.\nSelect the best answer"
    )
    assert _words(items[2]).startswith("Select the best answer")


def test_video_mme_reads_the_parquet_file_of_the_hub(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    data = _copy("video_mme", tmp_path)
    before = _items("video_mme", data)
    rows = [
        {
            **{k: video[k] for k in ("video_id", "duration", "domain", "sub_category", "url")},
            "videoID": video["url"].rpartition("=")[2],
            **{k: question[k] for k in ("question_id", "task_type", "question", "answer")},
            "options": question["choices"],
        }
        for video in json.loads((data / "video_mme.json").read_text(encoding="utf-8"))
        for question in video["questions"]
    ]
    (data / "videomme").mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), data / "videomme/test-00000-of-00001.parquet")
    (data / "video_mme.json").unlink()
    assert _items("video_mme", data) == before
    (data / "videomme/test-00000-of-00001.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(ConfigError, match="no Parquet"):
        _items("video_mme", data)


def test_video_mme_refuses_an_answer_that_is_no_letter(tmp_path):
    data = _copy("video_mme", tmp_path)

    def break_it(videos):
        videos[0]["questions"][1]["answer"] = "E"
        return videos

    _rewrite(data / "video_mme.json", break_it)
    with pytest.raises(ConfigError, match=r"row 1, question 2.*'E'"):
        _items("video_mme", data)


def test_egoschema_asks_what_has_a_public_answer(tmp_path):
    data = _copy("egoschema", tmp_path)
    assert [(i.id[-1], i.reference) for i in _items("egoschema", data)] == [("1", "B"), ("2", "A")]
    _rewrite(data / "subset_answers.json", lambda answers: {**answers, "gone": 2})
    with pytest.raises(ConfigError, match=r"1 questions of subset_answers\.json are absent, such as gone"):
        _items("egoschema", data)


def test_science_qa_asks_about_pictures_of_the_test_split():
    items = _items("science_qa", SAMPLES / "science_qa")
    assert [(item.id, item.task, item.tags) for item in items] == [
        ("4", "social science", ("grades_1_6", "no_hint")),
        ("5", "natural science", ("grades_7_12", "hint")),
    ]
    assert _medium(items[0]) == Image(SAMPLES / "science_qa/images/test/4/image.png")
    assert _words(items[0]) == (
        "Question: Which of these places is farthest north?\nContext: N/A\n"
        "Options: (A) the lake (B) the hill (C) the town\nAnswer:"
    )


def test_science_qa_shows_the_same_examples_to_every_question():
    def shown(seed: int):
        items = _items("science_qa", SAMPLES / "science_qa", level="few_shot", seed=seed)
        turns = {item.conversation.messages[:-1] for item in items}
        assert len(turns) == 1
        return turns.pop()

    first = shown(0)
    assert [turn.role for turn in first] == ["user", "assistant"] * 2
    assert all(
        turn.media[0].source.is_relative_to(SAMPLES / "science_qa/images/train") for turn in first[::2]
    )
    assert all(turn.text.startswith("The answer is ") for turn in first[1::2])
    assert shown(0) == first
    assert len({shown(seed) for seed in range(8)}) > 1


def test_science_qa_refuses_splits_of_another_release(tmp_path):
    data = _copy("science_qa", tmp_path)
    _rewrite(data / "pid_splits.json", lambda splits: {**splits, "test": ["999"]})
    with pytest.raises(ConfigError, match=r"problem 999.*one release"):
        _items("science_qa", data)


def test_the_example_of_the_documentation_works(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    row = {"id": 1, "video": "a", "question": "Which?", "options": ["this", "that"], "answer": 1, "kind": "x"}
    (tmp_path / "test.json").write_text(json.dumps([row]), encoding="utf-8")
    (item,) = made["BENCHMARK"].items(tmp_path, Selection(data=tmp_path))
    assert made["BENCHMARK"].score(item, "It is that.") == {"accuracy": 1}
    assert _medium(item).source == tmp_path / "videos" / "a.mp4"
    row["answer"] = 2
    (tmp_path / "test.json").write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"test\.json, row 1.*'answer' from 0 to 1, got 2"):
        made["BENCHMARK"].items(tmp_path, Selection(data=tmp_path))


# MemeCap


def test_memecap_levels_tell_more_or_less():
    words = {
        level: _words(_items("memecap", SAMPLES / "memecap", level=level)[0])
        for level in BENCHMARKS.get("memecap").levels
    }
    ask = "What is the meme poster trying to convey? Answer:"
    title = 'This is a meme with the title "Every Thursday". '
    assert words == {
        "title": title + ask,
        "picture_alone": ask,
        "title_and_description": f'{title}The image description is "A cat looks at an empty bowl.". {ask}',
    }


def test_memecap_scores_are_those_of_the_kept_libraries():
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    benchmark = BENCHMARKS.get("memecap")
    item = _items("memecap", SAMPLES / "memecap")[0]
    answer = "The meme poster cannot wait for the end of the week."
    scores = benchmark.score(item, answer)
    one_by_one = [
        sacrebleu.sentence_bleu(answer, [caption], use_effective_order=True).score / 100
        for caption in item.references
    ]
    rouge = RougeScorer(["rougeL"], use_stemmer=True)
    assert scores["bleu"] == pytest.approx(max(one_by_one))
    assert scores["rouge_l"] == pytest.approx(rouge.score_multi(item.references, answer)["rougeL"].fmeasure)
    assert 0 < scores["bleu"] < scores["rouge_l"] < 1
    assert all(benchmark.score(item, one)["bleu"] == pytest.approx(1) for one in item.references)
