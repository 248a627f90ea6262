"""vLLM gives the tokens that `generate` gives: with the plug-in, without it, and over HTTP, all at once.

Needs vLLM, so an environment of its own: `make test-vllm` builds it and runs these tests.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contracts.http_contract import CHECKS, Contract
from on_vllm.serving_vllm import POOLINGS
from valley.inference.backends.transformers import TransformersBackend
from valley.video.decoding import read_frames

pytestmark = pytest.mark.slow
pytest.importorskip("vllm", reason="needs vLLM: make test-vllm")

NUM_TOKENS = 24


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _pictures_url(path: Path) -> str:
    """Write the eight frames as vLLM takes frames that somebody has read already."""
    written = []
    for frame in read_frames(path).pixels:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "PNG")
        written.append(base64.b64encode(file.getvalue()).decode())
    return "data:video/jpeg;base64," + ",".join(written)


def _chats(clips: Path, *, as_pictures: bool = False) -> list[tuple[list, list]]:
    """Give five chats, each as the processor takes it and as vLLM does."""

    def clip(name: str) -> tuple[dict, dict]:
        path = clips / name
        if as_pictures:
            ours: dict[str, Any] = {"type": "video", "video": list(read_frames(path).pixels)}
            url = _pictures_url(path)
        else:
            ours, url = {"type": "video", "path": str(path)}, _data_url(path, "video/mp4")
        return ours, {"type": "video_url", "video_url": {"url": url}}

    def text(words: str) -> tuple[dict, dict]:
        return ({"type": "text", "text": words},) * 2

    photo = clips / "photo.png"
    picture = (
        {"type": "image", "path": str(photo)},
        {"type": "image_url", "image_url": {"url": _data_url(photo, "image/png")}},
    )
    a, b = clip("a.mp4"), clip("b.mp4")
    chats = [
        [a, text("Which way does the red circle move?")],
        [picture, text("What is it?")],
        [picture, b, text("The blue square?")],
        [a, b, text("Which one moves to the right?")],
        [text("Hello, which way is to the right?")],
    ]
    return [tuple([{"role": "user", "content": list(side)}] for side in zip(*c, strict=True)) for c in chats]


def _greedy(model: Any, processor: Any, chat: list) -> list[int]:
    inputs = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=True)
    said = model.generate(
        **inputs, max_new_tokens=NUM_TOKENS, min_new_tokens=NUM_TOKENS, do_sample=False, top_k=None
    )
    return said[0, inputs["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("route", ["plug-in", "trusted"])
def test_greedy_tokens_are_those_of_generate(
    route: str, pooling: str, served, clip_files: Path, tmp_path: Path
) -> None:
    model, processor, folder = served(pooling)
    chats = _chats(clip_files, as_pictures=route == "trusted")
    (tmp_path / "chats.json").write_text(json.dumps([theirs for _, theirs in chats]))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ask_vllm.py")), str(folder), route, "chats.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    for (ours, _), answer in zip(chats, told, strict=True):
        assert answer["said"] == _greedy(model, processor, ours)


def _ask(address: str, chat: list, **settings: Any) -> tuple[int, dict]:
    body = {"model": "m", "messages": chat, "temperature": 0, "max_tokens": NUM_TOKENS}
    body |= {"min_tokens": NUM_TOKENS, "return_token_ids": True, **settings}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_ten_at_once_over_http_get_the_same_tokens(server, clip_files: Path) -> None:
    model, processor, address = server
    chats = _chats(clip_files) * 4
    wanted = [_greedy(model, processor, ours) for ours, _ in chats[:5]] * 4
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda chat: _ask(address, chat[1]), chats))
    got = [answer["choices"][0]["token_ids"] for status, answer in answers if status == 200]
    assert got == wanted


def test_a_request_may_choose_its_frames(server, clip_files: Path) -> None:
    _, processor, address = server
    ours, theirs = _chats(clip_files)[0]
    status, answer = _ask(address, theirs, media_io_kwargs={"video": {"num_frames": 4}})
    assert status == 200
    inputs = processor.apply_chat_template(
        ours, add_generation_prompt=True, tokenize=True, return_dict=True, processor_kwargs={"num_frames": 4}
    )
    assert answer["usage"]["prompt_tokens"] == inputs["input_ids"].shape[1]


def test_typed_control_tokens_are_words(server, clip_files: Path) -> None:
    _, _, address = server
    _, theirs = _chats(clip_files)[0]
    plain = [{"role": "user", "content": [theirs[0]["content"][0], {"type": "text", "text": "a video b"}]}]
    typed = [{"role": "user", "content": [theirs[0]["content"][0], {"type": "text", "text": "a <video> b"}]}]
    (first, one), (second, other) = _ask(address, plain), _ask(address, typed)
    assert first == second == 200
    # Two brackets and a space more, and one clip: not one token that stands for a clip.
    assert 0 < other["usage"]["prompt_tokens"] - one["usage"]["prompt_tokens"] < 6


def test_broken_and_long_clips_are_the_callers_fault(server, clip_files: Path, tmp_path: Path) -> None:
    import numpy as np

    from valley.video.encoding import write_video

    _, _, address = server
    write_video(tmp_path / "long.mp4", np.zeros((70, 32, 32, 3), np.uint8), fps=1)
    (tmp_path / "broken.mp4").write_bytes((clip_files / "a.mp4").read_bytes()[:200])
    for name, reason in (("long.mp4", "the limit is 60 s"), ("broken.mp4", "")):
        url = _data_url(tmp_path / name, "video/mp4")
        chat = [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": url}}]}]
        status, answer = _ask(address, chat)
        assert status == 400, answer
        assert reason in json.dumps(answer)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract_of_valley_serve(check, server, clip_files: Path, tmp_path: Path) -> None:
    model, processor, address = server
    here = TransformersBackend(model, processor, name="m")
    check(Contract(f"{address}/v1", "m", clip_files, tmp_path, here))
