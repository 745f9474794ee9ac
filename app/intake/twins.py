"""Lines of a batch that ask for the same and would be answered the same: they are run once."""

import hashlib
from dataclasses import dataclass, field

import orjson

from app.wire.rows import Line


@dataclass
class Index:
    """The requests read so far that may be answered once for all, by their hash."""

    _numbers: dict[bytes, int] = field(default_factory=dict)

    def find(self, line: Line) -> int | None:
        """The number of the first line with this line's request, it may be its own; None for a
        line that runs whatever others ask for."""
        if not is_repeatable(line):
            return None
        canonical = orjson.dumps(line.request, option=orjson.OPT_SORT_KEYS)
        digest = hashlib.blake2b(canonical, digest_size=16).digest()
        return self._numbers.setdefault(digest, line.line_no)


def is_repeatable(line: Line) -> bool:
    """Whether its answer is given by its request alone: greedy or with a seed of its own, no
    conversation before it, nothing to be remembered after it."""
    sampling = line.request.get("sampling", {})
    is_fixed = sampling.get("temperature") == 0 or "seed" in sampling
    is_alone = line.session_id is None and line.parent_line is None
    return line.problem is None and line.kind == "text" and is_alone and is_fixed
