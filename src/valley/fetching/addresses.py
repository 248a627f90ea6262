"""Which addresses may be asked: web addresses alone, and none of this machine or its network.

A name is resolved once for a connection, and the connection goes to an address that was checked, so that a
name which says something else a moment later leads nowhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from valley.errors import MissingExtraError
from valley.fetching.errors import FetchError, NoAddressError

if TYPE_CHECKING:
    import httpx

Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host, for a port; raises OSError where there are none."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NUMERIC_HOST = re.compile(r"(?i)(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}")
_CREDENTIALS = re.compile(r"(?<=//)[^/?#\s]*@")
# IPv6 addresses that lead to an IPv4 address: 6to4 and NAT64 (RFC 3056, 6052, 8215). Teredo is never global.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def import_httpx() -> ModuleType:
    """Import httpx.

    Raises:
        MissingExtraError: it is absent.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError(wanted_by="fetching media", package="httpx", extra="data") from error
    return httpx


def parse_url(url: str) -> httpx.URL:
    """Read a web address.

    Raises:
        FetchError: it is none ("bad_url"), or another kind of address ("unsupported_scheme").
        MissingExtraError: httpx is absent.
    """
    httpx = import_httpx()
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:  # the latter: half a character
        said = "" if "@" in url else f": {error}"  # a torn password would be quoted
        raise FetchError("bad_url", f"is no web address{said}"[:200]) from error
    if parsed.scheme not in ("http", "https"):
        raise FetchError("unsupported_scheme", f"want http or https, got {parsed.scheme[:40] or 'none'}")
    if not parsed.host or not 0 < (parsed.port or 80) < 65_536:
        raise FetchError("bad_url", "want a host, and a port up to 65535")
    return parsed


def host_of(url: httpx.URL) -> str:
    """Name a host as the network knows it."""
    return url.raw_host.decode("ascii").lower()


def without_credentials(text: str) -> str:
    """Leave names and passwords out of addresses, also in a longer text: it can be written down then."""
    return _CREDENTIALS.sub("", text)


def checked_addresses(host: str, port: int, *, resolver: Resolver, allow_private: bool = False) -> list[str]:
    """Give the addresses that a host stands for.

    Args:
        host: a name, or an address in any spelling.
        port: that will be asked.
        resolver: knows names.
        allow_private: do not check them.

    Raises:
        FetchError: one of them is no public one ("private_address").
        NoAddressError: the name has none ("unresolvable").
    """
    literal = literal_address(host)
    if literal is not None:
        found = [str(literal)]
    else:
        try:
            found = list(resolver(host, port))
        except (OSError, UnicodeError) as error:  # the latter: a label that is too long for a name
            raise NoAddressError("unresolvable", f"{host}: {error}") from error
    if not found:
        raise NoAddressError("unresolvable", f"{host}: has no address")
    private = [address for address in found if not is_public(address)]
    if private and not allow_private:
        raise FetchError("private_address", f"{host} is {private[0]}, which is not on the public network")
    return found


def literal_address(host: str) -> Address | None:
    """Read a host that is an address, also as one number, in octal or hexadecimal; None for a name."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    if not _NUMERIC_HOST.fullmatch(bare.rstrip(".")):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare.rstrip(".")))
    except OSError:
        return None


def is_public(address: str) -> bool:
    """Whether an address is one of the public network; what cannot be read is not."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner(parsed)
    return all(one.is_global and not one.is_multicast and not one.is_reserved for one in inner)


def _inner(address: Address) -> list[Address]:
    """Give the IPv4 address that an IPv6 address stands for or leads to, and else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address in _NAT64[0]:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address in _NAT64[1]:  # the network's own translation: where it leads is its own affair
        return [ipaddress.IPv4Address(0)]
    return [address]
