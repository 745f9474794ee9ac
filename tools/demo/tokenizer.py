"""The byte-level BPE tokenizer and its chat template.

Names must look the same wherever they stand, so that the model can copy them: digits, Han and
Hiragana characters stand alone, words are split from everything else. Single pieces beside them are
small words that are no names, operators, the commonest Chinese and Japanese words, and what many
answers hold: how a result begins, calls of Python's own functions, the sentences that decline. A space
goes with the small English word behind it, or with the small word or full stop before it. That makes
texts shorter by more than a third, and training faster.
"""

import re
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tools.demo import phrases

PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
TEMPLATE = """\
{%- for message in messages %}
{{- '<|' + message['role'] + '|>' + message['content'] | trim }}
{%- if message['role'] == 'assistant' %}{{- '<|end|>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}
"""
_CALL = (  # of Python's own
    r"(?<![A-Za-z0-9_])"
    r"(?:sum|len|round|sorted|max|min|str|int|abs|set|list|range|any|all|float|dict|zip|enumerate)\("
)
_RESULT = rf"(?:f?\"|\[x for x in |\[|{_CALL})?"  # how a result may begin
_PHRASES = (  # in many answers
    rf"\):\n    (?:return {_RESULT}|if )|:\n        return {_RESULT}|\"?\n    (?:return {_RESULT}|if )"
    rf"| for x in | if x(?![A-Za-z0-9_])|\) [-+*/] |\" \+ | \+ f?\"|{_CALL}|import math\n\n\ndef "
    r"|\.(?:(?:split|upper|lower|strip|title|capitalize|items|values|keys|isdigit|isalpha|isupper|islower)\(\)"
    r"|(?:join|replace|append|count|get|index|startswith|endswith|sqrt|gcd)\()"
)
_HEADINGS = r"(?:Known definitions:|已有定义：|既存の定義：)\n"
_LEADING = "the|a|an|of|to|is|with|by|from|that|as|on|at|be|this|it|its|one|each|two"
_OPERATORS = r" (?:[-+*/%<>=!]{1,2}|for|in|if|else|and|or) |, |return |def |not "
_PLAIN = r"[A-Za-z]+|[0-9]|_|\n *| +|\p{Han}|\p{Hiragana}|[\p{Katakana}ー]+|[^\s\w]{1,3}|\w|\s"


def pattern() -> str:
    """The regular expression whose matches are the pieces, longest words first."""
    glued = {line[:2]: line[3:].split() for line in phrases.read("glued").splitlines()}
    small = "|".join(_longest_first(glued["en"]))
    asian = "|".join(_longest_first([*glued["zh"], *glued["ja"]]))
    parts = (*_sentences(), _HEADINGS, _PHRASES, _code(small), _english(small), asian, _PLAIN)
    return "|".join(parts)


def _sentences() -> list[str]:
    """What every declined prompt is answered with."""
    return [re.escape(phrases.load(name).sections["refuse"][0]) for name in ("en", "zh", "ja")]


def _english(small: str) -> str:
    """Small words with the space before them; the space between one, or a full stop, and another
    word goes with what comes first."""
    other = rf"(?!(?:{small})(?![A-Za-z0-9_]))"
    leading = rf" (?:{_LEADING}) (?=[A-Za-z]){other}"
    return rf"{leading}| (?:{small})(?![A-Za-z0-9_])|[.:;!?] (?! ){other}"


def _code(small: str) -> str:
    """Operators and keywords of code, unless a small word comes next."""
    return rf"(?:{_OPERATORS})(?!(?:{small})[^A-Za-z0-9_])" if small else _OPERATORS


def _longest_first(words: list[str]) -> list[str]:
    return sorted(set(words), key=lambda word: (-len(word), word))


def train(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` entries learnt from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern()), behavior="isolated")
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
