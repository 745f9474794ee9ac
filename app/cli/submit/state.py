"""What a submission has done so far, kept beside its results so that it can be resumed."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from app import errors
from app.cli.submit import division, lines

VERSION = 1


@dataclass(frozen=True)
class Part:
    """One batch of the submission: its lines, and its ids on the server once they exist."""

    chunk: division.Chunk
    file_id: str | None = None
    batch_id: str | None = None


@dataclass(frozen=True)
class State:
    """One run. `run` is drawn once, so that a retried creation is known as the same one."""

    sha256: str
    url: str
    endpoint: str
    run: str
    parts: tuple[Part, ...]

    @property
    def lines(self) -> int:
        return sum(part.chunk.lines for part in self.parts)

    @property
    def is_begun(self) -> bool:
        return any(part.file_id for part in self.parts)

    def with_part(self, index: int, part: Part) -> "State":
        parts = (*self.parts[:index], part, *self.parts[index + 1 :])
        return replace(self, parts=parts)


def state_path(results: Path) -> Path:
    """Where the state of the submission that writes `results` is kept."""
    return results.with_name(results.name + ".state.json")


def load_state(path: Path) -> State | None:
    """The state left by an earlier run; InputError if the file is not one."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return _parse(content)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise errors.InputError("unreadable_state", path=str(path)) from error


def save_state(path: Path, state: State) -> None:
    """Replaces the file in one step; after a crash it holds the old state or the new one."""
    content = json.dumps({"version": VERSION, **asdict(state)}, indent=1)
    with replacing(path) as out:
        out.write_bytes(content.encode())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of `path`, durably, if the block succeeds."""
    temporary = path.with_name(path.name + ".tmp")
    yield temporary
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


@contextmanager
def locked(results: Path) -> Iterator[None]:
    """Keeps a second process from writing the same results; InputError if one already does."""
    path = results.with_name(results.name + ".lock")
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise errors.InputError("submission_running", path=str(results)) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _parse(content: dict[str, Any]) -> State:
    if content.pop("version") != VERSION:
        raise ValueError("another version wrote this state")
    parts = tuple(_parse_part(part) for part in content.pop("parts"))
    return State(parts=parts, **content)


def _parse_part(content: dict[str, Any]) -> Part:
    chunk = content.pop("chunk")
    span = lines.Span(**chunk.pop("span"))
    return Part(division.Chunk(span, **chunk), **content)
