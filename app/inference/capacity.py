"""How many tokens the cache can hold."""

import os
from typing import Any

import torch

from app.errors import WeightsError
from app.inference import attention, scheduler
from app.inference.blocks import BLOCK_SIZE, count_blocks
from app.settings import schema

CPU_SHARE = 0.25  # of the memory that is free now; pages never used are never touched
WORD_BYTES = 32  # of logits and sampling, for each word of the vocabulary in a row


def limit_memory(device: torch.device, fraction: float) -> None:
    """On CUDA this process may use no more than `fraction` of the device. Called before a load."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(fraction, device)


def count(
    model: schema.Model, config: Any, shape: attention.Shape, limits: scheduler.Limits
) -> int:
    """Blocks for the cache: as configured, else what memory allows and `limits` can fill."""
    tokens = model.cache_tokens
    if tokens is None:
        free = _measure_free(shape.device, model.memory_fraction)
        free -= _estimate_workspace(config, limits, shape.dtype.itemsize)
        copies = 1 + 1.5 / shape.num_layers  # a layer's keys and values, gathered
        useful = limits.max_sequences * find_context(model, config)
        tokens = min(int(free / copies) // shape.token_bytes, useful)
    if tokens < BLOCK_SIZE:
        raise WeightsError("no_cache_memory", name=model.name)
    return count_blocks(tokens)


def find_context(model: schema.Model, config: Any) -> int:
    """Tokens that a prompt and its answer may have together."""
    longest = int(config.max_position_embeddings)
    return min(model.max_context or longest, longest)


def _measure_free(device: torch.device, fraction: float) -> int:
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        return int(min(total * fraction, free) - torch.cuda.memory_allocated(device))
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") * CPU_SHARE)


def _estimate_workspace(config: Any, limits: scheduler.Limits, itemsize: int) -> int:
    """Bytes of a full step's activations, and of its logits with their sampling."""
    width = 4 * config.intermediate_size + 12 * config.hidden_size
    activations = limits.token_budget * width * itemsize
    return int(activations + limits.max_sequences * config.vocab_size * WORD_BYTES)
