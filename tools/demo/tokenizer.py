"""The byte-level BPE tokenizer and its chat template.

Names must look the same wherever they stand, so that the model can copy them: spaces, digits, Han
and Hiragana characters stand alone, words are split from everything else.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
TEMPLATE = """\
{%- for message in messages %}
{{- '<|' + message['role'] + '|>' + message['content'] | trim }}
{%- if message['role'] == 'assistant' %}{{- '<|end|>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}
"""
_PIECES = r"[A-Za-z]+|[0-9]|_|\n *| +|\p{Han}|\p{Hiragana}|[\p{Katakana}ー]+|[^\s\w]{1,3}|\w|\s"


def train(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` entries learnt from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=[PAD, END, SYSTEM, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        chat_template=TEMPLATE,
    )
