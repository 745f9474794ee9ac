"""Marks in a prompt's text that tell the fake engine to misbehave."""

import os
import re
import signal
import time
from dataclasses import dataclass

FAILURES = {"error": "engine_failed", "nan": "numerical", "oom": "out_of_memory"}

_EATEN_BYTES = 64 << 20
_PATTERN = re.compile(r"\[\[(crash|hang|spin|eat|slow|error|nan|oom|echo)(?::([0-9.]+))?\]\]")


@dataclass(frozen=True, slots=True)
class Marker:
    """[[name]] or [[name:seconds]] and the whole text it stood in."""

    name: str
    seconds: float
    text: str


def find(text: str) -> Marker | None:
    """The first marker of a text."""
    found = _PATTERN.search(text)
    return Marker(found[1], float(found[2] or 0), text) if found else None


def act(marker: Marker) -> None:
    """Eats memory, dies, or never returns."""
    if marker.name == "eat":  # memory, for a moment
        bytearray(os.urandom(1) * _EATEN_BYTES)
    if marker.name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if marker.name == "spin":  # as native code: no signal handler of Python's runs meanwhile
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while marker.name in ("hang", "spin"):
        time.sleep(3600)
