"""How an answer begins, as far as the instruction and the memory fix it: what the model need not guess."""

import ast
import builtins
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.coding import memory, nametalk, native, newnames, prompts, renaming
from app.coding.instruction import Heading, Target, Tree
from app.coding.prompts import Form
from app.wire.rows import Symbol

_MORE = re.compile(
    r"(?i)\b(?:and|also|too|but|with|without)\b|[,\uff0c、;\uff1b。]\s*\S|并|且|同时"
)
_OTHER_WISH = re.compile(
    r"(?i)\b(?:explain|describe|document|docstring|unit ?tests?|pytest|test (?:for|of)|a class|sql|query|lambda|dataclass|namedtuple)\b|@\w|\bdef \w"
    r"|解释|说明一下|讲讲|讲解|什么意思|单元测试|写.{0,4}测试|説明して|どういう意味|単体テスト|テストを(?:書|作)"
)
_NAMES = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z_]\w*", re.ASCII)
_NAMING = re.compile(r"(?i)name|call|title|[名叫呼]|リネーム")
_ASYNC = re.compile(r"(?i)\basync|异步|非同期")
_PLACE = r"(?i)(?:\b(?:in|into|inside|from|make|let|change|fix|update|extend)\s+|[在从让])`?NAME(?![A-Za-z0-9_])|(?<![A-Za-z0-9_])NAME`? ?(?:の中|内)"
_ELDER = re.compile(
    r"(?i)\b(?:first|second|previous|older|oldest|earlier|other|one before)\b|第[一二三]|最[初早先]|前一个|前面|上一个|另一个|旧|那个"
    r"|一つ前|前の|もう一つ|[一二12]つ目|[12\uff11\uff12]番目"
)  # tells of a function that need not be the latest


@dataclass(frozen=True)
class _Said:
    """An instruction as it is, parsed, and in words; what is known, and what of that it names."""

    tree: Tree
    text: str
    words: set[str]
    known: Sequence[Symbol]
    spoken: Sequence[Symbol]


def find(tree: Tree, form: Form, known: Sequence[Symbol], text: str) -> str:
    """The beginning of a Python function's first line where style "plain" fixes it: of a function
    that `text`, the instruction, gives as `name(parameters)` and that is not `known`, that is
    created by its name, or that a known one is renamed to, then perhaps its whole code. The model
    goes on from there; empty where nothing is fixed, where in doubt, or where a guide says more."""
    if form.style != "plain" or prompts.shape(tree, form):
        return ""
    words = memory.list_words(tree, text)
    spoken = [symbol for symbol in known if symbol.name in words]
    said = _Said(tree, text, words, known, spoken)
    only = _find_name(said) if known else None
    listed = newnames.read_signature(text, _names(known)) if _is_python(said) else None
    if only is not None:
        return _rename(Heading(only), said)
    if listed is not None:
        return _write(*listed)
    return _begin_as_parsed(said) if _is_plain(tree, text) else ""


def _begin_as_parsed(said: _Said) -> str:
    """By the name of what is new, or else the name that something is to have."""
    tree = said.tree
    if prompts.is_new_function(tree):
        return _begin_new(said)
    renamed = [each for each in tree.headings if each.name.isascii()]
    is_about_name = _NAMING.search(said.text) is not None
    others = set(_NAMES.findall(said.text)) - _names(said.known) - {each.name for each in renamed}
    is_about_name = is_about_name and not (others and not said.text.isascii())
    return _rename(renamed[0], said) if renamed and is_about_name else ""


def _is_python(said: _Said) -> bool:
    """Whether Python code is wanted, and none is shown, explained or tested."""
    is_python = said.tree.language in (None, prompts.USUAL) and not said.tree.code
    return is_python and not _ASYNC.search(said.text) and not _OTHER_WISH.search(said.text)


def _find_name(said: _Said) -> str | None:
    """The new name of a known function where the instruction speaks of nothing else."""
    is_clear = _is_python(said) and len(said.spoken) < 2
    return nametalk.find(said.text, _names(said.spoken)) if is_clear else None


def _begin_new(said: _Said) -> str:
    read = newnames.read(said.tree, said.text)
    if read is None or any(_is_changed(read[0], each.name, said.text) for each in said.spoken):
        return ""
    return _write(*read)


def _is_plain(tree: Tree, text: str) -> bool:
    is_function = tree.target == Target.FUNCTION and tree.language in (None, prompts.USUAL)
    return is_function and not _ASYNC.search(text)


def _is_changed(name: str, known: str, text: str) -> bool:
    """Whether a sentence with the new `name` is rather about a known function."""
    return name == known or re.search(_PLACE.replace("NAME", re.escape(known)), text) is not None


def _names(symbols: Sequence[Symbol]) -> set[str]:
    return {symbol.name for symbol in symbols}


def _rename(new: Heading, said: _Said) -> str:
    """A function keeps its parameters under its new name where nothing else is said, and all of its
    code where the instruction is the rename alone."""
    older = _find_older(new, said)
    listed = _list_parameters(older) if older else None
    if older is None or listed is None or said.words & set(listed):
        return ""
    is_only = nametalk.find(said.text, {older.name}) == new.name
    if _MORE.search(said.text.strip()) and not is_only:
        return _write(new.name, ())
    head = _write(new.name, listed)
    if head and is_only:
        return renaming.rename(older, new.name) or head
    return head


def _find_older(new: Heading, said: _Said) -> Symbol | None:
    """The only function spoken of, or the latest thing known; None where another may be meant, and for
    a name that is taken or none."""
    functions = [each for each in (said.spoken or said.known) if each.kind == "function"]
    is_taken = new.name in _names(said.known) or set(new.beside) - _names(said.spoken)
    if not functions or len(said.spoken) > 1 or is_taken or nametalk.is_never_name(new.name):
        return None
    older = max(functions, key=lambda symbol: symbol.id)
    is_clear = said.spoken or (_is_latest(older, said) and not _ELDER.search(said.text))
    return older if is_clear else None


def _is_latest(older: Symbol, said: _Said) -> bool:
    """Whether a function is the latest of all that is known, imports aside."""
    return older.id == max(each.id for each in said.known if each.kind != "import")


def _list_parameters(older: Symbol) -> tuple[str, ...] | None:
    """Those of a plain Python function; empty where there is more to them than names."""
    module = native.parse(older.code) if older.language == prompts.USUAL else None
    if module is None:
        return None
    found = next((each for each in module.body if isinstance(each, ast.FunctionDef)), None)
    if found is None or found.decorator_list:
        return None
    listed = tuple(each.arg for each in found.args.args)
    return listed if native.show(found.args) == ", ".join(listed) else ()


def _write(name: str, parameters: Sequence[str]) -> str:
    """Empty where this would be no code, or hide a function of Python's own."""
    words = [name, *parameters]
    is_code = all(word.isidentifier() and not keyword.iskeyword(word) for word in words)
    is_code = is_code and not hasattr(builtins, name)
    return f"def {name}({', '.join(parameters)}" if is_code else ""
