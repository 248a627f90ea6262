"""A fetcher beside a `FaultServer`: names stand for a public address, which leads there; time is made up."""

import socket
import threading

from collection.fault_server import PUBLIC
from valley.collection.downloading.asking import FetchRequest, Surroundings
from valley.collection.downloading.limits import FetchLimits
from valley.collection.fetching import Fetcher

NAMES = {"media.test": [PUBLIC], "other.test": [PUBLIC], "localhost": ["127.0.0.1"]}


class Clock:
    """Time that passes when somebody waits, and a little whenever it is looked at."""

    def __init__(self, tick_s=1e-5):
        self.now_s = 1000.0
        self.tick_s = tick_s
        self.waits_s = []
        self._lock = threading.Lock()

    def __call__(self):
        with self._lock:
            self.now_s += self.tick_s
            return self.now_s

    def wait(self, seconds):
        with self._lock:
            self.waits_s.append(seconds)
            self.now_s += seconds


class Network:
    """Resolves made-up names, and leads to the server whoever connects to any address."""

    def __init__(self, server, names=None):
        self.server = server
        self.names = NAMES if names is None else names
        self.connected = []

    def resolve(self, host, port):
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return self.names[host]

    def connect(self, address, port, timeout_s):
        import httpcore

        self.connected.append(address)
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self.server.port, timeout_s)


def make_fetcher(corpus, server, *, network=None, clock=None, ssl_context=None, ytdlp="yt-dlp", **limits):
    network = network or Network(server)
    clock = clock or Clock()
    surroundings = Surroundings(
        resolver=network.resolve,
        connect=network.connect,
        clock=clock,
        wait=clock.wait,
        jitter=lambda: 0.0,
        ssl_context=ssl_context,
        ytdlp=ytdlp,
    )
    quick = {"most_starts_per_s": 1e6, "keep_free_bytes": 0, "read_timeout_s": 5.0}
    return Fetcher(corpus, FetchLimits(**{**quick, **limits}), surroundings=surroundings)


def fetch(corpus, server, *urls, **settings):
    """Fetch web addresses, and give the outcomes by them."""
    requests = [FetchRequest(url, url) for url in urls]
    made = list(make_fetcher(corpus, server, **settings).fetch_all(requests))
    assert len(made) == len(urls)
    return {outcome.key: outcome for outcome in made}


def fetch_one(corpus, server, url, **settings):
    return fetch(corpus, server, url, **settings)[url]


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
