"""A transformers model, loaded for the methods that are transformers' own."""

from typing import Any

import torch
import transformers


def load(path: str, dtype: str, settings: dict[str, Any]) -> Any:
    """The model; takes `attention` and `threads` out of the settings."""
    if threads := settings.pop("threads", None):
        torch.set_num_threads(threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=getattr(torch, dtype), attn_implementation=settings.pop("attention", "sdpa")
    )
    return model.eval()


def generate(model: Any, prompts: list[list[int]], length: int, **settings: Any) -> list[list[int]]:
    """The greedy answers of `length` tokens to a batch; shorter prompts are padded at the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in prompts])
    lengths = {"max_new_tokens": length, "min_new_tokens": length}
    with torch.inference_mode():
        answers = model.generate(ids, attention_mask=mask, do_sample=False, **lengths, **settings)
    return list(answers[:, width:].tolist())
