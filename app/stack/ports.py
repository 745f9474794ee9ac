"""Loopback ports."""

import socket
import time

_LOOK_SECONDS = 0.2


def find_free(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_free(host: str, port: int, seconds: float) -> bool:
    """Waits until a server could listen there, so many seconds at most; whether one could."""
    until = time.monotonic() + seconds
    while not (found := is_free(host, port)) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    return found


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
