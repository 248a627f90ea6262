"""Uploads, data URLs and paths, through a real server: whose they are, where they lie, what is in them."""

from __future__ import annotations

import base64
import json
import os
import time
from contextlib import suppress

import httpx
import pytest

from serving.hostile_clips import box, boxes, external_reference, many_frames
from serving.serving_kit import about, data_url, serve, video
from valley.serving.media import MediaSettings

FREE = {"keep_free_bytes": 0}


@pytest.fixture
def media_server(engine, tmp_path):
    """Run a server with such settings; a function of them, used as a context."""

    def serving(*, keys=(), **settings):
        return serve(engine, tmp_path / "spool", keys=keys, media=MediaSettings(**{**FREE, **settings}))

    return serving


def refused(response, spool):
    """Give status and code of a refusal, which says nothing about the server's folders."""
    error = response.json()["error"]
    assert error["message"]
    assert str(spool) not in response.text
    return response.status_code, error["code"]


def upload(server, data, *, name="a.mp4", key=None):
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    url = f"{server.base_url}/files"
    return httpx.post(url, files={"file": (name, data)}, data={"purpose": "x"}, headers=headers, timeout=60)


def ask(server, url, *, key=None, **more):
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return server.post({"messages": about(video(url, **more))}, headers=headers)


# Paths


@pytest.fixture
def root(tmp_path, clip_files):
    """A root with a clip, and around it what must stay out of reach."""
    clip = (clip_files / "a.mp4").read_bytes()
    for folder in ("root", "root_evil", "root/inner"):
        (tmp_path / folder).mkdir()
    for place in ("root/a.mp4", "root/inner/with space #1.mp4", "root_evil/a.mp4", "secret.mp4"):
        (tmp_path / place).write_bytes(clip)
    (tmp_path / "root/notes.txt").write_text("no medium")
    (tmp_path / "root/out.mp4").symlink_to(tmp_path / "secret.mp4")
    (tmp_path / "root/in.mp4").symlink_to(tmp_path / "root/a.mp4")
    (tmp_path / "root/up").symlink_to(tmp_path)
    (tmp_path / "root/ring.mp4").symlink_to(tmp_path / "root/ring.mp4")
    os.mkfifo(tmp_path / "root/pipe.mp4")
    return tmp_path / "root"


def test_paths_are_read_below_the_root_alone(media_server, root, tmp_path):
    base = tmp_path.as_uri()
    with media_server(media_root=root) as server:
        for path in (
            "root/a.mp4",
            "root/in.mp4",
            "root/inner/with%20space%20%231.mp4",
            "root/inner/../a.mp4",
        ):
            assert ask(server, f"{base}/{path}").status_code == 200, path
        outside = [
            "root_evil/a.mp4",
            "secret.mp4",
            "root/../secret.mp4",
            "root/%2e%2e/secret.mp4",
            "root/..%2fsecret.mp4",
            "root/out.mp4",
            "root/up/secret.mp4",
            "root/up/root_evil/a.mp4",
            "root/../absent.mp4",
            "root/a.mp4%00.mp4",
            "root/%ff%fe.mp4",
        ]
        for path in outside:
            assert refused(ask(server, f"{base}/{path}"), tmp_path) == (403, "path_not_allowed"), path
        assert refused(ask(server, "file:///etc/passwd"), tmp_path) == (403, "path_not_allowed")
        assert refused(ask(server, "file:///proc/self/environ"), tmp_path) == (403, "path_not_allowed")
        assert refused(ask(server, f"file:{root}/a.mp4?x"), tmp_path) == (400, "bad_url")
        assert refused(ask(server, f"file://evil.test{root}/a.mp4"), tmp_path) == (400, "bad_url")


def test_what_is_below_the_root_but_no_medium(media_server, root, tmp_path):
    base = root.as_uri()
    with media_server(media_root=root) as server:
        assert refused(ask(server, f"{base}/absent.mp4"), tmp_path) == (404, "media_not_found")
        assert refused(ask(server, f"{base}/notes.txt"), tmp_path) == (400, "media_unknown")
        assert refused(ask(server, f"{base}/pipe.mp4"), tmp_path) == (400, "media_kind")
        assert refused(ask(server, f"{base}/ring.mp4"), tmp_path)[0] in (403, 404)
        assert refused(ask(server, base), tmp_path)[0] in (400, 403)


def test_without_a_root_no_path_is_read(media_server, root, tmp_path):
    with media_server() as server:
        for url in (f"{root.as_uri()}/a.mp4", "file:a.mp4", "FILE:///etc/passwd"):
            assert refused(ask(server, url), tmp_path) == (403, "path_not_allowed")
        assert refused(ask(server, f"{root}/a.mp4"), tmp_path)[0] == 400


def test_a_folder_of_pictures_holds_no_links(media_server, root, tmp_path, clip_files):
    picture = (clip_files / "photo.png").read_bytes()
    (tmp_path / "secret.png").write_bytes(picture)
    for name in ("frames", "leading_out"):
        (root / name).mkdir()
        for number in range(3):
            (root / name / f"{number}.png").write_bytes(picture)
    (root / "leading_out/3.png").symlink_to(tmp_path / "secret.png")
    with media_server(media_root=root, max_frames=8) as server:
        assert ask(server, f"{root.as_uri()}/frames").json()["media"][0]["duration_s"] == 2.0
        code = refused(ask(server, f"{root.as_uri()}/leading_out"), tmp_path)
        assert code == (403, "path_not_allowed")


# Uploads


def test_a_file_is_nobody_elses(media_server, clip_files, tmp_path):
    clip = (clip_files / "a.mp4").read_bytes()
    with media_server(keys=("the-first-key", "the-second-key")) as server:
        id_ = upload(server, clip, key="the-first-key").json()["id"]
        assert ask(server, id_, key="the-first-key").status_code == 200
        assert refused(ask(server, id_, key="the-second-key"), tmp_path) == (404, "file_not_found")
        theirs = {"headers": {"authorization": "Bearer the-second-key"}}
        for path in (f"files/{id_}", f"files/{id_}/content"):
            assert httpx.get(f"{server.base_url}/{path}", **theirs).status_code == 404
        assert httpx.delete(f"{server.base_url}/files/{id_}", **theirs).status_code == 404
        assert httpx.get(f"{server.base_url}/files", **theirs).json()["data"] == []
        own = upload(server, clip, key="the-second-key").json()["id"]
        assert own != id_
        assert ask(server, own, key="the-second-key").status_code == 200
        assert ask(server, id_, key="the-first-key").status_code == 200


def test_an_upload_is_taken_for_what_it_is(media_server, clip_files, tmp_path):
    with media_server(max_image_bytes=20_000, max_video_bytes=50_000) as server:
        picture = upload(server, (clip_files / "photo.png").read_bytes(), name="clip.mp4").json()
        assert picture["kind"] == "image"
        clip = (clip_files / "a.mp4").read_bytes()
        stored = upload(server, clip, name="../../x.png").json()
        assert (stored["kind"], stored["filename"]) == ("video", "x.png")
        assert refused(upload(server, b"hello" * 500), tmp_path) == (400, "media_unknown")
        assert refused(upload(server, b""), tmp_path) == (400, "media_empty")
        assert refused(upload(server, clip + bytes(60_000)), tmp_path) == (413, "media_too_large")
        big_picture = (clip_files / "photo.png").read_bytes() + bytes(30_000)
        assert refused(upload(server, big_picture), tmp_path) == (413, "media_too_large")
        assert list((tmp_path / "spool").rglob("draft-*")) == []


def test_playlists_and_lists_of_files(media_server, clip_files, tmp_path):
    """They name other files or addresses, which FFmpeg would open."""
    secret = clip_files / "b.mp4"
    lists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n",
        f"\ufeff#EXTM3U\n#EXTINF:10,\n{secret}\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"file '{secret}'\n" * 100,
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        f"<?xml version='1.0'?><MPD><BaseURL>{secret.as_uri()}</BaseURL></MPD>",
        f"# VobSub index file, v7\nid: en, index: 0\n{secret}\n" * 20,
    ]
    with media_server() as server:
        for text in lists:
            assert refused(upload(server, text.encode()), tmp_path) == (400, "media_unknown"), text
            url = f"data:video/mp4;base64,{base64.b64encode(text.encode()).decode()}"
            assert refused(ask(server, url), tmp_path) == (400, "media_unknown"), text
        # Behind the beginning of a clip or picture nothing of it is a list any more.
        for start in (b"\x89PNG\r\n\x1a\n", b"\0\0\0\x18ftypmp42", b"GIF89a", b"\x1a\x45\xdf\xa3"):
            response = upload(server, start + lists[0].encode())
            assert response.status_code == 200
            assert refused(ask(server, response.json()["id"]), tmp_path)[0] == 400


# Clips that lie


def test_a_clip_that_refers_to_another_file_shows_nothing_of_it(media_server, clip_files, tmp_path):
    import av

    secret = clip_files / "b.mp4"
    clip = external_reference(secret.read_bytes(), secret)
    (tmp_path / "clip.mp4").write_bytes(clip)
    follow = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(tmp_path / "clip.mp4"), options=follow) as container:
        assert next(container.decode(video=0)).width == 96  # who follows the reference gets the secret
    with media_server(media_root=tmp_path) as server:
        id_ = upload(server, clip).json()["id"]
        for url in (id_, (tmp_path / "clip.mp4").as_uri()):
            assert refused(ask(server, url), tmp_path) == (400, "media_unreadable")


def test_a_small_clip_of_ten_million_frames(media_server, clip_files, tmp_path):
    clip = many_frames((clip_files / "a.mp4").read_bytes(), 10_000_000)
    clip += box(b"free", bytes(40_000 - len(clip) - 8))
    assert [kind for kind, *_ in boxes(clip)][:4] == [b"ftyp", b"free", b"mdat", b"moov"]
    with media_server() as server:
        started_s = time.monotonic()
        response = upload(server, clip)
        code = refused(ask(server, response.json()["id"]), tmp_path)
        assert code in [(400, "media_too_long"), (400, "media_timeout")]  # the latter on a slow machine
        assert time.monotonic() - started_s < 35
        assert ask(server, data_url(clip_files / "a.mp4")).status_code == 200


def test_a_picture_of_many_pixels(media_server, tmp_path):
    """A PNG of 900 million pixels in a hundred kilobytes."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(out, "PNG")
    assert len(out.getvalue()) < 2_000_000
    with media_server() as server:
        id_ = upload(server, out.getvalue(), name="a.png").json()["id"]
        part = {"type": "image_url", "image_url": {"url": id_}}
        response = server.post({"messages": about(part)})
        assert refused(response, tmp_path) == (400, "media_too_large")
        assert refused(ask(server, id_), tmp_path) == (400, "media_too_large")


# Data URLs


def test_data_urls_that_are_none(media_server, clip_files, tmp_path):
    good = data_url(clip_files / "a.mp4")
    head, _, data = good.partition(",")
    bad = {
        f"{head},{data[:-1]}": "bad_base64",
        f"{head},{data[:40]}!{data[41:]}": "bad_base64",
        f"{head},{data[:40]} {data[40:43]}{data[44:]}": "bad_base64",
        f"{head},{data[:40]}\n{data[41:]}": "bad_base64",
        f"{head},{data[:40]}=={data[42:]}": "bad_base64",
        f"{head},{data[:40]}_-{data[42:]}": "bad_base64",
        f"{head},{data[:40]}é{data[41:]}": "bad_base64",
        f"{head},====": "bad_base64",
        f"{head},": "media_empty",
        "data:video/mp4,%00%00%00%18ftyp": "bad_data_url",
        "data:text/html;base64,PGh0bWw+": "bad_data_url",
        "data:;base64,AAAA": "bad_data_url",
        f"data:video/mp4;base64;base64,{data}": "bad_data_url",
        "data:image/png;base64": "bad_data_url",
        "data:video/jpeg;fps=0;base64,AAAA": "bad_data_url",
        "data:video/jpeg;fps=nan;base64,AAAA": "bad_data_url",
        f"data:video/jpeg;base64,{data}": "media_kind",
    }
    with media_server() as server:
        assert ask(server, good).status_code == 200
        assert ask(server, good.replace("data:video/mp4", "DATA:Video/QuickTime;codecs=x")).status_code == 200
        for url, code in bad.items():
            assert refused(ask(server, url), tmp_path) == (400, code), url[:60]


def test_pictures_one_after_the_other_are_a_clip(media_server, clip_files, tmp_path):
    picture = base64.b64encode((clip_files / "photo.png").read_bytes()).decode()
    listed = ",".join([picture] * 5)
    with media_server(max_frames=5) as server:
        (seen,) = ask(server, f"data:video/jpeg;base64,{listed}").json()["media"]
        assert (seen["kind"], seen["duration_s"]) == ("video", 4.0)
        (seen,) = ask(server, f"data:video/jpeg;fps=2;base64,{listed}").json()["media"]
        assert seen["duration_s"] == 2.0
        code = refused(ask(server, f"data:video/jpeg;base64,{listed},{picture}"), tmp_path)
        assert code == (400, "too_many_frames")
        code = refused(ask(server, f"data:video/jpeg;base64,{listed[:-9]}"), tmp_path)
        assert code[0] == 400
        code = refused(ask(server, f"data:video/jpeg;base64,{picture},,{picture}"), tmp_path)
        assert code == (400, "media_empty")


def test_a_video_is_no_picture(media_server, clip_files, tmp_path):
    with media_server() as server:
        part = {"type": "image_url", "image_url": {"url": data_url(clip_files / "a.mp4", "image/png")}}
        assert refused(server.post({"messages": about(part)}), tmp_path) == (400, "media_kind")


# Requests


def test_a_hundred_megabytes_of_json(media_server, tmp_path):
    with media_server() as server:
        body = b'{"messages": [{"role": "user", "content": "' + b"x" * 100_000_000 + b'"}]}'
        url = f"{server.base_url}/chat/completions"
        with suppress(httpx.WriteError):  # the server has hung up while this was still being sent
            assert refused(httpx.post(url, content=body, timeout=60), tmp_path)[0] == 413

        def without_a_length():
            for _ in range(100):
                yield b"x" * 1_000_000

        with suppress(httpx.WriteError):
            assert httpx.post(url, content=without_a_length(), timeout=60).status_code == 413
        assert server.post({"messages": about()}).status_code == 200


def test_ten_thousand_messages(media_server, tmp_path):
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"{n}"} for n in range(10_001)]
    with media_server() as server:
        assert refused(server.post({"messages": turns}), tmp_path)[0] == 400


@pytest.mark.parametrize(
    "text",
    [
        r'{"messages": [{"role": "user", "content": "\ud800"}]}',
        r'{"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": "data:\udfff"}]}]}',
        r'{"messages": [{"role": "user", "content": "a"}], "user": "\ud800"}',
        r'{"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": "file:///\ud800"}]}]}',
    ],
)
def test_half_characters(media_server, tmp_path, text):
    with media_server() as server:
        url = f"{server.base_url}/chat/completions"
        response = httpx.post(url, content=text, headers={"content-type": "application/json"}, timeout=60)
        assert response.status_code == 400
        assert json.loads(response.text)["error"]["message"]
