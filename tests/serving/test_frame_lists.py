"""Frames that were read elsewhere are shown at the times that are told with them."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from serving.serving_kit import about, data_url, serve, video
from valley.conversation import Conversation, Video, user
from valley.inference.backend import GenerationParams
from valley.inference.backends.openai import OpenAIBackend
from valley.inference.opening import open_backend
from valley.video.sampling import FrameSampling

UNEVEN_S = [1.0, 1.125, 2.5, 2.5]


def listed(num_frames: int = 4, header: str = "data:video/jpeg;base64") -> str:
    pictures = []
    for shade in range(num_frames):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (60 * shade, 0, 0)).save(file, "PNG")
        pictures.append(base64.b64encode(file.getvalue()).decode())
    return f"{header},{','.join(pictures)}"


def asked(server, url, **more):
    return server.post({"messages": about(video(url, **more))})


def test_times_are_those_that_were_told(server):
    (seen,) = asked(server, listed(), timestamps_s=UNEVEN_S).json()["media"]
    assert seen["timestamps_s"] == UNEVEN_S
    (seen,) = asked(server, listed(), timestamps_s=[0, 1, 2, 3]).json()["media"]  # the same pictures
    assert seen["timestamps_s"] == [0.0, 1.0, 2.0, 3.0]
    (seen,) = asked(server, listed(), timestamps_s=UNEVEN_S, start=1.1, end=2).json()["media"]
    assert seen["timestamps_s"] == [1.125]


@pytest.mark.parametrize(
    ("url", "times", "says"),
    [
        (listed(), [0.0, 1.0], "want 4 timestamps_s, one a frame, got 2"),
        (listed(), [], "at least 1 item"),
        (listed(), [0.0, 2.0, 1.0, 3.0], "never decrease, got 1"),
        (listed(), [-0.5, 1.0, 2.0, 3.0], "from 0 on"),
        (listed(), [0.0, 1.0, 2.0, 1e300], "1e+300"),
        (listed(), [0.0, 1.0, 2.0, "3"], "valid number"),
        (listed(header="data:video/jpeg;fps=2;base64"), UNEVEN_S, "give one"),
        ("data:video/mp4;base64,AAAA", UNEVEN_S, "belong to frames"),
        ("file-0123", UNEVEN_S, "belong to frames"),
    ],
)
def test_times_that_do_not_fit_are_refused(server, url, times, says):
    response = asked(server, url, timestamps_s=times)
    error = response.json()["error"]
    assert response.status_code == 400
    assert says in error["message"]
    assert error["param"].startswith("messages.0.content.0")


def test_no_number_beyond_all_is_a_time(server):
    body = b'{"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "%s", '
    body = body % listed(1).encode() + b'"timestamps_s": [1e999]}}, {"type": "text", "text": "x"}]}]}'
    assert server.post(None, content=body).status_code == 400


def test_a_wish_that_is_read_by_the_client_gives_the_same_prompt(tmp_path, clip_files, monkeypatch):
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "When does it move?"),))
    params = GenerationParams(max_new_tokens=12, sampling=FrameSampling(times_s=(0.5, 0.75, 2.0, 2.5)))
    here = open_backend("valley-mini")
    prompts, stream = [], here.stream

    def noting(*asked):
        for piece in stream(*asked):
            if piece.finish is not None:
                prompts.append(piece.finish.prompt_ids)
            yield piece

    monkeypatch.setattr(here, "stream", noting)
    with serve(here, tmp_path / "spool") as running:
        there = OpenAIBackend.connect(running.base_url)
        answers = [list(engine.stream(talk, params)) for engine in (here, there)]
        there.close()
    words = ["".join(piece.text for piece in pieces) for pieces in answers]
    assert words[0] == words[1] != ""
    assert len(prompts) == 2
    assert prompts[0] == prompts[1]  # the times are words in it
    assert [pieces[-1].finish.media[0].timestamps_s for pieces in answers] == [(0.5, 0.75, 2.0, 2.5)] * 2


def test_a_whole_clip_has_its_own_times(server, clip_files):
    (seen,) = asked(server, data_url(clip_files / "a.mp4")).json()["media"]
    assert seen["timestamps_s"][0] == 0.0
