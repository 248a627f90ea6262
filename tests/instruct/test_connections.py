"""Connections to the server: whole responses in every form of HTTP/1.1, and errors that say what went out."""

import asyncio
import gzip
import socket
from collections.abc import Iterator

import pytest

from valley.errors import ConfigError
from valley.instruct.gateway.connections import Connections, LostError, NotSentError, Response

BODY = '{"words": "é 红"}'.encode()


class Server:
    """A server that answers each connection by hand, and keeps what it read."""

    def __init__(self, *answers: bytes, close_after: bool = False) -> None:
        self.answers: Iterator[bytes] = iter(answers)
        self.close_after = close_after
        self.requests: list[bytes] = []
        self.num_connections = 0
        self.talks: list[asyncio.Task[None]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        talk = asyncio.current_task()
        assert talk is not None
        self.talks.append(talk)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(size))
                answer = next(self.answers, None)
                if answer is None:
                    await reader.read()  # says nothing, until the other side hangs up
                    break
                writer.write(answer)
                if self.close_after:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has hung up
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def ask(server: Server, *paths: str, timeout_s: float = 5.0) -> list[Response]:
    async def run() -> list[Response]:
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        to = Connections(f"http://127.0.0.1:{port}/v1/", api_key="secret", timeout_s=timeout_s)
        try:
            return [await to.send("POST", path, b'{"a": 1}', headers={"x-more": "1"}) for path in paths]
        finally:
            to.close()
            listening.close()
            await asyncio.gather(*server.talks)

    return asyncio.run(run())


def whole(body: bytes = BODY, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\n"
CHUNKED += b"%x\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def test_a_request_is_sent_as_it_should_be() -> None:
    server = Server(whole())
    ask(server, "chat/completions")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat/completions http/1.1"
    assert {b"authorization: bearer secret", b"x-more: 1", b"content-length: 8"} <= set(lines)
    assert body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("answer", "close_after"),
    [
        (whole(), False),
        (CHUNKED, False),
        (EARLY + whole(), False),
        (ENDLESS, True),
        (whole(gzip.compress(BODY), "Content-Encoding: gzip"), False),
        (whole(BODY, "Connection: close"), True),
    ],
    ids=["length", "chunked", "early", "until the end", "gzip", "close"],
)
def test_every_form_of_a_response_is_read_whole(answer: bytes, close_after: bool) -> None:
    server = Server(*[answer] * 3, close_after=close_after)
    replies = ask(server, *["x"] * 3)
    assert [(r.status, r.content) for r in replies] == [(200, BODY)] * 3
    assert replies[0].text == BODY.decode()
    assert server.num_connections == (3 if close_after else 1)


def test_any_status_is_a_response() -> None:
    (reply,) = ask(Server(whole(b"slow down", "Retry-After: 3", status="429 Too Many")), "x")
    assert (reply.status, reply.headers["retry-after"], reply.text) == (429, "3", "slow down")


@pytest.mark.parametrize(
    "answer",
    [b"", whole()[:-3], CHUNKED[:-9], b"HTTP/1.1 200 OK\r\nContent-", b"nonsense\r\n\r\n", b"\x00" * 200],
    ids=["nothing", "cut body", "cut chunk", "cut head", "no http", "binary"],
)
def test_half_a_response_is_an_unknown_outcome(answer: bytes) -> None:
    with pytest.raises(LostError, match=r"\w"):
        ask(Server(answer, close_after=True), "x")


def test_a_server_that_says_nothing_is_an_unknown_outcome() -> None:
    with pytest.raises(LostError, match="TimeoutError"):
        ask(Server(), "x", timeout_s=0.2)


def test_a_connection_that_broke_is_not_used_again() -> None:
    server = Server(whole()[:-1] + b"!" + b"more than was said", whole())

    async def run() -> list[object]:
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        to = Connections(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", timeout_s=5.0)
        try:
            return await asyncio.gather(*[to.send("GET", "x") for _ in range(2)], return_exceptions=True)
        finally:
            to.close()
            listening.close()
            await asyncio.gather(*server.talks)

    found = asyncio.run(run())
    assert server.num_connections == 2
    assert sum(isinstance(reply, Response) for reply in found) >= 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_is_not_there_has_seen_nothing(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    to = Connections(f"{scheme}://127.0.0.1:{port}/v1")
    with pytest.raises(NotSentError, match=str(port)):
        asyncio.run(to.send("GET", "models"))


def test_no_url_is_named() -> None:
    for wrong in ("", "localhost:8000", "ftp://a/v1", "http://", "/v1"):
        with pytest.raises(ConfigError, match="want a base URL"):
            Connections(wrong)
