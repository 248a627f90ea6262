"""The page's server: what it gives, what it passes on, and whom it refuses."""

import json
import re
import threading
import time

import httpx
import pytest
from starlette.applications import Starlette

from ui.scripted import ScriptedServer, Served
from valley.errors import ConfigError
from valley.ui.app import page_app, proxy_app
from valley.ui.examples import clip_files
from valley.ui.proxy import Proxy, checked_base_url


@pytest.fixture(scope="module")
def scripted():
    return ScriptedServer()


@pytest.fixture(scope="module")
def upstream(scripted):
    with Served(scripted.app) as served:
        yield served


@pytest.fixture(scope="module")
def page(upstream):
    with Served(proxy_app(f"{upstream.root}/v1/", "the-key", model="another")) as served:
        yield served


@pytest.fixture
def client(page):
    with httpx.Client(base_url=page.root, trust_env=False, timeout=20) as client:
        yield client


def test_every_file_comes_with_its_kind_and_may_do_nothing_else(client):
    html = client.get("/")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    policy = html.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert html.headers["x-content-type-options"] == "nosniff"
    assert html.headers["referrer-policy"] == "no-referrer"
    assert client.get("/main.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert client.get("/page.css").headers["content-type"] == "text/css; charset=utf-8"
    assert client.head("/main.js").content == b""


def test_the_page_asks_nothing_of_anybody_else(client):
    html = client.get("/").text
    assert "//" not in html.replace("<!doctype html>", "")
    assert "<script>" not in html
    assert "style=" not in html
    assert not re.search(r"\son\w+=", html)


def test_what_has_not_changed_is_not_sent_again(client):
    first = client.get("/page.css")
    again = client.get("/page.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/app.py", "/../app.py", "/%2e%2e/app.py", "/examples/", "/examples/..%2fapp.py", "/x"]
)
def test_nothing_else_can_be_asked_for(client, path):
    assert client.get(path).status_code == 404


def test_the_examples_and_their_clips_come_with_the_page(client):
    told = client.get("/page.json").json()
    assert told["model"] == "another"
    assert {one["language"] for one in told["examples"]} == {"en", "zh", "es"}
    for one in told["examples"]:
        clip = client.get(f"/examples/{one['clip']}")
        assert clip.headers["content-type"] == "video/mp4"
        assert clip.content[4:8] == b"ftyp"
        assert all(one["questions"])
    assert len(clip_files()) >= 6


def test_the_page_can_be_mounted_by_another_server():
    from starlette.routing import Mount

    with Served(Starlette(routes=[Mount("/", page_app())])) as served:
        assert "Valley" in httpx.get(served.root, trust_env=False).text
        assert httpx.get(f"{served.root}/page.json", trust_env=False).json()["model"] is None


def test_the_key_is_added_on_the_way_and_never_shown(client, scripted):
    told = {"model": "scripted", "messages": [{"role": "user", "content": "echo hello"}]}
    answer = client.post("/v1/chat/completions", json=told, headers={"authorization": "Bearer mine"})
    assert scripted.keys[-1] == "Bearer the-key"
    assert "hello" in answer.text
    assert "the-key" not in answer.text + str(answer.headers)
    files = [client.get(f"/{name}").text for name in ("", "page.json", "main.js", "api.js")]
    assert "the-key" not in "".join(files)


def test_without_a_key_the_callers_own_is_passed_on(upstream, scripted):
    told = {"messages": [{"role": "user", "content": "echo hello"}]}
    with Served(proxy_app(f"{upstream.root}/v1")) as served:
        url = f"{served.root}/v1/chat/completions"
        httpx.post(url, json=told, headers={"authorization": "Bearer mine", "cookie": "a=b"}, trust_env=False)
    assert scripted.keys[-1] == "Bearer mine"


def test_only_what_the_page_needs_is_passed_on(client):
    assert client.get("/v1/models").json()["data"][0]["id"] == "scripted"
    for method, path in [("GET", "/v1/files"), ("POST", "/v1/embeddings"), ("DELETE", "/v1/models")]:
        assert client.request(method, path).status_code in (404, 405)
    assert client.get("/v1/files/x/content").status_code == 404


def test_a_file_passes_through_and_its_answer_comes_back(client, scripted):
    content = bytes(range(256)) * 5000
    told = client.post("/v1/files", files={"file": ("a.mp4", content, "video/mp4")}).json()
    assert scripted.files[told["id"]] == ("a.mp4", len(content))
    assert client.delete(f"/v1/files/{told['id']}").json() == {"deleted": True}
    assert told["id"] not in scripted.files


def test_errors_come_back_as_they_are(client):
    asked = {"messages": [{"role": "user", "content": "wrong"}]}
    answer = client.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("want at most 3 clips")
    busy = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "busy"}]})
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")


def test_words_come_as_they_are_written_and_leaving_ends_the_answer(client, scripted):
    before = scripted.left
    asked = {"messages": [{"role": "user", "content": "long"}], "stream": True}
    began = time.monotonic()
    with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data:"))
        next(lines)
        assert '"0 "' in next(lines)
        assert time.monotonic() - began < 10  # the whole answer takes a minute
    _until(lambda: scripted.left == before + 1)


def test_leaving_before_the_first_word_ends_the_question_too():
    asked, left = threading.Event(), threading.Event()

    async def never(scope, receive, send):
        if scope["type"] != "http":
            return
        while (await receive())["more_body"]:
            pass
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    with Served(never) as upstream, Served(proxy_app(upstream.root)) as served:
        url, impatient = f"{served.root}/v1/chat/completions", httpx.Timeout(10, read=0.5)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json={"messages": []}, timeout=impatient, trust_env=False)
        assert asked.wait(10)
        assert left.wait(10)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:80"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_others_may_not_ask_with_our_key(client, scripted, headers):
    before = len(scripted.bodies)
    asked = {"messages": [{"role": "user", "content": "echo hello"}]}
    answer = client.post("/v1/chat/completions", json=asked, headers=headers)
    assert answer.status_code in (400, 403)
    assert len(scripted.bodies) == before


def test_a_server_that_is_not_there_is_named_in_a_sentence(tmp_path):
    with Served(proxy_app("http://127.0.0.1:1/v1", "the-key")) as served:
        answer = httpx.get(f"{served.root}/v1/models", trust_env=False)
    assert answer.status_code == 502
    message = answer.json()["error"]["message"]
    assert message == "http://127.0.0.1:1/v1: no answer (ConnectError); is the server running?"


def test_what_is_too_large_is_refused_while_it_comes(upstream):
    from starlette.routing import Route

    proxy = Proxy(f"{upstream.root}/v1", most_body_bytes=100_000)

    async def life(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await proxy.open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await proxy.close()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await Starlette(routes=[Route("/v1/files", proxy, methods=["POST"])])(scope, receive, send)

    with Served(life) as served:
        files = {"file": ("a.mp4", b"0" * 400_000)}
        answer = httpx.post(f"{served.root}/v1/files", files=files, trust_env=False)
        assert answer.status_code == 413
        assert "100000 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://a/v1", "http://", "http://a/v1?key=b", "file:///etc"]
)
def test_a_base_url_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="base URL"):
        checked_base_url(url)


def test_a_base_url_with_a_password_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as caught:
        checked_base_url("http://me:secret@a/v1")
    assert "secret" not in str(caught.value)


def _until(is_so, within_s: float | int = 10):
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_script_of_the_tests_says_what_the_contract_says(client):
    asked = {"messages": [{"role": "user", "content": "echo hi"}], "stream": True}
    events = [line[6:] for line in client.post("/v1/chat/completions", json=asked).text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[0])["choices"][0]["delta"]["role"] == "assistant"
