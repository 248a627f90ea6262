"""A real web server on a free port of this machine that answers as it is told, and counts what it sends.

with FaultServer() as server:
    server.replies["/a.mp4"] = [status(503), serve(clip)]  # one after the other; the last one stays
"""

import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress

PUBLIC = "93.184.216.34"
"""The address under which tests know the server; nothing is ever sent there."""


class FaultServer:
    def __init__(self, ssl_context=None):
        self.replies = {}
        self.requests = []
        self.sent_bytes = Counter()
        self.most_active = defaultdict(int)
        self.is_over = threading.Event()
        self._active = Counter()
        self._lock = threading.Lock()
        self._ssl_context = ssl_context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *error):
        self.is_over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(10)
            assert not thread.is_alive()

    def asked(self, path):
        """Give the headers of each request for a path."""
        return [headers for asked, headers in self.requests if asked == path]

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._talk, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection):
        if self._ssl_context is not None:
            connection = self._ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with connection, suppress(OSError):
            if self._ssl_context is not None:
                connection.settimeout(5)
                connection.do_handshake()
            connection.settimeout(0.05)
            while (request := self._read(connection)) is not None:
                path, headers = request
                with self._lock:
                    self.requests.append(request)
                    earlier = len(self.asked(path)) - 1
                    host = headers["host"]
                    self._active[host] += 1
                    self.most_active[host] = max(self.most_active[host], self._active[host])
                replies = self.replies.get(path) or [status(404)]
                goes_on = replies[min(earlier, len(replies) - 1)](Talk(self, connection, path, headers))
                with self._lock:
                    self._active[host] -= 1
                if not goes_on:
                    return

    def _read(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                more = connection.recv(65536)
            except TimeoutError:
                if self.is_over.is_set():
                    return None
                continue
            if not more:
                return None
            data += more
        first, *lines = data.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return first.split(" ")[1], headers


class Talk:
    """One request, and the connection to answer it on."""

    def __init__(self, server, connection, path, headers):
        self.server = server
        self.connection = connection
        self.path = path
        self.headers = headers

    def head(self, code, headers):
        lines = [f"HTTP/1.1 {code} so", *(f"{name}: {value}" for name, value in headers.items())]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def body(self, data):
        view = memoryview(data)
        while view:
            try:
                num = self.connection.send(view[:65536])
            except TimeoutError:
                if self.server.is_over.is_set():
                    raise OSError("over") from None
                continue
            self.server.sent_bytes[self.path] += num
            view = view[num:]

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def until(is_so, timeout_s=20.0):
    """Wait until something has happened in another thread or process."""
    end_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < end_s, "it never happened"
        pause.wait(0.003)


def status(code, **headers):
    """Answer with a status and a short body."""

    def reply(talk):
        body = b"sorry"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        talk.head(code, {"Content-Length": len(body), **named})
        talk.body(body)
        return True

    return reply


def redirect(to, code=302):
    return status(code, Location=to)


def serve(body, *, etag='"1"', knows_ranges=True, **headers):
    """Answer as a good server does: whole, or the rest that was asked for if it is of this version."""

    def reply(talk):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if etag:
            named["ETag"] = etag
        start = talk.headers.get("range", "")
        if knows_ranges and start and talk.headers.get("if-range") == etag:
            at = int(start.removeprefix("bytes=").removesuffix("-"))
            named["Content-Range"] = f"bytes {at}-{len(body) - 1}/{len(body)}"
            talk.head(206, {"Content-Length": len(body) - at, **named})
            talk.body(body[at:])
        else:
            talk.head(200, {"Content-Length": len(body), **named})
            talk.body(body)
        return True

    return reply


def broken(body, at, *, etag='"1"', resets=False, when=lambda: True):
    """Promise the whole, send a part, and hang up; reset the connection once something is so."""

    def reply(talk):
        named = {"ETag": etag} if etag else {}
        talk.head(200, {"Content-Length": len(body), **named})
        talk.body(body[:at])
        if resets:
            until(when)
            talk.reset()
        return False

    return reply


def stalling(body, at):
    """Promise the whole, send a part, and then nothing for as long as the other side is there."""

    def reply(talk):
        talk.head(200, {"Content-Length": len(body), "ETag": '"1"'})
        talk.body(body[:at])
        while not talk.server.is_over.is_set():
            try:
                if not talk.connection.recv(1):
                    break
            except TimeoutError:
                continue
        return False

    return reply


def chunked(pieces, **headers):
    """Send pieces without saying how many there will be."""

    def reply(talk):
        talk.head(200, {"Transfer-Encoding": "chunked", **headers})
        for piece in pieces:
            talk.body(b"%x\r\n%b\r\n" % (len(piece), piece))
        talk.body(b"0\r\n\r\n")
        return True

    return reply


def raw(*pieces, pause_s=0.0):
    """Send bytes as they are, and hang up."""

    def reply(talk):
        for piece in pieces:
            talk.server.is_over.wait(pause_s)
            talk.body(piece)
        return False

    return reply
