"""One HTTP POST to a URL that somebody else chose: pinned address, no redirect, bounded time.

The name is resolved once, and the connection goes to the address that was checked; a name server
that answers differently the next time gains nothing. https://owasp.org/www-community/attacks/SSRF
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from app.errors import AutoglmError
from app.settings.schema import Webhooks
from app.wire import callbacks

Resolve = Callable[..., list[Any]]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(AutoglmError):
    """The address may not be called."""


@dataclass(frozen=True)
class Outlet:
    """`resolve` is socket.getaddrinfo; tests hand in name servers that lie."""

    options: Webhooks
    resolve: Resolve = socket.getaddrinfo

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> int:
        """The status code of the answer, of which no more is read. Raises Refused
        ("webhook_not_allowed", "webhook_address_private"), OSError or http.client.HTTPException."""
        callbacks.check_url(url, self.options, param="url")  # the list may have changed
        parts = urlsplit(url)
        address = self._find_address(parts)
        connection = self._connect(parts, address)
        timer = threading.Timer(self.options.timeout_seconds, _cut, (connection,))
        timer.start()
        try:
            connection.request("POST", _target(parts), body=content, headers=dict(headers))
            return connection.getresponse().status
        finally:
            timer.cancel()
            connection.close()

    def _find_address(self, parts: SplitResult) -> str:
        """The first address of the host, if none of them is private."""
        port = callbacks.find_port(parts)
        found = self.resolve(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        is_right = _is_loopback if callbacks.is_loopback_host(parts, self.options) else _is_public
        if not addresses or not all(map(is_right, addresses)):
            raise Refused("webhook_address_private", host=parts.hostname)
        return addresses[0]

    def _connect(self, parts: SplitResult, address: str) -> http.client.HTTPConnection:
        """A connection to this address; TLS still checks the certificate against the name."""
        port, seconds = callbacks.find_port(parts), self.options.timeout_seconds
        raw = socket.create_connection((address, port), timeout=seconds)
        host = parts.hostname or ""
        kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
        if parts.scheme == "https":
            kind, tls = http.client.HTTPSConnection, ssl.create_default_context()
            if self.options.ca_file is not None:
                tls.load_verify_locations(self.options.ca_file)
            try:
                raw = tls.wrap_socket(raw, server_hostname=host)
            except BaseException:
                raw.close()
                raise
        connection = kind(host, port, timeout=seconds)
        connection.sock = raw
        connection.auto_open = False  # a second connection would ask the name server again
        return connection


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _cut(connection: http.client.HTTPConnection) -> None:
    """Ends an exchange that drips: socket timeouts alone would let it go on for ever."""
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _is_public(address: str) -> bool:
    """Whether anybody on the Internet could call it; wrapped IPv4 addresses are unwrapped."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = _unwrap(found) if isinstance(found, ipaddress.IPv6Address) else None
    return all(each.is_global and not each.is_multicast for each in (found, inner) if each)


def _unwrap(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
