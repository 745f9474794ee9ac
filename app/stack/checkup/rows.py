"""What a check found."""

from dataclasses import dataclass, field
from typing import Any

OK, WARNING, FAILED = "ok", "warning", "failed"


@dataclass(frozen=True)
class Row:
    """One line of the report: what was looked at, how it is, and the message `doctor.<key>` that
    says so, with the remedy where there is one."""

    subject: str
    state: str
    key: str
    values: dict[str, Any] = field(default_factory=dict)
