"""The CPU kernels answer as torch's own operators do."""

import random

import pytest
import torch

from app.inference import attention, kernels, native, sdpa
from app.inference.sequences import Chunk, Sequence

DTYPES = (torch.float32, torch.bfloat16)

pytestmark = pytest.mark.skipif(kernels.load() is None, reason="there is no C++ compiler")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads that wait for each other are slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _random(*shape, dtype, seed=0):
    return torch.randn(*shape, generator=torch.manual_seed(seed)).to(dtype)


def _assert_close(found, expected):
    tolerance = 8 * torch.finfo(expected.dtype).eps * max(1.0, float(expected.abs().max()))
    assert float((found.float() - expected.float()).abs().max()) <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_the_norm_is_rms_norm(dtype, rows):
    x, weight = _random(1, rows, 96, dtype=dtype), _random(96, dtype=dtype, seed=1)

    scaled = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5)
    _assert_close(kernels.normalize(x, weight, 1e-5), weight * scaled.to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gate_is_silu_times_up(dtype):
    both = 20 * _random(1, 9, 64, dtype=dtype)
    gates, ups = both.chunk(2, dim=-1)

    _assert_close(kernels.gate(gates, ups), torch.nn.functional.silu(gates) * ups)


def test_nan_and_infinity_pass_through():
    x = torch.ones(1, 3, 32)
    x[0, 0, 3], x[0, 1, 3] = float("nan"), float("inf")

    rows = kernels.normalize(x, torch.ones(32), 1e-5)[0]

    assert rows[0].isnan().all()
    assert not rows[1].isfinite().all()
    assert rows[2].isfinite().all()


# Attention.

HEADS, SIZE = 2, 32


def _sequence(context, blocks):
    sequence = Sequence.__new__(Sequence)
    sequence.blocks, sequence.tokens = blocks, list(range(context))
    return sequence


def _steps(rng, num_blocks):
    """Sequences whose tokens come in random pieces, several of them in each step."""
    ids = rng.sample(range(num_blocks), num_blocks)
    lengths = [1, 15, 16, 17, 40, 200, 290]
    sequences = [_sequence(n, [ids.pop() for _ in range(-(-n // 16))]) for n in lengths]
    done = [0] * len(sequences)
    while any(count < len(each.tokens) for count, each in zip(done, sequences, strict=True)):
        chunks = []
        for number, each in enumerate(sequences):
            left = len(each.tokens) - done[number]
            if left and rng.random() < 0.7:
                length = rng.choice([1, min(left, rng.randint(1, 150))])
                chunks.append(Chunk(each, done[number], length))
                done[number] += length
        yield sorted(chunks, key=lambda chunk: (chunk.length > 1, chunk.end))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shared", [1, 3, 8])
def test_paged_attention_equals_torch_for_any_mix_of_chunks(dtype, shared):
    shape = attention.Shape(1, HEADS, shared, SIZE, dtype, torch.device("cpu"))
    caches = native.Cache(shape, 60), sdpa.Cache(shape, 60)

    steps = 0
    for number, chunks in enumerate(_steps(random.Random(shared), 60)):
        tokens = sum(chunk.length for chunk in chunks)
        if not tokens:
            continue
        query = _random(1, HEADS * shared, tokens, SIZE, dtype=dtype, seed=number)
        key, value = (
            _random(1, HEADS, tokens, SIZE, dtype=dtype, seed=9000 + 2 * number + each)
            for each in (0, 1)
        )
        found, expected = (
            cache.arrange(chunks).attend(0, query, key, value, 0.2) for cache in caches
        )
        _assert_close(found, expected)
        steps += 1

    assert steps > 3


def test_what_an_earlier_holder_left_in_a_block_is_not_seen():
    shape = attention.Shape(1, HEADS, 1, SIZE, torch.float32, torch.device("cpu"))
    cache = native.Cache(shape, 1)
    cache.keys.fill_(float("nan"))
    cache.values.fill_(float("nan"))
    x = _random(1, HEADS, 3, SIZE, dtype=torch.float32)

    found = cache.arrange([Chunk(_sequence(3, [0]), 0, 3)]).attend(0, x, x, x, 1.0)

    assert found.isfinite().all()


def test_a_nan_in_one_sequence_stays_there():
    shape = attention.Shape(1, HEADS, 1, SIZE, torch.bfloat16, torch.device("cpu"))
    cache = native.Cache(shape, 2)
    x = _random(1, HEADS, 6, SIZE, dtype=torch.bfloat16)
    x[:, :, 1] = float("nan")
    chunks = [Chunk(_sequence(3, [0]), 0, 3), Chunk(_sequence(3, [1]), 0, 3)]

    found = cache.arrange(chunks).attend(0, x, x, x, 1.0)[0]

    assert found[1].isnan().any()
    assert found[3:].isfinite().all()


def test_rows_beyond_the_tokens_are_zero():
    shape = attention.Shape(1, HEADS, 1, SIZE, torch.float32, torch.device("cpu"))
    x = _random(1, HEADS, 8, SIZE, dtype=torch.float32)

    for kind in (native, sdpa):
        cache = kind.Cache(shape, 1)
        found = cache.arrange([Chunk(_sequence(3, [0]), 0, 3)]).attend(0, x, x, x, 1.0)[0]
        assert found.shape == (8, HEADS, SIZE)
        assert not found[3:].any()


def test_without_a_compiler_torch_does_the_work(monkeypatch):
    kernels.load.cache_clear()
    monkeypatch.setenv("PATH", "")
    shape = attention.Shape(1, HEADS, 1, SIZE, torch.float32, torch.device("cpu"))

    try:
        assert isinstance(attention.build_cache(shape, 4), sdpa.Cache)
    finally:
        kernels.load.cache_clear()


@pytest.mark.parametrize(
    ("size", "shared", "dtype"),
    [(20, 1, torch.float32), (32, 64, torch.float32), (32, 1, torch.float16)],
)
def test_shapes_that_the_kernels_do_not_know_go_to_torch(size, shared, dtype):
    shape = attention.Shape(1, HEADS, shared, size, dtype, torch.device("cpu"))

    assert not native.is_fit(shape)
