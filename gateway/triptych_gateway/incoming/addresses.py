"""Images by their addresses, fetched for strangers: off unless the operator switches it on.

What is connected to is the very address that was checked: a name is looked up once, and a redirect is checked as the
first address was. Only public addresses on the web's own ports may be asked, besides what the operator names.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from triptych.errors import InvalidArgumentError, invalid

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
# Each holds an IPv4 address that a translator on the way would take out again.
_TRANSLATED = [ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "::/96")]


@dataclass(frozen=True)
class ImageUrls:
    """What an operator allows of images that are given by their address."""

    enabled: bool = False
    networks: Sequence[Network] = ()  # that may be asked though they are not public, on any port
    max_bytes: int = 32 << 20
    timeout_s: float = 20.0  # for all of it, redirects included
    max_redirects: int = 3


def is_address(given: str) -> bool:
    """Whether that is meant as one."""
    return given.strip()[:8].lower().startswith(("http://", "https://"))


def fetch(url: str, field: str, rules: ImageUrls) -> bytes:
    """What lies there; InvalidArgumentError about the field. Blocks for `timeout_s` at most, looking up names apart."""
    if not rules.enabled:
        raise invalid(field, "images by their address are switched off here; send the file, as base64 say")
    deadline_s = time.monotonic() + rules.timeout_s
    try:
        for _ in range(rules.max_redirects + 1):
            found = _get(urlsplit(url.strip()), field, rules, deadline_s)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
    except InvalidArgumentError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        _left_s(deadline_s, field)  # the stream was shut by then, and what is wrong with the answer is that
        raise invalid(field, f"cannot be fetched from its address: {error}") from error
    raise invalid(field, f"its address leads on more than {rules.max_redirects} times")


def _get(url: SplitResult, field: str, rules: ImageUrls, deadline_s: float) -> bytes | str:
    """The file, or where else it is to be found."""
    if url.scheme not in _PORTS or not url.hostname or url.username is not None:
        raise invalid(field, "its address must be http:// or https:// with a host, and neither user nor password")
    port = url.port or _PORTS[url.scheme]
    address = _checked(url.hostname, port, field, rules)
    with socket.create_connection((str(address), port), timeout=_left_s(deadline_s, field)) as stream:
        if url.scheme == "https":
            with ssl.create_default_context().wrap_socket(stream, server_hostname=url.hostname) as secure:
                return _ask(secure, url, field, rules, deadline_s)
        return _ask(stream, url, field, rules, deadline_s)


def _ask(stream: socket.socket, url: SplitResult, field: str, rules: ImageUrls, deadline_s: float) -> bytes | str:
    connection = HTTPConnection(url.netloc)
    connection.sock = stream
    target = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
    with _ending(stream, _left_s(deadline_s, field)):
        connection.request("GET", target, headers={"Accept": "image/*", "Connection": "close"})
        with connection.getresponse() as answer:
            if answer.status in _REDIRECTS and (location := answer.headers.get("Location")):
                return location
            if answer.status != 200:
                raise invalid(field, f"its address answers with the status {answer.status}")
            file = answer.read(rules.max_bytes + 1)
    _left_s(deadline_s, field)
    if len(file) > rules.max_bytes:
        raise invalid(field, f"its file has more than {rules.max_bytes} bytes")
    return file


@contextmanager
def _ending(stream: socket.socket, left_s: float) -> Iterator[None]:
    """Shuts the stream by then: a timeout of its own begins anew with every byte."""
    timer = threading.Timer(left_s, _shut, (stream,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(stream: socket.socket) -> None:
    with suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)


def _checked(host: str, port: int, field: str, rules: ImageUrls) -> _Address:
    """The first of a host's addresses, if all may be asked: one that may not be shows what the name is for."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    for address in addresses:
        if not _is_allowed(address, port, rules):
            # Which address it is would tell a stranger of the names inside.
            raise invalid(field, f"its address, {host} on port {port}, is not public, and may not be asked from here")
    return addresses[0]


def _is_allowed(address: _Address, port: int, rules: ImageUrls) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in rules.networks):
        return True
    if any(address in network for network in _TRANSLATED):
        return False
    return address.is_global and not address.is_multicast and port in _PORTS.values()


def _left_s(deadline_s: float, field: str) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise invalid(field, "its address answers too slowly")
    return left_s
