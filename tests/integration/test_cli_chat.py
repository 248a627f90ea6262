"""`valley chat`, `plan` and `probe` as a user types them; the model is the tests' tiny one."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from PIL import Image
from transformers.utils.logging import disable_progress_bar, enable_progress_bar

from valley.cli import run
from valley.video import decoding


@pytest.fixture(autouse=True)
def _no_progress_bars():
    """The command's own process switches them off by the environment, before transformers is imported."""
    disable_progress_bar()
    yield
    enable_progress_bar()


@pytest.fixture
def chat(tiny_checkpoint, clip_files, capsys, monkeypatch):
    """Run `valley chat` in this process, in the folder of the clips; give code, stdout and stderr."""
    monkeypatch.chdir(clip_files)

    def call(*words, typed=None):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed or ""))
        code = run(
            ["chat", "--model", str(tiny_checkpoint), "--device", "cpu", "--max-new-tokens", "6", *words]
        )
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_one_question(chat):
    code, out, err = chat("a.mp4", "-q", "Which way?")
    assert (code, err) == (0, "")
    assert out.endswith("\n")
    assert out.strip()
    assert chat("a.mp4", "-q", "Which way?")[1] == out


def test_json_has_what_was_promised(chat, tiny_checkpoint):
    code, out, _ = chat(
        "a.mp4", "photo.png", "-q", "What?", "--json", "--fps", "1", "--start", "0.5", "--end", "2.5"
    )
    answer = json.loads(out)
    assert code == 0
    assert set(answer) >= {"answer", "model", "media", "usage", "timing_s"}
    assert answer["model"] == tiny_checkpoint.name
    video, image = answer["media"]
    assert (video["path"], video["kind"]) == ("a.mp4", "video")
    assert video["timestamps_s"] == [0.5, 1.5, 2.5]
    assert video["duration_s"] == 3.0
    assert image["kind"] == "image"
    assert set(answer["usage"]) == {"prompt", "visual", "completion", "cached"}


def test_sampling_follows_temperature_and_seed(chat):
    hot = ("a.mp4", "-q", "What?", "--temperature", "3", "--seed")
    assert chat(*hot, "1")[1] == chat(*hot, "1")[1]
    assert len({chat(*hot, str(seed))[1] for seed in range(3)}) > 1


def test_options_reach_the_model(chat):
    def prompt_tokens(*words):
        return json.loads(chat("a.mp4", "-q", "What?", "--json", *words)[1])["usage"]

    plain = prompt_tokens()
    assert prompt_tokens("--num-frames", "3")["visual"] == plain["visual"] - 5
    assert prompt_tokens("--system", "Be short.")["prompt"] > plain["prompt"]
    assert prompt_tokens("--language", "zh")["prompt"] > plain["prompt"]
    assert prompt_tokens("--isolated") == plain


def test_subtitles(chat, clip_files):
    (clip_files / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nlook here\n")
    counts = [
        json.loads(chat("a.mp4", "-q", "What?", "--json", "--subtitles", which)[1])["usage"]["prompt"]
        for which in ("off", "auto", "a.srt")
    ]
    (clip_files / "a.srt").unlink()
    assert counts[0] < counts[1] == counts[2]


def test_a_conversation(chat, tmp_path):
    sheet = tmp_path / "sheet.png"
    typed = "\n".join(
        [
            "/help",
            "What is it?",
            "/add b.mp4",
            "/add none.mp4",
            f"/frames {sheet}",
            "And now?",
            "/reset",
            "/what",
            "",
        ]
    )
    code, out, err = chat("a.mp4", typed=typed)
    assert code == 0
    assert "/add FILE" in out
    assert "added b.mp4" in out
    assert "forgotten; 2 media stay" in out
    assert "a.mp4" in out
    assert "0:00.0" in out
    assert err.splitlines() == [
        "error: none.mp4: there is no such file",
        "no command is called /what; /help lists them",
    ]
    with Image.open(sheet) as picture:
        assert picture.width > 200


def test_a_conversation_in_json(chat):
    code, out, _ = chat("a.mp4", "--json", typed="What?\nAnd?\n/exit\nnever asked\n")
    assert code == 0
    decoder, answers = json.JSONDecoder(), []
    while out := out.strip():
        answer, end = decoder.raw_decode(out)
        answers.append(answer)
        out = out[end:]
    assert len(answers) == 2
    assert answers[1]["usage"]["prompt"] > answers[0]["usage"]["prompt"]


ERRORS = {
    "missing": (["none.mp4"], r"none.mp4: there is no such file"),
    "address": (["https://example.com/a.mp4"], "https:/example.com/a.mp4: is an address"),
    "empty": (["empty.mp4"], "empty.mp4: the file is empty"),
    "words": (["words.mp4"], "words.mp4: is no video"),
    "cut": (["cut.mp4"], "cut.mp4: "),
    "window": (["a.mp4", "--start", "90"], "a.mp4: start_s 90"),
    "subtitles": (["a.mp4", "--subtitles", "none.srt"], "none.srt: there is no such"),
    "language": (["a.mp4", "--language", "<b>"], "language '<b>'"),
    "model": (["a.mp4", "--model", "nomodel"], "nomodel: no such model"),
    "device": (["a.mp4", "--device", "abacus"], "device 'abacus'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_sentence_with_the_files_name(chat, clip_files, name):
    (clip_files / "empty.mp4").write_bytes(b"")
    (clip_files / "words.mp4").write_text("only words")
    (clip_files / "cut.mp4").write_bytes((clip_files / "a.mp4").read_bytes()[:300])
    words, wanted = ERRORS[name]
    code, out, err = chat(*words, "-q", "What?")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert err.startswith(f"error: {wanted}")


@pytest.mark.parametrize(
    "words", [["--num-frames", "0"], ["--temperature", "-1"], ["--bogus"], ["--on-damage", "ignore"], ["-q"]]
)
def test_wrong_usage_is_code_2(chat, words):
    code, out, err = chat("a.mp4", *words)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_debug_shows_the_traceback(chat):
    with pytest.raises(Exception, match=r"none\.mp4"):
        chat("none.mp4", "-q", "What?", "--debug")


def test_plan_tells_what_chat_takes(chat, tiny_checkpoint, capsys):
    assert run(["plan", "a.mp4", "photo.png", "--model", str(tiny_checkpoint), "--fps", "2", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    usage = json.loads(chat("a.mp4", "photo.png", "-q", "", "--fps", "2", "--json")[1])["usage"]
    assert (plan["prompt_tokens"], plan["visual_tokens"]) == (usage["prompt"], usage["visual"])
    assert run(["plan", "a.mp4", "--model", str(tiny_checkpoint)]) == 0
    out = capsys.readouterr().out
    for word in ("frames", "visual tokens", "KV cache", "weights", "together"):
        assert word in out


def test_probe(chat, clip_files, capsys):
    assert run(["probe", "a.mp4", "b.mp4"]) == 0
    out = capsys.readouterr().out
    assert "0:03.0 (3.000 s)" in out
    assert "96 x 64" in out
    assert run(["probe", "a.mp4", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["num_frames"], info["duration_s"]) == (24, 3.0)


def test_probe_tells_of_frames_behind_the_end(chat, clip_files, capsys, monkeypatch):
    found = replace(decoding.probe("a.mp4"), num_lost_frames=7)
    monkeypatch.setattr(decoding, "probe", lambda path: found)
    assert run(["probe", "a.mp4"]) == 0
    assert "24 (7 of them cannot be read: the file ends early)" in capsys.readouterr().out


# A process started by a background job ignores Ctrl-C from birth; the user's terminal does not.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
PROGRAM = [sys.executable, "-c", f"{LISTEN}; from valley.cli import main; main()"]


@pytest.fixture
def long_answer(tiny_checkpoint, clip_files):
    """Start a process that talks for a long time."""
    words = ["chat", str(clip_files / "a.mp4"), "-q", "What?", "--model", str(tiny_checkpoint)]
    process = subprocess.Popen(
        [
            *PROGRAM,
            *words,
            "--device",
            "cpu",
            "--max-new-tokens",
            "1900",
            "--temperature",
            "0",
        ],  # goes round in circles
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_is_clean(long_answer):
    assert long_answer.stdout.read(1)
    long_answer.send_signal(signal.SIGINT)
    _, err = long_answer.communicate(timeout=60)
    assert long_answer.returncode == 130
    assert b"Traceback" not in err


def test_a_closed_pipe_is_clean_and_stops_the_answer(long_answer):
    assert long_answer.stdout.read(1)
    started_s = time.perf_counter()
    long_answer.stdout.close()
    assert long_answer.wait(timeout=60) == 1
    assert long_answer.stderr.read() == b""
    assert time.perf_counter() - started_s < 30
