"""The other commands, end to end with the tests' tiny model."""

import json
from pathlib import Path

import pytest
from PIL import Image
from transformers.utils.logging import disable_progress_bar, enable_progress_bar

from valley.cli import run
from valley.conversation import Conversation, Video, assistant, user, write_jsonl


@pytest.fixture(autouse=True)
def _no_progress_bars():
    """The command's own process switches them off by the environment, before transformers is imported."""
    disable_progress_bar()
    yield
    enable_progress_bar()


def test_version(capsys):
    from valley import __version__

    for words in (["version"], ["--version"]):
        assert run(words) == 0
        assert capsys.readouterr().out == f"valley {__version__}\n"


def test_no_command_is_help_and_wrong_usage(capsys):
    assert run([]) == 2
    captured = capsys.readouterr()
    assert "Commands:" in captured.out + captured.err
    assert run(["bogus"]) == 2


def test_synth_writes_renders_and_shows(tmp_path, capsys):
    out = tmp_path / "clips"
    assert run(["synth", str(out), "--num-clips", "2", "--seed", "3"]) == 0
    assert len(list(out.rglob("*.mp4"))) == 2
    scene = next(p for p in sorted(out.rglob("*.json")) if p.parent.name == "scenes")
    again = tmp_path / "made" / "here" / "again.mp4"
    assert run(["synth", "render", str(scene), str(again)]) == 0
    assert again.read_bytes() == (out / "clips" / f"{scene.stem}.mp4").read_bytes()
    capsys.readouterr()
    sheet = tmp_path / "sheet.png"
    assert run(["synth", "show", str(scene), "-o", str(sheet), "--num-frames", "5"]) == 0
    assert json.loads(capsys.readouterr().out)
    with Image.open(sheet) as picture:
        assert picture.height > 200


def test_synth_errors_name_the_file(tmp_path, capsys):
    assert run(["synth", "render", str(tmp_path / "none.json"), "x.mp4"]) == 1
    assert "none.json" in capsys.readouterr().err
    scene = Path(__file__).parents[2] / "examples" / "scenes" / "push.json"
    assert run(["synth", "render", str(scene), str(tmp_path / "a.xyz")]) == 1
    assert "a.xyz: FFmpeg knows no container '.xyz'" in capsys.readouterr().err
    assert run(["synth"]) == 2


def test_doctor(tiny_checkpoint, capsys):
    assert run(["doctor", "--model", str(tiny_checkpoint), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {f["what"]: f for f in report["findings"]}
    assert report["ok"]
    assert {"valley", "python", "torch", "av", "decoding", "answering", "extra train"} <= set(found)
    assert "visual tokens" in found["answering"]["found"]


def test_doctor_says_what_is_wrong(tmp_path, capsys):
    assert run(["doctor", "--model", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out
    assert "holds no model" in out


@pytest.fixture
def examples(clip_files, tmp_path):
    conversations = [
        Conversation((user(Video(str(clip_files / "a.mp4")), "Which way?"), assistant("Right.")), "en"),
        Conversation(
            (user(Video(str(clip_files / "b.mp4")), "往哪边？"), assistant("左。"), user("颜色？")), "zh"
        ),
    ]
    write_jsonl(tmp_path / "questions.jsonl", conversations)
    return tmp_path


def test_demo(examples, tiny_checkpoint, capsys):
    assert run(["demo", "--examples", str(examples), "--model", str(tiny_checkpoint)]) == 0
    out = capsys.readouterr().out
    for shown in ("a.mp4]", "(en) Which way?", "(zh) 往哪边？", "(zh) 颜色？", "0 of 2 answers"):
        assert shown in out


def test_demo_without_examples_says_where_they_are(tmp_path, tiny_checkpoint, capsys):
    assert run(["demo", "--examples", str(tmp_path), "--model", str(tiny_checkpoint)]) == 1
    assert "questions.jsonl" in capsys.readouterr().err


def test_eval(tiny_checkpoint, tmp_path, capsys):
    words = [
        "eval",
        "synthetic",
        "--model",
        str(tiny_checkpoint),
        "--num-clips",
        "1",
        "--out",
        str(tmp_path / "run"),
    ]
    assert run([*words, "--plot", str(tmp_path / "scores.png"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["benchmark"] == "synthetic"
    assert report["overall"]["count"] > 0
    assert (tmp_path / "scores.png").stat().st_size > 1000
    assert run(words) == 0
    assert "| task |" in capsys.readouterr().out


def test_eval_refuses_a_plot_before_it_asks_anything(tmp_path, capsys):
    assert run(["eval", "synthetic", "--model", "nosuch", "--plot", str(tmp_path / "scores.qqq")]) == 1
    assert "scores.qqq: want a picture" in capsys.readouterr().err


def test_eval_unknown_benchmark(capsys):
    assert run(["eval", "synthetik"]) == 1
    assert "did you mean 'synthetic'" in capsys.readouterr().err


RECIPE = """
stage: align
model: {{checkpoint: {checkpoint}}}
data: {{path: {data}}}
output_dir: {out}
trainer: {{max_steps: 2, per_device_train_batch_size: 1, logging_steps: 1, use_cpu: true, report_to: none}}
"""


def test_train(tiny_checkpoint, examples, tmp_path, capsys):
    recipe = tmp_path / "align.yaml"
    recipe.write_text(
        RECIPE.format(checkpoint=tiny_checkpoint, data=examples / "questions.jsonl", out=tmp_path / "out")
    )
    assert run(["train", str(recipe), "trainer.max_steps=1", "--json"]) == 0
    kinds = [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()]
    assert kinds[0] == "started"
    assert kinds[-1] == "finished"
    assert (tmp_path / "out" / "config.json").exists()
    assert run(["train", str(recipe)]) == 1
    assert "already" in capsys.readouterr().err
    assert run(["train", str(recipe), "--restart"]) == 0
    assert "2 steps" in capsys.readouterr().out


def test_train_errors_name_the_recipe(tmp_path, capsys):
    assert run(["train", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml: there is no such recipe" in capsys.readouterr().err
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("stage: align\n")
    assert run(["train", str(recipe)]) == 1
    assert "bad.yaml" in capsys.readouterr().err
