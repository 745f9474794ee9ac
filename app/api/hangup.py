"""Whether the client of a request is still there."""

import socket
from collections.abc import Callable

import flask


def make_probe() -> Callable[[], bool]:
    """Asks, for the request that is served now, whether its client has hung up. Where the server
    does not show its socket the answer is always no: a write will tell."""
    connection: socket.socket | None = flask.request.environ.get("gunicorn.socket")
    return lambda: connection is not None and _is_closed(connection)


def _is_closed(connection: socket.socket) -> bool:
    """Looks at what would be read next, and leaves it there."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ValueError:  # TLS sockets cannot be peeked at
        return False
    except OSError:
        return True
