"""Media from the web, through a real server: what it may fetch, and what it refuses, each a real request."""

from __future__ import annotations

import gzip
import socket
import threading
import time

import pytest

from collection.fault_server import PUBLIC, FaultServer, chunked, raw, redirect, stalling
from collection.fault_server import serve as sending
from serving.serving_kit import about, serve, video
from valley.serving.media import MediaSettings, Network

PRIVATE = "10.0.0.5"
ANY = {"allow_any_public_host": True, "keep_free_bytes": 0}


class Names:
    """A network of made-up names; whoever connects to an address is led to the fault server."""

    def __init__(self, web: FaultServer) -> None:
        self._web = web
        self.answers: dict[str, list[list[str]]] = {"media.test": [[PUBLIC]], "other.test": [[PUBLIC]]}
        self.asked: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        """Give the next answer for a name; the last one stays."""
        self.asked.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        answers = self.answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, port: int, timeout_s: float | int | None):
        import httpcore

        self.connected.append(address)
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self._web.port, timeout_s)

    @property
    def network(self) -> Network:
        return Network(self.resolve, self.connect)


@pytest.fixture
def web():
    with FaultServer() as running:
        yield running


@pytest.fixture
def names(web):
    return Names(web)


@pytest.fixture
def ask(engine, tmp_path, names):
    """Ask about a medium by its address, of a server with such settings; give status and error code."""

    def asking(url: str, **settings):
        media = MediaSettings(**{**ANY, **settings})
        with serve(engine, tmp_path / "spool", media=media, network=names.network) as server:
            response = server.post({"messages": about(video(url))})
            left = [p.name for p in (tmp_path / "spool").rglob("draft-*")]
        assert left == []
        if response.status_code == 200:
            return 200, response.json()["media"][0]
        error = response.json()["error"]
        assert error["param"].startswith("messages.0.content.0")
        assert str(tmp_path) not in error["message"]
        for address in (PRIVATE, "127.0.0.1"):
            assert address in url or address not in error["message"]
        return response.status_code, error["code"]

    return asking


def test_a_clip_is_fetched_and_shown(ask, web, names, clip_files):
    web.replies["/a.mp4"] = [sending((clip_files / "a.mp4").read_bytes())]
    status, media = ask("http://media.test/a.mp4")
    assert (status, len(media["timestamps_s"])) == (200, 4)
    (headers,) = web.asked("/a.mp4")
    assert headers["host"] == "media.test"
    assert headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie"} & set(headers)
    assert names.connected == [PUBLIC]


def test_by_default_nothing_is_asked(ask, names):
    assert ask("http://media.test/a.mp4", allow_any_public_host=False) == (403, "host_not_allowed")
    assert ask("https://media.test/a.mp4", allow_any_public_host=False) == (403, "host_not_allowed")
    assert names.asked == []
    assert names.connected == []


def test_hosts_that_were_allowed_and_others(ask, web, names, clip_files):
    web.replies["/a.mp4"] = [sending((clip_files / "a.mp4").read_bytes())]
    only = {"allow_any_public_host": False, "allow_hosts": frozenset({"media.test", "other.test:8080"})}
    assert ask("http://media.test/a.mp4", **only)[0] == 200
    assert ask("http://MEDIA.test:80/a.mp4", **only)[0] == 200
    assert ask("http://other.test:8080/a.mp4", **only)[0] == 200
    before = len(names.asked)
    for url in (
        "http://third.test/a.mp4",
        "http://media.test:8080/a.mp4",
        "http://other.test/a.mp4",
        "http://media.test.evil.test/a.mp4",
        "http://evilmedia.test/a.mp4",
        "http://93.184.216.34/a.mp4",
    ):
        assert ask(url, **only) == (403, "host_not_allowed"), url
    assert len(names.asked) == before


def test_no_ports_of_others_are_tried(ask, names):
    for url in ("http://media.test:22/", "https://media.test:80/", "http://media.test:443/"):
        assert ask(url) == (403, "host_not_allowed")
    assert names.connected == []


LOCAL = [
    "127.0.0.1",
    "localhost.test",  # a name that stands for it
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.1",
    "127.1",
    "0",
    "0.0.0.0",
    "10.0.0.5",
    "192.168.1.1",
    "172.16.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "224.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("host", LOCAL)
def test_no_spelling_of_an_inner_address_is_asked(ask, names, host):
    names.answers["localhost.test"] = [["127.0.0.1"]]
    refused = ask(f"http://{host}/latest/meta-data/")
    # Zeros in front make it no address at all to some, and an octal one to others.
    assert refused == ((400, "media_bad_url") if host.startswith("01") else (403, "media_private_address"))
    assert names.connected == []


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]"])
def test_an_inner_address_is_not_asked_even_if_it_was_allowed(ask, names, host):
    assert ask(f"http://{host}/", allow_hosts=frozenset({host})) == (403, "media_private_address")
    assert names.connected == []


def test_a_redirect_inwards_is_not_followed(ask, web, names, clip_files):
    names.answers["inner.test"] = [[PRIVATE]]
    web.replies["/secret"] = [sending((clip_files / "a.mp4").read_bytes())]
    for target in ("http://127.0.0.1/secret", "http://inner.test/secret", "//[::1]/secret"):
        web.replies["/a.mp4"] = [redirect(target)]
        assert ask("http://media.test/a.mp4") == (403, "media_private_address")
    web.replies["/a.mp4"] = [redirect("file:///etc/passwd")]
    assert ask("http://media.test/a.mp4") == (400, "media_unsupported_scheme")
    web.replies["/a.mp4"] = [redirect("http://third.test/a.mp4")]
    only = {"allow_any_public_host": False, "allow_hosts": frozenset({"media.test"})}
    assert ask("http://media.test/a.mp4", **only) == (403, "host_not_allowed")
    assert web.asked("/secret") == []
    assert set(names.connected) == {PUBLIC}


def test_a_redirect_to_another_public_host_is_followed_but_not_for_ever(ask, web, clip_files):
    web.replies["/a.mp4"] = [redirect("http://other.test/b.mp4")]
    web.replies["/b.mp4"] = [sending((clip_files / "a.mp4").read_bytes())]
    assert ask("http://media.test/a.mp4")[0] == 200
    web.replies["/ring"] = [redirect("/ring")]
    assert ask("http://media.test/ring", max_redirects=3) == (400, "media_too_many_redirects")
    assert len(web.asked("/ring")) == 4


def test_a_name_that_changes_its_mind_leads_nowhere(ask, web, names, clip_files):
    """DNS rebinding: public while it is checked, private when it is used."""
    web.replies["/a.mp4"] = [sending((clip_files / "a.mp4").read_bytes())]
    names.answers["rebind.test"] = [[PUBLIC], [PRIVATE]]
    assert ask("http://rebind.test/a.mp4")[0] == 200
    assert names.asked == ["rebind.test"]  # asked once a connection; the second answer is never used
    assert names.connected == [PUBLIC]
    assert ask("http://rebind.test/a.mp4") == (403, "media_private_address")
    names.answers["both.test"] = [[PUBLIC, PRIVATE]]
    assert ask("http://both.test/a.mp4") == (403, "media_private_address")
    assert names.connected == [PUBLIC]


def test_a_name_that_changes_between_redirects(ask, web, names):
    names.answers["rebind.test"] = [[PUBLIC], [PRIVATE]]

    def hang_up_after(reply):
        def replying(talk):
            reply(talk)
            return False  # so that the next question needs a connection of its own

        return replying

    web.replies["/a.mp4"] = [hang_up_after(redirect("/again"))]
    status, code = ask("http://rebind.test/a.mp4")
    assert (status, code) == (403, "media_private_address")
    assert names.connected == [PUBLIC]


def test_a_drip_ends(ask, web):
    web.replies["/drip"] = [raw(b"HTTP/1.1 200 so\r\n\r\n", *[b"\0\0\0\x18ftypmp42"] * 400, pause_s=0.05)]
    started_s = time.monotonic()
    status, code = ask("http://media.test/drip", timeout_s=0.7)
    assert (status, code) == (400, "media_timeout")
    assert time.monotonic() - started_s < 10


def test_a_drip_of_headers_ends(ask, web):
    web.replies["/drip"] = [raw(b"HTTP/1.1 200 so\r\n", *[b"X: y\r\n"] * 400, pause_s=0.05)]
    started_s = time.monotonic()
    assert ask("http://media.test/drip", timeout_s=0.7) == (400, "media_timeout")
    assert time.monotonic() - started_s < 10


def test_a_host_that_falls_silent(ask, web):
    web.replies["/a"] = [stalling(b"\0\0\0\x18ftypmp42" + bytes(5000), 2000)]
    assert ask("http://media.test/a", read_timeout_s=0.2) == (400, "media_timeout")


def test_hosts_that_drip_hold_up_no_uploads(engine, tmp_path, names, web, clip_files):
    web.replies["/a"] = [stalling(b"\0\0\0\x18ftypmp42" + bytes(5000), 2000)]
    media = MediaSettings(**ANY, max_fetches=2, timeout_s=20.0, read_timeout_s=20.0)
    with serve(engine, tmp_path / "spool", media=media, network=names.network) as server:
        body = {"messages": about(video("http://media.test/a"))}
        waiting = [threading.Thread(target=server.post, args=(body,)) for _ in range(3)]
        for thread in waiting:
            thread.start()
        while len(web.asked("/a")) < 2:
            threading.Event().wait(0.01)
        import httpx

        started_s = time.monotonic()
        with (clip_files / "a.mp4").open("rb") as file:
            done = httpx.post(f"{server.base_url}/files", files={"file": ("a.mp4", file)}, timeout=30)
        assert done.status_code == 200
        assert time.monotonic() - started_s < 10
        web.is_over.set()
        for thread in waiting:
            thread.join(30)
            assert not thread.is_alive()


def test_a_compressed_body_is_refused_before_it_unfolds(ask, web):
    bomb = gzip.compress(bytes(20_000_000))
    assert len(bomb) < 40_000
    web.replies["/a.mp4"] = [sending(bomb, Content_Encoding="gzip")]
    assert ask("http://media.test/a.mp4") == (400, "media_content_encoding")
    # The same without saying so: bytes of no kind that is known.
    web.replies["/b.mp4"] = [sending(bomb)]
    assert ask("http://media.test/b.mp4") == (400, "media_unknown")


def test_too_many_bytes_promised_or_only_sent(ask, web, clip_files):
    start = (clip_files / "a.mp4").read_bytes()[:1000]
    web.replies["/said"] = [sending(start + bytes(100_000))]
    assert ask("http://media.test/said", max_video_bytes=50_000) == (413, "media_too_large")
    web.replies["/unsaid"] = [chunked([start, *[bytes(10_000)] * 100])]
    assert ask("http://media.test/unsaid", max_video_bytes=50_000) == (413, "media_too_large")
    assert web.sent_bytes["/unsaid"] < 1_100_000


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html><body>not found</body></html>", "video/mp4"),
        (b'{"error": "no"}', "video/mp4"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/secret\n", "application/vnd.apple.mpegurl"),
        (b"", "video/mp4"),
    ],
)
def test_what_is_no_medium_is_not_kept_whatever_it_is_called(ask, web, body, content_type):
    web.replies["/a.mp4"] = [sending(body, Content_Type=content_type)]
    status, code = ask("http://media.test/a.mp4")
    assert status == 400
    assert code in ("media_unknown", "media_empty")


@pytest.mark.parametrize("code", [400, 401, 404, 500, 204, 206])
def test_other_answers(ask, web, code):
    def reply(talk):
        talk.head(code, {"Content-Length": 0})
        return True

    web.replies["/a.mp4"] = [reply]
    assert ask("http://media.test/a.mp4")[0] == 400


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///a.mp4", "http://media.test:99999/", "http://[::1", "http://media.test\\@127.0.0.1/"],
)
def test_addresses_that_are_none(ask, names, url):
    status, _ = ask(url)
    assert status in (400, 403)
    assert names.connected == []


def test_names_and_passwords_are_not_sent(ask, names):
    assert ask("http://user:secret@media.test/a.mp4") == (400, "bad_url")
    assert names.connected == []


@pytest.mark.parametrize(
    "url", ["ftp://media.test/a", "gopher://media.test/", "concat:a|b", "rtmp://x", "a.mp4", "", "data:"]
)
def test_other_kinds_of_addresses(ask, names, url):
    assert ask(url)[0] in (400, 403)
    assert names.asked == []
