"""How much memory the cache may take: what the device says, less what else needs it."""

import os
from types import SimpleNamespace

import pytest
import torch

from app.errors import WeightsError
from app.inference import attention, capacity, scheduler
from app.settings import schema

GIB = 2**30
CONFIG = SimpleNamespace(
    intermediate_size=1000, hidden_size=500, vocab_size=2000, max_position_embeddings=4096
)
LIMITS = scheduler.Limits(max_sequences=10, token_budget=100)
WORKSPACE = 100 * (4 * 1000 + 12 * 500) * 2 + 10 * 2000 * capacity.WORD_BYTES  # bytes; float16
TOKEN_BYTES = 2 * 3 * 2 * 64 * 2  # keys and values, layers, heads, size, float16
COPIES = 1.5  # the cache, and one and a half of its three layers


def _shape(device):
    return attention.Shape(3, 2, 4, 64, torch.float16, torch.device(device))


def _count(device, **options):
    model = schema.Model(name="m", path="unused", **options)
    return capacity.count(model, CONFIG, _shape(device), LIMITS)


def _pretend(monkeypatch, *, total, free, reserved=0, allocated=0):
    """A GPU with so many bytes: `free` says the driver; torch has reserved and allocated some."""
    answers = {
        "get_device_properties": SimpleNamespace(total_memory=total),
        "mem_get_info": (free, total),
        "memory_reserved": reserved,
        "memory_allocated": allocated,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer)


def _pretend_pages(monkeypatch, free):
    pages = {"SC_PAGE_SIZE": 4096, "SC_AVPHYS_PAGES": free // 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)


@pytest.mark.parametrize(
    ("fraction", "numbers", "expected"),
    [
        # Alone on the device: its fraction, less the weights.
        (0.8, {"free": 70, "reserved": 10, "allocated": 8}, 80 * 0.8 - 8),
        (0.5, {"free": 70, "reserved": 10, "allocated": 8}, 80 * 0.5 - 8),
        (1.0, {"free": 70, "reserved": 10, "allocated": 8}, 80 - 8),
        # Others have most of it: what they leave, with what torch holds and does not use.
        (0.8, {"free": 20, "reserved": 10, "allocated": 8}, 20 + 10 - 8),
        # Nothing is loaded, nothing reserved.
        (0.8, {"free": 80}, 80 * 0.8),
    ],
)
def test_a_gpu_gives_its_fraction_or_what_others_leave(monkeypatch, fraction, numbers, expected):
    _pretend(monkeypatch, total=80 * GIB, **{name: n * GIB for name, n in numbers.items()})

    found = capacity._measure_free(torch.device("cuda"), fraction)

    assert found == int(expected * GIB)


def test_a_cpu_gives_a_share_of_its_free_pages_whatever_the_fraction(monkeypatch):
    _pretend_pages(monkeypatch, 8 * GIB)

    for fraction in (0.1, 0.8):
        assert capacity._measure_free(torch.device("cpu"), fraction) == 2 * GIB


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("blocks", [1, 20, 300])
def test_the_cache_gets_what_is_left_beside_a_full_step_and_a_gathered_layer(
    monkeypatch, device, blocks
):
    free = int(WORKSPACE + blocks * 16 * TOKEN_BYTES * COPIES)
    _pretend(monkeypatch, total=80 * GIB, free=free, reserved=8 * GIB, allocated=8 * GIB)
    _pretend_pages(monkeypatch, -(-free * 4 // 4096) * 4096)

    assert _count(device) == blocks


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_cache_is_no_larger_than_all_sequences_at_their_longest(monkeypatch, device):
    _pretend(monkeypatch, total=80 * GIB, free=80 * GIB)
    _pretend_pages(monkeypatch, 80 * GIB)

    assert _count(device) == 10 * 4096 // 16
    assert _count(device, max_context=160) == 10 * 160 // 16


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_device_without_room_for_a_block_is_refused_by_name(monkeypatch, device):
    free = int(WORKSPACE + 15 * TOKEN_BYTES * COPIES)
    _pretend(monkeypatch, total=80 * GIB, free=free)
    _pretend_pages(monkeypatch, free * 4)

    with pytest.raises(WeightsError, match="no_cache_memory"):
        _count(device)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_configured_size_is_taken_whatever_is_free(monkeypatch, device):
    _pretend(monkeypatch, total=GIB, free=0)
    _pretend_pages(monkeypatch, 0)

    assert _count(device, cache_tokens=1000) == 63  # 62.5 blocks
    with pytest.raises(WeightsError, match="no_cache_memory"):
        _count(device, cache_tokens=15)


def test_a_process_is_held_to_its_fraction_of_a_gpu_and_to_none_of_a_cpu(monkeypatch):
    asked: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *given: asked.append(given)
    )

    for name in ("cpu", "cuda:0"):
        capacity.limit_memory(torch.device(name), 0.7)

    assert asked == [(0.7, torch.device("cuda:0"))]
