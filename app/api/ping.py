"""Whether Redis answers, asked with short timeouts on a connection of its own."""

import redis

from app import queue
from app.api.health import Ping
from app.errors import Unavailable

_SECONDS = 1.0
_LONGEST_REASON = 100


def make_ping(url: str) -> Ping:
    """A probe of this server. Celery's form of a socket URL is understood."""
    client = redis.Redis.from_url(
        queue.plain_url(url), socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
    )

    def ping() -> None:
        try:
            client.ping()
        except (redis.RedisError, OSError) as error:
            raise Unavailable("redis_unavailable", reason=_explain(error)) from error

    return ping


def _explain(error: Exception) -> str:
    """What Redis answered (MISCONF: its disk is full), or what kind of silence it is: its text
    would tell addresses."""
    is_answer = isinstance(error, redis.ResponseError) and not isinstance(
        error, redis.AuthenticationError
    )
    return str(error)[:_LONGEST_REASON] if is_answer else type(error).__name__
