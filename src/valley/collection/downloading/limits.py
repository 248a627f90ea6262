"""What fetching may cost, and how it treats the hosts it asks."""

from __future__ import annotations

from dataclasses import dataclass

from valley.errors import ConfigError


@dataclass(frozen=True)
class FetchLimits:
    """Bounds on fetching.

    Attributes:
        num_connections: at once, to all hosts together.
        num_connections_per_host: at once; a host that sees more of one visitor takes it for an attack.
        most_starts_per_s: to one host.
        max_bytes: of one medium.
        timeout_s: of one try.
        connect_timeout_s: until an address answers.
        read_timeout_s: between two arrivals.
        least_bytes_per_s: over each window of `rate_window_s`; a drip keeps a connection for days.
        rate_window_s: how long that is watched before it counts.
        max_redirects: of one try.
        max_attempts: of one medium.
        first_backoff_s: the longest pause after the first fault; it doubles with each.
        max_backoff_s: the longest of all.
        max_retry_after_s: what a host asks for beyond this is cut to it.
        keep_free_bytes: the disk is full when it has no more than this.
        allow_private_addresses: also fetch from this machine and its network.
        user_agent: says who asks.
    """

    num_connections: int = 16
    num_connections_per_host: int = 4
    most_starts_per_s: float | int = 10.0
    max_bytes: int = 2_000_000_000
    timeout_s: float | int = 600.0
    connect_timeout_s: float | int = 15.0
    read_timeout_s: float | int = 30.0
    least_bytes_per_s: float | int = 1024.0
    rate_window_s: float | int = 20.0
    max_redirects: int = 10
    max_attempts: int = 5
    first_backoff_s: float | int = 1.0
    max_backoff_s: float | int = 60.0
    max_retry_after_s: float | int = 300.0
    keep_free_bytes: int = 1_000_000_000
    allow_private_addresses: bool = False
    user_agent: str = "valley-vl (a collector of video for training)"

    def __post_init__(self) -> None:
        """Check that something can be fetched at all."""
        for name in ("num_connections", "num_connections_per_host", "most_starts_per_s", "max_attempts"):
            if vars(self)[name] <= 0:
                raise ConfigError(f"{name}: want more than 0, got {vars(self)[name]}")
