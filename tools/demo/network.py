"""The network as it is trained: the same as transformers' GLM, with the parameters of its model.

A test compares both. It is faster, as it takes one step where the library takes several.
oneDNN makes machine code for each new shape of a product, which can take longer than the product: so
the rows whose answers count are rounded up, and the batches come in few shapes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GlmForCausalLM

from tools.demo import compiled, halves, kernels

_ROWS = 64


def loss(model: GlmForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of `labels` [batch, length] where they are not negative; ids alike."""
    ids, labels = _even(ids, 0), _even(labels, -1)
    wanted = functional.pad(labels[:, 1:], (0, 1), value=-1).flatten()
    chosen = _fill(torch.nonzero(wanted >= 0)[:, 0])
    rows = functional.embedding(ids.flatten(), model.model.embed_tokens.weight)
    rows = kernels.Scale.apply(rows)
    turns = _angles(model, ids.shape[1])
    last = len(model.model.layers) - 1
    for i, layer in enumerate(model.model.layers):
        rows = _layer(layer, rows, ids.shape, turns, chosen if i == last else None)
    rows = _norm(model.model.norm, rows)
    counted = torch.where(torch.arange(len(chosen)) < (wanted >= 0).sum(), wanted[chosen], -1)
    return kernels.Loss.apply(rows, model.lm_head.weight, counted)


def _even(ids: Tensor, value: int) -> Tensor:
    """An even number of columns: products take two terms at a time."""
    return functional.pad(ids, (0, ids.shape[1] % 2), value=value)


def _fill(chosen: Tensor) -> Tensor:
    """`chosen` and as many times row 0 as make its length a multiple of `_ROWS`."""
    return functional.pad(chosen, (0, -len(chosen) % _ROWS))


def _angles(model: GlmForCausalLM, length: int) -> tuple[Tensor, Tensor]:
    angles = torch.outer(torch.arange(length).float(), model.model.rotary_emb.inv_freq)
    return angles.cos(), angles.sin()


def _layer(
    layer: Any, rows: Tensor, shape: Any, turns: tuple[Tensor, Tensor], chosen: Tensor | None
) -> Tensor:
    """One layer; of the last one only the `chosen` rows are needed behind the attention."""
    own = layer.self_attn
    heads = own.config.num_attention_heads
    weight, bias = _stack(own, 2 * turns[0].shape[1])
    if compiled.number() == torch.float16:
        return _layer_of_halves(layer, rows, shape, turns, (weight, bias), chosen)
    stacked = _project(_norm(layer.input_layernorm, rows), weight, bias)
    mixed = kernels.Attention.apply(stacked, (*shape, heads), *turns)
    if chosen is not None:
        rows, mixed = rows[chosen], mixed[chosen]
    rows = rows + _project(mixed, own.o_proj.weight)
    normed = _norm(layer.post_attention_layernorm, rows)
    inner = kernels.Gate.apply(_project(normed, layer.mlp.gate_up_proj.weight))
    return rows + _project(inner, layer.mlp.down_proj.weight)


def _layer_of_halves(
    layer: Any,
    rows: Tensor,
    shape: Any,
    turns: tuple[Tensor, Tensor],
    stack: tuple[Tensor, Tensor],
    chosen: Tensor | None,
) -> Tensor:
    own, mlp, before = layer.self_attn, layer.mlp, layer.input_layernorm
    heads, inner = own.config.num_attention_heads, mlp.down_proj.in_features
    sizes = (*shape, heads, own.head_dim, turns[0].shape[1], rows.shape[1], inner)
    norms = before.weight, layer.post_attention_layernorm.weight
    first = (norms[0], *stack)
    second = (own.o_proj.weight, norms[1], mlp.gate_up_proj.weight, mlp.down_proj.weight)
    sizes = (*sizes, before.variance_epsilon)
    return halves.Layer.apply(rows, turns, sizes, chosen, *first, *second)


def _stack(own: Any, rotary: int) -> tuple[Tensor, Tensor]:
    """Weights and biases of queries, keys and values; the values of a rotary pair are put apart."""
    order = torch.arange(own.head_dim)
    order[:rotary] = torch.cat([order[:rotary:2], order[1:rotary:2]])
    order = (torch.arange(0, own.q_proj.out_features, own.head_dim)[:, None] + order).flatten()
    queries, keys, values = own.q_proj, own.k_proj, own.v_proj
    weight = torch.cat([queries.weight[order], keys.weight[order], values.weight])
    bias = torch.cat([queries.bias[order], keys.bias[order], values.bias])
    return weight, bias


def _project(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    bias = bias if bias is None else bias.to(rows.dtype)
    return functional.linear(rows, weight.to(rows.dtype), bias)


def _norm(norm: Any, rows: Tensor) -> Tensor:
    return kernels.Norm.apply(rows, norm.weight, norm.variance_epsilon)
