"""Stop strings and split characters against tokens that hold many characters, or a part of one."""

import dataclasses
import json

import pytest
import torch
from tokenizers import Tokenizer

from app.inference import checkpoint, decoding, local, randoms, scheduler, spelling
from app.inference.engine import FinishReason, Output, Request, Sampling
from app.inference.transcripts import Transcript
from app.settings import schema
from tests.unit.test_spelling import KINDS, TEXTS

LONGEST = 6  # characters of a stop string that are tried
PLAIN, WIDE = TEXTS[0], "naïve 你好 🙂 世界"


def build_wordy():
    """A Unigram tokenizer that has whole words: what its trainer finds in little text is short."""
    found = json.loads(KINDS["unigram"]().to_str())
    found["model"]["vocab"] += [[f"\u2581{word}", -1.0] for word in PLAIN.split()]
    return Tokenizer.from_str(json.dumps(found))


WORDY = KINDS | {"unigram": build_wordy}


@pytest.fixture(scope="module", params=WORDY)
def tokenizer(request):
    return WORDY[request.param]()


@pytest.fixture(params=["pieces", "windows"])
def decode(request, tokenizer):
    """Makes a decoder for a new text."""
    table = spelling.read(tokenizer)
    if request.param == "pieces":
        return lambda: decoding.Pieces(table, strips=True)
    return lambda: decoding.Windows(tokenizer.decode)


def _list_ends(decode, tokens):
    """How many characters the text has after each token."""
    transcript = Transcript(decode(), ())
    ends: list[int] = []
    for token in tokens:
        transcript.read([token])
        ends.append((ends[-1] if ends else 0) + len(transcript.take()))
    return ends


def _list_stops(text, ends):
    """Strings of `text` that end inside a token: neither at its first character's start nor at its
    last one's end, and begin in it or before it."""
    inside = [at for at in range(1, len(text)) if at not in ends]
    return [text[start:at] for at in inside for start in range(max(0, at - LONGEST), at)]


def test_the_rest_of_the_token_in_which_a_stop_string_ends_vanishes(decode, tokenizer):
    tokens = tokenizer.encode(PLAIN).ids
    text, ends = tokenizer.decode(tokens), _list_ends(decode, tokens)
    stops = _list_stops(text, ends)
    assert len(stops) > 30, "these tokens are too short to end anything in their middle"

    for stop in stops:
        transcript, shown = Transcript(decode(), ("never", stop)), ""
        kept = text.partition(stop)[0]
        met = len(kept) + len(stop)
        for token, end in zip(tokens, ends, strict=True):
            transcript.read([token])
            shown += transcript.take()
            assert kept.startswith(shown)
            assert transcript.is_stopped is (end >= met)
        transcript.finish(tokens)
        assert shown + transcript.take() == transcript.text == kept


def test_of_two_stop_strings_in_one_token_the_first_in_the_text_counts(decode, tokenizer):
    tokens = tokenizer.encode(PLAIN).ids
    text, ends = tokenizer.decode(tokens), _list_ends(decode, tokens)
    start, end = max(zip([0, *ends], ends, strict=False), key=lambda pair: pair[1] - pair[0])
    assert end - start >= 3
    first, second = text[start + 1], text[start + 2 : end]
    kept = text[: text.index(first)]

    transcript = Transcript(decode(), (second, first))
    transcript.finish(tokens)

    assert transcript.text == kept


@pytest.mark.parametrize("kind", ["bytelevel", "fallback"])
@pytest.mark.parametrize("character", ["é", "你", "🙂"])
def test_a_character_is_shown_by_the_token_that_completes_it(kind, character):
    tokenizer = KINDS[kind]()
    table = spelling.read(tokenizer)
    before, after = (_find(table, text) for text in ("a", "b"))
    split = [_find(table, bytes([byte])) for byte in character.encode()]

    decoder = decoding.Windows(tokenizer.decode)
    shown = [decoder.push([token]) for token in (before, *split, *split, after)]

    silent = [""] * (len(split) - 1)
    assert shown == ["a", *silent, character, *silent, character, "b"]
    assert decoder.finish() == ""


@pytest.mark.parametrize("kind", ["bytelevel", "fallback"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_character_that_is_never_completed_is_not_shown(kind, count):
    tokenizer = KINDS[kind]()
    table = spelling.read(tokenizer)
    split = [_find(table, bytes([byte])) for byte in "🙂".encode()]

    for decoder in (decoding.Windows(tokenizer.decode), decoding.Pieces(table, strips=True)):
        shown = decoder.push([_find(table, "a")])
        shown += "".join(decoder.push([token]) for token in split[:count])
        assert shown + decoder.finish() == "a"


@pytest.mark.parametrize("kind", ["bytelevel", "fallback"])
@pytest.mark.parametrize("stop", ["你", "好 🙂", "🙂 世", "ï"])
def test_a_stop_string_of_split_characters_is_met_with_its_last_byte(kind, stop):
    tokenizer = KINDS[kind]()
    table = spelling.read(tokenizer)
    tokens = [_find(table, bytes([byte])) for byte in WIDE.encode()]
    kept = WIDE.partition(stop)[0]
    met = len((kept + stop).encode())

    for decoder in (decoding.Windows(tokenizer.decode), decoding.Pieces(table, strips=True)):
        transcript, shown = Transcript(decoder, (stop,)), ""
        for number, token in enumerate(tokens, start=1):
            transcript.read([token])
            shown += transcript.take()
            assert transcript.is_stopped is (number >= met)
            assert kept.startswith(shown)
        assert shown == transcript.text == kept


def _find(table, piece):
    """The token that stands for just `piece`."""
    wanted = piece.encode() if isinstance(piece, str) else piece
    return table.pieces.index(wanted)


@pytest.fixture
def loaded(tokenizer, tmp_path):
    torch.set_num_threads(1)
    size = tokenizer.get_vocab_size()
    path = randoms.write(
        tmp_path, "LlamaForCausalLM", vocab_size=size, eos_token_id=0, pad_token_id=0
    )
    tokenizer.save(str(path / "tokenizer.json"))
    model = schema.Model(name="m", path=str(path), dtype="float32")
    return checkpoint.load(model, torch.device("cpu"))


def _run(loaded, sampling):
    model = schema.Model(name="m", path="unused", cache_tokens=1024)
    engine = local.Local(loaded, model, scheduler.Limits(4, 64), {})
    engine.add(Request("a", (5, 6, 7), sampling, stream=True))
    outputs: list[Output] = []
    shown = ""
    while engine.num_unfinished:
        outputs += engine.step()
        shown += "".join(delta.text for delta in engine.deltas())
    assert shown == outputs[0].text
    return outputs[0]


def test_an_answer_ends_before_a_stop_string_in_the_middle_of_a_token(loaded):
    long = [at for at, piece in enumerate(loaded.spelling.pieces) if len(piece) > 2]
    bias = tuple((at, 8.0) for at in long)
    free = Sampling(max_tokens=40, seed=2, ignore_eos=True, logit_bias=bias)
    whole = _run(loaded, free)
    ends = _list_ends(loaded.start_text, whole.tokens)
    stops = sorted(set(_list_stops(whole.text, ends)))
    assert len(stops) > 20

    for stop in stops[:: len(stops) // 8]:
        output = _run(loaded, dataclasses.replace(free, stop=(stop,)))

        kept = whole.text.partition(stop)[0]
        last = next(at for at, end in enumerate(ends) if end >= len(kept) + len(stop))
        assert (output.text, output.finish_reason) == (kept, FinishReason.STOP)
        assert output.tokens == whole.tokens[: last + 1]
