"""Whether a grammar can be made of a guide: asked of a child process, which can be ended.

llguidance (https://github.com/guidance-ai/llguidance) has limits of its own, yet some guides keep it
busy without end, and a thread in native code cannot be stopped. The child ends itself when a guide
takes more than LIMIT_SECONDS of CPU time or MAX_BYTES of memory; the next guide gets another child.
Where the system has less memory than that, it is the system that kills the child, twice.
"""

import atexit
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import regex  # type: ignore[import-untyped]  # transformers brings it
from llguidance import LLMatcher

LIMIT_SECONDS = 3.0  # of CPU time, so that a busy machine refuses no more than an idle one
MAX_BYTES = 2 * 1024**3
_WAIT_SECONDS = 10.0  # for the guides of others
_MAX_REASON = 300
_MAX_SHOWN = 100
_END_SECONDS = 1.0
_NOT_ITS_OWN = (-signal.SIGKILL, -signal.SIGTERM)  # how a guide need not have ended its child


class Overrun(Exception):
    """The guide took more time or memory than any is given."""


class Unjudged(Exception):
    """Others' guides took too long, or somebody ends our children: whoever compiles the guide will
    tell."""


def find_fault(guide: Mapping[str, str]) -> str:
    """Why no grammar can be made of a guide (`kind` json_schema or regex, and `text`); "" if one
    can. Of kind `patterns` (a JSON list) it is why neither a grammar can be made of one of them nor
    an answer be judged by it. May take LIMIT_SECONDS; raises Overrun after that, Unjudged if it
    never had its turn."""
    return _judge.ask(guide)


@dataclass
class _Judge:
    """The child, started when first needed."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _child: "subprocess.Popen[bytes] | None" = None

    def ask(self, guide: Mapping[str, str]) -> str:
        line = orjson.dumps({**guide}) + b"\n"
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            raise Unjudged
        try:
            told = self._exchange(line)
            if isinstance(told, int):
                told = self._ask_again(line, ended=told)
        finally:
            self._lock.release()
        fault: str = orjson.loads(told)
        return fault

    def _ask_again(self, line: bytes, *, ended: int) -> bytes:
        """The same of another child. Two that were killed alike: the system has not the memory."""
        told = self._exchange(line)
        if isinstance(told, bytes):
            return told
        raise Overrun if ended == told == -signal.SIGKILL else Unjudged

    def _exchange(self, line: bytes) -> bytes | int:
        """The child's answer; the status with which it ended if somebody else may have ended it."""
        if self._child is None or self._child.poll() is not None:
            self._child = self._start()
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(line)
            child.stdin.flush()
            told = child.stdout.readline()
        except BrokenPipeError:
            told = b""
        if told.endswith(b"\n"):
            return told
        status = self._learn_end()
        if status not in _NOT_ITS_OWN:
            raise Overrun
        return status

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is its parent's
        )

    def _learn_end(self) -> int:
        """How the child ended, whose output has ended."""
        assert self._child is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_SECONDS)
        return self.stop()

    def stop(self) -> int:
        """Ends the child, if there is one, unless it has ended; its status."""
        child, self._child = self._child, None
        if child is None:
            return 0
        child.kill()
        child.communicate()
        return child.returncode

    def forget(self) -> None:
        """In a forked process: the child is the parent's."""
        self._lock, self._child = threading.Lock(), None


_judge = _Judge()
atexit.register(_judge.stop)
os.register_at_fork(after_in_child=_judge.forget)


def _judge_patterns(patterns: list[str]) -> str:
    """What is wrong with the first that neither engine nor judge understands, "" for none."""
    for pattern in patterns:
        schema = json.dumps({"type": "string", "pattern": pattern})
        if not _compile(LLMatcher.grammar_from_json_schema(schema)):
            continue
        try:
            regex.compile(pattern, cache_pattern=False)
        except regex.error as error:
            return f"pattern {pattern[:_MAX_SHOWN]!r}: {error}"
    return ""


def _compile(grammar: str) -> str:
    fault: str = LLMatcher.validate_grammar(grammar)
    return fault


def _find_fault(guide: Mapping[str, str]) -> str:
    text = guide["text"]
    try:
        if guide["kind"] == "patterns":
            return _judge_patterns(json.loads(text))
        is_pattern = guide["kind"] == "regex"
        write = LLMatcher.grammar_from_regex if is_pattern else LLMatcher.grammar_from_json_schema
        return _compile(write(text))
    except ValueError as error:
        return str(error)


def _serve() -> None:
    """A guide a line in, its fault a line out, until nobody asks any more."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        guide = orjson.loads(line)
        signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)  # SIGPROF ends a process
        fault = _find_fault(guide)
        signal.setitimer(signal.ITIMER_PROF, 0)
        told = fault.strip()[:_MAX_REASON].encode(errors="replace").decode()
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
