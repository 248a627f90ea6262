"""A server of this machine answers no page of anybody's."""

from __future__ import annotations

import httpx
import pytest

from serving.serving_kit import Counting, serve, until, words


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.1.1", "[::2]:80", "]"])
def test_names_that_are_not_its_own_are_refused(server, host):
    response = server.post(words(), headers={"host": host})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "host_header")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:8000", "[::1]:8000"])
def test_its_own_names_are_taken(server, host):
    assert server.post(words(), headers={"host": host}).status_code == 200


def test_pages_elsewhere_may_not_ask(server):
    own = {"origin": server.url}
    assert server.post(words(), headers=own).status_code == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        response = server.post(words(), headers={"origin": origin})
        assert (response.status_code, response.json()["error"]["code"]) == (403, "origin")


def test_pages_that_were_named_may_ask(engine, tmp_path):
    page = "https://front.example"
    with serve(engine, tmp_path / "spool", cors_origins=(page,), allowed_hosts=("api.example",)) as server:
        response = server.post(words(), headers={"origin": page, "host": "api.example"})
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == page
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        ahead = httpx.options(f"{server.base_url}/chat/completions", headers={"origin": page, **asked})
        assert ahead.status_code == 200
        assert server.post(words(), headers={"origin": "https://other.example"}).status_code == 403


def test_no_header_of_cors_without_being_told(server):
    response = server.post(words(), headers={"origin": server.url})
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_one_line_a_request_tells_nothing_that_is_secret(server, caplog):
    with caplog.at_level("INFO", logger="valley.serving.access"):
        key = {"authorization": "Bearer key-of-somebody"}
        httpx.post(f"{server.base_url}/chat/completions?key=secret", json=words("a secret"), headers=key)
        until(lambda: "valley.serving.access" in {record.name for record in caplog.records})
    (line,) = [r.getMessage() for r in caplog.records if r.name == "valley.serving.access"]
    assert line.startswith("127.0.0.1 POST /v1/chat/completions 200 ")
    assert "secret" not in line
    assert "somebody" not in line


def test_the_page_has_every_other_address(tmp_path):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request):
        return PlainTextResponse("the page")

    page = Starlette(routes=[Route("/{name:path}", hello)])
    with serve(Counting(), tmp_path / "spool", page=page) as server:
        assert httpx.get(server.url).text == "the page"
        assert httpx.get(f"{server.url}/v1/nothing").json()["error"]["code"] == "not_found"
        assert httpx.get(f"{server.url}/health/live").json() == {"live": True}
