"""The bytes of tokens, for both kinds of tokenizers: what the library decodes, piece by piece."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from app.inference import decoding, spelling
from app.inference.transcripts import Transcript

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "你好, 世界! こんにちは 🙂 naïve café",
    'def add(a, b):\n    return a + b\n\n{"name": "x", "values": [1, 2, 3]}',
] * 4
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def build_bytelevel():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def build_fallback():
    """As Llama 2 has it: BPE with byte fallback, spaces written as U+2581."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<unk>", "<s>", *BYTES], show_progress=False
    )
    tokenizer.train_from_iterator(['abc the fox {}[]:,"0123456789'] * 3, trainer)
    return tokenizer_with_plain_bytes(tokenizer)


def tokenizer_with_plain_bytes(tokenizer):
    """A trainer makes the byte tokens special, a real checkpoint's are ordinary vocabulary."""
    import json

    found = json.loads(tokenizer.to_str())
    found["added_tokens"] = [t for t in found["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(found))


def build_unigram():
    """SentencePiece's other model: Unigram with Metaspace."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


KINDS = {"bytelevel": build_bytelevel, "fallback": build_fallback, "unigram": build_unigram}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return KINDS[request.param]()


def _read(tokenizer, tokens):
    table = spelling.read(tokenizer)
    assert table.is_exact
    transcript, shown = Transcript(decoding.Pieces(table, strips=True), ()), ""
    for token in tokens:
        transcript.read([token])
        shown += transcript.take()
        assert "\ufffd" not in shown
    transcript.finish(tokens)
    at_once = Transcript(decoding.Pieces(table, strips=True), ())
    at_once.finish(tokens)
    assert at_once.text == shown + transcript.take()
    return at_once.text


@pytest.mark.parametrize("text", [*TEXTS[:3], "  two spaces", "a\n\n b"])
def test_the_pieces_of_a_text_are_what_the_library_decodes(tokenizer, text):
    tokens = tokenizer.encode(text).ids

    assert _read(tokenizer, tokens) == tokenizer.decode(tokens)


@given(text=st.text(max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_text_keeps_its_characters_whole(tokenizer, text):
    tokens = tokenizer.encode(text.replace("\ufffd", "?")).ids

    assert _read(tokenizer, tokens) == tokenizer.decode(tokens)


def test_special_tokens_are_named_but_show_nothing(tokenizer):
    special = min(spelling.read(tokenizer).special)
    table = spelling.read(tokenizer)

    found = table.describe((special, -0.5, ((special, -0.5),)))

    assert found.token in ("<s>", "<unk>")
    assert (found.bytes, found.logprob, found.top[0].logprob) == (b"", -0.5, -0.5)


def test_half_a_character_has_its_byte():
    tokenizer = build_fallback()
    token = tokenizer.token_to_id("<0xE4>")

    found = spelling.read(tokenizer).describe((token, -1.0, ()))

    assert (found.token, found.bytes) == ("\ufffd", b"\xe4")


def test_what_is_no_text_costs_no_character_beside_it():
    tokenizer = build_fallback()
    tokens = [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in "你".encode() + b"\xff"]
    table = spelling.read(tokenizer)
    transcript = Transcript(decoding.Pieces(table, strips=True), ())

    transcript.finish(tokens)

    assert transcript.text == "你\ufffd"


def test_an_unknown_decoder_is_asked_for_whole_texts():
    tokenizer = Tokenizer(models.WordPiece({"un": 0, "##do": 1, "it": 2}))
    tokenizer.decoder = decoders.WordPiece()
    assert not spelling.read(tokenizer).is_exact
    transcript = Transcript(decoding.Windows(tokenizer.decode), ())

    for token in (0, 1, 2):
        transcript.read([token])

    assert transcript.text == "undo it"
