"""Transactions that lost a race, and running them again: PostgreSQL lets writers run side by side."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import sqlalchemy as sa

from app.errors import Contention

P = ParamSpec("P")
R = TypeVar("R")

_LOST = ("40001", "40P01")  # serialization failure, deadlock: rolled back, may be repeated
_OVERTAKEN = ("23505", "23503")  # a row appeared (unique), or went (foreign key), meanwhile
_PAUSE_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)


def is_lost(error: BaseException) -> bool:
    """Whether this transaction was sacrificed for another one."""
    return sqlstate(error) in _LOST


def sqlstate(error: BaseException) -> str | None:
    """https://www.postgresql.org/docs/current/errcodes-appendix.html; SQLite has none."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def repeat(function: Callable[P, R]) -> Callable[P, R]:
    """For a store function of one transaction: runs it again, a few times after growing pauses,
    when it was rolled back by a race. It reads the rows anew, so it decides on what is true now.
    The last failure is raised: Contention, or the broken constraint."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for pause in _PAUSE_SECONDS:
            try:
                return function(*args, **kwargs)
            except (Contention, sa.exc.IntegrityError) as error:
                if not isinstance(error, Contention) and sqlstate(error) not in _OVERTAKEN:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.5))
        return function(*args, **kwargs)

    return run
