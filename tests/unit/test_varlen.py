"""The layout for CUDA's paged attention, with a slow stand-in for torch's kernel.

The kernel itself runs on a GPU only; the stand-in follows its documentation.
"""

import random

import pytest
import torch
from torch.nn.attention import varlen as torch_varlen

from app.inference import (
    attention,
    checkpoint,
    graphs,
    local,
    places,
    randoms,
    scheduler,
    sdpa,
    varlen,
)
from app.inference.engine import Request, Sampling
from app.inference.sequences import Chunk, Sequence
from app.settings import schema

HEADS, SHARED, SIZE = 2, 3, 16


def attend_plainly(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa,
    seqused_k, block_table,
):  # fmt: skip
    """What the documentation of torch.nn.attention.varlen.varlen_attn says."""
    assert cu_seq_k is None
    assert enable_gqa
    assert window_size == (-1, 0)
    assert block_table.dtype == seqused_k.dtype == cu_seq_q.dtype == torch.int32
    out = torch.empty_like(query)
    for number, used in enumerate(seqused_k.tolist()):
        first, last = cu_seq_q[number : number + 2].tolist()
        assert last - first <= max_q
        assert used <= max_k
        keys, values = (
            pages[block_table[number].long()]
            .flatten(0, 1)[:used]
            .repeat_interleave(query.shape[1] // key.shape[2], 1)
            for pages in (key, value)
        )
        assert keys.isfinite().all()
        scores = torch.einsum("qhd,khd->hqk", query[first:last], keys) * scale
        seen = torch.arange(used) <= torch.arange(used - (last - first), used)[:, None]
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        out[first:last] = torch.einsum("hqk,khd->qhd", weights, values)
    return out


def _sequence(blocks):
    sequence = Sequence.__new__(Sequence)
    sequence.blocks = blocks
    return sequence


def test_the_layout_gives_the_kernel_what_it_wants(monkeypatch):
    monkeypatch.setattr(torch_varlen, "varlen_attn", attend_plainly)
    shape = attention.Shape(1, HEADS, SHARED, SIZE, torch.float32, torch.device("cpu"))
    caches = varlen.Cache(shape, 12), sdpa.Cache(shape, 12)
    ids = random.Random(1).sample(range(12), 12)
    one, two, three = (_sequence([ids.pop() for _ in range(count)]) for count in (1, 3, 4))
    steps = [
        [Chunk(one, 0, 5), Chunk(two, 0, 33)],
        [Chunk(one, 5, 1), Chunk(two, 33, 7), Chunk(three, 0, 50)],
        [Chunk(one, 6, 1), Chunk(two, 40, 1), Chunk(three, 50, 1)],
    ]

    for number, chunks in enumerate(steps):
        tokens = sum(chunk.length for chunk in chunks)
        torch.manual_seed(number)
        query = torch.randn(1, HEADS * SHARED, tokens + 2, SIZE)  # two rows belong to nobody
        key, value = torch.randn(2, 1, HEADS, tokens + 2, SIZE)
        found, expected = (
            cache.arrange(chunks).attend(0, query, key, value, 0.3) for cache in caches
        )
        torch.testing.assert_close(found[:, :tokens], expected[:, :tokens])
        assert found.shape == expected.shape == (1, tokens + 2, HEADS * SHARED, SIZE)


class _Tape:
    """Stands in for a CUDA graph: replays a pass over the tensors that it was recorded with."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def record(self, run):
        self.recorded += 1

        def replay():
            self.replayed += 1
            return run()

        return replay


def _generate(loaded, requests):
    model = schema.Model(name="m", path="unused", cache_tokens=2048)
    subject = local.Local(loaded, model, scheduler.Limits(16, 64), {})
    for request in requests:
        subject.add(request)
    found: dict[str, tuple[int, ...]] = {}
    while subject.num_unfinished:
        found |= {output.id: output.tokens for output in subject.step()}
    return found


@pytest.mark.parametrize("overlaps", [False, True])
def test_recorded_steps_give_the_tokens_of_plain_ones(monkeypatch, tmp_path, overlaps):
    path = randoms.write(tmp_path, "GlmForCausalLM")
    model = schema.Model(name="m", path=str(path), dtype="float32")
    loaded = checkpoint.load(model, torch.device("cpu"))
    requests = [
        Request(
            id=str(number),
            prompt=tuple(range(number, 5 + 9 * number)),
            sampling=Sampling(max_tokens=3 + 5 * number, temperature=number % 2, ignore_eos=True),
        )
        for number in range(11)
    ]
    expected = _generate(loaded, requests)
    tape = _Tape()
    monkeypatch.setattr(torch_varlen, "varlen_attn", attend_plainly)
    monkeypatch.setattr(attention, "build_cache", varlen.Cache)
    monkeypatch.setattr(
        graphs, "build", lambda model, cache: graphs.Graphs(model, cache, tape.record)
    )
    monkeypatch.setattr(places, "works_beside", lambda device: overlaps)

    assert _generate(loaded, requests) == expected
    assert 1 < tape.recorded < tape.replayed / 3


def test_a_graph_that_answers_otherwise_is_not_used(monkeypatch, tmp_path):
    path = randoms.write(tmp_path, "GlmForCausalLM")
    model = schema.Model(name="m", path=str(path), dtype="float32")
    loaded = checkpoint.load(model, torch.device("cpu"))
    request = Request(id="1", prompt=(1, 2, 3), sampling=Sampling(max_tokens=9, temperature=0))
    expected = _generate(loaded, [request])
    replays = []

    def record(run):
        def replay():
            replays.append(1)
            return -run()

        return replay

    monkeypatch.setattr(torch_varlen, "varlen_attn", attend_plainly)
    monkeypatch.setattr(attention, "build_cache", varlen.Cache)
    monkeypatch.setattr(graphs, "build", lambda model, cache: graphs.Graphs(model, cache, record))

    assert _generate(loaded, [request]) == expected
    assert len(replays) == 1


def test_a_model_may_do_without_graphs(monkeypatch, tmp_path):
    path = randoms.write(tmp_path, "GlmForCausalLM")
    loaded = checkpoint.load(schema.Model(name="m", path=str(path)), torch.device("cpu"))
    monkeypatch.setattr(graphs, "build", lambda *_: pytest.fail("not asked for"))
    model = schema.Model(name="m", path="unused", cache_tokens=64, cuda_graphs=False)

    local.Local(loaded, model, scheduler.Limits(16, 64), {})


def test_a_model_may_do_without_overlap(monkeypatch, tmp_path):
    path = randoms.write(tmp_path, "GlmForCausalLM")
    loaded = checkpoint.load(schema.Model(name="m", path=str(path)), torch.device("cpu"))
    monkeypatch.setattr(places, "works_beside", lambda device: True)
    request = Request(id="1", prompt=(1, 2, 3), sampling=Sampling(max_tokens=1))

    for overlaps, steps in ((True, 2), (False, 1)):
        model = schema.Model(name="m", path="unused", cache_tokens=64, overlap_steps=overlaps)
        subject = local.Local(loaded, model, scheduler.Limits(16, 64), {})
        subject.add(request)
        outputs = [subject.step() for _ in range(steps)]
        assert [len(ended) for ended in outputs] == [0] * (steps - 1) + [1]


def test_where_nothing_can_be_recorded_steps_run_plainly(monkeypatch):
    def refuse(run):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch_varlen, "varlen_attn", attend_plainly)
    shape = attention.Shape(1, HEADS, SHARED, SIZE, torch.float32, torch.device("cpu"))
    subject = graphs.Graphs(torch.nn.Identity(), varlen.Cache(shape, 4), refuse)
    ids = torch.zeros(1, 4, dtype=torch.int64)

    assert subject.run(ids, ids, [Chunk(_sequence([1]), 3, 1)]) is None


@pytest.mark.parametrize(
    ("rows", "expected"), [(1, 1), (2, 2), (3, 4), (8, 8), (9, 16), (17, 24), (64, 64)]
)
def test_rows_are_rounded_to_few_sizes(rows, expected):
    assert graphs.round_rows(rows) == expected


def test_widths_are_rounded_to_powers_of_four():
    assert [graphs.round_width(blocks) for blocks in (1, 16, 17, 65)] == [16, 16, 64, 256]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_cpu_is_not_asked_for_it(dtype):
    shape = attention.Shape(1, HEADS, SHARED, SIZE, dtype, torch.device("cpu"))

    assert not varlen.is_fit(shape)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_kernel_is_tried_before_it_is_used(dtype):
    shape = attention.Shape(2, 4, 4, 128, dtype, torch.device("cuda", 0))

    cache = attention.build_cache(shape, 8)

    assert isinstance(cache, varlen.Cache) == varlen.is_fit(shape)
