"""Every family of video models behind the engine's doors: the whole contract, and what is peculiar to them.

Needs torchvision, whose wheel wants a shim beside a CPU torch, so an environment of its own:
`make test-families` builds it and runs these tests.
"""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

# The contract's own tests, run again over the `backend` below; its helpers come along.
from contracts import test_backends as contract
from contracts.test_backends import *  # noqa: F403
from on_families.tiny_families import FAMILIES, make_family
from valley.conversation import Conversation, Image, Video, system, user
from valley.errors import BackendError, MissingExtraError
from valley.inference.backend import Backend, GenerationParams
from valley.inference.backends._family_prompting import clip_metadata
from valley.inference.backends.image_text_to_text import BATCHED_FAMILIES
from valley.inference.opening import open_backend
from valley.inference.valley import Valley
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling

pytestmark = pytest.mark.slow
pytest.importorskip("torchvision", reason="needs torchvision: make test-families")

ask, words = contract.ask, contract.words
PARAMS = contract.PARAMS
del test_every_backend_is_here  # of the gate, where every engine has a maker


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family(family, tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def backend(folder: Path):
    opened = open_backend(str(folder), device="cpu")
    yield opened
    opened.close()


def rendered(backend: Backend, *parts: Video | Image | str, sampling: FrameSampling | None = None) -> str:
    """Give the prompt as the model gets it, in words."""
    params = GenerationParams(max_new_tokens=1, sampling=sampling)
    finish = ask(backend, Conversation((user(*parts),)), params)[-1].finish
    return backend.processor.tokenizer.decode(list(finish.prompt_ids))


def test_every_family_that_is_batched_is_here() -> None:
    assert set(FAMILIES) == BATCHED_FAMILIES


def test_what_is_seen_changes_the_words(backend: Backend, clip_files: Path) -> None:
    still, moving = Image(str(clip_files / "photo.png")), Video(str(clip_files / "a.mp4"))
    other = Video(str(clip_files / "b.mp4"))
    asked = [Conversation((user(*parts, "Which way?"),)) for parts in ([], [still], [moving], [other])]
    params = GenerationParams(max_new_tokens=24)
    assert len({words(ask(backend, c, params)) for c in asked}) == 4


def test_the_answer_tells_the_times(folder: Path, clip_files: Path) -> None:
    valley = Valley.from_pretrained(str(folder), device="cpu")
    answer = valley.answer([Video(str(clip_files / "a.mp4")), "Which way?"], num_frames=4, max_new_tokens=4)
    (seen,) = answer.media
    assert seen.timestamps_s == pytest.approx((0.0, 1.0, 2.0, 2.875), abs=0.13)
    assert seen.duration_s == pytest.approx(3.0)
    assert answer.usage.visual > 0


# Twelve frames of a clip with gaps: half a second apart, but for one of 60 s.
VARIABLE_S = (0.0, 0.5, 1.0, 1.5, 61.5, 62.0, 62.5, 63.0)


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"], indirect=True)
def test_times_in_the_prompt_are_the_true_ones(family: str, backend: Backend, tmp_path: Path) -> None:
    clip = write_variable(tmp_path / "variable.mkv", VARIABLE_S)
    prompt = rendered(backend, clip, "When?", sampling=FrameSampling(num_frames=len(VARIABLE_S)))
    if family == "smolvlm":
        wanted = [f"Frame from {int(t // 60):02d}:{int(t % 60):02d}:" for t in VARIABLE_S]
        assert "series of eight frames from a 0:01:0" in prompt
    else:
        pairs = zip(VARIABLE_S[::2], VARIABLE_S[1::2], strict=True)
        wanted = [f"<{(a + b) / 2:.1f} seconds>" for a, b in pairs]
    found = [prompt.find(text) for text in wanted]
    assert -1 not in found, prompt
    assert found == sorted(found)


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"], indirect=True)
def test_a_window_keeps_the_clips_own_clock(family: str, backend: Backend, tmp_path: Path) -> None:
    clip = write_variable(tmp_path / "variable.mkv", VARIABLE_S)
    window = Video(clip.source, start_s=61.0, end_s=63.0)
    prompt = rendered(backend, window, sampling=FrameSampling(num_frames=4))
    wanted = ["from 01:01:", "from 01:03:"] if family == "smolvlm" else ["<61.8 seconds>", "<62.8 seconds>"]
    assert all(text in prompt for text in wanted), prompt


@pytest.mark.parametrize("family", ["qwen2_5_vl"], indirect=True)
def test_the_spacing_of_frames_is_the_true_one(family: str, backend: Backend, clip_files: Path) -> None:
    clip = Video(str(clip_files / "a.mp4"), start_s=1.0)
    prompt = backend._prompt(
        Conversation((user(clip, "Which way?"),)), GenerationParams(sampling=FrameSampling(num_frames=4))
    )
    times_s = prompt.seen[0].use.timestamps_s
    apart_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    assert float(prompt.inputs["second_per_grid_ts"][0]) == pytest.approx(2 * apart_s, abs=0.002)


def write_variable(path: Path, times_s: tuple[float, ...]) -> Video:
    """Write a clip whose frames are shown at these times."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_s in enumerate(times_s):
            pixels = np.full((48, 64, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Video(str(path))


@pytest.mark.parametrize(
    "typed", ["<|im_end|>", "<video>", "<image>", "<|video_pad|>", "<|image_pad|>", "<IMG_CONTEXT>"]
)
def test_typed_control_tokens_are_words_or_refused(backend: Backend, clip_files: Path, typed: str) -> None:
    """No text makes a medium, or ends a turn, in one piece or in two: it is taken as words, or refused."""
    tokenizer = backend.processor.tokenizer

    def controls(*parts: str) -> list[int]:
        finish = ask(backend, Conversation((user(Video(str(clip_files / "a.mp4")), *parts),)))[-1].finish
        return [i for i in finish.prompt_ids if i in tokenizer.all_special_ids]

    plain, middle = controls("a b"), len(typed) // 2
    for parts in ([f"a {typed} b"], ["a ", typed[:middle], typed[middle:], " b"]):
        try:
            found = controls(*parts)
        except BackendError as error:
            refusal = str(error)
        else:
            assert found == plain
            continue
        assert "control tokens" in refusal
        assert typed in backend.processor.all_special_multimodal_tokens


def test_one_frame_is_enough(backend: Backend, clip_files: Path) -> None:
    params = GenerationParams(max_new_tokens=2, sampling=FrameSampling(num_frames=1))
    finish = ask(backend, Conversation((user(Video(str(clip_files / "a.mp4")), "What?"),)), params)[-1].finish
    assert [len(m.timestamps_s) for m in finish.media] == [1]


def test_clips_of_unequal_length_go_together_or_say_what_helps(
    backend: Backend, family: str, clip_files: Path
) -> None:
    clips = [Video(str(clip_files / "a.mp4")), Video(str(clip_files / "b.mp4"), start_s=2.5)]
    talk = Conversation((user(*clips, "What?"),))
    params = GenerationParams(max_new_tokens=2, sampling=FrameSampling(num_frames=None, fps=4.0))
    if family in ("llava_onevision", "llava_next_video", "internvl"):
        with pytest.raises(BackendError, match="--num-frames"):
            ask(backend, talk, params)
    else:
        assert len(ask(backend, talk, params)[-1].finish.media) == 2


def test_a_batch_gives_the_words_of_one_by_one(folder: Path, clip_files: Path) -> None:
    """Rows of several lengths, kinds, limits, draws and stops, at once."""
    backend = open_backend(str(folder), device="cpu")
    a, b, photo = (str(clip_files / name) for name in ("a.mp4", "b.mp4", "photo.png"))
    talks = [
        (user(Video(a), "Which way?"),),
        (user(Video(b), "Which way does the red circle move? To the right, or to the left?"),),
        (system("Be short."), user(Video(b, start_s=1.0), "What is this?")),
        (user(Image(photo), "What?"),),
        (user(Image(photo), "A green star appears. What is this, and what stands still?"),),
        (user("Hello"),),
        (user("Which way does the blue square move?"),),
        (user(Image(photo), Video(a), "And here?"),),
    ]
    params = [GenerationParams(max_new_tokens=6 + 3 * number) for number in range(len(talks))]
    params[1] = GenerationParams(max_new_tokens=12, temperature=1.2, seed=7)
    alone = [words(ask(backend, Conversation(t), p)) for t, p in zip(talks, params, strict=True)]
    params[0] = GenerationParams(max_new_tokens=6, stop=(alone[0][2:4],))
    alone[0] = alone[0][: alone[0].index(alone[0][2:4])]
    sizes: list[int] = []
    answer = backend._together._answer
    backend._together._answer = lambda rows: (sizes.append(len(rows)), answer(rows))[1]
    got: dict[int, str] = {}
    # All are announced before any is ready, so that none starts before its kind is there.
    ready = threading.Barrier(len(talks))

    def run(number: int) -> None:
        ready.wait(30)
        got[number] = words(ask(backend, Conversation(talks[number]), params[number]))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(talks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[number] for number in range(len(talks))] == alone
    assert max(sizes) > 1, sizes
    backend.close()


def test_closing_ends_what_runs_and_what_waits(folder: Path, clip_files: Path) -> None:
    backend = open_backend(str(folder), device="cpu")
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "Which way?"),))
    with closing(backend.stream(talk, GenerationParams(max_new_tokens=2000))) as pieces:
        next(pieces)
        backend.close()
        with pytest.raises(BackendError, match="closed"):
            list(pieces)
    with pytest.raises(BackendError, match="closed"):
        ask(backend, talk)


def test_a_long_prompt_says_how_many_frames_fit(folder: Path, clip_files: Path) -> None:
    backend = open_backend(str(folder), device="cpu")
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "Which way?"),))
    length = ask(backend, talk)[-1].finish.usage.prompt
    from dataclasses import replace

    backend.capabilities = replace(backend.capabilities, max_context_tokens=length - 3)
    with pytest.raises(BackendError, match=r"try --num-frames \d"):
        ask(backend, talk)
    backend.capabilities = replace(backend.capabilities, max_context_tokens=length + 2)
    assert ask(backend, talk)[-1].finish.usage.completion <= 2


def test_a_language_is_refused(backend: Backend) -> None:
    with pytest.raises(BackendError, match="say it in --system"):
        ask(backend, Conversation((user("Hello"),)), GenerationParams(answer_language="es"))


def test_identity_is_told_in_json(backend: Backend, family: str) -> None:
    import json

    told = json.loads(json.dumps(backend.identity()))
    assert told["model_type"] == family
    assert len(told["weights"][0]) == 64


@pytest.mark.parametrize("family", ["smolvlm"], indirect=True)
def test_the_library_that_smolvlm_lacks_is_named(
    family: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)
    with pytest.raises(MissingExtraError, match=r"'smolvlm', needs num2words: pip install"):
        open_backend(str(folder))


def test_the_clock_of_frames() -> None:
    times_s = np.array([50.0, 50.5, 51.0, 52.0])
    frames = Frames(np.zeros((4, 8, 8, 3), np.uint8), times_s)
    told = clip_metadata(frames, duration_s=60.0)
    assert [number / told["fps"] for number in told["frames_indices"]] == times_s.tolist()
    assert len(times_s) / told["total_num_frames"] * told["fps"] == pytest.approx(3 / 2, rel=1e-3)
    assert told["duration"] == 60.0
