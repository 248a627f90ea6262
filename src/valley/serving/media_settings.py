"""What media of strangers may cost, and from where they may come; docs/security.md gives the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from valley.errors import ConfigError

USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class MediaSettings:
    """Where media may come from, and how much of them. By default nothing is fetched and no path is read.

    Attributes:
        allow_hosts: hosts that may be asked for media over HTTP, each "HOST" (at the usual ports) or
            "HOST:PORT". Their addresses have to be public all the same.
        allow_any_public_host: ask any host of the public network, at the usual ports alone, so that this
            server scans nobody's ports.
        media_root: files below it may be named as file:///...; None: none.
        max_image_bytes: of one picture. 32 MiB: a photograph of 50 megapixels.
        max_video_bytes: of one clip. 512 MiB: an hour of 1080p at 1.2 Mbit/s.
        max_frames: of a clip that comes as a list of pictures. 512: twice what models of today look at.
        max_redirects: of one fetch. 5: shorteners and mirrors need two or three.
        timeout_s: of one fetch, from the first question to the last byte. 30 s: nobody waits longer for the
            first word of an answer, and a drip ends here.
        connect_timeout_s: until an address answers.
        read_timeout_s: between two arrivals.
        max_fetches: at once; the others wait.
        spool_bytes: of all media together that are kept on the disk. 8 GiB: sixteen of the largest clips.
        keep_free_bytes: the disk counts as full when it has no more than this.
        max_files_per_owner: uploads that one key may keep.
    """

    allow_hosts: frozenset[str] = frozenset()
    allow_any_public_host: bool = False
    media_root: Path | None = None
    max_image_bytes: int = 32 * 2**20
    max_video_bytes: int = 512 * 2**20
    max_frames: int = 512
    max_redirects: int = 5
    timeout_s: float | int = 30.0
    connect_timeout_s: float | int = 5.0
    read_timeout_s: float | int = 10.0
    max_fetches: int = 8
    spool_bytes: int = 8 * 2**30
    keep_free_bytes: int = 2**30
    max_files_per_owner: int = 1000

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and value < 0:
                raise ConfigError(f"{name} must not be negative, got {value}")
        if self.max_fetches < 1 or self.timeout_s <= 0:
            raise ConfigError(
                f"want at least one fetch at a time and some time for it, got {self.max_fetches} and "
                f"{self.timeout_s} s"
            )
        if self.max_video_bytes > self.spool_bytes:
            raise ConfigError(
                f"the largest clip ({self.max_video_bytes} bytes) does not fit into what is kept on the disk "
                f"({self.spool_bytes} bytes): raise the latter"
            )
        if self.media_root is not None and not self.media_root.is_dir():
            raise ConfigError(f"the folder for media, {self.media_root}, is no folder")

    @property
    def fetches(self) -> bool:
        """Whether anything may be fetched over HTTP."""
        return self.allow_any_public_host or bool(self.allow_hosts)

    def max_bytes(self, kind: str) -> int:
        """Give the bound of one medium of a kind; of "" for one of either kind."""
        return self.max_image_bytes if kind == "image" else self.max_video_bytes
