"""Guided output: grammars that say which tokens may come next, by the library llguidance.

A grammar is compiled in a thread beside the step loop. The base of this library is lazy (derivatives
of regular expressions, an Earley parser), so compiling takes milliseconds and each mask a bounded
effort; what exceeds its limits fails the one request. No torch in here: masks are written to an
address.
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import llguidance

from app.errors import EngineError
from app.inference.engine import Guide, GuideKind
from app.inference.spelling import Spelling

LIMIT_SECONDS = 10.0  # from the beginning of its compilation to the compiled grammar
_PATIENCE = 6  # times the limit, for a grammar that waits behind those that nobody wants any more
MAX_THREADS = 4  # a thread in native code cannot be ended, so there must be a bound
_MAX_CACHED = 64
_MAX_REASON = 300
_SPACES = r"[\x20\x0A\x0D\x09]{1,40}"  # between JSON tokens; without a bound some models never end
_BOOLEANS = {"true": "{}", "false": '{"enum": []}'}  # llguidance takes options for objects only
_FINE = frozenset({"NoExtension", "NoExtensionBias", "EndOfSentence"})


def write_grammar(guide: Guide) -> str:
    """The guide as llguidance reads it; EngineError("grammar_failed") for text that is none."""
    try:
        return _write(guide)
    except (ValueError, TypeError, RecursionError) as error:
        raise _refuse(str(error)) from error


def _write(guide: Guide) -> str:
    matcher = llguidance.LLMatcher
    if guide.kind is GuideKind.REGEX:
        return matcher.grammar_from_regex(guide.text)
    if guide.kind is GuideKind.CHOICE:
        return matcher.grammar_from_lark(f"start: {_join(json.loads(guide.text))}")
    schema = '{"type": "object"}' if guide.kind is GuideKind.JSON_OBJECT else guide.text
    schema = _BOOLEANS.get(schema.strip(), schema)
    return matcher.grammar_from_json_schema(schema, overrides={"whitespace_pattern": _SPACES})


def _join(texts: Any) -> str:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a choice is made from a list of strings")
    if not texts:
        raise ValueError("there is nothing to choose from")
    return " | ".join(map(_quote, texts))


def _quote(text: str) -> str:
    """As JSON writes it; its grammar's reader stops at the one control character that JSON leaves."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def check(guide: Guide) -> None:
    """EngineError("grammar_failed") with the reason unless the guide compiles. Needs no model."""
    is_wrong, messages = llguidance.LLMatcher.validate_grammar_with_warnings(write_grammar(guide))
    if is_wrong:
        raise _refuse(messages[0])


def _refuse(reason: str) -> EngineError:
    return EngineError("grammar_failed", reason=reason[:_MAX_REASON])


def count_words(vocabulary: int) -> int:
    """Words of 32 bits in a mask: a bit for each token, and one for an end that no token is."""
    return vocabulary // 32 + 1


class Matcher:
    """A sequence's place in its grammar."""

    def __init__(self, matcher: llguidance.LLMatcher) -> None:
        self._matcher = matcher

    def fill(self, address: int, size: int) -> bool:
        """Writes the mask of allowed tokens, a bit each, to the count_words(vocabulary) words at
        `address`, of `size` bytes; False where the grammar has come to a limit of the library."""
        self._matcher.unsafe_compute_mask_ptr(address, size)
        return not self._matcher.is_error()

    @property
    def fault(self) -> str:
        """Why no token is allowed here."""
        told: str = self._matcher.get_error() if self._matcher.is_error() else ""
        return (told.strip().partition("\n")[0] or "it allows no token here")[:_MAX_REASON]

    def accept(self, token: int) -> bool:
        """Moves on by a chosen token; whether the text is complete now."""
        self._matcher.consume_token(token)
        return self._matcher.is_stopped() and self._matcher.stop_reason() in _FINE


class Compiler:
    """Compiles the grammars of requests, each by its id, for one tokenizer."""

    def __init__(
        self,
        spelling: Spelling,
        *,
        vocabulary: int,
        eos: Collection[int],
        limit_seconds: float | None = None,
    ) -> None:
        self._words = _Words(spelling, vocabulary, eos)
        self._limit_seconds = LIMIT_SECONDS if limit_seconds is None else limit_seconds
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, tuple[Guide, float]] = OrderedDict()  # and the deadline
        self._found: dict[str, Matcher | EngineError] = {}
        self._known: OrderedDict[Guide, llguidance.LLMatcher] = OrderedDict()
        self._ready = threading.Event()
        self._queue: OrderedDict[str, Guide] = OrderedDict()
        self._num_threads = 0

    def start(self, name: str, guide: Guide) -> None:
        """Begins to compile."""
        with self._lock:
            self._asked[name] = guide, time.monotonic() + _PATIENCE * self._limit_seconds
            self._queue[name] = guide
            if self._num_threads < MAX_THREADS:
                self._num_threads += 1
                threading.Thread(target=self._work, name="grammar", daemon=True).start()

    def take(self) -> list[tuple[str, Matcher | EngineError]]:
        """What is compiled, failed or overdue by now, each once."""
        if not self._asked:
            return []
        with self._lock:
            now = time.monotonic()
            for name, (_, deadline) in self._asked.items():
                if deadline <= now:
                    self._found.setdefault(name, EngineError("grammar_timeout"))
            found, self._found = self._found, {}
            self._ready.clear()
            for name in found:
                self._forget(name)
            return list(found.items())

    def drop(self, name: str) -> bool:
        """Forgets a request; whether it was here."""
        with self._lock:
            self._found.pop(name, None)
            return self._forget(name)

    def wait(self, seconds: float) -> None:
        """Lets the time pass until something can be taken, if anything was asked for."""
        if self._asked:
            self._ready.wait(seconds)

    def _forget(self, name: str) -> bool:
        self._queue.pop(name, None)
        return self._asked.pop(name, None) is not None

    def _work(self) -> None:
        while (task := self._next()) is not None:
            name, guide = task
            found = self._compile(guide)
            with self._lock:
                if self._asked.get(name, (None,))[0] is guide:
                    self._found[name] = found
                    self._ready.set()

    def _next(self) -> tuple[str, Guide] | None:
        with self._lock:
            if self._queue:
                name, guide = self._queue.popitem(last=False)
                self._asked[name] = guide, time.monotonic() + self._limit_seconds
                return name, guide
            self._num_threads -= 1
            return None

    def _compile(self, guide: Guide) -> Matcher | EngineError:
        try:
            return Matcher(self._load(guide).deep_copy())
        except EngineError as error:
            return error
        except Exception as error:  # noqa: BLE001  whatever it is, it is this request's alone
            return _refuse(repr(error))

    def _load(self, guide: Guide) -> llguidance.LLMatcher:
        with self._lock:
            if known := self._known.get(guide):
                self._known.move_to_end(guide)
                return known
        made = llguidance.LLMatcher(self._words.tokenizer, write_grammar(guide), log_level=0)
        if made.is_error():
            raise _refuse(made.get_error())
        with self._lock:
            self._known[guide] = made
            while len(self._known) > _MAX_CACHED:
                self._known.popitem(last=False)
        return made


class _Words:
    """The vocabulary in the form that llguidance takes; made when first needed."""

    def __init__(self, spelling: Spelling, vocabulary: int, eos: Collection[int]) -> None:
        pieces = spelling.pieces[:vocabulary]
        self.tokens = [*pieces, *[b""] * (vocabulary - len(pieces) + 1)]
        self.special_token_ids = sorted(token for token in spelling.special if token < vocabulary)
        self.bos_token_id = None
        known = sorted(token for token in eos if token < vocabulary)
        self._eos = known or [
            vocabulary
        ]  # llguidance wants one: an id that the model does not have
        self.eos_token_id = self._eos[0]
        self._ids = {piece: token for token, piece in enumerate(pieces) if piece}
        self._longest = max(map(len, self._ids), default=0)
        self._lock = threading.Lock()
        self._tokenizer: llguidance.LLTokenizer | None = None

    def __call__(self, text: bytes) -> list[int]:
        """Tokens for bytes that a grammar forces: the longest first, up to what no token spells."""
        tokens: list[int] = []
        while text:
            sizes = range(min(self._longest, len(text)), 0, -1)
            size = next((size for size in sizes if text[:size] in self._ids), 0)
            if size == 0:
                break
            tokens.append(self._ids[text[:size]])
            text = text[size:]
        return tokens

    @property
    def tokenizer(self) -> llguidance.LLTokenizer:
        """Takes up to a second for a large vocabulary."""
        with self._lock:
            if self._tokenizer is None:
                wrapper: Any = llguidance.TokenizerWrapper(self)
                self._tokenizer = llguidance.LLTokenizer(
                    wrapper, n_vocab=len(self.tokens), eos_token=self._eos
                )
            return self._tokenizer
