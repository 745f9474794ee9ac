"""Trains the demonstration model from nothing and writes app/demo/model.

python -m tools.demo.train

It stops after `--steps` batches or `--minutes` of two cores' CPU time, whichever comes first, and
the learning rate follows whichever is nearer. A second thread costs a twentieth more CPU
time. OMP_WAIT_POLICY=PASSIVE helps where cores are shared.
"""

import argparse
import copy
import math
import os
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from transformers import GenerationConfig, GlmConfig, GlmForCausalLM, PreTrainedTokenizerFast

from tools.demo import compiled, generate, muon, network, tokenizer
from tools.demo.generate import Conversation

FOLDER = Path(__file__).parents[2] / "app" / "demo" / "model"
VOCABULARY = 3800
_LENGTH = 70  # tokens of a conversation with its padding, about the mean
_POOL = 8192  # conversations that are sorted by length together
_IGNORED = -100

_KEPT = 250  # steps between checkpoints
_FALL = 0.6  # of the training: the rate falls to zero, in a straight line
_FASTER = 10  # times the rate of the matrices: what one token or one channel has learns more slowly

Batch = tuple[torch.Tensor, torch.Tensor]
Labelled = tuple[Sequence[int], Sequence[int]]  # token ids, labels


@dataclass(frozen=True)
class Plan:
    """How long to train: at most `steps` batches, CPU `seconds` of all threads and `wall` seconds."""

    steps: int
    seconds: float
    rate: float
    wall: float = math.inf


def build(vocabulary: int, eos: int, pad: int) -> GlmForCausalLM:
    """An untrained model: its layers add nothing yet, so that each begins with a clear gradient."""
    config = GlmConfig(
        vocab_size=vocabulary + vocabulary % 2,  # products take two terms at a time
        hidden_size=128,
        intermediate_size=288,
        num_hidden_layers=6,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=48,  # wide values: one head must carry a whole name piece
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        attention_dropout=0.0,
        initializer_range=0.04,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=pad,
    )
    model = GlmForCausalLM(config)
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return model


def encode(conversation: Conversation, words: PreTrainedTokenizerFast) -> Labelled:
    """Token ids, and the labels: the answers with their end mark, all else ignored."""
    ids = words.encode(f"{tokenizer.SYSTEM}{conversation.given}") if conversation.given else []
    labels = [_IGNORED] * len(ids)
    for turn in conversation.turns:
        asked = words.encode(f"{tokenizer.USER}{turn.request}{tokenizer.ASSISTANT}")
        answered = words.encode(f"{turn.answer}{tokenizer.END}")
        ids += asked + answered
        labels += [_IGNORED] * len(asked) + answered
    return array("i", ids), array("i", labels)


def batches(labelled: list[Labelled], tokens: int, seed: int) -> Iterator[Batch]:
    """Batches of similar length and at most `tokens` tokens, in random order within each pool. Their
    shapes are few: lengths are multiples of 2 or 4, and as many rows go with each as fit."""
    rng = Random(seed)
    left: list[Labelled] = []
    for start in range(0, len(labelled), _POOL):
        left += labelled[start : start + _POOL]
        groups = list(_group(sorted(left, key=lambda pair: -len(pair[0])), tokens))
        left = groups.pop()
        rng.shuffle(groups)
        yield from (_pad(group) for group in groups)
    if left:
        yield _pad(left)


def _group(pairs: list[Labelled], tokens: int) -> Iterator[list[Labelled]]:
    """Groups of falling length, all but the last one full."""
    first = 0
    while first < len(pairs):
        count = max(1, tokens // _round(len(pairs[first][0])))
        yield pairs[first : first + count]
        first += count


def _round(length: int) -> int:
    """Our own products take two terms at a time, PyTorch's take long for each new shape."""
    return length + -length % (2 if compiled.number() == torch.float16 else 4)


def _pad(group: list[Labelled]) -> Batch:
    longest = _round(len(group[0][0]))
    ids = [[*row, *[0] * (longest - len(row))] for row, _ in group]
    labels = [[*row, *[_IGNORED] * (longest - len(row))] for _, row in group]
    return torch.tensor(ids), torch.tensor(labels)


def optimizers(model: GlmForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW with a higher rate for embeddings, norms, biases."""
    layers = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers" in name]
    chosen = {id(p) for p in layers}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    groups = [{"params": rest, "factor": _FASTER}]
    return [
        muon.Muon(layers, rate),
        torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def fit(
    model: GlmForCausalLM, stream: Iterator[Batch], plan: Plan, keep: Callable[[], None]
) -> float:
    """Trains at a steady and then falling rate, calls `keep` at times; returns the CPU seconds taken."""
    steppers = optimizers(model, plan.rate)
    cpu, wall, running = time.process_time(), time.monotonic(), 0.0
    for step, batch in enumerate(stream):
        used, passed = time.process_time() - cpu, time.monotonic() - wall
        done = max(step / plan.steps, used / plan.seconds, passed / plan.wall)
        if done >= 1:
            break
        _set_rate(steppers, plan.rate, step, done)
        loss = _step(model, batch, steppers)
        running += 0.05 * (loss - running) if math.isfinite(loss) else 0
        if step % 25 == 0:
            print(f"step {step} {done:.1%} loss {running:.4f} cpu {used:.0f} s", flush=True)
        if step % _KEPT == _KEPT - 1:
            keep()
    return time.process_time() - cpu


def _step(model: GlmForCausalLM, batch: Batch, steppers: list[torch.optim.Optimizer]) -> float:
    loss = network.loss(model, *batch)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for stepper in steppers:
        if norm.isfinite():  # halves may overflow: that batch teaches nothing
            stepper.step()
        stepper.zero_grad(set_to_none=True)
    return float(loss.item())


def _set_rate(steppers: list[torch.optim.Optimizer], rate: float, step: int, done: float) -> None:
    warm = min(1.0, (step + 1) / 60)
    now = rate * warm * min(1.0, (1 - done) / _FALL)
    for stepper in steppers:
        for group in stepper.param_groups:
            group["lr"] = now * group.get("factor", 1)


def save(model: GlmForCausalLM, words: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes float16 weights, configuration, tokenizer and chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = [words.eos_token_id, *words.convert_tokens_to_ids([tokenizer.USER])]
    model.generation_config = GenerationConfig(
        eos_token_id=ends, pad_token_id=words.pad_token_id, do_sample=False
    )
    copy.deepcopy(model).half().save_pretrained(folder)
    words.save_pretrained(folder)


def _begin(
    conversations: list[Conversation], start: Path | None
) -> tuple[GlmForCausalLM, PreTrainedTokenizerFast]:
    """The model of an earlier run, or a new one with a tokenizer learnt from the data."""
    if start is not None:
        words = PreTrainedTokenizerFast.from_pretrained(start)
        return GlmForCausalLM.from_pretrained(start, dtype=torch.float32), words
    texts = [message["content"] for one in conversations[::6][:20000] for message in one.messages]
    words = tokenizer.train(texts, VOCABULARY)
    return build(len(words), words.eos_token_id, words.pad_token_id), words


def main() -> None:
    """Generates data, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10500)
    parser.add_argument("--minutes", type=float, default=20, help="of two cores: CPU time at most")
    parser.add_argument(
        "--wall", type=float, default=math.inf, help="minutes by the clock, at most"
    )
    parser.add_argument("--tokens", type=int, default=4096, help="tokens a batch")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="go on from the model in this folder")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")  # one product of each shape
    compiled.use_threads(options.threads)
    torch.manual_seed(options.seed)
    conversations = generate.generate(options.steps * options.tokens // _LENGTH, options.seed)
    model, words = _begin(conversations, options.start)
    print(f"{model.num_parameters():,} parameters, {len(conversations):,} conversations")
    labelled = [encode(one, words) for one in conversations]
    stream = batches(labelled, options.tokens, options.seed)
    plan = Plan(options.steps, 120 * options.minutes, options.rate, 60 * options.wall)
    seconds = fit(model, stream, plan, lambda: save(model, words, options.folder))
    save(model, words, options.folder)
    print(f"trained in {seconds:.0f} CPU seconds")


if __name__ == "__main__":
    main()
