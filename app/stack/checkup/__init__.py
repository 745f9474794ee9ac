"""`autoglm doctor`: is this machine fit for the service that its configuration describes?"""

from collections.abc import Iterator

from app import settings
from app.stack.checkup import gpus, machine, services
from app.stack.checkup.rows import FAILED, OK, WARNING, Row

__all__ = ["FAILED", "OK", "WARNING", "Row", "run"]


def run(options: settings.Settings) -> Iterator[Row]:
    """Every check, one row each, the quick ones first. Nothing is changed."""
    yield from machine.check(options)
    yield from gpus.check(options)
    yield from services.check(options)
