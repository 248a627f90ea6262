"""API keys: kept as hashes, compared in constant time; each key's work is kept apart from the others'."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

from valley.errors import ConfigError
from valley.serving.errors import RequestError

_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
NOBODY = ""  # the owner of everything where there are no keys


class Keys:
    """Who may ask."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        """Take keys, plain or as `sha256:` and the hash in hex; none lets everybody in.

        Raises:
            ConfigError: a line is no key.
        """
        self._hashes = tuple({_hash(line): None for line in keys})

    @classmethod
    def from_text(cls, text: str) -> Keys:
        """Read one key a line; empty lines and those that begin with # are passed over."""
        lines = (line.strip() for line in text.splitlines())
        return cls(line for line in lines if line and not line.startswith("#"))

    def __len__(self) -> int:
        return len(self._hashes)

    def owner(self, authorization: str | None) -> str:
        """Give the name under which a caller's work is kept.

        Args:
            authorization: the request's header.

        Raises:
            RequestError: 401, it carries no key, or one that is not known.
        """
        if not self._hashes:
            return NOBODY
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise RequestError(
                "want an API key in the header 'Authorization: Bearer KEY'", status=401, code="no_api_key"
            )
        given = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest()
        known = [hmac.compare_digest(given, each) for each in self._hashes]  # all of them: no early end
        if not any(known):
            raise RequestError("the API key is not known here", status=401, code="invalid_api_key")
        return given[:32]


def _hash(line: str) -> str:
    if line.startswith("sha256:"):
        found = _HASHED.fullmatch(line)
        if found is None:
            raise ConfigError("an API key that begins with sha256: wants 64 hexadecimal digits behind it")
        return found[1].lower()
    if len(line) < 8 or not line.isascii() or not line.isprintable() or " " in line:
        raise ConfigError("an API key wants at least 8 printable ASCII characters without spaces")
    return hashlib.sha256(line.encode()).hexdigest()
