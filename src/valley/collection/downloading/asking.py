"""What is asked of a fetcher, and what it takes from outside."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from valley.fetching.addresses import Resolver, resolve
from valley.fetching.connecting import Clock, Connect, connect


@dataclass(frozen=True)
class FetchRequest:
    """One medium to fetch.

    Attributes:
        key: comes back with the outcome, and names the partial file; unique within a run.
        url: a web address, or a section of a video on a page (`page_video.section_url`).
        expected_sha256: of the bytes, in hexadecimal; "" where nobody knows.
        expected_bytes: how many; None where nobody knows.
    """

    key: str
    url: str
    expected_sha256: str = ""
    expected_bytes: int | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a fetcher takes from outside; another one makes a test quick, or goes another way to the network.

    Attributes:
        resolver: gives the addresses of a name.
        connect: opens a connection to an address.
        clock: seconds, which only grow.
        wait: lets so many seconds pass; None: until then, or until the fetcher is stopped.
        jitter: a number in [0, 1) for each pause.
        ssl_context: whom to trust; None: the authorities of the package certifi.
        ytdlp: name or path of the program.
    """

    resolver: Resolver = resolve
    connect: Connect = connect
    clock: Clock = time.monotonic
    wait: Callable[[float], object] | None = None
    jitter: Callable[[], float] = field(default_factory=lambda: random.Random().random)
    ssl_context: ssl.SSLContext | None = None
    ytdlp: str = "yt-dlp"
