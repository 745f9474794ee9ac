"""Bounds of settings: what a value of the right type must also obey."""

import re
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from app.errors import SettingsError

_LAST_PORT = 65535


@dataclass(frozen=True)
class Between:
    """A finite number from `low` (excluded if `above`) to `high`."""

    low: float
    high: float = inf
    above: bool = False

    @property
    def allowed(self) -> str:
        low = f"{'>' if self.above else '>='} {self.low:g}"
        return low if self.high == inf else f"{low}, <= {self.high:g}"

    def apply(self, value: Any) -> Any:
        if isinstance(value, int) and value.bit_length() > 63:
            raise ValueError
        if not self.low <= value <= self.high or not isfinite(value):
            raise ValueError
        if self.above and value == self.low:
            raise ValueError
        return value


@dataclass(frozen=True)
class OneOf:
    """One of some words in any case; `later` are known words whose feature does not exist yet."""

    words: tuple[str, ...]
    later: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        return " | ".join(self.words)

    def apply(self, value: Any) -> Any:
        if value.lower() in self.later:
            raise SettingsError("setting_not_available_yet", value=value)
        found = next((word for word in self.words if word.lower() == value.lower()), None)
        if found is None:
            raise ValueError
        return found


@dataclass(frozen=True)
class Like:
    """A string that a pattern matches in full; `allowed` tells people how it looks."""

    pattern: str
    allowed: str

    def apply(self, value: Any) -> Any:
        if not re.fullmatch(self.pattern, value):
            raise ValueError
        return value


@dataclass(frozen=True)
class PossiblePort:
    """A URL whose port, if it names one, is a number up to 65535."""

    allowed: str = "a port from 1 to 65535"

    def apply(self, value: Any) -> Any:
        host = value.partition("://")[2].rpartition("@")[2]
        port = re.match(r"(?:\[[^]]*\]|[^:/?#]*):([^/?#]+)", host)
        if port is not None and not 0 < int(port[1]) <= _LAST_PORT:  # ValueError for a word
            raise ValueError
        return value


@dataclass(frozen=True)
class NotEmpty:
    """A list with at least one element and none twice."""

    allowed: str = "[a, b, ...]"

    def apply(self, value: Any) -> Any:
        if not value or len(set(value)) < len(value):
            raise ValueError
        return value


@dataclass(frozen=True)
class Secret:
    """The value may hold a password: it never appears in messages, logs or `autoglm config`."""

    allowed: str = ""

    def apply(self, value: Any) -> Any:
        return value
